// Values as people read them, with the exact value beside them.

import { h } from "./dom.js";

const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const number = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

/** Stands for what is not there. */
export const NONE = "–";

/** A time in the zone of the reader; the exact one is in its title. */
export function time(text) {
  if (!text) return NONE;
  return h("time", { datetime: text, title: text }, day.format(new Date(text)));
}

/** A time to the second, for lines of a log. */
export function clock(text) {
  return h("time", { datetime: text, title: text }, new Date(text).toLocaleTimeString());
}

/** A count in a few digits. */
export function count(value) {
  return h("span", { title: number.format(value) }, value < 10_000 ? number.format(value) : compact.format(value));
}

/** Bytes in a unit that fits. */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB"];
  const unit = value > 0 ? Math.min(Math.floor(Math.log2(value) / 10), units.length - 1) : 0;
  const scaled = value / 1024 ** unit;
  return h(
    "span",
    { title: `${number.format(value)} bytes` },
    `${scaled.toFixed(unit > 0 && scaled < 100 ? 1 : 0)} ${units[unit]}`,
  );
}

/** Milliseconds in a unit that fits. */
export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return NONE;
  return h(
    "span",
    { title: `${milliseconds} ms` },
    milliseconds < 1000
      ? `${Number(milliseconds.toPrecision(3))} ms`
      : `${Number((milliseconds / 1000).toPrecision(3))} s`,
  );
}

/** A share of one. */
export function percent(share) {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

/** How an execution ended. */
export function status(execution) {
  return h("span", { class: `status ${execution.status}` }, execution.status);
}
