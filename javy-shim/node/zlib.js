// gzip, zlib and deflate. Brotli and Zstandard are not there.

import { Codec } from "caddis:compression";
import { Buffer } from "node:buffer";
import { coded, notAvailable } from "node:internal/errors";
import { bytesOf, later } from "node:internal/crypto/input";
import { Transform } from "node:stream";

export const constants = {
  Z_NO_FLUSH: 0, Z_PARTIAL_FLUSH: 1, Z_SYNC_FLUSH: 2, Z_FULL_FLUSH: 3, Z_FINISH: 4, Z_BLOCK: 5, Z_OK: 0, Z_STREAM_END: 1, Z_NEED_DICT: 2,
  Z_ERRNO: -1, Z_STREAM_ERROR: -2, Z_DATA_ERROR: -3, Z_MEM_ERROR: -4, Z_BUF_ERROR: -5, Z_VERSION_ERROR: -6, Z_NO_COMPRESSION: 0,
  Z_BEST_SPEED: 1, Z_BEST_COMPRESSION: 9, Z_DEFAULT_COMPRESSION: -1, Z_DEFAULT_STRATEGY: 0, Z_MIN_WINDOWBITS: 8, Z_MAX_WINDOWBITS: 15,
  Z_DEFAULT_WINDOWBITS: 15, Z_MIN_LEVEL: -1, Z_MAX_LEVEL: 9, Z_DEFAULT_LEVEL: -1,
};

function effortOf({ level = -1, dictionary } = {}) {
  if (dictionary !== undefined) throw notAvailable("zlib with a dictionary");
  if (!Number.isInteger(level) || level < -1 || level > 9) {
    throw coded(RangeError, "ERR_OUT_OF_RANGE", `The value of "options.level" is out of range. It must be >= -1 and <= 9. Received ${level}`);
  }
  return level === -1 ? 6 : level;
}

function failure(error) {
  if (error.code !== undefined || !(error instanceof TypeError)) return error;
  const [code, errno] = /too early/.test(error.message) ? ["Z_BUF_ERROR", -5] : ["Z_DATA_ERROR", -3];
  return Object.assign(coded(Error, code, error.message), { errno });
}

/** Compresses or decompresses pieces; `take` gets what comes out. A gzip file may have several members. */
class Converter {
  #open;
  #codec;
  #members;

  constructor(open, members) {
    [this.#open, this.#codec, this.#members] = [open, open(), members];
  }
  write(bytes, last, take) {
    let rest = bytes;
    try {
      for (;;) {
        if (this.#codec.ended && rest.length === 0) return;
        const isNext = this.#codec.ended && this.#members && rest[0] === 0x1f;
        // As Node.js does, what follows is taken for padding.
        if (this.#codec.ended && !isNext) return;
        if (isNext) this.#codec = this.#open();
        const unused = this.#codec.write(rest, last, take);
        rest = rest.subarray(rest.length - unused);
        if (!this.#codec.ended) return;
      }
    } catch (error) {
      this.#codec.close();
      throw failure(error);
    }
  }
  close() { this.#codec.close(); }
}

const compressor = (format) => (options = undefined) => {
  const effort = effortOf(options ?? undefined);
  return new Converter(() => new Codec(format, effort), false);
};
const decompressor = (format) => (options = undefined) => {
  effortOf({ ...options, level: -1 });
  return new Converter(() => new Codec(format, undefined), format === "gzip");
};

/** Looks at the beginning to tell gzip from zlib. */
const detector = (options = undefined) => {
  let converter;
  return {
    write(bytes, last, take) {
      converter ??= decompressor(bytes[0] === 0x1f ? "gzip" : "deflate")(options);
      converter.write(bytes, last, take);
    },
    close() { converter?.close(); },
  };
};

const make = {
  gzip: compressor("gzip"), deflate: compressor("deflate"), deflateRaw: compressor("deflate-raw"),
  gunzip: decompressor("gzip"), inflate: decompressor("deflate"), inflateRaw: decompressor("deflate-raw"), unzip: detector,
};

const synchronous = (open) => (data, options = undefined) => {
  const converter = open(options);
  const parts = [];
  let size = 0;
  const most = options?.maxOutputLength ?? Infinity;
  converter.write(bytesOf(data, "buffer"), true, (part) => {
    size += part.length;
    if (size > most) throw coded(RangeError, "ERR_BUFFER_TOO_LARGE", `Cannot create a Buffer larger than ${most} bytes`);
    parts.push(part);
  });
  return Buffer.concat(parts, size);
};

const asynchronous = (convert) => (data, ...rest) => {
  const callback = rest.pop();
  later(() => convert(data, ...rest), callback);
};

class Zlib extends Transform {
  #converter;

  constructor(open, options) {
    super(options);
    this.#converter = open(options);
    this.bytesWritten = 0;
  }
  _transform(chunk, _, done) {
    this.bytesWritten += chunk.length;
    this.#run(chunk, false, done);
  }
  _flush(done) { this.#run(Buffer.alloc(0), true, done); }
  _destroy(error, done) {
    this.#converter.close();
    done(error);
  }
  #run(bytes, last, done) {
    try {
      this.#converter.write(bytes, last, (part) => this.push(Buffer.from(part.buffer)));
    } catch (error) {
      return done(error);
    }
    done();
  }
  // All that has come in has gone on, as far as it can.
  flush(kind, callback = kind) {
    if (typeof callback === "function") queueMicrotask(callback);
  }
  close(callback = undefined) {
    if (callback !== undefined) this.once("close", callback);
    this.destroy();
  }
}

export class Gzip extends Zlib { constructor(options = undefined) { super(make.gzip, options); } }
export class Gunzip extends Zlib { constructor(options = undefined) { super(make.gunzip, options); } }
export class Deflate extends Zlib { constructor(options = undefined) { super(make.deflate, options); } }
export class Inflate extends Zlib { constructor(options = undefined) { super(make.inflate, options); } }
export class DeflateRaw extends Zlib { constructor(options = undefined) { super(make.deflateRaw, options); } }
export class InflateRaw extends Zlib { constructor(options = undefined) { super(make.inflateRaw, options); } }
export class Unzip extends Zlib { constructor(options = undefined) { super(make.unzip, options); } }

export const createGzip = (options = undefined) => new Gzip(options);
export const createGunzip = (options = undefined) => new Gunzip(options);
export const createDeflate = (options = undefined) => new Deflate(options);
export const createInflate = (options = undefined) => new Inflate(options);
export const createDeflateRaw = (options = undefined) => new DeflateRaw(options);
export const createInflateRaw = (options = undefined) => new InflateRaw(options);
export const createUnzip = (options = undefined) => new Unzip(options);

export const gzipSync = synchronous(make.gzip);
export const gunzipSync = synchronous(make.gunzip);
export const deflateSync = synchronous(make.deflate);
export const inflateSync = synchronous(make.inflate);
export const deflateRawSync = synchronous(make.deflateRaw);
export const inflateRawSync = synchronous(make.inflateRaw);
export const unzipSync = synchronous(make.unzip);

export const gzip = asynchronous(gzipSync);
export const gunzip = asynchronous(gunzipSync);
export const deflate = asynchronous(deflateSync);
export const inflate = asynchronous(inflateSync);
export const deflateRaw = asynchronous(deflateRawSync);
export const inflateRaw = asynchronous(inflateRawSync);
export const unzip = asynchronous(unzipSync);

const missing = (name) => () => { throw notAvailable(`zlib.${name}`, "there are gzip, deflate and deflate-raw"); };
export const brotliCompress = missing("brotliCompress");
export const brotliCompressSync = missing("brotliCompressSync");
export const brotliDecompress = missing("brotliDecompress");
export const brotliDecompressSync = missing("brotliDecompressSync");
export const createBrotliCompress = missing("createBrotliCompress");
export const createBrotliDecompress = missing("createBrotliDecompress");

let table;
/** The checksum of gzip (RFC 1952, section 8). */
export function crc32(data, value = 0) {
  table ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    for (let bit = 0; bit < 8; bit += 1) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
    return byte;
  });
  let sum = ~value;
  for (const byte of bytesOf(data, "data")) sum = table[(sum ^ byte) & 0xff] ^ (sum >>> 8);
  return ~sum >>> 0;
}

export default {
  Deflate, DeflateRaw, Gunzip, Gzip, Inflate, InflateRaw, Unzip, brotliCompress, brotliCompressSync, brotliDecompress, brotliDecompressSync,
  constants, crc32, createBrotliCompress, createBrotliDecompress, createDeflate, createDeflateRaw, createGunzip, createGzip, createInflate,
  createInflateRaw, createUnzip, deflate, deflateRaw, deflateRawSync, deflateSync, gunzip, gunzipSync, gzip, gzipSync, inflate, inflateRaw,
  inflateRawSync, inflateSync, unzip, unzipSync, ...constants,
};
