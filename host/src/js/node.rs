//! The built-in modules of Node: which there are, which a program has here, and what stands for those it has not.

use super::Platform;

/// The modules of Node that mean the same without `node:`, here or not: a package of that name on npm is something else.
const MODULES: [&str; 52] = [
    "assert",
    "assert/strict",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "dns/promises",
    "domain",
    "events",
    "fs",
    "fs/promises",
    "http",
    "http2",
    "https",
    "inspector",
    "inspector/promises",
    "module",
    "net",
    "os",
    "path",
    "path/posix",
    "path/win32",
    "perf_hooks",
    "process",
    "querystring",
    "readline",
    "readline/promises",
    "repl",
    "stream",
    "stream/consumers",
    "stream/promises",
    "stream/web",
    "string_decoder",
    "sys",
    "timers",
    "timers/promises",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "util/types",
    "v8",
    "vm",
    "worker_threads",
    "zlib",
];

/// Whether a bare specifier is that of a module of Node, here or not.
pub(super) fn is_node_module(specifier: &str) -> bool {
    MODULES.contains(&specifier)
}

/// What to do without a module.
pub(super) fn hint(name: &str) -> Option<&'static str> {
    match name.split('/').next().unwrap_or_default() {
        "fs" => Some("A function has no files: keep data in ctx.db, and text that belongs to the code in a module"),
        "http" | "https" | "http2" => Some("Use fetch for requests; the handler is the server"),
        "net" | "tls" | "dgram" | "dns" => Some("A function has no sockets: use fetch"),
        "child_process" | "cluster" | "worker_threads" => Some("A function is one thread that starts no other"),
        _ => None,
    }
}

/// The module that a specifier of a `require` means, if it is one of Node.
pub(super) fn required(specifier: &str) -> Option<&str> {
    match specifier.strip_prefix("node:") {
        Some(name) => Some(name),
        None => is_node_module(specifier).then_some(specifier),
    }
}

/// Whether a text has the global `Buffer`, as a word.
pub(super) fn mentions_buffer(text: &str) -> bool {
    const NAME: &str = "Buffer";
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$');
    text.match_indices(NAME).any(|(start, _)| {
        let before = text.get(..start).and_then(|text| text.chars().next_back());
        let after = text.get(start + NAME.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// The module whose presence asks for async functions to be lowered.
pub(super) const ASYNC_CONTEXT: &str = "node:internal/async-context";

impl Platform<'_> {
    /// The text of a module of Node, by its name without the prefix.
    pub(super) fn node_module_text(&self, name: &str) -> Option<&str> {
        self.node_modules.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// Whether a program may import this module of Node.
    pub(super) fn has_node_module(&self, name: &str) -> bool {
        !is_internal(name) && self.node_module_text(name).is_some()
    }

    /// A sentence with the modules a program may import.
    pub(super) fn node_modules_there_are(&self) -> Option<String> {
        let names = self.node_modules.iter().map(|(name, _)| *name).filter(|name| !is_internal(name));
        let names: Vec<String> = names.map(|name| format!("node:{name}")).collect();
        if names.is_empty() { None } else { Some(format!("These are: {}", names.join(", "))) }
    }
}

fn is_internal(name: &str) -> bool {
    name.starts_with("internal/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_modules_of_node_are_taken_for_them() {
        for name in ["fs", "fs/promises", "process", "util/types"] {
            assert!(is_node_module(name), "{name}");
        }
        for name in ["fs-extra", "process/browser", "util/util.js", "punycode", ""] {
            assert!(!is_node_module(name), "{name}");
        }
    }

    #[test]
    fn the_buffer_is_a_word() {
        for text in ["Buffer", "x=Buffer.from(y)", "globalThis.Buffer", "(Buffer)", "ArrayBuffer; Buffer"] {
            assert!(mentions_buffer(text), "{text}");
        }
        for text in ["", "ArrayBuffer", "Buffers", "$Buffer", "Buffer_", "isBuffer()", "éBuffer"] {
            assert!(!mentions_buffer(text), "{text}");
        }
    }
}
