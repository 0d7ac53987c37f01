//! What the configuration files of a function say: `deno.json`, `import_map.json`, `package.json`, `tsconfig.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::diagnostic::Finding;
use super::source::{Source, directory, join};
use super::transpile::Jsx;

/// What is read of the files.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    /// Specifiers, or prefixes that end in `/`, and what they stand for.
    imports: BTreeMap<String, String>,
    /// Versions by package.
    dependencies: BTreeMap<String, String>,
    pub(super) jsx: Jsx,
}

/// A configuration file that cannot be read.
pub(super) struct Broken {
    pub(super) path: String,
    pub(super) finding: Finding,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct File {
    imports: BTreeMap<String, String>,
    import_map: Option<String>,
    dependencies: BTreeMap<String, String>,
    compiler_options: CompilerOptions,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct CompilerOptions {
    jsx: Option<String>,
    jsx_import_source: Option<String>,
    jsx_factory: Option<String>,
    jsx_fragment_factory: Option<String>,
}

impl Configuration {
    /// Reads the files in the directory of the entry and those above it; the nearer ones win.
    pub(super) fn read(source: &Source) -> Result<Self, Broken> {
        let mut configuration = Self::default();
        let mut folder = directory(source.entry().as_str());
        loop {
            for name in ["deno.json", "import_map.json", "package.json", "tsconfig.json"] {
                configuration.add(source, &join(folder, name), name == "package.json")?;
            }
            if folder.is_empty() {
                return Ok(configuration);
            }
            folder = directory(folder);
        }
    }

    fn add(&mut self, source: &Source, path: &str, is_package: bool) -> Result<(), Broken> {
        let Some(mut file) = parse(source, path)? else { return Ok(()) };
        if is_package {
            add_missing(&mut self.dependencies, file.dependencies);
            return Ok(());
        }
        if let Some(map) = file.import_map.take().filter(|map| map.starts_with('.')) {
            let map_path = join(directory(path), &map);
            if let Some(map) = parse(source, &map_path)? {
                add_missing(&mut self.imports, anchored(map.imports, &map_path));
            }
        }
        add_missing(&mut self.imports, anchored(file.imports, path));
        if self.jsx == Jsx::Automatic {
            self.jsx = file.compiler_options.into();
        }
        Ok(())
    }

    /// What the import map makes of a specifier.
    pub(super) fn map(&self, specifier: &str) -> Option<String> {
        if let Some(target) = self.imports.get(specifier) {
            return Some(target.clone());
        }
        // The longest key that is a prefix; that of a package needs no `/` at its end, as in Deno.
        let matches = self.imports.iter().filter_map(|(key, target)| {
            let rest = specifier.strip_prefix(key.as_str())?;
            let mapped = if key.ends_with('/') {
                format!("{target}{rest}")
            } else if rest.starts_with('/') && (target.starts_with("npm:") || target.starts_with("jsr:")) {
                format!("{}{rest}", target.trim_end_matches('/'))
            } else {
                return None;
            };
            Some((key.len(), mapped))
        });
        matches.max_by_key(|(length, _)| *length).map(|(_, mapped)| mapped)
    }

    /// The version of a package that the function's `package.json` asks for.
    pub(super) fn requirement(&self, package: &str) -> Option<&str> {
        self.dependencies.get(package).map(String::as_str)
    }
}

fn parse(source: &Source, path: &str) -> Result<Option<File>, Broken> {
    let Some(text) = source.text(path) else { return Ok(None) };
    // The comments that tsconfig.json is famous for: it says nothing that a function could not do without.
    match serde_json::from_str(text) {
        Ok(file) => Ok(Some(file)),
        Err(_) if path.ends_with("tsconfig.json") => Ok(None),
        Err(error) => {
            let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
            let message = format!("{path} cannot be read: {error}");
            let finding = Finding::new(message, line_start + error.column().saturating_sub(1), 1);
            Err(Broken { path: path.to_owned(), finding })
        }
    }
}

/// Relative targets are meant from the file that has them. `/` marks them as paths from the top.
fn anchored(imports: BTreeMap<String, String>, path: &str) -> BTreeMap<String, String> {
    let anchor = |target: String| {
        if target.starts_with("./") || target.starts_with("../") {
            let slash = if target.ends_with('/') { "/" } else { "" };
            format!("/{}{slash}", join(directory(path), &target))
        } else {
            target
        }
    };
    imports.into_iter().map(|(key, target)| (key, anchor(target))).collect()
}

fn add_missing(to: &mut BTreeMap<String, String>, from: BTreeMap<String, String>) {
    for (key, value) in from {
        to.entry(key).or_insert(value);
    }
}

impl From<CompilerOptions> for Jsx {
    fn from(options: CompilerOptions) -> Self {
        match (options.jsx.as_deref(), options.jsx_import_source) {
            (Some("react"), _) => {
                Self::Classic { factory: options.jsx_factory, fragment: options.jsx_fragment_factory }
            }
            (_, Some(package)) => Self::From(package),
            (_, None) => Self::Automatic,
        }
    }
}
