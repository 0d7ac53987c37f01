// What the definitions of CommonJS modules share.

/** The `require` of one module. `table`: specifier → function that gives the exports. */
export const __caddis_require = (name, table) => (specifier) => {
  const load = table[specifier];
  if (load !== undefined) return load();
  const why = typeof specifier === "string" ? "it was not found when the function was deployed" : "its name is not a string";
  throw new Error(`Cannot find module '${String(specifier)}', required by '${name}': ${why}`);
};

/** An ES module as `require` gives it: with the mark by which compiled code tells it from a CommonJS module. */
export const __caddis_namespace = (namespace) =>
  "default" in namespace && !("__esModule" in namespace) ? { ...namespace, __esModule: true } : namespace;

const absent = new Map();

/** What stands for a module of Node.js that is not here, and for all its members: it throws when it is called. */
export function __caddis_absent(name) {
  if (!absent.has(name)) {
    const refuse = () => {
      const message = `The built-in module node:${name.split(".")[0]} is not available here, and ${name} was called`;
      throw Object.assign(new Error(message), { code: "ERR_METHOD_NOT_IMPLEMENTED" });
    };
    absent.set(name, new Proxy(function () {}, {
      get: (target, key) => Reflect.get(target, key) ??
        (typeof key === "symbol" || key === "then" || key === "__esModule" ? undefined : __caddis_absent(`${name}.${key}`)),
      apply: refuse,
      construct: refuse,
    }));
  }
  return absent.get(name);
}
