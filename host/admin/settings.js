// What a function may, and who may call it.

import { ask, inApp } from "./api.js";
import { address, button, choice, confirm, field, form, h, notify, tick } from "./dom.js";
import { time } from "./format.js";

const POLICIES = [
  ["public", "everybody"],
  ["key", "whoever has any key of the app, the anon key too"],
  ["authenticated", "whoever has a token or a key of the app"],
  ["group", "users in one of some groups"],
  ["metadata", "users whose token has some claims"],
];

const ISOLATION = [
  ["request", "one request: nothing is left for the next"],
  ["instance", "one request after the other: memory is kept"],
];

const ALLOWED = [
  ["allow_net", "Outgoing requests"],
  ["allow_env", "Variables and secrets"],
  ["allow_service_role", "Acting as service_role in the database for any caller"],
  ["allow_read", "Reading files of its directory"],
  ["allow_write", "Writing files of its directory"],
  ["log_response", "Keeping the beginning of responses in the log"],
];

export async function show({ app, name, may, reload }) {
  const at = inApp(app, "functions", name);
  const one = await ask("GET", at);
  const locked = !may("deploy");
  const number = (key, min, max) =>
    h("input", { type: "number", name: key, value: one[key], min, max, required: true, disabled: locked });
  const text = (key, value, attributes) =>
    h("input", { name: key, value: value ?? "", spellcheck: "false", disabled: locked, ...attributes });
  const groups = field(
    "Groups",
    text("groups", one.access.groups?.join(", ")),
    "With commas between them; one of them is enough.",
  );
  const metadata = field(
    "Claims",
    text("metadata", one.access.metadata && JSON.stringify(one.access.metadata), {
      placeholder: '{"department": "engineering"}',
    }),
    "As JSON; all of them.",
  );
  const policy = choice({ name: "policy", disabled: locked, onchange: () => draw() }, POLICIES, one.access.policy);
  const draw = () => {
    groups.hidden = policy.value !== "group";
    metadata.hidden = policy.value !== "metadata";
  };
  draw();
  const save = async (sent) => {
    await ask("PATCH", `${at}/settings`, { body: settings(new FormData(sent)) });
    notify("Saved as the next version.");
    await reload();
  };
  const remove = async () => {
    if (!(await confirm(`${name} is removed with its versions, its variables, its files and its log.`, "Delete", name)))
      return;
    await ask("DELETE", at);
    location.hash = address("apps", app, "functions");
  };
  return [
    h(
      "section",
      {},
      form(
        {},
        save,
        tick(
          "Enabled",
          { name: "enabled", checked: one.enabled, disabled: locked },
          "A disabled function answers 404.",
        ),
        field("Description", text("description", one.description)),
        h(
          "fieldset",
          {},
          h("legend", {}, "Access"),
          field("Who may call it", policy),
          groups,
          metadata,
          field(
            "Requests of one caller",
            text("rate_limit", one.rate_limit, { placeholder: "600/min" }),
            "Like 600/min, or off. Empty: what the app says.",
          ),
        ),
        h(
          "fieldset",
          {},
          h("legend", {}, "Limits"),
          h(
            "div",
            { class: "row" },
            field("Seconds", number("timeout_seconds", 1, 300)),
            field("Memory in MiB", number("memory_limit_mb", 64, 1024)),
            field("Fuel", number("fuel", 100_000, 1e12)),
          ),
        ),
        h(
          "fieldset",
          {},
          h("legend", {}, "Started by"),
          tick("Requests", { name: "http_trigger", checked: one.http_trigger, disabled: locked }),
          h(
            "div",
            { class: "row" },
            field("Schedule", text("cron_schedule", one.cron_schedule, { placeholder: "*/5 * * * *" })),
            field("Its time zone", text("cron_timezone", one.cron_timezone, { placeholder: "UTC" })),
            field("Event of a WebSocket", text("websocket_event", one.websocket_event)),
          ),
          one.next_run && h("p", {}, "Next run: ", time(one.next_run)),
        ),
        h(
          "fieldset",
          {},
          h("legend", {}, "Sandbox"),
          h(
            "div",
            { class: "row" },
            field("For", choice({ name: "isolation", disabled: locked }, ISOLATION, one.isolation)),
            field(
              "Requests of an instance",
              number("instance_requests", 1),
              "At most, where it takes one after the other.",
            ),
          ),
        ),
        h(
          "fieldset",
          {},
          h("legend", {}, "Allowed"),
          ALLOWED.map(([key, label]) => tick(label, { name: key, checked: one[key], disabled: locked })),
          field(
            "Only these hosts",
            text("allowed_hosts", one.allowed_hosts?.join(", "), { placeholder: "api.example.com, *.example.org" }),
            "With commas between them. Empty: all that the operator has open.",
          ),
        ),
        h(
          "fieldset",
          {},
          h("legend", {}, "Pages of other origins (CORS)"),
          field(
            "Settings",
            h(
              "textarea",
              {
                name: "cors",
                rows: 3,
                spellcheck: "false",
                disabled: locked,
                placeholder: '{"origins": ["https://app.example.com"]}',
              },
              one.cors ? JSON.stringify(one.cors, null, 2) : "",
            ),
            "As JSON. Empty: what the app says, or the function itself.",
          ),
        ),
        !locked && h("div", { class: "actions" }, h("button", {}, "Save")),
      ),
    ),
    !locked &&
      h(
        "section",
        {},
        h("h2", {}, "Delete"),
        h("p", {}, "With everything that belongs to it."),
        button("Delete this function", { class: "danger" }, remove),
      ),
  ];
}

function settings(data) {
  const text = (key) => data.get(key).trim() || null;
  const list = (key) =>
    data
      .get(key)
      .split(",")
      .map((part) => part.trim())
      .filter(Boolean);
  const json = (key, label) => {
    try {
      return text(key) && JSON.parse(text(key));
    } catch {
      throw new Error(`${label}: this is not JSON.`);
    }
  };
  const access = { policy: data.get("policy") };
  if (access.policy === "group") access.groups = list("groups");
  if (access.policy === "metadata") access.metadata = json("metadata", "Claims") ?? {};
  return {
    enabled: data.has("enabled"),
    description: text("description"),
    access,
    rate_limit: text("rate_limit"),
    timeout_seconds: Number(data.get("timeout_seconds")),
    memory_limit_mb: Number(data.get("memory_limit_mb")),
    fuel: Number(data.get("fuel")),
    isolation: data.get("isolation"),
    instance_requests: Number(data.get("instance_requests")),
    ...Object.fromEntries(ALLOWED.map(([key]) => [key, data.has(key)])),
    allowed_hosts: list("allowed_hosts"),
    cors: json("cors", "CORS"),
    http_trigger: data.has("http_trigger"),
    cron_schedule: text("cron_schedule"),
    cron_timezone: text("cron_timezone"),
    websocket_event: text("websocket_event"),
  };
}
