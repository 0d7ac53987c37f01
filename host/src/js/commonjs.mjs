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
