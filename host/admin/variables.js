// Secrets of an app and variables of a function: names and dates. Values go in and never come out.

import { ask, inApp } from "./api.js";
import { button, confirm, field, form, h, notify, table } from "./dom.js";
import { time } from "./format.js";

export async function ofApp(context) {
  const at = inApp(context.app, "secrets");
  return [
    h("h1", {}, "Secrets"),
    h(
      "p",
      {},
      `All functions of ${context.app} that may see variables have them from their next request on. Nobody can read a value here.`,
    ),
    await page(context, "Secrets", at, (changes) => ask("PUT", at, { body: changes })),
  ];
}

export async function ofFunction(context) {
  const at = inApp(context.app, "functions", context.name, "env");
  return [
    h(
      "p",
      {},
      "Only this function has them, from its next request on. One of the name of a secret of the app counts before it. Nobody can read a value here.",
    ),
    await page(context, "Variables", at, (changes) => ask("PATCH", at, { body: changes })),
  ];
}

async function page({ may, reload }, caption, at, change) {
  const found = await ask("GET", at);
  const remove = (name) =>
    button("Remove", { class: "small danger" }, async () => {
      if (!(await confirm(`Functions that use ${name} will do without it.`, "Remove"))) return;
      await change({ [name]: null });
      notify(`${name} is removed.`);
      await reload();
    });
  const columns = [
    ["Name", (one) => h("code", {}, one.name)],
    ["Set", (one) => time(one.updated_at)],
    ...(may("deploy") ? [["", (one) => remove(one.name)]] : []),
  ];
  const set = async (sent) => {
    const { name, value } = Object.fromEntries(new FormData(sent));
    await change({ [name]: value });
    notify(`${name} is set.`);
    await reload();
  };
  return h(
    "section",
    {},
    table(caption, columns, found, "There are none."),
    may("deploy") &&
      form(
        { autocomplete: "off" },
        set,
        h(
          "div",
          { class: "row" },
          field(
            "Name",
            h("input", {
              name: "name",
              required: true,
              pattern: "[A-Za-z_][A-Za-z0-9_]{0,255}",
              autocomplete: "off",
              spellcheck: "false",
            }),
            "A new one, or one that gets another value.",
          ),
          field(
            "Value",
            h("textarea", {
              name: "value",
              rows: 1,
              class: "veiled",
              placeholder: " ",
              autocomplete: "off",
              spellcheck: "false",
            }),
          ),
        ),
        h("div", { class: "actions" }, h("button", {}, "Set")),
      ),
  );
}
