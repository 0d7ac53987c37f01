//! The protocol of npm registries: which versions of a package there are, and their tarballs.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderValue, StatusCode, Uri};
use nodejs_semver::Version;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::client::{Client, NoAnswer, at};
use super::integrity::Integrity;
use super::lock::{Release, satisfying};
use crate::bindings::egress::{AllowRule, EgressPolicy};
use crate::bindings::fetch::{Dialer, InvalidRoots};
use crate::js::packages::PackageError;
use crate::tunables::{
    REGISTRY_ANSWERS, REGISTRY_ANSWERS_FOR, REGISTRY_DOCUMENT_BYTES, REGISTRY_DOCUMENTS, TARBALL_BYTES,
};

/// The short form of what a registry says about a package.
const ABBREVIATED: HeaderValue =
    HeaderValue::from_static("application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*");

/// What it says about one version.
const ONE_VERSION: HeaderValue = HeaderValue::from_static("application/json");

/// The registry that others mirror: what they say is there, they have themselves.
const PUBLIC_REGISTRY: &str = "registry.npmjs.org";

/// Which registry packages come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum RegistryChoice {
    /// None: names of packages mean nothing.
    Off,
    /// The one at this address.
    At(RegistryAddress),
}

/// The address of a registry: http or https, without credentials or query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryAddress(Uri);

/// An address that cannot be one of a registry.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither `off` nor an address such as https://registry.example.com/npm")]
pub struct InvalidRegistry(String);

impl FromStr for RegistryChoice {
    type Err = InvalidRegistry;

    fn from_str(text: &str) -> Result<Self, InvalidRegistry> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let usable = |uri: &Uri| {
            let known = matches!(uri.scheme(), Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
            known && uri.query().is_none() && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        };
        let uri = text.parse().ok().filter(usable).ok_or_else(|| InvalidRegistry(text.to_owned()))?;
        Ok(Self::At(RegistryAddress(uri)))
    }
}

impl TryFrom<String> for RegistryChoice {
    type Error = InvalidRegistry;

    fn try_from(text: String) -> Result<Self, InvalidRegistry> {
        text.parse()
    }
}

/// What a registry has of a package.
#[derive(Debug)]
pub(super) struct Offer {
    tags: BTreeMap<String, Version>,
    /// Rising.
    versions: Vec<OfferedVersion>,
}

#[derive(Debug)]
struct OfferedVersion {
    version: Version,
    tarball: String,
    integrity: Option<Integrity>,
    deprecated: bool,
}

impl Offer {
    /// The version that a requirement means: that of a tag, the latest, or the highest that will do.
    pub(super) fn version(&self, requirement: &str) -> Option<&Version> {
        let latest = self.tags.get("latest");
        if let Some(version) = self.tags.get(requirement).or(latest.filter(|_| requirement == "*")) {
            return Some(version);
        }
        let satisfies = satisfying(requirement);
        if let Some(latest) = latest.filter(|latest| satisfies(latest)) {
            return Some(latest);
        }
        let fit = || self.versions.iter().rev().filter(|offered| satisfies(&offered.version));
        fit().find(|offered| !offered.deprecated).or_else(|| fit().next()).map(|offered| &offered.version)
    }

    /// The hash of a version's tarball.
    pub(super) fn integrity(&self, version: &Version) -> Option<Integrity> {
        self.find(version)?.integrity
    }

    /// The latest version, to name one that exists.
    pub(super) fn latest(&self) -> Option<&Version> {
        self.tags.get("latest").or_else(|| self.versions.last().map(|offered| &offered.version))
    }

    fn find(&self, version: &Version) -> Option<&OfferedVersion> {
        self.versions.iter().find(|offered| offered.version == *version)
    }
}

/// A registry.
pub(super) struct Registry {
    /// Without a `/` at its end.
    base: Uri,
    client: Client,
    /// Documents are large while they are read.
    readers: Semaphore,
    offers: Mutex<BTreeMap<String, (Instant, Arc<Offer>)>>,
}

impl Registry {
    /// The registry at this address. `roots` (PEM) are trusted besides the public certificate authorities; `opened` is open to
    /// functions.
    pub(super) fn new(address: RegistryAddress, roots: &[u8], opened: &[AllowRule]) -> Result<Self, InvalidRoots> {
        let base = address.0;
        let host = base.authority().map(|authority| {
            let port = if base.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
            format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(port))
        });
        let own = host.and_then(|host| host.parse().ok());
        let policy = EgressPolicy::new(opened.iter().cloned().chain(own).collect());
        Ok(Self {
            base,
            client: Client::new(Dialer::new(roots)?, policy),
            readers: Semaphore::new(REGISTRY_DOCUMENTS),
            offers: Mutex::default(),
        })
    }

    /// What there is of a package, as far as these requirements need it. An answer is good for some minutes, unless it has no
    /// version for a requirement, or is wanted `anew`.
    pub(super) async fn offer(
        &self,
        name: &str,
        requirements: &BTreeSet<String>,
        anew: bool,
    ) -> Result<Arc<Offer>, PackageError> {
        let suffices = |offer: &Arc<Offer>| requirements.iter().all(|wanted| offer.version(wanted).is_some());
        if let Some(known) = self.known(name).filter(|offer| !anew && suffices(offer)) {
            return Ok(known);
        }
        if let Some(version) = the_one_version(requirements)
            && let Some(offer) = self.offer_of(name, version).await?
        {
            return Ok(offer);
        }
        self.whole_offer(name).await
    }

    async fn whole_offer(&self, name: &str) -> Result<Arc<Offer>, PackageError> {
        let uri = self.address(&name.replace('/', "%2f"))?;
        let _reader = self.readers.acquire().await;
        let answer = self.client.get(&uri, Some(ABBREVIATED), REGISTRY_DOCUMENT_BYTES).await?;
        let body = body(answer.status, answer.body)?;
        let offer = spawn_blocking(move || serde_json::from_slice::<Document>(&body).map(Offer::from)).await;
        let offer = offer.ok().and_then(Result::ok).map(Arc::new).ok_or_else(|| {
            PackageError::Unavailable("what the registry says about it cannot be understood".to_owned())
        })?;
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        if offers.len() >= REGISTRY_ANSWERS {
            offers.clear();
        }
        offers.insert(name.to_owned(), (Instant::now(), offer.clone()));
        Ok(offer)
    }

    /// One version of a package. Most registries tell it alone, which spares a history of megabytes.
    async fn offer_of(&self, name: &str, version: Version) -> Result<Option<Arc<Offer>>, PackageError> {
        let uri = self.address(&format!("{}/{version}", name.replace('/', "%2f")))?;
        let answer = self.client.get(&uri, Some(ONE_VERSION), REGISTRY_DOCUMENT_BYTES).await?;
        let said = serde_json::from_slice::<DocumentVersion>(&answer.body).ok();
        let offered = said.filter(|_| answer.status == StatusCode::OK).map(|said| said.offered(version));
        let usable = offered.filter(|offered| offered.integrity.is_some());
        Ok(usable.map(|offered| Arc::new(Offer { tags: BTreeMap::new(), versions: vec![offered] })))
    }

    fn known(&self, name: &str) -> Option<Arc<Offer>> {
        let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, offer) = offers.get(name)?;
        (at.elapsed() < REGISTRY_ANSWERS_FOR).then(|| offer.clone())
    }

    /// The tarball of a version, which has this hash.
    pub(super) async fn tarball(&self, release: &Release, integrity: Integrity) -> Result<Bytes, PackageError> {
        let usual = self.usual_tarball(release)?;
        let uri = match self.known(&release.name) {
            Some(offer) => self.said_tarball(&offer, release).unwrap_or(usual),
            None => usual,
        };
        let mut answer = self.client.get(&uri, None, TARBALL_BYTES).await?;
        if answer.status == StatusCode::NOT_FOUND && self.known(&release.name).is_none() {
            let offer = self.whole_offer(&release.name).await?;
            let uri = self.said_tarball(&offer, release).ok_or(PackageError::NotFound)?;
            answer = self.client.get(&uri, None, TARBALL_BYTES).await?;
        }
        let tarball = body(answer.status, answer.body)?;
        let bytes = tarball.clone();
        let found = spawn_blocking(move || Integrity::of(&bytes)).await;
        match found {
            Ok(found) if found == integrity => Ok(tarball),
            Ok(found) => Err(PackageError::Unusable(format!(
                "the tarball of {release} is not the one that was expected: its hash is {found} instead of {integrity}. \
                 Correct the lock file if it is wrong; otherwise do not trust the registry"
            ))),
            Err(_) => Err(PackageError::Unavailable("the host could not check it".to_owned())),
        }
    }

    /// Where registries keep tarballs unless they say otherwise.
    fn usual_tarball(&self, release: &Release) -> Result<Uri, PackageError> {
        let Release { name, version } = release;
        let file = name.rsplit('/').next().unwrap_or(name);
        self.address(&format!("{name}/-/{file}-{version}.tgz"))
    }

    fn said_tarball(&self, offer: &Offer, release: &Release) -> Option<Uri> {
        let said: Uri = offer.find(&release.version)?.tarball.parse().ok()?;
        if said.authority().is_some_and(|authority| authority.as_str() == PUBLIC_REGISTRY) {
            return self.address(said.path().trim_start_matches('/')).ok();
        }
        Some(said)
    }

    fn address(&self, path: &str) -> Result<Uri, PackageError> {
        let base = self.base.path().trim_end_matches('/');
        at(&self.base, &format!("{base}/{path}")).ok_or(PackageError::NotFound)
    }
}

fn the_one_version(requirements: &BTreeSet<String>) -> Option<Version> {
    let mut requirements = requirements.iter();
    let version = requirements.next()?.parse().ok()?;
    requirements.next().is_none().then_some(version)
}

/// What came, if it is what was asked for.
fn body(status: StatusCode, body: Bytes) -> Result<Bytes, PackageError> {
    match status {
        StatusCode::OK => Ok(body),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(PackageError::NotFound),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(PackageError::Unavailable(format!("the registry answers {status}; try again")))
        }
        status => Err(PackageError::Unusable(format!("the registry answers {status}"))),
    }
}

impl From<NoAnswer> for PackageError {
    fn from(reason: NoAnswer) -> Self {
        match reason {
            NoAnswer::TooLarge(..) => Self::Unusable(reason.to_string()),
            _ => Self::Unavailable(reason.to_string()),
        }
    }
}

/// What is read of a registry's answer.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "dist-tags", default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    versions: BTreeMap<String, DocumentVersion>,
}

#[derive(Deserialize)]
struct DocumentVersion {
    #[serde(default)]
    dist: DocumentDist,
    /// Mostly a text that says why.
    #[serde(default)]
    deprecated: serde_json::Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct DocumentDist {
    tarball: String,
    integrity: Option<String>,
}

impl DocumentVersion {
    fn offered(self, version: Version) -> OfferedVersion {
        use serde_json::Value;
        let integrity = self.dist.integrity.and_then(|text| text.parse().ok());
        let deprecated = !matches!(self.deprecated, Value::Null | Value::Bool(false));
        OfferedVersion { version, tarball: self.dist.tarball, integrity, deprecated }
    }
}

impl From<Document> for Offer {
    fn from(document: Document) -> Self {
        let tags = document.tags.into_iter().filter_map(|(tag, version)| Some((tag, version.parse().ok()?))).collect();
        let offered = |(version, said): (String, DocumentVersion)| Some(said.offered(version.parse().ok()?));
        let mut versions: Vec<_> = document.versions.into_iter().filter_map(offered).collect();
        versions.sort_by(|a, b| a.version.cmp(&b.version));
        Self { tags, versions }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn offer() -> Offer {
        let version = |deprecated| json!({"dist": {"tarball": "https://r/x.tgz"}, "deprecated": deprecated});
        let document = json!({"dist-tags": {"latest": "2.1.0", "next": "3.0.0-rc.1", "odd": "x"}, "versions": {
            "1.9.0": version(json!(null)), "1.10.0": version(json!(null)), "1.11.0": version(json!("broken")),
            "2.0.0": {}, "2.1.0": version(json!(false)), "2.2.0": version(json!(null)), "3.0.0-rc.1": {}, "odd": {}}});
        serde_json::from_value::<Document>(document).unwrap().into()
    }

    #[test]
    fn a_requirement_means_a_version() {
        for (requirement, version) in [
            ("*", Some("2.1.0")),
            ("latest", Some("2.1.0")),
            ("next", Some("3.0.0-rc.1")),
            ("^2", Some("2.1.0")),
            (">=2.1.1", Some("2.2.0")),
            ("1", Some("1.10.0")),
            ("1.11", Some("1.11.0")),
            ("3", None),
            ("odd", None),
            ("^4 || 1.9.0", Some("1.9.0")),
        ] {
            assert_eq!(offer().version(requirement).map(ToString::to_string).as_deref(), version, "{requirement}");
        }
    }

    #[test]
    fn addresses_of_registries_are_plain() {
        assert_eq!("off".parse::<RegistryChoice>().unwrap(), RegistryChoice::Off);
        for text in ["https://registry.example.com", "http://127.0.0.1:4873/npm/"] {
            assert!(matches!(text.parse(), Ok(RegistryChoice::At(_))), "{text}");
        }
        for text in ["", "on", "ftp://a", "https://user:pass@a/", "https://a/?x=y", "/npm", "https://"] {
            assert!(text.parse::<RegistryChoice>().is_err(), "{text}");
        }
    }

    #[test]
    fn tarballs_are_where_the_registry_says_or_where_they_usually_are() {
        let RegistryChoice::At(address) = "https://mirror.example.com/npm/".parse().unwrap() else { unreachable!() };
        let registry = Registry::new(address, b"", &[]).unwrap();
        let release = Release { name: "@a/b".to_owned(), version: "1.9.0".parse().unwrap() };
        let usual = registry.usual_tarball(&release).unwrap();
        assert_eq!(usual, "https://mirror.example.com/npm/@a/b/-/b-1.9.0.tgz");
        assert_eq!(registry.said_tarball(&offer(), &release).unwrap(), "https://r/x.tgz");
        let public = json!({"versions": {"1.9.0": {"dist": {"tarball": "https://registry.npmjs.org/b/-/b.tgz"}}}});
        let public = serde_json::from_value::<Document>(public).unwrap().into();
        assert_eq!(registry.said_tarball(&public, &release).unwrap(), "https://mirror.example.com/npm/b/-/b.tgz");
    }
}
