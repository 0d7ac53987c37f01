//! Which versions of packages a function has: as it was deployed, or as a lock file among its files says.

use std::collections::{BTreeMap, BTreeSet};

use nodejs_semver::{Range, Version};
use serde::{Deserialize, Serialize};

use super::integrity::Integrity;
use crate::js::source::{DENO_LOCK, Source, directory, join};

/// A package and the versions of it that will do, as written: `^1.2`, `latest`, `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Wish {
    pub(super) name: String,
    pub(super) requirement: String,
}

/// A version of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release {
    pub(super) name: String,
    pub(super) version: Version,
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// A package of a deployed function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The hash of its tarball.
    pub integrity: Integrity,
    /// What it was asked for as.
    pub requirements: BTreeSet<String>,
}

/// The packages of a deployed function, by name and version.
pub type LockedPackages = Vec<LockedPackage>;

/// A lock, whoever wrote it.
#[derive(Debug, Default)]
pub(super) struct Lock {
    /// Exactly what was asked for, and the version that was chosen.
    wishes: BTreeMap<Wish, Version>,
    /// All versions, with the hash of the tarball where the lock has it.
    releases: BTreeMap<Release, Option<Integrity>>,
    /// The versions that stand at the top of `node_modules`.
    top: BTreeMap<String, Version>,
}

impl Lock {
    /// The version this lock has for a wish.
    pub(super) fn version(&self, wish: &Wish) -> Option<&Version> {
        if let Some(version) = self.wishes.get(wish) {
            return Some(version);
        }
        let satisfies = satisfying(&wish.requirement);
        let top = self.top.get(&wish.name).filter(|version| satisfies(version));
        top.or_else(|| self.versions(&wish.name).rfind(|version| satisfies(version)))
    }

    /// The hash of a tarball.
    pub(super) fn integrity(&self, release: &Release) -> Option<Integrity> {
        self.releases.get(release).copied().flatten()
    }

    fn versions<'l, 'n>(&'l self, name: &'n str) -> impl DoubleEndedIterator<Item = &'l Version> + use<'l, 'n> {
        self.releases.keys().filter(move |release| release.name == name).map(|release| &release.version)
    }

    fn add(&mut self, name: &str, version: &str, integrity: Option<&str>) -> Option<Version> {
        let version: Version = version.parse().ok()?;
        let release = Release { name: name.to_owned(), version: version.clone() };
        self.releases.insert(release, integrity.and_then(|text| text.parse().ok()));
        Some(version)
    }

    /// What the lock files say that lie next to the entry or above it; the nearest of each kind counts. One that cannot be read
    /// says nothing: it was written by a program, and what it would have said is decided anew.
    pub(super) fn of_files(source: &Source) -> Vec<Self> {
        let nearest = |name: &str| {
            let mut folder = directory(source.entry().as_str());
            loop {
                match source.text(&join(folder, name)) {
                    Some(text) => return Some(text),
                    None if folder.is_empty() => return None,
                    None => folder = directory(folder),
                }
            }
        };
        let npm = nearest("package-lock.json").and_then(|text| serde_json::from_str(text).ok()).map(Self::from_npm);
        let deno = nearest(DENO_LOCK).and_then(|text| serde_json::from_str(text).ok()).map(Self::from_deno);
        [deno, npm].into_iter().flatten().collect()
    }

    fn from_npm(file: NpmLock) -> Self {
        let mut lock = Self::default();
        for (path, package) in file.packages {
            let Some((above, name)) = path.rsplit_once("node_modules/") else { continue };
            let name = package.name.as_deref().unwrap_or(name);
            let version = lock.add(name, package.version.as_deref().unwrap_or_default(), package.integrity.as_deref());
            if let (true, Some(version)) = (above.is_empty(), version) {
                lock.top.insert(name.to_owned(), version);
            }
        }
        lock
    }

    fn from_deno(file: DenoLock) -> Self {
        let mut lock = Self::default();
        let packages = file.packages.unwrap_or_default();
        for (id, package) in file.npm.into_iter().chain(packages.npm) {
            // Behind the first underscore after the version are the versions of its peers.
            let Some((name, version)) = split(&id) else { continue };
            lock.add(name, version.split('_').next().unwrap_or(version), package.integrity.as_deref());
        }
        for (specifier, version) in file.specifiers.into_iter().chain(packages.specifiers) {
            let version = split(&version).map_or(version.as_str(), |(_, version)| version);
            let version = version.split('_').next().unwrap_or(version).parse();
            let name = specifier.strip_prefix("npm:").and_then(split);
            if let (Some((name, requirement)), Ok(version)) = (name, version) {
                lock.wishes.insert(Wish { name: name.to_owned(), requirement: requirement.to_owned() }, version);
            }
        }
        lock
    }
}

impl From<&LockedPackages> for Lock {
    fn from(packages: &LockedPackages) -> Self {
        let mut lock = Self::default();
        for LockedPackage { name, version, integrity, requirements } in packages {
            let Ok(version) = version.parse::<Version>() else { continue };
            lock.releases.insert(Release { name: name.clone(), version: version.clone() }, Some(*integrity));
            for requirement in requirements {
                lock.wishes.insert(Wish { name: name.clone(), requirement: requirement.clone() }, version.clone());
            }
        }
        lock
    }
}

/// Which versions will do. A tag such as `next` is for the registry to say; only `latest` stands for any.
pub(super) fn satisfying(requirement: &str) -> impl Fn(&Version) -> bool + use<> {
    let any = requirement == "latest";
    let range = Range::parse(requirement).ok();
    move |version| any || range.as_ref().is_some_and(|range| range.satisfies(version))
}

/// `name@version`, where the name may begin with `@`.
fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.get(1..)?.find('@')? + 1;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[derive(Deserialize)]
struct NpmLock {
    #[serde(default)]
    packages: BTreeMap<String, FilePackage>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct DenoLock {
    specifiers: BTreeMap<String, String>,
    npm: BTreeMap<String, FilePackage>,
    /// Up to version 3 of the format.
    packages: Option<DenoPackages>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct DenoPackages {
    specifiers: BTreeMap<String, String>,
    npm: BTreeMap<String, FilePackage>,
}

#[derive(Deserialize)]
struct FilePackage {
    name: Option<String>,
    version: Option<String>,
    integrity: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wish(name: &str, requirement: &str) -> Wish {
        Wish { name: name.to_owned(), requirement: requirement.to_owned() }
    }

    fn version(lock: &Lock, name: &str, requirement: &str) -> Option<String> {
        lock.version(&wish(name, requirement)).map(ToString::to_string)
    }

    #[test]
    fn npms_lock_files_are_read() {
        let integrity = Integrity::of(b"zod").to_string();
        let file = json!({"lockfileVersion": 3, "packages": {
            "": {"name": "f", "version": "1.0.0"},
            "node_modules/zod": {"version": "3.25.1", "integrity": integrity},
            "node_modules/a/node_modules/zod": {"version": "3.26.0"},
            "node_modules/b/node_modules/zod": {"version": "4.1.0"},
            "node_modules/alias": {"name": "@s/real", "version": "1.0.0"},
            "node_modules/evil": {"version": "../../x"}}});
        let lock = Lock::from_npm(serde_json::from_value(file).unwrap());
        assert_eq!(version(&lock, "zod", "^3").as_deref(), Some("3.25.1"));
        assert_eq!(version(&lock, "zod", "^3.26").as_deref(), Some("3.26.0"));
        assert_eq!(version(&lock, "zod", "4").as_deref(), Some("4.1.0"));
        assert_eq!(version(&lock, "zod", "5"), None);
        assert_eq!(version(&lock, "@s/real", "*").as_deref(), Some("1.0.0"));
        assert_eq!(version(&lock, "evil", "*"), None);
        let release = Release { name: "zod".to_owned(), version: "3.25.1".parse().unwrap() };
        assert_eq!(lock.integrity(&release), Some(Integrity::of(b"zod")));
    }

    #[test]
    fn denos_lock_files_are_read() {
        let integrity = Integrity::of(b"x").to_string();
        let new = json!({"version": "5", "specifiers": {"npm:hono@4": "4.1.0", "jsr:@std/path@1": "1.0.0"},
            "npm": {"hono@4.1.0": {"integrity": integrity}, "@a/b@2.0.0_hono@4.1.0": {"integrity": "sha1-x"}}});
        let old = json!({"version": "3", "packages": {"specifiers": {"npm:hono@4": "npm:hono@4.1.0"},
            "npm": {"hono@4.1.0": {"integrity": integrity}, "@a/b@2.0.0_hono@4.1.0": {"integrity": ""}}}});
        for file in [new, old] {
            let lock = Lock::from_deno(serde_json::from_value(file).unwrap());
            assert_eq!(version(&lock, "hono", "4").as_deref(), Some("4.1.0"));
            assert_eq!(version(&lock, "@a/b", "^2").as_deref(), Some("2.0.0"));
            let release = Release { name: "hono".to_owned(), version: "4.1.0".parse().unwrap() };
            assert_eq!(lock.integrity(&release), Some(Integrity::of(b"x")));
        }
    }

    #[test]
    fn a_deployed_version_answers_the_same_wishes_alike() {
        let packages = vec![LockedPackage {
            name: "zod".to_owned(),
            version: "4.1.0".to_owned(),
            integrity: Integrity::of(b"zod"),
            requirements: ["next".to_owned()].into(),
        }];
        let text = serde_json::to_string(&packages).unwrap();
        let lock = Lock::from(&serde_json::from_str::<LockedPackages>(&text).unwrap());
        assert_eq!(version(&lock, "zod", "next").as_deref(), Some("4.1.0"));
        assert_eq!(version(&lock, "zod", "latest").as_deref(), Some("4.1.0"));
        assert_eq!(version(&lock, "zod", "beta"), None);
    }
}
