// TextEncoder, TextDecoder and their streams (Encoding standard). UTF-8, UTF-16 and windows-1252 are decoded here, the others by the host.

import { defineGlobals, EMPTY, finishClass, native, concatenate, viewOf } from "./native.js";
import { TransformStream } from "./streams.js";

export class TextEncoder {
  #brand;
  get encoding() { return (this.#brand, "utf-8"); }
  encode(text = "") { return (this.#brand, native.encodeUtf8(`${text}`.toWellFormed())); }
  encodeInto(text, destination) {
    if (!(destination instanceof Uint8Array)) throw new TypeError("encodeInto: the destination is not a Uint8Array");
    const source = `${text}`.toWellFormed();
    let read = 0;
    let written = 0;
    for (const character of source) {
      const code = character.codePointAt(0);
      const length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
      if (written + length > destination.length) break;
      read += character.length;
      written += length;
    }
    if (written > 0) destination.set(native.encodeUtf8(source.slice(0, read)));
    return { read, written };
  }
}
finishClass(TextEncoder, "encoding", "encode", "encodeInto");

const LABELS = new Map();
const encodings = {
  "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
  "utf-16le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
  "utf-16be": "unicodefffe utf-16be",
  "windows-1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252",
};
for (const [encoding, labels] of Object.entries(encodings)) {
  for (const label of labels.split(" ")) LABELS.set(label, encoding);
}
const MARKS = { "utf-8": [0xef, 0xbb, 0xbf], "utf-16le": [0xff, 0xfe], "utf-16be": [0xfe, 0xff], "windows-1252": [] };

export class TextDecoder {
  #encoding;
  #fatal;
  #ignoreMark;
  #kept = EMPTY;
  #markDone = false;
  #streaming = false;
  #legacy = null;

  constructor(label = "utf-8", options = undefined) {
    const key = `${label}`.replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, "").toLowerCase();
    const encoding = LABELS.get(key) ?? native.encodingName(key);
    if (encoding === undefined || encoding === null) throw new RangeError(`TextDecoder: "${label}" is not the label of an encoding`);
    this.#encoding = encoding;
    this.#fatal = Boolean(options?.fatal);
    this.#ignoreMark = Boolean(options?.ignoreBOM);
  }
  get encoding() { return this.#encoding; }
  get fatal() { return this.#fatal; }
  get ignoreBOM() { return this.#ignoreMark; }

  decode(input = EMPTY, options = undefined) {
    let bytes = viewOf(input);
    if (bytes === undefined) throw new TypeError("TextDecoder.decode: the argument is not an ArrayBuffer or a view");
    const stream = Boolean(options?.stream);
    if (MARKS[this.#encoding] === undefined) {
      const decoder = this.#legacy ?? native.openDecoder(this.#encoding, this.#fatal, stream);
      // The host has to know of it only as long as a text goes on.
      this.#legacy = stream ? decoder : null;
      return native.decodeLegacy(decoder, bytes, !stream);
    }
    if (!this.#streaming) {
      this.#kept = EMPTY;
      this.#markDone = false;
    }
    this.#streaming = stream;
    if (this.#kept.length > 0) bytes = concatenate([this.#kept, bytes]);
    const whole = stream ? bytes.length - incomplete(this.#encoding, bytes) : bytes.length;
    this.#kept = stream ? bytes.slice(whole) : EMPTY;
    bytes = bytes.subarray(0, whole);
    if (!this.#markDone && bytes.length > 0) {
      this.#markDone = true;
      const mark = MARKS[this.#encoding];
      if (!this.#ignoreMark && mark.length > 0 && mark.every((byte, index) => bytes[index] === byte)) {
        bytes = bytes.subarray(mark.length);
      }
    }
    return bytes.length === 0 ? "" : native.decodeText(this.#encoding, bytes, this.#fatal);
  }
}
finishClass(TextDecoder, "encoding", "fatal", "ignoreBOM", "decode");

/** How many bytes at the end are the beginning of a character that may go on. */
function incomplete(encoding, bytes) {
  if (encoding === "windows-1252") return 0;
  if (encoding === "utf-8") return incompleteUtf8(bytes);
  const odd = bytes.length % 2;
  const at = bytes.length - odd - 2;
  if (at < 0) return odd;
  const high = encoding === "utf-16le" ? bytes[at + 1] : bytes[at];
  return high >= 0xd8 && high <= 0xdb ? odd + 2 : odd;
}

function incompleteUtf8(bytes) {
  const last = bytes.length;
  for (let back = 1; back <= 3 && back <= last; back += 1) {
    const byte = bytes[last - back];
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 && byte <= 0xf4 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xc2 && byte < 0xe0 ? 2 : 1;
    return length > back && validStart(bytes, last - back, back) ? back : 0;
  }
  return 0;
}

/** Whether the second byte is one that can follow the first (Unicode standard, table 3-7). */
function validStart(bytes, at, count) {
  if (count < 2) return true;
  const second = bytes[at + 1];
  switch (bytes[at]) {
    case 0xe0: return second >= 0xa0;
    case 0xed: return second <= 0x9f;
    case 0xf0: return second >= 0x90;
    case 0xf4: return second <= 0x8f;
    default: return true;
  }
}

export class TextEncoderStream {
  #stream;
  constructor() {
    let high = "";
    const encoder = new TextEncoder();
    this.#stream = new TransformStream({
      transform(chunk, controller) {
        let text = high + String(chunk);
        high = "";
        const last = text.charCodeAt(text.length - 1);
        if (last >= 0xd800 && last <= 0xdbff) {
          high = text.slice(-1);
          text = text.slice(0, -1);
        }
        if (text !== "") controller.enqueue(encoder.encode(text));
      },
      flush(controller) {
        if (high !== "") controller.enqueue(encoder.encode(high));
      },
    });
  }
  get encoding() { return (this.#stream, "utf-8"); }
  get readable() { return this.#stream.readable; }
  get writable() { return this.#stream.writable; }
}
finishClass(TextEncoderStream, "encoding", "readable", "writable");

export class TextDecoderStream {
  #decoder;
  #stream;
  constructor(label = "utf-8", options = undefined) {
    const decoder = new TextDecoder(label, options);
    this.#decoder = decoder;
    this.#stream = new TransformStream({
      transform(chunk, controller) {
        if (chunk === undefined) throw new TypeError("TextDecoderStream: a chunk is undefined");
        const text = decoder.decode(chunk, { stream: true });
        if (text !== "") controller.enqueue(text);
      },
      flush(controller) {
        const text = decoder.decode();
        if (text !== "") controller.enqueue(text);
      },
    });
  }
  get encoding() { return this.#decoder.encoding; }
  get fatal() { return this.#decoder.fatal; }
  get ignoreBOM() { return this.#decoder.ignoreBOM; }
  get readable() { return this.#stream.readable; }
  get writable() { return this.#stream.writable; }
}
finishClass(TextDecoderStream, "encoding", "fatal", "ignoreBOM", "readable", "writable");

defineGlobals({ TextEncoder, TextDecoder, TextEncoderStream, TextDecoderStream });
