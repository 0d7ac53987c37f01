// The functions of an app.

import { ask, inApp, query } from "./api.js";
import { choice, h, link, table } from "./dom.js";
import { count, duration, NONE, percent, time } from "./format.js";

/** Hours that statistics are about. */
export const PERIODS = [
  ["24", "24 hours"],
  ["168", "7 days"],
  ["720", "30 days"],
];

let hours = "24";

export async function show({ app, may, reload }) {
  const [functions, stats] = await Promise.all([
    ask("GET", inApp(app, "functions")),
    ask("GET", query(inApp(app, "stats"), { hours })),
  ]);
  const of = (one) => stats[one.name] ?? { count: 0, error_rate: 0 };
  const columns = [
    ["Function", (one) => link(["apps", app, "functions", one.name], { class: "strong" }, one.name)],
    [
      "State",
      (one) =>
        h("span", { class: one.enabled ? "status success" : "status off" }, one.enabled ? "enabled" : "disabled"),
    ],
    ["Access", (one) => one.access.policy],
    ["Version", (one) => one.version],
    ["Calls", (one) => count(of(one).count)],
    [
      "Failed",
      (one) =>
        of(one).count > 0
          ? h(
              "span",
              { class: of(one).errors > 0 ? "bad" : null, title: `${of(one).errors} of ${of(one).count}` },
              percent(of(one).error_rate),
            )
          : NONE,
    ],
    ["p50", (one) => duration(of(one).p50_ms)],
    ["p99", (one) => duration(of(one).p99_ms)],
    ["Last call", (one) => time(of(one).last_invocation)],
  ];
  const period = choice(
    {
      "aria-label": "Period",
      onchange: (event) => {
        hours = event.target.value;
        reload();
      },
    },
    PERIODS,
    hours,
  );
  return [
    h(
      "div",
      { class: "head" },
      h("h1", {}, "Functions"),
      h(
        "div",
        { class: "actions" },
        period,
        may("deploy") && link(["apps", app, "new"], { class: "button" }, "New function"),
      ),
    ),
    table(
      "Functions",
      columns,
      functions,
      may("deploy")
        ? "There are no functions in this app yet. Make one with New function, or deploy it by the management API."
        : "There are no functions in this app yet.",
    ),
  ];
}
