// What programs see of the place they run in: Deno, process, navigator, EdgeRuntime, and what is missing there.

import { defineGlobals, native } from "./native.js";
import { files } from "./files.js";
import { inspect } from "./inspect.js";
import { waitUntil } from "./tasks.js";

let variables;

/** The variables of the function. Read once: an image keeps them. */
export function environment() {
  if (variables === undefined) {
    const flat = native.env();
    variables = {};
    for (let index = 0; index < flat.length; index += 2) variables[flat[index]] = flat[index + 1];
  }
  return variables;
}

/** The handler that Deno.serve was given, if it was called. */
export let served;

/** `Deno.serve` in all its forms, and the `serve` of the standard library. */
export function serve(first, second = undefined) {
  const handler = [second, first, first?.handler, first?.fetch].find((candidate) => typeof candidate === "function");
  if (handler === undefined) throw new TypeError("Deno.serve: there is no handler function among the arguments");
  served = handler;
  const address = { transport: "tcp", hostname: "0.0.0.0", port: 8000 };
  const options = typeof first === "object" ? first : second;
  options?.onListen?.(address);
  return { finished: new Promise(() => {}), addr: address, shutdown: async () => {}, ref() {}, unref() {} };
}

const env = {
  get: (name) => environment()[String(name)],
  has: (name) => Object.hasOwn(environment(), String(name)),
  set(name, value) { environment()[String(name)] = String(value); },
  delete(name) { delete environment()[String(name)]; },
  toObject: () => ({ ...environment() }),
};

/** The names of Deno's errors, for those who ask what they caught. */
const ERRORS = ["AddrInUse", "AddrNotAvailable", "AlreadyExists", "BadResource", "BrokenPipe", "Busy", "ConnectionAborted", "ConnectionRefused",
  "ConnectionReset", "FilesystemLoop", "Http", "Interrupted", "InvalidData", "IsADirectory", "NetworkUnreachable", "NotADirectory", "NotCapable",
  "NotConnected", "NotFound", "NotSupported", "PermissionDenied", "TimedOut", "UnexpectedEof", "WouldBlock", "WriteZero"];

/** Makes a class of errors of this name. */
function errorClass(name) {
  const constructor = { [name]: class extends Error {} }[name];
  Object.defineProperty(constructor.prototype, "name", { value: name, writable: true, configurable: true });
  return constructor;
}

/** Made when somebody asks: each class would be in every image. */
let errors;

/** A function cannot end its process. */
const exit = (owner) => (code = 0) => {
  throw new Error(`${owner}.exit(${code}) was called: a function ends by returning a response or by throwing`);
};

const Deno = {
  env,
  get errors() { return (errors ??= Object.fromEntries(ERRORS.map((name) => [name, errorClass(name)]))); },
  serve,
  inspect,
  exit: exit("Deno"),
  args: [],
  pid: 1,
  mainModule: "file:///main.js",
  build: { target: "wasm32-unknown-unknown", arch: "wasm32", os: "linux", vendor: "unknown", env: "gnu" },
  version: { deno: "2.0.0", v8: "", typescript: "" },
  cwd: () => "/",
  ...files,
};

/** A stream that is the log. */
const output = (level) => ({
  isTTY: false,
  writable: true,
  write(text) {
    native.log(level, String(text).replace(/\n$/, ""));
    return true;
  },
  end() {},
  on() { return this; },
  once() { return this; },
  emit: () => false,
});

/** The variables as Fluxbase's functions read them. */
const secrets = {
  get: env.get,
  getRequired(name) {
    const value = env.get(name);
    if (value === undefined) throw new Error(`The secret ${String(name)} is not set`);
    return value;
  },
};

const process = {
  get env() { return environment(); },
  argv: ["caddis", "/main.js"],
  platform: "linux",
  arch: "wasm32",
  pid: 1,
  // Packages compare versions, and take those of their hosts for granted.
  version: "v22.0.0",
  versions: { node: "22.0.0" },
  release: { name: "node" },
  title: "caddis",
  execArgv: [],
  exitCode: undefined,
  stdout: output(2),
  stderr: output(4),
  cwd: () => "/",
  umask: () => 0o22,
  exit: exit("process"),
  memoryUsage: Object.assign(() => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }), { rss: () => 0 }),
  cpuUsage: () => ({ user: Math.round(native.elapsed() * 1000), system: 0 }),
  nextTick: (callback, ...args) => queueMicrotask(() => callback(...args)),
  hrtime: Object.assign((since = [0, 0]) => {
    const now = native.elapsed();
    const nanoseconds = Math.round(now * 1e6) - (since[0] * 1e9 + since[1]);
    return [Math.floor(nanoseconds / 1e9), nanoseconds % 1e9];
  }, { bigint: () => BigInt(Math.round(native.elapsed() * 1e6)) }),
  uptime: () => native.elapsed() / 1000,
  emitWarning: (warning) => console.warn(String(warning?.message ?? warning)),
  emit: () => false,
  listeners: () => [],
  listenerCount: () => 0,
};
// Nothing ever happens to the process that a listener could hear of.
for (const name of ["on", "once", "off", "addListener", "removeListener", "removeAllListeners", "prependListener", "setMaxListeners"]) {
  process[name] = () => process;
}

const navigator = Object.freeze({ userAgent: "Caddis/0.1", language: "en-US", languages: ["en-US"], hardwareConcurrency: 1, platform: "" });

// Clients such as supabase-js ask for it when they are made, and most functions never connect.
class WebSocket {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;

  constructor() {
    throw new DOMException("WebSocket connections are not available here; use fetch", "NotSupportedError");
  }
}

defineGlobals({ Deno, secrets, process, navigator, global: globalThis, EdgeRuntime: { waitUntil }, WebSocket });
