// One execution: when, by whom, how long, how it ended, what it printed, and what it answered.

import { ask, inApp } from "./api.js";
import { choice, facts, h } from "./dom.js";
import { bytes, count, duration, NONE, status, time } from "./format.js";

const LEVELS = ["trace", "debug", "info", "warn", "error"];

export async function show({ app, name, rest: [id] }) {
  const one = await ask("GET", inApp(app, "functions", name, "executions", id));
  return [
    h(
      "section",
      {},
      h("h2", {}, "Execution"),
      facts([
        ["Status", status(one)],
        ["Began", time(one.executed_at)],
        ["Ended", time(one.completed_at)],
        ["Took", duration(one.duration_ms)],
        ["By", one.user_id ?? "nobody in particular"],
        ["Started by", one.trigger_type === "http" ? h("code", {}, `${one.method} ${one.path}`) : one.trigger_type],
        ["Version", one.function_version],
        ["Fuel", count(one.fuel)],
        ["Most memory", bytes(one.peak_memory_bytes)],
        ["Identifier", h("code", {}, one.id)],
      ]),
    ),
    one.error_code &&
      h(
        "section",
        {},
        h("h2", {}, "Error"),
        h(
          "div",
          { class: "failure" },
          h("p", {}, h("strong", {}, one.error_message), h("code", {}, one.error_code)),
          one.error_stack && h("pre", {}, one.error_stack),
        ),
      ),
    h("section", {}, h("h2", {}, "Console"), output(one)),
    h(
      "section",
      {},
      h("h2", {}, "Response"),
      facts([
        ["Status", one.status_code ?? NONE],
        ["Size", bytes(one.response_bytes)],
      ]),
      response(one),
    ),
  ];
}

function response({ result, response_bytes, error_code }) {
  if (result === null) {
    const why =
      response_bytes > 0
        ? "No copy of it is kept: it is no text, or the function has log_response off."
        : error_code
          ? "The function sent none; the host told the client about the error."
          : "It had no body.";
    return h("p", { class: "empty" }, why);
  }
  const whole = new TextEncoder().encode(result).length >= response_bytes;
  return [h("pre", { tabindex: "0" }, result), !whole && h("p", { class: "empty" }, "The rest is not kept.")];
}

/** What an execution printed, with a choice of levels. */
export function output(execution) {
  const all = lines(execution.logs);
  const dropped =
    execution.logs_dropped > 0 &&
    h("p", { class: "empty" }, `${execution.logs_dropped} more lines were over the limits and are not kept.`);
  if (all.length === 0) return [h("p", { class: "empty" }, "It printed nothing."), dropped];
  const shown = h("ol", { class: "log" }, all.map(entry));
  const only = choice(
    {
      "aria-label": "Level",
      onchange: (event) => {
        const least = LEVELS.indexOf(event.target.value);
        for (const item of shown.children) item.hidden = LEVELS.indexOf(item.dataset.level) < least;
      },
    },
    LEVELS.map((level, index) => [
      level,
      index === 0 ? "all levels" : level === "error" ? "errors" : `${level} and above`,
    ]),
    "trace",
  );
  return [h("div", { class: "actions" }, only), shown, dropped];
}

/** A line of a log. */
export function entry({ level, text }) {
  return h("li", { "data-level": level, class: level }, h("span", { class: "level" }, level), h("code", {}, text));
}

/** Lines of `level: text` or `console.method: text`. */
export function lines(logs) {
  if (!logs) return [];
  return logs.split("\n").map((line) => {
    const [, word, text] = /^(?:console\.)?(trace|debug|info|log|warn|error): ?(.*)$/s.exec(line) ?? [
      line,
      "info",
      line,
    ];
    return { level: word === "log" ? "info" : word, text };
  });
}
