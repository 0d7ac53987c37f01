//! The files of a function as they were uploaded.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Code, Error};

/// The most files of one function.
pub const MAX_FILES: usize = 2_000;

/// The most text of all files of one function, in bytes.
pub const MAX_BYTES: usize = 5 << 20;

/// The longest path of a file, in bytes.
pub const MAX_PATH_BYTES: usize = 512;

/// The file that code without a path is.
pub const DEFAULT_ENTRY: &str = "index.ts";

/// The only file without one of the extensions below.
pub(crate) const DENO_LOCK: &str = "deno.lock";

/// The extensions a file may have, in the order they are tried for an import without one.
pub(crate) const EXTENSIONS: [&str; 9] = ["ts", "tsx", "js", "jsx", "mjs", "cjs", "mts", "cts", "json"];

/// A path inside a function: relative, `/` between segments, no `.`, `..` or empty segment, a known extension.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModulePath(String);

impl ModulePath {
    /// Checks a path. A leading `./` is dropped.
    pub fn parse(path: &str) -> Result<Self, Error> {
        let path = path.strip_prefix("./").unwrap_or(path);
        let refuse = |why: &str| Err(Error::invalid(format!("files: the path {path:?} {why}")));
        if path.is_empty() || path.len() > MAX_PATH_BYTES {
            return refuse(&format!("must have 1 to {MAX_PATH_BYTES} bytes"));
        }
        if path.starts_with('/') {
            return refuse("must be relative");
        }
        // A colon would let a file pass for a built-in module or a package; parentheses would confuse stack traces.
        if path.contains(|c: char| c.is_control() || matches!(c, '\\' | ':' | '(' | ')' | '?' | '#')) {
            return refuse("has a character that a path may not have");
        }
        if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return refuse("has an empty segment, `.` or `..`");
        }
        let is_lock = path.rsplit('/').next() == Some(DENO_LOCK);
        if !is_lock && !extension(path).is_some_and(|found| EXTENSIONS.contains(&found)) {
            return refuse(&format!("must end in one of: {}", EXTENSIONS.join(", ")));
        }
        Ok(Self(path.to_owned()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for ModulePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What follows the last dot of the last segment.
pub(crate) fn extension(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map(|(_, extension)| extension)
}

/// Whether the file can be imported: it is a module, and not only the types of one.
pub(crate) fn is_module_path(path: &str) -> bool {
    let types = [".d.ts", ".d.mts", ".d.cts"].iter().any(|end| path.ends_with(end));
    !types && extension(path).is_some_and(|found| EXTENSIONS.contains(&found))
}

/// The directory of a path: without the last segment, `""` at the top.
pub(crate) fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// `path` as seen from `directory`. `..` above the top stays at the top, as in a URL.
pub(crate) fn join(directory: &str, path: &str) -> String {
    let mut segments: Vec<&str> = if path.starts_with('/') { Vec::new() } else { directory.split('/').collect() };
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments.join("/")
}

/// The files of a function, checked.
#[derive(Debug, Clone)]
pub struct Source {
    entry: ModulePath,
    files: BTreeMap<ModulePath, String>,
}

impl Source {
    /// One file, named [`DEFAULT_ENTRY`].
    pub fn from_code(code: String) -> Result<Self, Error> {
        Self::from_files(BTreeMap::from([(DEFAULT_ENTRY.to_owned(), code)]), DEFAULT_ENTRY)
    }

    /// Several files by path, one of which is the entry.
    ///
    /// Errors: [`Code::InvalidRequest`] for a path that cannot be, for one path twice or for an entry that is not there;
    /// [`Code::TooLarge`] above [`MAX_FILES`] or [`MAX_BYTES`].
    pub fn from_files(files: BTreeMap<String, String>, entry: &str) -> Result<Self, Error> {
        if files.len() > MAX_FILES {
            return Err(too_large(format!("files: {} files are more than {MAX_FILES}", files.len())));
        }
        let bytes: usize = files.values().map(String::len).sum();
        if bytes > MAX_BYTES {
            return Err(too_large(format!("the source has {bytes} bytes, more than {MAX_BYTES}")));
        }
        let mut checked = BTreeMap::new();
        for (path, text) in files {
            let path = ModulePath::parse(&path)?;
            if checked.contains_key(&path) {
                return Err(Error::invalid(format!("files: {path} is there twice")));
            }
            checked.insert(path, text);
        }
        let entry = ModulePath::parse(entry)?;
        if !checked.contains_key(&entry) {
            return Err(Error::invalid(format!("entry: there is no file {entry}")));
        }
        Ok(Self { entry, files: checked })
    }

    /// The file that is evaluated.
    pub fn entry(&self) -> &ModulePath {
        &self.entry
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// The paths of all files, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(ModulePath::as_str)
    }
}

fn too_large(message: String) -> Error {
    Error::new(Code::TooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn paths_stay_inside() {
        for path in ["a.ts", "./a.ts", "a/b/c.json", "a/deno.lock", "_shared/cors.ts", "ä.mjs", ".x/y.cts"] {
            ModulePath::parse(path).unwrap();
        }
        for path in [
            "",
            "/a.ts",
            "../a.ts",
            "a/../b.ts",
            "a//b.ts",
            "a/./b.ts",
            "a\\b.ts",
            "node:a.ts",
            "a\nb.ts",
            "a",
            "a.html",
            "ts",
            "a(1).ts",
        ] {
            assert!(ModulePath::parse(path).is_err(), "{path}");
        }
        assert!(ModulePath::parse(&format!("{}.ts", "a".repeat(MAX_PATH_BYTES))).is_err());
    }

    #[test]
    fn the_entry_is_a_file() {
        assert_eq!(Source::from_code("1".to_owned()).unwrap().entry().as_str(), "index.ts");
        let error = Source::from_files(files(&[("a.ts", "")]), "b.ts").unwrap_err();
        assert_eq!(error.message, "entry: there is no file b.ts");
        assert!(Source::from_files(files(&[("a.ts", ""), ("./a.ts", "")]), "a.ts").is_err());
    }

    #[test]
    fn sizes_are_limited() {
        let at_limit = "x".repeat(MAX_BYTES);
        Source::from_code(at_limit.clone()).unwrap();
        assert_eq!(Source::from_code(at_limit + "x").unwrap_err().code, Code::TooLarge);
        let many: BTreeMap<_, _> = (0..=MAX_FILES).map(|i| (format!("{i}.ts"), String::new())).collect();
        assert_eq!(Source::from_files(many, "0.ts").unwrap_err().code, Code::TooLarge);
    }

    #[test]
    fn joining_never_leaves_the_top() {
        assert_eq!(join("a/b", "../c.ts"), "a/c.ts");
        assert_eq!(join("", "../../_shared/c.ts"), "_shared/c.ts");
        assert_eq!(join("a", "/c.ts"), "c.ts");
        assert_eq!(join("a", "./b/./c"), "a/b/c");
    }
}
