// The management API, as whoever signed in. The token stays in this tab, and goes to this address only.

const KEY = "caddis-token";

/** What the host answered that is no success. */
export class Refused extends Error {
  constructor(status, body) {
    super(body?.message ?? `The host answered with ${status}.`);
    this.status = status;
    this.code = body?.code;
    this.details = body?.details;
  }
}

export const session = {
  get token() {
    return sessionStorage.getItem(KEY);
  },
  set token(token) {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  },
};

/** A request; `body` is sent as JSON unless it is bytes of `type`. The response is one that went well. */
export async function send(method, path, { body, type, signal, token = session.token } = {}) {
  const headers = { Authorization: `Bearer ${token}` };
  const isBytes = body instanceof Blob;
  if (body !== undefined) headers["Content-Type"] = isBytes ? type : "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: isBytes || body === undefined ? body : JSON.stringify(body),
      signal,
      cache: "no-store",
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { message: "The host does not answer." });
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => undefined);
  if (response.status === 401 && token === session.token)
    dispatchEvent(new CustomEvent("signed-out", { detail: "The host does not know this token any more." }));
  throw new Refused(response.status, told);
}

/** The JSON that comes back. */
export async function ask(method, path, options) {
  const response = await send(method, path, options);
  return response.status === 204 ? undefined : response.json();
}

/** The path of something in an app. */
export function inApp(app, ...parts) {
  return `/v1/${[app, ...parts].map(encodeURIComponent).join("/")}`;
}

/** A path with a query; empty values are left out. */
export function query(path, values) {
  const given = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return text ? `${path}?${text}` : path;
}

/** Server-sent events, each as `{event, data}`, until the signal or the host ends them; first, `open` when the host listens. */
export async function* events(path, signal) {
  const response = await send("GET", path, { signal });
  yield { event: "open" };
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block
          .split("\n")
          .filter((line) => !line.startsWith(":"))
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
      );
      if (fields.data !== undefined) yield { event: fields.event ?? "message", data: JSON.parse(fields.data) };
    }
  }
}
