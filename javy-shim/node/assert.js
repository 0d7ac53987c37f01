// Assertions.

import { inspect } from "caddis:inspect";
import { invalidType, requireFunction } from "node:internal/errors";
import { deepEqual as isDeepEqual } from "node:internal/equality";

export class AssertionError extends Error {
  constructor({ message = undefined, actual, expected, operator, stackStartFn = undefined }) {
    super(message ?? `${inspect(actual)} ${operator} ${inspect(expected)}`);
    this.name = "AssertionError";
    this.code = "ERR_ASSERTION";
    this.generatedMessage = message === undefined;
    Object.assign(this, { actual, expected, operator });
    Error.captureStackTrace?.(this, stackStartFn ?? AssertionError);
  }
}

/** Throws what the caller gave, or an AssertionError. */
function refuse(message, details) {
  if (message instanceof Error) throw message;
  throw new AssertionError({ ...details, message: typeof message === "function" ? message() : message });
}

const SAYS = {
  strictEqual: "Expected values to be strictly equal", notStrictEqual: 'Expected "actual" to be strictly unequal to',
  deepStrictEqual: "Expected values to be strictly deep-equal", deepEqual: "Expected values to be loosely deep-equal",
  notDeepStrictEqual: 'Expected "actual" not to be strictly deep-equal to', notDeepEqual: 'Expected "actual" not to be loosely deep-equal to',
  "==": "Expected values to be equal", "!=": "Expected values to be unequal",
};

/** A comparison of two values. */
function comparison(operator, holds) {
  return function (actual, expected, message = undefined) {
    if (arguments.length < 2) throw invalidType("expected", "given", expected);
    if (holds(actual, expected)) return;
    refuse(message ?? `${SAYS[operator]}:\n\n${inspect(actual)}\n\n${inspect(expected)}\n`, { actual, expected, operator });
  };
}

export function ok(...args) {
  const [value, message] = args;
  if (value) return;
  const otherwise = args.length === 0 ? "No value argument passed to `assert.ok()`" : "The expression evaluated to a falsy value";
  refuse(message ?? otherwise, { actual: value, expected: true, operator: "==" });
}

const assert = function assert(...args) { ok(...args); };

export const equal = comparison("==", (left, right) => left == right || (Number.isNaN(left) && Number.isNaN(right)));
export const notEqual = comparison("!=", (left, right) => left != right && !(Number.isNaN(left) && Number.isNaN(right)));
export const strictEqual = comparison("strictEqual", Object.is);
export const notStrictEqual = comparison("notStrictEqual", (left, right) => !Object.is(left, right));
export const deepEqual = comparison("deepEqual", (left, right) => isDeepEqual(left, right, false));
export const notDeepEqual = comparison("notDeepEqual", (left, right) => !isDeepEqual(left, right, false));
export const deepStrictEqual = comparison("deepStrictEqual", (left, right) => isDeepEqual(left, right, true));
export const notDeepStrictEqual = comparison("notDeepStrictEqual", (left, right) => !isDeepEqual(left, right, true));

export function fail(message = "Failed") {
  refuse(message, { operator: "fail" });
}

export function ifError(value) {
  if (value === null || value === undefined) return;
  const text = value instanceof Error ? value.message : inspect(value);
  refuse(`ifError got unwanted exception: ${text}`, { actual: value, expected: null, operator: "ifError" });
}

function requireMatch(text, pattern, wanted, message) {
  if (!(pattern instanceof RegExp)) throw invalidType("regexp", "an instance of RegExp", pattern);
  if (typeof text === "string" && pattern.test(text) === wanted) return;
  const says = wanted ? "The input did not match the regular expression" : "The input was expected to not match the regular expression";
  refuse(message ?? `${says} ${pattern}. Input:\n\n${inspect(text)}\n`, { actual: text, expected: pattern, operator: wanted ? "match" : "doesNotMatch" });
}
export const match = (text, pattern, message) => requireMatch(text, pattern, true, message);
export const doesNotMatch = (text, pattern, message) => requireMatch(text, pattern, false, message);

/** Whether an error is the one that was expected: a class, a pattern, an object with some of its members, or a function that says so. */
function requireExpected(error, expected, message, operator) {
  if (expected === undefined) return;
  const details = { actual: error, expected, operator };
  if (expected instanceof RegExp) {
    if (!expected.test(String(error))) refuse(message ?? `The input did not match the regular expression ${expected}. Input:\n\n${inspect(String(error))}\n`, details);
  } else if (typeof expected === "function") {
    if (expected.prototype !== undefined && error instanceof expected) return;
    if (Error.isPrototypeOf(expected)) throw error;
    if (expected.call({}, error) !== true) refuse(message ?? "The validation function is expected to return \"true\"", details);
  } else {
    for (const key of expected instanceof Error ? [...Object.keys(expected), "name", "message"] : Object.keys(expected)) {
      const isMatch = typeof error?.[key] === "string" && expected[key] instanceof RegExp && expected[key].test(error[key]);
      if (!isMatch && !isDeepEqual(error?.[key], expected[key], true)) {
        refuse(message ?? `Expected values to be strictly deep-equal:\n\n${inspect(error?.[key])}\n\n${inspect(expected[key])}\n`, details);
      }
    }
  }
}

const missing = (expected, message, operator, what) => {
  const name = typeof expected === "function" && expected.name !== "" ? ` (${expected.name})` : "";
  refuse(message instanceof Error ? message : `Missing expected ${what}${name}${message === undefined ? "." : `: ${message}`}`, { expected, operator });
};

const arrange = (expected, message) => (typeof expected === "string" ? [undefined, expected] : [expected, message]);

export function throws(action, ...rest) {
  requireFunction(action, "fn");
  const [expected, message] = arrange(...rest);
  try {
    action();
  } catch (error) {
    return requireExpected(error, expected, message, "throws");
  }
  return missing(expected, message, "throws", "exception");
}

export async function rejects(action, ...rest) {
  const [expected, message] = arrange(...rest);
  try {
    await (typeof action === "function" ? action() : action);
  } catch (error) {
    return requireExpected(error, expected, message, "rejects");
  }
  return missing(expected, message, "rejects", "rejection");
}

const unwanted = (error, what, message, operator) =>
  refuse(`Got unwanted ${what}${message === undefined ? "." : `: ${message}`}\nActual message: "${error?.message}"`, { actual: error, operator });

export function doesNotThrow(action, ...rest) {
  const [, message] = arrange(...rest);
  try {
    action();
  } catch (error) {
    unwanted(error, "exception", message, "doesNotThrow");
  }
}

export async function doesNotReject(action, ...rest) {
  const [, message] = arrange(...rest);
  try {
    await (typeof action === "function" ? action() : action);
  } catch (error) {
    unwanted(error, "rejection", message, "doesNotReject");
  }
}

const COMMON = {
  AssertionError, deepStrictEqual, doesNotMatch, doesNotReject, doesNotThrow, fail, ifError, match, notDeepStrictEqual, notStrictEqual, ok,
  rejects, strictEqual, throws,
};

/** The functions whose names promise less than `strictEqual` are strict here. */
export const strict = Object.assign(function strict(...args) { ok(...args); }, COMMON, {
  equal: strictEqual, notEqual: notStrictEqual, deepEqual: deepStrictEqual, notDeepEqual: notDeepStrictEqual,
});
strict.strict = strict;
export default Object.assign(assert, COMMON, { equal, notEqual, deepEqual, notDeepEqual, strict });
