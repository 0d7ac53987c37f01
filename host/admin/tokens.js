// Who else may manage.

import { ask } from "./api.js";
import { button, choice, confirm, copier, field, form, h, notify, replace, table } from "./dom.js";
import { time } from "./format.js";

export async function show({ me, reload }) {
  const [tokens, apps] = await Promise.all([ask("GET", "/api/v1/tokens"), ask("GET", "/api/v1/apps")]);
  const revoke = (one) =>
    button("Revoke", { class: "small danger" }, async () => {
      if (!(await confirm(`Whoever has the token ${one.name} can do nothing with it from now on.`, "Revoke"))) return;
      await ask("DELETE", `/api/v1/tokens/${encodeURIComponent(one.id)}`);
      notify(`${one.name} is revoked.`);
      await reload();
    });
  const columns = [
    ["Name", (one) => h("strong", {}, one.name)],
    ["Scope", (one) => one.scope],
    ["App", (one) => one.app ?? "all"],
    ["Rate", (one) => one.rate_limit ?? "the host's"],
    ["Made", (one) => time(one.created_at)],
    ["", (one) => (one.id === me.id ? "yours" : revoke(one))],
  ];
  const made = h("div", { class: "result", "aria-live": "polite" });
  const list = h("div", {}, table("Tokens", columns, tokens, "There are none besides the admin token."));
  const create = async (sent) => {
    const { name, scope, app } = Object.fromEntries(new FormData(sent));
    const token = await ask("POST", "/api/v1/tokens", { body: { name, scope, app: app || null } });
    replace(made, once(`The token ${token.name}`, token.token));
    replace(list, table("Tokens", columns, await ask("GET", "/api/v1/tokens"), ""));
    sent.reset();
  };
  return [
    h("h1", {}, "Tokens"),
    h("section", {}, list),
    h(
      "section",
      {},
      h("h2", {}, "New token"),
      made,
      form(
        {},
        create,
        h(
          "div",
          { class: "row" },
          field("Name", h("input", { name: "name", required: true, maxlength: 100, autocomplete: "off" })),
          field(
            "Scope",
            choice(
              { name: "scope" },
              [
                ["read", "read: see what is not secret"],
                ["deploy", "deploy: also functions, secrets, the database"],
                ["admin", "admin: also apps, keys and tokens"],
              ],
              "deploy",
            ),
          ),
          field(
            "App",
            choice(
              { name: "app" },
              me.app ? [me.app] : [["", "all apps"], ...apps.map((one) => one.name)],
              me.app ?? "",
            ),
          ),
        ),
        h("div", { class: "actions" }, h("button", {}, "Make it")),
      ),
    ),
  ];
}

/** What is shown only now. */
export function once(label, value) {
  return h(
    "div",
    { class: "once" },
    h("p", {}, `${label} is shown only now: copy it.`),
    h("code", {}, value),
    " ",
    copier(value),
  );
}
