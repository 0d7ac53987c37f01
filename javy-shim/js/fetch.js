// fetch (Fetch standard, section 5.6), over the host's outgoing HTTP.

import { defineGlobals, native } from "./native.js";
import { Headers, internals as headerInternals } from "./headers.js";
import { Body, incomingResponse, Request, requestState } from "./messages.js";
import { decodeDataUrl } from "./mime.js";
import { moveTo } from "./stacks.js";
import { hostStream, writeChunk } from "./streams.js";

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 20;
const NO_BODY = new Set([101, 204, 205, 304]);

async function fetch(input, init = undefined) {
  // Where a program called: nobody could tell from the place where the host's answer arrived.
  const call = new Error();
  const request = new Request(input, init);
  const { signal } = requestState(request);
  let url = new URL(request.url);
  let { method, body } = requestState(request);
  if (signal?.aborted) {
    body?.stream?.cancel(signal.reason).catch(() => {});
    throw signal.reason;
  }
  if (url.protocol === "data:") return dataResponse(call, url, method);
  const { headers } = request;
  headerInternals.setDefault(headers, "accept", "*/*");
  headerInternals.setDefault(headers, "user-agent", navigator.userAgent);
  for (let redirects = 0; ; redirects += 1) {
    const [status, responseHeaders, stream] = await exchange(call, url, method, headers, body, signal);
    const location = REDIRECTS.has(status) ? native.getField(responseHeaders, "location") : null;
    if (location === null || request.redirect === "manual") {
      return makeResponse(status, responseHeaders, stream, url, redirects > 0, method, signal);
    }
    native.closeStream(stream, true);
    if (request.redirect === "error") throw failure(call, url, "the server redirected");
    if (redirects >= MAX_REDIRECTS) throw failure(call, url, `more than ${MAX_REDIRECTS} redirects`);
    const next = new URL(location, url);
    if (next.hash === "") next.hash = url.hash;
    if ((status === 303 && method !== "GET" && method !== "HEAD") || (status < 303 && method === "POST")) {
      method = "GET";
      body = null;
      for (const name of ["content-encoding", "content-language", "content-length", "content-location", "content-type"]) headers.delete(name);
    } else if (body !== null && body.content === null) throw failure(call, url, "a streamed body cannot be sent again after a redirect");
    if (next.origin !== url.origin) for (const name of ["authorization", "cookie", "host"]) headers.delete(name);
    url = next;
  }
}

function dataResponse(call, url, method) {
  const [bytes, type] = decodeDataUrl(url) ?? [];
  if (bytes === undefined) throw failure(call, url, "the data: URL is not well-formed");
  const headers = new Headers({ "content-type": type });
  return incomingResponse(200, headerInternals.fields(headers), method === "HEAD" ? null : Body.whole(bytes), url.href, false, "OK");
}

/** An error that says what went wrong, from where fetch was called. */
function failure(call, url, reason, cause = undefined) {
  return moveTo(new TypeError(`fetch failed: ${reason} (${url.origin})`, cause === undefined ? undefined : { cause }), call);
}

/** Sends a request and waits for the head of the response. */
async function exchange(call, url, method, headers, body, signal) {
  if (url.protocol !== "http:" && url.protocol !== "https:") throw failure(call, url, `the scheme ${url.protocol} is not supported`);
  const whole = body?.wholeBytes() ?? null;
  if (whole !== null) headers.set("content-length", String(whole.length));
  else if (body === null && (method === "POST" || method === "PUT")) headers.set("content-length", "0");
  const target = [url.protocol.slice(0, -1), url.host, url.pathname + url.search];
  let id;
  let sink;
  try {
    [id, sink] = native.sendRequest(method, target, headerInternals.fields(headers), body !== null);
    const sending = body === null ? undefined : send(sink, body);
    // When the body breaks off the response is not worth waiting for; when the server does not want it, its answer counts.
    const broken = sending === undefined ? new Promise(() => {}) : sending.then(() => new Promise(() => {}));
    return await abortable(signal, () => native.dropRequest(id), Promise.race([arrival(id), broken]));
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw failure(call, url, error?.message ?? String(error), error);
  }
}

async function arrival(id) {
  for (;;) {
    const response = native.takeResponse(id);
    if (response !== undefined) return response;
    await new Promise((resolve) => native.waitForResponse(id, resolve));
  }
}

async function send(sink, body) {
  try {
    if (body.content !== null) await writeChunk(sink, body.wholeBytes());
    else {
      const reader = body.asStream().getReader();
      for (let step = await reader.read(); !step.done; step = await reader.read()) {
        if (!(step.value instanceof Uint8Array)) throw new TypeError("a chunk of the body stream is not a Uint8Array");
        await writeChunk(sink, step.value);
      }
    }
    body.used = true;
    native.closeStream(sink, false);
  } catch (error) {
    native.closeStream(sink, true);
    throw error;
  }
}

/** Settles as `promise` does, or rejects when the signal fires first. */
function abortable(signal, onAbort, promise) {
  if (signal === null) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => {
      onAbort();
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function makeResponse(status, headers, stream, url, redirected, method, signal) {
  let body = null;
  if (method === "HEAD" || NO_BODY.has(status)) native.closeStream(stream, true);
  else body = signal === null ? Body.ofHost(stream) : Body.ofStream(abortableStream(stream, signal));
  const shown = new URL(url);
  shown.hash = "";
  return incomingResponse(status, headers, body, shown.href, redirected);
}

function abortableStream(id, signal) {
  const inner = hostStream(id).getReader();
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const { done, value } = await abortable(signal, () => native.closeStream(id, true), inner.read());
      if (!done) return controller.enqueue(value);
      controller.close();
      controller.byobRequest?.respond(0);
    },
    cancel(reason) {
      return inner.cancel(reason);
    },
  }, { highWaterMark: 0 });
}

defineGlobals({ fetch });
