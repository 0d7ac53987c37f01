// Finds the handler of a program, and answers requests with it.

import { decodeUtf8, EMPTY, native } from "./native.js";
import { database } from "./db.js";
import { environment, served } from "./environment.js";
import { describe, forgetUnhandled, trackRejection } from "./errors.js";
import { formatLog } from "./inspect.js";
import { internals as headerInternals } from "./headers.js";
import { Body, emptyRequest, fillRequest, jsonResponse, Request, Response, responseHeaders, responseState } from "./messages.js";
import { readAll, writeChunk } from "./streams.js";
import { allTasks, forgetTasks, hasTasks, waitUntil } from "./tasks.js";

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
  if (typeof main?.fetch === "function") return (request) => main.fetch(request, environment(), CONTEXT);
  if (typeof main === "function") return (request) => main(request, CONTEXT);
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

/** What handlers get beside the request. It is in the image: an instance answers one request at a time. */
const CONTEXT = {
  get env() { return environment(); },
  db: database,
  get user() { return user(); },
  log,
  waitUntil,
  invoke: invokeFunction,
  passThroughOnException() {},
};

/** A Request that is also the plain object older functions expect. */
class LegacyRequest extends Request {}

/** The object for the first request of an instance. It is in the image, where it need not be made. */
let prepared = emptyRequest(Request);

function takePrepared() {
  const request = prepared ?? emptyRequest(Request);
  prepared = undefined;
  return request;
}

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
  const request = fillRequest(emptyRequest(LegacyRequest), method, url, fields, Body.whole(bytes));
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
  return legacyResponse(await handler(request, CONTEXT));
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

/** As they are before a program changes them. */
const Native = Promise;
const { then } = Native.prototype;

/**
 * Answers one request: the host is told by `respond`, `startResponse` or `fail`, and by `finish` when all is done. What is returned is a promise
 * that the engine waits for, and then calls `settle` or `reject`: reactions would cost more than most handlers do.
 */
export function dispatch(method, url, path, fields, body) {
  try {
    const result = invoke === undefined
      ? invokeLegacy(legacy, method, url, path, fields, body)
      : invoke(fillRequest(takePrepared(), method, url, fields, bodyOf(body)));
    if (typeof result?.then !== "function") settle(result);
    else if (result instanceof Native && result.then === then) return result;
    else Promise.resolve(result).then(settle, fail);
  } catch (error) {
    fail(error);
  }
}

const resolved = Promise.resolve();
const reachMark = () => native.reachMark();

/** Tells the engine when the jobs that are there have run. */
export function mark() {
  Reflect.apply(then, resolved, [reachMark]);
}

/** Forgets what belongs to the request that has ended, so that the instance can answer another. */
export function rest() {
  caller = undefined;
  forgetTasks();
  forgetUnhandled();
}

export function settle(result) {
  try {
    answer(result)?.catch(fail);
  } catch (error) {
    fail(error);
  }
}

/** Nobody reacts to the promise of the handler, so it counts as one whose rejection nobody handles. */
export function reject(promise, error) {
  trackRejection(promise, error, true);
  fail(error);
}

function fail(error) {
  native.fail(...describe(error));
  native.finish();
}

function answer(result) {
  const state = responseState(result instanceof Response ? result : responseOf(result));
  if (state.type === "error") throw new TypeError("The handler returned Response.error()");
  const { status, headers, body } = state;
  let content = "";
  let type = null;
  if (body !== null) {
    if (!body.usable) throw new TypeError("The body of the handler's Response was used already");
    ({ content, type } = body);
  }
  if (content !== null && !hasTasks()) {
    // Headers that nobody has asked for need not be made.
    native.respond(status, headers === null ? null : headerInternals.fields(headers), content, type);
    return native.finish();
  }
  return stream(status, headerInternals.fields(responseHeaders(state)), body);
}

/** A response of what is none: its JSON. */
function responseOf(result) {
  if (result === undefined) throw new TypeError("The handler returned nothing: it must return a Response or a value");
  const text = jsonOf(result);
  if (text === undefined) throw new TypeError(`The handler returned a ${typeof result}, which has no JSON form`);
  return jsonResponse(text);
}

function jsonOf(result) {
  try {
    return JSON.stringify(result);
  } catch (error) {
    throw new TypeError(`What the handler returned has no JSON form: ${error?.message ?? error}`, { cause: error });
  }
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
  Body.whole(EMPTY), Response.json(null), new Response("", { headers: {}, status: 201 }), Response.json(null).headers, Body.ofHost(1),
  { rows: [], columns: [], changes: 0, lastInsertId: 0 },
];
