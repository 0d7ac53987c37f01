//! GET requests to registries. The operator chose the registry, so its own address may be anywhere; whatever else it leads to must be
//! open to functions as well.

use std::io::Read as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HOST, LOCATION, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::bindings::egress::EgressPolicy;
use crate::bindings::fetch::Dialer;
use crate::tunables::{
    FETCH_HEAD_BYTES, REGISTRY_ATTEMPTS, REGISTRY_CONNECTIONS, REGISTRY_REDIRECTS, REGISTRY_REQUEST_TIME,
};

/// How requests to registries are named.
const CLIENT_NAME: HeaderValue = HeaderValue::from_static(concat!("caddis/", env!("CARGO_PKG_VERSION")));

/// Why there is no answer. The texts are for whoever deploys.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("{0} could not be reached ({1})")]
    Unreachable(String, String),
    #[error("{0} broke off the connection")]
    BrokenOff(String),
    #[error("{0} took more than {seconds} seconds", seconds = .1.as_secs())]
    TimedOut(String, Duration),
    #[error("{0} answered with more than {1} bytes")]
    TooLarge(String, usize),
    #[error("{0} redirects to where it may not")]
    Redirect(String),
}

/// A response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Scheme and authority of a server.
type Origin = (Scheme, Authority);

/// A client with some idle connections.
pub(super) struct Client {
    dialer: Dialer,
    policy: EgressPolicy,
    idle: Mutex<Vec<(Origin, SendRequest<Empty<Bytes>>)>>,
    slots: Semaphore,
    /// For one request, redirects included.
    patience: Duration,
}

impl Client {
    /// Connects to where the policy allows.
    pub(super) fn new(dialer: Dialer, policy: EgressPolicy) -> Self {
        Self {
            dialer,
            policy,
            idle: Mutex::default(),
            slots: Semaphore::new(REGISTRY_CONNECTIONS),
            patience: REGISTRY_REQUEST_TIME,
        }
    }

    /// The whole response, of at most `limit` bytes. What fails on the way, or with a status that says to try again, is tried
    /// again. `accept` is the type that is wanted; a type of its own also allows the server to compress.
    pub(super) async fn get(&self, uri: &Uri, accept: Option<HeaderValue>, limit: usize) -> Result<Answer, NoAnswer> {
        let mut attempt = 1;
        loop {
            let answer = timeout(self.patience, self.follow(uri.clone(), accept.as_ref(), limit)).await;
            let again = match &answer {
                Ok(Ok(answer)) => answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS,
                Ok(Err(NoAnswer::Unreachable(..) | NoAnswer::BrokenOff(_))) => true,
                Ok(Err(_)) | Err(_) => false,
            };
            if !again || attempt >= REGISTRY_ATTEMPTS {
                return answer.unwrap_or_else(|_| Err(NoAnswer::TimedOut(server(uri), self.patience)));
            }
            attempt += 1;
        }
    }

    async fn follow(&self, mut uri: Uri, accept: Option<&HeaderValue>, limit: usize) -> Result<Answer, NoAnswer> {
        let _slot = self.slots.acquire().await;
        for _ in 0..=REGISTRY_REDIRECTS {
            let (response, sender) = self.send(&uri, accept).await?;
            if !response.status().is_redirection() {
                return self.receive(&uri, response, sender, limit).await;
            }
            uri = redirected(&uri, &response).ok_or_else(|| NoAnswer::Redirect(server(&uri)))?;
        }
        Err(NoAnswer::Redirect(server(&uri)))
    }

    /// Sends on a connection that is open still, or on a new one.
    async fn send(
        &self,
        uri: &Uri,
        accept: Option<&HeaderValue>,
    ) -> Result<(Response<Incoming>, SendRequest<Empty<Bytes>>), NoAnswer> {
        while let Some(mut sender) = self.take_idle(uri) {
            // The server may close it at any moment: then a new one is made.
            if let Ok(response) = sender.send_request(request(uri, accept)).await {
                return Ok((response, sender));
            }
        }
        let unreachable = |why: String| NoAnswer::Unreachable(server(uri), why);
        let connection = self.dialer.open(uri, &self.policy).await.map_err(|error| unreachable(error.to_string()))?;
        let handshake = http1::Builder::new().max_header_size(FETCH_HEAD_BYTES).handshake(TokioIo::new(connection));
        let (mut sender, driver) = handshake.await.map_err(|error| unreachable(error.to_string()))?;
        // It ends with the sender.
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "connection to a registry failed");
            }
        });
        let response = sender.send_request(request(uri, accept)).await.map_err(|error| {
            tracing::debug!(%error, "request to a registry failed");
            NoAnswer::BrokenOff(server(uri))
        })?;
        Ok((response, sender))
    }

    async fn receive(
        &self,
        uri: &Uri,
        response: Response<Incoming>,
        sender: SendRequest<Empty<Bytes>>,
        limit: usize,
    ) -> Result<Answer, NoAnswer> {
        let too_large = || NoAnswer::TooLarge(server(uri), limit);
        let status = response.status();
        let compressed = response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
        let mut incoming = response.into_body();
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|_| NoAnswer::BrokenOff(server(uri)))?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            if body.len() + data.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(data);
        }
        self.keep_idle(uri, sender);
        if !compressed {
            return Ok(Answer { status, body: body.freeze() });
        }
        let inflated = tokio::task::spawn_blocking(move || {
            let mut inflated = Vec::new();
            let read = MultiGzDecoder::new(&*body).take(limit as u64 + 1).read_to_end(&mut inflated);
            read.map(|_| inflated)
        });
        let inflated = inflated.await.ok().and_then(Result::ok).ok_or_else(|| NoAnswer::BrokenOff(server(uri)))?;
        if inflated.len() > limit { Err(too_large()) } else { Ok(Answer { status, body: inflated.into() }) }
    }

    fn take_idle(&self, uri: &Uri) -> Option<SendRequest<Empty<Bytes>>> {
        let origin = origin(uri)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, sender)| !sender.is_closed());
        let index = idle.iter().position(|(other, sender)| *other == origin && sender.is_ready())?;
        Some(idle.swap_remove(index).1)
    }

    fn keep_idle(&self, uri: &Uri, sender: SendRequest<Empty<Bytes>>) {
        let Some(origin) = origin(uri) else { return };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < REGISTRY_CONNECTIONS {
            idle.push((origin, sender));
        }
    }
}

fn request(uri: &Uri, accept: Option<&HeaderValue>) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    // A URI that has been dialled has an authority that is a header value, and a path or none.
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = path.into();
    let headers = request.headers_mut();
    if let Some(host) = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        headers.insert(HOST, host);
    }
    headers.insert(USER_AGENT, CLIENT_NAME);
    let (accept, encoding) = match accept {
        Some(accept) => (accept.clone(), "gzip"),
        None => (HeaderValue::from_static("*/*"), "identity"),
    };
    headers.insert(ACCEPT, accept);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    request
}

/// Where a redirect leads; never from an encrypted connection to another kind.
fn redirected(from: &Uri, response: &Response<Incoming>) -> Option<Uri> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let to = match location.strip_prefix('/') {
        Some(rest) if !rest.starts_with('/') => at(from, location)?,
        _ => location.parse().ok()?,
    };
    let encrypted = |uri: &Uri| uri.scheme() == Some(&Scheme::HTTPS);
    (encrypted(&to) || (to.scheme() == Some(&Scheme::HTTP) && !encrypted(from))).then_some(to)
}

/// The same server with another path.
pub(super) fn at(server: &Uri, path: &str) -> Option<Uri> {
    let mut parts = server.clone().into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn origin(uri: &Uri) -> Option<Origin> {
    Some((uri.scheme()?.clone(), uri.authority()?.clone()))
}

/// How messages call the server.
fn server(uri: &Uri) -> String {
    format!("the registry at {}", uri.authority().map_or("?", Authority::as_str))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

    async fn listener() -> (TcpListener, Uri) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        (listener, format!("http://{address}/a").parse().unwrap())
    }

    fn client(patience: Duration) -> Client {
        let open = EgressPolicy::new(vec!["127.0.0.1".parse().unwrap()]);
        Client { patience, ..Client::new(Dialer::new(b"").unwrap(), open) }
    }

    async fn read_head(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_never_comes_to_an_end_is_left() {
        for begun in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhell"] {
            let (listener, uri) = listener().await;
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(begun).await.unwrap();
                std::future::pending::<()>().await;
            });
            let left = client(Duration::from_millis(50)).get(&uri, None, 1000).await.unwrap_err();
            assert!(matches!(left, NoAnswer::TimedOut(..)), "{left}");
            server.abort();
        }
    }

    #[tokio::test]
    async fn connections_are_used_again_and_replaced_when_they_are_gone() {
        let (listener, uri) = listener().await;
        let server = tokio::spawn(async move {
            let (mut first, _) = listener.accept().await.unwrap();
            let head = read_head(&mut first).await;
            first.write_all(HELLO).await.unwrap();
            read_head(&mut first).await;
            first.write_all(HELLO).await.unwrap();
            drop(first);
            let (mut second, _) = listener.accept().await.unwrap();
            read_head(&mut second).await;
            second.write_all(HELLO).await.unwrap();
            head
        });
        let client = client(Duration::from_secs(30));
        for _ in 0..3 {
            assert_eq!(client.get(&uri, None, 1000).await.unwrap().body, "hello");
        }
        let head = server.await.unwrap();
        assert!(head.starts_with("GET /a HTTP/1.1\r\nhost: 127.0.0.1:"), "{head}");
    }

    #[tokio::test]
    async fn what_breaks_off_is_tried_again_but_not_for_ever() {
        let (listener, uri) = listener().await;
        tokio::spawn(async move {
            for answer in [&b""[..], HELLO, b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                read_head(&mut stream).await;
                stream.write_all(answer).await.unwrap();
                drop(stream);
            }
        });
        let patient = || client(Duration::from_secs(30));
        assert_eq!(patient().get(&uri, None, 1000).await.unwrap().body, "hello");
        let broken = patient().get(&uri, None, 1000).await.unwrap_err();
        assert!(matches!(broken, NoAnswer::BrokenOff(_)), "{broken}");
    }

    #[tokio::test]
    async fn the_body_has_a_limit_before_and_after_it_is_inflated() {
        for (head, body) in [
            ("", vec![b'x'; 101]),
            ("content-encoding: gzip\r\n", {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                std::io::Write::write_all(&mut encoder, &[b'x'; 101]).unwrap();
                encoder.finish().unwrap()
            }),
        ] {
            let (listener, uri) = listener().await;
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                read_head(&mut stream).await;
                let head = format!("HTTP/1.1 200 OK\r\n{head}content-length: {}\r\n\r\n", body.len());
                stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
            });
            let refused = client(Duration::from_secs(30)).get(&uri, None, 100).await.unwrap_err();
            assert!(matches!(refused, NoAnswer::TooLarge(_, 100)), "{refused}");
        }
    }
}
