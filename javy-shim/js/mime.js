// MIME types (MIME Sniffing standard, sections 4.4 and 4.5) and data: URLs (Fetch standard, section 6).

import { native } from "./native.js";
import { percentDecode } from "./url.js";

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const trimmed = (text) => text.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");

/** A MIME type as it is written canonically; empty for what is none. */
export function mimeType(text) {
  const [essence, ...rest] = trimmed(text).split(";");
  const [type, subtype = "", ...more] = essence.replace(/[\t\n\r ]+$/, "").split("/");
  if (more.length > 0 || !TOKEN.test(type) || !TOKEN.test(subtype)) return "";
  const parameters = new Map();
  for (const [name, value] of parametersOf(rest.join(";"))) if (!parameters.has(name)) parameters.set(name, value);
  const written = (value) => (TOKEN.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`);
  return [`${type}/${subtype}`.toLowerCase(), ...Array.from(parameters, ([name, value]) => `${name}=${written(value)}`)].join(";");
}

/** Names and values; a quoted value may have a semicolon in it. */
function* parametersOf(text) {
  for (const [, name, quoted, plain] of text.matchAll(/([^;=]*)(?:=(?:"((?:[^"\\]|\\[^]|\\$)*)"?[^;]*|([^;]*)))?(?:;|$)/g)) {
    const key = name.replace(/^[\t\n\r ]+/, "").toLowerCase();
    const value = quoted === undefined ? (plain ?? "").replace(/[\t\n\r ]+$/, "") : quoted.replace(/\\([^])/g, "$1");
    const isThere = quoted !== undefined || value !== "";
    if (isThere && TOKEN.test(key) && /^[\t\x20-\x7e\x80-\xff]*$/.test(value)) yield [key, value];
  }
}

/** What a data: URL holds, as `[bytes, MIME type]`; null when it is not well-formed. */
export function decodeDataUrl(url) {
  const text = url.href.slice("data:".length, url.hash === "" ? undefined : -url.hash.length);
  const comma = text.indexOf(",");
  if (comma < 0) return null;
  const base64 = /; *base64$/i.exec(trimmed(text.slice(0, comma)));
  const head = trimmed(text.slice(0, comma)).slice(0, base64?.index);
  const type = mimeType(head.startsWith(";") ? `text/plain${head}` : head) || "text/plain;charset=US-ASCII";
  const bytes = percentDecode(text.slice(comma + 1));
  if (base64 === null) return [bytes, type];
  try {
    return [Uint8Array.fromBase64(native.decodeText("windows-1252", bytes, false)), type];
  } catch {
    return null;
  }
}
