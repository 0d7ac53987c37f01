//! The modules that the toolchain adds to a program.

use std::collections::BTreeSet;

use oxc::syntax::identifier::is_identifier_name;

use super::{commonjs, node};

/// The name of the module with nothing in it.
pub(super) const EMPTY: &str = "caddis:toolchain/empty";

/// What stands for a module that is not there, as a CommonJS module without any exports would.
pub(super) fn empty_code(names: &BTreeSet<String>) -> String {
    let names = names.iter().filter(|name| is_identifier_name(name));
    let exports: String = names.map(|name| format!("export {{ nothing as {name} }};\n")).collect();
    format!("const nothing = undefined;\nexport default {{}};\n{exports}")
}

/// The code of a module with a name of its own.
pub(super) fn code(name: &str) -> Option<&'static str> {
    if name == commonjs::RUNTIME {
        return Some(commonjs::RUNTIME_CODE);
    }
    match name.strip_prefix("caddis:toolchain/helpers/")? {
        "asyncGeneratorDelegate" => Some(include_str!("helpers/async-generator-delegate.mjs")),
        "asyncIterator" => Some(include_str!("helpers/async-iterator.mjs")),
        "asyncToGenerator" => Some(include_str!("helpers/async-to-generator.mjs")),
        "awaitAsyncGenerator" => Some(include_str!("helpers/await-async-generator.mjs")),
        "decorate" => Some(include_str!("helpers/decorate.mjs")),
        "decorateParam" => Some(include_str!("helpers/decorate-param.mjs")),
        "wrapAsyncGenerator" => Some(include_str!("helpers/wrap-async-generator.mjs")),
        _ => None,
    }
}

/// Makes sure that `then` is patched before anything of the program runs.
const PATCH_THEN: &str = "import \"node:internal/async-context\";\n";

const DEFINE_BUFFER: &str = "import { Buffer } from \"node:buffer\";
Object.defineProperty(globalThis, \"Buffer\", { value: Buffer, writable: true, configurable: true, enumerable: false });
";

/// The code of the module that runs before the program, and what it imports; `None` when there is nothing for it to do.
pub(super) fn globals(follows_async: bool, has_buffer: bool) -> Option<(String, Vec<&'static str>)> {
    let parts = [(follows_async, PATCH_THEN, node::ASYNC_CONTEXT), (has_buffer, DEFINE_BUFFER, "node:buffer")];
    let wanted = parts.into_iter().filter_map(|(wanted, code, import)| wanted.then_some((code, import)));
    let (code, imports): (Vec<&str>, Vec<&str>) = wanted.unzip();
    (!code.is_empty()).then(|| (code.concat(), imports))
}
