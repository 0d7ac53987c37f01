// Strings as bytes and bytes as strings, in the encodings of Buffer.

import { native } from "caddis:native";

const NAMES = {
  utf8: "utf8", "utf-8": "utf8", hex: "hex", base64: "base64", base64url: "base64url", latin1: "latin1", binary: "latin1", ascii: "ascii",
  ucs2: "utf16le", "ucs-2": "utf16le", utf16le: "utf16le", "utf-16le": "utf16le",
};

/** The canonical name of an encoding; undefined when there is no such one. */
export const encodingName = (name) => NAMES[name] ?? NAMES[String(name).toLowerCase()];

/** How many arguments `String.fromCharCode` gets at once. */
const UNITS = 8192;

function fromUnits(units) {
  let text = "";
  for (let at = 0; at < units.length; at += UNITS) text += String.fromCharCode.apply(undefined, units.subarray(at, at + UNITS));
  return text;
}

function unitsOf(text, mask) {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index) & mask;
  return bytes;
}

/** Base64 as Node.js reads it: either alphabet, what is in neither is skipped, the first `=` ends it. */
function fromBase64(text) {
  const end = text.indexOf("=");
  let digits = (end < 0 ? text : text.slice(0, end)).replaceAll("-", "+").replaceAll("_", "/").replace(/[^A-Za-z0-9+/]/g, "");
  if (digits.length % 4 === 1) digits = digits.slice(0, -1);
  return Uint8Array.fromBase64(digits);
}

const ENCODE = {
  utf8: (text) => native.encodeUtf8(text.toWellFormed()),
  latin1: (text) => unitsOf(text, 0xff),
  ascii: (text) => unitsOf(text, 0xff),
  hex: (text) => Uint8Array.fromHex(/^(?:[0-9a-fA-F]{2})*/.exec(text)[0]),
  base64: fromBase64,
  base64url: fromBase64,
  utf16le(text) {
    const bytes = new Uint8Array(text.length * 2);
    for (let index = 0; index < text.length; index += 1) {
      const unit = text.charCodeAt(index);
      bytes[index * 2] = unit & 0xff;
      bytes[index * 2 + 1] = unit >> 8;
    }
    return bytes;
  },
};

// The methods are those of Uint8Array: a Buffer may have others of these names.
const { toBase64, toHex } = Uint8Array.prototype;
const DECODE = {
  utf8: (bytes) => native.decodeText("utf-8", bytes, false),
  latin1: fromUnits,
  ascii: (bytes) => fromUnits(Uint8Array.from(bytes, (byte) => byte & 0x7f)),
  hex: (bytes) => toHex.call(bytes),
  base64: (bytes) => toBase64.call(bytes),
  base64url: (bytes) => toBase64.call(bytes, { alphabet: "base64url", omitPadding: true }),
  utf16le(bytes) {
    const units = new Uint16Array(bytes.length >> 1);
    for (let index = 0; index < units.length; index += 1) units[index] = bytes[index * 2] | (bytes[index * 2 + 1] << 8);
    return fromUnits(units);
  },
};

/** The bytes of a text; `encoding` is a canonical name. */
export const encode = (text, encoding) => ENCODE[encoding](text);

/** The text of bytes; `encoding` is a canonical name. */
export const decode = (bytes, encoding) => (bytes.length === 0 ? "" : DECODE[encoding](bytes));

/** How many bytes a text has. */
export function encodedLength(text, encoding) {
  switch (encoding) {
    case "utf16le": return text.length * 2;
    case "latin1": case "ascii": return text.length;
    case "hex": return text.length >> 1;
    case "base64": case "base64url": return ((text.length - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0)) * 3) >> 2;
    default: return ENCODE.utf8(text).length;
  }
}
