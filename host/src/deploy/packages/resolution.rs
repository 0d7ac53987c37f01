//! Which packages the imports of one function mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nodejs_semver::Version;
use tokio::task::JoinSet;

use super::Npm;
use super::integrity::Integrity;
use super::lock::{Lock, LockedPackage, LockedPackages, Release, Wish, satisfying};
use super::registry::Offer;
use super::shelf::OpenPackage;
use crate::js::packages::{NodeModules, Package, PackageError, PackageRequest, Packages, is_package_name};
use crate::js::source::Source;
use crate::tunables::{FUNCTION_PACKAGES, REQUIREMENT_BYTES};

/// Which versions of packages a deployment of source gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageVersions {
    /// Those the function has, where they still do.
    Keep,
    /// What the registry has.
    Update,
}

/// The packages of one function.
pub struct Resolution {
    npm: Arc<Npm>,
    versions: PackageVersions,
    /// Packages among the function's files.
    tree: NodeModules<Source>,
    /// Whoever comes first decides.
    locks: Vec<Lock>,
    state: Mutex<State>,
}

/// A version that was chosen, and the hash of its tarball.
type Chosen = Result<(Release, Integrity), PackageError>;

#[derive(Default)]
struct State {
    chosen: BTreeMap<Wish, Chosen>,
    /// What the function itself asks for.
    roots: BTreeMap<String, Wish>,
    opened: BTreeMap<String, Result<OpenPackage, PackageError>>,
    used: BTreeSet<Wish>,
    wanted: Wanted,
    fetched: BTreeSet<Release>,
}

/// What the bundler waits for, in the order in which it asked.
#[derive(Default)]
struct Wanted {
    wishes: Vec<Wish>,
    packages: BTreeMap<Release, Integrity>,
}

impl Resolution {
    /// For this source, with the versions of lock files among it, and otherwise those of `before` or what registries have.
    pub fn new(npm: Arc<Npm>, source: &Source, before: &LockedPackages, versions: PackageVersions) -> Self {
        let mut locks = Lock::of_files(source);
        if versions == PackageVersions::Keep {
            locks.push(Lock::from(before));
        }
        Self { npm, versions, tree: NodeModules(source.clone()), locks, state: Mutex::default() }
    }

    /// Gets what the bundler has waited for. What cannot be had is the answer when it asks again.
    pub async fn supply(&self) {
        let Wanted { wishes, mut packages } = std::mem::take(&mut self.state().wanted);
        let offers = self.offers(&wishes).await;
        for wish in wishes {
            if let Some((release, integrity)) = self.decide(wish, &offers) {
                packages.insert(release, integrity);
            }
        }
        let mut fetches = JoinSet::new();
        for (release, integrity) in packages {
            let npm = self.npm.clone();
            fetches.spawn(async move { (npm.fetch(&release, integrity).await, release) });
        }
        let fetched = fetches.join_all().await;
        let mut state = self.state();
        for (fetched, release) in fetched {
            match fetched {
                Ok(()) => drop(state.fetched.insert(release)),
                Err(error) => drop(state.opened.insert(release.to_string(), Err(error))),
            }
        }
    }

    /// Whether anything was missing only for now.
    pub fn is_short(&self) -> bool {
        let state = self.state();
        let unavailable = |error: Option<&PackageError>| matches!(error, Some(PackageError::Unavailable(_)));
        state.chosen.values().any(|chosen| unavailable(chosen.as_ref().err()))
            || state.opened.values().any(|opened| unavailable(opened.as_ref().err()))
    }

    /// The packages that were used.
    pub fn lock(&self) -> LockedPackages {
        let state = self.state();
        let mut locked: BTreeMap<Release, LockedPackage> = BTreeMap::new();
        for wish in &state.used {
            let Some(Ok((release, integrity))) = state.chosen.get(wish) else { continue };
            let entry = locked.entry(release.clone()).or_insert_with(|| LockedPackage {
                name: release.name.clone(),
                version: release.version.to_string(),
                integrity: *integrity,
                requirements: BTreeSet::new(),
            });
            entry.requirements.insert(wish.requirement.clone());
        }
        locked.into_values().collect()
    }

    /// What registries have of the packages that neither a lock nor an earlier choice decides.
    async fn offers(&self, wishes: &[Wish]) -> BTreeMap<String, Result<Arc<Offer>, PackageError>> {
        let undecided = wishes.iter().filter(|wish| self.locked(wish).is_none());
        let mut asked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for Wish { name, requirement } in undecided.cloned() {
            asked.entry(name).or_default().insert(requirement);
        }
        let mut questions = JoinSet::new();
        for (name, requirements) in asked {
            let npm = self.npm.clone();
            let anew = self.versions == PackageVersions::Update;
            questions.spawn(async move {
                let offer = match npm.registry(&name) {
                    Ok(registry) => registry.offer(&name, &requirements, anew).await,
                    Err(error) => Err(error),
                };
                (offer, name)
            });
        }
        questions.join_all().await.into_iter().map(|(offer, name)| (name, offer)).collect()
    }

    /// Chooses a version. Returns it if it has not been chosen before.
    fn decide(
        &self,
        wish: Wish,
        offers: &BTreeMap<String, Result<Arc<Offer>, PackageError>>,
    ) -> Option<(Release, Integrity)> {
        let mut state = self.state();
        if state.chosen.contains_key(&wish) {
            return None;
        }
        let chosen = match (state.chosen_before(&wish), self.locked(&wish), offers.get(&wish.name)) {
            (Some(before), ..) => Ok(before),
            (None, Some(locked), _) => Ok(locked),
            (None, None, Some(Ok(offer))) => self.choose(&wish, offer),
            (None, None, Some(Err(error))) => Err(error.clone()),
            (None, None, None) => Err(PackageError::NotFound),
        };
        let chosen = match chosen {
            Ok(_) if state.chosen.len() >= FUNCTION_PACKAGES => {
                Err(PackageError::Unusable(format!("a function can have {FUNCTION_PACKAGES} packages")))
            }
            chosen => chosen,
        };
        state.chosen.insert(wish, chosen.clone());
        chosen.ok()
    }

    /// What a lock says, with the hash.
    fn locked(&self, wish: &Wish) -> Option<(Release, Integrity)> {
        let (lock, version) = self.locks.iter().find_map(|lock| Some((lock, lock.version(wish)?)))?;
        let release = Release { name: wish.name.clone(), version: version.clone() };
        let integrity = lock.integrity(&release)?;
        Some((release, integrity))
    }

    fn choose(&self, wish: &Wish, offer: &Offer) -> Chosen {
        // A lock without the hash of this version still says the version.
        let locked: Option<&Version> = self.locks.iter().find_map(|lock| lock.version(wish));
        let version = locked.or_else(|| offer.version(&wish.requirement)).ok_or_else(|| {
            let latest = offer.latest().map_or_else(String::new, |latest| format!("; the latest is {latest}"));
            PackageError::Unusable(format!("there is no version {:?} of it{latest}", wish.requirement))
        })?;
        let integrity = offer.integrity(version).ok_or_else(|| {
            PackageError::Unusable(format!("the registry has no sha512 hash for the tarball of version {version}"))
        })?;
        Ok((Release { name: wish.name.clone(), version: version.clone() }, integrity))
    }

    /// What a request asks a registry for.
    fn wish(&self, request: PackageRequest<'_>, state: &mut State) -> Result<Wish, PackageError> {
        let PackageRequest { name, requirement, importer, needed } = request;
        let wish = match (importer, requirement) {
            (None, requirement) => {
                let wish = to_wish(name, requirement.unwrap_or("*"))?;
                state.roots.entry(name.to_owned()).or_insert_with(|| wish.clone());
                wish
            }
            (Some(_), Some(requirement)) => to_wish(name, requirement)?,
            (Some(package), None) => match package.manifest.dependency(name) {
                // What it can do without is there if the function has it.
                Some(dependency) if !dependency.optional || needed || state.roots.contains_key(name) => {
                    to_wish(name, dependency.requirement)?
                }
                Some(_) => return Err(PackageError::NotFound),
                None => state.roots.get(name).cloned().ok_or(PackageError::NotFound)?,
            },
        };
        Ok(wish)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A version that is there already and will do as well, first of all the one the function asked for itself.
    fn chosen_before(&self, wish: &Wish) -> Option<(Release, Integrity)> {
        let satisfies = satisfying(&wish.requirement);
        let fits = |(release, _): &&(Release, Integrity)| satisfies(&release.version);
        let of = |wish: &Wish| self.chosen.get(wish).and_then(|chosen| chosen.as_ref().ok());
        let root = self.roots.get(&wish.name).and_then(of).filter(fits);
        let others = self.chosen.iter().filter(|(other, _)| other.name == wish.name);
        let others = others.filter_map(|(_, chosen)| chosen.as_ref().ok()).filter(fits);
        root.or_else(|| others.max_by(|(a, _), (b, _)| a.cmp(b))).cloned()
    }
}

impl Packages for Resolution {
    fn find(&self, request: PackageRequest<'_>) -> Result<Package, PackageError> {
        let of_registry = request.importer.is_some_and(|package| is_of_registry(&package.id));
        if !of_registry {
            match self.tree.find(request) {
                Err(PackageError::NotFound) => {}
                found => return found,
            }
        }
        let mut state = self.state();
        let wish = self.wish(request, &mut state)?;
        let (release, integrity) = match state.chosen.get(&wish) {
            Some(chosen) => chosen.clone()?,
            None => match self.locked(&wish).filter(|_| state.chosen.len() < FUNCTION_PACKAGES) {
                Some(locked) => {
                    state.chosen.insert(wish.clone(), Ok(locked.clone()));
                    locked
                }
                None => {
                    if !state.wanted.wishes.contains(&wish) {
                        state.wanted.wishes.push(wish);
                    }
                    return Err(PackageError::Wanted);
                }
            },
        };
        state.used.insert(wish);
        let id = release.to_string();
        if !state.opened.contains_key(&id) {
            match self.npm.shelf.find(integrity) {
                Some(opened) => drop(state.opened.insert(id.clone(), opened)),
                None if state.fetched.contains(&release) => {
                    let why = "the host cannot read what it has fetched; its log has the cause";
                    return Err(PackageError::Unavailable(why.to_owned()));
                }
                None => {
                    state.wanted.packages.insert(release, integrity);
                    return Err(PackageError::Wanted);
                }
            }
        }
        match state.opened.get(&id) {
            Some(Ok(package)) => Ok(Package { id, manifest: package.manifest.clone() }),
            Some(Err(error)) => Err(error.clone()),
            None => Err(PackageError::NotFound),
        }
    }

    fn read(&self, package: &Package, path: &str) -> Option<String> {
        if !is_of_registry(&package.id) {
            return self.tree.read(package, path);
        }
        self.state().opened.get(&package.id)?.as_ref().ok()?.text(path)
    }

    fn has(&self, package: &Package, path: &str) -> bool {
        if !is_of_registry(&package.id) {
            return self.tree.has(package, path);
        }
        self.state().opened.get(&package.id).is_some_and(|opened| opened.as_ref().is_ok_and(|opened| opened.has(path)))
    }
}

/// Packages among the files are named after their directory.
fn is_of_registry(id: &str) -> bool {
    !id.starts_with("node_modules/") && !id.contains("/node_modules/")
}

/// A name and a requirement as a manifest or a specifier has them; `npm:other@^1` in the place of a version means another package.
fn to_wish(name: &str, requirement: &str) -> Result<Wish, PackageError> {
    let requirement = requirement.trim();
    let (name, requirement) = match requirement.strip_prefix("npm:") {
        None => (name, requirement),
        Some(other) => match other.get(1..).and_then(|rest| rest.find('@')) {
            Some(at) => (other.get(..=at).unwrap_or(other), other.get(at + 2..).unwrap_or("*")),
            None => (other, "*"),
        },
    };
    let requirement = if requirement.is_empty() { "*" } else { requirement };
    let is_version = requirement.len() <= REQUIREMENT_BYTES && !requirement.contains([':', '/', '#', '%', '?', '\\']);
    if !is_package_name(name) || !is_version {
        let shown: String = requirement.chars().take(100).collect();
        let why = format!("{shown:?} is not a version; files, git and web addresses cannot stand for a package here");
        return Err(PackageError::Unusable(why));
    }
    Ok(Wish { name: name.to_owned(), requirement: requirement.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host without a registry.
    fn nowhere(directory: &std::path::Path) -> Arc<Npm> {
        use crate::deploy::packages::{Registries, RegistryChoice};
        let registries =
            Registries { npm: RegistryChoice::Off, jsr: RegistryChoice::Off, roots: Vec::new(), opened: Vec::new() };
        Arc::new(Npm::open(registries, directory).unwrap())
    }

    fn locked(requirements: BTreeSet<String>) -> LockedPackages {
        let integrity = Integrity::of(b"a");
        vec![LockedPackage { name: "a".to_owned(), version: "1.0.0".to_owned(), integrity, requirements }]
    }

    #[tokio::test]
    async fn the_packages_of_a_function_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let source = Source::from_code(String::new()).unwrap();
        let requirements: Vec<String> = (0..=FUNCTION_PACKAGES).map(|index| format!("<{}", index + 2)).collect();
        let before = locked(requirements.iter().cloned().collect());
        let packages = Resolution::new(nowhere(directory.path()), &source, &before, PackageVersions::Keep);
        let find = |requirement: &str| {
            packages.find(PackageRequest { name: "a", requirement: Some(requirement), importer: None, needed: true })
        };
        for requirement in &requirements {
            assert_eq!(find(requirement).unwrap_err(), PackageError::Wanted);
        }
        packages.supply().await;
        let refused = find(&requirements[FUNCTION_PACKAGES]).unwrap_err().to_string();
        assert_eq!(refused, format!("a function can have {FUNCTION_PACKAGES} packages"));
        let first = find(&requirements[0]).unwrap_err().to_string();
        assert!(first.contains("--npm-registry is off"), "{first}");
        assert!(!packages.is_short());
    }

    #[tokio::test]
    async fn a_package_that_does_not_stay_is_not_fetched_without_end() {
        let directory = tempfile::tempdir().unwrap();
        let source = Source::from_code(String::new()).unwrap();
        let before = locked(["1".to_owned()].into());
        let npm = nowhere(directory.path());
        let packages = Resolution::new(npm.clone(), &source, &before, PackageVersions::Keep);
        let find = || packages.find(PackageRequest { name: "a", requirement: Some("1"), importer: None, needed: true });
        assert_eq!(find().unwrap_err(), PackageError::Wanted);
        npm.shelf.keep(Integrity::of(b"a"), b"").unwrap();
        packages.supply().await;
        std::fs::remove_dir_all(directory.path()).unwrap();
        assert!(matches!(find(), Err(PackageError::Unavailable(_))));
        assert!(find().is_err());
    }

    #[test]
    fn requirements_are_versions_or_other_packages() {
        let wish = |name: &str, requirement: &str| {
            to_wish(name, requirement).map(|wish| (wish.name, wish.requirement)).map_err(|error| error.to_string())
        };
        let ok = |name: &str, requirement: &str| Ok((name.to_owned(), requirement.to_owned()));
        assert_eq!(wish("a", " ^1 || 2 "), ok("a", "^1 || 2"));
        assert_eq!(wish("a", ""), ok("a", "*"));
        assert_eq!(wish("a", "npm:b@^1"), ok("b", "^1"));
        assert_eq!(wish("a", "npm:@s/b@next"), ok("@s/b", "next"));
        assert_eq!(wish("a", "npm:@s/b"), ok("@s/b", "*"));
        for requirement in ["git+https://x/y", "file:../x", "workspace:*", "user/repo", "npm:../x@1", "https://x/y.tgz"]
        {
            assert!(wish("a", requirement).unwrap_err().contains("not a version"), "{requirement}");
        }
        assert!(to_wish("a", &"1 || ".repeat(100)).is_err());
    }
}
