// Files as Deno has them, in the private directory of the function: whole files, nothing that stays open.

import { concatenate, decodeUtf8, encodeUtf8, native, viewOf } from "./native.js";

/** What Deno throws for each code; other codes are plain errors. */
const KINDS = {
  ENOENT: "NotFound", EACCES: "PermissionDenied", EPERM: "PermissionDenied", EEXIST: "AlreadyExists", ENOTDIR: "NotADirectory",
  EISDIR: "IsADirectory", EINVAL: "InvalidData", ENOTSUP: "NotSupported",
};

export const errors = {};
for (const name of new Set(Object.values(KINDS))) {
  errors[name] = class extends Error {
    get name() { return name; }
  };
  Object.defineProperty(errors[name], "name", { value: name });
}

/** What the host answered, or the error it is. */
function checked(result, what, path) {
  if (!Array.isArray(result)) return result;
  const [code, message] = result;
  const error = new (errors[KINDS[code]] ?? Error)(`${message}: ${what} '${path}'`);
  error.code = code;
  throw error;
}

/** A path below the directory. Absolute paths begin there. */
function below(path) {
  const text = path instanceof URL ? fileUrl(path) : String(path);
  return text.replace(/^\/+/, "") || ".";
}

function fileUrl(url) {
  if (url.protocol !== "file:") throw new TypeError("Must be a file URL");
  return decodeURIComponent(url.pathname);
}

function refuse(options, ...names) {
  for (const name of names) {
    if (options?.[name] !== undefined) throw new TypeError(`The option ${name} is not available here`);
  }
}

const PLACEMENT = { replace: 0, append: 1, createNew: 2, existing: 3 };

function placementOf({ append, create, createNew } = {}) {
  if (createNew) return PLACEMENT.createNew;
  if (append) return PLACEMENT.append;
  return create === false ? PLACEMENT.existing : PLACEMENT.replace;
}

function write(path, bytes, options) {
  refuse(options, "mode");
  options?.signal?.throwIfAborted();
  checked(native.writeFile(below(path), bytes, placementOf(options)), "write", path);
}

function bytesOf(data) {
  const view = viewOf(data);
  if (view === undefined) throw new TypeError("The data is not a Uint8Array");
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

async function allOf(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(typeof chunk === "string" ? encodeUtf8(chunk) : bytesOf(chunk));
  return concatenate(chunks);
}

function read(path, options) {
  options?.signal?.throwIfAborted();
  return checked(native.readFile(below(path)), "read", path);
}

function stat(path) {
  const { isDirectory, size, modified } = checked(native.fileInfo(below(path)), "stat", path);
  const mtime = new Date(modified);
  return { isFile: !isDirectory, isDirectory, isSymlink: false, size, mtime, atime: null, birthtime: null, ctime: null };
}

function entriesOf(path) {
  const { pairs } = checked(native.entries(below(path)), "readdir", path);
  return pairs.map(([name, isDirectory]) => ({ name, isFile: !isDirectory, isDirectory, isSymlink: false }));
}

function makeDirectory(path, options) {
  const target = below(path);
  if (!options?.recursive) return checked(native.makeDirectory(target), "mkdir", path);
  let at = "";
  for (const part of target.split("/")) {
    at = at === "" ? part : `${at}/${part}`;
    const result = native.makeDirectory(at);
    if (result?.[0] === "EEXIST" && native.fileInfo(at).isDirectory) continue;
    checked(result, "mkdir", path);
  }
}

function remove(path, options) {
  if (options?.recursive) {
    const info = checked(native.fileInfo(below(path)), "remove", path);
    if (info.isDirectory) for (const { name } of entriesOf(path)) remove(`${String(path)}/${name}`, options);
  }
  return checked(native.removeFile(below(path)), "remove", path);
}

const rename = (path, to) => checked(native.renameFile(below(path), below(to)), "rename", path);

/** What `Deno` has of them. */
export const files = {
  errors,
  readFileSync: read,
  readTextFileSync: (path, options) => decodeUtf8(read(path, options)),
  writeFileSync: (path, data, options) => write(path, bytesOf(data), options),
  writeTextFileSync: (path, text, options) => write(path, encodeUtf8(text), options),
  statSync: stat,
  lstatSync: stat,
  readDirSync: (path) => entriesOf(path)[Symbol.iterator](),
  mkdirSync: makeDirectory,
  removeSync: remove,
  renameSync: rename,
  copyFileSync: (from, to) => write(to, read(from)),
  readFile: async (path, options) => read(path, options),
  readTextFile: async (path, options) => decodeUtf8(read(path, options)),
  writeFile: async (path, data, options) => write(path, data instanceof ReadableStream ? await allOf(data) : bytesOf(data), options),
  writeTextFile: async (path, text, options) => write(path, text instanceof ReadableStream ? await allOf(text) : encodeUtf8(text), options),
  stat: async (path) => stat(path),
  lstat: async (path) => stat(path),
  readDir: async function* (path) { yield* entriesOf(path); },
  mkdir: async (path, options) => makeDirectory(path, options),
  remove: async (path, options) => remove(path, options),
  rename: async (path, to) => rename(path, to),
  copyFile: async (from, to) => write(to, read(from)),
};
