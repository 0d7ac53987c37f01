//! What keeps functions away from the admin interface: its origin, its fields, its address.

use std::net::TcpListener;

use caddis_tests::{Client, Reply, Server, guests};
use http::{Method, StatusCode};
use serde_json::json;

use crate::admin::deploy;
use crate::browser::Tab;
use crate::{options, start};

fn pages(server: &Server) -> Client {
    Client::new(server.admin_interface())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_function_does_not_reach_the_admin_interface() {
    let server = start().await;
    let page = "export default () => new Response('<!doctype html><title>f</title><p>a page', { headers: { 'content-type': 'text/html' } })";
    deploy(&server.admin(), "page", page).await;
    let (functions, pages) = (server.address(), server.admin_interface());
    let Some(mut tab) = Tab::open(&format!("http://{functions}/functions/v1/page")).await else { return };
    let token = server.admin_token();
    let reached = tab
        .run(&format!(
            "const at = 'http://{pages}';
            const tries = async (attempt) => {{ try {{ return await attempt(); }} catch (error) {{ return error.name; }} }};
            const framed = document.createElement('iframe');
            const loaded = new Promise((resolve) => {{ framed.onload = resolve; }});
            framed.src = at + '/admin';
            document.body.append(framed);
            const opened = open(at + '/admin');
            await loaded;
            // The browser takes the handle away as soon as it knows whose page that is; nothing tells when.
            while (!opened.closed) await new Promise((resolve) => setTimeout(resolve, 10));
            return {{
                handle: await tries(() => opened.document === null ? 'none' : opened.document.title),
                frame: framed.contentDocument === null,
                page: await tries(async () => (await fetch(at + '/admin')).status),
                api: await tries(async () => (await fetch(at + '/api/v1/functions', {{ headers: {{ authorization: 'Bearer {token}' }} }})).status),
                blind: await tries(async () => (await fetch(at + '/admin', {{ mode: 'no-cors' }})).type),
            }};"
        ))
        .await;
    let expected = json!({ "handle": "SecurityError", "frame": true, "page": "TypeError", "api": "TypeError", "blind": "TypeError" });
    assert_eq!(reached, expected);
    let complaints = tab.complaints().await;
    assert!(
        complaints.iter().any(|line| line.contains("frame-ancestors") || line.contains("X-Frame-Options")),
        "{complaints:?}"
    );
}

#[track_caller]
fn guarded(reply: &Reply, policy: &str) {
    let fields = [
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("origin-agent-cluster", "?1"),
    ];
    for (name, value) in fields {
        assert_eq!(reply.header(name), [value], "{name}");
    }
    assert!(reply.header("access-control-allow-origin").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_function_answers_where_the_admin_interface_is() {
    let server = start().await;
    let admin = server.admin();
    admin.put_component("echo", guests::WSTD_ECHO, "").await;
    let there = pages(&server).with_token(server.admin_token());
    for path in [
        "/functions/v1/echo",
        "/api/v1/functions/echo/invoke",
        "/v1/default/functions/echo/invoke/x",
        "/v1/default/fn/echo",
        "/v2/function/echo",
        "/projects/default/functions/v1/echo",
    ] {
        for client in [&there, &pages(&server)] {
            let reply = client.call(Method::GET, path).header("origin", "https://example.com").send().await;
            assert!(
                [StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED].contains(&reply.status),
                "{path}: {}",
                reply.status
            );
            assert!(reply.header("caddis-execution-id").is_empty(), "{path}");
            guarded(&reply, "default-src 'none'; frame-ancestors 'none'; sandbox");
        }
    }
    assert_eq!(there.manage(Method::GET, "/functions/echo/executions").send().await.json(), json!([]));
    let found = server.anonymous().call(Method::GET, "/admin").send().await;
    crate::refused(&found, 404, "not_found", &["--admin-listen"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_run_nothing_but_their_own_modules() {
    let server = start().await;
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
    let get = async |path: &str| pages(&server).call(Method::GET, path).send().await;
    let page = get("/admin").await.expect(StatusCode::OK);
    guarded(&page, policy);
    assert_eq!(page.header("content-type"), ["text/html; charset=utf-8"]);
    for home in ["/", "/admin/"] {
        assert_eq!(get(home).await.expect(StatusCode::TEMPORARY_REDIRECT).header("location"), ["/admin"]);
    }
    // Every file is there, and nothing in them makes markup or code of text, or comes from elsewhere.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("admin");
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let path = if name == "index.html" { "/admin".to_owned() } else { format!("/admin/assets/{name}") };
        let served = get(&path).await.expect(StatusCode::OK);
        assert_eq!(served.text(), text, "{name}");
        guarded(&served, policy);
        let parses = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "setHTMLUnsafe",
            "document.write",
            "DOMParser",
            "createContextualFragment",
            "srcdoc",
            "eval(",
            "new Function",
            "javascript:",
            " style=\"",
            "localStorage",
            "document.cookie",
            "postMessage",
        ];
        for word in parses {
            assert!(!text.contains(word), "{name} has {word}");
        }
        let foreign = text.lines().filter(|line| {
            line.contains("://") && !line.contains("http://www.w3.org/") && !line.contains(".example.com")
        });
        assert_eq!(foreign.collect::<Vec<_>>(), [""; 0], "{name}");
    }
    crate::refused(&get("/admin/assets/../index.html").await, 401, "unauthorized", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_interface_is_where_the_operator_says_or_nowhere() {
    let server = Server::start(options().flag("--admin-listen", "127.0.0.1:0")).await;
    pages(&server).call(Method::GET, "/admin").send().await.expect(StatusCode::OK);
    let taken = server.admin_interface();
    let output =
        options().flag("--admin-listen", taken).run_to_end(&tempfile::tempdir().unwrap().path().join("data")).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && told.contains(&format!("cannot listen on {taken} for the admin interface")),
        "{told}"
    );
    // Where nobody asked for it, it is on the next port, or the host does without. The system picks no port below 32768 for anybody.
    let bind = |port: u16| TcpListener::bind(("127.0.0.1", port)).ok();
    let mut pairs = (20_000..30_000).step_by(2);
    let (port, next) = pairs.find_map(|port| bind(port).and(Some(port)).zip(bind(port + 1))).unwrap();
    let beside = Server::start(options().listen(&format!("127.0.0.1:{port}"))).await;
    assert!(beside.log().contains("no admin interface"), "{}", beside.log());
    drop((beside, next));
    let beside = Server::start(options().listen(&format!("127.0.0.1:{port}"))).await;
    assert_eq!(beside.admin_interface().port(), port + 1);
    let output = options().flag("--admin-listen", "everywhere").run_to_end(tempfile::tempdir().unwrap().path()).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("must be off, or an address and a port"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_cannot_put_a_service_worker_before_others() {
    let server = start().await;
    let worker = "export default () => new Response('', { headers: { 'content-type': 'text/javascript', 'service-worker-allowed': '/', 'x-kept': '1' } })";
    deploy(&server.admin(), "worker", worker).await;
    let reply = server.anonymous().get("worker", "/sw.js").await.expect(StatusCode::OK);
    assert_eq!(reply.header("x-kept"), ["1"]);
    assert!(reply.header("service-worker-allowed").is_empty());
}
