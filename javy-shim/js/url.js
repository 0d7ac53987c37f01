// URL and URLSearchParams (URL standard). Parsing is done by the engine's Rust side.

import { defineGlobals, finishClass, native, requireArguments, usv } from "./native.js";

export const firstOf = (pair) => pair[0];
export const secondOf = (pair) => pair[1];
export const bothOf = (pair) => [pair[0], pair[1]];

/** Makes what makes the iterators of a class: they see changes made while they run (Web IDL's default iterators). */
export function pairIterators(name) {
  const states = new WeakMap();
  const methods = {
    next() {
      const step = states.get(this);
      if (step === undefined) throw new TypeError(`next: the object is not a ${name} Iterator`);
      return step();
    },
  };
  const prototype = Object.create(Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())), {
    ...Object.getOwnPropertyDescriptors(methods),
    [Symbol.toStringTag]: { value: `${name} Iterator`, configurable: true },
  });
  return (list, pick) => {
    let index = 0;
    const iterator = Object.create(prototype);
    states.set(iterator, () => {
      const pairs = list();
      if (index >= pairs.length) return { value: undefined, done: true };
      return { value: pick(pairs[index++]), done: false };
    });
    return iterator;
  };
}

const iterate = pairIterators("URLSearchParams");
const PARTS = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];
const [HREF, ORIGIN, , , , , , , , SEARCH] = PARTS.keys();
let bind;

export class URLSearchParams {
  #list = [];
  #url = null;

  constructor(init = "") {
    if ((typeof init === "object" && init !== null) || typeof init === "function") this.#fill(init);
    else if (init !== "") this.#list = parse(withoutMark(usv(init)));
  }
  #fill(init) {
    const iterator = init[Symbol.iterator];
    if (iterator !== undefined && iterator !== null) {
      for (const pair of init) {
        const entry = typeof pair === "object" && pair !== null ? [...pair] : [];
        if (entry.length !== 2) throw new TypeError("URLSearchParams: each pair must have a name and a value");
        this.#list.push([usv(entry[0]), usv(entry[1])]);
      }
    } else {
      const found = new Map();
      for (const key of Reflect.ownKeys(init)) {
        if (!Object.getOwnPropertyDescriptor(init, key)?.enumerable) continue;
        if (typeof key === "symbol") throw new TypeError("URLSearchParams: a name is a symbol");
        found.set(usv(key), usv(init[key]));
      }
      this.#list = [...found];
    }
  }
  #changed() { this.#url?.(this.toString()); }

  get size() { return this.#list.length; }
  append(name, value) {
    requireArguments(arguments, 2, "URLSearchParams.append");
    this.#list.push([usv(name), usv(value)]);
    this.#changed();
  }
  delete(name, value = undefined) {
    requireArguments(arguments, 1, "URLSearchParams.delete");
    const key = usv(name);
    const wanted = value === undefined ? undefined : usv(value);
    this.#list = this.#list.filter(([n, v]) => n !== key || (wanted !== undefined && v !== wanted));
    this.#changed();
  }
  get(name) {
    requireArguments(arguments, 1, "URLSearchParams.get");
    const key = usv(name);
    return this.#list.find(([n]) => n === key)?.[1] ?? null;
  }
  getAll(name) {
    requireArguments(arguments, 1, "URLSearchParams.getAll");
    const key = usv(name);
    return this.#list.filter(([n]) => n === key).map(([, v]) => v);
  }
  has(name, value = undefined) {
    requireArguments(arguments, 1, "URLSearchParams.has");
    const key = usv(name);
    const wanted = value === undefined ? undefined : usv(value);
    return this.#list.some(([n, v]) => n === key && (wanted === undefined || v === wanted));
  }
  set(name, value) {
    requireArguments(arguments, 2, "URLSearchParams.set");
    const key = usv(name);
    const text = usv(value);
    const first = this.#list.find(([n]) => n === key);
    if (first === undefined) this.#list.push([key, text]);
    else {
      first[1] = text;
      this.#list = this.#list.filter((pair) => pair === first || pair[0] !== key);
    }
    this.#changed();
  }
  sort() {
    // By UTF-16 code units, as the comparison of strings does; the sort is stable.
    this.#list.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.#changed();
  }
  forEach(callback, thisArgument = undefined) {
    if (typeof callback !== "function") throw new TypeError("forEach: the argument is not a function");
    for (let index = 0; index < this.#list.length; index += 1) {
      const [name, value] = this.#list[index];
      callback.call(thisArgument, value, name, this);
    }
  }
  #iterate(pick) { return iterate(() => this.#list, pick); }
  keys() { return this.#iterate(firstOf); }
  values() { return this.#iterate(secondOf); }
  entries() { return this.#iterate(bothOf); }
  toString() { return this.#list.map(([name, value]) => `${escape(name)}=${escape(value)}`).join("&"); }

  static {
    bind = (params, query, onChange) => {
      params.#list = parse(query);
      if (onChange !== undefined) params.#url = onChange;
    };
  }
}
Object.defineProperty(URLSearchParams.prototype, Symbol.iterator, {
  value: URLSearchParams.prototype.entries, writable: true, configurable: true,
});
finishClass(URLSearchParams, "size", "append", "delete", "get", "getAll", "has", "set", "sort", "forEach", "keys", "values", "entries", "toString");

const withoutMark = (query) => (query.startsWith("?") ? query.slice(1) : query);

function parse(query) {
  const pairs = [];
  if (query === "") return pairs;
  for (const part of query.split("&")) {
    if (part === "") continue;
    const at = part.indexOf("=");
    pairs.push(at < 0 ? [unescape(part), ""] : [unescape(part.slice(0, at)), unescape(part.slice(at + 1))]);
  }
  return pairs;
}

function unescape(text) {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    // Escapes that are not UTF-8, or not escapes.
    return native.decodeText("utf-8", percentDecode(spaced), false);
  }
}

/** The bytes of a text, with its escapes undone. */
export function percentDecode(text) {
  const bytes = native.encodeUtf8(text);
  let length = 0;
  for (let index = 0; index < bytes.length; index += 1) {
    const hex = bytes[index] === 0x25 ? String.fromCharCode(bytes[index + 1] ?? 0, bytes[index + 2] ?? 0) : "";
    const isEscape = /^[0-9A-Fa-f]{2}$/.test(hex);
    bytes[length] = isEscape ? Number.parseInt(hex, 16) : bytes[index];
    length += 1;
    if (isEscape) index += 2;
  }
  return bytes.subarray(0, length);
}

function escape(text) {
  if (/^[A-Za-z0-9*\-._]*$/.test(text)) return text;
  return encodeURIComponent(text)
    .replaceAll("%20", "+")
    .replace(/[!'()~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

export class URL {
  #parts;
  #params = null;

  constructor(url, base = undefined) {
    if (arguments.length === 0) throw new TypeError("URL: 1 argument required, but only 0 present");
    const input = usv(url);
    const against = base === undefined ? undefined : usv(base);
    const parts = native.parseUrl(input, against);
    if (parts === null || parts === undefined) throw new TypeError(`Invalid URL: '${input}'${against === undefined ? "" : ` with base '${against}'`}`);
    this.#parts = parts;
  }
  static canParse(url, base = undefined) {
    requireArguments(arguments, 1, "URL.canParse");
    return native.canParseUrl(usv(url), base === undefined ? undefined : usv(base));
  }
  static parse(url, base = undefined) {
    requireArguments(arguments, 1, "URL.parse");
    try {
      return new URL(url, base);
    } catch {
      return null;
    }
  }
  get href() { return this.#parts[HREF]; }
  set href(value) {
    const parts = native.changeUrl(this.#parts[HREF], "href", usv(value));
    if (parts === null || parts === undefined) throw new TypeError(`Invalid URL: '${value}'`);
    this.#parts = parts;
    this.#refresh();
  }
  get origin() { return this.#parts[ORIGIN]; }
  get searchParams() {
    if (this.#params === null) {
      this.#params = new URLSearchParams();
      bind(this.#params, this.#parts[SEARCH].slice(1), (query) => {
        this.#parts = native.changeUrl(this.#parts[HREF], "search", query);
      });
    }
    return this.#params;
  }
  #refresh() {
    if (this.#params !== null) bind(this.#params, this.#parts[SEARCH].slice(1));
  }
  toString() { return this.#parts[HREF]; }
  toJSON() { return this.#parts[HREF]; }

  static {
    for (const [index, part] of PARTS.entries()) {
      if (part === "href" || part === "origin") continue;
      Object.defineProperty(this.prototype, part, Object.getOwnPropertyDescriptor({
        get [part]() { return this.#parts[index]; },
        set [part](value) {
          this.#parts = native.changeUrl(this.#parts[HREF], part, usv(value));
          if (index === SEARCH) this.#refresh();
        },
      }, part));
    }
  }
}
finishClass(URL, ...PARTS, "searchParams", "toString", "toJSON");

defineGlobals({ URL, URLSearchParams });
