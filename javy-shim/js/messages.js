// Request and Response (Fetch standard, sections 5.3 to 5.5).

import { concatenate, decodeUtf8, defineGlobals, EMPTY, encodeUtf8, finishClass, usv, viewOf } from "./native.js";
import { AbortController, AbortSignal } from "./events.js";
import { Blob, bytesOf, decodeForm, encodeMultipart, FormData } from "./blob.js";
import { Headers, internals as headerInternals } from "./headers.js";
import { hostStream, readAll, ReadableStream, TransformStream } from "./streams.js";
import { URL, URLSearchParams } from "./url.js";

/**
 * A body: whole (`bytes`), a stream of the host that nobody has looked at (`host`), or a ReadableStream. The first two become the
 * third only when a program asks for `body`.
 */
export class Body {
  bytes = null;
  host = 0;
  stream = null;
  used = false;

  static whole(bytes) {
    const body = new Body();
    body.bytes = bytes;
    return body;
  }
  static ofHost(id) {
    const body = new Body();
    body.host = id;
    return body;
  }
  static ofStream(stream) {
    const body = new Body();
    body.stream = stream;
    return body;
  }
  /** Whether it was read, in part or whole. */
  get disturbed() { return this.used || (this.stream !== null && isDisturbed(this.stream)); }

  asStream() {
    if (this.stream === null) {
      const { bytes, host, used } = this;
      this.stream = bytes === null ? hostStream(host) : bytesStream(bytes);
      if (used) this.stream.getReader();
      this.bytes = null;
      this.host = 0;
    }
    return this.stream;
  }
  /** All bytes; uses the body up. */
  async consume() {
    if (this.disturbed || this.stream?.locked) throw new TypeError("The body was used already");
    this.used = true;
    if (this.bytes !== null) return this.bytes;
    if (this.stream === null) return joined(await readAll(this.host));
    const chunks = [];
    const reader = this.stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return joined(chunks);
      if (!(value instanceof Uint8Array)) throw new TypeError("The body stream gave a chunk that is not a Uint8Array");
      chunks.push(value);
    }
  }
  clone() {
    if (this.disturbed || this.stream?.locked) throw new TypeError("A body that was used cannot be cloned");
    if (this.bytes !== null) return Body.whole(this.bytes);
    const [first, second] = this.asStream().tee();
    this.stream = first;
    return Body.ofStream(second);
  }
}

const joined = (chunks) => (chunks.length === 0 ? EMPTY : concatenate(chunks));

function bytesStream(bytes) {
  return new ReadableStream({
    type: "bytes",
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes.slice());
      controller.close();
    },
  });
}

/** The polyfill keeps the flag the standard calls [[disturbed]] under this name. */
const isDisturbed = (stream) => Boolean(stream._disturbed);

/** A body of whatever a program passes: `[body, content type]`. */
function extract(init) {
  if (typeof init === "string") return [Body.whole(encodeUtf8(init)), "text/plain;charset=UTF-8"];
  if (init instanceof ReadableStream) {
    if (init.locked || isDisturbed(init)) throw new TypeError("The body stream is locked or was read already");
    return [Body.ofStream(init), null];
  }
  if (init instanceof Blob) return [Body.whole(bytesOf(init)), init.type === "" ? null : init.type];
  if (init instanceof FormData) {
    const [bytes, type] = encodeMultipart(init);
    return [Body.whole(bytes), type];
  }
  if (init instanceof URLSearchParams) return [Body.whole(encodeUtf8(init)), "application/x-www-form-urlencoded;charset=UTF-8"];
  const view = viewOf(init);
  if (view !== undefined) return [Body.whole(view.slice()), null];
  if (typeof init === "object" && init !== null && typeof init[Symbol.asyncIterator] === "function") {
    return [Body.ofStream(ReadableStream.from(init)), null];
  }
  return [Body.whole(encodeUtf8(init)), "text/plain;charset=UTF-8"];
}

const bodyMethods = {
  async arrayBuffer() { return (await take(this)).slice().buffer; },
  async blob() { return new Blob([await take(this)], { type: this.headers.get("content-type") ?? "" }); },
  async bytes() { return (await take(this)).slice(); },
  async formData() { return decodeForm(await take(this), this.headers.get("content-type") ?? ""); },
  async json() { return JSON.parse(decodeUtf8(await take(this))); },
  async text() { return decodeUtf8(await take(this)); },
};

const states = new WeakMap();
const stateOf = (message) => {
  const state = states.get(message);
  if (state === undefined) throw new TypeError("Illegal invocation");
  return state;
};
const take = (message) => stateOf(message).body?.consume() ?? EMPTY;

function addBody(constructor) {
  for (const [name, method] of Object.entries(bodyMethods)) {
    Object.defineProperty(constructor.prototype, name, { value: method, writable: true, configurable: true, enumerable: true });
  }
  Object.defineProperty(constructor.prototype, "body", {
    get() { return stateOf(this).body?.asStream() ?? null; }, configurable: true, enumerable: true,
  });
  Object.defineProperty(constructor.prototype, "bodyUsed", {
    get() { return stateOf(this).body?.disturbed ?? false; }, configurable: true, enumerable: true,
  });
  finishClass(constructor);
}

const NORMALIZED = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function methodOf(value) {
  const method = `${value}`;
  if (!TOKEN.test(method)) throw new TypeError(`Request: "${method}" is not a method`);
  const upper = method.toUpperCase();
  if (upper === "CONNECT" || upper === "TRACE" || upper === "TRACK") throw new TypeError(`Request: the method ${upper} is forbidden`);
  return NORMALIZED.has(upper) ? upper : method;
}

const oneOf = (init, name, allowed, fallback) => {
  if (init?.[name] === undefined) return fallback;
  const value = String(init[name]);
  if (!allowed.includes(value)) throw new TypeError(`Request: ${name} cannot be "${value}"`);
  return value;
};

export class Request {
  constructor(input, init = undefined) {
    if (arguments.length === 0) throw new TypeError("Request: 1 argument required, but only 0 present");
    if (input === BARE) {
      states.set(this, init);
      return;
    }
    const source = input instanceof Request ? stateOf(input) : null;
    const url = source?.url ?? parseUrl(input);
    const method = init?.method === undefined ? (source?.method ?? "GET") : methodOf(init.method);
    const headers = new Headers(init?.headers ?? (source === null ? undefined : source.headers));
    if (init?.window !== undefined && init.window !== null) throw new TypeError("Request: window can only be null");
    const signal = init?.signal === undefined ? source?.signal : init.signal;
    if (signal !== undefined && signal !== null && !(signal instanceof AbortSignal)) {
      throw new TypeError("Request: the signal is not an AbortSignal");
    }
    let body = null;
    if (init?.body !== undefined && init.body !== null) {
      if (method === "GET" || method === "HEAD") throw new TypeError(`Request: a ${method} request cannot have a body`);
      const [extracted, type] = extract(init.body);
      if (extracted.stream !== null && init.duplex === undefined && init.body instanceof ReadableStream) {
        throw new TypeError('Request: a stream as body needs duplex: "half"');
      }
      if (init.duplex !== undefined && init.duplex !== "half") throw new TypeError('Request: duplex can only be "half"');
      body = extracted;
      if (type !== null) headerInternals.setDefault(headers, "content-type", type);
    } else if (source?.body) {
      if (method === "GET" || method === "HEAD") throw new TypeError(`Request: a ${method} request cannot have a body`);
      if (source.body.disturbed || source.body.stream?.locked) throw new TypeError("Request: the body was used already");
      body = takeOver(source.body);
    }
    states.set(this, {
      url, method, headers, body,
      signal: signal === undefined || signal === null ? null : AbortSignal.any([signal]),
      redirect: oneOf(init, "redirect", ["follow", "error", "manual"], source?.redirect ?? "follow"),
      mode: oneOf(init, "mode", ["same-origin", "no-cors", "cors"], source?.mode ?? "cors"),
      credentials: oneOf(init, "credentials", ["omit", "same-origin", "include"], source?.credentials ?? "same-origin"),
      cache: oneOf(init, "cache", ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"], source?.cache ?? "default"),
      referrer: init?.referrer === undefined ? (source?.referrer ?? "about:client") : usv(init.referrer),
      referrerPolicy: init?.referrerPolicy ?? source?.referrerPolicy ?? "",
      integrity: init?.integrity === undefined ? (source?.integrity ?? "") : String(init.integrity),
      keepalive: init?.keepalive === undefined ? (source?.keepalive ?? false) : Boolean(init.keepalive),
    });
  }
  get method() { return stateOf(this).method; }
  get url() { return stateOf(this).url; }
  get headers() { return stateOf(this).headers; }
  get signal() { return (stateOf(this).signal ??= new AbortController().signal); }
  get destination() { return (stateOf(this), ""); }
  get referrer() { return stateOf(this).referrer; }
  get referrerPolicy() { return stateOf(this).referrerPolicy; }
  get mode() { return stateOf(this).mode; }
  get credentials() { return stateOf(this).credentials; }
  get cache() { return stateOf(this).cache; }
  get redirect() { return stateOf(this).redirect; }
  get integrity() { return stateOf(this).integrity; }
  get keepalive() { return stateOf(this).keepalive; }
  get isReloadNavigation() { return (stateOf(this), false); }
  get isHistoryNavigation() { return (stateOf(this), false); }
  get duplex() { return (stateOf(this), "half"); }
  clone() {
    const state = stateOf(this);
    const body = state.body?.clone() ?? null;
    return new Request(BARE, { ...state, headers: new Headers(state.headers), body });
  }
}
const REQUEST_ATTRIBUTES = ["method", "url", "headers", "signal", "destination", "referrer", "referrerPolicy", "mode", "credentials", "cache",
  "redirect", "integrity", "keepalive", "isReloadNavigation", "isHistoryNavigation", "duplex", "clone"];
finishClass(Request, ...REQUEST_ATTRIBUTES);
addBody(Request);

/** Lets this module construct messages from a state, past the checks. */
const BARE = Symbol("bare");
const DEFAULTS = {
  redirect: "follow", mode: "cors", credentials: "same-origin", cache: "default", referrer: "about:client", referrerPolicy: "", integrity: "",
  keepalive: false,
};

/** The request the host hands to the handler; its class may be one derived from Request. */
export function incomingRequest(constructor, method, url, flatHeaders, body) {
  const headers = headerInternals.fromFlat(flatHeaders);
  return new constructor(BARE, { ...DEFAULTS, method, url, headers, body, signal: null });
}

function parseUrl(input) {
  const url = new URL(input);
  if (url.username !== "" || url.password !== "") throw new TypeError("Request: the URL holds a user name or a password");
  return url.href;
}

/** Moves a body to another message: the first one counts as used. */
function takeOver(body) {
  const moved = Object.assign(new Body(), { bytes: body.bytes, host: body.host, stream: body.stream });
  if (body.stream !== null) {
    const through = new TransformStream();
    moved.stream = body.stream.pipeThrough(through);
  }
  body.used = true;
  return moved;
}

const NULL_BODY = new Set([101, 103, 204, 205, 304]);

export class Response {
  constructor(body = null, init = undefined) {
    if (body === BARE) {
      states.set(this, init);
      return;
    }
    if (init !== undefined && init !== null && typeof init !== "object" && typeof init !== "function") {
      throw new TypeError("Response: the init argument is not an object");
    }
    const status = init?.status === undefined ? 200 : toUint16(init.status);
    if (status < 200 || status > 599) throw new RangeError(`Response: the status ${init.status} is not within 200 and 599`);
    const statusText = init?.statusText === undefined ? "" : `${init.statusText}`;
    if (statusText !== "" && !/^[\t\x20-\x7e\x80-\xff]*$/.test(statusText)) throw new TypeError("Response: the statusText is not valid");
    const headers = new Headers(init?.headers);
    let content = null;
    if (body !== null && body !== undefined) {
      if (NULL_BODY.has(status)) throw new TypeError(`Response: a response with status ${status} cannot have a body`);
      const [extracted, type] = extract(body);
      content = extracted;
      if (type !== null) headerInternals.setDefault(headers, "content-type", type);
    }
    states.set(this, { type: "default", url: "", redirected: false, status, statusText, headers, body: content });
  }
  static error() {
    return new Response(BARE, {
      type: "error", url: "", redirected: false, status: 0, statusText: "", headers: headerInternals.freeze(new Headers()), body: null,
    });
  }
  static redirect(url, status = 302) {
    const target = new URL(url).href;
    const code = toUint16(status);
    if (![301, 302, 303, 307, 308].includes(code)) throw new RangeError(`Response.redirect: the status ${status} is not one of a redirect`);
    const headers = headerInternals.freeze(headerInternals.fromFlat(["location", target]));
    return new Response(BARE, { type: "default", url: "", redirected: false, status: code, statusText: "", headers, body: null });
  }
  static json(data, init = undefined) {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("Response.json: the value has no JSON form");
    const response = new Response(text, init);
    if (!hasOwnType(init)) stateOf(response).headers.set("content-type", "application/json");
    return response;
  }
  get type() { return stateOf(this).type; }
  get url() { return stateOf(this).url; }
  get redirected() { return stateOf(this).redirected; }
  get status() { return stateOf(this).status; }
  get ok() {
    const { status } = stateOf(this);
    return status >= 200 && status <= 299;
  }
  get statusText() { return stateOf(this).statusText; }
  get headers() { return stateOf(this).headers; }
  clone() {
    const state = stateOf(this);
    const body = state.body?.clone() ?? null;
    return new Response(BARE, { ...state, headers: new Headers(state.headers), body });
  }
}
finishClass(Response, "type", "url", "redirected", "status", "ok", "statusText", "headers", "clone");
addBody(Response);

function hasOwnType(init) {
  return init?.headers !== undefined && init.headers !== null && new Headers(init.headers).has("content-type");
}

const toUint16 = (value) => (Math.trunc(Number(value)) || 0) & 0xffff;

/** A response that came from the network. */
export function incomingResponse(status, flatHeaders, body, url, redirected) {
  const headers = headerInternals.freeze(headerInternals.fromFlat(flatHeaders));
  return new Response(BARE, { type: "basic", url, redirected, status, statusText: "", headers, body });
}

/** The parts of a message that the host is to send. */
export const partsOf = stateOf;

defineGlobals({ Request, Response });
