// What holds for all functions of an app: whose tokens it trusts, which pages may call, how often anybody may ask.

import { ask } from "./api.js";
import { field, form, h, notify } from "./dom.js";

const FIELDS = [
  ["audiences", "Audiences", 'What aud of tokens signed with the app\'s own secret must name, if anything: ["shop"]'],
  [
    "issuers",
    "Issuers",
    'Who else signs tokens of its users: [{"issuer": "https://auth.example.com", "audiences": ["shop"], "jwks_url": "https://…"}]',
  ],
  ["cors", "Pages of other origins (CORS)", 'Where a function does not say: {"origins": ["https://app.example.com"]}'],
  ["rate_limits", "Rates", 'Of one caller: {"invoke": "600/min", "management": "60/min", "list": "off"}'],
];

export async function show({ app, may, reload }) {
  const at = `/api/v1/apps/${encodeURIComponent(app)}`;
  const one = await ask("GET", at);
  const locked = !may("admin");
  const area = (key) => {
    const text = one[key] === null ? "" : JSON.stringify(one[key], null, 2);
    return h(
      "textarea",
      {
        name: key,
        class: "code",
        rows: Math.min(text.split("\n").length + 1, 20),
        spellcheck: "false",
        readonly: locked,
      },
      text,
    );
  };
  const save = async (sent) => {
    const data = new FormData(sent);
    await ask("PATCH", at, {
      body: Object.fromEntries(FIELDS.map(([key, label]) => [key, json(label, data.get(key))])),
    });
    notify("Saved: it holds from the next request on.");
    await reload();
  };
  return [
    h("h1", {}, `Settings of ${app}`),
    h(
      "section",
      {},
      form(
        {},
        save,
        FIELDS.map(([key, label, hint]) => field(label, area(key), hint)),
        !locked && h("div", { class: "actions" }, h("button", {}, "Save")),
      ),
    ),
  ];
}

function json(label, text) {
  try {
    return text.trim() ? JSON.parse(text) : null;
  } catch (error) {
    throw new Error(`${label}: this is not JSON (${error.message}).`);
  }
}
