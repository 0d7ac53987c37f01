// A call of a function, to see what it does.

import { ask, inApp } from "./api.js";
import { choice, copier, facts, field, form, h, link, replace } from "./dom.js";
import { output } from "./execution.js";
import { duration, NONE } from "./format.js";
import { url } from "./overview.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

const USER = '{"sub": "ann", "email": "ann@example.com"}';

/** What was last tried of each function, as long as the tab is open. */
const last = new Map();

export function show({ me, app, name, may, signal }) {
  const key = `${app}/${name}`;
  const { method = "GET", path = "/", headers = "", body = "", caller = "token", claims = USER } = last.get(key) ?? {};
  const result = h("div", { class: "result", "aria-live": "polite" });
  const send = async (sent) => {
    const values = Object.fromEntries(new FormData(sent));
    last.set(key, values);
    const wanted = { method: values.method, path: values.path, headers: fields(values.headers), caller: values.caller };
    if (values.body) wanted.body = values.body;
    if (values.caller === "user") {
      const { token } = await ask("POST", inApp(app, "user-tokens"), { body: parsed(values.claims), signal });
      wanted.caller = "headers";
      wanted.headers = { ...wanted.headers, Authorization: `Bearer ${token}` };
    }
    const answer = await ask("POST", `${inApp(app, "functions", name)}/test`, { body: wanted, signal });
    const printed = h(
      "div",
      { class: "result" },
      h(
        "p",
        { class: "empty" },
        answer.execution_id ? "Looking for what it printed …" : "It did not come to an execution.",
      ),
    );
    replace(result, shown(app, name, answer, printed));
    if (answer.execution_id)
      await print(`${inApp(app, "functions", name)}/executions/${answer.execution_id}`, printed, signal);
  };
  const user = field(
    "User",
    h("input", { name: "claims", value: claims, spellcheck: "false" }),
    "Claims of a token that the app signs for this call, as JSON.",
  );
  const by = choice(
    { name: "caller", onchange: () => draw() },
    [
      ["token", "you, in the name of the app"],
      ["headers", "whoever the headers say: Authorization or apikey, or nobody"],
      ...(may("admin") ? [["user", "a user of the app"]] : []),
    ],
    caller,
  );
  const draw = () => {
    user.hidden = by.value !== "user";
  };
  draw();
  return h(
    "section",
    {},
    form(
      { class: "trial" },
      send,
      h(
        "div",
        { class: "row" },
        field("Method", choice({ name: "method" }, METHODS, method)),
        field(
          "Path and query",
          h("input", { name: "path", value: path, spellcheck: "false", required: true, pattern: "/.*" }),
          `below ${url(me, app, name)}`,
        ),
      ),
      field(
        "Headers",
        h(
          "textarea",
          { name: "headers", rows: 3, spellcheck: "false", placeholder: "Content-Type: application/json" },
          headers,
        ),
        "One on each line, as Name: value.",
      ),
      field("Body", h("textarea", { name: "body", rows: 6, spellcheck: "false" }, body)),
      field("Called by", by),
      user,
      h("div", { class: "actions" }, h("button", {}, "Send")),
    ),
    result,
  );
}

function parsed(claims) {
  try {
    return JSON.parse(claims);
  } catch {
    throw new Error("User: this is not JSON.");
  }
}

function fields(text) {
  const lines = text.split("\n").filter((line) => line.trim());
  return Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(":");
      if (colon < 1) throw new Error(`Headers: ${JSON.stringify(line)} is not like Name: value`);
      return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
    }),
  );
}

function shown(app, name, answer, printed) {
  const body = pretty(answer.body);
  return [
    h("h2", {}, "Response"),
    facts([
      ["Status", h("strong", { class: answer.status >= 400 ? "bad" : "good" }, answer.status)],
      ["Took", duration(answer.duration_ms)],
      [
        "Execution",
        answer.execution_id
          ? link(["apps", app, "functions", name, "executions", answer.execution_id], {}, answer.execution_id)
          : NONE,
      ],
    ]),
    h(
      "details",
      {},
      h("summary", {}, `${answer.headers.length} header fields`),
      h("pre", {}, answer.headers.map((pair) => pair.join(": ")).join("\n")),
    ),
    answer.body_base64 !== null && h("p", { class: "empty" }, "The body is no text; this is it in base64."),
    body === ""
      ? h("p", { class: "empty" }, "It had no body.")
      : [h("pre", { tabindex: "0" }, body ?? answer.body_base64), copier(answer.body ?? answer.body_base64)],
    !answer.complete && h("p", { class: "bad" }, "The body broke off, or is too long to be shown whole here."),
    h("h2", {}, "Console"),
    printed,
  ];
}

function pretty(text) {
  if (!/^\s*[[{]/.test(text ?? "")) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Shows what an execution printed, once it is recorded: work it left for later may still run. */
async function print(path, place, signal) {
  for (let tries = 0; tries < 20; tries += 1) {
    try {
      const execution = await ask("GET", path, { signal });
      const error =
        execution.error_message &&
        h(
          "div",
          { class: "failure" },
          h("p", {}, h("strong", {}, execution.error_message), h("code", {}, execution.error_code)),
          execution.error_stack && h("pre", {}, execution.error_stack),
        );
      replace(place, error, output(execution));
      return;
    } catch (error) {
      if (error.status !== 404) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 300 + tries * 100));
  }
  replace(place, h("p", { class: "empty" }, "It still runs, or no record of it is kept."));
}
