// CompressionStream and DecompressionStream (Compression standard).

import { defineGlobals, EMPTY, finishClass, native, viewOf } from "./native.js";
import { TransformStream } from "./streams.js";

const FORMATS = ["deflate", "deflate-raw", "gzip"];
/** How much input goes to the host at once. */
const PIECE = 16_384;
const EFFORT = 6;

/** Data on its way through the host, which is asked when the first of it comes. */
export class Codec {
  #format;
  #effort;
  #handle;
  ended = false;

  /** `effort`: 0 to 9 to compress, undefined to decompress. */
  constructor(format, effort) {
    [this.#format, this.#effort] = [format, effort];
  }

  /** Converts bytes and hands over what comes out. Returns how many at the end of `bytes` were not used. Throws TypeErrors. */
  write(bytes, last, take) {
    this.#handle ??= checked(native.openCodec(this.#format, this.#effort));
    for (let at = 0; at === 0 || at < bytes.length; at += PIECE) {
      let piece = bytes.subarray(at, at + PIECE);
      const isLast = last && at + PIECE >= bytes.length;
      for (let more = true; more; piece = EMPTY) {
        const [output, hasMore, unused] = checked(native.convert(this.#handle, piece, isLast));
        if (output.length > 0) take(output);
        if (unused !== undefined) {
          this.close();
          return unused + Math.max(bytes.length - at - PIECE, 0);
        }
        more = hasMore;
      }
    }
    return 0;
  }

  /** Gives up what the host keeps. */
  close() {
    this.ended = true;
    this.#handle = undefined;
  }
}

function checked(result) {
  if (typeof result === "string") throw new TypeError(result);
  return result;
}

function formatOf(format) {
  const name = String(format);
  if (!FORMATS.includes(name)) throw new TypeError(`"${name}" is not a compression format: use gzip, deflate or deflate-raw`);
  return name;
}

function bytesOf(chunk) {
  const bytes = viewOf(chunk);
  if (bytes === undefined || !(bytes.buffer instanceof ArrayBuffer)) throw new TypeError("A chunk is not an ArrayBuffer or a view of one");
  return bytes;
}

function stream(codec, transform, flush) {
  const guarded = (action) => (...args) => {
    try {
      action(...args);
    } catch (error) {
      codec.close();
      throw error;
    }
  };
  return new TransformStream({ transform: guarded(transform), flush: guarded(flush), cancel: () => codec.close() });
}

export class CompressionStream {
  #stream;

  constructor(format) {
    const codec = new Codec(formatOf(format), EFFORT);
    this.#stream = stream(
      codec,
      (chunk, controller) => codec.write(bytesOf(chunk), false, (output) => controller.enqueue(output)),
      (controller) => codec.write(EMPTY, true, (output) => controller.enqueue(output)),
    );
  }
  get readable() { return this.#stream.readable; }
  get writable() { return this.#stream.writable; }
}
finishClass(CompressionStream, "readable", "writable");

const LEFT_OVER = "There is more data after the end of the compressed data";

export class DecompressionStream {
  #stream;

  constructor(format) {
    const codec = new Codec(formatOf(format), undefined);
    this.#stream = stream(
      codec,
      (chunk, controller) => {
        const bytes = bytesOf(chunk);
        if (bytes.length === 0) return;
        if (codec.ended || codec.write(bytes, false, (output) => controller.enqueue(output)) > 0) throw new TypeError(LEFT_OVER);
      },
      (controller) => {
        if (!codec.ended) codec.write(EMPTY, true, (output) => controller.enqueue(output));
      },
    );
  }
  get readable() { return this.#stream.readable; }
  get writable() { return this.#stream.writable; }
}
finishClass(DecompressionStream, "readable", "writable");

defineGlobals({ CompressionStream, DecompressionStream });
