// What ran.

import { ask, inApp, query, send } from "./api.js";
import { attempt, button, choice, field, form, h, line, link, replace, table } from "./dom.js";
import { duration, NONE, status, time } from "./format.js";

const PAGE = 50;

/** What is asked for, while this page is open. */
const wanted = { status: "", trigger_type: "", since: "" };

export async function show({ app, name }) {
  const at = `${inApp(app, "functions", name)}/executions`;
  const filters = () => ({ ...wanted, since: wanted.since && new Date(wanted.since).toISOString() });
  const result = h("div", { class: "result" });
  let shown = new Set();
  const page = async (offset) => {
    const rows = await ask("GET", query(at, { ...filters(), limit: PAGE, offset }));
    more.hidden = rows.length < PAGE;
    return rows;
  };
  const more = button("Older", { hidden: true }, async () => {
    // What has ended meanwhile has moved the rest.
    const rows = (await page(shown.size)).filter((row) => !shown.has(row.id));
    rows.forEach((row) => shown.add(row.id));
    result.querySelector("tbody").append(...rows.map((row) => line(columns(app, name), row)));
  });
  let turn = 0;
  const refresh = async () => {
    turn += 1;
    const mine = turn;
    const rows = await page(0);
    if (mine !== turn) return;
    shown = new Set(rows.map((row) => row.id));
    const none = Object.values(wanted).some(Boolean)
      ? "No execution that is kept is like that."
      : "Nothing has run yet, or nothing of it is kept.";
    replace(result, list(app, name, rows, none));
  };
  const set = (key) => ({
    name: key,
    onchange: (event) => {
      wanted[key] = event.target.value;
      attempt(result, refresh);
    },
  });
  const save = async (format) => {
    const file = await (await send("GET", query(`${at}/export`, { ...filters(), format }))).blob();
    const target = h("a", { href: URL.createObjectURL(file), download: `${name}-executions.${format}` });
    target.click();
    URL.revokeObjectURL(target.href);
  };
  await refresh();
  return h(
    "section",
    {},
    form(
      { class: "filters" },
      refresh,
      field("Status", choice(set("status"), [["", "all"], "success", "error", "timeout"], wanted.status)),
      field(
        "Started by",
        choice(
          set("trigger_type"),
          [
            ["", "anything"],
            ["http", "a request"],
            ["cron", "a schedule"],
            ["trigger", "an event"],
          ],
          wanted.trigger_type,
        ),
      ),
      field("Since", h("input", { type: "datetime-local", value: wanted.since, ...set("since") })),
      h(
        "div",
        { class: "actions" },
        h("button", {}, "Refresh"),
        button("CSV", { class: "plain" }, () => save("csv")),
        button("JSON lines", { class: "plain" }, () => save("jsonl")),
      ),
    ),
    result,
    more,
  );
}

/** Executions as a table. */
export function list(app, name, rows, empty) {
  return table("Executions", columns(app, name), rows, empty);
}

function columns(app, name) {
  return [
    ["Began", (row) => link(["apps", app, "functions", name, "executions", row.id], {}, time(row.executed_at))],
    ["Status", status],
    ["Answered", (row) => row.status_code ?? NONE],
    [
      "Request",
      (row) =>
        h("span", { class: "path" }, row.trigger_type === "http" ? `${row.method} ${row.path}` : row.trigger_type),
    ],
    ["By", (row) => row.user_id ?? "nobody"],
    ["Took", (row) => duration(row.duration_ms)],
    ["Version", (row) => row.function_version],
  ];
}
