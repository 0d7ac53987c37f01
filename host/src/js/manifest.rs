//! What a `package.json` says about how a package is imported.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::packages::PackageError;
use super::source::join;

/// The conditions of `exports` that hold for every import.
const CONDITIONS: [&str; 5] = ["caddis", "workerd", "worker", "browser", "module"];

/// The largest `package.json`, in bytes: imports are looked up in it, one key after the other.
const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// How deep conditions, arrays and folders nest.
const MAX_CONDITION_DEPTH: usize = 16;

/// What is read of a `package.json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Manifest {
    name: Target,
    main: Target,
    module: Target,
    browser: Target,
    exports: Target,
    imports: Target,
    dependencies: Target,
    optional_dependencies: Target,
    peer_dependencies: Target,
    peer_dependencies_meta: Target,
}

/// Another package that a package says it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency<'a> {
    /// The versions it can be, as written.
    pub requirement: &'a str,
    /// Whether the package can do without it.
    pub optional: bool,
}

/// What stands in for a module where there is no Node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Substitute<'a> {
    /// This file or package.
    Specifier(&'a str),
    /// A module with nothing in it.
    Empty,
}

/// A value of a `package.json`. Conditions hold in the order in which the package lists them, so that order is kept.
#[derive(Debug, Clone, Default)]
enum Target {
    Text(String),
    List(Vec<Target>),
    Map(Vec<(String, Target)>),
    #[default]
    Nothing,
}

impl Target {
    fn entry(&self, name: &str) -> Option<&Self> {
        let Self::Map(map) = self else { return None };
        map.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetVisitor)
    }
}

struct TargetVisitor;

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = Target;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Target, E> {
        Ok(Target::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Target, E> {
        Ok(Target::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Target, E> {
        Ok(Target::Nothing)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Target, E> {
        Ok(Target::Nothing)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Target, E> {
        Ok(Target::Nothing)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Target, E> {
        Ok(Target::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Target, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Target::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Target, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Target::Map(map))
    }
}

/// Who asks for a module of a package, which decides between its two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportKind {
    /// `import`.
    Import,
    /// `require`.
    Require,
}

impl Manifest {
    /// Reads a `package.json`.
    pub fn parse(text: &str) -> Result<Self, PackageError> {
        if text.len() > MAX_MANIFEST_BYTES {
            let why = format!("its package.json has more than {MAX_MANIFEST_BYTES} bytes");
            return Err(PackageError::Unusable(why));
        }
        let is_object = serde_json::from_str::<std::collections::HashMap<String, IgnoredAny>>(text).is_ok();
        let manifest = if is_object { serde_json::from_str(text).ok() } else { None };
        manifest.ok_or_else(|| PackageError::Unusable("its package.json is not a JSON object".to_owned()))
    }

    /// The files that may be what `subpath` (`""` or `sub/path`) means, relative to the package; the first that exists is.
    pub(super) fn candidates(&self, subpath: &str, kind: ImportKind) -> Vec<String> {
        if !matches!(self.exports, Target::Nothing) {
            let key = if subpath.is_empty() { ".".to_owned() } else { format!("./{subpath}") };
            return mapped(&self.exports, &key, kind).into_iter().collect();
        }
        if !subpath.is_empty() {
            return probes(subpath);
        }
        self.mains("", kind)
    }

    /// The files that may be what a directory means, where this is the `package.json` in it.
    pub(super) fn mains(&self, directory: &str, kind: ImportKind) -> Vec<String> {
        let fields = match kind {
            ImportKind::Import => [Some(&self.browser), Some(&self.module), Some(&self.main)],
            ImportKind::Require => [Some(&self.browser), None, Some(&self.main)],
        };
        let mains = fields.into_iter().flatten().flat_map(|field| match field {
            Target::Text(main) => probes(&join(directory, main)),
            _ => Vec::new(),
        });
        mains.chain(probes(&join(directory, "index"))).collect()
    }

    /// What `#name` means inside the package: a file, or another package's specifier.
    pub(super) fn internal(&self, name: &str, kind: ImportKind) -> Option<String> {
        resolve_keys(&self.imports, name, kind)
    }

    /// Another package that this one may import.
    pub fn dependency(&self, name: &str) -> Option<Dependency<'_>> {
        let declared = [
            (&self.optional_dependencies, true),
            (&self.dependencies, false),
            (&self.peer_dependencies, self.peer_dependencies_meta.entry(name).is_some()),
        ];
        declared.into_iter().find_map(|(dependencies, optional)| match dependencies.entry(name) {
            Some(Target::Text(requirement)) => Some(Dependency { requirement, optional }),
            _ => None,
        })
    }

    /// Whether a module of the package means the package itself by this name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        matches!(&self.name, Target::Text(own) if own == name) && !matches!(self.exports, Target::Nothing)
    }

    /// What `browser` puts in the place of a module: of a package by its name, or of a file by `./` and its path.
    pub(super) fn substitute(&self, module: &str) -> Option<Substitute<'_>> {
        let Target::Map(map) = &self.browser else { return None };
        let is_meant = |key: &str| {
            key == module || (key.starts_with("./") && module.strip_prefix(key).is_some_and(|rest| rest == ".js"))
        };
        map.iter().find(|(key, _)| is_meant(key)).and_then(|(_, target)| match target {
            Target::Text(specifier) => Some(Substitute::Specifier(specifier)),
            Target::Nothing => Some(Substitute::Empty),
            _ => None,
        })
    }
}

/// The files a path without the promise of an extension may mean.
pub(super) fn probes(path: &str) -> Vec<String> {
    let suffixes = ["", ".js", ".mjs", ".cjs", ".json", "/index.js", "/index.mjs", "/index.cjs", "/index.json"];
    if path.is_empty() { probes("index") } else { suffixes.iter().map(|suffix| format!("{path}{suffix}")).collect() }
}

fn mapped(exports: &Target, key: &str, kind: ImportKind) -> Option<String> {
    let has_subpaths = matches!(exports, Target::Map(map) if map.iter().any(|(name, _)| name.starts_with('.')));
    let target = if has_subpaths {
        resolve_keys(exports, key, kind)?
    } else if key == "." {
        resolve_target(exports, None, kind, 0)?
    } else {
        return None;
    };
    inside(&target)
}

/// A target may only be a file of the package.
fn inside(target: &str) -> Option<String> {
    let path = target.strip_prefix("./")?;
    let escapes = path.split('/').any(|segment| matches!(segment, "." | ".." | "node_modules"));
    (!escapes && !path.contains('\\')).then(|| path.to_owned())
}

/// The key itself, or the longest pattern with `*` that matches.
fn resolve_keys(map: &Target, key: &str, kind: ImportKind) -> Option<String> {
    let Target::Map(map) = map else { return None };
    if let Some((_, target)) = map.iter().find(|(name, _)| name == key) {
        return resolve_target(target, None, kind, 0);
    }
    let matches = map.iter().filter_map(|(pattern, target)| {
        let (prefix, suffix) = pattern.split_once('*')?;
        let matched = key.strip_prefix(prefix)?.strip_suffix(suffix)?;
        (!matched.is_empty()).then_some((prefix.len(), matched, target))
    });
    let (_, matched, target) = matches.max_by_key(|(length, ..)| *length)?;
    resolve_target(target, Some(matched), kind, 0)
}

fn resolve_target(target: &Target, matched: Option<&str>, kind: ImportKind, depth: usize) -> Option<String> {
    if depth > MAX_CONDITION_DEPTH {
        return None;
    }
    match target {
        Target::Text(text) => Some(matched.map_or_else(|| text.clone(), |matched| text.replace('*', matched))),
        Target::List(targets) => targets.iter().find_map(|target| resolve_target(target, matched, kind, depth + 1)),
        Target::Map(conditions) => conditions
            .iter()
            .filter(|(condition, _)| holds(condition, kind))
            .find_map(|(_, target)| resolve_target(target, matched, kind, depth + 1)),
        Target::Nothing => None,
    }
}

fn holds(condition: &str, kind: ImportKind) -> bool {
    let own = match kind {
        ImportKind::Import => "import",
        ImportKind::Require => "require",
    };
    condition == own || condition == "default" || CONDITIONS.contains(&condition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(manifest: &str, subpath: &str, kind: ImportKind) -> Vec<String> {
        Manifest::parse(manifest).unwrap().candidates(subpath, kind)
    }

    #[test]
    fn conditions_are_taken_in_the_order_of_the_package() {
        let manifest = r#"{"exports": {".": {"types": "./t.d.ts", "node": "./node.js", "import": "./m.js", "require": "./c.js"}}}"#;
        assert_eq!(candidates(manifest, "", ImportKind::Import), ["m.js"]);
        assert_eq!(candidates(manifest, "", ImportKind::Require), ["c.js"]);
        let manifest = r#"{"exports": {"workerd": {"import": "./w.js"}, "default": "./d.js"}}"#;
        assert_eq!(candidates(manifest, "", ImportKind::Import), ["w.js"]);
        assert_eq!(candidates(manifest, "", ImportKind::Require), ["d.js"]);
        assert_eq!(candidates(r#"{"exports": ["./a.js"]}"#, "", ImportKind::Import), ["a.js"]);
        assert!(candidates(r#"{"exports": "./a.js"}"#, "sub", ImportKind::Import).is_empty());
    }

    #[test]
    fn the_longest_pattern_wins() {
        let manifest =
            r#"{"exports": {"./*": "./all/*.js", "./a/*": "./a/*/x.js", "./a/secret/*": null, "./b": "./b.js"}}"#;
        assert_eq!(candidates(manifest, "a/b/c", ImportKind::Import), ["a/b/c/x.js"]);
        assert_eq!(candidates(manifest, "z", ImportKind::Import), ["all/z.js"]);
        assert_eq!(candidates(manifest, "b", ImportKind::Import), ["b.js"]);
        assert!(candidates(manifest, "a/secret/x", ImportKind::Import).is_empty());
    }

    #[test]
    fn targets_stay_inside_the_package() {
        for target in ["../x.js", "./../x.js", "./a/../../x.js", "/etc/passwd", "./node_modules/x.js", "other"] {
            let manifest = serde_json::json!({"exports": {".": target}}).to_string();
            assert!(candidates(&manifest, "", ImportKind::Import).is_empty(), "{target}");
        }
        let manifest = r#"{"exports": {"./*": "./lib/*"}}"#;
        assert!(candidates(manifest, "../../x.js", ImportKind::Import).is_empty());
    }

    #[test]
    fn old_packages_have_main_fields() {
        let manifest = r#"{"main": "./lib/main", "module": "es.mjs"}"#;
        assert_eq!(candidates(manifest, "", ImportKind::Import)[0], "es.mjs");
        assert_eq!(candidates(manifest, "", ImportKind::Require)[..2], ["lib/main", "lib/main.js"]);
        assert!(candidates("{}", "", ImportKind::Import).contains(&"index.js".to_owned()));
        assert!(candidates("{}", "a/b", ImportKind::Import).contains(&"a/b/index.js".to_owned()));
    }

    #[test]
    fn dependencies_are_required_optional_or_expected_of_others() {
        let manifest = r#"{"dependencies": {"a": "^1", "b": "1"}, "optionalDependencies": {"b": "2"},
            "peerDependencies": {"c": "3", "d": "4"}, "peerDependenciesMeta": {"d": {"optional": true}}}"#;
        let manifest = Manifest::parse(manifest).unwrap();
        for (name, requirement, optional) in [("a", "^1", false), ("b", "2", true), ("c", "3", false), ("d", "4", true)]
        {
            assert_eq!(manifest.dependency(name), Some(Dependency { requirement, optional }), "{name}");
        }
        assert_eq!(manifest.dependency("e"), None);
    }

    #[test]
    fn browser_replaces_the_main_file_or_single_modules() {
        let manifest = r#"{"main": "./node.js", "browser": "./browser.js"}"#;
        assert_eq!(candidates(manifest, "", ImportKind::Require)[0], "browser.js");
        let manifest = r#"{"main": "./main", "browser": {"./main": "./web.js", "fs": false, "crypto": "./crypto.js"}}"#;
        assert_eq!(candidates(manifest, "", ImportKind::Import)[0], "main");
        let manifest = Manifest::parse(manifest).unwrap();
        assert_eq!(manifest.substitute("./main.js"), Some(Substitute::Specifier("./web.js")));
        assert_eq!(manifest.substitute("crypto"), Some(Substitute::Specifier("./crypto.js")));
        assert_eq!(manifest.substitute("fs"), Some(Substitute::Empty));
        assert_eq!(manifest.substitute("./mainly.js"), None);
    }

    #[test]
    fn conditions_nested_without_end_resolve_to_nothing() {
        let mut exports = serde_json::json!("./a.js");
        for _ in 0..100 {
            exports = serde_json::json!({"default": exports});
        }
        let manifest = serde_json::json!({"exports": exports}).to_string();
        assert!(candidates(&manifest, "", ImportKind::Import).is_empty());
        assert!(Manifest::parse("[]").is_err());
        assert!(Manifest::parse(&format!("{{}}{}", " ".repeat(MAX_MANIFEST_BYTES))).is_err());
    }
}
