// Whether two values are the same, down to their last member: `util.isDeepStrictEqual`, `assert.deepEqual`.

import { isBoxedPrimitive, isNativeError } from "node:util/types";

const tag = (value) => Object.prototype.toString.call(value);
const enumerable = (value) => Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));

/** `strict`: as `===` with prototypes; otherwise as `==` without them. */
export function deepEqual(left, right, strict) {
  return equal(left, right, strict, []);
}

function equal(left, right, strict, pairs) {
  if (strict ? Object.is(left, right) : left === right || (Number.isNaN(left) && Number.isNaN(right))) return true;
  const areObjects = typeof left === "object" && typeof right === "object" && left !== null && right !== null;
  if (!areObjects) return !strict && typeof left !== "object" && typeof right !== "object" ? left == right : false;
  if (tag(left) !== tag(right)) return false;
  if (strict && Object.getPrototypeOf(left) !== Object.getPrototypeOf(right)) return false;
  if (pairs.some(([one, other]) => one === left && other === right)) return true;
  return sameContents(left, right, strict, [...pairs, [left, right]]);
}

function sameContents(left, right, strict, pairs) {
  if (left instanceof Date && !Object.is(left.getTime(), right.getTime())) return false;
  if (left instanceof RegExp && (String(left) !== String(right) || left.lastIndex !== right.lastIndex)) return false;
  if (isNativeError(left) && (left.message !== right.message || left.name !== right.name)) return false;
  if (isBoxedPrimitive(left) && !Object.is(left.valueOf(), right.valueOf())) return false;
  if (ArrayBuffer.isView(left) || left instanceof ArrayBuffer) {
    if (!sameBytes(left, right, strict)) return false;
    if (!(left instanceof DataView)) return true;
  }
  if (Array.isArray(left) !== Array.isArray(right) || (Array.isArray(left) && left.length !== right.length)) return false;
  if (left instanceof Set && !sameSets(left, right, strict, pairs)) return false;
  if (left instanceof Map && !sameMaps(left, right, strict, pairs)) return false;
  const keys = strict ? enumerable(left) : Object.keys(left);
  const others = strict ? enumerable(right) : Object.keys(right);
  return keys.length === others.length &&
    keys.every((key) => Object.hasOwn(right, key) && equal(left[key], right[key], strict, pairs));
}

function sameBytes(left, right, strict) {
  if (left.byteLength !== right.byteLength) return false;
  if (!strict && left.length !== undefined) return left.every((item, index) => item === right[index]);
  const [one, other] = [left, right].map((view) => new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength));
  return one.every((byte, index) => byte === other[index]);
}

function sameSets(left, right, strict, pairs) {
  if (left.size !== right.size) return false;
  const rest = [...right];
  return [...left].every((item) => {
    const at = rest.findIndex((other) => equal(item, other, strict, pairs));
    if (at >= 0) rest.splice(at, 1);
    return at >= 0;
  });
}

function sameMaps(left, right, strict, pairs) {
  if (left.size !== right.size) return false;
  const rest = [...right];
  return [...left].every(([key, value]) => {
    const matches = ([otherKey, other]) => equal(key, otherKey, strict, pairs) && equal(value, other, strict, pairs);
    const at = rest.findIndex(matches);
    if (at >= 0) rest.splice(at, 1);
    return at >= 0;
  });
}
