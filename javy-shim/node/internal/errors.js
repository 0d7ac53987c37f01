// Errors with a `code`, as Node.js throws them and packages look for.

/** An error of a class, with a code: its name and stack are those of the class, `toString` has the code. */
export function coded(Base, code, message) {
  const error = new Base(message);
  Error.captureStackTrace?.(error, coded);
  Object.defineProperty(error, "code", { value: code, writable: true, enumerable: true, configurable: true });
  return error;
}

/** What a message calls a value that is not what it should be. */
function received(value) {
  if (value === null || value === undefined) return ` Received ${value}`;
  if (typeof value === "function") return ` Received function ${value.name}`;
  if (typeof value === "object") return ` Received an instance of ${value.constructor?.name ?? "Object"}`;
  return ` Received type ${typeof value} (${typeof value === "string" ? `'${value.slice(0, 25)}'` : String(value)})`;
}

export const invalidType = (name, expected, value) =>
  coded(TypeError, "ERR_INVALID_ARG_TYPE", `The "${name}" argument must be ${expected}.${received(value)}`);

export const outOfRange = (name, range, value) =>
  coded(RangeError, "ERR_OUT_OF_RANGE", `The value of "${name}" is out of range. It must be ${range}. Received ${String(value)}`);

export const notAvailable = (what, hint) =>
  coded(Error, "ERR_METHOD_NOT_IMPLEMENTED", `${what} is not available in functions${hint === undefined ? "" : `: ${hint}`}`);

export function requireFunction(value, name) {
  if (typeof value !== "function") throw invalidType(name, "of type function", value);
}

export function requireString(value, name) {
  if (typeof value !== "string") throw invalidType(name, "of type string", value);
}

/** A whole number within limits. */
export function requireInteger(value, name, min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER) {
  if (typeof value !== "number") throw invalidType(name, "of type number", value);
  if (!Number.isInteger(value)) throw outOfRange(name, "an integer", value);
  if (value < min || value > max) throw outOfRange(name, `>= ${min} && <= ${max}`, value);
}
