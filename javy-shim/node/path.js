// Paths of POSIX. There are no files here, but names of them are common.

import { requireString } from "node:internal/errors";

export const sep = "/";
export const delimiter = ":";

/** Takes out `.`, `..` and empty segments. Above the root there is nothing; `..` at the beginning of a relative path stays. */
function clean(path, absolute) {
  const segments = [];
  for (const segment of path.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment !== "..") segments.push(segment);
    else if (segments.length > 0 && segments.at(-1) !== "..") segments.pop();
    else if (!absolute) segments.push("..");
  }
  return segments.join("/");
}

export function normalize(path) {
  requireString(path, "path");
  if (path === "") return ".";
  const absolute = path.startsWith("/");
  let cleaned = clean(path, absolute);
  if (cleaned === "" && !absolute) cleaned = ".";
  if (cleaned !== "" && path.endsWith("/")) cleaned += "/";
  return absolute ? `/${cleaned}` : cleaned;
}

export const isAbsolute = (path) => {
  requireString(path, "path");
  return path.startsWith("/");
};

export function join(...paths) {
  for (const path of paths) requireString(path, "path");
  const joined = paths.filter((path) => path !== "").join("/");
  return joined === "" ? "." : normalize(joined);
}

export function resolve(...paths) {
  let resolved = "";
  for (const path of paths.toReversed()) {
    requireString(path, "path");
    if (path === "") continue;
    resolved = resolved === "" ? path : `${path}/${resolved}`;
    if (path.startsWith("/")) break;
  }
  return `/${clean(resolved, true)}`;
}

export function relative(from, to) {
  const [start, end] = [resolve(from), resolve(to)].map((path) => (path === "/" ? [] : path.slice(1).split("/")));
  let common = 0;
  while (common < start.length && start[common] === end[common]) common += 1;
  return [...start.slice(common).fill(".."), ...end.slice(common)].join("/");
}

/** Where the last segment begins and ends; slashes at the end do not count. */
function lastSegment(path) {
  let end = path.length;
  while (end > 1 && path[end - 1] === "/") end -= 1;
  return [path.lastIndexOf("/", end - 1) + 1, end];
}

export function dirname(path) {
  requireString(path, "path");
  if (path === "") return ".";
  let [end] = lastSegment(path);
  if (end === 0) return ".";
  while (end > 1 && path[end - 1] === "/") end -= 1;
  return path.slice(0, end);
}

export function basename(path, suffix = undefined) {
  requireString(path, "path");
  const [start, end] = lastSegment(path);
  const name = path.slice(start, end);
  return suffix !== undefined && name !== suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name;
}

export function extname(path) {
  const name = basename(path);
  const dot = name.lastIndexOf(".");
  return dot <= 0 || name === ".." ? "" : name.slice(dot);
}

export function parse(path) {
  requireString(path, "path");
  const root = path.startsWith("/") ? "/" : "";
  const base = basename(path);
  const ext = extname(path);
  const dir = dirname(path);
  return { root, dir: dir === "." && !path.startsWith("./") ? root : dir, base, ext, name: ext === "" ? base : base.slice(0, -ext.length) };
}

export function format({ root = "", dir = root, base, name = "", ext = "" }) {
  const file = base ?? `${name}${ext === "" || ext.startsWith(".") ? ext : `.${ext}`}`;
  return dir === "" ? file : dir === root ? `${dir}${file}` : `${dir}/${file}`;
}

export const toNamespacedPath = (path) => path;

export const posix = {
  basename, delimiter, dirname, extname, format, isAbsolute, join, normalize, parse, relative, resolve, sep, toNamespacedPath,
};
posix.posix = posix;
export default posix;
