//! What an import specifier means.
//!
//! The rules come from what published functions import: files with and without extension, `_shared/…`, import maps, npm by
//! `npm:`, `jsr:`, esm.sh or a bare name, the `serve` of Deno's standard library, and things that are only there for other
//! hosts and mean nothing here. No address is ever fetched: what is on esm.sh, jsr.io or deno.land is asked for as the npm
//! package it is.

use std::borrow::Cow;

use super::diagnostic::Finding;
use super::import_map::Configuration;
use super::manifest::{ImportKind, Substitute, probes};
use super::packages::{Package, PackageError, PackageRequest, Packages, is_package_name};
use super::source::{EXTENSIONS, Source, directory, extension, join};
use super::transpile::{HELPERS, Import, Syntax};
use super::{Platform, STD_HTTP};

/// How often an import map may map what it has mapped.
const MAX_MAPPINGS: usize = 8;

/// JSR packages whose twin on npm has another name.
const JSR_TWINS: [(&str, &str); 3] = [("@panva/jose", "jose"), ("@hono/hono", "hono"), ("@zod/zod", "zod")];

/// Scopes that have the same packages on JSR and npm.
const JSR_TWIN_SCOPES: [&str; 1] = ["@supabase"];

/// Modules of deno.land/x and the npm packages they are. What is there as `postgres` is another library than npm's.
const DENO_LAND_TWINS: [(&str, &str); 7] = [
    ("grammy", "grammy"),
    ("hono", "hono"),
    ("jose", "jose"),
    ("oak", "@oakserver/oak"),
    ("openai", "openai"),
    ("postgresjs", "postgres"),
    ("zod", "zod"),
];

/// The built-in modules of Node, to tell a missing one from a package.
const NODE_MODULES: [&str; 38] = [
    "assert",
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
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "timers",
    "tls",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "worker_threads",
    "zlib",
];

/// Where a module's text is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A file of the function.
    File(String),
    /// A file of a package.
    Package { package: Package, path: String },
}

impl Place {
    /// The name of the module. A path has no colon, so the two kinds never meet.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.clone(),
            Self::Package { package, path } => format!("npm:{}/{path}", package.id),
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

/// What a specifier asks of npm.
#[derive(Debug, PartialEq, Eq)]
struct Npm<'a> {
    name: Cow<'a, str>,
    requirement: Option<&'a str>,
    subpath: &'a str,
}

/// Resolves the imports of a bundle.
pub(super) struct Resolver<'a> {
    pub(super) source: &'a Source,
    pub(super) configuration: &'a Configuration,
    pub(super) packages: &'a dyn Packages,
    pub(super) platform: Platform<'a>,
}

/// A specifier that means nothing: what is wrong with it, and what to do.
type Meaningless = (String, Option<String>);

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
        let npm = self.npm(&specifier)?;
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
        if self.platform.node_modules.contains(&name) {
            return Ok(Some(Resolved::Builtin(format!("node:{name}"))));
        }
        Ok(None)
    }

    fn node_module(&self, name: &str) -> Result<Resolved, Meaningless> {
        if self.platform.node_modules.contains(&name) {
            return Ok(Resolved::Builtin(format!("node:{name}")));
        }
        let available: Vec<String> = self.platform.node_modules.iter().map(|name| format!("node:{name}")).collect();
        let hint = if available.is_empty() { None } else { Some(format!("These are: {}", available.join(", "))) };
        Err((format!("The built-in module node:{name} is not available here"), hint))
    }

    /// What a specifier asks of npm, if it asks anything of it.
    fn npm<'s>(&self, specifier: &'s str) -> Result<Npm<'s>, Meaningless> {
        let unknown = || (format!("{specifier:?} does not name a package"), None);
        if let Some(rest) = specifier.strip_prefix("npm:") {
            return Npm::parse(rest).ok_or_else(unknown);
        }
        if let Some(rest) = specifier.strip_prefix("jsr:") {
            return Npm::parse(rest).and_then(on_jsr).ok_or_else(unknown);
        }
        if let Some(rest) = specifier.strip_prefix("https://esm.sh/") {
            return esm_sh(rest).ok_or_else(unknown);
        }
        if let Some(rest) = specifier.strip_prefix("https://deno.land/x/") {
            return deno_land(rest).ok_or_else(|| no_twin(specifier));
        }
        if let Some(name) = deno_std(specifier) {
            let hint = format!("The library is on JSR by now: jsr:@std/{name}");
            return Err((format!("Modules cannot be imported from {specifier:?}"), Some(hint)));
        }
        if specifier.contains("://") || specifier.starts_with("data:") {
            let hint =
                "Nothing is fetched at deploy. Use npm:, jsr: or https://esm.sh/, or add the file to the function";
            return Err((format!("Modules cannot be imported from {specifier:?}"), Some(hint.to_owned())));
        }
        Npm::parse(specifier).ok_or_else(unknown)
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
            return self.first_of(package, probes(&target), specifier);
        }
        match package.manifest.substitute(specifier) {
            Some(Substitute::Empty) => return Ok(Resolved::Empty),
            Some(Substitute::Specifier(file)) if file.starts_with("./") => {
                return self.first_of(package, probes(&join("", file)), specifier);
            }
            Some(Substitute::Specifier(other)) if other != specifier => return self.elsewhere(other, package, manner),
            _ => {}
        }
        if specifier.starts_with('#') {
            let no_import = || (format!("{} has no import {specifier:?}", package.id), None);
            let target = package.manifest.internal(specifier, manner.kind).ok_or_else(no_import)?;
            return match target.strip_prefix("./") {
                Some(file) => self.first_of(package, vec![join("", file)], specifier),
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
            PackageError::NotFound if NODE_MODULES.contains(&name) => self
                .node_module(name)
                .map_or_else(|failure| failure, |_| (format!("Cannot find {specifier:?}"), None))
                .into(),
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
        self.first_of(package, candidates, specifier)
    }

    fn first_of(&self, package: &Package, candidates: Vec<String>, specifier: &str) -> Result<Resolved, Failure> {
        let no_file = || (format!("The package {:?} has no file for {specifier:?}", package.id), None);
        let path = self.first_file(package, candidates).ok_or_else(no_file)?;
        let path = match package.manifest.substitute(&format!("./{path}")) {
            None => path,
            Some(Substitute::Empty) => return Ok(Resolved::Empty),
            Some(Substitute::Specifier(file)) => {
                self.first_file(package, probes(&join("", file))).ok_or_else(no_file)?
            }
        };
        Ok(Resolved::Place(Place::Package { package: package.clone(), path }))
    }

    fn first_file(&self, package: &Package, candidates: Vec<String>) -> Option<String> {
        let is_code = |path: &String| extension(path).is_some_and(|found| EXTENSIONS.contains(&found));
        candidates.into_iter().filter(is_code).find(|path| self.packages.has(package, path))
    }
}

impl<'a> Npm<'a> {
    /// `name@version/sub/path`, with a scope or without, with a version or without, after an optional `/`.
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_start_matches('/');
        let scope = if text.starts_with('@') { text.find('/')? + 1 } else { 0 };
        let end = text.get(scope..)?.find('/').map_or(text.len(), |index| scope + index);
        let (package, subpath) = text.split_at_checked(end)?;
        let version = package.get(scope..)?.find('@').map(|index| scope + index);
        let (name, requirement) = match version {
            Some(at) => (package.get(..at)?, package.get(at + 1..).filter(|version| !version.is_empty())),
            None => (package, None),
        };
        let subpath = subpath.trim_matches('/');
        let escapes = subpath.split('/').any(|segment| matches!(segment, "." | ".."));
        (is_package_name(name) && !escapes).then_some(Self { name: name.into(), requirement, subpath })
    }
}

fn is_declaration(specifier: &str) -> bool {
    let path = specifier.split(['?', '#']).next().unwrap_or(specifier);
    [".d.ts", ".d.mts", ".d.cts"].iter().any(|end| path.ends_with(end))
}

/// `https://deno.land/x/xhr@0.1.0/mod.ts`: it gave old hosts XMLHttpRequest, for libraries that use fetch by now.
fn is_xhr_polyfill(specifier: &str) -> bool {
    let name = specifier.strip_prefix("https://deno.land/x/").and_then(|rest| rest.split(['/', '@']).next());
    name == Some("xhr")
}

/// `https://deno.land/std@0.168.0/http/server.ts`, `std/http/server.ts`, `std/server`.
fn is_std_http(specifier: &str) -> bool {
    let rest = specifier.strip_prefix("https://deno.land/").unwrap_or(specifier);
    let Some((library, path)) = rest.split_once('/') else { return false };
    (library == "std" || library.starts_with("std@"))
        && matches!(path, "http/server.ts" | "http/server" | "server" | "server.ts" | "http/mod.ts")
}

/// The package that a package on JSR is on npm: its twin there, or what JSR's own npm registry calls it.
fn on_jsr(npm: Npm<'_>) -> Option<Npm<'_>> {
    let (scope, name) = npm.name.split_once('/')?;
    let bare_scope = scope.strip_prefix('@')?;
    let renamed = JSR_TWINS.iter().find(|(jsr, _)| *jsr == npm.name).map(|(_, twin)| Cow::Borrowed(*twin));
    let same = || JSR_TWIN_SCOPES.contains(&scope).then(|| npm.name.clone());
    let name = renamed.or_else(same).unwrap_or_else(|| format!("@jsr/{bare_scope}__{name}").into());
    Some(Npm { name, ..npm })
}

/// `https://esm.sh/` + `[stable/][v135/][*]name@version[&option…]/sub/path[?query]`
fn esm_sh(rest: &str) -> Option<Npm<'_>> {
    let rest = rest.split(['?', '#']).next()?;
    let rest = rest.strip_prefix("stable/").unwrap_or(rest);
    let rest = match rest.split_once('/') {
        Some((build, after))
            if build.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) =>
        {
            after
        }
        _ => rest,
    };
    let rest = rest.strip_prefix('*').unwrap_or(rest);
    // Repositories, which are on no registry.
    if ["gh/", "pr/"].iter().any(|elsewhere| rest.starts_with(elsewhere)) {
        return None;
    }
    let npm = match rest.strip_prefix("jsr/") {
        Some(rest) => on_jsr(Npm::parse(rest)?)?,
        None => Npm::parse(rest)?,
    };
    let requirement = npm.requirement.and_then(|version| version.split('&').next());
    Some(Npm { requirement, ..npm })
}

/// `https://deno.land/std@0.224.0/encoding/base64.ts`: the package that part of the library has become.
fn deno_std(specifier: &str) -> Option<String> {
    let (library, path) = specifier.strip_prefix("https://deno.land/")?.split_once('/')?;
    let (name, _) = path.split_once('/')?;
    (library == "std" || library.starts_with("std@")).then(|| name.replace('_', "-"))
}

/// `name@v1.2.3/mod.ts`: the whole library.
fn deno_land(rest: &str) -> Option<Npm<'_>> {
    let npm = Npm::parse(rest)?;
    let requirement = npm.requirement.map(|version| version.strip_prefix('v').unwrap_or(version));
    let whole = matches!(npm.subpath, "" | "mod.ts" | "index.ts");
    let (_, twin) = DENO_LAND_TWINS.iter().find(|(name, _)| whole && *name == npm.name)?;
    Some(Npm { name: (*twin).into(), requirement, subpath: "" })
}

fn no_twin(specifier: &str) -> Meaningless {
    let hint = "Use the npm package of the same library, if there is one, or add the files to the function";
    (format!("{specifier:?} is on deno.land, and has no known twin on npm"), Some(hint.to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn npm<'a>(name: &'a str, requirement: Option<&'a str>, subpath: &'a str) -> Option<Npm<'a>> {
        Some(Npm { name: name.into(), requirement, subpath })
    }

    #[test]
    fn package_specifiers_have_scope_version_and_path() {
        assert_eq!(Npm::parse("zod"), npm("zod", None, ""));
        assert_eq!(Npm::parse("zod@^3.22"), npm("zod", Some("^3.22"), ""));
        assert_eq!(Npm::parse("@a/b@1/c/d.js"), npm("@a/b", Some("1"), "c/d.js"));
        assert_eq!(Npm::parse("/hono@4/cors"), npm("hono", Some("4"), "cors"));
        for text in ["", "@a", "@/b", "../x", "a b", "https:", "a/../b", ".hidden", "node_modules"] {
            assert_eq!(Npm::parse(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_of_esm_sh_are_packages() {
        assert_eq!(
            esm_sh("@supabase/supabase-js@2.39.3?target=deno"),
            npm("@supabase/supabase-js", Some("2.39.3"), "")
        );
        assert_eq!(esm_sh("stripe@11.1.0&no-check/lib?deno-std=0.132.0"), npm("stripe", Some("11.1.0"), "lib"));
        assert_eq!(esm_sh("v135/*react@18/jsx-runtime"), npm("react", Some("18"), "jsx-runtime"));
        assert_eq!(esm_sh("gh/someone/zod@1"), None);
        assert_eq!(esm_sh("validator"), npm("validator", None, ""));
    }

    #[test]
    fn twins_are_known_or_not() {
        let jsr = |text| on_jsr(Npm::parse(text).unwrap());
        assert_eq!(jsr("@panva/jose@5"), npm("jose", Some("5"), ""));
        assert_eq!(jsr("@supabase/functions-js"), npm("@supabase/functions-js", None, ""));
        assert_eq!(jsr("@std/path@1/posix"), npm("@jsr/std__path", Some("1"), "posix"));
        assert_eq!(jsr("zod"), None);
        assert_eq!(esm_sh("jsr/@std/encoding@1/base64"), npm("@jsr/std__encoding", Some("1"), "base64"));
        assert_eq!(deno_land("zod@v3.22.4/mod.ts"), npm("zod", Some("3.22.4"), ""));
        assert_eq!(deno_land("oak@v12.6.1/mod.ts"), npm("@oakserver/oak", Some("12.6.1"), ""));
        assert_eq!(deno_land("postgres@v0.17.0/mod.ts"), None);
    }

    #[test]
    fn what_is_only_there_for_deno() {
        for specifier in [
            "https://deno.land/std@0.168.0/http/server.ts",
            "https://deno.land/std/http/server.ts",
            "std/server",
            "std/http/server.ts",
        ] {
            assert!(is_std_http(specifier), "{specifier}");
        }
        assert!(!is_std_http("https://deno.land/std@0.168.0/path/mod.ts"));
        assert_eq!(deno_std("https://deno.land/std@0.168.0/media_types/mod.ts").as_deref(), Some("media-types"));
        assert_eq!(deno_std("https://deno.land/x/std@1/a/mod.ts"), None);
        assert!(is_xhr_polyfill("https://deno.land/x/xhr@0.3.0/mod.ts"));
        assert!(!is_xhr_polyfill("https://deno.land/x/xhrx/mod.ts"));
        assert!(is_declaration("jsr:@supabase/functions-js@2/edge-runtime.d.ts"));
    }
}
