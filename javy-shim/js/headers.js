// Headers (Fetch standard, section 5.1). The fields are on the engine's Rust side, which also checks names and values.

import { defineGlobals, finishClass, native } from "./native.js";
import { bothOf, firstOf, pairIterators, secondOf } from "./url.js";

const iterate = pairIterators("Headers");

const isEnumerable = Object.prototype.propertyIsEnumerable;
const text = (value) => (typeof value === "string" ? value : `${value}`);

/** Lets this module make headers of fields that are there. */
const BARE = Symbol("bare");

/** Reads and makes headers without the checks that programs need. */
export let internals;

export class Headers {
  #fields;
  #sorted = null;
  #immutable = false;

  constructor(init = undefined) {
    if (init === BARE) return;
    if (init === undefined) {
      this.#fields = native.newFields();
      return;
    }
    if (init === null || (typeof init !== "object" && typeof init !== "function")) {
      throw new TypeError("Headers: the argument is not an object or a list of pairs");
    }
    const iterator = init[Symbol.iterator];
    if (#fields in init && iterator === entries) {
      this.#fields = native.copyFields(init.#fields);
      return;
    }
    const fields = (this.#fields = native.newFields());
    if (iterator !== undefined && iterator !== null) {
      for (const pair of init) {
        const entry = typeof pair === "object" && pair !== null ? [...pair] : [];
        if (entry.length !== 2) throw new TypeError("Headers: each pair must have a name and a value");
        native.appendField(fields, text(entry[0]), text(entry[1]));
      }
      return;
    }
    const keys = Reflect.ownKeys(init);
    for (let index = 0; index < keys.length; index += 1) {
      const key = keys[index];
      if (isEnumerable.call(init, key)) native.appendField(fields, text(key), text(init[key]));
    }
  }
  /** The fields, to be changed. */
  #changing() {
    if (this.#immutable) throw new TypeError("Headers are immutable");
    this.#sorted = null;
    return this.#fields;
  }

  append(name, value) {
    if (arguments.length < 2) throw new TypeError("Headers.append: 2 arguments required");
    native.appendField(this.#changing(), text(name), text(value));
  }
  set(name, value) {
    if (arguments.length < 2) throw new TypeError("Headers.set: 2 arguments required");
    native.setField(this.#changing(), text(name), text(value));
  }
  delete(name) {
    if (arguments.length < 1) throw new TypeError("Headers.delete: 1 argument required");
    native.deleteField(this.#changing(), text(name));
  }
  get(name) {
    if (arguments.length < 1) throw new TypeError("Headers.get: 1 argument required");
    return native.getField(this.#fields, text(name));
  }
  has(name) {
    if (arguments.length < 1) throw new TypeError("Headers.has: 1 argument required");
    return native.hasField(this.#fields, text(name));
  }
  getSetCookie() { return native.cookies(this.#fields); }

  #entries() { return (this.#sorted ??= pairs(native.sortedFields(this.#fields))); }
  forEach(callback, thisArgument = undefined) {
    if (typeof callback !== "function") throw new TypeError("forEach: the argument is not a function");
    for (let index = 0; index < this.#entries().length; index += 1) {
      const [name, value] = this.#entries()[index];
      callback.call(thisArgument, value, name, this);
    }
  }
  #iterate(pick) { return iterate(() => this.#entries(), pick); }
  keys() { return this.#iterate(firstOf); }
  values() { return this.#iterate(secondOf); }
  entries() { return this.#iterate(bothOf); }

  static {
    internals = {
      /** Headers with the fields that the host sent. */
      ofFields(fields) {
        const headers = new Headers(BARE);
        headers.#fields = fields;
        return headers;
      },
      fields: (headers) => headers.#fields,
      freeze(headers) {
        headers.#immutable = true;
        return headers;
      },
      /** Headers with the same fields, which can be changed when those can. */
      copy(headers) {
        const copy = internals.ofFields(native.copyFields(headers.#fields));
        copy.#immutable = headers.#immutable;
        return copy;
      },
      /** Sets a header that the program did not. */
      setDefault(headers, name, value) {
        if (native.defaultField(headers.#fields, name, value)) headers.#sorted = null;
      },
    };
  }
}
const { entries } = Headers.prototype;
Object.defineProperty(Headers.prototype, Symbol.iterator, { value: entries, writable: true, configurable: true });
finishClass(Headers, "append", "set", "delete", "get", "has", "getSetCookie", "forEach", "keys", "values", "entries");

function pairs(flat) {
  const list = [];
  for (let index = 0; index < flat.length; index += 2) list.push([flat[index], flat[index + 1]]);
  return list;
}

defineGlobals({ Headers });
