// Intl and the toLocale* methods. The classes read options; the host formats. Nothing is made until it is used, so that images stay small.

import { defineGlobals } from "./native.js";
import { caseConverter, collatorOf, dateFormatOf, numberFormatOf } from "./intl-services.js";
import { makeIntl } from "./intl-namespace.js";

Object.defineProperty(globalThis, "Intl", {
  get() {
    defineGlobals({ Intl: makeIntl() });
    return globalThis.Intl;
  },
  set(value) { defineGlobals({ Intl: value }); },
  configurable: true,
  enumerable: false,
});

/** Replaces methods of a prototype, as methods are. */
function replace(prototype, methods) {
  for (const [name, value] of Object.entries(Object.getOwnPropertyDescriptors(methods))) {
    Object.defineProperty(prototype, name, { ...value, enumerable: false });
  }
}

const { toString: dateString, toTimeString: timeString, valueOf: dateValue } = Date.prototype;

/** With the name of the zone, as other engines write it. */
const withZone = (text) => (text.endsWith("+0000") ? `${text} (Coordinated Universal Time)` : text);
const { valueOf: numberValue } = Number.prototype;
const { valueOf: bigintValue } = BigInt.prototype;

function dateText(date, required, defaults, locales, options) {
  const time = dateValue.call(date);
  return Number.isNaN(time) ? "Invalid Date" : dateFormatOf(locales, options, required, defaults).format(time);
}

replace(Date.prototype, {
  toString() { return withZone(dateString.call(this)); },
  toTimeString() { return withZone(timeString.call(this)); },
  toLocaleString(locales = undefined, options = undefined) { return dateText(this, "any", "all", locales, options); },
  toLocaleDateString(locales = undefined, options = undefined) { return dateText(this, "date", "date", locales, options); },
  toLocaleTimeString(locales = undefined, options = undefined) { return dateText(this, "time", "time", locales, options); },
});

replace(Number.prototype, {
  toLocaleString(locales = undefined, options = undefined) { return numberFormatOf(locales, options).format(numberValue.call(this)); },
});

replace(BigInt.prototype, {
  toLocaleString(locales = undefined, options = undefined) { return numberFormatOf(locales, options).format(bigintValue.call(this)); },
});

/** The elements of an array or typed array, each in its locale's form. */
function listText(list, locales, options) {
  const text = (element) => (element === undefined || element === null ? "" : String(element.toLocaleString(locales, options)));
  return Array.from(list, text).join(",");
}

const TypedArray = Object.getPrototypeOf(Uint8Array);
for (const { prototype } of [Array, TypedArray]) {
  replace(prototype, {
    toLocaleString(locales = undefined, options = undefined) { return listText(this, locales, options); },
  });
}

/** What RequireObjectCoercible and ToString do to the receiver of a string method. */
function receiver(value, name) {
  if (value === undefined || value === null) throw new TypeError(`String.prototype.${name} called on null or undefined`);
  return String(value);
}

replace(String.prototype, {
  localeCompare(that, locales = undefined, options = undefined) {
    return collatorOf(locales, options).compare(receiver(this, "localeCompare"), that);
  },
  toLocaleUpperCase(locales = undefined) {
    return caseConverter(receiver(this, "toLocaleUpperCase"), true, locales);
  },
  toLocaleLowerCase(locales = undefined) {
    return caseConverter(receiver(this, "toLocaleLowerCase"), false, locales);
  },
});
