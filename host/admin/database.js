// The tables of an app, and statements.

import { ask, inApp, send } from "./api.js";
import { field, form, h, replace, table } from "./dom.js";
import { time } from "./format.js";

const TABLES =
  "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";

export async function show({ app }) {
  const at = inApp(app, "db", "query");
  const [{ rows }, migrations] = await Promise.all([
    ask("POST", at, { body: { sql: TABLES, read_only: true } }),
    ask("GET", inApp(app, "db", "migrations")),
  ]);
  const statement = h("textarea", {
    name: "sql",
    class: "code",
    rows: 5,
    spellcheck: "false",
    required: true,
    "aria-label": "Statement",
  });
  const result = h("div", { class: "result", "aria-live": "polite" });
  const run = async () => {
    const answer = await send("POST", at, { body: { sql: statement.value, read_only: true } });
    replace(result, shown(JSON.parse(await answer.text(), exactly)));
  };
  const open = (name) =>
    h(
      "button",
      {
        type: "button",
        class: "plain",
        onclick: () => {
          statement.value = `SELECT * FROM "${name.replaceAll('"', '""')}" LIMIT 100`;
          statement.form.requestSubmit();
        },
      },
      name,
    );
  return [
    h("h1", {}, "Database"),
    h(
      "section",
      {},
      h("h2", {}, "Tables"),
      rows.length === 0
        ? h("p", { class: "empty" }, "There are none yet.")
        : h(
            "ul",
            { class: "tables" },
            rows.map(([name, type]) => h("li", {}, open(name), type === "view" && " (view)")),
          ),
    ),
    h(
      "section",
      {},
      h("h2", {}, "Statement"),
      form(
        {},
        run,
        field("One statement that only reads, with the rights of the app", statement),
        h("div", { class: "actions" }, h("button", {}, "Run")),
      ),
      result,
    ),
    h(
      "section",
      {},
      h("h2", {}, "Migrations"),
      table(
        "Migrations",
        [
          ["Name", (one) => h("code", {}, one.name)],
          ["Run", (one) => time(one.applied_at)],
          ["SHA-256", (one) => h("code", { title: one.checksum }, one.checksum.slice(0, 12))],
        ],
        migrations,
        "None was run yet: caddis db migrate does it.",
      ),
    ),
  ];
}

/** A number as it was sent, where a number of JavaScript is not exactly that. */
function exactly(_key, value, context) {
  return typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source)
    ? context.source
    : value;
}

function shown({ columns, rows }) {
  const cell = (index) => (row) => {
    const value = row[index];
    if (value === null) return h("em", {}, "null");
    return typeof value === "object" ? h("code", {}, `${value.base64}`) : String(value);
  };
  return [
    h("p", { class: "empty" }, `${rows.length} rows`),
    rows.length > 0 &&
      table(
        "Rows",
        columns.map((name, index) => [name, cell(index)]),
        rows,
        "",
      ),
  ];
}
