// The Intl object.

import { native } from "./native.js";
import { check, tagsOf } from "./intl-options.js";
import { Locale } from "./intl-locale.js";
import { makeClasses } from "./intl-services.js";

const functions = {
  getCanonicalLocales(locales = undefined) { return check(native.intlCanonical(tagsOf(locales))); },
  supportedValuesOf(key) { return check(native.intlValues(String(key))); },
};

/** The object, with its classes. */
export function makeIntl() {
  const intl = {};
  for (const [name, value] of Object.entries({ ...functions, ...makeClasses(), Locale })) {
    Object.defineProperty(intl, name, { value, writable: true, configurable: true, enumerable: false });
  }
  Object.defineProperty(intl, Symbol.toStringTag, { value: "Intl", configurable: true });
  return intl;
}
