// The classes of Intl.

import { native } from "./native.js";
import { Reader, Service, check, coerced, numeric, objectOf, tagsOf } from "./intl-options.js";

const supportedLocalesOf = (locales) => check(native.intlSupported(tagsOf(locales)));

/** Gives a class what all services have, and lets it be called without `new` where it may. */
function finish(constructor, callable = false) {
  const name = constructor.name;
  Object.defineProperty(constructor.prototype, Symbol.toStringTag, { value: `Intl.${name}`, configurable: true });
  const methods = { supportedLocalesOf: { value: function (locales) { return supportedLocalesOf(locales); }, writable: true, configurable: true } };
  Object.defineProperties(constructor, methods);
  if (!callable) return constructor;
  const open = new Proxy(constructor, { apply: (target, _this, values) => new target(...values) });
  Object.defineProperty(constructor.prototype, "constructor", { value: open, writable: true, configurable: true });
  return open;
}

const FIELDS = {
  weekday: ["narrow", "short", "long"],
  era: ["narrow", "short", "long"],
  year: ["2-digit", "numeric"],
  month: ["2-digit", "numeric", "narrow", "short", "long"],
  day: ["2-digit", "numeric"],
  dayPeriod: ["narrow", "short", "long"],
  hour: ["2-digit", "numeric"],
  minute: ["2-digit", "numeric"],
  second: ["2-digit", "numeric"],
  timeZoneName: ["short", "long", "shortOffset", "longOffset", "shortGeneric", "longGeneric"],
};
const STYLES = ["full", "long", "medium", "short"];
const DATE_FIELDS = ["weekday", "year", "month", "day"];
const TIME_FIELDS = ["dayPeriod", "hour", "minute", "second", "fractionalSecondDigits"];

/** CreateDateTimeFormat: `required` are the fields of which one must be there, `defaults` those added when none is. */
function dateOptions(given, required, defaults) {
  const reader = new Reader(coerced(given));
  const { read, options } = reader;
  reader.text("localeMatcher", "lookup", "best fit");
  delete read.localeMatcher;
  reader.text("calendar");
  reader.text("numberingSystem");
  reader.boolean("hour12");
  reader.text("hourCycle", "h11", "h12", "h23", "h24");
  reader.text("timeZone");
  for (const [name, allowed] of Object.entries(FIELDS)) reader.text(name, ...allowed);
  reader.number("fractionalSecondDigits", 1, 3);
  const formatMatcher = options.formatMatcher;
  if (formatMatcher !== undefined && !["basic", "best fit"].includes(String(formatMatcher))) throw new RangeError("Value out of range for Intl options property formatMatcher");
  reader.text("dateStyle", ...STYLES);
  reader.text("timeStyle", ...STYLES);
  const has = (names) => names.some((name) => read[name] !== undefined);
  if (has(["dateStyle", "timeStyle"])) {
    const field = [...Object.keys(FIELDS), "fractionalSecondDigits"].find((name) => read[name] !== undefined);
    if (field !== undefined) throw new TypeError(`Can't set option ${field} when ${read.dateStyle === undefined ? "timeStyle" : "dateStyle"} is used`);
    if (required === "date" && read.timeStyle !== undefined) throw new TypeError("Invalid option : timeStyle");
    if (required === "time" && read.dateStyle !== undefined) throw new TypeError("Invalid option : dateStyle");
    return read;
  }
  const present = (required !== "time" && has(DATE_FIELDS)) || (required !== "date" && has(TIME_FIELDS));
  if (!present && defaults !== "time") for (const name of ["year", "month", "day"]) read[name] = "numeric";
  if (!present && defaults !== "date") for (const name of ["hour", "minute", "second"]) read[name] = "numeric";
  return read;
}

/** A date argument in milliseconds. */
function timeOf(date) {
  const time = date === undefined ? Date.now() : Number(date);
  if (!(Math.abs(time) <= 8.64e15)) throw new RangeError("Invalid time value");
  return Math.trunc(time) + 0;
}

function rangeOf(start, end) {
  if (start === undefined || end === undefined) throw new TypeError("startDate or endDate cannot be undefined");
  return [timeOf(start), timeOf(end)];
}

class DateTimeFormat {
  #service;
  #format;
  constructor(locales = undefined, options = undefined) {
    this.#service = new Service("DateTimeFormat", locales, dateOptions(options, "any", "date"));
  }
  get format() {
    return (this.#format ??= (date) => this.#service.text([timeOf(date)]));
  }
  formatToParts(date) { return this.#service.parts([timeOf(date)]); }
  formatRange(start, end) { return this.#service.text(rangeOf(start, end)); }
  formatRangeToParts(start, end) { return this.#service.parts(rangeOf(start, end)); }
  resolvedOptions() { return this.#service.resolvedOptions(); }
}

/** For the methods of Date, which have defaults of their own. */
export function dateFormatOf(locales, options, required, defaults) {
  const service = new Service("DateTimeFormat", locales, dateOptions(options, required, defaults));
  return { format: (time) => service.text([time]) };
}

function numberOptions(given) {
  const reader = new Reader(coerced(given));
  const { read, options } = reader;
  reader.text("numberingSystem");
  const style = reader.text("style", "decimal", "percent", "currency", "unit");
  reader.text("currency");
  reader.text("currencyDisplay", "code", "symbol", "narrowSymbol", "name");
  reader.text("currencySign", "standard", "accounting");
  reader.text("unit");
  reader.text("unitDisplay", "short", "narrow", "long");
  if (style === "currency" && read.currency === undefined) throw new TypeError("Currency code is required with currency style.");
  if (style === "unit" && read.unit === undefined) throw new TypeError("Required unit is missing.");
  reader.text("notation", "standard", "scientific", "engineering", "compact");
  reader.digits();
  reader.text("compactDisplay", "short", "long");
  const grouping = options.useGrouping;
  if (grouping !== undefined) {
    const text = grouping === true ? "always" : grouping ? String(grouping) : "false";
    const named = text === "true" ? "auto" : text;
    if (!["min2", "auto", "always", "false"].includes(named)) throw new RangeError(`Value ${text.slice(0, 40)} out of range for Intl.NumberFormat options property useGrouping`);
    read.useGrouping = named;
  }
  reader.text("signDisplay", "auto", "never", "always", "exceptZero", "negative");
  return read;
}

class NumberFormat {
  #service;
  #format;
  constructor(locales = undefined, options = undefined) {
    this.#service = new Service("NumberFormat", locales, numberOptions(options));
  }
  get format() {
    return (this.#format ??= (value) => this.#service.text([numeric(value)]));
  }
  formatToParts(value) { return this.#service.parts([numeric(value)]); }
  formatRange() { throw new TypeError("Intl.NumberFormat.prototype.formatRange is not supported: format both ends"); }
  formatRangeToParts() { throw new TypeError("Intl.NumberFormat.prototype.formatRangeToParts is not supported: format both ends"); }
  resolvedOptions() { return this.#service.resolvedOptions(); }
}

export const numberFormatOf = (locales, options) => new NumberFormat(locales, options);

class PluralRules {
  #service;
  constructor(locales = undefined, options = undefined) {
    const reader = new Reader(coerced(options));
    reader.text("type", "cardinal", "ordinal");
    reader.digits();
    this.#service = new Service("PluralRules", locales, reader.read);
  }
  select(value) { return this.#service.text([numeric(Number(value))]); }
  selectRange() { throw new TypeError("Intl.PluralRules.prototype.selectRange is not supported: select for the end of the range"); }
  resolvedOptions() { return this.#service.resolvedOptions(); }
}

class ListFormat {
  #service;
  constructor(locales = undefined, options = undefined) {
    const reader = new Reader(objectOf(options));
    reader.text("type", "conjunction", "disjunction", "unit");
    reader.text("style", "long", "short", "narrow");
    this.#service = new Service("ListFormat", locales, reader.read);
  }
  format(list) { return this.#service.text(textsOf(list)); }
  formatToParts(list) { return this.#service.parts(textsOf(list)); }
  resolvedOptions() { return this.#service.resolvedOptions(); }
}

function textsOf(list) {
  if (list === undefined) return [];
  return Array.from(list, (element) => {
    if (typeof element !== "string") throw new TypeError("Iterable yielded a non-String value");
    return element.toWellFormed();
  });
}

class RelativeTimeFormat {
  #service;
  constructor(locales = undefined, options = undefined) {
    const reader = new Reader(coerced(options));
    reader.text("numberingSystem");
    reader.text("style", "long", "short", "narrow");
    reader.text("numeric", "always", "auto");
    this.#service = new Service("RelativeTimeFormat", locales, reader.read);
  }
  format(value, unit) { return this.#service.text(relative(value, unit)); }
  formatToParts(value, unit) {
    const name = String(unit).replace(/s$/, "");
    return this.#service.parts(relative(value, unit)).map((part) => (part.type === "literal" ? part : { ...part, unit: name }));
  }
  resolvedOptions() { return this.#service.resolvedOptions(); }
}

function relative(value, unit) {
  const number = Number(value);
  if (!Number.isFinite(number)) throw new RangeError("Invalid time value");
  return [numeric(number), String(unit)];
}

class DisplayNames {
  #service;
  constructor(locales, options) {
    if (options === undefined) throw new TypeError("The options of Intl.DisplayNames must have a type");
    const reader = new Reader(objectOf(options));
    reader.text("style", "narrow", "short", "long");
    if (reader.text("type", "language", "region", "script", "currency", "calendar", "dateTimeField") === undefined) {
      throw new TypeError("Required option \"type\" must not be undefined");
    }
    reader.text("fallback", "code", "none");
    reader.text("languageDisplay", "dialect", "standard");
    this.#service = new Service("DisplayNames", locales, reader.read);
  }
  of(code) { return this.#service.parts([String(code)])[0]?.value; }
  resolvedOptions() { return this.#service.resolvedOptions(); }
}

function collatorOptions(given) {
  const reader = new Reader(coerced(given));
  reader.text("usage", "sort", "search");
  reader.text("collation");
  reader.boolean("numeric");
  reader.text("caseFirst", "upper", "lower", "false");
  reader.text("sensitivity", "base", "accent", "case", "variant");
  reader.boolean("ignorePunctuation");
  return reader.read;
}

class Collator {
  #service;
  #compare;
  constructor(locales = undefined, options = undefined) {
    this.#service = new Service("Collator", locales, collatorOptions(options));
  }
  get compare() {
    return (this.#compare ??= (one, other) => this.#service.compare(String(one).toWellFormed(), String(other).toWellFormed()));
  }
  resolvedOptions() { return this.#service.resolvedOptions(); }
}

let lastKey;
let lastCollator;

/** Sorting asks for the same collator again and again: the last one is kept. */
export function collatorOf(locales, options) {
  if ((locales !== undefined && typeof locales !== "string") || options === null) return new Collator(locales, options);
  const key = options === undefined ? `${locales}` : `${locales} ${options.usage} ${options.collation} ${options.numeric} ${options.caseFirst} ${options.sensitivity} ${options.ignorePunctuation}`;
  if (key !== lastKey) {
    lastCollator = new Collator(locales, options);
    lastKey = key;
  }
  return lastCollator;
}

class Segmenter {
  #service;
  #granularity;
  constructor(locales = undefined, options = undefined) {
    const reader = new Reader(objectOf(options));
    this.#granularity = reader.text("granularity", "grapheme", "word", "sentence") ?? "grapheme";
    this.#service = new Service("Segmenter", locales, reader.read);
  }
  segment(input) {
    const text = String(input);
    return new Segments(text, this.#service.segments(text.toWellFormed()), this.#granularity === "word");
  }
  resolvedOptions() { return this.#service.resolvedOptions(); }
}

class Segments {
  #input;
  #lengths;
  #words;
  constructor(input, lengths, words) {
    this.#input = input;
    this.#lengths = lengths;
    this.#words = words;
  }
  #segment(index, length) {
    const segment = { segment: this.#input.slice(index, index + Math.abs(length)), index, input: this.#input };
    if (this.#words) segment.isWordLike = length < 0;
    return segment;
  }
  containing(position = 0) {
    const wanted = Math.trunc(Number(position)) || 0;
    let index = 0;
    for (const length of this.#lengths) {
      if (wanted >= index && wanted < index + Math.abs(length)) return this.#segment(index, length);
      index += Math.abs(length);
    }
    return undefined;
  }
  *[Symbol.iterator]() {
    let index = 0;
    for (const length of this.#lengths) {
      yield this.#segment(index, length);
      index += Math.abs(length);
    }
  }
}

const SPECIAL_CASES = new Set(["az", "el", "lt", "tr"]);

/** Only a few languages have rules of their own. */
export function caseConverter(text, upper, locales) {
  const tags = tagsOf(locales);
  const [locale] = tags.length === 0 ? [] : check(native.intlCanonical(tags));
  if (locale === undefined || !SPECIAL_CASES.has(locale.split("-")[0])) return upper ? text.toUpperCase() : text.toLowerCase();
  return check(native.intlCase([locale], upper, text.toWellFormed()));
}

/** All classes, finished: made when Intl is first used. */
export const makeClasses = () => ({
  Collator: finish(Collator, true),
  DateTimeFormat: finish(DateTimeFormat, true),
  DisplayNames: finish(DisplayNames),
  ListFormat: finish(ListFormat),
  NumberFormat: finish(NumberFormat, true),
  PluralRules: finish(PluralRules),
  RelativeTimeFormat: finish(RelativeTimeFormat),
  Segmenter: finish(Segmenter),
});
