// Values as text, the way Node's util.inspect prints them.

import { withCauses } from "./errors.js";

const DEPTH = 2;
const WIDTH = 72;
const ITEMS = 100;
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;
/** Names that were found to be identifiers: objects in a log have the same ones, and regular expressions take time. */
const identifiers = new Set();

function isIdentifier(name) {
  if (identifiers.has(name)) return true;
  if (!IDENTIFIER.test(name)) return false;
  identifiers.add(name);
  return true;
}

export const customInspect = Symbol.for("nodejs.util.inspect.custom");

/** Prints any value; objects below `depth` levels are abbreviated. */
export function inspect(value, options = undefined) {
  const depth = options?.depth === null ? Infinity : (options?.depth ?? DEPTH);
  return format(value, { depth, level: 0, seen: [] });
}

function quote(text) {
  const mark = !text.includes("'") ? "'" : !text.includes('"') ? '"' : !text.includes("`") ? "`" : "'";
  const escaped = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
  return mark + (mark === "'" ? escaped.replaceAll("'", "\\'") : escaped) + mark;
}

function format(value, state) {
  switch (typeof value) {
    case "string": return quote(value);
    case "number": return Object.is(value, -0) ? "-0" : String(value);
    case "bigint": return `${value}n`;
    case "symbol": return value.toString();
    case "function": return formatFunction(value, state);
    case "object": return value === null ? "null" : formatObject(value, state);
    default: return String(value);
  }
}

function formatFunction(value, state) {
  const source = Function.prototype.toString.call(value);
  const kind = source.startsWith("class") ? "class" : `${value.constructor?.name ?? "Function"}`;
  const name = value.name === "" ? "(anonymous)" : kind === "class" ? value.name : `: ${value.name}`;
  const base = kind === "class" ? `[class ${name}]` : value.name === "" ? `[${kind} (anonymous)]` : `[${kind}${name}]`;
  const keys = Object.keys(value);
  return keys.length === 0 ? base : `${base} ${braces(properties(value, keys, state), "{", "}", state)}`;
}

function formatObject(value, state) {
  if (state.seen.includes(value)) return "[Circular *1]";
  const custom = value[customInspect];
  if (typeof custom === "function") {
    const result = custom.call(value, state.depth - state.level, {}, inspect);
    if (result !== value) return typeof result === "string" ? result : format(result, state);
  }
  if (value instanceof Error || value instanceof DOMException) return formatError(value, state);
  const name = className(value);
  if (state.level > state.depth) return Array.isArray(value) ? "[Array]" : `[${name === "" ? "Object: null prototype" : name}]`;
  const inner = { ...state, level: state.level + 1, seen: [...state.seen, value] };
  return formatKind(value, name, inner);
}

function className(value) {
  const prototype = Object.getPrototypeOf(value);
  if (prototype === null) return "";
  const name = value.constructor?.name;
  return typeof name === "string" && name !== "" ? name : "Object";
}

function formatError(error, state) {
  const indent = "  ".repeat(state.level);
  const text = state.level === 0 ? withCauses(error) : `[${withCauses(error)}]`;
  const keys = Object.keys(error).filter((key) => key !== "cause" && key !== "stack" && key !== "message");
  const printed = text.replaceAll("\n", `\n${indent}`);
  if (keys.length === 0) return printed;
  const inner = { ...state, level: state.level + 1, seen: [...state.seen, error] };
  return `${printed} ${braces(properties(error, keys, inner), "{", "}", inner)}`;
}

function formatKind(value, name, state) {
  const prefix = (expected) => (name === expected ? "" : name === "" ? "[Object: null prototype] " : `${name} `);
  if (Array.isArray(value)) {
    const head = name === "Array" ? "" : `${name}(${value.length}) `;
    return `${head}${braces(items(value, state), "[", "]", state)}`;
  }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof RegExp) return value.toString();
  if (value instanceof Map) {
    const entries = [...value].map(([key, item]) => `${format(key, state)} => ${format(item, state)}`);
    return `${name}(${value.size}) ${braces(cut(entries, value.size), "{", "}", state)}`;
  }
  if (value instanceof Set) {
    return `${name}(${value.size}) ${braces(cut([...value].map((item) => format(item, state)), value.size), "{", "}", state)}`;
  }
  if (value instanceof ArrayBuffer) return `${name} { byteLength: ${value.byteLength} }`;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    return `${name}(${value.length}) ${braces(items(value, state), "[", "]", state)}`;
  }
  if (value instanceof Promise) return "Promise { }";
  if (value instanceof WeakMap || value instanceof WeakSet) return `${name} { <items unknown> }`;
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return `[${name}: ${format(value.valueOf(), state)}]`;
  if (value instanceof URL) return `URL { href: ${quote(value.href)} }`;
  if (value instanceof Headers || value instanceof URLSearchParams || value instanceof FormData) {
    const entries = [...value].map(([key, item]) => `${quote(key)}${value instanceof Headers ? ":" : " =>"} ${format(item, state)}`);
    return `${name} ${braces(entries, "{", "}", state)}`;
  }
  if (value instanceof Request) return `Request { method: ${quote(value.method)}, url: ${quote(value.url)} }`;
  if (value instanceof Response) return `Response { status: ${value.status}, statusText: ${quote(value.statusText)}, url: ${quote(value.url)} }`;
  const keys = Reflect.ownKeys(value).filter((key) => Object.getOwnPropertyDescriptor(value, key)?.enumerable);
  return `${prefix("Object")}${braces(properties(value, keys, state), "{", "}", state)}`;
}

function items(list, state) {
  const texts = [];
  for (let index = 0; index < Math.min(list.length, ITEMS); index += 1) {
    texts.push(index in list ? format(list[index], state) : "<empty item>");
  }
  return cut(texts, list.length);
}

function cut(texts, length) {
  const rest = length - Math.min(texts.length, ITEMS);
  if (rest <= 0) return texts;
  return [...texts.slice(0, ITEMS), `... ${rest} more item${rest === 1 ? "" : "s"}`];
}

function properties(value, keys, state) {
  return keys.map((key) => {
    const name = typeof key === "symbol" ? `[${key.toString()}]` : isIdentifier(key) ? key : quote(key);
    const { get, set, value: own } = Object.getOwnPropertyDescriptor(value, key);
    if (get !== undefined) return `${name}: [Getter${set === undefined ? "" : "/Setter"}]`;
    if (set !== undefined) return `${name}: [Setter]`;
    return `${name}: ${format(own, state)}`;
  });
}

/** On one line when it fits, else one line each. */
function braces(texts, open, close, state) {
  if (texts.length === 0) return `${open}${close}`;
  const length = texts.reduce((sum, text) => sum + text.length + 2, 0);
  if (length <= WIDTH && !texts.some((text) => text.includes("\n"))) return `${open} ${texts.join(", ")} ${close}`;
  const indent = "  ".repeat(state.level);
  return `${open}\n${indent}${texts.join(`,\n${indent}`)}\n${indent.slice(2)}${close}`;
}

/** Fills in %s, %d, %i, %f, %j, %o, %O and %c, and appends what is left (Console standard, section 2.1). */
export function formatLog(args) {
  const [first, ...rest] = args;
  if (typeof first !== "string") return args.map(show).join(" ");
  if (rest.length === 0) return first;
  const text = first.replace(/%[sdifjoOc%]/g, (directive) => {
    if (directive === "%%") return "%";
    if (rest.length === 0) return directive;
    const value = rest.shift();
    switch (directive) {
      case "%s": return typeof value === "object" && value !== null ? inspect(value, { depth: 0 }) : typeof value === "bigint" ? `${value}n` : String(value);
      case "%d": return typeof value === "bigint" ? `${value}n` : typeof value === "symbol" ? "NaN" : String(Number(value));
      case "%i": return typeof value === "bigint" ? `${value}n` : typeof value === "symbol" ? "NaN" : String(Number.parseInt(value, 10));
      case "%f": return typeof value === "symbol" ? "NaN" : String(Number.parseFloat(value));
      case "%j": return JSON.stringify(value) ?? "undefined";
      case "%c": return "";
      default: return inspect(value, { depth: 4 });
    }
  });
  return [text, ...rest.map(show)].join(" ");
}

const show = (value) => (typeof value === "string" ? value : inspect(value));
