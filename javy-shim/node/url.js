// URLs: the classes of the web platform, and the older `parse`, `format` and `resolve`.

import { parse as parseQuery, stringify } from "node:querystring";
import { coded, invalidType, requireString } from "node:internal/errors";

export const { URL, URLSearchParams } = globalThis;

/** Protocols whose URLs have a host even without `//` being written in `format`. */
const SLASHED = new Set(["http", "https", "ftp", "gopher", "file", "ws", "wss"]);
const HOSTLESS = new Set(["javascript"]);

// A function, not a class, as packages may inherit from it.
export function Url() {
  Object.assign(this, {
    protocol: null, slashes: null, auth: null, host: null, port: null, hostname: null, hash: null, search: null, query: null, pathname: null,
    path: null, href: null,
  });
}

const bare = (protocol) => (protocol ?? "").replace(/:$/, "").toLowerCase();

/** Characters a URL cannot have are percent-encoded, as the older parser does. */
const escaped = (text) => text.replace(/[\t\n\r "'<>\\^`{|}]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);

/** Takes `user:password@host:port` off. */
function takeAuthority(url, rest) {
  const end = rest.search(/[/?#]/);
  let authority = end < 0 ? rest : rest.slice(0, end);
  const at = authority.lastIndexOf("@");
  if (at >= 0) {
    const auth = authority.slice(0, at);
    try {
      url.auth = decodeURIComponent(auth);
    } catch {
      throw coded(URIError, "ERR_INVALID_URL", "Invalid URL");
    }
    authority = authority.slice(at + 1);
  }
  const [, hostname, port] = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?/.exec(authority);
  url.port = port ? port : null;
  const name = hostname.toLowerCase();
  url.hostname = name.startsWith("[") ? name.slice(1, -1) : name;
  url.host = `${name}${url.port === null ? "" : `:${url.port}`}`;
  return end < 0 ? "" : rest.slice(end);
}

export function parse(text, withQuery = false, slashesDenoteHost = false) {
  if (text instanceof Url) return text;
  requireString(text, "url");
  const url = new Url();
  let rest = text.trim();
  const question = rest.search(/[?#]/);
  const head = (question < 0 ? rest : rest.slice(0, question)).replaceAll("\\", "/");
  rest = question < 0 ? head : head + rest.slice(question);
  const protocol = /^[a-z0-9.+-]+:/i.exec(rest)?.[0].toLowerCase();
  if (protocol !== undefined) {
    url.protocol = protocol;
    rest = rest.slice(protocol.length);
  }
  const slashes = rest.startsWith("//");
  const mayHaveHost = !HOSTLESS.has(bare(protocol));
  if (slashes && mayHaveHost && (protocol !== undefined || slashesDenoteHost)) {
    url.slashes = true;
    rest = takeAuthority(url, rest.slice(2));
  } else if (mayHaveHost && protocol !== undefined && !SLASHED.has(bare(protocol))) {
    rest = takeAuthority(url, rest);
  }
  const hash = rest.indexOf("#");
  if (hash >= 0) {
    url.hash = escaped(rest.slice(hash));
    rest = rest.slice(0, hash);
  }
  const search = rest.indexOf("?");
  if (search >= 0) {
    url.search = escaped(rest.slice(search));
    url.query = withQuery ? parseQuery(url.search.slice(1)) : url.search.slice(1);
    rest = rest.slice(0, search);
  } else if (withQuery) {
    url.search = "";
    url.query = Object.create(null);
  }
  if (rest !== "") url.pathname = escaped(rest);
  if (SLASHED.has(bare(protocol)) && url.hostname && !url.pathname) url.pathname = "/";
  if (url.pathname !== null || url.search) url.path = `${url.pathname ?? ""}${url.search ?? ""}`;
  url.href = format(url);
  return url;
}

function formatLegacy(url) {
  const auth = url.auth ? `${encodeURIComponent(url.auth).replace(/%3A/i, ":")}@` : "";
  let protocol = url.protocol ?? "";
  if (protocol !== "" && !protocol.endsWith(":")) protocol += ":";
  let host = "";
  if (url.host) host = auth + url.host;
  else if (url.hostname) host = `${auth}${url.hostname.includes(":") ? `[${url.hostname}]` : url.hostname}${url.port ? `:${url.port}` : ""}`;
  let pathname = (url.pathname ?? "").replace(/[?#]/g, encodeURIComponent);
  const query = url.query !== null && typeof url.query === "object" ? stringify(url.query) : "";
  let search = url.search || (query === "" ? "" : `?${query}`);
  if (url.slashes || ((protocol === "" || SLASHED.has(bare(protocol))) && host !== "")) {
    host = `//${host}`;
    if (pathname !== "" && !pathname.startsWith("/")) pathname = `/${pathname}`;
  }
  let hash = url.hash ?? "";
  if (hash !== "" && !hash.startsWith("#")) hash = `#${hash}`;
  if (search !== "" && !search.startsWith("?")) search = `?${search}`;
  return `${protocol}${host}${pathname}${search.replaceAll("#", "%23")}${hash}`;
}

export function format(url, options = undefined) {
  if (typeof url === "string") return formatLegacy(parse(url));
  if (url === null || typeof url !== "object") throw invalidType("urlObject", "one of type object or string", url);
  if (!(url instanceof URL)) return formatLegacy(url);
  const copy = new URL(url.href);
  if (options?.auth === false) copy.username = copy.password = "";
  if (options?.fragment === false) copy.hash = "";
  if (options?.search === false) copy.search = "";
  return copy.href;
}
Url.prototype.format = function () { return formatLegacy(this); };
Url.prototype.parse = function (...args) { return Object.assign(this, parse(...args)); };
Url.prototype.resolve = function (relative) { return resolve(this.href, relative); };

/** What a link means on a page. A base without a host is one too. */
export function resolve(from, to) {
  const nowhere = "resolve://nowhere.invalid";
  const base = new URL(from, `${nowhere}/`);
  const resolved = new URL(to, base);
  if (!resolved.href.startsWith(nowhere)) return resolved.href;
  const text = `${resolved.pathname}${resolved.search}${resolved.hash}`;
  return from.startsWith("/") || String(to).startsWith("/") ? text : text.slice(1);
}
export const resolveObject = (from, to) => parse(resolve(from, to));

export function fileURLToPath(path) {
  const url = typeof path === "string" ? new URL(path) : path;
  if (url?.protocol !== "file:") throw coded(TypeError, "ERR_INVALID_URL_SCHEME", "The URL must be of scheme file");
  if (/%2f/i.test(url.pathname)) throw coded(TypeError, "ERR_INVALID_FILE_URL_PATH", "File URL path must not include encoded / characters");
  return decodeURIComponent(url.pathname);
}
export function pathToFileURL(path) {
  const url = new URL("file:///");
  url.pathname = String(path).replaceAll("%", "%25").replaceAll("?", "%3F").replaceAll("#", "%23");
  return url;
}

function hostOf(domain) {
  try {
    return new URL(`http://${domain}`).hostname;
  } catch {
    return "";
  }
}
export const domainToASCII = (domain) => hostOf(domain);
export const domainToUnicode = (domain) => hostOf(domain);

export function urlToHttpOptions(url) {
  const { protocol, hostname, hash, search, pathname, href, port, username, password } = url;
  const options = { protocol, hostname: hostname.replace(/^\[|\]$/g, ""), hash, search, pathname, path: `${pathname}${search}`, href };
  if (port !== "") options.port = Number(port);
  if (username !== "" || password !== "") options.auth = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return options;
}

export default {
  URL, URLSearchParams, Url, domainToASCII, domainToUnicode, fileURLToPath, format, parse, pathToFileURL, resolve, resolveObject,
  urlToHttpOptions,
};
