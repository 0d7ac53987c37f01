//! Secrets: where they are, where they are not, and another key for them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use caddis_tests::{Client, Reply, Server, files_below};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{options, refused, start};

const PLANTED: &str = "planted-7b1f\"quoted\"-secret";

async fn call(client: &Client, method: Method, path: &str, body: Value) -> Reply {
    client.manage(method, path).json(&body).send().await
}

fn assert_not_in(text: &str, place: &str) {
    for part in ["planted-7b1f", "quoted"] {
        assert!(!text.contains(part), "{place}: {text}");
    }
}

/// Every `GET` of the document, for both apps and their newest executions, and once more in the other forms that some have.
async fn all_that_can_be_read(server: &Server) -> Vec<String> {
    let document = server.anonymous().call(Method::GET, "/openapi.json").send().await.expect(StatusCode::OK).json();
    let readable = document["paths"].as_object().unwrap().iter().filter(|(_, item)| item.get("get").is_some());
    let named = readable.map(|(path, _)| path.replace("{name}", "f").replace("{slug}", "f"));
    let mut paths: Vec<String> =
        named.flat_map(|path| ["default", "red"].map(|app| path.replace("{app}", app))).collect();
    for path in paths.iter_mut().filter(|path| path.contains("{id}")) {
        let app = if path.starts_with("/v1/red/") { server.admin().in_app("red") } else { server.admin() };
        *path = path.replace("{id}", app.executions("f", "limit=1").await[0]["id"].as_str().unwrap());
    }
    for (end, query) in [("/export", "?format=csv"), ("/logs", "?level=error"), ("/executions", "?status=error")] {
        let more: Vec<_> =
            paths.iter().filter(|path| path.ends_with(end)).map(|path| format!("{path}{query}")).collect();
        assert!(!more.is_empty(), "{end}");
        paths.extend(more);
    }
    paths.sort_unstable();
    paths.dedup();
    assert!(paths.iter().all(|path| !path.contains('{')) && paths.len() > 60, "{paths:?}");
    for some in
        ["/metrics", "/api/v1/db/dump", "/v1/red/project", "/api/v1/apps/red", "/v1/projects/red/functions/f/body"]
    {
        assert!(paths.iter().any(|path| path == some), "{some} in {paths:?}");
    }
    paths
}

/// What somebody sees who follows the log of a function while it runs.
async fn followed(admin: &Client, path: &str) -> String {
    let mut stream = admin.call(Method::GET, path).start().await;
    assert_eq!(stream.status, StatusCode::OK, "{path}");
    stream.next().await.unwrap().unwrap();
    let app = if path.starts_with("/v1/red/") { admin.in_app("red") } else { admin.clone() };
    app.invoke(Method::PUT, "f", "/").send().await.expect(StatusCode::INTERNAL_SERVER_ERROR);
    let event = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(event.contains("[redacted]"), "{event}");
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn kl4_a_planted_secret_is_nowhere_to_be_found() {
    let mut server = start().await;
    let admin = server.admin();
    let red = admin.create_app("red").await;
    let code = "
        const planted = (globalThis.process?.env ?? {}).PLANTED;
        export default (req, ctx) => {
            const secret = ctx.env.PLANTED;
            console.log('the secret is', secret);
            console.error({ nested: [secret] });
            if (req.method === 'PUT') throw new Error('failed with ' + secret);
            return new Response(req.method === 'POST' ? secret : JSON.stringify({ secret }));
        }";
    for app in [&admin, &red] {
        let body = json!({ "name": "f", "code": code, "enabled": true });
        call(app, Method::POST, "/functions", body).await.expect(StatusCode::CREATED);
    }
    let secret = json!({ "PLANTED": PLANTED });
    let stored = call(&admin, Method::PUT, "/secrets", secret.clone()).await.expect(StatusCode::OK);
    assert_not_in(&stored.text(), "the answer to a secret");
    let stored = call(&red, Method::PATCH, "/functions/f/env", secret).await.expect(StatusCode::OK);
    assert_not_in(&stored.text(), "the answer to a variable");
    let long_enough = format!("{PLANTED} and some more of it");
    let changed = call(&admin, Method::PATCH, "/apps/red", json!({ "jwt_secret": long_enough })).await;
    assert_not_in(&changed.expect(StatusCode::OK).text(), "the answer to a token secret");

    // Mistakes with a secret in them.
    for (method, path, body) in [
        (Method::PUT, "/secrets", json!({ "PLANTED": [PLANTED] })),
        (Method::PUT, "/secrets", json!({ "PLANTED": format!("{PLANTED}\0") })),
        (Method::PUT, "/secrets", json!(PLANTED)),
        (Method::PUT, "/secrets", json!({ "CADDIS_X": PLANTED })),
        (Method::PUT, "/secrets", json!({ "PLANTED": PLANTED.repeat(5_000) })),
        (Method::PATCH, "/functions/f/env", json!({ "A": { "B": PLANTED } })),
        (Method::PATCH, "/functions/missing/env", json!({ "A": PLANTED })),
        (Method::PATCH, "/apps/red", json!({ "jwt_secret": { "is": PLANTED } })),
        (Method::PATCH, "/functions/f/env", json!({ "envVars": { "A": { "B": PLANTED } } })),
        (Method::POST, "/apps", json!({ "name": "green", "jwt_secret": PLANTED })),
        (Method::POST, "/functions", json!({ "name": "g", "code": "", "envVars": PLANTED })),
        (Method::POST, "/functions", json!({ "name": "g", "code": "", "envVars": [PLANTED] })),
        (Method::POST, "/functions", json!({ "name": "g", "code": "", "envVars": { "A": [PLANTED] } })),
        (Method::POST, "/functions", json!({ "name": "g", "code": { "is": PLANTED } })),
        (Method::PUT, "/functions/f", json!({ "timeout_seconds": PLANTED })),
    ] {
        let reply = call(&admin, method.clone(), path, body).await;
        assert!(reply.status.is_client_error(), "{method} {path}: {}", reply.text());
        assert_not_in(&reply.text(), path);
    }
    for body in [json!([PLANTED]), json!([{ "name": "A", "value": [PLANTED] }]), json!({ "A": PLANTED })] {
        let reply = admin.call(Method::POST, "/v1/projects/default/secrets").json(&body).send().await;
        assert_not_in(&reply.expect(StatusCode::BAD_REQUEST).text(), "an answer to Supabase's command line");
    }
    let broken = json!({ "code": "throw new Error('top level ' + process.env.PLANTED)" });
    let reply = call(&admin, Method::PUT, "/functions/f", broken).await.expect(StatusCode::BAD_REQUEST);
    assert_not_in(&reply.text(), "an error at top level");

    // Functions may say it to whoever calls them, and to nobody else.
    for app in [&admin, &red] {
        let told = app.post("f", "/", &json!({})).await.expect(StatusCode::OK);
        assert_eq!(told.text(), PLANTED);
        app.execution("f", &told).await;
        let told = app.get("f", "/").await.expect(StatusCode::OK);
        app.execution("f", &told).await;
        let failed = app.invoke(Method::PUT, "f", "/").send().await.expect(StatusCode::INTERNAL_SERVER_ERROR);
        assert_not_in(&failed.text(), "an error of a function");
        let record = app.execution("f", &failed).await;
        assert!(record["logs"].as_str().unwrap().contains("the secret is [redacted]"), "{record}");
    }
    let listed = red.manage(Method::GET, "/functions/f/env").send().await.expect(StatusCode::OK).json();
    assert_eq!(listed[0]["name"], "PLANTED");
    assert!(listed[0]["updated_at"].is_string(), "{listed}");
    for path in all_that_can_be_read(&server).await {
        let expected = if path.ends_with("/auth/v1/user") { StatusCode::FORBIDDEN } else { StatusCode::OK };
        let text = if path.ends_with("/stream") {
            followed(&admin, &path).await
        } else {
            admin.call(Method::GET, &path).send().await.expect(expected).text()
        };
        assert_not_in(&text, &path);
    }

    server.stop_gracefully().await;
    assert_not_in(&server.log(), "the host's log");
    for file in files_below(server.data()) {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows("planted-7b1f".len()).any(|part| part == b"planted-7b1f");
        assert!(!found, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sb8_secrets_are_set_listed_and_unset_in_bulk() {
    let server = start().await;
    let admin = server.admin();
    let many: serde_json::Map<_, _> = (0..100).map(|n| (format!("NAME_{n:03}"), json!("x"))).collect();
    let put = async |body: Value| call(&admin, Method::PUT, "/secrets", body).await;
    let listed = put(Value::from(many)).await.expect(StatusCode::OK).json();
    assert_eq!(listed.as_array().unwrap().len(), 100);
    assert_eq!(listed[0].as_object().unwrap().keys().collect::<Vec<_>>(), ["name", "updated_at"]);
    refused(&put(json!({ "ONE_MORE": "x" })).await, 400, "invalid_request", &["100"]);
    let listed =
        put(json!({ "NAME_000": null, "NAME_001": null, "ONE_MORE": "x" })).await.expect(StatusCode::OK).json();
    assert_eq!(listed.as_array().unwrap().len(), 99);
    refused(&put(json!({ "BIG": "x".repeat(48 * 1024 + 1) })).await, 400, "invalid_request", &["BIG", "49152"]);
}

/// `caddis secrets rotate-key` on a data directory.
async fn rotate(data: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_caddis"));
    command.args(["secrets", "rotate-key", "--data"]).arg(data).envs(variables.iter().copied());
    caddis_tests::within_patience("the rotation", command.output()).await.unwrap()
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.trim_end().lines().count(), 1, "one clear line: {text}");
    text
}

/// A server whose function answers with a secret.
async fn with_a_secret(options: caddis_tests::Options) -> Server {
    let server = Server::start(options).await;
    let code = "export default (req, ctx) => new Response(ctx.env.WORD)";
    let body = json!({ "name": "f", "code": code, "enabled": true });
    call(&server.admin(), Method::POST, "/functions", body).await.expect(StatusCode::CREATED);
    server.admin().set_secrets(json!({ "WORD": "hunter22" })).await;
    server
}

async fn assert_opens(server: &Server) {
    assert_eq!(server.admin().get("f", "").await.expect(StatusCode::OK).text(), "hunter22");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_master_key_opens_what_the_old_one_sealed() {
    let mut server = with_a_secret(options()).await;
    let token = server.admin().user_token(json!({ "sub": "u" })).await;
    let file = server.data().join("master.key");
    let before = std::fs::read(&file).unwrap();
    assert!(complaint(&rotate(server.data(), &[]).await).contains("in use"));
    server.stop_gracefully().await;

    let output = rotate(server.data(), &[]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 values"), "{output:?}");
    let after = std::fs::read(&file).unwrap();
    assert_ne!(before, after);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!server.data().join("master.key.next").exists());
    server.start_again().await;
    assert_opens(&server).await;
    server.anonymous().with_token(&token).get("f", "").await.expect(StatusCode::OK);

    server.stop_gracefully().await;
    std::fs::write(&file, before).unwrap();
    let output = options().run_to_end(server.data()).await;
    assert!(complaint(&output).contains("does not fit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_was_cut_off_is_finished_or_undone_at_the_next_start() {
    let mut server = with_a_secret(options()).await;
    server.stop_gracefully().await;
    let (file, next) = (server.data().join("master.key"), server.data().join("master.key.next"));
    let before = std::fs::read(&file).unwrap();
    assert!(rotate(server.data(), &[]).await.status.success());
    // As if it had ended after the data, and before the file.
    std::fs::rename(&file, &next).unwrap();
    std::fs::write(&file, &before).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    server.start_again().await;
    assert_opens(&server).await;
    assert!(!next.exists());
    assert_ne!(std::fs::read(&file).unwrap(), before);

    // And as if it had ended before the data.
    server.stop_gracefully().await;
    std::fs::write(&next, &before).unwrap();
    std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o600)).unwrap();
    server.start_again().await;
    assert_opens(&server).await;
    assert!(!next.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_given_is_replaced_by_one_that_is_given() {
    let (old, new) = ("a".repeat(64), "b".repeat(64));
    let mut server = with_a_secret(options().variable("CADDIS_MASTER_KEY", &old)).await;
    server.stop_gracefully().await;
    let alone = rotate(server.data(), &[("CADDIS_MASTER_KEY", &old)]).await;
    assert!(complaint(&alone).contains("CADDIS_NEW_MASTER_KEY"));
    let wrong = rotate(server.data(), &[("CADDIS_MASTER_KEY", &new), ("CADDIS_NEW_MASTER_KEY", &new)]).await;
    assert!(complaint(&wrong).contains("does not fit"));
    let malformed = rotate(server.data(), &[("CADDIS_MASTER_KEY", &old), ("CADDIS_NEW_MASTER_KEY", "hunter2")]).await;
    let malformed = complaint(&malformed);
    assert!(malformed.contains("64 hex digits") && !malformed.contains("hunter2"), "{malformed}");
    let done = rotate(server.data(), &[("CADDIS_MASTER_KEY", &old), ("CADDIS_NEW_MASTER_KEY", &new)]).await;
    assert!(done.status.success(), "{done:?}");
    let output = options().variable("CADDIS_MASTER_KEY", &old).run_to_end(server.data()).await;
    assert!(complaint(&output).contains("does not fit"));
    assert!(!server.data().join("master.key").exists());
    let empty = TempDir::new().unwrap();
    assert!(complaint(&rotate(empty.path(), &[]).await).contains("not a data directory"));
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_without_its_key_is_refused_and_no_other_key_is_made() {
    let mut server = with_a_secret(options()).await;
    server.stop_gracefully().await;
    let file = server.data().join("master.key");
    let saved = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let output = options().run_to_end(server.data()).await;
    let complaint = complaint(&output);
    assert!(complaint.contains("master.key is missing") && complaint.contains("CADDIS_MASTER_KEY"), "{complaint}");
    assert!(!file.exists());
    std::fs::write(&file, saved).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    server.start_again().await;
    assert_opens(&server).await;
}
