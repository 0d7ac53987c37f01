//! The package readable-stream, which is the streams of Node.js, as one ES module.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::Result;

/// The file that the others are reached from.
const ENTRY: &str = "lib/stream.js";

/// What the package needs from outside, and what stands for it. Whatever else it asks for is a fallback for what the engine has.
const OUTSIDE: [(&str, &str); 4] =
    [("buffer", "buffer"), ("events", "events"), ("process/", "globalThis.process"), ("string_decoder/", "decoder")];

const HEADER: &str =
    "// readable-stream, written by `cargo engine` from the version in js/package-lock.json. Its licence is in NOTICE.
import buffer from \"node:buffer\";
import events from \"node:events\";
import decoder from \"node:string_decoder\";
";

const FOOTER: &str = "const loaded = {};
function load(name) {
  if (loaded[name] === undefined) {
    const module = (loaded[name] = { exports: {} });
    files[name](module, module.exports, (specifier) => {
      const target = imports[name][specifier];
      if (target === undefined) throw new Error(`${specifier} is not part of the streams`);
      return outside[target] ?? load(target);
    });
  }
  return loaded[name].exports;
}
";

/// Reads the files that the entry reaches, after `npm ci`, and puts them into one.
pub(crate) fn bundle(package: &Path) -> Result<String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut queue = vec![ENTRY.to_owned()];
    while let Some(name) = queue.pop() {
        if files.contains_key(&name) {
            continue;
        }
        let code = without_comments(&std::fs::read_to_string(package.join(&name))?);
        queue.extend(required(&code).filter_map(|specifier| resolve(&name, specifier)));
        files.insert(name, code);
    }
    let mut text = HEADER.to_owned();
    text.push_str("const outside = {\n");
    for (specifier, value) in OUTSIDE {
        writeln!(text, "  {specifier:?}: {value},")?;
    }
    text.push_str("};\nconst imports = {\n");
    for (name, code) in &files {
        let targets: BTreeMap<&str, String> =
            required(code).filter_map(|specifier| Some((specifier, target(name, specifier)?))).collect();
        writeln!(text, "  {name:?}: {targets:?},")?;
    }
    text.push_str("};\nconst files = {\n");
    for (name, code) in &files {
        writeln!(text, "{name:?}(module, exports, require) {{\n{code}}},")?;
    }
    writeln!(text, "}};\n{FOOTER}export default load({ENTRY:?});")?;
    Ok(text)
}

/// The specifiers of the `require` calls.
fn required(code: &str) -> impl Iterator<Item = &str> {
    code.split("require('").skip(1).filter_map(|rest| rest.split_once("')").map(|(specifier, _)| specifier))
}

fn target(from: &str, specifier: &str) -> Option<String> {
    let is_outside = OUTSIDE.iter().any(|(known, _)| *known == specifier);
    if is_outside { Some(specifier.to_owned()) } else { resolve(from, specifier) }
}

/// The file that a relative specifier means.
fn resolve(from: &str, specifier: &str) -> Option<String> {
    if !specifier.starts_with('.') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let path = parts.join("/");
    Some(if path.ends_with(".js") { path } else { format!("{path}.js") })
}

/// Without the lines that are comments: whoever uses the module has it parsed.
fn without_comments(code: &str) -> String {
    let mut kept = String::new();
    let mut in_comment = false;
    for line in code.lines() {
        let trimmed = line.trim();
        in_comment |= trimmed.starts_with("/*");
        if !in_comment && !trimmed.is_empty() && !trimmed.starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
        in_comment &= !trimmed.ends_with("*/");
    }
    kept
}
