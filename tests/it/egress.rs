//! What a function can reach outside: by default, nothing of the operator's own network.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use caddis_tests::{Guest, Server, guests};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::observe::{opened_to, recorder};
use crate::{options, start};

/// A server on loopback that counts its connections and greets.
struct Neighbour {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Neighbour {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await?);
                    }
                    let answer = "HTTP/1.1 201 Created\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
                    stream.write_all(answer.as_bytes()).await
                });
            }
        });
        Self { address, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

const WORLDS: [Guest; 2] = [guests::WSTD_ECHO, guests::WASIP3_ECHO];

async fn fetch(server: &Server, url: &str) -> Value {
    server.anonymous().get("f", &format!("/fetch?{url}")).await.expect(StatusCode::OK).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_s_own_network_is_closed() {
    let neighbour = Neighbour::start().await;
    let port = neighbour.address.port();
    let server = start().await;
    let admin_api = format!("http://{}/healthz", server.address());
    for guest in WORLDS {
        server.admin().put_component("f", guest, "").await;
        for host in ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"] {
            let result = fetch(&server, &format!("http://{host}:{port}/")).await;
            assert!(result["error"].is_string(), "{host}: {result}");
        }
        for url in [&*admin_api, "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://192.168.1.1/"]
        {
            let result = fetch(&server, url).await;
            assert!(result["error"].is_string(), "{url}: {result}");
        }
    }
    assert_eq!(neighbour.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_opens_is_open_and_nothing_else() {
    let [open, closed] = [Neighbour::start().await, Neighbour::start().await];
    let server = Server::start(options().flag("--allow-egress", open.address)).await;
    for guest in WORLDS {
        server.admin().put_component("f", guest, "").await;
        let result = fetch(&server, &format!("http://{}/", open.address)).await;
        assert_eq!(result, json!({ "status": 201, "body": "hello" }));
        let result = fetch(&server, &format!("http://{}/", closed.address)).await;
        assert!(result["error"].is_string(), "{result}");
    }
    assert_eq!((open.connections(), closed.connections()), (WORLDS.len(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_without_network_reaches_nothing() {
    let neighbour = Neighbour::start().await;
    let server = Server::start(options().flag("--allow-egress", "127.0.0.0/8")).await;
    let url = format!("http://{}/", neighbour.address);
    for guest in WORLDS {
        server.admin().put_component("f", guest, "allow_net=false").await;
        let result = fetch(&server, &url).await;
        assert!(result["error"].is_string(), "{result}");
    }
    assert_eq!(neighbour.connections(), 0);
    server.admin().change("f", &json!({ "allow_net": true })).await.expect(StatusCode::OK);
    assert_eq!(fetch(&server, &url).await["status"], 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn allowed_hosts_are_the_only_ones_a_component_reaches() {
    let (service, seen) = recorder().await;
    let server = Server::start(opened_to(&service)).await;
    let admin = server.admin();
    let (host, port) = (service.address().ip(), service.address().port());
    let mut reached = 0;
    for guest in WORLDS {
        for (hosts, open) in [
            (json!([]), true),
            (json!(["api.example.com"]), false),
            (json!([format!("{host}")]), true),
            (json!([format!("{host}:{port}")]), true),
            (json!([format!("{host}:1")]), false),
            (json!(["*.example.com", format!("{host}:{port}")]), true),
        ] {
            admin.put_component("f", guest, "").await;
            admin.change("f", &json!({ "allowed_hosts": hosts })).await.expect(StatusCode::OK);
            let result = fetch(&server, &service.url()).await;
            let expected = if open { &result["status"] } else { &result["error"] };
            assert!(!expected.is_null(), "{} {hosts}: {result}", guest.name);
            reached += usize::from(open);
            assert_eq!(seen.lock().unwrap().len(), reached, "what is closed is never asked");
        }
        admin.change("f", &json!({ "allowed_hosts": [] })).await.expect(StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_through_components_to_what_they_call() {
    let (service, seen) = recorder().await;
    let server = Server::start(opened_to(&service)).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for guest in WORLDS {
        server.admin().put_component("f", guest, "").await;
        let call = || server.anonymous().invoke(Method::GET, "f", &format!("/fetch?{}", service.url()));
        call().header("traceparent", parent).header("tracestate", "vendor=1").send().await.expect(StatusCode::OK);
        call().send().await.expect(StatusCode::OK);
        let [traced, plain] = &std::mem::take(&mut *seen.lock().unwrap())[..] else { panic!("two requests") };
        let sent = &traced["traceparent"];
        assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && sent.ends_with("-01"), "{sent}");
        assert_ne!(sent, parent, "the execution is a span of its own");
        assert_eq!(traced["tracestate"], "vendor=1");
        assert_eq!(plain.get("traceparent"), None, "{}", guest.name);
    }
}
