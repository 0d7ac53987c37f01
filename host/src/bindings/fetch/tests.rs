//! Outgoing requests against real servers on loopback.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::poll_immediate;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, LOCATION, UPGRADE};
use http_body::Frame;
use http_body_util::{Empty, Full, StreamBody};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::*;

const PLAIN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers each lookup with the next entry, and counts them.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Vec<SocketAddr>>>,
    asked: Arc<AtomicUsize>,
}

impl Script {
    fn answers<const N: usize>(answers: [Vec<SocketAddr>; N]) -> Self {
        Self { answers: Mutex::new(answers.into()), asked: Arc::default() }
    }
}

#[async_trait]
impl Resolve for Script {
    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answers.lock().unwrap().pop_front().ok_or_else(|| io::Error::other("no such name"))
    }
}

fn fetch_with(dialer: Dialer, rules: &[&str]) -> Fetch {
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    Fetch::new(Arc::new(dialer), Arc::new(EgressPolicy::new(rules)), true, None)
}

fn fetch(rules: &[&str]) -> Fetch {
    fetch_with(Dialer::new(b"").unwrap(), rules)
}

fn loopback() -> Fetch {
    fetch(&["127.0.0.0/8"])
}

fn with_body<B>(uri: impl std::fmt::Display, body: B) -> Request<WasiBody>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let body = body.map_err(Error::from).boxed_unsync();
    Request::builder().uri(uri.to_string()).body(body).unwrap()
}

fn get(uri: impl std::fmt::Display) -> Request<WasiBody> {
    with_body(uri, Empty::new())
}

type Sending = Pin<Box<dyn Future<Output = Result<(Response<WasiBody>, Transfer)>> + Send>>;

fn start(fetch: &mut Fetch, request: Request<WasiBody>, options: RequestOptions) -> Sending {
    Box::into_pin(fetch.send_request(request, Some(options), Box::new(std::future::ready(Ok(())))))
}

async fn send(fetch: &mut Fetch, request: Request<WasiBody>) -> Result<Response<WasiBody>> {
    start(fetch, request, RequestOptions::default()).await.map(|(response, _)| response)
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A connection that was made would be in the backlog by the time the client knows how its attempt ended.
fn assert_untouched(listener: TcpListener) {
    let error = listener.into_std().unwrap().accept().expect_err("nobody connected");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(text).unwrap()
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    read_until(stream, "\r\n\r\n").await
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), response: &str) -> String {
    let head = read_head(stream).await;
    stream.write_all(response.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    head
}

/// A server that answers one request and hands over what it was asked.
async fn answer_once(response: impl Into<String>) -> (SocketAddr, oneshot::Receiver<String>) {
    let (listener, address) = listen().await;
    let (heard, asked) = oneshot::channel();
    let response = response.into();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        heard.send(answer(&mut stream, &response).await).unwrap();
    });
    (address, asked)
}

async fn text(response: Response<WasiBody>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

/// Waits until the other side has closed the connection.
async fn closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}

#[tokio::test]
async fn a_rule_opens_a_server_on_loopback() {
    let (address, asked) = answer_once(PLAIN).await;
    let response = send(&mut loopback(), get(format!("http://{address}/a/b?c=d"))).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, "ok");
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!("GET /a/b?c=d HTTP/1.1\r\nhost: {address}\r\nuser-agent: caddis/{version}\r\n\r\n");
    assert_eq!(asked.await.unwrap(), expected);
}

#[tokio::test]
async fn without_a_rule_no_spelling_of_loopback_is_connected_to() {
    let (listener, address) = listen().await;
    let port = address.port();
    let spellings =
        ["127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "2130706433", "0x7f.1", "017700000001", "127.1"];
    for host in spellings {
        let error = send(&mut fetch(&[]), get(format!("http://{host}:{port}/"))).await.err().unwrap();
        // A resolver may refuse an odd spelling; it must not open the way.
        assert!(matches!(error, Error::DestinationIpProhibited | Error::DnsError { .. }), "{host}: {error}");
    }
    for host in ["localhost", "LOCALHOST.", "a.localhost", "metadata.google.internal"] {
        let error = send(&mut fetch(&[]), get(format!("http://{host}:{port}/"))).await.err().unwrap();
        assert!(matches!(error, Error::HttpRequestDenied), "{host}: {error}");
    }
    assert_untouched(listener);
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_is_denied() {
    let (listener, address) = listen().await;
    let dialer = Dialer::with_resolver(b"", Script::answers([vec![address]])).unwrap();
    let error = send(&mut fetch_with(dialer, &[]), get("http://rebind.example/")).await.err().unwrap();
    assert!(matches!(error, Error::DestinationIpProhibited), "{error}");
    assert_untouched(listener);
}

#[tokio::test]
async fn a_name_is_resolved_once_and_only_what_was_checked_is_dialled() {
    let (listener, closed) = listen().await;
    let open_listener = TcpListener::bind(("127.0.0.2", closed.port())).await.unwrap();
    let open = open_listener.local_addr().unwrap();
    let script = Script::answers([vec![closed, open], vec![closed]]);
    let asked = script.asked.clone();
    let mut fetch = fetch_with(Dialer::with_resolver(b"", script).unwrap(), &["127.0.0.2"]);

    let server = async {
        let (mut stream, _) = open_listener.accept().await.unwrap();
        answer(&mut stream, PLAIN).await
    };
    let uri = format!("http://rebind.example:{}/", open.port());
    let (response, head) = tokio::join!(send(&mut fetch, get(&uri)), server);
    assert_eq!(text(response.unwrap()).await, "ok");
    assert!(head.contains("host: rebind.example:"), "{head}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    let error = send(&mut fetch, get(&uri)).await.err().unwrap();
    assert!(matches!(error, Error::DestinationIpProhibited), "the second answer is judged anew: {error}");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_untouched(listener);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let (gone, refusing) = listen().await;
    drop(gone);
    let (address, _asked) = answer_once(PLAIN).await;
    let dialer = Dialer::with_resolver(b"", Script::answers([vec![refusing, address]])).unwrap();
    let response = send(&mut fetch_with(dialer, &["127.0.0.1"]), get("http://twice.example/")).await.unwrap();
    assert_eq!(text(response).await, "ok");
}

#[tokio::test]
async fn an_unknown_name_is_a_dns_error() {
    let dialer = Dialer::with_resolver(b"", Script::default()).unwrap();
    let error = send(&mut fetch_with(dialer, &[]), get("http://nowhere.example/")).await.err().unwrap();
    assert!(matches!(error, Error::DnsError { .. }), "{error}");
}

#[tokio::test]
async fn without_allow_net_nothing_is_even_resolved() {
    let script = Script::default();
    let asked = script.asked.clone();
    let dialer = Arc::new(Dialer::with_resolver(b"", script).unwrap());
    let mut fetch = Fetch::new(dialer, Arc::default(), false, None);
    let error = send(&mut fetch, get("http://example.com/")).await.err().unwrap();
    assert!(matches!(error, Error::HttpRequestDenied), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_execution_has_a_budget_of_requests() {
    let mut fetch = fetch(&[]);
    for _ in 0..SUBREQUESTS {
        let error = send(&mut fetch, get("http://127.0.0.1/")).await.err().unwrap();
        assert!(matches!(error, Error::DestinationIpProhibited), "{error}");
    }
    for _ in 0..2 {
        let error = send(&mut fetch, get("http://127.0.0.1/")).await.err().unwrap();
        assert!(matches!(error, Error::ConnectionLimitReached), "{error}");
    }
}

#[tokio::test]
async fn requests_over_the_concurrent_limit_wait_for_a_response_to_end_or_be_dropped() {
    let (listener, address) = listen().await;
    let mut fetch = loopback();
    let mut open = Vec::new();
    for _ in 0..OPEN_SUBREQUESTS {
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            answer(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
            stream
        };
        let (response, stream) = tokio::join!(send(&mut fetch, get(format!("http://{address}/"))), server);
        open.push((response.unwrap(), stream));
    }

    let mut dropped_for = start(&mut fetch, get(format!("http://{address}/")), RequestOptions::default());
    let mut finished_for = start(&mut fetch, get(format!("http://{address}/")), RequestOptions::default());
    assert!(poll_immediate(&mut dropped_for).await.is_none());
    assert!(poll_immediate(&mut finished_for).await.is_none());
    assert_eq!(fetch.slots.available_permits(), 0);

    drop(open.pop());
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        answer(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
        stream
    };
    let (response, _stream) = tokio::join!(dropped_for, server);
    let _still_open = response.unwrap();
    assert!(poll_immediate(&mut finished_for).await.is_none());

    let (finished, mut stream) = open.pop().unwrap();
    stream.write_all(b"ok").await.unwrap();
    let mut finished = finished.into_body();
    while let Some(frame) = finished.frame().await {
        frame.unwrap();
    }
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        answer(&mut stream, PLAIN).await;
    };
    let (response, ()) = tokio::join!(finished_for, server);
    assert_eq!(text(response.unwrap().0).await, "ok");
    drop(finished);
}

#[tokio::test]
async fn a_failed_request_gives_its_slot_back() {
    let mut fetch = fetch(&[]);
    for _ in 0..=OPEN_SUBREQUESTS {
        send(&mut fetch, get("http://127.0.0.1/")).await.err().unwrap();
    }
    assert_eq!(fetch.slots.available_permits(), OPEN_SUBREQUESTS);
}

#[tokio::test]
async fn no_header_of_the_guest_steers_the_request() {
    let (address, asked) = answer_once(PLAIN).await;
    let mut request = get(format!("http://{address}/"));
    let headers = request.headers_mut();
    headers.append(HOST, HeaderValue::from_static("internal.example"));
    headers.append(HOST, HeaderValue::from_static("other.example"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade, authorization"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert("proxy-connection", HeaderValue::from_static("keep-alive"));
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    headers.insert(USER_AGENT, HeaderValue::from_static("mine/1"));
    send(&mut loopback(), request).await.unwrap();
    let head = asked.await.unwrap();
    let mut lines: Vec<_> = head.trim_end().split("\r\n").collect();
    lines.sort_unstable();
    assert_eq!(lines, ["GET / HTTP/1.1", "authorization: Bearer x", &format!("host: {address}"), "user-agent: mine/1"]);
}

#[test]
fn hop_by_hop_headers_are_forbidden_to_guests() {
    let mut fetch = loopback();
    let filter = fetch.forbidden_header_filter();
    for name in ["host", "connection", "transfer-encoding", "upgrade", "te", "trailer", "proxy-authorization"] {
        let name = HeaderName::from_static(name);
        assert!(fetch.is_forbidden_header(&name) && filter(&name), "{name}");
    }
    for name in ["authorization", "user-agent", "content-length", "cookie"] {
        let name = HeaderName::from_static(name);
        assert!(!fetch.is_forbidden_header(&name) && !filter(&name), "{name}");
    }
}

#[tokio::test]
async fn odd_uris_are_refused() {
    let (listener, address) = listen().await;
    let mut fetch = loopback();
    let refused = [
        format!("http://user@{address}/"),
        format!("http://user:password@{address}/"),
        format!("http://{}:/", address.ip()),
        format!("http://{}:0/", address.ip()),
        format!("http://{}:65616/", address.ip()),
        "http://[::1%25lo]/".to_owned(),
        "http://a..b/".to_owned(),
        format!("ftp://{address}/"),
        "/path".to_owned(),
        address.to_string(),
    ];
    for uri in refused {
        let uri: Uri = uri.parse().unwrap();
        let mut request = get("http://replaced/");
        *request.uri_mut() = uri.clone();
        let error = send(&mut fetch, request).await.err().unwrap();
        assert!(matches!(error, Error::HttpRequestUriInvalid | Error::HttpProtocolError), "{uri}: {error}");
    }
    let mut tunnel = get(format!("http://{address}/"));
    *tunnel.method_mut() = Method::CONNECT;
    let error = send(&mut fetch, tunnel).await.err().unwrap();
    assert!(matches!(error, Error::HttpRequestMethodInvalid), "{error}");
    assert_untouched(listener);
}

#[test]
fn the_request_line_holds_a_path_only() {
    let cases = [("http://a.example", "/"), ("http://a.example?q=1", "/?q=1"), ("http://a.example/b?q=1", "/b?q=1")];
    for (uri, path) in cases {
        let target = Target::of(&uri.parse().unwrap()).unwrap();
        assert_eq!(target.path.to_string(), path);
        assert_eq!((target.port, target.authority.as_bytes()), (80, &b"a.example"[..]));
    }
    let star = Uri::builder().scheme("http").authority("a.example").path_and_query("*").build();
    assert!(star.is_err() || Target::of(&star.unwrap()).is_err());
    let target = Target::of(&"https://[2001:db8::1]/".parse().unwrap()).unwrap();
    assert_eq!((target.host.as_str(), target.port), ("2001:db8::1", 443));
}

#[tokio::test]
async fn redirects_are_left_to_the_guest() {
    let (listener, closed) = listen().await;
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: http://{closed}/\r\ncontent-length: 0\r\n\r\n");
    let (address, _asked) = answer_once(redirect).await;
    let response = send(&mut loopback(), get(format!("http://{address}/"))).await.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()[LOCATION], format!("http://{closed}/"));
    assert_untouched(listener);
}

#[tokio::test]
async fn a_response_streams() {
    let (listener, address) = listen().await;
    let (proceed, first_was_read) = oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        answer(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await;
        first_was_read.await.unwrap();
        stream.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
    });
    let mut body = send(&mut loopback(), get(format!("http://{address}/"))).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    proceed.send(()).unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
    assert!(body.frame().await.is_none());
    server.await.unwrap();
}

#[tokio::test]
async fn a_request_body_arrives_without_its_empty_frames() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        let body = read_until(&mut stream, "0\r\n\r\n").await;
        stream.write_all(PLAIN.as_bytes()).await.unwrap();
        (head, body)
    });
    let frames = ["", "one", "", "", "two", ""].map(|text| Ok(Frame::data(Bytes::from(text))));
    let mut request = with_body(format!("http://{address}/"), StreamBody::new(futures::stream::iter(frames)));
    *request.method_mut() = Method::POST;
    send(&mut loopback(), request).await.unwrap();
    let (head, body) = server.await.unwrap();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert_eq!(body, "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
}

#[tokio::test]
async fn endless_empty_frames_yield() {
    let frames = futures::stream::repeat_with(|| Ok(Frame::data(Bytes::new())));
    let mut body = body::NonEmptyFrames(StreamBody::new(frames).boxed_unsync());
    assert!(poll_immediate(body.frame()).await.is_none());
}

#[tokio::test]
async fn a_request_body_of_known_length_says_so() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_until(&mut stream, "body").await;
        stream.write_all(PLAIN.as_bytes()).await.unwrap();
        head
    });
    let mut request = with_body(format!("http://{address}/"), Full::from("body"));
    *request.method_mut() = Method::POST;
    send(&mut loopback(), request).await.unwrap();
    assert!(server.await.unwrap().contains("content-length: 4\r\n"));
}

#[tokio::test]
async fn a_request_body_that_fails_is_reported_as_such() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move { closed(listener.accept().await.unwrap().0).await });
    let frames = [Ok(Frame::data(Bytes::from("bo"))), Err(Error::HttpRequestBodySize(Some(2)))];
    let mut request =
        get(format!("http://{address}/")).map(|_| StreamBody::new(futures::stream::iter(frames)).boxed_unsync());
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("4"));
    let error = send(&mut loopback(), request).await.err().unwrap();
    assert!(matches!(error, Error::HttpRequestBodySize(Some(2))), "{error}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let (listener, address) = listen().await;
    drop(listener);
    let error = send(&mut loopback(), get(format!("http://{address}/"))).await.err().unwrap();
    assert!(matches!(error, Error::ConnectionRefused), "{error}");
}

#[tokio::test]
async fn broken_responses_have_codes_of_their_own() {
    type Check = fn(&Error) -> bool;
    let long_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(FETCH_HEAD_BYTES));
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1_000));
    let cases: [(&str, Check); 5] = [
        ("", |error| matches!(error, Error::ConnectionTerminated)),
        ("not HTTP at all\r\n\r\n", |error| matches!(error, Error::HttpProtocolError)),
        (&long_head, |error| matches!(error, Error::HttpResponseHeaderSectionSize(_))),
        (&many_headers, |error| matches!(error, Error::HttpResponseHeaderSectionSize(_))),
        ("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", |error| {
            matches!(error, Error::HttpUpgradeFailed)
        }),
    ];
    for (response, expected) in cases {
        let (listener, address) = listen().await;
        let response = response.to_owned();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            // The client may have had enough before it has read everything.
            let _ = stream.write_all(response.as_bytes()).await;
            response
        });
        let error = send(&mut loopback(), get(format!("http://{address}/"))).await.err().unwrap();
        let response = server.await.unwrap();
        assert!(expected(&error), "{error} after {:?}", response.chars().take(40).collect::<String>());
    }
}

#[tokio::test]
async fn a_truncated_body_is_incomplete() {
    let (address, _asked) = answer_once("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok").await;
    let response = send(&mut loopback(), get(format!("http://{address}/"))).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert!(matches!(error, Error::HttpResponseIncomplete), "{error}");
}

#[tokio::test]
async fn silence_runs_into_the_timeouts_the_guest_asked_for() {
    let brief = Some(Duration::from_millis(30));
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (silent, _) = listener.accept().await.unwrap();
        let (mut stalling, _) = listener.accept().await.unwrap();
        answer(&mut stalling, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok").await;
        closed(silent).await;
        closed(stalling).await;
    });
    let mut fetch = loopback();
    let options = RequestOptions { first_byte_timeout: brief, ..RequestOptions::default() };
    let error = start(&mut fetch, get(format!("http://{address}/")), options).await.err().unwrap();
    assert!(matches!(error, Error::ConnectionReadTimeout), "{error}");

    let options = RequestOptions { between_bytes_timeout: brief, ..RequestOptions::default() };
    let (response, _) = start(&mut fetch, get(format!("http://{address}/")), options).await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert!(matches!(error, Error::ConnectionReadTimeout), "{error}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_slow_body_is_not_a_silent_one() {
    // Frames come later than the patience allows for all of them, sooner than it allows for each.
    let frames = futures::stream::unfold(0, |sent| async move {
        tokio::time::sleep(Duration::from_millis(40)).await;
        (sent < 3).then(|| (Ok(Frame::data(Bytes::from("x"))), sent + 1))
    });
    let driver = wasmtime_wasi::runtime::spawn(async {});
    let body = body::ResponseBody::new(StreamBody::new(Box::pin(frames)), driver, Duration::from_millis(60));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "xxx");
}

#[test]
fn a_guest_cannot_ask_for_endless_patience() {
    let endless = Some(Duration::MAX);
    let options =
        RequestOptions { connect_timeout: endless, first_byte_timeout: endless, between_bytes_timeout: endless };
    let timeouts = Timeouts::from(options);
    for phase in [timeouts.connect, timeouts.first_byte, timeouts.between_bytes] {
        assert_eq!(phase, FETCH_FIRST_BYTE_TIMEOUT);
    }
}

#[tokio::test]
async fn dropping_a_request_or_a_body_closes_the_connection() {
    let (listener, address) = listen().await;
    let mut fetch = loopback();

    let waiting = tokio::spawn(start(&mut fetch, get(format!("http://{address}/")), RequestOptions::default()));
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    waiting.abort();
    closed(stream).await;

    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        answer(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await;
        stream
    };
    let (response, stream) = tokio::join!(send(&mut fetch, get(format!("http://{address}/"))), server);
    drop(response);
    closed(stream).await;
}

/// The server name and the protocol a TLS server and its client agreed on.
type Agreed = (Option<String>, Option<Vec<u8>>);

/// A TLS server for `secure.example` that answers one request; its address, its certificate, and what it was asked.
async fn tls_server() -> (SocketAddr, String, tokio::task::JoinHandle<io::Result<(Agreed, String)>>) {
    let issued = rcgen::generate_simple_self_signed(["secure.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
        let session = stream.get_ref().1;
        let agreed = (session.server_name().map(str::to_owned), session.alpn_protocol().map(<[u8]>::to_vec));
        let head = answer(&mut stream, PLAIN).await;
        Ok((agreed, head))
    });
    (address, issued.cert.pem(), server)
}

async fn send_tls(address: SocketAddr, roots: &str, host: &str) -> Result<Response<WasiBody>> {
    let dialer = Dialer::with_resolver(roots.as_bytes(), Script::answers([vec![address]])).unwrap();
    send(&mut fetch_with(dialer, &["127.0.0.1"]), get(format!("https://{host}:{}/", address.port()))).await
}

#[tokio::test]
async fn a_private_root_is_trusted_when_it_was_given() {
    let (address, root, server) = tls_server().await;
    let response = send_tls(address, &root, "secure.example").await.unwrap();
    assert_eq!(text(response).await, "ok");
    let (agreed, head) = server.await.unwrap().unwrap();
    assert_eq!(agreed, (Some("secure.example".to_owned()), Some(b"http/1.1".to_vec())));
    assert!(head.contains(&format!("host: secure.example:{}\r\n", address.port())), "{head}");
}

#[tokio::test]
async fn an_unknown_root_and_a_wrong_name_are_refused() {
    let (address, _, server) = tls_server().await;
    let error = send_tls(address, "", "secure.example").await.err().unwrap();
    assert!(matches!(error, Error::TlsCertificateError), "{error}");
    assert!(server.await.unwrap().is_err());

    let (address, root, server) = tls_server().await;
    let error = send_tls(address, &root, "other.example").await.err().unwrap();
    assert!(matches!(error, Error::TlsCertificateError), "{error}");
    assert!(server.await.unwrap().is_err());
}

#[tokio::test]
async fn a_plain_server_behind_https_is_a_tls_error() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        closed(stream).await;
    });
    let error = send(&mut loopback(), get(format!("https://{address}/"))).await.err().unwrap();
    assert!(matches!(error, Error::TlsProtocolError), "{error}");
}

#[test]
fn roots_that_are_no_certificates_are_refused() {
    assert!(Dialer::new(b"").is_ok());
    let garbage = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(Dialer::new(garbage), Err(InvalidRoots::Certificate(_))));
    let broken = b"-----BEGIN CERTIFICATE-----\n";
    assert!(matches!(Dialer::new(broken), Err(InvalidRoots::Pem(_))));
}

#[test]
fn no_text_of_the_host_reaches_the_guest() {
    let mut fetch = loopback();
    let secret = io::Error::other("10.0.0.7 said no");
    let codes = [
        format!("{:?}", fetch.p2_error_from_connect(&secret)),
        format!("{:?}", fetch.p2_error_from_tls(&secret)),
        format!("{:?}", fetch.p3_error_from_connect(&secret)),
        format!("{:?}", fetch.p3_error_from_tls(&secret)),
    ];
    for code in codes {
        assert!(!code.contains("10.0.0.7"), "{code}");
    }
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    assert!(matches!(fetch.p2_error_from_connect(&refused), p2::ErrorCode::ConnectionRefused));
    assert!(matches!(fetch.p3_error_from_connect(&refused), p3::ErrorCode::ConnectionRefused));
}
