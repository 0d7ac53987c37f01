// Helpers of Node.js.

import { customInspect, formatLog, inspect as inspectValue } from "caddis:inspect";
import { coded, invalidType, requireFunction } from "node:internal/errors";
import { deepEqual } from "node:internal/equality";
import types from "node:util/types";

/** `(value, options)`, or the older `(value, showHidden, depth, colors)`. */
export function inspect(value, options = undefined, depth = undefined) {
  return inspectValue(value, typeof options === "object" && options !== null ? options : { depth });
}
inspect.custom = customInspect;
inspect.defaultOptions = { depth: 2 };
inspect.colors = {};
inspect.styles = {};

export const format = (...args) => formatLog(args);
export const formatWithOptions = (_, ...args) => formatLog(args);

const customPromisify = Symbol.for("nodejs.util.promisify.custom");

/** A function that takes a callback, as one that returns a promise. */
export function promisify(original) {
  requireFunction(original, "original");
  const custom = original[customPromisify];
  if (custom !== undefined) {
    requireFunction(custom, "util.promisify.custom");
    return Object.defineProperty(custom, customPromisify, { value: custom, configurable: true });
  }
  function promisified(...args) {
    return new Promise((resolve, reject) => {
      const done = (error, value) => {
        if (error) reject(error);
        else resolve(value);
      };
      Reflect.apply(original, this, [...args, done]);
    });
  }
  Object.setPrototypeOf(promisified, Object.getPrototypeOf(original));
  Object.defineProperty(promisified, customPromisify, { value: promisified, configurable: true });
  return Object.defineProperties(promisified, Object.getOwnPropertyDescriptors(original));
}
promisify.custom = customPromisify;

/** A function that returns a promise, as one that takes a callback. */
export function callbackify(original) {
  requireFunction(original, "original");
  return function (...args) {
    const callback = args.pop();
    requireFunction(callback, "last argument");
    const reason = (error) => error || Object.assign(new Error("Promise was rejected with a falsy value"), { reason: error, code: "ERR_FALSY_VALUE_REJECTION" });
    Reflect.apply(original, this, args).then(
      (value) => queueMicrotask(() => callback(null, value)),
      (error) => queueMicrotask(() => callback(reason(error))),
    );
  };
}

/** Makes the prototype of one constructor that of another. */
export function inherits(constructor, base) {
  requireFunction(constructor, "ctor");
  requireFunction(base, "superCtor");
  if (base.prototype === undefined) throw invalidType("superCtor.prototype", "of type object", base.prototype);
  Object.defineProperty(constructor, "super_", { value: base, writable: true, configurable: true });
  Object.setPrototypeOf(constructor.prototype, base.prototype);
}

/** The function, which says once that it should not be used. */
export function deprecate(original, message, code = undefined) {
  let told = false;
  function deprecated(...args) {
    if (!told) console.warn(`${code === undefined ? "" : `[${code}] `}DeprecationWarning: ${message}`);
    told = true;
    return new.target === undefined ? Reflect.apply(original, this, args) : Reflect.construct(original, args, new.target);
  }
  Object.setPrototypeOf(deprecated, original);
  if (original.prototype) deprecated.prototype = original.prototype;
  return deprecated;
}

/** Prints when `NODE_DEBUG` has the section. */
export function debuglog(section, callback = undefined) {
  const sections = String(process.env.NODE_DEBUG ?? "").toUpperCase().split(",");
  const enabled = sections.includes(section.toUpperCase());
  const log = (...args) => { if (enabled) console.error(`${section.toUpperCase()} ${process.pid}: ${format(...args)}`); };
  log.enabled = enabled;
  callback?.(log);
  return log;
}

export const isDeepStrictEqual = (left, right) => deepEqual(left, right, true);
export const stripVTControlCharacters = (text) => String(text).replace(/\u001b\[[0-9;?]*[A-Za-z]|\u001b\][^\u0007]*\u0007/g, "");
export const toUSVString = (text) => String(text).toWellFormed();
// Output is never a terminal.
export const styleText = (_, text) => String(text);

export function aborted(signal) {
  if (!(signal instanceof AbortSignal)) throw invalidType("signal", "an instance of AbortSignal", signal);
  return signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

export function getSystemErrorName(number) {
  throw coded(RangeError, "ERR_OUT_OF_RANGE", `There are no system errors in functions (${number})`);
}

export const isArray = Array.isArray;
const isType = (type) => (value) => typeof value === type;
const legacy = {
  isBoolean: isType("boolean"), isNumber: isType("number"), isString: isType("string"), isSymbol: isType("symbol"),
  isUndefined: isType("undefined"), isFunction: isType("function"), isNull: (value) => value === null,
  isNullOrUndefined: (value) => value === null || value === undefined, isObject: (value) => typeof value === "object" && value !== null,
  isPrimitive: (value) => value === null || (typeof value !== "object" && typeof value !== "function"),
  isError: (value) => value instanceof Error, isDate: types.isDate, isRegExp: types.isRegExp,
  isBuffer: (value) => globalThis.Buffer?.isBuffer(value) ?? false,
};
export const {
  isBoolean, isNumber, isString, isSymbol, isUndefined, isFunction, isNull, isNullOrUndefined, isObject, isPrimitive, isError, isDate,
  isRegExp, isBuffer,
} = legacy;
export const _extend = (target, source) => Object.assign(target, source ?? {});
export const { TextDecoder, TextEncoder } = globalThis;
export { debuglog as debug, types };

export default {
  ...legacy, TextDecoder, TextEncoder, _extend, aborted, callbackify, debug: debuglog, debuglog, deprecate, format, formatWithOptions,
  getSystemErrorName, inherits, inspect, isArray, isDeepStrictEqual, promisify, stripVTControlCharacters, styleText, toUSVString, types,
};
