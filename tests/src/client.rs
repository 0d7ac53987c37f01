//! A small HTTP client that hides nothing: one connection for each call unless a test keeps one, no retries, no redirects.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Channel, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::guests::Guest;
use crate::{eventually, within_patience};

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// Where and as whom to call.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    token: Option<String>,
    app: Option<String>,
}

impl Client {
    /// Without a token, in the default app.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, token: None, app: None }
    }

    /// With this token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// In this app.
    pub fn in_app(&self, app: &str) -> Self {
        Self { app: Some(app.to_owned()), ..self.clone() }
    }

    /// Any call. `target` is sent as it is.
    pub fn call(&self, method: Method, target: &str) -> Call {
        let call = Call::new(self.address, method, target);
        match &self.token {
            Some(token) => call.bearer(token),
            None => call,
        }
    }

    /// A call to the management API; `path` is what follows the prefix of the app: `/functions`.
    pub fn manage(&self, method: Method, path: &str) -> Call {
        match &self.app {
            None => self.call(method, &format!("/api/v1{path}")),
            Some(app) => self.call(method, &format!("/v1/{app}{path}")),
        }
    }

    /// A call to a function; `path` is what follows its name: `/notes/7?full=1`.
    pub fn invoke(&self, method: Method, function: &str, path: &str) -> Call {
        match &self.app {
            None => self.call(method, &format!("/functions/v1/{function}{path}")),
            Some(app) => self.call(method, &format!("/v1/{app}/fn/{function}{path}")),
        }
    }

    /// Gets a page of a function.
    pub async fn get(&self, function: &str, path: &str) -> Reply {
        self.invoke(Method::GET, function, path).send().await
    }

    /// Posts JSON to a page of a function.
    pub async fn post(&self, function: &str, path: &str, body: &Value) -> Reply {
        self.invoke(Method::POST, function, path).json(body).send().await
    }

    /// Uploads a component that everybody may call, with these further settings: `timeout_seconds=1&fuel=100000`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn put_component(&self, function: &str, guest: Guest, settings: &str) -> Value {
        self.upload(function, guest.bytes(), &format!("access=public&{settings}"))
            .await
            .expect_either(StatusCode::CREATED, StatusCode::OK)
            .json()
    }

    /// Uploads bytes as a component, with these settings and no other.
    pub async fn upload(&self, function: &str, bytes: Vec<u8>, settings: &str) -> Reply {
        self.manage(Method::PUT, &format!("/functions/{function}?{settings}"))
            .header("content-type", "application/wasm")
            .body(bytes)
            .send()
            .await
    }

    /// Changes the settings of a function.
    pub async fn change(&self, function: &str, settings: &Value) -> Reply {
        self.manage(Method::PUT, &format!("/functions/{function}")).json(settings).send().await
    }

    /// The newest executions of a function; `query` as in the API: `limit=5&status=error`.
    ///
    /// # Panics
    /// When they are refused.
    pub async fn executions(&self, function: &str, query: &str) -> Vec<Value> {
        let path = format!("/functions/{function}/executions?{query}");
        let reply = self.manage(Method::GET, &path).send().await.expect(StatusCode::OK);
        reply.json().as_array().expect("executions are an array").clone()
    }

    /// The record of one execution, which is written a little after the response.
    ///
    /// # Panics
    /// When it does not appear.
    pub async fn execution(&self, function: &str, reply: &Reply) -> Value {
        let id = reply.execution_id();
        eventually("the record of an execution", async || {
            self.executions(function, "limit=1000").await.into_iter().find(|record| record["id"] == id.as_str())
        })
        .await
    }

    /// Sets secrets.
    ///
    /// # Panics
    /// When they are refused.
    pub async fn set_secrets(&self, secrets: Value) {
        self.manage(Method::PUT, "/secrets").json(&secrets).send().await.expect(StatusCode::OK);
    }

    /// Creates an app and returns a client in it with the same token.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn create_app(&self, name: &str) -> Self {
        self.call(Method::POST, "/api/v1/apps").json(&json!({ "name": name })).send().await.expect(StatusCode::CREATED);
        self.in_app(name)
    }

    /// A token for a user of the app with these claims.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn user_token(&self, claims: Value) -> String {
        let reply = self.manage(Method::POST, "/user-tokens").json(&claims).send().await.expect(StatusCode::CREATED);
        reply.json()["token"].as_str().expect("a token").to_owned()
    }

    /// A connection that is kept for many calls.
    pub async fn session(&self) -> Session {
        Session::open(self.address).await
    }
}

/// A call that has not been made yet.
#[derive(Debug)]
#[must_use]
pub struct Call {
    address: SocketAddr,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Body,
}

impl Call {
    fn new(address: SocketAddr, method: Method, target: &str) -> Self {
        let host = HeaderValue::from_str(&address.to_string()).expect("an address is a header value");
        Self {
            address,
            method,
            target: target.to_owned(),
            headers: HeaderMap::from_iter([(HOST, host)]),
            body: Empty::new().boxed_unsync(),
        }
    }

    /// With one more header field.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        self.headers.append(name, HeaderValue::from_bytes(value.as_ref()).expect("a header value"));
        self
    }

    /// With this token.
    pub fn bearer(mut self, token: &str) -> Self {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a token is a header value");
        self.headers.insert(AUTHORIZATION, value);
        self
    }

    /// With this body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Full::new(body.into()).boxed_unsync();
        self
    }

    /// With this JSON.
    pub fn json(mut self, body: &Value) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body(body.to_string())
    }

    /// With a body that the test sends piece by piece, in chunks.
    pub fn pieces(mut self) -> (Self, Pieces) {
        let (sender, body) = Channel::new(1);
        self.body = body.boxed_unsync();
        (self, Pieces(sender))
    }

    /// Makes the call and reads the whole response.
    pub async fn send(self) -> Reply {
        within_patience("a response", async { self.start().await.whole().await.expect("the response is complete") })
            .await
    }

    /// Makes the call and returns as soon as the head of the response is there.
    pub async fn start(self) -> Streaming {
        let mut session = Session::open(self.address).await;
        session.start(self).await.expect("the server answers")
    }

    /// Makes the call where the server may go away before it answers.
    pub async fn try_send(self) -> Option<Reply> {
        let address = self.address;
        let mut session = Session::try_open(address).await?;
        session.start(self).await.ok()?.whole().await.ok()
    }

    fn into_request(self) -> Request<Body> {
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target.parse().expect("a target");
        *request.headers_mut() = self.headers;
        request
    }
}

/// The sending end of a body.
#[derive(Debug)]
pub struct Pieces(http_body_util::channel::Sender<Bytes, std::convert::Infallible>);

impl Pieces {
    /// Sends one piece.
    pub async fn send(&mut self, piece: impl Into<Bytes>) {
        self.0.send_data(piece.into()).await.expect("the connection is open");
    }

    /// Sends trailer fields, which ends the body.
    pub async fn trailers(mut self, trailers: HeaderMap) {
        self.0.send_trailers(trailers).await.expect("the connection is open");
    }
}

/// A kept connection.
#[derive(Debug)]
pub struct Session(SendRequest<Body>);

impl Session {
    async fn open(address: SocketAddr) -> Self {
        Self::try_open(address).await.expect("the server accepts connections")
    }

    async fn try_open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(Self(sender))
    }

    /// Makes a call on this connection and reads the whole response.
    pub async fn send(&mut self, call: Call) -> Reply {
        let response = self.start(call).await.expect("the server answers");
        response.whole().await.expect("the response is complete")
    }

    /// Makes a call on this connection.
    ///
    /// # Errors
    /// When the connection ends before there is a response.
    pub async fn start(&mut self, call: Call) -> hyper::Result<Streaming> {
        self.0.ready().await?;
        let (head, body) = self.0.send_request(call.into_request()).await?.into_parts();
        Ok(Streaming { status: head.status, headers: head.headers, body })
    }
}

/// A response whose body is still to be read.
#[derive(Debug)]
pub struct Streaming {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    body: Incoming,
}

impl Streaming {
    /// The next bytes, or none at the end.
    ///
    /// # Errors
    /// When the connection ends before the body does.
    pub async fn next(&mut self) -> Option<hyper::Result<Bytes>> {
        loop {
            match within_patience("the next bytes", self.body.frame()).await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(Ok(data)),
                    Err(_) => continue,
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Reads the rest.
    ///
    /// # Errors
    /// When the connection ends before the body does.
    pub async fn whole(self) -> hyper::Result<Reply> {
        let body = self.body.collect().await?.to_bytes();
        Ok(Reply { status: self.status, headers: self.headers, body })
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Reply {
    /// Itself, when it has this status.
    ///
    /// # Panics
    /// When it has another; the message shows the body.
    #[track_caller]
    pub fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    #[track_caller]
    fn expect_either(self, one: StatusCode, other: StatusCode) -> Self {
        if self.status == one { self } else { self.expect(other) }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {:?}", self.text()),
        }
    }

    /// The values of a header field, in order.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    }

    /// The execution that made it.
    ///
    /// # Panics
    /// When it does not say.
    #[track_caller]
    pub fn execution_id(&self) -> String {
        match self.header("caddis-execution-id")[..] {
            [id] => id.to_owned(),
            ref other => panic!("one execution id, not {other:?}"),
        }
    }
}
