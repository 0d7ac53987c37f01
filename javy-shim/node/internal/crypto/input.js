// What the functions of node:crypto take and give.

import { Buffer } from "node:buffer";
import { coded, invalidType } from "node:internal/errors";
import { hashName } from "caddis:crypto-sync";

/** The bytes of a string or of any view. */
export function bytesOf(value, name, encoding = undefined) {
  if (typeof value === "string") return Buffer.from(value, encoding === "buffer" ? "utf8" : encoding);
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return Buffer.from(value);
  throw invalidType(name, "of type string or an instance of Buffer, TypedArray, or DataView", value);
}

/** A Buffer of a result, or its text in an encoding. */
export function given(bytes, encoding = undefined) {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return encoding === undefined || encoding === "buffer" || encoding === null ? buffer : buffer.toString(encoding);
}

export function requireHash(name) {
  const found = hashName(name);
  if (found === undefined) throw coded(TypeError, "ERR_CRYPTO_INVALID_DIGEST", `Invalid digest: ${name}`);
  return found;
}

/** Calls back with what an action returns or throws, later. */
export function later(action, callback) {
  if (typeof callback !== "function") throw invalidType("callback", "of type function", callback);
  queueMicrotask(() => {
    let result;
    try {
      result = action();
    } catch (error) {
      return callback(error);
    }
    callback(null, result);
  });
}
