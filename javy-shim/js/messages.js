// Request and Response (Fetch standard, sections 5.3 to 5.5).

import {
  concatenate, decodeUtf8, defineGlobals, EMPTY, finishClass, native, requireArguments, requireDictionary, usv, viewOf,
} from "./native.js";
import { AbortController, AbortSignal } from "./events.js";
import { Blob, blobOf, bytesOf, decodeForm, encodeMultipart, FormData } from "./blob.js";
import { Headers, internals as headerInternals } from "./headers.js";
import { mimeType } from "./mime.js";
import { hostStream, readAll, ReadableByteStreamController, ReadableStream, TransformStream } from "./streams.js";
import { URL, URLSearchParams } from "./url.js";

/** What objects of an internal class have unless they are told otherwise: each property that one gets of its own takes time. */
function defaults(constructor, values) {
  Object.assign(constructor.prototype, values);
}

/**
 * A body: whole (`text` or `bytes`), a stream of the host that nobody has looked at (`host`), or a ReadableStream. The others become the
 * last only when a program asks for `body`, and text becomes bytes only when bytes are asked for.
 */
export class Body {
  /** `text` is well-formed; `type` is the content type that goes with the body, if any. */
  static ofText(text, type) {
    const body = new Body();
    body.text = text;
    body.type = type;
    return body;
  }
  static whole(bytes, type = null) {
    const body = new Body();
    body.bytes = bytes;
    body.type = type;
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
  get usable() { return !this.used && (this.stream === null || !(isDisturbed(this.stream) || this.stream.locked)); }

  /** The text or the bytes of a whole body; null of another. */
  get content() { return this.text ?? this.bytes; }
  /** The bytes of a whole body; null of another. */
  wholeBytes() {
    if (this.text !== null) {
      this.bytes = native.encodeUtf8(this.text);
      this.text = null;
    }
    return this.bytes;
  }
  asStream() {
    if (this.stream === null) {
      const bytes = this.wholeBytes();
      this.stream = bytes === null ? hostStream(this.host) : bytesStream(bytes);
      if (this.used) this.stream.getReader();
      this.bytes = null;
      this.host = 0;
    }
    return this.stream;
  }
  /** Marks a body as used. */
  use() {
    if (!this.usable) throw new TypeError("The body was used already");
    this.used = true;
  }
  /** All bytes of a body that is not whole. */
  async collect() {
    if (this.stream === null) return joined(await readAll(this.host));
    const chunks = [];
    const reader = this.stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return joined(chunks);
      if (!(value instanceof Uint8Array)) throw new TypeError("The body stream gave a chunk that is not a Uint8Array");
      chunks.push(viewOf(value));
    }
  }
  clone() {
    if (!this.usable) throw new TypeError("A body that was used cannot be cloned");
    if (this.content !== null) return this.text === null ? Body.whole(this.bytes) : Body.ofText(this.text, null);
    const [first, second] = this.asStream().tee();
    this.stream = first;
    return Body.ofStream(copied(second));
  }
}

defaults(Body, { type: null, text: null, bytes: null, host: 0, stream: null, used: false });

/** The second branch of a stream that was divided: what is done to its chunks does not change those of the first. */
function copied(stream) {
  if (stream._readableStreamController instanceof ReadableByteStreamController) return stream;
  const reader = stream.getReader();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(structuredClone(value));
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
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

const TEXT = "text/plain;charset=UTF-8";
const FORM = "application/x-www-form-urlencoded;charset=UTF-8";

/** A body of whatever a program passes. */
function extract(init) {
  if (typeof init === "string") return Body.ofText(init.toWellFormed(), TEXT);
  if (init instanceof ReadableStream) {
    if (init.locked || isDisturbed(init)) throw new TypeError("The body stream is locked or was read already");
    return Body.ofStream(init);
  }
  if (init instanceof Blob) return Body.whole(bytesOf(init), init.type === "" ? null : init.type);
  if (init instanceof FormData) return Body.whole(...encodeMultipart(init));
  if (init instanceof URLSearchParams) return Body.ofText(usv(init), FORM);
  const view = viewOf(init);
  if (view !== undefined) return Body.whole(view.slice());
  if (typeof init === "object" && init !== null && typeof init[Symbol.asyncIterator] === "function") {
    return Body.ofStream(ReadableStream.from(init));
  }
  return Body.ofText(usv(init), TEXT);
}

/**
 * Reads the body of a message, whose state `stateOf` has; `convert` gets the bytes and the state, `convertText` the text of a body that is one.
 * Bodies that are whole need no turn of the event loop.
 */
function read(stateOf, message, convert, convertText = undefined) {
  try {
    const state = stateOf(message);
    const { body } = state;
    if (body === null) return Promise.resolve(convert(EMPTY, state));
    body.use();
    if (body.text !== null && convertText !== undefined) return Promise.resolve(convertText(body.text));
    const bytes = body.wholeBytes();
    return bytes === null ? body.collect().then((all) => convert(all, state)) : Promise.resolve(convert(bytes, state));
  } catch (error) {
    return Promise.reject(error);
  }
}

const UNMARKED = (text) => (text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
const PARSED = (text) => JSON.parse(UNMARKED(text));

/** Adds what requests and responses share. `stateOf` throws when the message is none. */
function addBody(constructor, stateOf, headersOf) {
  const typeOf = (state) => headersOf(state).get("content-type") ?? "";
  const toBuffer = (bytes) => bytes.slice().buffer;
  const toBlob = (bytes, state) => blobOf(bytes, mimeType(typeOf(state)));
  const toBytes = (bytes) => bytes.slice();
  const toForm = (bytes, state) => decodeForm(bytes, typeOf(state));
  const methods = {
    arrayBuffer() { return read(stateOf, this, toBuffer); },
    blob() { return read(stateOf, this, toBlob); },
    bytes() { return read(stateOf, this, toBytes); },
    formData() { return read(stateOf, this, toForm); },
    json() { return read(stateOf, this, native.parseJson, PARSED); },
    text() { return read(stateOf, this, decodeUtf8, UNMARKED); },
  };
  for (const [name, method] of Object.entries(methods)) {
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

class RequestState {}

/** Those of a request that came from the host are made when somebody asks. */
const requestHeaders = (state) => (state.headers ??= headerInternals.ofFields(state.fields));

/** What the host is to send of a request. */
export let requestState;

export class Request {
  #state;
  constructor(input, init = undefined) {
    if (input === BARE) {
      this.#state = init;
      return;
    }
    requireArguments(arguments, 1, "Request");
    requireDictionary(init, "Request");
    if (init?.duplex !== undefined && init.duplex !== "half") throw new TypeError('Request: duplex can only be "half"');
    const source = input instanceof Request ? input.#state : null;
    const url = source?.url ?? parseUrl(input);
    const method = init?.method === undefined ? (source?.method ?? "GET") : methodOf(init.method);
    const headers = new Headers(init?.headers ?? (source === null ? undefined : requestHeaders(source)));
    if (init?.window !== undefined && init.window !== null) throw new TypeError("Request: window can only be null");
    const signal = init?.signal === undefined ? source?.signal : init.signal;
    if (signal !== undefined && signal !== null && !(signal instanceof AbortSignal)) {
      throw new TypeError("Request: the signal is not an AbortSignal");
    }
    let body = null;
    if (init?.body !== undefined && init.body !== null) {
      if (method === "GET" || method === "HEAD") throw new TypeError(`Request: a ${method} request cannot have a body`);
      body = extract(init.body);
      if (body.stream !== null && init.duplex === undefined && init.body instanceof ReadableStream) {
        throw new TypeError('Request: a stream as body needs duplex: "half"');
      }
      if (body.type !== null) headerInternals.setDefault(headers, "content-type", body.type);
    } else if (source?.body) {
      if (method === "GET" || method === "HEAD") throw new TypeError(`Request: a ${method} request cannot have a body`);
      if (!source.body.usable) throw new TypeError("Request: the body was used already");
      body = takeOver(source.body);
    }
    const options = source?.options ?? DEFAULTS;
    this.#state = Object.assign(new RequestState(), {
      url, method, headers, body,
      signal: signal === undefined || signal === null ? null : AbortSignal.any([signal]),
      options: init === undefined || init === null ? options : optionsOf(init, options),
    });
  }
  get method() { return this.#state.method; }
  get url() { return this.#state.url; }
  get headers() { return requestHeaders(this.#state); }
  get signal() { return (this.#state.signal ??= new AbortController().signal); }
  get destination() { return (this.#state, ""); }
  get referrer() { return this.#state.options.referrer; }
  get referrerPolicy() { return this.#state.options.referrerPolicy; }
  get mode() { return this.#state.options.mode; }
  get credentials() { return this.#state.options.credentials; }
  get cache() { return this.#state.options.cache; }
  get redirect() { return this.#state.options.redirect; }
  get integrity() { return this.#state.options.integrity; }
  get keepalive() { return this.#state.options.keepalive; }
  get isReloadNavigation() { return (this.#state, false); }
  get isHistoryNavigation() { return (this.#state, false); }
  get duplex() { return (this.#state, "half"); }
  clone() {
    const state = this.#state;
    const body = state.body?.clone() ?? null;
    return new Request(BARE, Object.assign(new RequestState(), state, { headers: headerInternals.copy(requestHeaders(state)), body }));
  }

  static {
    requestState = (request) => request.#state;
  }
}
const REQUEST_ATTRIBUTES = ["method", "url", "headers", "signal", "destination", "referrer", "referrerPolicy", "mode", "credentials", "cache",
  "redirect", "integrity", "keepalive", "isReloadNavigation", "isHistoryNavigation", "duplex", "clone"];
finishClass(Request, ...REQUEST_ATTRIBUTES);
addBody(Request, requestState, requestHeaders);

/** Lets this module construct messages from a state, past the checks. */
const BARE = Symbol("bare");
const DEFAULTS = {
  redirect: "follow", mode: "cors", credentials: "same-origin", cache: "default", referrer: "about:client", referrerPolicy: "", integrity: "",
  keepalive: false,
};

defaults(RequestState, { url: "", method: "GET", headers: null, fields: null, body: null, signal: null, options: DEFAULTS });

/** A request the host hands to the handler, of this class: Request, or one derived from it. */
export function emptyRequest(constructor) {
  const state = new RequestState();
  state.url = "";
  state.method = "";
  state.fields = null;
  state.body = null;
  return new constructor(BARE, state);
}

/** Makes it the one that arrived. */
export function fillRequest(request, method, url, fields, body) {
  const state = requestState(request);
  state.url = url;
  state.method = method;
  state.fields = fields;
  state.body = body;
  return request;
}

/** The options of a request that concern neither its head nor its body. */
function optionsOf(init, base) {
  const options = {
    redirect: oneOf(init, "redirect", ["follow", "error", "manual"], base.redirect),
    mode: oneOf(init, "mode", ["same-origin", "no-cors", "cors"], base.mode),
    credentials: oneOf(init, "credentials", ["omit", "same-origin", "include"], base.credentials),
    cache: oneOf(init, "cache", ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"], base.cache),
    referrer: init.referrer === undefined ? base.referrer : referrerOf(usv(init.referrer)),
    referrerPolicy: oneOf(init, "referrerPolicy", POLICIES, base.referrerPolicy),
    integrity: init.integrity === undefined ? base.integrity : String(init.integrity),
    keepalive: init.keepalive === undefined ? base.keepalive : Boolean(init.keepalive),
  };
  // There is nothing it could be told to, but a wrong one is an error everywhere.
  oneOf(init, "priority", ["high", "low", "auto"]);
  if (options.cache === "only-if-cached" && options.mode !== "same-origin") {
    throw new TypeError('Request: the cache "only-if-cached" needs the mode "same-origin"');
  }
  return options;
}

const POLICIES = ["", "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin", "origin-when-cross-origin",
  "strict-origin-when-cross-origin", "unsafe-url"];

const referrerOf = (referrer) => (referrer === "" ? "" : new URL(referrer).href);

function parseUrl(input) {
  const url = new URL(input);
  if (url.username !== "" || url.password !== "") throw new TypeError("Request: the URL holds a user name or a password");
  return url.href;
}

/** Moves a body to another message: the first one counts as used. */
function takeOver(body) {
  const stream = body.stream?.pipeThrough(new TransformStream()) ?? null;
  const moved = Object.assign(new Body(), { text: body.text, bytes: body.bytes, host: body.host, stream });
  body.used = true;
  return moved;
}

const NULL_BODY = new Set([101, 103, 204, 205, 304]);

class ResponseState {}
defaults(ResponseState, { type: "default", url: "", redirected: false, status: 200, statusText: "", headers: null, body: null });

/** As long as nobody asks for the headers of a response, they are the type of its body. */
export function responseHeaders(state) {
  if (state.headers === null) {
    state.headers = new Headers();
    const type = state.body?.type ?? null;
    if (type !== null) headerInternals.setDefault(state.headers, "content-type", type);
  }
  return state.headers;
}

/** What the host is to send of a response. */
export let responseState;

export class Response {
  #state;
  constructor(body = null, init = undefined) {
    if (body === BARE) {
      this.#state = init;
      return;
    }
    const state = (this.#state = new ResponseState());
    if (init !== undefined) setHead(state, init);
    if (body === null || body === undefined) return;
    if (state.status !== 200 && NULL_BODY.has(state.status)) {
      throw new TypeError(`Response: a response with status ${state.status} cannot have a body`);
    }
    const content = (state.body = extract(body));
    if (state.headers !== null && content.type !== null) headerInternals.setDefault(state.headers, "content-type", content.type);
  }
  static error() {
    const state = Object.assign(new ResponseState(), { type: "error", status: 0, headers: headerInternals.freeze(new Headers()) });
    return new Response(BARE, state);
  }
  static redirect(url, status = 302) {
    const target = new URL(url).href;
    const code = toUint16(status);
    if (![301, 302, 303, 307, 308].includes(code)) throw new RangeError(`Response.redirect: the status ${status} is not one of a redirect`);
    const headers = headerInternals.freeze(new Headers({ location: target }));
    return new Response(BARE, Object.assign(new ResponseState(), { status: code, headers }));
  }
  static json(data, init = undefined) {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError("Response.json: the value has no JSON form");
    if (init === undefined) return new Response(BARE, jsonState(text));
    const response = new Response(text, init);
    if (!hasOwnType(init)) response.headers.set("content-type", "application/json");
    return response;
  }
  get type() { return this.#state.type; }
  get url() { return this.#state.url; }
  get redirected() { return this.#state.redirected; }
  get status() { return this.#state.status; }
  get ok() {
    const { status } = this.#state;
    return status >= 200 && status <= 299;
  }
  get statusText() { return this.#state.statusText; }
  get headers() { return responseHeaders(this.#state); }
  clone() {
    const state = this.#state;
    const headers = headerInternals.copy(responseHeaders(state));
    return new Response(BARE, Object.assign(new ResponseState(), state, { headers, body: state.body?.clone() ?? null }));
  }

  static {
    responseState = (response) => response.#state;
  }
}
finishClass(Response, "type", "url", "redirected", "status", "ok", "statusText", "headers", "clone");
addBody(Response, responseState, responseHeaders);

/** The options of a response, read in the order of Web IDL. */
function setHead(state, init) {
  requireDictionary(init, "Response");
  const given = init?.headers;
  const code = init?.status;
  const text = init?.statusText;
  const status = code === undefined || code === 200 ? 200 : toUint16(code);
  const statusText = text === undefined ? "" : `${text}`;
  if (status < 200 || status > 599) throw new RangeError(`Response: the status ${status} is not within 200 and 599`);
  if (statusText !== "" && !/^[\t\x20-\x7e\x80-\xff]*$/.test(statusText)) throw new TypeError("Response: the statusText is not valid");
  if (status !== 200) state.status = status;
  if (statusText !== "") state.statusText = statusText;
  if (given !== undefined) state.headers = new Headers(given);
}

function jsonState(text) {
  const state = new ResponseState();
  state.body = Body.ofText(text, "application/json");
  return state;
}

/** A response with this text of JSON. */
export const jsonResponse = (text) => new Response(BARE, jsonState(text));

function hasOwnType(init) {
  return init?.headers !== undefined && init.headers !== null && new Headers(init.headers).has("content-type");
}

const toUint16 = (value) => (Math.trunc(Number(value)) || 0) & 0xffff;

/** A response that came from the network. */
export function incomingResponse(status, fields, body, url, redirected, statusText = "") {
  const headers = headerInternals.freeze(headerInternals.ofFields(fields));
  return new Response(BARE, Object.assign(new ResponseState(), { type: "basic", url, redirected, status, statusText, headers, body }));
}

defineGlobals({ Request, Response });
