// The tables of an app, and statements.

import { ask, inApp } from "./api.js";
import { field, form, h, replace, table } from "./dom.js";

const TABLES = "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";

export async function show({ app }) {
  const at = inApp(app, "db", "query");
  const { rows } = await ask("POST", at, { body: { sql: TABLES } });
  const statement = h("textarea", { name: "sql", class: "code", rows: 5, spellcheck: "false", required: true, "aria-label": "Statement" });
  const result = h("div", { class: "result", "aria-live": "polite" });
  const run = async () => {
    const answer = await ask("POST", at, { body: { sql: statement.value, read_only: true } });
    replace(result, shown(answer));
  };
  const open = (name) => h("button", { type: "button", class: "plain", onclick: () => {
    statement.value = `SELECT * FROM "${name.replaceAll('"', '""')}" LIMIT 100`;
    statement.form.requestSubmit();
  } }, name);
  return [
    h("h1", {}, "Database"),
    h("section", {}, h("h2", {}, "Tables"), rows.length === 0 ? h("p", { class: "empty" }, "There are none yet.") : h("ul", { class: "tables" }, rows.map(([name, type]) => h("li", {}, open(name), type === "view" && " (view)")))),
    h("section", {}, h("h2", {}, "Statement"),
      form({}, run, field("One statement that only reads, with the rights of the app", statement), h("div", { class: "actions" }, h("button", {}, "Run"))),
      result),
  ];
}

function shown({ columns, rows }) {
  const cell = (index) => (row) => {
    const value = row[index];
    if (value === null) return h("em", {}, "null");
    return typeof value === "object" ? h("code", {}, `${value.base64}`) : String(value);
  };
  return [h("p", { class: "empty" }, `${rows.length} rows`), rows.length > 0 && table("Rows", columns.map((name, index) => [name, cell(index)]), rows, "")];
}
