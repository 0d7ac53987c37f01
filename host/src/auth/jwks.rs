//! Keys that issuers publish at a URL: fetched once for everybody who waits, kept, and fetched again when they are old or a token
//! names one that is not among them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::jwt::{InvalidToken, Presented};
use super::keys::{KeySet, PublicKey};
use crate::bindings::egress::EgressPolicy;
use crate::bindings::fetch::Dialer;
use crate::tunables::{
    FETCH_HEAD_BYTES, JWKS_AGE_MAX, JWKS_BYTES, JWKS_FETCH_TIME, JWKS_REFRESH, JWKS_REFRESH_FOR_UNKNOWN, JWKS_RETRY,
};

/// How the host calls itself there.
const CLIENT_NAME: HeaderValue = HeaderValue::from_static(concat!("caddis/", env!("CARGO_PKG_VERSION")));

/// Why there are no keys. The texts are for whoever configures the URL.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// No connection, or it is not allowed.
    #[error("it cannot be reached ({0}); functions' rules for outgoing requests hold for it")]
    Unreachable(String),
    /// Broken off on the way.
    #[error("the connection broke off")]
    BrokenOff,
    /// Not in time.
    #[error("it took more than {} seconds", JWKS_FETCH_TIME.as_secs())]
    TimedOut,
    /// Another status than 200: redirects are not followed.
    #[error("it answered with status {}", .0.as_u16())]
    Status(StatusCode),
    /// Too much.
    #[error("it answered with more than {JWKS_BYTES} bytes")]
    TooLarge,
    /// Not what it should be.
    #[error("it is no JWK set with a key for RS256, ES256 or EdDSA signatures")]
    NoKeys,
}

/// How long what is good, so that tests need not wait.
#[derive(Debug, Clone, Copy)]
struct Times {
    refresh: Duration,
    age_max: Duration,
    for_unknown: Duration,
    retry: Duration,
    fetch: Duration,
}

const TIMES: Times = Times {
    refresh: JWKS_REFRESH,
    age_max: JWKS_AGE_MAX,
    for_unknown: JWKS_REFRESH_FOR_UNKNOWN,
    retry: JWKS_RETRY,
    fetch: JWKS_FETCH_TIME,
};

/// The keys of one URL.
pub struct RemoteKeys {
    url: Uri,
    dialer: Arc<Dialer>,
    policy: Arc<EgressPolicy>,
    times: Times,
    fetched: ArcSwapOption<Fetched>,
    /// Held while somebody fetches: all others wait for what comes of it.
    attempts: Mutex<Attempts>,
}

struct Fetched {
    keys: KeySet,
    at: Instant,
}

#[derive(Default)]
struct Attempts {
    failed: Option<Instant>,
    for_unknown: Option<Instant>,
}

/// What keys are fetched for.
#[derive(Clone, Copy, PartialEq)]
enum Reason {
    /// There are none, or they are old.
    Age,
    /// A token names one that is not there.
    Unknown,
}

impl RemoteKeys {
    /// The keys at this URL, as far as the policy opens it. Nothing is fetched yet.
    pub fn new(url: Uri, dialer: Arc<Dialer>, policy: Arc<EgressPolicy>) -> Self {
        Self { url, dialer, policy, times: TIMES, fetched: ArcSwapOption::empty(), attempts: Mutex::default() }
    }

    /// Fetches the keys now, whatever is known.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(&self) -> Result<(), FetchError> {
        let keys = match timeout(self.times.fetch, self.get()).await {
            Ok(body) => KeySet::from_jwks(&body?).ok_or(FetchError::NoKeys)?,
            Err(_) => return Err(FetchError::TimedOut),
        };
        self.fetched.store(Some(Arc::new(Fetched { keys, at: Instant::now() })));
        Ok(())
    }

    /// Fetches the keys before anybody needs them.
    pub(super) fn fetch_ahead(self: &Arc<Self>) {
        drop(self.spawn_fetch(Reason::Age, None));
    }

    /// The key of a token.
    pub(super) async fn find(self: &Arc<Self>, token: &Presented<'_>) -> Result<PublicKey, InvalidToken> {
        let known = self.fetched.load_full().filter(|fetched| fetched.at.elapsed() < self.times.age_max);
        let Some(known) = known else {
            let seen = self.fetched.load().as_ref().map(|fetched| fetched.at);
            self.fetch_together(Reason::Age, seen).await;
            let fetched = self.fetched.load_full().filter(|fetched| fetched.at.elapsed() < self.times.age_max);
            return fetched.ok_or(InvalidToken::KeysUnavailable)?.keys.find(token).cloned();
        };
        let nobody_fetches = || self.attempts.try_lock().is_ok_and(|attempts| self.may_fetch(&attempts, Reason::Age));
        if known.at.elapsed() > self.times.refresh && nobody_fetches() {
            // Not awaited: this request has keys to go on with.
            drop(self.spawn_fetch(Reason::Age, Some(known.at)));
        }
        match known.keys.find(token) {
            Err(InvalidToken::UnknownKey) => {
                self.fetch_together(Reason::Unknown, Some(known.at)).await;
                self.fetched.load_full().ok_or(InvalidToken::KeysUnavailable)?.keys.find(token).cloned()
            }
            found => found.cloned(),
        }
    }

    async fn fetch_together(self: &Arc<Self>, reason: Reason, seen: Option<Instant>) {
        let _ = self.spawn_fetch(reason, seen).await;
    }

    /// In a task of its own, so that a caller who goes away takes nothing from the others.
    fn spawn_fetch(self: &Arc<Self>, reason: Reason, seen: Option<Instant>) -> tokio::task::JoinHandle<()> {
        let keys = Arc::clone(self);
        tokio::spawn(async move { keys.fetch_if_due(reason, seen).await })
    }

    /// Fetches, unless somebody has since these keys were `seen`, or not long enough ago.
    async fn fetch_if_due(&self, reason: Reason, seen: Option<Instant>) {
        let mut attempts = self.attempts.lock().await;
        let replaced = self.fetched.load().as_ref().map(|fetched| fetched.at) != seen;
        if replaced || !self.may_fetch(&attempts, reason) {
            return;
        }
        if reason == Reason::Unknown {
            attempts.for_unknown = Some(Instant::now());
        }
        attempts.failed = None;
        if let Err(error) = self.fetch().await {
            attempts.failed = Some(Instant::now());
            tracing::warn!(url = %self.url, %error, "the keys of an issuer could not be fetched");
        }
    }

    fn may_fetch(&self, attempts: &Attempts, reason: Reason) -> bool {
        let recently = |at: Option<Instant>, pause: Duration| at.is_some_and(|at| at.elapsed() < pause);
        let asked = reason == Reason::Unknown && recently(attempts.for_unknown, self.times.for_unknown);
        !asked && !recently(attempts.failed, self.times.retry)
    }

    async fn get(&self) -> Result<Bytes, FetchError> {
        let connection = self.dialer.open(&self.url, &self.policy).await;
        let connection = connection.map_err(|error| FetchError::Unreachable(error.to_string()))?;
        let handshake = http1::Builder::new().max_header_size(FETCH_HEAD_BYTES).handshake(TokioIo::new(connection));
        let (mut sender, driver) = handshake.await.map_err(|_| FetchError::BrokenOff)?;
        // It ends with the sender.
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "connection for the keys of an issuer");
            }
        });
        let response = sender.send_request(self.request()).await.map_err(|_| FetchError::BrokenOff)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut incoming = response.into_body();
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|_| FetchError::BrokenOff)?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            if body.len() + data.len() > JWKS_BYTES {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(data);
        }
        Ok(body.freeze())
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        let path = self.url.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = path.into();
        let headers = request.headers_mut();
        let authority = self.url.authority().map(Authority::as_str);
        if let Some(host) = authority.and_then(|authority| HeaderValue::from_str(authority).ok()) {
            headers.insert(HOST, host);
        }
        headers.insert(USER_AGENT, CLIENT_NAME);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json"));
        request
    }
}

#[cfg(test)]
mod tests;
