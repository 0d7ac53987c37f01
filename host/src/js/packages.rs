//! npm packages: the interface through which a bundle asks for them, and the way Node keeps them on disk.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::source::{Source, join};

/// The largest file of a package that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 8 << 20;

/// The conditions of `exports` that hold for every import.
const CONDITIONS: [&str; 5] = ["caddis", "workerd", "worker", "browser", "module"];

/// How deep conditions, arrays and folders nest.
const MAX_CONDITION_DEPTH: usize = 16;

/// What a module asks for when it imports from a package.
#[derive(Debug, Clone, Copy)]
pub struct PackageRequest<'a> {
    /// The package's name: `zod`, `@hono/zod-validator`.
    pub name: &'a str,
    /// The version it asks for, as written: `4`, `^1.2`, `latest`. `None` where the specifier has none.
    pub requirement: Option<&'a str>,
    /// The package that asks; `None` for a file of the function.
    pub importer: Option<&'a Package>,
}

/// A package that was found.
#[derive(Debug, Clone)]
pub struct Package {
    /// Names this very package among all that a source of packages has. The modules of the package are named after it.
    pub id: String,
    /// Its `package.json`.
    pub manifest: Arc<Manifest>,
}

/// Why there is no such package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// There is none of that name and version.
    #[error("the package was not found")]
    NotFound,
    /// There is one, but it cannot be used; the text says why.
    #[error("{0}")]
    Unusable(String),
}

/// Where packages come from.
pub trait Packages: Sync {
    /// The package that a request means.
    fn find(&self, request: PackageRequest<'_>) -> Result<Package, PackageError>;

    /// The text of a file of a package; `path` is relative to the package and has no `..`.
    fn read(&self, package: &Package, path: &str) -> Option<String>;
}

/// No packages at all.
#[derive(Debug, Clone, Copy)]
pub struct NoPackages;

impl Packages for NoPackages {
    fn find(&self, _: PackageRequest<'_>) -> Result<Package, PackageError> {
        Err(PackageError::NotFound)
    }

    fn read(&self, _: &Package, _: &str) -> Option<String> {
        None
    }
}

/// What is read of a `package.json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Manifest {
    main: Target,
    module: Target,
    exports: Target,
    imports: Target,
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
        let fields = match kind {
            ImportKind::Import => [Some(&self.module), Some(&self.main)],
            ImportKind::Require => [None, Some(&self.main)],
        };
        let mains = fields.into_iter().flatten().flat_map(|field| match field {
            Target::Text(main) => probes(&join("", main)),
            _ => Vec::new(),
        });
        mains.chain(probes("index")).collect()
    }

    /// What `#name` means inside the package: a file, or another package's specifier.
    pub(super) fn internal(&self, name: &str, kind: ImportKind) -> Option<String> {
        resolve_keys(&self.imports, name, kind)
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

/// Where the text of a file is found: the files of a function, or a directory.
pub trait FileTree: Sync {
    /// The text of the file, if it is there and is text. `path` is relative and has no `..`.
    fn read(&self, path: &str) -> Option<String>;

    /// The path that a directory has when symbolic links are followed; itself where there are none.
    fn canonical(&self, directory: &str) -> Option<String> {
        Some(directory.to_owned())
    }
}

impl FileTree for Source {
    fn read(&self, path: &str) -> Option<String> {
        self.text(path).map(str::to_owned)
    }
}

impl FileTree for BTreeMap<String, String> {
    fn read(&self, path: &str) -> Option<String> {
        self.get(path).cloned()
    }
}

/// A directory on the host. Nothing outside of it is read, whatever its symbolic links say.
#[derive(Clone)]
pub struct Directory(PathBuf);

impl Directory {
    /// The directory that holds `node_modules`. Errors: it does not exist.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        path.canonicalize().map(Self)
    }

    fn resolve(&self, path: &str) -> Option<PathBuf> {
        let found = self.0.join(path).canonicalize().ok()?;
        found.starts_with(&self.0).then_some(found)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Directory")
    }
}

impl FileTree for Directory {
    fn read(&self, path: &str) -> Option<String> {
        let path = self.resolve(path)?;
        let metadata = path.metadata().ok()?;
        if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
            return None;
        }
        std::fs::read_to_string(path).ok()
    }

    fn canonical(&self, directory: &str) -> Option<String> {
        let found = self.resolve(directory)?;
        found.strip_prefix(&self.0).ok()?.to_str().map(str::to_owned)
    }
}

/// Packages as Node finds them: in the nearest `node_modules` above the importer. What is installed there is the answer,
/// whichever version was asked for.
#[derive(Debug, Clone)]
pub struct NodeModules<T>(pub T);

impl<T: FileTree> Packages for NodeModules<T> {
    fn find(&self, request: PackageRequest<'_>) -> Result<Package, PackageError> {
        let mut directory = request.importer.map_or("", |package| package.id.as_str());
        loop {
            let place = join(directory, &format!("node_modules/{}", request.name));
            if let Some(id) = self.0.canonical(&place)
                && let Some(text) = self.0.read(&format!("{id}/package.json"))
            {
                return Ok(Package { id, manifest: Arc::new(Manifest::parse(&text)?) });
            }
            if directory.is_empty() {
                return Err(PackageError::NotFound);
            }
            directory = super::source::directory(directory);
        }
    }

    fn read(&self, package: &Package, path: &str) -> Option<String> {
        self.0.read(&join(&package.id, path))
    }
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
    fn conditions_nested_without_end_resolve_to_nothing() {
        let mut exports = serde_json::json!("./a.js");
        for _ in 0..100 {
            exports = serde_json::json!({"default": exports});
        }
        let manifest = serde_json::json!({"exports": exports}).to_string();
        assert!(candidates(&manifest, "", ImportKind::Import).is_empty());
        assert!(Manifest::parse("[]").is_err());
    }

    #[test]
    fn a_directory_is_not_left() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.js"), "1").unwrap();
        let root = tempfile::tempdir().unwrap();
        let store = root.path().join("node_modules/.store/a/node_modules/a");
        std::fs::create_dir_all(&store).unwrap();
        std::fs::write(store.join("package.json"), "{}").unwrap();
        std::os::unix::fs::symlink(&store, root.path().join("node_modules/a")).unwrap();
        std::os::unix::fs::symlink(outside.path(), store.join("out")).unwrap();
        let packages = NodeModules(Directory::open(root.path()).unwrap());
        let package = packages.find(PackageRequest { name: "a", requirement: None, importer: None }).unwrap();
        assert_eq!(package.id, "node_modules/.store/a/node_modules/a");
        assert_eq!(packages.read(&package, "package.json").unwrap(), "{}");
        assert_eq!(packages.read(&package, "out/secret.js"), None);
    }
}
