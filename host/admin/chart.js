// Calls, failures and durations over time, drawn here.

import { h, svg, table } from "./dom.js";
import { count, duration, time } from "./format.js";

const WIDTH = 720;
const CALLS = 120;
const TIMES = 80;
const GAP = 22;
const HOUR = 3_600_000;

/** A drawing of statistics by the hour, with their table below it. */
export function chart({ hours, hourly }, now = Date.now()) {
  const step = hours <= 24 ? 1 : hours <= 168 ? 6 : 24;
  const bars = divide(hours, hourly, step, now);
  const most = Math.max(1, ...bars.map((bar) => bar.count));
  const slowest = Math.max(1, ...bars.map((bar) => bar.p99 ?? 0));
  const wide = WIDTH / bars.length;
  const height = CALLS + GAP + TIMES;
  const picture = svg(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${WIDTH} ${height}`,
      role: "img",
      "aria-label": summary(bars, step),
      preserveAspectRatio: "none",
    },
    bars.map((bar, index) => column(bar, index * wide, wide, most)),
    svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: CALLS, y2: CALLS }),
    line(bars, "p99", "late", wide, slowest, height),
    line(bars, "p50", "usual", wide, slowest, height),
    svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: height, y2: height }),
  );
  const worst = step > 1 ? " of the worst hour" : "";
  const label = (time) =>
    new Date(time).toLocaleString(
      undefined,
      step < 24 ? { weekday: "short", hour: "2-digit", minute: "2-digit" } : { dateStyle: "short" },
    );
  return h(
    "figure",
    { class: "graph" },
    h(
      "figcaption",
      {},
      h("span", { class: "key calls" }, `answered calls (to ${most.toLocaleString()})`),
      h("span", { class: "key failed" }, "failed"),
      h("span", { class: "key usual" }, `p50${worst}`),
      h("span", { class: "key late" }, `p99${worst} (to ${Math.round(slowest).toLocaleString()} ms)`),
    ),
    picture,
    h("div", { class: "ends" }, h("span", {}, label(bars[0].start)), h("span", {}, "now")),
    h("details", {}, h("summary", {}, "As a table"), numbers(bars, worst)),
  );
}

function numbers(bars, worst) {
  const columns = [
    ["From", (bar) => time(new Date(bar.start).toISOString())],
    ["Calls", (bar) => count(bar.count)],
    ["Failed", (bar) => count(bar.errors)],
    [`p50${worst}`, (bar) => duration(bar.p50)],
    [`p99${worst}`, (bar) => duration(bar.p99)],
  ];
  return table(
    "Calls by time",
    columns,
    bars.filter((bar) => bar.count > 0),
    "There were none.",
  );
}

/** Hours put together into bars. Percentiles of several hours are the worst of them. */
function divide(hours, hourly, step, now) {
  const number = Math.ceil(hours / step);
  const end = (Math.floor(now / HOUR) + 1) * HOUR;
  const start = end - number * step * HOUR;
  const bars = Array.from({ length: number }, (_, index) => ({
    start: start + index * step * HOUR,
    count: 0,
    errors: 0,
  }));
  for (const hour of hourly) {
    const bar = bars[Math.floor((Date.parse(hour.hour) - start) / (step * HOUR))];
    if (!bar) continue;
    bar.count += hour.count;
    bar.errors += hour.errors;
    bar.p50 = Math.max(bar.p50 ?? 0, hour.p50_ms);
    bar.p99 = Math.max(bar.p99 ?? 0, hour.p99_ms);
  }
  return bars;
}

function column(bar, x, wide, most) {
  const high = (value) => (value / most) * (CALLS - 4);
  const good = high(bar.count - bar.errors);
  const bad = high(bar.errors);
  const times = bar.count > 0 ? `, p50 ${bar.p50} ms, p99 ${bar.p99} ms` : "";
  return svg(
    "g",
    {},
    svg("title", {}, `${new Date(bar.start).toLocaleString()}: ${bar.count} calls, ${bar.errors} failed${times}`),
    svg("rect", { class: "space", x, y: 0, width: wide, height: CALLS + GAP + TIMES }),
    good > 0 && svg("rect", { class: "calls", x: x + wide * 0.12, y: CALLS - good, width: wide * 0.76, height: good }),
    bad > 0 &&
      svg("rect", { class: "failed", x: x + wide * 0.12, y: CALLS - good - bad, width: wide * 0.76, height: bad }),
  );
}

/** A line through the hours that had calls, broken where there were none. */
function line(bars, of, kind, wide, slowest, height) {
  const runs = [];
  bars.forEach((bar, index) => {
    if (bar[of] === undefined) return;
    const at = [(index + 0.5) * wide, height - 2 - (bar[of] / slowest) * (TIMES - 6)];
    if (index > 0 && bars[index - 1][of] !== undefined) runs.at(-1).push(at);
    else runs.push([[at[0] - wide * 0.3, at[1]], at]);
    if (bars[index + 1]?.[of] === undefined) runs.at(-1).push([at[0] + wide * 0.3, at[1]]);
  });
  return runs.map((run) => svg("polyline", { class: kind, points: run.map((point) => point.join(",")).join(" ") }));
}

function summary(bars, step) {
  const total = bars.reduce((sum, bar) => sum + bar.count, 0);
  const failed = bars.reduce((sum, bar) => sum + bar.errors, 0);
  return `Calls, failures and durations in steps of ${step === 1 ? "an hour" : `${step} hours`}: ${total} calls, ${failed} failed.`;
}
