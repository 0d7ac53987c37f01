// Apps: each has its own functions, database, secrets and keys.

import { ask } from "./api.js";
import { button, confirm, field, form, h, link, notify, replace, table } from "./dom.js";
import { time } from "./format.js";
import { once } from "./tokens.js";

export async function show({ me, may, reload, refreshApps }) {
  const apps = await ask("GET", "/api/v1/apps");
  const all = may("admin") && !me.app;
  const remove = (one) =>
    button("Delete", { class: "small danger" }, async () => {
      if (
        !(await confirm(
          `The app ${one.name} is removed with its functions, its database, its secrets, its keys and its log.`,
          "Delete",
          one.name,
        ))
      )
        return;
      await ask("DELETE", `/api/v1/apps/${encodeURIComponent(one.name)}`);
      notify(`${one.name} is removed.`);
      await refreshApps();
      await reload();
    });
  const columns = [
    ["App", (one) => link(["apps", one.name, "functions"], { class: "strong" }, one.name)],
    [
      "Settings",
      (one) => link(["apps", one.name, "settings"], { "aria-label": `Settings of ${one.name}` }, "Settings"),
    ],
    ["Made", (one) => time(one.created_at)],
    [
      "Issuers of its users' tokens",
      (one) => (one.issuers ?? []).map((issuer) => issuer.issuer ?? "any").join(", ") || "itself",
    ],
    ...(may("admin") ? [["", (one) => one.name !== "default" && remove(one)]] : []),
  ];
  const made = h("div", { class: "result", "aria-live": "polite" });
  const list = h("div", {}, table("Apps", columns, apps, "There are none."));
  const create = async (sent) => {
    const name = new FormData(sent).get("name");
    const app = await ask("POST", "/api/v1/apps", { body: { name } });
    replace(made, once(`The secret that signs the tokens of ${app.name}'s users`, app.jwt_secret));
    await refreshApps();
    replace(list, table("Apps", columns, await ask("GET", "/api/v1/apps"), ""));
    sent.reset();
  };
  return [
    h("h1", {}, "Apps"),
    h("section", {}, list),
    all &&
      h(
        "section",
        {},
        h("h2", {}, "New app"),
        made,
        form(
          {},
          create,
          field(
            "Name",
            h("input", {
              name: "name",
              required: true,
              pattern: "[a-z0-9_\\-]{1,63}",
              autocomplete: "off",
              spellcheck: "false",
            }),
            "Lower-case letters, digits, - and _.",
          ),
          h("div", { class: "actions" }, h("button", {}, "Make it")),
        ),
      ),
  ];
}
