// Keys of an app: with which programs and pages call its functions.

import { ask, inApp } from "./api.js";
import { button, confirm, copier, facts, field, form, h, notify, replace, table } from "./dom.js";
import { time } from "./format.js";
import { once } from "./tokens.js";

export async function show({ app, may, reload }) {
  const at = inApp(app, "api-keys");
  const [keys, project] = await Promise.all([
    ask("GET", at),
    may("deploy") ? ask("GET", inApp(app, "project")) : undefined,
  ]);
  const revoke = (one) =>
    button("Revoke", { class: "small danger" }, async () => {
      if (!(await confirm(`Programs with the key ${one.name} can do nothing with it from now on.`, "Revoke"))) return;
      await ask("DELETE", `${at}/${encodeURIComponent(one.id)}`);
      notify(`${one.name} is revoked.`);
      await reload();
    });
  const columns = [
    ["Name", (one) => h("strong", {}, one.name)],
    ["Made", (one) => time(one.created_at)],
    ...(may("admin") ? [["", revoke]] : []),
  ];
  const list = h("div", {}, table("API keys", columns, keys, "There are none."));
  const made = h("div", { class: "result", "aria-live": "polite" });
  const create = async (sent) => {
    const key = await ask("POST", at, { body: { name: new FormData(sent).get("name") } });
    replace(made, once(`The key ${key.name}`, key.key));
    replace(list, table("API keys", columns, await ask("GET", at), ""));
    sent.reset();
  };
  return [
    h("h1", {}, "Keys"),
    project &&
      h(
        "section",
        {},
        h("h2", {}, "For pages"),
        facts([
          ["URL", [h("code", {}, project.url), " ", copier(project.url)]],
          ["anon key", [h("code", {}, project.anon_key), " ", copier(project.anon_key)]],
        ]),
        h("p", { class: "empty" }, "What createClient of Supabase's clients takes. Both are public."),
      ),
    h(
      "section",
      {},
      h("h2", {}, "For programs"),
      h("p", {}, "A key acts for the app: row-level security does not hold for it."),
      list,
      made,
      may("admin") &&
        form(
          {},
          create,
          field("Name", h("input", { name: "name", required: true, maxlength: 100, autocomplete: "off" })),
          h("div", { class: "actions" }, h("button", {}, "Make a key")),
        ),
    ),
  ];
}
