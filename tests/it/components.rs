//! The life of a function made from a component: created, changed, replaced, removed.

use caddis_tests::{files_below, guests};
use http::{Method, StatusCode};
use serde_json::json;

use crate::{refused, start};

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn the_examples_of_the_sdk_answer() {
    let server = start().await;
    let admin = server.admin();
    admin.put_component("hello", guests::HELLO, "").await;
    let reply = server.anonymous().get("hello", "").await.expect(StatusCode::OK);
    assert!(reply.text().to_lowercase().contains("hello"), "{}", reply.text());

    let created = admin.upload("whoami", guests::WHOAMI.bytes(), "").await.expect(StatusCode::CREATED);
    assert_eq!(created.json()["access"], json!({ "policy": "authenticated" }));
    refused(&server.anonymous().get("whoami", "").await, 401, "unauthorized", &[]);
    let user = admin.with_token(&admin.user_token(json!({ "sub": "u-77" })).await);
    let reply = user.get("whoami", "").await.expect(StatusCode::OK);
    assert!(reply.text().contains("u-77"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_creates_a_function_and_the_next_one_its_next_version() {
    let server = start().await;
    let admin = server.admin();
    let bytes = guests::ISOLATION.bytes();
    let settings = "access=public&timeout_seconds=7&memory_limit_mb=65&fuel=123456789&allow_net=false&allow_env=false\
                    &description=a%20test&enabled=true";
    let created = admin.upload("f", bytes.clone(), settings).await.expect(StatusCode::CREATED).json();
    let expected = json!({
        "name": "f", "description": "a test", "version": 1, "enabled": true, "timeout_seconds": 7, "memory_limit_mb": 65,
        "fuel": 123_456_789, "allow_net": false, "allow_env": false, "allow_read": false, "allow_write": false,
        "cron_schedule": null, "access": { "policy": "public" }, "kind": "component", "size_bytes": bytes.len(),
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&created[name], value, "{name} in {created}");
    }
    for name in ["id", "world", "sha256", "created_at", "updated_at", "created_by"] {
        assert!(created[name].is_string(), "{name} in {created}");
    }
    assert_eq!(admin.manage(Method::GET, "/functions/f").send().await.expect(StatusCode::OK).json(), created);

    let next = admin.upload("f", guests::LIMITS.bytes(), "access=public").await.expect(StatusCode::OK).json();
    assert_eq!((&next["version"], &next["id"]), (&json!(2), &created["id"]));
    assert_ne!(next["sha256"], created["sha256"]);
    assert_eq!(server.anonymous().get("f", "/ok").await.expect(StatusCode::OK).text(), "ok");

    admin.upload("a", bytes, "").await.expect(StatusCode::CREATED);
    let list = admin.manage(Method::GET, "/functions").send().await.expect(StatusCode::OK).json();
    let names: Vec<_> = list.as_array().unwrap().iter().map(|function| function["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "f"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_function_is_gone_and_its_name_is_free() {
    let server = start().await;
    let admin = server.admin();
    let first = admin.put_component("f", guests::LIMITS, "").await;
    let deleted = admin.manage(Method::DELETE, "/functions/f").send().await.expect(StatusCode::NO_CONTENT);
    assert!(deleted.body.is_empty());
    refused(&server.anonymous().get("f", "/ok").await, 404, "not_found", &["function"]);
    refused(&admin.manage(Method::GET, "/functions/f").send().await, 404, "not_found", &["f"]);
    refused(&admin.manage(Method::DELETE, "/functions/f").send().await, 404, "not_found", &["f"]);

    let second = admin.put_component("f", guests::LIMITS, "").await;
    assert_eq!(second["version"], 1);
    assert_ne!(second["id"], first["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_change_by_json_and_make_a_new_version() {
    let server = start().await;
    let admin = server.admin();
    admin.put_component("f", guests::LIMITS, "timeout_seconds=9").await;
    let changed =
        admin.change("f", &json!({ "enabled": false, "fuel": 1_000_000 })).await.expect(StatusCode::OK).json();
    assert_eq!(changed["version"], 2);
    assert_eq!((&changed["enabled"], &changed["fuel"]), (&json!(false), &json!(1_000_000)));
    assert_eq!((&changed["timeout_seconds"], &changed["access"]), (&json!(9), &json!({ "policy": "public" })));

    refused(&server.anonymous().get("f", "/ok").await, 404, "not_found", &["function"]);
    admin.change("f", &json!({ "enabled": true })).await.expect(StatusCode::OK);
    server.anonymous().get("f", "/ok").await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_outlive_a_restart_and_a_kill() {
    let mut server = start().await;
    let created = server.admin().put_component("f", guests::LIMITS, "").await;
    for gracefully in [true, false] {
        if gracefully {
            server.restart().await;
        } else {
            server.kill().await;
            server.start_again().await;
        }
        assert_eq!(server.anonymous().get("f", "/ok").await.expect(StatusCode::OK).text(), "ok");
        let found = server.admin().manage(Method::GET, "/functions/f").send().await.expect(StatusCode::OK).json();
        assert_eq!(found, created);
    }
}

/// Deserialising a compiled artefact that somebody else wrote would run their machine code.
#[tokio::test(flavor = "multi_thread")]
async fn a_compiled_artefact_that_was_tampered_with_is_never_loaded() {
    let mut server = start().await;
    server.admin().put_component("f", guests::LIMITS, "").await;
    server.stop_gracefully().await;
    let elf_files: Vec<_> = files_below(server.data())
        .into_iter()
        .filter(|path| std::fs::read(path).unwrap().windows(4).take(4096).any(|bytes| bytes == b"\x7fELF"))
        .collect();
    assert!(!elf_files.is_empty(), "the compiled artefact is kept on disk");
    for path in elf_files {
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].fill(0xcc);
        std::fs::write(&path, bytes).unwrap();
    }
    server.start_again().await;
    assert_eq!(server.anonymous().get("f", "/ok").await.expect(StatusCode::OK).text(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_keeps_its_version() {
    let server = start().await;
    let admin = server.admin();
    admin.put_component("f", guests::WSTD_ECHO, "").await;
    let (call, mut pieces) = server.anonymous().invoke(Method::POST, "f", "/stream").pieces();
    let mut reply = call.start().await;
    reply.next().await.unwrap().unwrap();

    admin.put_component("f", guests::LIMITS, "").await;
    server.anonymous().get("f", "/ok").await.expect(StatusCode::OK);
    admin.manage(Method::DELETE, "/functions/f").send().await.expect(StatusCode::NO_CONTENT);

    pieces.send("still here").await;
    assert_eq!(reply.next().await.unwrap().unwrap(), "still here");
    drop(pieces);
    assert!(reply.next().await.is_none());
}
