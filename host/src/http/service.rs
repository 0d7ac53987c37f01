//! One request: to a function, or to the management API.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use futures::future::BoxFuture;
use http::header::{CONTENT_LENGTH, HOST, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::Semaphore;
use tower::ServiceExt;
use wasmtime_wasi_http::WasiBody;

use super::body::{AnyBody, BodyError, ResponseBody, incoming};
use super::cors::Cors;
use super::credential::{authenticate, is_host_credential, presented};
use super::headers::end_to_end;
use super::listener::Answers;
use super::rate::{Caller, Class, Limiter, Quota};
use super::respond;
use crate::auth::Identity;
use crate::auth::management::ManagementTokens;
use crate::deploy::find_app;
use crate::error::{Code, Error};
use crate::ids::{AppName, FunctionName};
use crate::invoke::{Answer, Call, Invoker, NoAnswer, Origin, Switchboard};
use crate::observe::metrics::CodeCounts;
use crate::observe::trace::TraceContext;
use crate::router::table::Table;
use crate::router::{Dialect, Route, route};
use crate::settings::cors::CorsSettings;

/// Widens what a service worker is for, up to the whole origin.
const SERVICE_WORKER_ALLOWED: HeaderName = HeaderName::from_static("service-worker-allowed");

/// Answers requests.
pub struct Service {
    /// Apps and their functions.
    pub table: Arc<Table>,
    /// Runs functions.
    pub invoker: Arc<Invoker>,
    /// The management API.
    pub management: Router,
    /// Who may manage, and so also call.
    pub tokens: Arc<ManagementTokens>,
    /// Places for WebSockets.
    pub streams: Arc<Semaphore>,
    /// Counts requests that do not come to an execution.
    pub refused: Arc<CodeCounts>,
    /// How often somebody may call.
    pub limiter: Arc<Limiter>,
    /// Largest body of a request to a function, in bytes.
    pub max_request_bytes: usize,
    /// Largest body of a function's response, in bytes.
    pub max_response_bytes: u64,
}

impl Answers for Service {
    async fn call(self: Arc<Self>, request: Request<Incoming>, peer: IpAddr) -> Result<Response<AnyBody>, Infallible> {
        // Its success would turn the connection into a tunnel.
        if request.method() == Method::CONNECT {
            return Ok(respond::error(&Error::new(Code::MethodNotAllowed, "CONNECT is not possible here")));
        }
        let path = request.uri().path().to_owned();
        match route(&path) {
            Ok(Route::Socket { app, language }) if is_websocket(&request) => {
                Ok(self.socket(app, language, request, peer).await)
            }
            Ok(Route::Invoke { dialect, app, function, rest }) => {
                let mut response = self.invoke(dialect, app, function, rest, request, peer).await;
                if dialect == Dialect::Supabase {
                    respond::mark_relay_error(&mut response);
                }
                Ok(response)
            }
            Ok(Route::Socket { .. } | Route::Manage) => self.manage(request).await,
            Err(error) => {
                let cors = Cors::decide(request.method(), request.headers(), None);
                let mut response = respond::error(&error.into());
                cors.finish(&mut response);
                Ok(response)
            }
        }
    }
}

impl Service {
    async fn manage(&self, request: Request<Incoming>) -> Result<Response<AnyBody>, Infallible> {
        let response = self.management.clone().oneshot(request.map(axum::body::Body::new)).await?;
        Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
    }

    async fn invoke(
        &self,
        dialect: Dialect,
        app: AppName,
        function: FunctionName,
        rest: &str,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Response<AnyBody> {
        let cors = Cors::decide(request.method(), request.headers(), self.cors_of(&app, &function));
        if let Some(answer) = cors.preflight() {
            return answer;
        }
        let origin = match dialect {
            // What has a body was made by no browser, and would hand it to a function that did not ask who calls.
            Dialect::Supabase if cors.is_preflight() && request.body().is_end_stream() => Origin::Preflight,
            _ => Origin::Client,
        };
        let mut response = self.arrived(app, function, rest, request, origin, peer).await;
        cors.finish(&mut response);
        response
    }

    fn cors_of(&self, app: &AppName, function: &FunctionName) -> Option<CorsSettings> {
        let app = self.table.app(app)?;
        let own = app.function(function).and_then(|function| function.version.settings.cors.clone());
        own.or_else(|| app.settings().cors.clone())
    }

    async fn arrived(
        &self,
        app: AppName,
        function: FunctionName,
        rest: &str,
        request: Request<Incoming>,
        origin: Origin,
        peer: IpAddr,
    ) -> Response<AnyBody> {
        let call = match self.call_of(&app, function.clone(), rest, request).await {
            Ok(call) => Call { origin, ..call },
            Err(error) => return self.refuse(&error, &function),
        };
        self.limited(call, peer).await
    }

    /// Answers a call, if its caller has not called too often.
    pub(super) async fn limited(&self, call: Call, peer: IpAddr) -> Response<AnyBody> {
        let function = call.function.clone();
        let (quota, admitted) = self.limit(&call, peer);
        let mut response = match admitted {
            Ok(()) => self.answer(call).await,
            Err(error) => self.refuse(&error, &function),
        };
        if let Some(quota) = quota {
            quota.tell(response.headers_mut());
        }
        response
    }

    /// Counts a call.
    fn limit(&self, call: &Call, peer: IpAddr) -> (Option<Quota>, Result<(), Error>) {
        let Some(function) = call.app.function(&call.function) else { return (None, Ok(())) };
        let by_address = || Caller::Address(self.limiter.address(peer, call.request.headers()));
        let (caller, of_the_token) = match &call.identity {
            Ok(Identity::Admin) => (Caller::Admin, None),
            Ok(Identity::Token(id)) => (Caller::Token(*id), self.tokens.rate_limit(*id)),
            Ok(Identity::ApiKey(id)) => (Caller::ApiKey(*id), None),
            Ok(Identity::User(user)) => (Caller::User(&call.app.name, &user.id), None),
            Ok(Identity::ServiceRole) => (Caller::App(&call.app.name), None),
            Ok(Identity::Anonymous | Identity::AnonKey) | Err(_) => (by_address(), None),
        };
        let class = Class::Invoke(function.version.id);
        let own = [of_the_token, function.version.settings.rate_limit, call.app.settings().rate_limits.invoke];
        self.limiter.admit(class, &caller, own)
    }

    async fn answer(&self, call: Call) -> Response<AnyBody> {
        let function = call.function.clone();
        match self.invoker.invoke(call).await {
            Ok(answer) => self.response(answer),
            Err(NoAnswer::Refused(error)) => self.refuse(&error, &function),
            Err(NoAnswer::Failed(id, failure)) => respond::failed(failure.code, &failure.message, &function, id),
        }
    }

    fn refuse(&self, error: &Error, function: &FunctionName) -> Response<AnyBody> {
        self.refused.count(error.code);
        respond::refused(error, function)
    }

    async fn call_of(
        &self,
        app: &AppName,
        function: FunctionName,
        rest: &str,
        request: Request<Incoming>,
    ) -> Result<Call, Error> {
        let app = find_app(&self.table, app)?;
        let announced = request.body().size_hint().lower();
        if announced > self.max_request_bytes as u64 {
            let limit = self.max_request_bytes;
            return Err(Error::new(
                Code::TooLarge,
                format!("the body must have at most {limit} bytes, it has {announced}"),
            ));
        }
        let (head, body) = request.into_parts();
        let identity = authenticate(presented(&head.headers).as_deref(), &app, &self.tokens).await;
        let authority = authority(&head.uri, &head.headers)?;
        let url = absolute(&authority, head.uri.path_and_query().cloned())?;
        let (body, arrival) = incoming(body, self.max_request_bytes);
        let mut below = Request::new(body);
        *below.method_mut() = head.method;
        *below.uri_mut() = absolute(&authority, Some(path_below(rest, head.uri.query())?))?;
        let withheld = |name: &_, value: &_| is_host_credential(name, value, &app, &self.tokens);
        *below.headers_mut() = end_to_end(&head.headers, withheld);
        if head.uri.authority().is_some() {
            // The target's authority stands for whatever Host says (RFC 9112, section 3.2.2).
            below.headers_mut().insert(HOST, HeaderValue::try_from(authority.as_str()).map_err(Error::internal)?);
        }
        let (origin, trace) = (Origin::Client, TraceContext::continued(below.headers()));
        Ok(Call { app, function, identity, url: url.to_string(), request: below, arrival, origin, trace })
    }

    fn response(&self, answer: Answer) -> Response<AnyBody> {
        let Answer { execution, response, cancel, completion, delivery } = answer;
        let (mut head, body) = response.into_parts();
        // A worker for more than the paths below itself would stand between browsers and the functions of others.
        head.headers = end_to_end(&head.headers, |name, _| name == SERVICE_WORKER_ALLOWED);
        let announced = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = ResponseBody::new(body, announced, self.max_response_bytes, completion, cancel, delivery);
        let mut response = Response::from_parts(head, body.boxed_unsync());
        respond::identify(&mut response, execution);
        response
    }
}

impl Switchboard for Service {
    fn connect(self: Arc<Self>, call: Call) -> BoxFuture<'static, Response<WasiBody>> {
        let broken = |error: BodyError| wasmtime_wasi_http::Error::InternalError(Some(error.to_string()));
        Box::pin(async move { self.answer(call).await.map(|body| body.map_err(broken).boxed_unsync()) })
    }
}

/// Whether a client asks for a WebSocket (RFC 6455, section 4.1).
fn is_websocket<B>(request: &Request<B>) -> bool {
    request.headers().get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

pub(super) fn authority(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Error> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none());
    let host = || host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    // User information in it would be a credential or a disguise (RFC 9110, section 4.2.4).
    let authority = uri.authority().cloned().or_else(host).filter(|authority| !authority.as_str().contains('@'));
    authority.ok_or_else(|| Error::invalid("the request needs one valid Host header (RFC 9112, section 3.2)"))
}

pub(super) fn absolute(authority: &Authority, path: Option<PathAndQuery>) -> Result<Uri, Error> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority.clone());
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    Uri::from_parts(parts).map_err(|error| Error::invalid(format!("the request's URI is not valid: {error}")))
}

fn path_below(rest: &str, query: Option<&str>) -> Result<PathAndQuery, Error> {
    let path = if rest.is_empty() { "/" } else { rest };
    let text = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    PathAndQuery::try_from(text).map_err(|error| Error::invalid(format!("the request's URI is not valid: {error}")))
}
