//! Outgoing HTTP for guests, behind `wasi:http`: what a request may say, how many there may be, and how it is sent.
//!
//! Nothing of a request but its checked URI decides where it goes: the `Host` header is made from the authority, the
//! request line holds a path only, no proxy is used, and redirects are the guest's to follow, so that each one passes
//! the same checks. `dial` makes the connection.
//!
//! Every request has a connection of its own. A pool would have to keep apart apps, checked addresses and TLS names, or
//! one tenant's request would travel on what another tenant opened.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi_http::p2::bindings::http::types as p2;
use wasmtime_wasi_http::p3::bindings::http::types as p3;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, Result, WasiBody, WasiHttpHooks,
};

use crate::bindings::egress::{AllowRule, EgressPolicy};
use crate::ids::FunctionName;
use crate::observe::trace::TraceContext;
use crate::settings::hosts::AllowedHost;
use crate::tunables::{
    BODY_CHUNK_BYTES, FETCH_BETWEEN_BYTES_TIMEOUT, FETCH_CONNECT_TIMEOUT, FETCH_FIRST_BYTE_TIMEOUT, FETCH_HEAD_BYTES,
    OPEN_SUBREQUESTS, SUBREQUESTS,
};

mod body;
mod dial;
mod errors;
mod siblings;
mod target;
#[cfg(test)]
mod tests;

pub use dial::{Dialer, InvalidRoots, Resolve};
pub use siblings::{FUNCTIONS_HOST, Siblings};

use target::Target;

/// How a request is named when the guest does not name itself.
const DEFAULT_USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("caddis/", env!("CARGO_PKG_VERSION")));

/// Headers about one connection rather than about the request, on top of those wasmtime forbids.
const MORE_FORBIDDEN_HEADERS: [HeaderName; 2] = [TE, TRAILER];

/// Where proxies say for whom they ask.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Resolves to how the transfer of a body ended.
type Transfer = Box<dyn Future<Output = Result<()>> + Send>;

/// The outgoing side of `wasi:http` for one execution.
///
/// At most `SUBREQUESTS` requests are sent, refused ones included; the next fail with `connection-limit-reached`. At
/// most `OPEN_SUBREQUESTS` are open at once, which is until the body of the response has ended or is dropped; more wait.
pub struct Fetch {
    dialer: Arc<Dialer>,
    policy: Arc<EgressPolicy>,
    allow_net: bool,
    own_host: Option<SocketAddr>,
    /// None listed: all.
    allowed_hosts: Vec<AllowedHost>,
    trace: Option<TraceContext>,
    siblings: Option<Box<dyn Siblings>>,
    remaining: u32,
    slots: Arc<Semaphore>,
}

/// A request that may be sent.
struct Admitted {
    target: Target,
    policy: Arc<EgressPolicy>,
    /// Whether it goes to the very host the guest is on.
    to_own_host: bool,
}

impl Fetch {
    /// The state of a new execution. Without `allow_net` every request fails with `HTTP-request-denied`, but those to other functions of
    /// the app, if it may call some.
    pub fn new(
        dialer: Arc<Dialer>,
        policy: Arc<EgressPolicy>,
        allow_net: bool,
        siblings: Option<Box<dyn Siblings>>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(OPEN_SUBREQUESTS));
        Self {
            dialer,
            policy,
            allow_net,
            own_host: None,
            allowed_hosts: Vec::new(),
            trace: None,
            siblings,
            remaining: SUBREQUESTS,
            slots,
        }
    }

    /// Opens what apps have of the host that listens here, and nothing else of it.
    pub fn with_own_host(self, own_host: Option<SocketAddr>) -> Self {
        Self { own_host, ..self }
    }

    /// Closes all hosts but these, if there are any.
    pub fn only_to(self, allowed_hosts: Vec<AllowedHost>) -> Self {
        Self { allowed_hosts, ..self }
    }

    /// Has requests name the trace they belong to.
    pub fn in_trace(self, trace: Option<TraceContext>) -> Self {
        Self { trace, ..self }
    }

    fn count(&mut self) -> Result<()> {
        self.remaining = self.remaining.checked_sub(1).ok_or(Error::ConnectionLimitReached)?;
        Ok(())
    }

    /// Counts a request to another function, and makes it one to what is below that function's name.
    fn sibling(
        &mut self,
        addressed: Result<(FunctionName, Uri)>,
        mut request: Request<WasiBody>,
    ) -> Result<BoxFuture<'static, Result<Response<WasiBody>>>> {
        self.count()?;
        let (function, below) = addressed?;
        let siblings = self.siblings.as_ref().ok_or(Error::HttpRequestDenied)?;
        set_headers(request.headers_mut(), HeaderValue::from_static(FUNCTIONS_HOST));
        let url = std::mem::replace(request.uri_mut(), below).to_string();
        Ok(siblings.call(function, url, request))
    }

    /// Counts the request and checks all that can be checked without resolving its name.
    fn admit(&mut self, method: &Method, uri: &Uri) -> Result<Admitted> {
        if !self.allow_net {
            return Err(Error::HttpRequestDenied);
        }
        self.count()?;
        // A tunnel would carry whatever the guest likes past these checks.
        if *method == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let target = Target::of(uri)?;
        let is_allowed = |allowed: &AllowedHost| allowed.allows(&target.host, target.port);
        if !self.allowed_hosts.is_empty() && !self.allowed_hosts.iter().any(is_allowed) {
            return Err(Error::HttpRequestDenied);
        }
        if let Some(own_host) = self.own_host.filter(|own_host| target.is_project_of(*own_host)) {
            let policy = Arc::new(EgressPolicy::new(vec![AllowRule::Socket(own_host)]));
            return Ok(Admitted { target, policy, to_own_host: true });
        }
        self.policy.check_name(&target.host, target.port).map_err(|denied| {
            tracing::debug!(%denied, "outgoing request denied");
            Error::HttpRequestDenied
        })?;
        Ok(Admitted { target, policy: self.policy.clone(), to_own_host: false })
    }
}

impl WasiHttpHooks for Fetch {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_forbidden)
    }

    fn set_host_header(&mut self) -> bool {
        // `rewrite` does, from the checked authority.
        false
    }

    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _received: Transfer,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transfer)>> + Send> {
        if let Some(trace) = &self.trace {
            trace.put(request.headers_mut());
        }
        if let Some(addressed) = siblings::addressed(request.uri()) {
            let (answer, slots) = (self.sibling(addressed, request), self.slots.clone());
            return Box::new(async move {
                let answer = answer?;
                let _slot = slots.acquire_owned().await.map_err(|_| Error::ConnectionLimitReached)?;
                let transfer: Transfer = Box::new(std::future::ready(Ok(())));
                Ok((answer.await?, transfer))
            });
        }
        let admitted = self.admit(request.method(), request.uri());
        let timeouts = Timeouts::from(options.unwrap_or_default());
        let (dialer, slots) = (self.dialer.clone(), self.slots.clone());
        Box::new(async move {
            let Admitted { target, policy, to_own_host } = admitted?;
            if to_own_host {
                // The host may believe a proxy beside it whose requests it passes on; a guest is none.
                request.headers_mut().remove(FORWARDED_FOR);
            }
            let slot = slots.acquire_owned().await.map_err(|_| Error::ConnectionLimitReached)?;
            let connection = dialer.connect(&target, &policy, timeouts.connect).await?;
            let response = exchange(connection, rewrite(request, target), timeouts, slot).await?;
            // What goes wrong later shows in the body of the response.
            let transfer: Transfer = Box::new(std::future::ready(Ok(())));
            Ok((response, transfer))
        })
    }

    // What a slow reader makes the host hold is a few of these.
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }

    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> p2::ErrorCode {
        errors::p2_code(errors::from_hyper(error))
    }

    fn p2_error_from_connect(&mut self, error: &std::io::Error) -> p2::ErrorCode {
        errors::p2_code(errors::from_connect(error))
    }

    fn p2_error_from_tls(&mut self, error: &std::io::Error) -> p2::ErrorCode {
        errors::p2_code(errors::from_tls(error))
    }

    fn p3_error_from_hyper(&mut self, error: &hyper::Error) -> p3::ErrorCode {
        errors::p3_code(errors::from_hyper(error))
    }

    fn p3_error_from_connect(&mut self, error: &std::io::Error) -> p3::ErrorCode {
        errors::p3_code(errors::from_connect(error))
    }

    fn p3_error_from_tls(&mut self, error: &std::io::Error) -> p3::ErrorCode {
        errors::p3_code(errors::from_tls(error))
    }
}

/// How long each phase of a request may take.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl From<RequestOptions> for Timeouts {
    fn from(options: RequestOptions) -> Self {
        let choose = |wanted: Option<Duration>, default| wanted.unwrap_or(default).min(FETCH_FIRST_BYTE_TIMEOUT);
        Self {
            connect: choose(options.connect_timeout, FETCH_CONNECT_TIMEOUT),
            first_byte: choose(options.first_byte_timeout, FETCH_FIRST_BYTE_TIMEOUT),
            between_bytes: choose(options.between_bytes_timeout, FETCH_BETWEEN_BYTES_TIMEOUT),
        }
    }
}

fn is_forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name) || MORE_FORBIDDEN_HEADERS.contains(name)
}

/// The request as it goes on the wire.
fn rewrite(request: Request<WasiBody>, target: Target) -> Request<body::NonEmptyFrames> {
    let (mut parts, body) = request.into_parts();
    parts.uri = target.path;
    parts.version = Version::HTTP_11;
    set_headers(&mut parts.headers, target.authority);
    Request::from_parts(parts, body::NonEmptyFrames(body))
}

fn set_headers(headers: &mut HeaderMap, authority: HeaderValue) {
    for name in DEFAULT_FORBIDDEN_HEADERS.iter().chain(&MORE_FORBIDDEN_HEADERS) {
        headers.remove(name);
    }
    headers.insert(HOST, authority);
    headers.entry(USER_AGENT).or_insert(DEFAULT_USER_AGENT);
}

/// Sends the request and waits for the head of its response. The connection, and `slot` with it, live in a task of
/// their own, because a guest may still be writing its body while it reads the response; the task ends when both are
/// done, or when the returned body is dropped.
async fn exchange(
    connection: Box<dyn dial::Connection>,
    request: Request<body::NonEmptyFrames>,
    timeouts: Timeouts,
    slot: OwnedSemaphorePermit,
) -> Result<Response<WasiBody>> {
    let (mut sender, driver) = http1::Builder::new()
        .max_header_size(FETCH_HEAD_BYTES)
        .max_buf_size(FETCH_HEAD_BYTES)
        .handshake(TokioIo::new(connection))
        .await
        .map_err(|error| errors::from_hyper(&error))?;
    let driver = wasmtime_wasi::runtime::spawn(async move {
        let _slot = slot;
        if let Err(error) = driver.await {
            tracing::debug!(%error, "connection of an outgoing request failed");
        }
    });
    let response = tokio::time::timeout(timeouts.first_byte, sender.send_request(request))
        .await
        .map_err(|_| Error::ConnectionReadTimeout)?
        .map_err(|error| errors::from_hyper(&error))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::HttpUpgradeFailed);
    }
    Ok(response.map(|incoming| body::ResponseBody::new(incoming, driver, timeouts.between_bytes).boxed_unsync()))
}
