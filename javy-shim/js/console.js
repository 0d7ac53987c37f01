// console (Console standard): each call is one entry of the execution's log.

import { defineGlobals, native } from "./native.js";
import { formatLog, inspect } from "./inspect.js";

const [TRACE, DEBUG, INFO, WARN, ERROR] = [0, 1, 2, 3, 4];
let indent = "";
const counts = new Map();
const timers = new Map();

function write(level, text) {
  native.log(level, indent === "" ? text.toWellFormed() : `${indent}${text.replaceAll("\n", `\n${indent}`)}`.toWellFormed());
}

const stackHere = () => (new Error().stack ?? "").split("\n").slice(2).join("\n").trimEnd();
const elapsed = (start) => {
  const milliseconds = native.elapsed() - start;
  return milliseconds >= 1000 ? `${(milliseconds / 1000).toFixed(3)}s` : `${milliseconds.toFixed(3)}ms`;
};

const methods = {
  log: (...args) => write(INFO, formatLog(args)),
  info: (...args) => write(INFO, formatLog(args)),
  debug: (...args) => write(DEBUG, formatLog(args)),
  warn: (...args) => write(WARN, formatLog(args)),
  error: (...args) => write(ERROR, formatLog(args)),
  trace: (...args) => write(TRACE, `Trace${args.length === 0 ? "" : `: ${formatLog(args)}`}\n${stackHere()}`),
  dir: (value = undefined, options = undefined) => write(INFO, inspect(value, options)),
  dirxml: (...args) => write(INFO, formatLog(args)),
  assert(condition = false, ...args) {
    if (condition) return;
    const [first, ...rest] = args;
    const prefix = "Assertion failed";
    write(ERROR, args.length === 0 ? prefix : typeof first === "string" ? formatLog([`${prefix}: ${first}`, ...rest]) : formatLog([`${prefix}:`, ...args]));
  },
  count(label = "default") {
    const count = (counts.get(`${label}`) ?? 0) + 1;
    counts.set(`${label}`, count);
    write(INFO, `${label}: ${count}`);
  },
  countReset(label = "default") {
    if (!counts.delete(`${label}`)) write(WARN, `Count for '${label}' does not exist`);
  },
  group(...args) {
    if (args.length > 0) write(INFO, formatLog(args));
    indent += "  ";
  },
  groupEnd() { indent = indent.slice(2); },
  table(data = undefined, columns = undefined) { write(INFO, typeof data === "object" && data !== null ? table(data, columns) : formatLog([data])); },
  time(label = "default") {
    if (timers.has(`${label}`)) write(WARN, `Timer '${label}' already exists`);
    else timers.set(`${label}`, native.elapsed());
  },
  timeLog(label = "default", ...args) {
    const start = timers.get(`${label}`);
    if (start === undefined) write(WARN, `Timer '${label}' does not exist`);
    else write(INFO, [`${label}: ${elapsed(start)}`, ...(args.length === 0 ? [] : [formatLog(args)])].join(" "));
  },
  timeEnd(label = "default") {
    const start = timers.get(`${label}`);
    if (start === undefined) return write(WARN, `Timer '${label}' does not exist`);
    timers.delete(`${label}`);
    write(INFO, `${label}: ${elapsed(start)}`);
  },
  clear() {},
};
methods.groupCollapsed = methods.group;

function table(data, only) {
  const rows = data instanceof Map ? [...data] : data instanceof Set ? [...data].entries() : Object.entries(data);
  const columns = [];
  const lines = [];
  let hasValues = false;
  for (const [index, row] of rows) {
    const cells = { "(index)": String(index) };
    if (typeof row === "object" && row !== null) {
      for (const [key, value] of Object.entries(row)) {
        if (only !== undefined && !only.includes(key)) continue;
        if (!columns.includes(key)) columns.push(key);
        cells[`.${key}`] = inspect(value, { depth: 0 });
      }
    } else {
      hasValues = true;
      cells.Values = inspect(row);
    }
    lines.push(cells);
  }
  const heads = [["(index)", "(index)"], ...columns.map((key) => [`.${key}`, key]), ...(hasValues ? [["Values", "Values"]] : [])];
  const widths = heads.map(([key, head]) => Math.max(head.length, ...lines.map((cells) => (cells[key] ?? "").length)) + 2);
  const rule = (left, middle, right) => left + widths.map((width) => "─".repeat(width)).join(middle) + right;
  const line = (texts) => `│${texts.map((text, index) => ` ${text}`.padEnd(widths[index])).join("│")}│`;
  return [
    rule("┌", "┬", "┐"),
    line(heads.map(([, head]) => head)),
    rule("├", "┼", "┤"),
    ...lines.map((cells) => line(heads.map(([key]) => cells[key] ?? ""))),
    rule("└", "┴", "┘"),
  ].join("\n");
}

// The Console standard: a namespace object whose prototype is an empty object.
const console = Object.create({});
for (const [name, method] of Object.entries(methods)) {
  Object.defineProperty(method, "name", { value: name });
  console[name] = method;
}
Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });
defineGlobals({ console });
