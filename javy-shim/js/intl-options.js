// How Intl reads locales and options (ECMA-402, chapter 9), and how it asks the host.

import { native } from "./native.js";

/** Throws what the host refused. Its failures are objects that are not arrays. */
export function check(result) {
  if (typeof result !== "object" || result === null || Array.isArray(result)) return result;
  throw result.code === "TypeError" ? new TypeError(result.message) : new RangeError(result.message);
}

/** The tags of a `locales` argument; the host brings them into their canonical form. */
export function tagsOf(locales) {
  if (locales === undefined) return [];
  if (typeof locales === "string" || isLocale(locales)) return [String(locales)];
  if (locales === null) throw new TypeError("Cannot convert undefined or null to object");
  return Array.from(Object(locales), (tag) => {
    if (typeof tag !== "string" && (typeof tag !== "object" || tag === null)) {
      throw new TypeError("Incorrect locale information provided");
    }
    return String(tag);
  });
}

/** Whether a value is an Intl.Locale. */
export function isLocale(value) {
  return typeof value === "object" && value !== null && value[Symbol.toStringTag] === "Intl.Locale";
}

/** Options that must be an object when they are given. */
export function objectOf(options) {
  if (options === undefined) return {};
  if (typeof options !== "object" && typeof options !== "function" || options === null) throw new TypeError("The options are not an object");
  return options;
}

/** Options that are converted to an object. */
export function coerced(options) {
  if (options === null) throw new TypeError("Cannot convert undefined or null to object");
  return options === undefined ? {} : Object(options);
}

/** Reads options into what the host takes: names that are undefined are left out. */
export class Reader {
  read = {};
  constructor(options) {
    this.options = options;
  }
  set(name, value) {
    if (value !== undefined) this.read[name] = value;
    return value;
  }
  /** A text, one of those that are allowed. */
  text(name, ...allowed) {
    const value = this.options[name];
    if (value === undefined) return undefined;
    const text = String(value);
    if (allowed.length > 0 && !allowed.includes(text)) throw new RangeError(`Value ${text.slice(0, 40)} out of range for Intl options property ${name}`);
    return this.set(name, text);
  }
  boolean(name) {
    const value = this.options[name];
    return value === undefined ? undefined : this.set(name, Boolean(value));
  }
  /** A whole number in a range. */
  number(name, least, most) {
    const value = this.options[name];
    if (value === undefined) return undefined;
    const number = Number(value);
    if (!(number >= least && number <= most)) throw new RangeError(`${name} value is out of range.`);
    return this.set(name, Math.floor(number));
  }
  digits() {
    this.number("minimumIntegerDigits", 1, 21);
    this.number("minimumFractionDigits", 0, 100);
    this.number("maximumFractionDigits", 0, 100);
    this.number("minimumSignificantDigits", 1, 21);
    this.number("maximumSignificantDigits", 1, 21);
    this.number("roundingIncrement", 1, 5000);
    this.text("roundingMode", "ceil", "floor", "expand", "trunc", "halfCeil", "halfFloor", "halfExpand", "halfTrunc", "halfEven");
    this.text("roundingPriority", "auto", "morePrecision", "lessPrecision");
    this.text("trailingZeroDisplay", "auto", "stripIfInteger");
  }
}

/** What was resolved for a description. Making the same formatter again and again is how many programs use Intl. */
const resolved = new Map();
const RESOLVED = 64;

/** A service of the host: its description, checked. */
export class Service {
  #description;
  constructor(name, locales, read) {
    this.#description = JSON.stringify({ [name]: { locales: tagsOf(locales), ...read } });
    if (!resolved.has(this.#description)) {
      const answer = check(native.intlResolve(this.#description));
      if (resolved.size >= RESOLVED) resolved.clear();
      resolved.set(this.#description, answer);
    }
  }
  resolvedOptions() {
    return JSON.parse(resolved.get(this.#description) ?? check(native.intlResolve(this.#description)));
  }
  /** The parts as `{ type, value, source }`; the source only in ranges. */
  parts(values) {
    const flat = check(native.intlFormat(this.#description, values));
    const parts = [];
    for (let index = 0; index < flat.length; index += 3) {
      const part = { type: flat[index], value: flat[index + 1] };
      if (flat[index + 2] !== "") part.source = flat[index + 2];
      parts.push(part);
    }
    return parts;
  }
  text(values) {
    const flat = check(native.intlFormat(this.#description, values));
    let text = "";
    for (let index = 1; index < flat.length; index += 3) text += flat[index];
    return text;
  }
  compare(one, other) {
    return check(native.intlCompare(this.#description, one, other));
  }
  segments(text) {
    return check(native.intlSegment(this.#description, text));
  }
}

/** A number, BigInt or decimal text as the host takes numbers. */
export function numeric(value) {
  const primitive = typeof value === "object" && value !== null ? value[Symbol.toPrimitive]?.("number") ?? value.valueOf() : value;
  if (typeof primitive === "bigint") return String(primitive);
  if (typeof primitive === "string") {
    const text = primitive.trim();
    if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?$/.test(text)) {
      return text.replace(/^\+/, "").replace(/^(-?)\./, "$10.").replace(/\.(?=$|[eE])/, "").replace("E", "e");
    }
  }
  const number = Number(primitive);
  return Object.is(number, -0) ? "-0" : String(number);
}
