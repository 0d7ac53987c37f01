// The functions of the engine's Rust side, and small helpers every module needs.

export const native = globalThis.__native;
delete globalThis.__native;

/** Defines globals as the platform does: writable, configurable, not enumerable. */
export function defineGlobals(values) {
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
  }
}

/** Names a class for `Object.prototype.toString` and makes its accessors and static methods enumerable, as Web IDL asks. */
export function finishClass(constructor, ...enumerable) {
  const prototype = constructor.prototype;
  Object.defineProperty(prototype, Symbol.toStringTag, { value: constructor.name, configurable: true });
  for (const name of enumerable) Object.defineProperty(prototype, name, { enumerable: true });
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(constructor))) {
    if (typeof value === "function") Object.defineProperty(constructor, name, { enumerable: true });
  }
  return constructor;
}

/** Insists on so many arguments, as Web IDL does. */
export function requireArguments(list, count, name) {
  if (list.length < count) throw new TypeError(`${name}: ${count} argument${count === 1 ? "" : "s"} required, but only ${list.length} present`);
}

/** Insists on what Web IDL takes for a dictionary. */
export function requireDictionary(value, name) {
  if (value !== undefined && value !== null && typeof value !== "object" && typeof value !== "function") {
    throw new TypeError(`${name}: the options are not an object`);
  }
}

/** The bytes of a buffer source, without a copy; undefined when the value is none. */
export function viewOf(value) {
  // Methods of a subclass may be others: `slice` of Node's Buffer makes no copy.
  if (value instanceof Uint8Array && Object.getPrototypeOf(value) === Uint8Array.prototype) return value;
  if (value instanceof ArrayBuffer || Object.prototype.toString.call(value) === "[object SharedArrayBuffer]") return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return undefined;
}

/** A string without lone surrogates (Web IDL's USVString). */
export function usv(value) {
  return `${value}`.toWellFormed();
}

export const encodeUtf8 = (text) => native.encodeUtf8(`${text}`.toWellFormed());
export const { decodeUtf8 } = native;

export const EMPTY = new Uint8Array(0);

/** One Uint8Array of several. */
export function concatenate(chunks) {
  if (chunks.length === 1) return chunks[0];
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  const whole = new Uint8Array(length);
  let position = 0;
  for (const chunk of chunks) {
    whole.set(chunk, position);
    position += chunk.length;
  }
  return whole;
}
