// Intl.Locale: the parts of a locale identifier.

import { native } from "./native.js";
import { check, coerced, isLocale } from "./intl-options.js";

const KEYS = { calendar: "ca", collation: "co", hourCycle: "hc", caseFirst: "kf", numeric: "kn", numberingSystem: "nu" };

/** Splits a canonical tag: its base, and the keys of its `-u-` extension. */
function split(tag) {
  const [base] = tag.split(/-[a-wyz0-9]-|-x-/);
  const [, extension = ""] = /-u-((?:(?!-[a-wyz0-9]-|-x-).)*)/.exec(tag) ?? [];
  const keys = {};
  let key;
  for (const part of extension.split("-")) {
    if (part.length === 2) keys[(key = part)] = [];
    else if (key !== undefined) keys[key].push(part);
  }
  const [language, ...rest] = base.split("-");
  const script = rest.find((part) => /^[A-Z][a-z]{3}$/.test(part));
  const region = rest.find((part) => /^(?:[A-Z]{2}|\d{3})$/.test(part));
  return { base, keys, language, script, region };
}

function build(tag, options) {
  const { base, keys, language, script, region } = split(tag);
  const head = [options.language ?? language, options.script ?? script, options.region ?? region].filter((part) => part !== undefined);
  const variants = base.split("-").slice(1).filter((part) => part !== script && part !== region);
  const extra = Object.entries(KEYS).filter(([name]) => options[name] !== undefined);
  if (extra.length === 0 && !["language", "script", "region"].some((name) => options[name] !== undefined)) return tag;
  for (const [name, key] of extra) keys[key] = String(options[name]) === "true" ? [] : [String(options[name])];
  const pairs = Object.entries(keys).map(([key, values]) => [key, ...values].join("-"));
  return [...head, ...variants, ...(pairs.length > 0 ? ["u", ...pairs] : [])].join("-");
}

export class Locale {
  #tag;
  #parts;
  constructor(tag, options = undefined) {
    if (typeof tag !== "string" && !isLocale(tag)) throw new TypeError("First argument to Intl.Locale constructor can't be empty or missing");
    const [canonical] = check(native.intlCanonical([String(tag)]));
    [this.#tag] = check(native.intlCanonical([build(canonical, coerced(options))]));
    this.#parts = split(this.#tag);
  }
  #key(name) {
    return this.#parts.keys[KEYS[name]]?.join("-");
  }
  get baseName() { return this.#parts.base; }
  get language() { return this.#parts.language; }
  get script() { return this.#parts.script; }
  get region() { return this.#parts.region; }
  get calendar() { return this.#key("calendar"); }
  get caseFirst() { return this.#key("caseFirst"); }
  get collation() { return this.#key("collation"); }
  get hourCycle() { return this.#key("hourCycle"); }
  get numeric() { return ["", "true"].includes(this.#key("numeric")); }
  get numberingSystem() { return this.#key("numberingSystem"); }
  toString() { return this.#tag; }
  get [Symbol.toStringTag]() { return "Intl.Locale"; }
}
