// structuredClone (HTML standard, section 2.7).

import { defineGlobals } from "./native.js";
import { Blob, File } from "./blob.js";
import { emptyPort, isGone, isPort, movePort } from "./channels.js";

const fail = (text) => {
  throw new DOMException(`${text} could not be cloned`, "DataCloneError");
};
const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
const tagOf = (value) => Object.prototype.toString.call(value).slice(8, -1);

function structuredClone(value, options = undefined) {
  if (arguments.length === 0) throw new TypeError("structuredClone: 1 argument required, but only 0 present");
  const memory = new Map();
  const transfer = [...(options?.transfer ?? [])];
  for (const item of transfer) {
    if (!(item instanceof ArrayBuffer) && !isPort(item)) fail(`${tagOf(item)} cannot be transferred and`);
    if (item.detached || isGone(item) || transfer.indexOf(item) !== transfer.lastIndexOf(item)) fail("What is transferred already, or listed twice,");
  }
  // What is transferred leaves its owner only when everything else was cloned.
  for (const port of transfer.filter(isPort)) memory.set(port, emptyPort());
  const moved = transfer.filter((item) => !isPort(item)).map((buffer) => [buffer, new ArrayBuffer(buffer.byteLength)]);
  for (const [from, to] of moved) memory.set(from, to);
  const result = clone(value, memory);
  for (const [from, to] of moved) new Uint8Array(to).set(new Uint8Array(from.transfer()));
  for (const port of transfer.filter(isPort)) movePort(port, memory.get(port));
  return result;
}

function clone(value, memory) {
  if (typeof value === "symbol" || typeof value === "function") fail(typeof value === "symbol" ? value.toString() : `The function ${value.name}`);
  if (typeof value !== "object" || value === null) return value;
  const known = memory.get(value);
  if (known !== undefined) return known;
  const [copy, fill] = shell(value, memory);
  memory.set(value, copy);
  fill?.();
  return copy;
}

/** The new object, and what puts the content in: that may refer back to the object. */
function shell(value, memory) {
  if (Array.isArray(value)) {
    const copy = new Array(value.length);
    return [copy, () => fillProperties(value, copy, memory)];
  }
  if (value instanceof Boolean || value instanceof Number || value instanceof String || value instanceof BigInt) return [Object(value.valueOf())];
  if (value instanceof Date) return [new Date(value.getTime())];
  if (value instanceof RegExp) return [new RegExp(value.source, value.flags)];
  if (value instanceof ArrayBuffer) {
    if (value.detached) fail("A detached ArrayBuffer");
    return [value.resizable ? resizableCopy(value) : value.slice()];
  }
  if (ArrayBuffer.isView(value)) return [viewCopy(value, memory)];
  if (value instanceof Map) {
    const copy = new Map();
    return [copy, () => [...value].forEach(([key, item]) => copy.set(clone(key, memory), clone(item, memory)))];
  }
  if (value instanceof Set) {
    const copy = new Set();
    return [copy, () => [...value].forEach((item) => copy.add(clone(item, memory)))];
  }
  if (value instanceof Error) return errorShell(value, memory);
  if (value instanceof DOMException) return [new DOMException(value.message, value.name)];
  if (value instanceof File) return [new File([value], value.name, { type: value.type, lastModified: value.lastModified })];
  if (value instanceof Blob) return [value.slice(0, value.size, value.type)];
  if (isPlatformObject(value)) fail(`A ${tagOf(value)}`);
  const copy = {};
  return [copy, () => fillProperties(value, copy, memory)];
}

/** Objects with state that properties do not show. */
function isPlatformObject(value) {
  return value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef ||
    value instanceof EventTarget || value instanceof Event || value instanceof Request || value instanceof Response ||
    value instanceof Headers || value instanceof FormData || value instanceof URL || value instanceof URLSearchParams ||
    value instanceof ReadableStream || value instanceof WritableStream || value instanceof TransformStream ||
    /Iterator$|^Generator$|^Symbol$|^Module$/.test(tagOf(value));
}

function resizableCopy(buffer) {
  const copy = new ArrayBuffer(buffer.byteLength, { maxByteLength: buffer.maxByteLength });
  new Uint8Array(copy).set(new Uint8Array(buffer));
  return copy;
}

function viewCopy(view, memory) {
  const buffer = clone(view.buffer, memory);
  const Constructor = view instanceof DataView ? DataView : globalThis[tagOf(view)];
  return new Constructor(buffer, view.byteOffset, view instanceof DataView ? view.byteLength : view.length);
}

function errorShell(error, memory) {
  const Constructor = Object.hasOwn(ERRORS, error.name) ? ERRORS[error.name] : Error;
  const made = new Constructor();
  const define = (name, value) => Object.defineProperty(made, name, { value, writable: true, configurable: true });
  if (Object.hasOwn(error, "message")) define("message", String(error.message));
  if (typeof error.stack === "string") define("stack", error.stack);
  return [made, () => { if (Object.hasOwn(error, "cause")) define("cause", clone(error.cause, memory)); }];
}

function fillProperties(from, to, memory) {
  for (const key of Object.keys(from)) {
    if (Object.hasOwn(from, key)) Object.defineProperty(to, key, { value: clone(from[key], memory), writable: true, enumerable: true, configurable: true });
  }
}

defineGlobals({ structuredClone });
