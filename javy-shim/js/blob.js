// Blob and File (File API), FormData (XHR standard) and its two encodings.

import {
  concatenate, decodeUtf8, defineGlobals, encodeUtf8, finishClass, native, requireArguments, requireDictionary, usv, viewOf,
} from "./native.js";
import { bothOf, firstOf, pairIterators, secondOf } from "./url.js";
import { ReadableStream } from "./streams.js";

const iterate = pairIterators("FormData");

/** The bytes of a blob, without a copy. */
export let bytesOf;
/** A blob of these bytes, without a copy, whose type is one that was parsed: values of its parameters keep their case. */
export let blobOf;

export class Blob {
  #bytes;
  #type;

  constructor(parts = undefined, options = undefined) {
    const isObject = (typeof parts === "object" && parts !== null) || typeof parts === "function";
    const iterator = isObject ? parts[Symbol.iterator] : undefined;
    if (parts !== undefined && typeof iterator !== "function") throw new TypeError("Blob: the parts are not a sequence");
    requireDictionary(options, "Blob");
    // In the order of Web IDL: all parts are converted before the options are read.
    const sequence = parts === undefined ? [] : { [Symbol.iterator]: () => iterator.call(parts) };
    const converted = Array.from(sequence, (part) => (part instanceof Blob ? part.#bytes : (viewOf(part)?.slice() ?? `${part}`)));
    const endings = options?.endings === undefined ? "transparent" : String(options.endings);
    if (endings !== "transparent" && endings !== "native") throw new TypeError(`Blob: endings cannot be "${endings}"`);
    const type = options?.type === undefined ? "" : String(options.type);
    this.#type = type !== "" && /^[\x20-\x7e]*$/.test(type) ? type.toLowerCase() : "";
    const bytesOfText = (text) => encodeUtf8(endings === "native" ? text.replace(/\r\n|\r/g, "\n") : text);
    const chunks = converted.map((part) => (typeof part === "string" ? bytesOfText(part) : part));
    this.#bytes = chunks.length === 0 ? new Uint8Array(0) : concatenate(chunks);
  }
  get size() { return this.#bytes.length; }
  get type() { return this.#type; }
  slice(start = 0, end = this.size, type = "") {
    const clamp = (value) => {
      const number = Math.trunc(Number(value)) || 0;
      return number < 0 ? Math.max(this.size + number, 0) : Math.min(number, this.size);
    };
    const from = clamp(start);
    return new Blob([this.#bytes.subarray(from, Math.max(clamp(end), from))], { type });
  }
  async arrayBuffer() { return this.#bytes.slice().buffer; }
  async bytes() { return this.#bytes.slice(); }
  async text() { return decodeUtf8(this.#bytes); }
  stream() {
    const bytes = this.#bytes;
    return new ReadableStream({
      type: "bytes",
      start(controller) {
        if (bytes.length > 0) controller.enqueue(bytes.slice());
        controller.close();
      },
    });
  }

  static {
    bytesOf = (blob) => blob.#bytes;
    blobOf = (bytes, type) => {
      const blob = new Blob();
      blob.#bytes = bytes;
      blob.#type = type;
      return blob;
    };
  }
}
finishClass(Blob, "size", "type", "slice", "arrayBuffer", "bytes", "text", "stream");

export class File extends Blob {
  #name;
  #modified;
  constructor(parts, name, options = undefined) {
    if (arguments.length < 2) throw new TypeError(`File: 2 arguments required, but only ${arguments.length} present`);
    super(parts, options);
    this.#name = usv(name);
    this.#modified = options?.lastModified === undefined ? Date.now() : Math.trunc(Number(options.lastModified)) || 0;
  }
  get name() { return this.#name; }
  get lastModified() { return this.#modified; }
  get webkitRelativePath() { return ""; }
}
finishClass(File, "name", "lastModified");

export class FormData {
  #list = [];
  constructor(form = undefined) {
    if (form !== undefined) throw new TypeError("FormData: there are no HTML forms here");
  }
  append(name, value, filename = undefined) {
    requireArguments(arguments, 2, "FormData.append");
    this.#list.push([usv(name), entryValue(value, filename, arguments.length > 2)]);
  }
  set(name, value, filename = undefined) {
    requireArguments(arguments, 2, "FormData.set");
    const key = usv(name);
    const entry = [key, entryValue(value, filename, arguments.length > 2)];
    const at = this.#list.findIndex((pair) => pair[0] === key);
    if (at < 0) this.#list.push(entry);
    else {
      this.#list = this.#list.filter((pair, index) => index <= at || pair[0] !== key);
      this.#list[at] = entry;
    }
  }
  delete(name) {
    requireArguments(arguments, 1, "FormData.delete");
    const key = usv(name);
    this.#list = this.#list.filter((pair) => pair[0] !== key);
  }
  get(name) {
    requireArguments(arguments, 1, "FormData.get");
    const key = usv(name);
    return this.#list.find((pair) => pair[0] === key)?.[1] ?? null;
  }
  getAll(name) {
    requireArguments(arguments, 1, "FormData.getAll");
    const key = usv(name);
    return this.#list.filter((pair) => pair[0] === key).map((pair) => pair[1]);
  }
  has(name) {
    requireArguments(arguments, 1, "FormData.has");
    const key = usv(name);
    return this.#list.some((pair) => pair[0] === key);
  }
  forEach(callback, thisArgument = undefined) {
    for (const [name, value] of this) callback.call(thisArgument, value, name, this);
  }
  #iterate(pick) { return iterate(() => this.#list, pick); }
  keys() { return this.#iterate(firstOf); }
  values() { return this.#iterate(secondOf); }
  entries() { return this.#iterate(bothOf); }
}
Object.defineProperty(FormData.prototype, Symbol.iterator, { value: FormData.prototype.entries, writable: true, configurable: true });
finishClass(FormData, "append", "set", "delete", "get", "getAll", "has", "forEach", "keys", "values", "entries");

function entryValue(value, filename, named) {
  if (!(value instanceof Blob)) {
    if (named) throw new TypeError("FormData: only a Blob has a file name");
    return usv(value);
  }
  if (value instanceof File && !named) return value;
  const options = { type: value.type, lastModified: value instanceof File ? value.lastModified : undefined };
  return new File([value], named ? usv(filename) : "blob", options);
}

/** A form as multipart/form-data (RFC 7578): `[bytes, content type]`. */
export function encodeMultipart(form) {
  const boundary = `----caddis${Array.from(native.randomBytes(16), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  const lines = (text) => text.replace(/\r\n|\r|\n/g, "\r\n");
  const quote = (text) => text.replace(/\r/g, "%0D").replace(/\n/g, "%0A").replace(/"/g, "%22");
  const chunks = [];
  for (const [name, value] of form) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${quote(lines(name))}"`;
    if (typeof value === "string") chunks.push(encodeUtf8(`${head}\r\n\r\n${lines(value)}\r\n`));
    else {
      const type = value.type === "" ? "application/octet-stream" : value.type;
      chunks.push(encodeUtf8(`${head}; filename="${quote(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`), bytesOf(value), encodeUtf8("\r\n"));
    }
  }
  chunks.push(encodeUtf8(`--${boundary}--\r\n`));
  return [concatenate(chunks), `multipart/form-data; boundary=${boundary}`];
}

/** The form in a body of that content type. */
export function decodeForm(bytes, contentType) {
  const essence = contentType.split(";", 1)[0].trim().toLowerCase();
  const form = new FormData();
  if (essence === "application/x-www-form-urlencoded") {
    for (const [name, value] of new URLSearchParams(`?${native.decodeText("utf-8", bytes, false)}`)) form.append(name, value);
    return form;
  }
  const boundary = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
  if (essence !== "multipart/form-data" || boundary === null) {
    throw new TypeError(`The body is not a form: its content type is "${contentType}"`);
  }
  for (const part of splitMultipart(bytes, boundary[1] ?? boundary[2])) {
    const disposition = part.headers.get("content-disposition") ?? "";
    const name = parameter(disposition, "name");
    if (name === undefined) throw new TypeError("A part of the form has no name");
    const filename = parameter(disposition, "filename");
    if (filename === undefined) form.append(name, decodeUtf8(part.body));
    else form.append(name, new File([part.body], filename, { type: part.headers.get("content-type") ?? "text/plain" }));
  }
  return form;
}

function parameter(disposition, name) {
  const found = new RegExp(`;\\s*${name}="([^"]*)"`, "i").exec(disposition);
  return found?.[1].replace(/%0D/g, "\r").replace(/%0A/g, "\n").replace(/%22/g, '"');
}

function splitMultipart(bytes, boundary) {
  const broken = () => new TypeError("The multipart body is not complete or not well-formed");
  const dashes = encodeUtf8(`--${boundary}`);
  const separator = encodeUtf8(`\r\n--${boundary}`);
  let at = indexOf(bytes, dashes, 0);
  if (at < 0) throw broken();
  at += dashes.length;
  const parts = [];
  for (;;) {
    if (bytes[at] === 0x2d && bytes[at + 1] === 0x2d) return parts;
    if (bytes[at] !== 0x0d || bytes[at + 1] !== 0x0a) throw broken();
    const headEnd = indexOf(bytes, HEAD_END, at);
    const end = indexOf(bytes, separator, headEnd + 2);
    if (headEnd < 0 || end < 0) throw broken();
    const headers = new Map();
    for (const line of decodeUtf8(bytes.subarray(at + 2, headEnd)).split("\r\n")) {
      const colon = line.indexOf(":");
      if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
    }
    parts.push({ headers, body: bytes.subarray(headEnd + HEAD_END.length, end) });
    at = end + separator.length;
  }
}
const HEAD_END = new Uint8Array([0x0d, 0x0a, 0x0d, 0x0a]);

function indexOf(bytes, wanted, from) {
  for (let at = bytes.indexOf(wanted[0], from); at >= 0; at = bytes.indexOf(wanted[0], at + 1)) {
    let length = 1;
    while (length < wanted.length && bytes[at + length] === wanted[length]) length += 1;
    if (length === wanted.length) return at;
  }
  return -1;
}

defineGlobals({ Blob, File, FormData });
