// Versions that are kept: roll back, or let another one have a share of the requests.

import { ask, inApp } from "./api.js";
import { button, confirm, form, h, notify, table } from "./dom.js";
import { bytes, time } from "./format.js";

export async function show({ app, name, may, reload }) {
  const at = inApp(app, "functions", name);
  const versions = await ask("GET", `${at}/versions`);
  const back = (one) =>
    button("Roll back", { class: "small" }, async () => {
      if (
        !(await confirm(
          `Version ${one.version} gets all requests from now on. Requests that run end where they are.`,
          "Roll back",
        ))
      )
        return;
      await ask("POST", `${at}/rollback`, { body: { version: one.version } });
      notify(`Version ${one.version} serves now.`);
      await reload();
    });
  const share = (one) =>
    one.active || !may("deploy")
      ? `${one.traffic} %`
      : h("input", {
          type: "number",
          min: 0,
          max: 100,
          value: one.traffic,
          name: String(one.version),
          "aria-label": `Share of version ${one.version} in percent`,
        });
  const columns = [
    ["Version", (one) => h("strong", {}, one.version)],
    [
      "State",
      (one) =>
        one.active
          ? h("span", { class: "status success" }, "active")
          : one.traffic > 0
            ? h("span", { class: "status timeout" }, "canary")
            : "",
    ],
    ["Requests", share],
    ["Kind", (one) => one.kind],
    ["Size", (one) => bytes(one.size_bytes)],
    ["Deployed", (one) => time(one.created_at)],
    ["By", (one) => one.created_by],
    ["SHA-256", (one) => h("code", { title: one.sha256 }, one.sha256.slice(0, 12))],
    ...(may("deploy") ? [["", (one) => !one.active && back(one)]] : []),
  ];
  const list = table("Versions", columns, versions, "There are no versions.");
  if (!may("deploy") || versions.length < 2) return h("section", {}, list);
  const set = async (sent) => {
    const given = [...new FormData(sent)].map(([version, percent]) => [version, Number(percent)]);
    await ask("POST", `${at}/traffic`, { body: Object.fromEntries(given.filter(([, percent]) => percent > 0)) });
    notify("The requests are shared like this now.");
    await reload();
  };
  return h(
    "section",
    {},
    form(
      {},
      set,
      list,
      h(
        "div",
        { class: "actions" },
        h("button", {}, "Share requests like this"),
        h("small", {}, "The active version gets the rest. A deployment ends it."),
      ),
    ),
  );
}
