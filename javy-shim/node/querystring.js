// Query strings, the older way: URLSearchParams is the newer one.

import { Buffer } from "node:buffer";

/** As `encodeURIComponent`, but lone surrogates do not throw. */
export const escape = (value) => encodeURIComponent((typeof value === "string" ? value : String(value)).toWellFormed());

export function unescapeBuffer(text) {
  const source = Buffer.from(text);
  const bytes = [];
  for (let index = 0; index < source.length; index += 1) {
    const digits = source.toString("latin1", index + 1, index + 3);
    if (source[index] === 0x25 && /^[0-9a-f]{2}$/i.test(digits)) {
      bytes.push(Number.parseInt(digits, 16));
      index += 2;
    } else bytes.push(source[index]);
  }
  return Buffer.from(bytes);
}

export function unescape(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return unescapeBuffer(text).toString();
  }
}

function primitive(value) {
  if (typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  return typeof value === "bigint" || typeof value === "boolean" ? String(value) : "";
}

export function stringify(object, separator = "&", equals = "=", options = undefined) {
  if (object === null || typeof object !== "object") return "";
  const encode = options?.encodeURIComponent ?? querystring.escape;
  return Object.entries(object).flatMap(([key, value]) => {
    const name = encode(primitive(key));
    return (Array.isArray(value) ? value : [value]).map((item) => `${name}${equals || "="}${encode(primitive(item))}`);
  }).join(separator || "&");
}

export function parse(text, separator = "&", equals = "=", options = undefined) {
  const result = Object.create(null);
  if (typeof text !== "string" || text === "") return result;
  const decode = options?.decodeURIComponent ?? querystring.unescape;
  const limit = options?.maxKeys ?? 1000;
  const pairs = text.split(separator || "&");
  for (const pair of limit > 0 ? pairs.slice(0, limit) : pairs) {
    if (pair === "") continue;
    const at = pair.indexOf(equals || "=");
    const [key, value] = (at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + (equals || "=").length)])
      .map((part) => decode(part.replaceAll("+", " ")));
    if (!(key in result)) result[key] = value;
    else if (Array.isArray(result[key])) result[key].push(value);
    else result[key] = [result[key], value];
  }
  return result;
}

export { parse as decode, stringify as encode };
const querystring = { decode: parse, encode: stringify, escape, parse, stringify, unescape, unescapeBuffer };
export default querystring;
