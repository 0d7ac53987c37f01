//! From the files of a JavaScript or TypeScript function to modules the engine can evaluate, or to diagnostics.
//!
//! ```text
//! source::Source ── bundle::bundle ──┬── transpile   one file: parse, check, strip types, print, source map
//!                                    ├── resolve     one import: file, package (specifier: its name), built-in module or nothing
//!                                    ├── packages    npm packages, from wherever they come; manifest: their package.json
//!                                    ├── node        the modules of Node, and what stands for those that are not there
//!                                    └── commonjs    require() for what is not an ES module
//!                        ↓
//!                bundle::Bundle ── sourcemap   a stack of the engine, in the author's lines
//! ```
//!
//! It is pure: no HTTP, no store, no engine, no network. It reads only what it is given, and it runs before anything of the
//! function does. What it is given is hostile: every stage has a limit, and [`nesting`] bounds the stack.
//!
//! It links rather than bundles. The engine takes a map of modules, so a module stays what its author wrote, with its own
//! name in stack traces and its own source map. A bundler would give one file: rolldown 1.2.5 was looked at, and it takes
//! 271 crates where oxc takes 111, brings rayon and a file system, resolves its own crates to versions that need a newer
//! compiler, and knows neither `jsr:` nor esm.sh nor import maps.
//!
//! Which of the handler shapes a module has is not asked here: the engine sees it when it has evaluated the module.

pub mod bundle;
mod callee;
mod commonjs;
pub mod diagnostic;
pub mod frame;
mod globals;
mod import_map;
mod manifest;
mod nesting;
mod node;
pub mod packages;
mod resolve;
pub mod source;
pub mod sourcemap;
mod specifier;
mod toolchain;
mod transpile;

#[cfg(test)]
mod tests;

/// The module that defines globals a program may not need. The engine evaluates it before the program, if it is there.
pub const GLOBALS: &str = "caddis:globals";

/// The module behind `serve` of Deno's standard library. The engine must have it.
pub const STD_HTTP: &str = "caddis:std-http";

/// Global names the engine will never have, each with a hint what to do instead.
pub const ABSENT_GLOBALS: &[(&str, &str)] = &[
    ("Atomics", "a function has one thread"),
    ("BroadcastChannel", "a function has one thread"),
    ("EventSource", "read the body of fetch as a stream"),
    ("HTMLRewriter", "use a package, such as htmlparser2"),
    ("SharedArrayBuffer", "a function has one thread; use ArrayBuffer"),
    ("Supabase", "models do not run here; call one with fetch"),
    ("Temporal", "use Date, or a pure JavaScript package such as temporal-polyfill"),
    ("WebAssembly", "deploy a WebAssembly component of its own instead"),
    ("WebSocket", "use fetch"),
    ("Worker", "a function has one thread"),
    ("XMLHttpRequest", "use fetch"),
    ("caches", "nothing outlives a request in memory; use ctx.db"),
    ("localStorage", "nothing outlives a request in memory; use ctx.db"),
    ("sessionStorage", "nothing outlives a request in memory; use ctx.db"),
];

/// What the engine has and lacks.
#[derive(Debug, Clone, Copy)]
pub struct Platform<'a> {
    /// The `node:` modules there are, each with its text; their names are without the prefix: `buffer`, `util/types`. Those below `internal/`
    /// are for the others only.
    pub node_modules: &'a [(&'a str, &'a str)],
    /// Global names the engine will never have, each with a hint what to do instead.
    pub absent_globals: &'a [(&'a str, &'a str)],
}
