//! How packages are named: `npm:`, `jsr:`, esm.sh, deno.land or bare; and what is only there for other hosts.

use std::borrow::Cow;

use super::packages::is_package_name;

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

/// What a specifier asks of npm.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Npm<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) requirement: Option<&'a str>,
    pub(super) subpath: &'a str,
}

/// A specifier that means nothing: what is wrong with it, and what to do.
pub(super) type Meaningless = (String, Option<String>);

impl<'a> Npm<'a> {
    /// What a specifier asks of npm, if it asks anything of it.
    pub(super) fn of_specifier(specifier: &'a str) -> Result<Self, Meaningless> {
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
            let hint = "Only packages are fetched at deploy. Use npm:, jsr: or https://esm.sh/, or add the file to the function";
            return Err((format!("Modules cannot be imported from {specifier:?}"), Some(hint.to_owned())));
        }
        Npm::parse(specifier).ok_or_else(unknown)
    }

    /// `name@version/sub/path`, with a scope or without, with a version or without, after an optional `/`.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
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

pub(super) fn is_declaration(specifier: &str) -> bool {
    let path = specifier.split(['?', '#']).next().unwrap_or(specifier);
    [".d.ts", ".d.mts", ".d.cts"].iter().any(|end| path.ends_with(end))
}

/// `https://deno.land/x/xhr@0.1.0/mod.ts`: it gave old hosts XMLHttpRequest, for libraries that use fetch by now.
pub(super) fn is_xhr_polyfill(specifier: &str) -> bool {
    let name = specifier.strip_prefix("https://deno.land/x/").and_then(|rest| rest.split(['/', '@']).next());
    name == Some("xhr")
}

/// `https://deno.land/std@0.168.0/http/server.ts`, `std/http/server.ts`, `std/server`.
pub(super) fn is_std_http(specifier: &str) -> bool {
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
