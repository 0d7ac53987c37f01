// Buffer: bytes as Node.js has them.

import { decode, encode, encodedLength, encodingName } from "node:internal/encodings";
import { coded, invalidType, outOfRange, requireInteger, requireString } from "node:internal/errors";

export const kMaxLength = 2 ** 31 - 1;
export const kStringMaxLength = 2 ** 29 - 24;
export const constants = { MAX_LENGTH: kMaxLength, MAX_STRING_LENGTH: kStringMaxLength };
export const INSPECT_MAX_BYTES = 50;

class FastBuffer extends Uint8Array {}

/** The deprecated constructor: `Buffer(size)` or what `Buffer.from` takes. */
export function Buffer(value, encodingOrOffset, length) {
  return typeof value === "number" ? Buffer.alloc(value) : Buffer.from(value, encodingOrOffset, length);
}
Object.setPrototypeOf(Buffer, Uint8Array);
Buffer.prototype = FastBuffer.prototype;
Object.defineProperty(Buffer.prototype, "constructor", { value: Buffer, writable: true, configurable: true });
Object.defineProperty(Buffer, Symbol.species, { get: () => FastBuffer, configurable: true });

const view = (bytes) => new FastBuffer(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function knownEncoding(encoding) {
  if (encoding === undefined || encoding === null || encoding === "") return "utf8";
  const name = encodingName(encoding);
  if (name === undefined) throw coded(TypeError, "ERR_UNKNOWN_ENCODING", `Unknown encoding: ${String(encoding)}`);
  return name;
}

const isBytes = (value) => value instanceof Uint8Array;

function requireBytes(value, name) {
  if (!isBytes(value)) throw invalidType(name, "an instance of Buffer or Uint8Array", value);
}

const isArrayBuffer = (value) => value instanceof ArrayBuffer || Object.prototype.toString.call(value) === "[object SharedArrayBuffer]";

function fromObject(value) {
  if (value.type === "Buffer" && Array.isArray(value.data)) return FastBuffer.from(value.data);
  if (typeof value.length === "number") return FastBuffer.from(value);
  return value.buffer !== undefined && isArrayBuffer(value.buffer) ? new FastBuffer(0) : undefined;
}

const STATIC = {
  from(value, encodingOrOffset = undefined, length = undefined) {
    if (typeof value === "string") return view(encode(value, knownEncoding(encodingOrOffset)));
    if (typeof value === "object" && value !== null) {
      if (isArrayBuffer(value)) return fromArrayBuffer(value, encodingOrOffset, length);
      if (ArrayBuffer.isView(value) && value.length !== undefined) return FastBuffer.from(value);
      const primitive = value.valueOf?.();
      if (primitive !== null && primitive !== undefined && primitive !== value) return Buffer.from(primitive, encodingOrOffset, length);
      const converted = fromObject(value);
      if (converted !== undefined) return converted;
      const text = value[Symbol.toPrimitive]?.("string");
      if (typeof text === "string") return Buffer.from(text, encodingOrOffset);
    }
    throw coded(TypeError, "ERR_INVALID_ARG_TYPE",
      `The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object. Received ${value === null || value === undefined ? value : `type ${typeof value}`}`);
  },
  of: (...bytes) => FastBuffer.from(bytes),
  alloc(size, fill = undefined, encoding = undefined) {
    requireInteger(size, "size", 0, kMaxLength);
    const buffer = new FastBuffer(size);
    return fill === undefined || fill === 0 || size === 0 ? buffer : buffer.fill(fill, encoding);
  },
  allocUnsafe: (size) => Buffer.alloc(size),
  allocUnsafeSlow: (size) => Buffer.alloc(size),
  copyBytesFrom(source, offset = 0, length = source.length - offset) {
    if (!ArrayBuffer.isView(source)) throw invalidType("view", "an instance of TypedArray", source);
    const part = source.slice(offset, offset + length);
    return new FastBuffer(part.buffer, part.byteOffset, part.byteLength);
  },
  byteLength(value, encoding = undefined) {
    if (ArrayBuffer.isView(value) || isArrayBuffer(value)) return value.byteLength;
    if (typeof value !== "string") throw invalidType("string", "of type string or an instance of Buffer or ArrayBuffer", value);
    return encodedLength(value, encodingName(encoding) ?? "utf8");
  },
  compare(left, right) {
    requireBytes(left, "buf1");
    requireBytes(right, "buf2");
    const common = Math.min(left.length, right.length);
    for (let index = 0; index < common; index += 1) {
      if (left[index] !== right[index]) return left[index] < right[index] ? -1 : 1;
    }
    return Math.sign(left.length - right.length);
  },
  concat(list, total = undefined) {
    if (!Array.isArray(list)) throw invalidType("list", "an instance of Array", list);
    list.forEach((part, index) => requireBytes(part, `list[${index}]`));
    const whole = Buffer.alloc(total ?? list.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of list) {
      const rest = whole.length - at;
      if (rest <= 0) break;
      whole.set(part.length > rest ? part.subarray(0, rest) : part, at);
      at += part.length;
    }
    return whole;
  },
  isBuffer: (value) => value instanceof FastBuffer,
  isEncoding: (name) => typeof name === "string" && encodingName(name) !== undefined,
};

function fromArrayBuffer(buffer, offset = 0, length = undefined) {
  const start = Math.trunc(Number(offset)) || 0;
  if (start < 0 || start > buffer.byteLength) throw coded(RangeError, "ERR_BUFFER_OUT_OF_BOUNDS", '"offset" is outside of buffer bounds');
  const rest = buffer.byteLength - start;
  const size = length === undefined ? rest : Math.max(Math.trunc(Number(length)) || 0, 0);
  if (size > rest) throw coded(RangeError, "ERR_BUFFER_OUT_OF_BOUNDS", '"length" is outside of buffer bounds');
  return new FastBuffer(buffer, start, size);
}

const clamp = (value, length, otherwise) => Math.min(Math.max(Math.trunc(Number(value ?? otherwise)) || 0, 0), length);

/** How much of UTF-8 fits without cutting a character in two. */
function wholeCharacters(bytes, room) {
  if (bytes.length <= room) return bytes.length;
  let end = room;
  while (end > 0 && (bytes[end] & 0xc0) === 0x80) end -= 1;
  return end;
}

/** The first or last place of a value, from `offset`; -1 when there is none. */
function search(buffer, value, offset, encoding, forward) {
  if (typeof offset === "string") [encoding, offset] = [offset, undefined];
  let from = offset === undefined || Number.isNaN(Number(offset)) ? (forward ? 0 : buffer.length) : Math.trunc(Number(offset));
  if (from < 0) from += buffer.length;
  if (typeof value === "number") {
    return forward ? Uint8Array.prototype.indexOf.call(buffer, value & 0xff, Math.max(from, 0))
      : from < 0 ? -1 : Uint8Array.prototype.lastIndexOf.call(buffer, value & 0xff, Math.min(from, buffer.length - 1));
  }
  const wanted = typeof value === "string" ? encode(value, knownEncoding(encoding)) : value;
  if (!isBytes(wanted)) throw invalidType("value", "one of type number or string or an instance of Buffer or Uint8Array", value);
  const last = buffer.length - wanted.length;
  if (forward) from = Math.max(from, 0);
  else from = Math.min(from, last);
  if (wanted.length === 0) return forward ? Math.min(from, buffer.length) : from;
  for (let at = from; forward ? at <= last : at >= 0; at += forward ? 1 : -1) {
    let length = 0;
    while (length < wanted.length && buffer[at + length] === wanted[length]) length += 1;
    if (length === wanted.length) return at;
  }
  return -1;
}

function swap(buffer, size) {
  if (buffer.length % size !== 0) throw coded(RangeError, "ERR_INVALID_BUFFER_SIZE", `Buffer size must be a multiple of ${size * 8}-bits`);
  for (let at = 0; at < buffer.length; at += size) Uint8Array.prototype.reverse.call(buffer.subarray(at, at + size));
  return buffer;
}

const METHODS = {
  toString(encoding = undefined, start = 0, end = this.length) {
    const [from, to] = [clamp(start, this.length, 0), clamp(end, this.length, this.length)];
    if (to <= from) return "";
    return decode(from === 0 && to === this.length ? this : Uint8Array.prototype.subarray.call(this, from, to), knownEncoding(encoding));
  },
  toLocaleString(...args) { return this.toString(...args); },
  toJSON() { return { type: "Buffer", data: Array.from(this) }; },
  equals(other) {
    requireBytes(other, "otherBuffer");
    return this.length === other.length && Buffer.compare(this, other) === 0;
  },
  compare(target, targetStart = 0, targetEnd = target.length, start = 0, end = this.length) {
    requireBytes(target, "target");
    return Buffer.compare(this.subarray(start, end), target.subarray(targetStart, targetEnd));
  },
  subarray(start, end) { return view(Uint8Array.prototype.subarray.call(this, start, end)); },
  slice(start, end) { return this.subarray(start, end); },
  copy(target, targetStart = 0, start = 0, end = this.length) {
    requireBytes(target, "target");
    if (start < 0 || start > this.length) throw outOfRange("sourceStart", `>= 0 && <= ${this.length}`, start);
    const to = Math.min(clamp(end, this.length, this.length), start + Math.max(target.length - targetStart, 0));
    if (to <= start) return 0;
    target.set(Uint8Array.prototype.subarray.call(this, start, to), targetStart);
    return to - start;
  },
  write(text, offset = undefined, length = undefined, encoding = undefined) {
    requireString(text, "string");
    if (typeof offset === "string") [encoding, offset, length] = [offset, 0, undefined];
    else if (typeof length === "string") [encoding, length] = [length, undefined];
    const at = offset ?? 0;
    if (at < 0 || at > this.length) throw outOfRange("offset", `>= 0 && <= ${this.length}`, at);
    const name = knownEncoding(encoding);
    const bytes = encode(text, name);
    const room = Math.min(length ?? this.length, this.length - at);
    const size = name === "utf8" ? wholeCharacters(bytes, room) : Math.min(bytes.length, name === "utf16le" ? room & ~1 : room);
    this.set(bytes.subarray(0, size), at);
    return size;
  },
  fill(value, start = undefined, end = undefined, encoding = undefined) {
    if (typeof start === "string") [encoding, start, end] = [start, undefined, undefined];
    else if (typeof end === "string") [encoding, end] = [end, undefined];
    const [from, to] = [start ?? 0, end ?? this.length];
    if (from < 0 || from > this.length) throw outOfRange("offset", `>= 0 && <= ${this.length}`, from);
    if (to < 0 || to > this.length) throw outOfRange("end", `>= 0 && <= ${this.length}`, to);
    const pattern = typeof value === "string" ? encode(value, knownEncoding(encoding)) : isBytes(value) ? value : undefined;
    if (pattern === undefined) return Uint8Array.prototype.fill.call(this, Number(value) & 0xff, from, to);
    if (pattern.length === 0) {
      if (typeof value === "string" && value === "") return Uint8Array.prototype.fill.call(this, 0, from, to);
      throw coded(TypeError, "ERR_INVALID_ARG_VALUE", `The argument 'value' is invalid. Received ${String(value)}`);
    }
    for (let at = from; at < to; at += 1) this[at] = pattern[(at - from) % pattern.length];
    return this;
  },
  indexOf(value, offset, encoding) { return search(this, value, offset, encoding, true); },
  lastIndexOf(value, offset, encoding) { return search(this, value, offset, encoding, false); },
  includes(value, offset, encoding) { return this.indexOf(value, offset, encoding) !== -1; },
  swap16() { return swap(this, 2); },
  swap32() { return swap(this, 4); },
  swap64() { return swap(this, 8); },
  [Symbol.for("nodejs.util.inspect.custom")]() {
    const shown = Uint8Array.prototype.subarray.call(this, 0, INSPECT_MAX_BYTES);
    const rest = this.length - shown.length;
    const bytes = Array.from(shown, (byte) => ` ${byte.toString(16).padStart(2, "0")}`).join("");
    return `<Buffer${bytes}${rest > 0 ? ` ... ${rest} more byte${rest === 1 ? "" : "s"}` : ""}>`;
  },
};

/** A view for the numbers from `offset` on, when there is room for `size` bytes. */
function numbers(buffer, offset, size) {
  if (typeof offset !== "number") throw invalidType("offset", "of type number", offset);
  if (!Number.isInteger(offset)) throw outOfRange("offset", "an integer", offset);
  if (offset < 0 || offset + size > buffer.length) {
    if (buffer.length < size) throw coded(RangeError, "ERR_BUFFER_OUT_OF_BOUNDS", "Attempt to access memory outside buffer bounds");
    throw outOfRange("offset", `>= 0 and <= ${buffer.length - size}`, offset);
  }
  return new DataView(buffer.buffer, buffer.byteOffset + offset, size);
}

function requireWithin(value, min, max) {
  const number = typeof min === "bigint" ? value : Number(value);
  if (typeof min === "bigint" && typeof value !== "bigint") throw new TypeError("Cannot mix BigInt and other types, use explicit conversions");
  if (number < min || number > max) throw outOfRange("value", `>= ${min} and <= ${max}`, value);
  return number;
}

/** The methods for numbers of a fixed size: `[name, accessor of DataView, bytes, smallest, largest]`. */
const FIXED = [
  ["Int8", "Int8", 1, -128, 127], ["UInt8", "Uint8", 1, 0, 255],
  ["Int16", "Int16", 2, -32_768, 32_767], ["UInt16", "Uint16", 2, 0, 65_535],
  ["Int32", "Int32", 4, -(2 ** 31), 2 ** 31 - 1], ["UInt32", "Uint32", 4, 0, 2 ** 32 - 1],
  ["BigInt64", "BigInt64", 8, -(2n ** 63n), 2n ** 63n - 1n], ["BigUInt64", "BigUint64", 8, 0n, 2n ** 64n - 1n],
  ["Float", "Float32", 4], ["Double", "Float64", 8],
];
for (const [name, accessor, size, min, max] of FIXED) {
  for (const order of size === 1 ? [""] : ["LE", "BE"]) {
    const little = order === "LE";
    METHODS[`read${name}${order}`] = function (offset = 0) {
      return numbers(this, offset, size)[`get${accessor}`](0, little);
    };
    METHODS[`write${name}${order}`] = function (value, offset = 0) {
      const number = min === undefined ? Number(value) : requireWithin(value, min, max);
      numbers(this, offset, size)[`set${accessor}`](0, number, little);
      return offset + size;
    };
  }
}

/** Numbers of 1 to 6 bytes. */
function readNumber(buffer, offset, size, little, signed) {
  requireInteger(size, "byteLength", 1, 6);
  const bytes = numbers(buffer, offset, size);
  let value = 0;
  for (let index = 0; index < size; index += 1) value = value * 256 + bytes.getUint8(little ? size - 1 - index : index);
  return signed && value >= 2 ** (size * 8 - 1) ? value - 2 ** (size * 8) : value;
}

function writeNumber(buffer, value, offset, size, little, signed) {
  requireInteger(size, "byteLength", 1, 6);
  const range = 2 ** (size * 8);
  let rest = requireWithin(value, signed ? -range / 2 : 0, signed ? range / 2 - 1 : range - 1);
  if (rest < 0) rest += range;
  const bytes = numbers(buffer, offset, size);
  for (let index = 0; index < size; index += 1) {
    bytes.setUint8(little ? index : size - 1 - index, rest % 256);
    rest = Math.floor(rest / 256);
  }
  return offset + size;
}

for (const [name, signed] of [["Int", true], ["UInt", false]]) {
  for (const order of ["LE", "BE"]) {
    METHODS[`read${name}${order}`] = function (offset, size) { return readNumber(this, offset, size, order === "LE", signed); };
    METHODS[`write${name}${order}`] = function (value, offset, size) {
      return writeNumber(this, value, offset, size, order === "LE", signed);
    };
  }
}

// Not documented by Node.js, and used by parsers of packages all the same.
for (const encoding of ["ascii", "base64", "base64url", "hex", "latin1", "ucs2", "utf8"]) {
  METHODS[`${encoding}Slice`] = function (start, end) { return this.toString(encoding, start, end); };
  METHODS[`${encoding}Write`] = function (text, offset, length) { return this.write(text, offset, length, encoding); };
}

// `readUint8` is `readUInt8`.
for (const name of Object.keys(METHODS)) {
  if (name.includes("UInt")) METHODS[name.replace("UInt", "Uint")] = METHODS[name];
}

function define(target, members) {
  for (const name of Reflect.ownKeys(members)) {
    Object.defineProperty(target, name, { value: members[name], writable: true, configurable: true, enumerable: false });
  }
}
define(Buffer, { ...STATIC, poolSize: 8192 });
define(Buffer.prototype, METHODS);
for (const [name, property] of [["parent", "buffer"], ["offset", "byteOffset"]]) {
  Object.defineProperty(Buffer.prototype, name, { get() { return this[property]; }, configurable: true });
}

export const SlowBuffer = (size) => Buffer.alloc(size);
export const { Blob, File, atob, btoa } = globalThis;

export function isUtf8(input) {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(input);
    return true;
  } catch {
    return false;
  }
}
export const isAscii = (input) => new Uint8Array(input.buffer ?? input, input.byteOffset ?? 0, input.byteLength).every((byte) => byte < 0x80);
export const transcode = (source, from, to) => Buffer.from(Buffer.from(source).toString(from), to);

export default {
  Buffer, SlowBuffer, Blob, File, atob, btoa, constants, isAscii, isUtf8, kMaxLength, kStringMaxLength, transcode, INSPECT_MAX_BYTES,
};
