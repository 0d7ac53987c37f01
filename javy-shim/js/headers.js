// Headers (Fetch standard, section 5.1).

import { defineGlobals, finishClass } from "./native.js";
import { pairIterator } from "./url.js";

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN_IN_VALUE = /[\0\r\n]/;

const isEnumerable = Object.prototype.propertyIsEnumerable;

/** Reads and makes headers without the checks that programs need. */
export let internals;

export class Headers {
  // Lower-case names with their values, in the order they came.
  #list = [];
  #sorted = null;
  #immutable = false;

  constructor(init = undefined) {
    if (init === undefined) return;
    if (init === null || (typeof init !== "object" && typeof init !== "function")) {
      throw new TypeError("Headers: the argument is not an object or a list of pairs");
    }
    if (init instanceof Headers && init[Symbol.iterator] === Headers.prototype.entries) {
      this.#list = init.#list.map((pair) => [...pair]);
      return;
    }
    const iterator = init[Symbol.iterator];
    if (iterator !== undefined && iterator !== null) {
      for (const pair of init) {
        const entry = typeof pair === "object" && pair !== null ? [...pair] : [];
        if (entry.length !== 2) throw new TypeError("Headers: each pair must have a name and a value");
        this.append(entry[0], entry[1]);
      }
      return;
    }
    for (const key of Reflect.ownKeys(init)) {
      if (isEnumerable.call(init, key)) this.append(key, init[key]);
    }
  }
  #check() { if (this.#immutable) throw new TypeError("Headers are immutable"); }

  append(name, value) {
    const key = nameOf(name);
    const text = valueOf(key, value);
    this.#check();
    this.#list.push([key, text]);
    this.#sorted = null;
  }
  set(name, value) {
    const key = nameOf(name);
    const text = valueOf(key, value);
    this.#check();
    const first = this.#list.find((pair) => pair[0] === key);
    if (first === undefined) this.#list.push([key, text]);
    else {
      first[1] = text;
      this.#list = this.#list.filter((pair) => pair === first || pair[0] !== key);
    }
    this.#sorted = null;
  }
  delete(name) {
    const key = nameOf(name);
    this.#check();
    this.#list = this.#list.filter((pair) => pair[0] !== key);
    this.#sorted = null;
  }
  get(name) {
    const key = nameOf(name);
    let found = null;
    for (const [other, value] of this.#list) {
      if (other === key) found = found === null ? value : `${found}, ${value}`;
    }
    return found;
  }
  has(name) {
    const key = nameOf(name);
    return this.#list.some((pair) => pair[0] === key);
  }
  getSetCookie() { return this.#list.filter((pair) => pair[0] === "set-cookie").map((pair) => pair[1]); }

  #entries() {
    if (this.#sorted === null) {
      const combined = new Map();
      const cookies = [];
      for (const [name, value] of this.#list) {
        if (name === "set-cookie") cookies.push([name, value]);
        else combined.set(name, combined.has(name) ? `${combined.get(name)}, ${value}` : value);
      }
      this.#sorted = [...combined, ...cookies].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    }
    return this.#sorted;
  }
  forEach(callback, thisArgument = undefined) {
    if (typeof callback !== "function") throw new TypeError("forEach: the argument is not a function");
    for (let index = 0; index < this.#entries().length; index += 1) {
      const [name, value] = this.#entries()[index];
      callback.call(thisArgument, value, name, this);
    }
  }
  keys() { return pairIterator("Headers", () => this.#entries(), (pair) => pair[0]); }
  values() { return pairIterator("Headers", () => this.#entries(), (pair) => pair[1]); }
  entries() { return pairIterator("Headers", () => this.#entries(), (pair) => [pair[0], pair[1]]); }

  static {
    internals = {
      /** Headers of a flat list of names and values that the host sent. */
      fromFlat(flat) {
        const headers = new Headers();
        for (let index = 0; index < flat.length; index += 2) headers.#list.push([flat[index], flat[index + 1]]);
        return headers;
      },
      toFlat(headers) { return headers.#list.flat(); },
      freeze(headers) {
        headers.#immutable = true;
        return headers;
      },
      /** Sets a header that the program did not. */
      setDefault(headers, name, value) {
        if (headers.#list.some((pair) => pair[0] === name)) return;
        headers.#list.push([name, value]);
        headers.#sorted = null;
      },
    };
  }
}
Object.defineProperty(Headers.prototype, Symbol.iterator, { value: Headers.prototype.entries, writable: true, configurable: true });
finishClass(Headers, "append", "set", "delete", "get", "has", "getSetCookie", "forEach", "keys", "values", "entries");

/** Names that were checked, with their lower-case form. It is filled when the engine is built, and a program cannot make it grow for ever. */
const known = new Map();
const KNOWN_LIMIT = 200;
const COMMON = "Accept Accept-Encoding Accept-Language Access-Control-Allow-Credentials Access-Control-Allow-Headers Access-Control-Allow-Methods " +
  "Access-Control-Allow-Origin Access-Control-Max-Age Apikey Authorization Cache-Control Connection Content-Disposition Content-Encoding " +
  "Content-Length Content-Type Cookie Date ETag Host If-None-Match Last-Modified Location Origin Referer Set-Cookie Stripe-Signature User-Agent Vary " +
  "X-Client-Info X-Forwarded-For X-Request-Id";
for (const name of COMMON.split(" ")) known.set(name, name.toLowerCase()).set(name.toLowerCase(), name.toLowerCase());

function nameOf(name) {
  const cached = known.get(name);
  if (cached !== undefined) return cached;
  const text = `${name}`;
  if (!TOKEN.test(text)) throw new TypeError(`Headers: "${text}" is not a header name`);
  const lower = text.toLowerCase();
  if (known.size < KNOWN_LIMIT) known.set(text, lower);
  return lower;
}

/** Most values: printable ASCII without space around it. */
const PLAIN = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

function valueOf(name, value) {
  if (typeof value === "string" && PLAIN.test(value)) return value;
  const text = `${value}`.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (FORBIDDEN_IN_VALUE.test(text)) throw new TypeError(`Headers: the value of "${name}" has a character that no header value can have`);
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) > 0xff) throw new TypeError(`Headers: the value of "${name}" has a character over U+00FF`);
  }
  return text;
}

defineGlobals({ Headers });
