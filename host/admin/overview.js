// One function at a glance.

import { ask, inApp, query } from "./api.js";
import { chart } from "./chart.js";
import { choice, copier, facts, h, link } from "./dom.js";
import { bytes, count, duration, percent, time } from "./format.js";
import { list } from "./executions.js";
import { PERIODS } from "./functions.js";

let hours = "24";

/** Where a function is called. */
export function url(me, app, name) {
  return app === "default" ? `${me.url}/functions/v1/${name}` : `${me.url}/v1/${app}/fn/${name}`;
}

export async function show({ me, app, name, reload }) {
  const at = inApp(app, "functions", name);
  const [one, stats, latest] = await Promise.all([
    ask("GET", at),
    ask("GET", query(`${at}/stats`, { hours, hourly: true })),
    ask("GET", query(`${at}/executions`, { limit: 5 })),
  ]);
  const figure = (label, value, bad) =>
    h("div", { class: bad ? "figure bad" : "figure" }, h("dt", {}, label), h("dd", {}, value));
  const here = url(me, app, name);
  return [
    h(
      "section",
      {},
      h(
        "div",
        { class: "head" },
        h("h2", {}, "Calls"),
        choice(
          {
            "aria-label": "Period",
            onchange: (event) => {
              hours = event.target.value;
              reload();
            },
          },
          PERIODS,
          hours,
        ),
      ),
      h(
        "dl",
        { class: "figures" },
        figure("Calls", count(stats.count)),
        figure("Failed", percent(stats.error_rate), stats.errors > 0),
        figure("Timed out", count(stats.timeouts), stats.timeouts > 0),
        figure("p50", duration(stats.p50_ms)),
        figure("p95", duration(stats.p95_ms)),
        figure("p99", duration(stats.p99_ms)),
      ),
      stats.count > 0 ? chart(stats) : h("p", { class: "empty" }, "There were no calls in this time."),
    ),
    h(
      "section",
      {},
      h("h2", {}, "Function"),
      facts([
        ["URL", [h("code", {}, here), " ", copier(here)]],
        [
          "State",
          h(
            "span",
            { class: one.enabled ? "status success" : "status off" },
            one.enabled ? "enabled" : "disabled: answers 404",
          ),
        ],
        ["Access", access(one.access)],
        ["Description", one.description],
        ["Version", `${one.version}, ${one.kind}`],
        ["Size", bytes(one.size_bytes)],
        ["Deployed", [time(one.updated_at), ` by ${one.created_by}`]],
        ["Limits", `${one.timeout_seconds} s, ${one.memory_limit_mb} MiB, ${one.fuel.toLocaleString()} units of fuel`],
        ["Last call", time(stats.last_invocation)],
      ]),
    ),
    h(
      "section",
      {},
      h(
        "div",
        { class: "head" },
        h("h2", {}, "Latest executions"),
        latest.length > 0 && link(["apps", app, "functions", name, "executions"], {}, "All executions"),
      ),
      list(app, name, latest, "Nothing has run yet, or nothing of it is kept."),
    ),
  ];
}

function access({ policy, groups, metadata }) {
  if (policy === "group") return `users in ${groups.join(" or ")}`;
  if (policy === "metadata") return `users with ${JSON.stringify(metadata)}`;
  return (
    {
      public: "public: everybody",
      key: "whoever has a token or a key, the anon key too",
      authenticated: "authenticated: whoever has a token or a key",
    }[policy] ?? policy
  );
}
