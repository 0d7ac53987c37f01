//! What an import specifier means.
//!
//! The rules come from what published functions import: files with and without extension, `_shared/…`, import maps, npm by
//! `npm:`, `jsr:`, esm.sh or a bare name, the `serve` of Deno's standard library, and things that are only there for other
//! hosts and mean nothing here. No address is ever fetched: what is on esm.sh, jsr.io or deno.land is asked for as the npm
//! package it is.

use super::diagnostic::Finding;
use super::import_map::Configuration;
use super::manifest::{ImportKind, Manifest, Substitute, probes};
use super::node;
use super::packages::{Package, PackageError, PackageRequest, Packages};
use super::source::{EXTENSIONS, Source, directory, extension, join};
use super::specifier::{Meaningless, Npm, is_declaration, is_std_http, is_xhr_polyfill};
use super::transpile::{HELPERS, Import, Syntax};
use super::{Platform, STD_HTTP};

/// How often an import map may map what it has mapped.
const MAX_MAPPINGS: usize = 8;

/// Where a module's text is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A file of the function.
    File(String),
    /// A file of a package.
    Package { package: Package, path: String },
    /// A module of Node, by its name without `node:`.
    Node(String),
}

impl Place {
    /// The name of the module. A path has no colon, so the kinds never meet.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.clone(),
            Self::Package { package, path } => format!("npm:{}/{path}", package.id),
            Self::Node(name) => format!("node:{name}"),
        }
    }
}

/// What a specifier means.
#[derive(Debug, Clone)]
pub(super) enum Resolved {
    /// A module to load.
    Place(Place),
    /// A module the engine has, or the toolchain adds, by its name.
    Builtin(String),
    /// A module without anything in it.
    Empty,
}

/// Why a specifier was not resolved.
#[derive(Debug, Clone)]
pub(super) enum Unresolved {
    /// It means nothing here.
    Meaningless(Finding),
    /// Whether it means anything cannot be said now.
    Unavailable(Finding),
    /// It is a matter of packages that have to come first.
    Wanted,
}

/// Resolves the imports of a bundle.
pub(super) struct Resolver<'a> {
    pub(super) source: &'a Source,
    pub(super) configuration: &'a Configuration,
    pub(super) packages: &'a dyn Packages,
    pub(super) platform: Platform<'a>,
}

/// Why a specifier has no meaning, before the place of its import is known.
enum Failure {
    Meaningless(Meaningless),
    Unavailable(String),
    Wanted,
}

impl From<Meaningless> for Failure {
    fn from(meaningless: Meaningless) -> Self {
        Self::Meaningless(meaningless)
    }
}

/// How a module is asked for.
#[derive(Clone, Copy)]
struct Manner {
    kind: ImportKind,
    /// Whether the importer cannot even be linked without it.
    needed: bool,
}

impl From<Syntax> for Manner {
    fn from(syntax: Syntax) -> Self {
        let kind = if syntax == Syntax::Require { ImportKind::Require } else { ImportKind::Import };
        Self { kind, needed: syntax == Syntax::Static }
    }
}

impl Resolver<'_> {
    /// What `import` in the module at `from` means.
    pub(super) fn resolve(&self, import: &Import, from: &Place) -> Result<Resolved, Unresolved> {
        let manner = Manner::from(import.syntax);
        let resolved = match from {
            Place::File(path) => self.imported_by_file(&import.specifier, path, manner),
            Place::Package { package, path } => self.imported_by_package(&import.specifier, package, path, manner),
            Place::Node(_) => Ok(match import.specifier.strip_prefix("node:") {
                Some(name) => Resolved::Place(Place::Node(name.to_owned())),
                None => Resolved::Builtin(import.specifier.clone()),
            }),
        };
        resolved.map_err(|failure| {
            let finding = |message| Finding::new(message, import.offset, import.length.max(1));
            match failure {
                Failure::Meaningless((message, None)) => Unresolved::Meaningless(finding(message)),
                Failure::Meaningless((message, Some(hint))) => Unresolved::Meaningless(finding(message).hint(hint)),
                Failure::Unavailable(message) => Unresolved::Unavailable(
                    finding(message)
                        .hint("Try again; which registry is asked is a setting of the host, --npm-registry"),
                ),
                Failure::Wanted => Unresolved::Wanted,
            }
        })
    }

    fn imported_by_file(&self, specifier: &str, path: &str, manner: Manner) -> Result<Resolved, Failure> {
        let mut specifier = specifier.to_owned();
        for _ in 0..MAX_MAPPINGS {
            match self.configuration.map(&specifier) {
                Some(mapped) if mapped != specifier => specifier = mapped,
                _ => break,
            }
        }
        if specifier.starts_with("./")
            || specifier.starts_with("../")
            || specifier.starts_with('/')
            || matches!(specifier.as_str(), "." | "..")
        {
            return Ok(self.file(&specifier, path)?);
        }
        if let Some(resolved) = self.well_known(&specifier)? {
            return Ok(resolved);
        }
        // Hosts that build functions next to a `_shared` directory let them import from it by name.
        if let Some(found) = self.find_file(&join("", &specifier)).filter(|_| specifier.starts_with('_')) {
            return Ok(Resolved::Place(Place::File(found)));
        }
        let npm = Npm::of_specifier(&specifier)?;
        let requirement = npm.requirement.or_else(|| self.configuration.requirement(&npm.name));
        self.package(&specifier, &Npm { requirement, name: npm.name.clone(), ..npm }, None, manner)
    }

    fn file(&self, specifier: &str, from: &str) -> Result<Resolved, Meaningless> {
        if is_declaration(specifier) {
            return Ok(Resolved::Empty);
        }
        let bare = specifier.split(['?', '#']).next().unwrap_or(specifier);
        let path = join(directory(from), bare);
        match self.find_file(&path) {
            Some(found) => Ok(Resolved::Place(Place::File(found))),
            None => Err((format!("Cannot find the file \"{specifier}\""), self.nearest_file(&path, from))),
        }
    }

    /// The file a path means: itself, what it was compiled from, with an extension, or the index of the directory.
    fn find_file(&self, path: &str) -> Option<String> {
        let exists = |candidate: String| self.source.text(&candidate).is_some().then_some(candidate);
        let written_as = match path.rsplit_once('.') {
            Some((stem, "js")) => vec![format!("{stem}.ts"), format!("{stem}.tsx"), format!("{stem}.jsx")],
            Some((stem, "jsx")) => vec![format!("{stem}.tsx")],
            Some((stem, "mjs")) => vec![format!("{stem}.mts")],
            Some((stem, "cjs")) => vec![format!("{stem}.cts")],
            _ => Vec::new(),
        };
        let extended = EXTENSIONS.iter().map(|extension| format!("{path}.{extension}"));
        let index = EXTENSIONS.iter().map(|extension| join(path, &format!("index.{extension}")));
        std::iter::once(path.to_owned()).chain(written_as).chain(extended).chain(index).find_map(exists)
    }

    fn nearest_file(&self, wanted: &str, from: &str) -> Option<String> {
        let score = |path: &&str| strsim::damerau_levenshtein(path, wanted);
        let limit = wanted.chars().count() / 3 + 3;
        let nearest = self.source.paths().filter(|path| *path != from).take(200).min_by_key(score);
        if let Some(nearest) = nearest.filter(|nearest| score(nearest) <= limit) {
            return Some(format!("Did you mean {nearest:?}? Paths are from the top of the function's files"));
        }
        let same_name = wanted.rsplit('/').next().filter(|name| !name.is_empty());
        let elsewhere =
            same_name.and_then(|name| self.source.paths().find(|path| path.rsplit('/').next() == Some(name)));
        elsewhere.map(|path| format!("There is {path:?}"))
    }

    /// Specifiers that mean the same wherever they are written.
    fn well_known(&self, specifier: &str) -> Result<Option<Resolved>, Meaningless> {
        let specifier = specifier.split(['?', '#']).next().unwrap_or(specifier);
        if let Some(name) = specifier.strip_prefix("node:") {
            return self.node_module(name).map(Some);
        }
        if is_declaration(specifier) || is_xhr_polyfill(specifier) {
            return Ok(Some(Resolved::Empty));
        }
        if specifier == STD_HTTP || is_std_http(specifier) {
            return Ok(Some(Resolved::Builtin(STD_HTTP.to_owned())));
        }
        if specifier.starts_with(HELPERS) {
            return Ok(Some(Resolved::Builtin(specifier.to_owned())));
        }
        let name = specifier.trim_end_matches('/');
        if self.platform.has_node_module(name) || node::is_node_module(name) {
            return self.node_module(name).map(Some);
        }
        Ok(None)
    }

    fn node_module(&self, name: &str) -> Result<Resolved, Meaningless> {
        if self.platform.has_node_module(name) {
            return Ok(Resolved::Place(Place::Node(name.to_owned())));
        }
        let hint = node::hint(name).map(str::to_owned).or_else(|| self.platform.node_modules_there_are());
        Err((format!("The built-in module node:{name} is not available here"), hint))
    }

    fn imported_by_package(
        &self,
        specifier: &str,
        package: &Package,
        path: &str,
        manner: Manner,
    ) -> Result<Resolved, Failure> {
        if specifier.starts_with('.') {
            let target = join(directory(path), specifier);
            return self.first_of(package, probes(&target), specifier, manner.kind);
        }
        match package.manifest.substitute(specifier) {
            Some(Substitute::Empty) => return Ok(Resolved::Empty),
            Some(Substitute::Specifier(file)) if file.starts_with("./") => {
                return self.first_of(package, probes(&join("", file)), specifier, manner.kind);
            }
            Some(Substitute::Specifier(other)) if other != specifier => return self.elsewhere(other, package, manner),
            _ => {}
        }
        if specifier.starts_with('#') {
            let no_import = || (format!("{} has no import {specifier:?}", package.id), None);
            let target = package.manifest.internal(specifier, manner.kind).ok_or_else(no_import)?;
            return match target.strip_prefix("./") {
                Some(file) => self.first_of(package, vec![join("", file)], specifier, manner.kind),
                None if target.starts_with('#') => Err(no_import().into()),
                None => self.elsewhere(&target, package, manner),
            };
        }
        self.elsewhere(specifier, package, manner)
    }

    /// What a package imports by a name: a built-in module or a package.
    fn elsewhere(&self, specifier: &str, package: &Package, manner: Manner) -> Result<Resolved, Failure> {
        if let Some(resolved) = self.well_known(specifier)? {
            return Ok(resolved);
        }
        let unknown = || (format!("{specifier:?} does not name a package"), None);
        let npm = Npm::parse(specifier.strip_prefix("npm:").unwrap_or(specifier)).ok_or_else(unknown)?;
        if package.manifest.is_named(&npm.name) {
            return self.exported(specifier, &npm, package, manner.kind);
        }
        self.package(specifier, &npm, Some(package), manner)
    }

    fn package(
        &self,
        specifier: &str,
        npm: &Npm<'_>,
        importer: Option<&Package>,
        manner: Manner,
    ) -> Result<Resolved, Failure> {
        let request = PackageRequest { name: &npm.name, requirement: npm.requirement, importer, needed: manner.needed };
        let package = self.packages.find(request).map_err(|error| self.no_package(specifier, npm, importer, error))?;
        self.exported(specifier, npm, &package, manner.kind)
    }

    fn no_package(&self, specifier: &str, npm: &Npm<'_>, importer: Option<&Package>, error: PackageError) -> Failure {
        let name = &*npm.name;
        match error {
            PackageError::NotFound => not_found(specifier, npm, importer).into(),
            PackageError::Unusable(why) => (format!("The package {name:?} cannot be used: {why}"), None).into(),
            PackageError::Unavailable(why) => {
                Failure::Unavailable(format!("The package {name:?} cannot be had: {why}"))
            }
            PackageError::Wanted => Failure::Wanted,
        }
    }

    /// The module of a package that is exported as the subpath.
    fn exported(
        &self,
        specifier: &str,
        npm: &Npm<'_>,
        package: &Package,
        kind: ImportKind,
    ) -> Result<Resolved, Failure> {
        let candidates = package.manifest.candidates(npm.subpath, kind);
        if candidates.is_empty() {
            let export = if npm.subpath.is_empty() { ".".to_owned() } else { format!("./{}", npm.subpath) };
            return Err((format!("The package {:?} does not export {export:?}", package.id), None).into());
        }
        self.first_of(package, candidates, specifier, kind)
    }

    fn first_of(
        &self,
        package: &Package,
        candidates: Vec<String>,
        specifier: &str,
        kind: ImportKind,
    ) -> Result<Resolved, Failure> {
        let no_file = || (format!("The package {:?} has no file for {specifier:?}", package.id), None);
        let path = self.first_file(package, candidates, kind).ok_or_else(no_file)?;
        let path = match package.manifest.substitute(&format!("./{path}")) {
            None => path,
            Some(Substitute::Empty) => return Ok(Resolved::Empty),
            Some(Substitute::Specifier(file)) => {
                self.first_file(package, probes(&join("", file)), kind).ok_or_else(no_file)?
            }
        };
        Ok(Resolved::Place(Place::Package { package: package.clone(), path }))
    }

    /// The first that exists. Where the first is a directory, its `package.json` says what it means before its index does.
    fn first_file(&self, package: &Package, candidates: Vec<String>, kind: ImportKind) -> Option<String> {
        let is_code = |path: &str| extension(path).is_some_and(|found| EXTENSIONS.contains(&found));
        let exists = |path: &String| is_code(path) && self.packages.has(package, path);
        let directory = candidates.first()?.clone();
        let index = format!("{directory}/index.");
        let (indices, files): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|path| path.starts_with(&index));
        let said = || {
            let manifest = self.packages.read(package, &join(&directory, "package.json"))?;
            Manifest::parse(&manifest).ok()?.mains(&directory, kind).into_iter().find(exists)
        };
        files.into_iter().find(exists).or_else(said).or_else(|| indices.into_iter().find(exists))
    }
}

fn not_found(specifier: &str, npm: &Npm<'_>, importer: Option<&Package>) -> Meaningless {
    let wanted =
        npm.requirement.map_or_else(|| npm.name.to_string(), |requirement| format!("{}@{requirement}", npm.name));
    let hint = importer.map_or_else(
        || "Check its name. A file of the function is imported by its path, which begins with ./ or ../".to_owned(),
        |package| {
            format!("If {} does not list it among its dependencies, import it in the function as well", package.id)
        },
    );
    (format!("Cannot find the package {wanted:?}, imported as {specifier:?}"), Some(hint))
}
