// Writes what ICU4X has no data for: patterns.txt, the Gregorian date and time patterns of CLDR (skeletons, styles, intervals) and some
// symbols of numbers, and
// units.txt, the units of ECMA-402.
//
//   npm install --no-save cldr-core@48 cldr-dates-full@48 cldr-numbers-full@48 cldr-units-full@48 && node patterns.mjs
//
// A section `@locale parent` holds what differs from the section of the parent. CLDR is under the Unicode licence (NOTICE).

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(`${process.cwd()}/`));
const parents = require("cldr-core/supplemental/parentLocales.json").supplemental.parentLocales.parentLocale;
const available = new Set(require("cldr-core/availableLocales.json").availableLocales.full);
const levels = require("cldr-core/coverageLevels.json").effectiveCoverageLevels;

/** CLDR's default calendar of these languages is not the Gregorian one, or their data is not complete. */
const LEFT_OUT = new Set(["und", "be", "chr", "en-Dsrt", "fa", "hi-Latn", "pcm", "shn", "th"]);
const WIDTHS = ["full", "long", "medium", "short"];
const NAMES = { year: "Year", month: "Month", day: "Day", hour: "Hour", minute: "Minute", second: "Second" };

const load = (locale, file) => require(`cldr-dates-full/main/${locale}/${file}.json`).main[locale].dates;

function parentOf(locale) {
  if (locale === "und") return undefined;
  if (parents[locale]) return parents[locale];
  const cut = locale.lastIndexOf("-");
  const shorter = cut < 0 ? "und" : locale.slice(0, cut);
  return shorter === "und" || available.has(shorter) ? shorter : parentOf(shorter);
}

function entriesOf(locale) {
  const gregorian = load(locale, "ca-gregorian").calendars.gregorian;
  const fields = load(locale, "dateFields").fields;
  const formats = gregorian.dateTimeFormats;
  const entries = {};
  for (const width of WIDTHS) {
    entries[`date/${width}`] = gregorian.dateFormats[width];
    entries[`time/${width}`] = gregorian.timeFormats[width];
    entries[`join/${width}`] = gregorian["dateTimeFormats-atTime"].standard[width];
    entries[`list/${width}`] = formats[width];
  }
  for (const [skeleton, pattern] of Object.entries(formats.availableFormats)) {
    if (/^[GyMLdEhHmsv]+$/.test(skeleton)) entries[`skeleton/${skeleton}`] = pattern;
  }
  for (const [field, pattern] of Object.entries(formats.appendItems)) {
    if (!/Quarter|Week$/.test(field)) entries[`append/${field}`] = pattern;
  }
  for (const [field, name] of Object.entries(NAMES)) entries[`name/${name}`] = fields[field].displayName;
  for (const name of ["am", "pm"]) entries[`name/${name}`] = gregorian.dayPeriods.format.abbreviated[name];
  for (const [skeleton, patterns] of Object.entries(formats.intervalFormats)) {
    if (skeleton === "intervalFormatFallback") entries["interval/fallback"] = patterns;
    else if (/^[yMdEhHmv]+$/.test(skeleton)) {
      for (const [field, pattern] of Object.entries(patterns)) {
        if (field.length === 1) entries[`interval/${skeleton}/${field}`] = pattern;
      }
    }
  }
  const symbols = require(`cldr-numbers-full/main/${locale}/numbers.json`).main[locale].numbers["symbols-numberSystem-latn"];
  for (const name of ["exponential", "infinity", "nan", "currencyGroup"]) entries[`symbol/${name}`] = symbols?.[name];
  entries["symbol/codes"] = codesOf(locale).join(" ");
  return entries;
}

const currencies = (locale) => require(`cldr-numbers-full/main/${locale}/currencies.json`).main[locale].numbers.currencies;

/** Currencies that have a symbol elsewhere, and are written as their code in this locale: ICU4X inherits the symbol. */
function codesOf(locale) {
  const root = currencies("und");
  return Object.entries(currencies(locale)).filter(([code, { symbol }]) => symbol === code && root[code]?.symbol !== code).map(([code]) => code).sort();
}

function chosen(locale) {
  const language = locale.split("-")[0];
  return available.has(locale) && levels[language] === "modern" && !LEFT_OUT.has(locale) && !LEFT_OUT.has(language);
}

const locales = new Set(["und"]);
for (const locale of [...available].sort()) {
  if (!chosen(locale)) continue;
  const chain = [];
  for (let at = locale; at !== undefined && !locales.has(at); at = parentOf(at)) chain.unshift(at);
  for (const at of chain) locales.add(at);
}

const UNITS = Object.fromEntries(`angle-degree area-acre area-hectare concentr-percent digital-bit digital-byte digital-gigabit
digital-gigabyte digital-kilobit digital-kilobyte digital-megabit digital-megabyte digital-petabyte digital-terabit digital-terabyte
duration-day duration-hour duration-microsecond duration-millisecond duration-minute duration-month duration-nanosecond
duration-second duration-week duration-year length-centimeter length-foot length-inch length-kilometer length-meter length-mile
length-mile-scandinavian length-millimeter length-yard mass-gram mass-kilogram mass-ounce mass-pound mass-stone
speed-kilometer-per-hour speed-meter-per-second speed-mile-per-hour temperature-celsius temperature-fahrenheit volume-fluid-ounce
volume-gallon volume-liter volume-milliliter`.split(/\s+/).map((unit) => [unit, unit.slice(unit.indexOf("-") + 1)]));

function unitsOf(locale) {
  const all = require(`cldr-units-full/main/${locale}/units.json`).main[locale].units;
  const entries = {};
  for (const width of ["long", "short", "narrow"]) {
    entries[`${width}/per`] = all[width].per.compoundUnitPattern;
    for (const [unit, name] of Object.entries(UNITS)) {
      for (const [key, pattern] of Object.entries(all[width][unit] ?? {})) {
        const count = /^unitPattern-count-(\w+)$/.exec(key)?.[1];
        if (count !== undefined) entries[`${width}/${name}/${count}`] = pattern;
        if (key === "perUnitPattern") entries[`${width}/${name}/per`] = pattern;
      }
    }
  }
  return entries;
}

function write(file, entriesOf) {
  const lines = [];
  for (const locale of locales) {
    const parent = parentOf(locale);
    const inherited = parent === undefined ? {} : entriesOf(parent);
    lines.push(`@${locale} ${parent ?? ""}`.trimEnd());
    const own = entriesOf(locale);
    for (const key of Object.keys({ ...inherited, ...own }).sort()) {
      if (own[key] !== inherited[key]) lines.push(`${key}\t${own[key] ?? ""}`);
    }
  }
  writeFileSync(new URL(file, import.meta.url), `${lines.join("\n")}\n`);
}

write("patterns.txt", entriesOf);
write("units.txt", unitsOf);
