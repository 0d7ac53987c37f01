//! Functions in JavaScript or TypeScript as they lie in a directory: `hello.ts`, or `hello/index.ts` as Supabase has them, with modules
//! they share in directories whose names begin with `_`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::error::Error;
use crate::js::source::{EXTENSIONS, ModulePath, Source, extension, is_module_path};

/// Files beside the functions that say which packages they get.
const MANIFESTS: [&str; 6] =
    ["package.json", "package-lock.json", "deno.json", "deno.lock", "import_map.json", "tsconfig.json"];

/// A function's name and its files.
pub(super) struct Script {
    pub(super) name: String,
    pub(super) entry: String,
    pub(super) files: BTreeMap<String, String>,
}

impl Script {
    /// The function whose entry this file is.
    pub(super) fn of_file(file: &Path) -> Result<Self, Failure> {
        let file = file.canonicalize().map_err(|error| unreadable(file, &error))?;
        let stem = file_name(file.file_stem());
        let parent = file.parent().unwrap_or(Path::new("/"));
        if stem != "index" {
            return Self::new(parent, stem, &file);
        }
        // Its imports may go up to the modules that functions share.
        Self::new(parent.parent().unwrap_or(parent), file_name(parent.file_name()), &file)
    }

    /// The functions of a directory, by name.
    pub(super) fn find(directory: &Path) -> Result<Vec<Self>, Failure> {
        let mut scripts = Vec::new();
        for path in entries(directory)? {
            if is_private(&path) {
                continue;
            }
            if path.is_dir() {
                if let Some(entry) = index_of(&path) {
                    scripts.push(Self::new(directory, file_name(path.file_name()), &entry)?);
                }
            } else if is_module(&path) {
                scripts.push(Self::new(directory, file_name(path.file_stem()), &path)?);
            }
        }
        Ok(scripts)
    }

    /// With the files an entry below `root` may import: those of its own directory, and what functions share.
    fn new(root: &Path, name: String, entry: &Path) -> Result<Self, Failure> {
        let own = entry.parent().unwrap_or(root);
        let mut files = BTreeMap::new();
        for path in entries(root)? {
            let name = file_name(path.file_name());
            if path.is_dir() {
                if name.starts_with('_') || path == own {
                    collect(root, &path, &mut files)?;
                }
            } else if own == root && is_module(&path) || MANIFESTS.contains(&name.as_str()) {
                add(root, &path, &mut files)?;
            }
        }
        let entry = relative(root, entry)?;
        Ok(Self { name, entry, files })
    }

    /// The files, checked as an upload is.
    pub(super) fn source(self) -> Result<Source, Error> {
        Source::from_files(self.files, &self.entry)
    }
}

/// Every module and data file below a directory.
fn collect(root: &Path, directory: &Path, files: &mut BTreeMap<String, String>) -> Result<(), Failure> {
    for path in entries(directory)? {
        let name = file_name(path.file_name());
        if name.starts_with('.') || name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if extension(&name).is_some_and(|found| EXTENSIONS.contains(&found))
            || MANIFESTS.contains(&name.as_str())
        {
            add(root, &path, files)?;
        }
    }
    Ok(())
}

fn add(root: &Path, path: &Path, files: &mut BTreeMap<String, String>) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    files.insert(relative(root, path)?, text);
    Ok(())
}

fn relative(root: &Path, path: &Path) -> Result<String, Failure> {
    let below = path.strip_prefix(root)?.to_string_lossy().into_owned();
    Ok(ModulePath::parse(&below)?.as_str().to_owned())
}

fn index_of(directory: &Path) -> Option<PathBuf> {
    EXTENSIONS.iter().map(|extension| directory.join(format!("index.{extension}"))).find(|path| path.is_file())
}

fn is_module(path: &Path) -> bool {
    let name = file_name(path.file_name());
    is_module_path(&name) && extension(&name) != Some("json")
}

fn is_private(path: &Path) -> bool {
    let name = file_name(path.file_name());
    name.starts_with(['_', '.']) || name == "node_modules"
}

/// What a directory holds, in order.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = |directory| -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut paths = read(directory).map_err(|error| unreadable(directory, &error))?;
    paths.sort();
    Ok(paths)
}

fn file_name(name: Option<&std::ffi::OsStr>) -> String {
    name.unwrap_or_default().to_string_lossy().into_owned()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    format!("{}: {error}", path.display()).into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(paths: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "0").unwrap();
        }
        root
    }

    fn files(script: &Script) -> Vec<&str> {
        script.files.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_directory_has_functions_as_files_and_as_directories() {
        let root = tree(&[
            "_shared/cors.ts",
            "a/deno.json",
            "a/index.ts",
            "a/lib/x.ts",
            "a/node_modules/y/index.js",
            "a/notes.md",
            "b.js",
            "import_map.json",
            "nothing/readme.ts",
            "types.d.ts",
        ]);
        let found = Script::find(root.path()).unwrap();
        let [a, b] = &*found else { panic!("two functions") };
        assert_eq!((a.name.as_str(), a.entry.as_str()), ("a", "a/index.ts"));
        assert_eq!(files(a), ["_shared/cors.ts", "a/deno.json", "a/index.ts", "a/lib/x.ts", "import_map.json"]);
        assert_eq!((b.name.as_str(), b.entry.as_str()), ("b", "b.js"));
        assert_eq!(files(b), ["_shared/cors.ts", "b.js", "import_map.json"]);
    }

    #[test]
    fn a_file_is_a_function_with_what_lies_beside_it() {
        let root = tree(&["_shared/cors.ts", "a/index.ts", "a/x.ts", "b/index.ts", "c.ts", "d.ts"]);
        let a = Script::of_file(&root.path().join("a/index.ts")).unwrap();
        assert_eq!((a.name.as_str(), a.entry.as_str()), ("a", "a/index.ts"));
        assert_eq!(files(&a), ["_shared/cors.ts", "a/index.ts", "a/x.ts"]);
        let c = Script::of_file(&root.path().join("c.ts")).unwrap();
        assert_eq!((c.name.as_str(), files(&c)), ("c", vec!["_shared/cors.ts", "c.ts", "d.ts"]));
        assert!(Script::of_file(&root.path().join("none.ts")).is_err());
    }
}
