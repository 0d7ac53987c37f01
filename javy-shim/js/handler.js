// Finds the handler of a program, and answers requests with it.

import { decodeUtf8, EMPTY, native } from "./native.js";
import { database } from "./db.js";
import { environment, served } from "./environment.js";
import { describe } from "./errors.js";
import { formatLog } from "./inspect.js";
import { internals as headerInternals } from "./headers.js";
import { Body, incomingRequest, Request, Response, responseState } from "./messages.js";
import { readAll, writeChunk } from "./streams.js";
import { allTasks, hasTasks, waitUntil } from "./tasks.js";

/** Calls the program's handler with a Request. */
let invoke;
/** The handler of an older program, if `invoke` is undefined. */
let legacy;

/** Called once, with the exports of the entry module. */
export function prepare(exports) {
  invoke = find(exports);
  environment();
}

function find(exports) {
  const main = exports.default;
  if (served !== undefined) return (request) => served(request, CONNECTION);
  if (typeof main?.fetch === "function") return (request) => main.fetch(request, environment(), context());
  if (typeof main === "function") return (request) => main(request, context());
  const named = exports.handler ?? exports.__caddis_handler ?? globalThis.handler;
  if (typeof named === "function") {
    legacy = named;
    return undefined;
  }
  throw new TypeError(
    "The module has no handler: export a default function (request, ctx), export default { fetch }, call Deno.serve(handler), " +
      "or declare a function named handler",
  );
}

const CONNECTION = Object.freeze({
  remoteAddr: Object.freeze({ transport: "tcp", hostname: "0.0.0.0", port: 0 }),
  completed: Promise.resolve(),
});

const bodyOf = (body) => (body === null ? null : typeof body === "number" ? Body.ofHost(body) : Body.whole(body));

let caller;

/** The verified caller, or null. */
function user() {
  if (caller === undefined) {
    caller = native.user();
    if (caller !== null) caller.claims = JSON.parse(caller.claims);
  }
  return caller;
}

const LEVELS = { trace: 0, debug: 1, info: 2, warn: 3, error: 4 };
const log = (...args) => native.log(LEVELS.info, formatLog(args));
for (const [name, level] of Object.entries(LEVELS)) log[name] = (...args) => native.log(level, formatLog(args));

/** Under this name a host finds the functions of an app. */
const FUNCTIONS = "http://functions.caddis.internal/";

/** What fetch would send as "[object Object]". */
const isPlain = (body) => typeof body === "number" || typeof body === "boolean" || Array.isArray(body) ||
  (typeof body === "object" && [Object.prototype, null].includes(Object.getPrototypeOf(body)));

/** Calls another function of the app for the same caller; resolves to its Response. Plain values are sent as JSON. */
function invokeFunction(name, body = undefined, options = undefined) {
  const { path = "/", ...init } = { method: "POST", redirect: "manual", ...options };
  init.headers = new Headers(init.headers);
  if (body !== undefined && body !== null) {
    init.body = isPlain(body) ? JSON.stringify(body) : body;
    if (isPlain(body) && !init.headers.has("content-type")) init.headers.set("content-type", "application/json");
  }
  return fetch(FUNCTIONS + encodeURIComponent(name) + (path.startsWith("/") ? path : `/${path}`), init);
}

function context(env = environment()) {
  return {
    env,
    db: database,
    get user() { return user(); },
    log,
    waitUntil,
    invoke: invokeFunction,
    passThroughOnException() {},
  };
}

/** A Request that is also the plain object older functions expect. */
class LegacyRequest extends Request {}

/** Headers as properties, in lower case, which also answer `get` and `has`. */
const headerMethods = {
  get(name) { return this[String(name).toLowerCase()] ?? null; },
  has(name) { return Object.hasOwn(this, String(name).toLowerCase()); },
  forEach(callback) { for (const [name, value] of Object.entries(this)) callback(value, name, this); },
  entries() { return Object.entries(this)[Symbol.iterator](); },
  keys() { return Object.keys(this)[Symbol.iterator](); },
  values() { return Object.values(this)[Symbol.iterator](); },
  [Symbol.iterator]() { return Object.entries(this)[Symbol.iterator](); },
};

async function invokeLegacy(handler, method, url, path, fields, body) {
  const bytes = typeof body === "number" ? concatenateAll(await readAll(body)) : (body ?? EMPTY);
  const request = incomingRequest(LegacyRequest, method, url, fields, Body.whole(bytes));
  const who = user();
  const extra = {
    headers: Object.assign(Object.create(headerMethods), Object.fromEntries(request.headers)),
    body: decodeUtf8(bytes),
    path,
    params: Object.fromEntries(new URL(url).searchParams),
    user: who,
    user_id: who?.id,
    user_email: who?.email ?? null,
    user_role: who?.role ?? null,
    session_id: who?.claims.session_id ?? null,
  };
  for (const [name, value] of Object.entries(extra)) {
    Object.defineProperty(request, name, { value, writable: true, enumerable: true, configurable: true });
  }
  for (const name of ["method", "url"]) Object.defineProperty(request, name, { value: request[name], enumerable: true, configurable: true });
  return legacyResponse(await handler(request, context()));
}

const concatenateAll = (chunks) => {
  const whole = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
};

/** `{ status, headers, body }` is a response; other values are its JSON. */
function legacyResponse(result) {
  const isParts = typeof result === "object" && result !== null && !(result instanceof Response) && typeof result.status === "number" &&
    Object.keys(result).every((key) => key === "status" || key === "headers" || key === "body");
  if (!isParts) return result;
  const { status, headers, body } = result;
  const isText = typeof body === "string" || body === undefined || body === null;
  const response = new Response(isText ? (body ?? null) : JSON.stringify(body), { status, headers });
  if (!isText && !new Headers(headers).has("content-type")) response.headers.set("content-type", "application/json");
  return response;
}

/** Answers one request: the host is told by `respond`, `startResponse` or `fail`, and by `finish` when all is done. */
export function dispatch(method, url, path, fields, body) {
  try {
    const result = invoke === undefined
      ? invokeLegacy(legacy, method, url, path, fields, body)
      : invoke(incomingRequest(Request, method, url, fields, bodyOf(body)));
    if (typeof result?.then === "function") Promise.resolve(result).then(settle, fail);
    else settle(result);
  } catch (error) {
    fail(error);
  }
}

function settle(result) {
  try {
    answer(result)?.catch(fail);
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  native.fail(...describe(error));
  native.finish();
}

function answer(result) {
  const { status, headers, body } = responseState(responseOf(result));
  if (body !== null && !body.usable) throw new TypeError("The body of the handler's Response was used already");
  const fields = headerInternals.fields(headers);
  const content = body === null ? "" : body.content;
  if (content !== null && !hasTasks()) {
    native.respond(status, fields, content);
    return native.finish();
  }
  return stream(status, fields, body);
}

const JSON_TYPE = { headers: { "content-type": "application/json" } };

function responseOf(result) {
  if (result instanceof Response) {
    if (result.type === "error") throw new TypeError("The handler returned Response.error()");
    return result;
  }
  if (result === undefined) throw new TypeError("The handler returned nothing: it must return a Response or a value");
  const text = JSON.stringify(result);
  if (text === undefined) throw new TypeError(`The handler returned a ${typeof result}, which has no JSON form`);
  return new Response(text, JSON_TYPE);
}

async function stream(status, fields, body) {
  const sink = native.startResponse(status, fields);
  try {
    await writeBody(sink, body);
    native.closeStream(sink, false);
  } catch (error) {
    native.closeStream(sink, true);
    native.failBody(...describe(error));
    return;
  }
  await allTasks();
  native.finish();
}

async function writeBody(sink, body) {
  if (body === null) return;
  if (body.content !== null) return writeChunk(sink, body.wholeBytes());
  const reader = body.asStream().getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    if (!(step.value instanceof Uint8Array)) throw new TypeError("A chunk of the response stream is not a Uint8Array");
    try {
      await writeChunk(sink, step.value);
    } catch (error) {
      reader.cancel(error).catch(() => {});
      throw error;
    }
  }
}

/** Objects as each request makes them. As long as there are some in the image, their shapes are there, and need not be made again. */
export const examples = [
  incomingRequest(Request, "GET", "", native.newFields(), Body.whole(EMPTY)), Response.json(null), new Response(null, { headers: {} }), context({}),
  { rows: [], columns: [], changes: 0, lastInsertId: 0 },
];
