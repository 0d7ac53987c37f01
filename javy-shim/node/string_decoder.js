// Text out of pieces of bytes that may end in the middle of a character.

import { Buffer } from "node:buffer";
import { encodingName } from "node:internal/encodings";
import { coded, invalidType } from "node:internal/errors";

/** How many bytes at the end of a piece begin something that may go on in the next. */
const HELD = {
  utf16le(bytes) {
    const odd = bytes.length % 2;
    const high = bytes[bytes.length - odd - 1];
    return high >= 0xd8 && high <= 0xdb && bytes.length - odd >= 2 ? odd + 2 : odd;
  },
  base64: (bytes) => bytes.length % 3,
  base64url: (bytes) => bytes.length % 3,
};

// A function, not a class: packages call it on objects of their own.
export function StringDecoder(encoding = "utf8") {
  this.encoding = encodingName(encoding ?? "utf8");
  if (this.encoding === undefined) throw coded(TypeError, "ERR_UNKNOWN_ENCODING", `Unknown encoding: ${String(encoding)}`);
  reset(this);
}

function reset(decoder) {
  decoder.held = Buffer.alloc(0);
  decoder.text = decoder.encoding === "utf8" ? new TextDecoder("utf-8", { ignoreBOM: true }) : undefined;
}

StringDecoder.prototype.write = function (chunk) {
  if (typeof chunk === "string") return chunk;
  if (!ArrayBuffer.isView(chunk)) throw invalidType("buf", "an instance of Buffer, TypedArray, or DataView", chunk);
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  if (this.text !== undefined) return this.text.decode(bytes, { stream: true });
  const whole = this.held.length === 0 ? bytes : Buffer.concat([this.held, bytes]);
  const end = whole.length - (HELD[this.encoding]?.(whole) ?? 0);
  this.held = Buffer.from(whole.subarray(end));
  return whole.toString(this.encoding, 0, end);
};

StringDecoder.prototype.end = function (chunk = undefined) {
  const text = chunk === undefined ? "" : this.write(chunk);
  const rest = this.text !== undefined ? this.text.decode() : this.held.toString(this.encoding);
  reset(this);
  return text + rest;
};

export default { StringDecoder };
