//! The process: how it starts, refuses to start, drains and keeps its secrets.

use caddis_tests::{Options, Server, files_below, guests};
use http::{Method, StatusCode};
use rustix::process::{Pid, Signal};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{options, refused, set_by_somebody, start};

#[tokio::test(flavor = "multi_thread")]
async fn health_needs_no_token() {
    let server = start().await;
    for path in ["/healthz", "/readyz"] {
        server.anonymous().call(Method::GET, path).send().await.expect(StatusCode::OK);
    }
}

/// Insists that the server refuses to start, in one line that has all these parts, before it opens a port.
async fn refuses_to_start(options: &Options, data: &Path, parts: &[&str]) {
    let output = options.run_to_end(data).await;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "{stderr}");
    assert!(!stdout.contains("listening"), "{stdout}");
    let complaint = stderr.trim_end();
    assert!(complaint.starts_with("caddis: ") && complaint.lines().count() == 1, "one clear line: {stderr}");
    for part in parts {
        assert!(complaint.contains(part), "{part:?} in {complaint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_flag_is_named_before_a_port_opens() {
    let data = TempDir::new().unwrap();
    let cases: [(Options, &str); 6] = [
        (options().flag("--colour", "red"), "--colour"),
        (options().flag("--drain-seconds", "soon"), "--drain-seconds"),
        (options().flag("--allow-egress", "everything"), "--allow-egress"),
        (options().flag("--max-component-bytes", "x"), "--max-component-bytes"),
        (options().variable("CADDIS_DRAIN_SECONDS", "soon"), "soon"),
        (options().flag("--config", "/nonexistent/caddis.toml"), "/nonexistent/caddis.toml"),
    ];
    for (options, part) in cases {
        refuses_to_start(&options, data.path(), &[part]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_makes_is_for_nobody_else() {
    let server = Server::start_beside(options()).await;
    let code = "export default (req, { db }) => db.query('CREATE TABLE t (a)')";
    let body = json!({ "name": "f", "code": code, "enabled": true, "access": { "policy": "public" } });
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    server.anonymous().get("f", "/").await.expect(StatusCode::OK);
    // Also where the directory itself was there before, and is open to others.
    for entry in std::fs::read_dir(server.data()).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refuses_to_start(&options().listen(&address), TempDir::new().unwrap().path(), &[&address]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_cannot_be_used_is_named() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    refuses_to_start(&options(), &file, &["a-file"]).await;
    refuses_to_start(&options(), &file.join("below"), &["a-file"]).await;
    refuses_to_start(&options(), Path::new("/proc/caddis"), &["/proc/caddis"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_in_use_is_left_alone() {
    let server = start().await;
    refuses_to_start(&options(), server.data(), &["use"]).await;
    server.anonymous().call(Method::GET, "/healthz").send().await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_of_a_newer_version_is_left_alone() {
    let mut server = start().await;
    server.stop_gracefully().await;
    let databases: Vec<_> = files_below(server.data()).into_iter().filter(|path| is_sqlite(path)).collect();
    assert!(!databases.is_empty());
    for path in &databases {
        rusqlite::Connection::open(path).unwrap().pragma_update(None, "user_version", 1_000_000).unwrap();
    }
    refuses_to_start(&options(), server.data(), &["newer"]).await;
}

fn is_sqlite(path: &Path) -> bool {
    std::fs::read(path).unwrap().starts_with(b"SQLite format 3\0")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_request_ends_before_the_server_does() {
    let mut server = start().await;
    server.admin().put_component("echo", guests::WSTD_ECHO, "").await;
    let (call, mut pieces) = server.anonymous().invoke(Method::POST, "echo", "/stream").pieces();
    let mut reply = call.start().await;
    assert_eq!(reply.next().await.unwrap().unwrap(), "ready\n");

    server.terminate();
    caddis_tests::eventually("the port to close", async || {
        tokio::net::TcpStream::connect(server.address()).await.is_err().then_some(())
    })
    .await;
    pieces.send("last words").await;
    assert_eq!(reply.next().await.unwrap().unwrap(), "last words");
    drop(pieces);
    assert!(reply.next().await.is_none(), "the response is complete");
    assert!(server.wait().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_end_holds_the_server_no_longer_than_the_deadline() {
    let mut server = Server::start(options().flag("--drain-seconds", 1)).await;
    server.admin().put_component("limits", guests::LIMITS, "timeout_seconds=300&fuel=1000000000000").await;
    server.admin().put_component("echo", guests::WSTD_ECHO, "").await;
    let (call, pieces) = server.anonymous().invoke(Method::POST, "echo", "/stream").pieces();
    let mut reply = call.start().await;
    reply.next().await.unwrap().unwrap();
    let busy = tokio::spawn(server.anonymous().invoke(Method::GET, "limits", "/loop").try_send());
    server.stop_gracefully().await;
    assert!(reply.next().await.is_none_or(|piece| piece.is_err()), "the response is cut off");
    drop(pieces);
    let cut_off = busy.await.unwrap();
    assert!(cut_off.is_none_or(|reply| !reply.status.is_success()));
}

/// The log may be on a disk that is full, or go to a collector that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_stops_nothing() {
    let data = TempDir::new().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut server = options().command(data.path()).stderr(full).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    while !lines.next_line().await.unwrap().expect("it listens").starts_with("listening") {}
    let pid = Pid::from_raw(server.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    // It logs that it drains.
    assert!(server.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_does_not_hold_the_server() {
    let mut server = start().await;
    let client = server.anonymous();
    let mut session = client.session().await;
    session.send(client.call(Method::GET, "/healthz")).await.expect(StatusCode::OK);
    assert!(server.stop_gracefully().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrator_s_token_can_be_given_and_only_its_hash_is_kept() {
    let token = "an-administrator-s-token-of-some-length";
    let server = Server::start(options().variable("CADDIS_ADMIN_TOKEN", token)).await;
    server.admin().manage(Method::GET, "/functions").send().await.expect(StatusCode::OK);
    assert_nowhere(&server, token);

    let server = start().await;
    server.admin().manage(Method::GET, "/functions").send().await.expect(StatusCode::OK);
    assert_nowhere(&server, server.admin_token());
}

/// Insists that no file of the data directory and no line of the log has this text.
fn assert_nowhere(server: &Server, text: &str) {
    assert!(!server.log().contains(text), "in the log");
    for path in files_below(server.data()) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "in {}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_the_next_request_and_nowhere_else() {
    let server = start().await;
    let admin = server.admin();
    admin.put_component("echo", guests::WSTD_ECHO, "").await;
    let value = "correct-horse-battery-staple";
    let before = admin.get("echo", "/env?WORD").await.json();
    assert_eq!((&before["get"], set_by_somebody(&before)), (&json!(null), Vec::new()));

    admin.set_secrets(json!({ "WORD": value })).await;
    let after = admin.get("echo", "/env?WORD").await.json();
    assert_eq!((&after["get"], &after["wasi"]), (&json!(value), &json!(value)));

    let list = admin.manage(Method::GET, "/secrets").send().await.expect(StatusCode::OK);
    assert_eq!(list.json()[0]["name"], "WORD");
    assert!(list.json()[0]["updated_at"].is_string());
    for path in ["/secrets", "/functions", "/functions/echo", "/functions/echo/executions"] {
        let reply = admin.manage(Method::GET, path).send().await.expect(StatusCode::OK);
        assert!(!reply.text().contains(value), "{path}: {}", reply.text());
    }
    assert_nowhere(&server, value);

    admin.set_secrets(json!({ "WORD": "changed" })).await;
    assert_eq!(admin.get("echo", "/env?WORD").await.json()["get"], "changed");
    admin.manage(Method::DELETE, "/secrets/WORD").send().await.expect(StatusCode::NO_CONTENT);
    assert_eq!(admin.get("echo", "/env?WORD").await.json()["get"], json!(null));
    refused(&admin.manage(Method::DELETE, "/secrets/WORD").send().await, 404, "not_found", &["secret"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_s_variable_hides_the_app_s_secret_of_the_same_name() {
    let server = start().await;
    let admin = server.admin();
    admin.put_component("echo", guests::WSTD_ECHO, "").await;
    admin.set_secrets(json!({ "WORD": "of the app", "OTHER": "kept" })).await;
    let change = |variables| admin.manage(Method::PATCH, "/functions/echo/env").json(&variables).send();
    let names = change(json!({ "WORD": "of the function" })).await.expect(StatusCode::OK);
    assert!(!names.text().contains("of the function"), "names only: {}", names.text());
    let seen = admin.get("echo", "/env?WORD").await.json();
    assert_eq!(set_by_somebody(&seen), [["OTHER", "kept"], ["WORD", "of the function"]]);

    change(json!({ "WORD": null })).await.expect(StatusCode::OK);
    assert_eq!(admin.get("echo", "/env?WORD").await.json()["get"], "of the app");
    admin.change("echo", &json!({ "allow_env": false })).await.expect(StatusCode::OK);
    let seen = admin.get("echo", "/env?WORD").await.json();
    assert_eq!((&seen["get"], &seen["all"], &seen["wasi"]), (&json!(null), &json!([]), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_outlive_a_restart() {
    let mut server = start().await;
    server.admin().put_component("echo", guests::WSTD_ECHO, "").await;
    server.admin().set_secrets(json!({ "WORD": "kept" })).await;
    server.kill().await;
    server.start_again().await;
    assert_eq!(server.anonymous().get("echo", "/env?WORD").await.json()["get"], "kept");
}
