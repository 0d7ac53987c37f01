// Executions as they end, with what they printed.

import { events, inApp } from "./api.js";
import { button, h, link } from "./dom.js";
import { entry, lines } from "./execution.js";
import { clock, duration, status } from "./format.js";

/** Executions that are shown, and lines of each. */
const KEPT = 200;
const LINES = 50;

export function show({ app, name, signal }) {
  const log = h("ol", { class: "tail", role: "log", "aria-label": "Executions" });
  const state = h("p", { class: "empty", role: "status" }, "Connecting …");
  let paused = false;
  const pause = h(
    "button",
    {
      type: "button",
      "aria-pressed": "false",
      onclick: () => {
        paused = !paused;
        pause.setAttribute("aria-pressed", String(paused));
        pause.textContent = paused ? "Go on" : "Pause";
      },
    },
    "Pause",
  );
  const add = (item) => {
    log.prepend(item);
    while (log.children.length > KEPT) log.lastElementChild.remove();
  };
  follow(`${inApp(app, "functions", name)}/executions/stream`, signal, state, ({ event, data }) => {
    if (event === "open") state.textContent = "Listening: each execution is shown here as it ends.";
    if (paused) return;
    if (event === "missed") add(h("li", { class: "empty" }, `${data.count} executions came too fast to be shown.`));
    if (event === "execution") add(item(app, name, data));
  });
  return h(
    "section",
    {},
    h(
      "div",
      { class: "head" },
      state,
      h(
        "div",
        { class: "actions" },
        pause,
        button("Clear", { class: "plain" }, async () => log.replaceChildren()),
      ),
    ),
    log,
  );
}

function item(app, name, one) {
  const printed = lines(one.logs);
  return h(
    "li",
    {},
    h(
      "p",
      {},
      link(["apps", app, "functions", name, "executions", one.id], {}, clock(one.executed_at)),
      status(one),
      h("span", {}, one.status_code ?? ""),
      h("span", { class: "path" }, `${one.method} ${one.path}`),
      duration(one.duration_ms),
    ),
    one.error_message && h("p", { class: "bad" }, one.error_message),
    printed.length > 0 && h("ol", { class: "log" }, printed.slice(0, LINES).map(entry)),
    printed.length > LINES &&
      h("p", { class: "empty" }, `${printed.length - LINES} more lines are on the page of the execution.`),
  );
}

async function follow(path, signal, state, take) {
  while (!signal.aborted) {
    try {
      for await (const event of events(path, signal)) take(event);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status >= 400 && error.status < 500) {
        state.textContent = error.message;
        return;
      }
    }
    if (signal.aborted) return;
    state.textContent = "The connection ended; trying again …";
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}
