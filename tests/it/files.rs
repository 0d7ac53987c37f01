//! The private directory of a function, from inside a sandbox.

use std::path::PathBuf;

use caddis_tests::{Client, Server, eventually, files_below, guests};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{options, refused, start};

async fn put(admin: &Client, name: &str, settings: &str) -> Value {
    admin.put_component(name, guests::FILES, settings).await
}

/// What came of these operations.
async fn carry_out(client: &Client, function: &str, operations: Value) -> Value {
    client.post(function, "/", &operations).await.expect(StatusCode::OK).json()
}

/// What came of one.
async fn one(client: &Client, function: &str, operation: Value) -> Value {
    carry_out(client, function, json!([operation])).await[0].clone()
}

fn error(kind: &str) -> Value {
    json!({ "error": kind })
}

fn directory(server: &Server, app: &str, function: &Value) -> PathBuf {
    server.data().join("apps").join(app).join("files").join(function["id"].as_str().unwrap())
}

const BOTH: &str = "allow_read=true&allow_write=true";

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn files_are_private_and_outlive_what_made_them() {
    let mut server = start().await;
    let admin = server.admin();
    let made = put(&admin, "f", BOTH).await;
    assert_eq!((&made["allow_read"], &made["allow_write"]), (&json!(true), &json!(true)));
    put(&admin, "g", BOTH).await;
    let all = json!([
        { "op": "preopens" },
        { "op": "write", "path": "/notes.txt", "text": "milk" },
        { "op": "append", "path": "notes.txt", "text": " and bread" },
        { "op": "mkdir", "path": "old" },
        { "op": "rename", "path": "notes.txt", "to": "old/notes.txt" },
        { "op": "write_at", "path": "old/notes.txt", "offset": 5, "text": "AND" },
        { "op": "read", "path": "old/../old/notes.txt" },
        { "op": "list", "path": "/" },
        { "op": "size", "path": "old/notes.txt" },
        { "op": "rmdir", "path": "old" },
    ]);
    let expected = json!([["/"], null, null, null, null, null, "milk AND bread", ["old"], 14, error("ENOTEMPTY"),]);
    assert_eq!(carry_out(&admin, "f", all).await, expected);
    let list = json!({ "op": "list", "path": "/" });
    assert_eq!(one(&admin, "g", list.clone()).await, json!([]), "another function has its own");
    let shop = admin.create_app("shop").await;
    put(&shop, "f", BOTH).await;
    assert_eq!(one(&shop, "f", list.clone()).await, json!([]), "and so has another app");

    put(&admin, "f", BOTH).await;
    let read = json!({ "op": "read", "path": "old/notes.txt" });
    assert_eq!(one(&admin, "f", read.clone()).await, "milk AND bread", "versions share it");
    server.restart().await;
    let admin = server.admin();
    assert_eq!(one(&admin, "f", read.clone()).await, "milk AND bread");

    let kept = directory(&server, "default", &made);
    assert_eq!(files_below(&kept).len(), 1);
    admin.manage(Method::DELETE, "/functions/f").send().await.expect(StatusCode::NO_CONTENT);
    assert!(!kept.exists());
    put(&admin, "f", BOTH).await;
    assert_eq!(one(&admin, "f", list).await, json!([]));
    admin.call(Method::DELETE, "/api/v1/apps/shop").send().await.expect(StatusCode::NO_CONTENT);
    assert!(!server.data().join("apps/shop").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn fx2_allow_read_and_allow_write_do_what_they_say() {
    let server = start().await;
    let admin = server.admin();
    put(&admin, "f", BOTH).await;
    one(&admin, "f", json!({ "op": "write", "path": "a", "text": "kept" })).await;
    let all = json!([
        { "op": "read", "path": "a" },
        { "op": "list", "path": "/" },
        { "op": "write", "path": "b", "text": "" },
        { "op": "append", "path": "a", "text": "x" },
        { "op": "set_len", "path": "a", "bytes": 0 },
        { "op": "mkdir", "path": "d" },
        { "op": "rename", "path": "a", "to": "b" },
        { "op": "remove", "path": "a" },
        { "op": "raw_write", "path": "a", "offset": 0, "bytes": 1 },
    ]);
    let denied = error("PermissionDenied");
    let allow = async |read: bool, write: bool| {
        admin.change("f", &json!({ "allow_read": read, "allow_write": write })).await.expect(StatusCode::OK);
    };
    allow(true, false).await;
    let mut expected = vec![denied.clone(); 9];
    (expected[0], expected[1]) = (json!("kept"), json!(["a"]));
    assert_eq!(carry_out(&admin, "f", all.clone()).await, json!(expected));
    allow(false, true).await;
    let blind = json!([
        { "op": "read", "path": "a" },
        { "op": "list", "path": "/" },
        { "op": "append", "path": "a", "text": " and more" },
    ]);
    assert_eq!(carry_out(&admin, "f", blind).await, json!([denied, denied, null]));
    allow(false, false).await;
    assert_eq!(one(&admin, "f", json!({ "op": "preopens" })).await, json!([]));
    allow(true, true).await;
    assert_eq!(one(&admin, "f", json!({ "op": "read", "path": "a" })).await, "kept and more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_takes_what_the_operator_allows_and_no_more() {
    let server = Server::start(options().flag("--files-mb", 1)).await;
    let admin = server.admin();
    let made = put(&admin, "f", BOTH).await;
    let one = async |operation: Value| one(&admin, "f", operation).await;
    // What the streams of WASI say is lost on the way through the standard library.
    let (mib, full, lost) = (1 << 20, json!("StorageFull"), json!("EIO"));
    let filled = one(json!({ "op": "fill", "path": "a", "bytes": 2 * mib })).await;
    assert_eq!((&filled["written"], &filled["error"]), (&json!(mib), &lost));
    for operation in [
        json!({ "op": "write", "path": "b", "text": "x" }),
        json!({ "op": "append", "path": "a", "text": "x" }),
        json!({ "op": "write_at", "path": "b", "offset": 1_u64 << 40, "text": "x" }),
    ] {
        assert_eq!(one(operation.clone()).await["error"], lost, "{operation}");
    }
    for operation in [
        json!({ "op": "raw_append", "path": "a", "bytes": 1 }),
        json!({ "op": "set_len", "path": "b", "bytes": 1 }),
        json!({ "op": "set_len", "path": "b", "bytes": 1_u64 << 60 }),
        json!({ "op": "raw_write", "path": "b", "offset": 0, "bytes": 1 }),
        json!({ "op": "raw_write", "path": "a", "offset": mib, "bytes": 1 }),
        json!({ "op": "mkdir", "path": "d" }),
    ] {
        assert_eq!(one(operation.clone()).await["error"], full, "{operation}");
    }
    assert_eq!(one(json!({ "op": "raw_write", "path": "a", "offset": mib - 4, "bytes": 4 })).await, 4);
    one(json!({ "op": "remove", "path": "a" })).await;
    // A name less is not a byte less while somebody has the file.
    let nameless = one(json!({ "op": "fill_nameless", "path": "c", "bytes": 2 * mib })).await;
    assert_eq!((&nameless["written"], &nameless["error"]), (&json!(0), &lost));
    assert_eq!(one(json!({ "op": "fill", "path": "a", "bytes": mib })).await, json!({ "written": mib }));
    let held: u64 =
        files_below(&directory(&server, "default", &made)).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!(held, mib, "b is empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_depth_and_open_files_have_their_limits() {
    let server = start().await;
    let admin = server.admin();
    put(&admin, "f", "allow_read=true&allow_write=true&fuel=100000000000").await;
    let one = async |operation: Value| one(&admin, "f", operation).await;
    assert_eq!(one(json!({ "op": "deep", "count": 100 })).await["depth"], 32);
    assert_eq!(one(json!({ "op": "write", "path": "a", "text": "" })).await, Value::Null);
    let open = one(json!({ "op": "open", "path": "a", "count": 100 })).await;
    assert_eq!((&open["open"], &open["error"]), (&json!(32), &json!("QuotaExceeded")), "{open}");
    let many = one(json!({ "op": "many", "path": "m", "count": 5_000 })).await;
    assert_eq!((&many["made"], &many["error"]), (&json!(4_096 - 33), &json!("StorageFull")), "{many}");
    assert_eq!(one(json!({ "op": "list", "path": "/" })).await.as_array().unwrap().len(), 4_096 - 31);
    admin.manage(Method::DELETE, "/functions/f").send().await.expect(StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_leads_out_of_the_directory() {
    let server = start().await;
    let admin = server.admin();
    let made = put(&admin, "f", BOTH).await;
    let one = async |operation: Value| one(&admin, "f", operation).await;
    let denied = error("PermissionDenied");
    one(json!({ "op": "write", "path": "a", "text": "kept" })).await;
    assert_eq!(one(json!({ "op": "link", "path": "a", "to": "b" })).await, denied);
    for target in ["a", "/etc/passwd", "../../../../caddis.sqlite"] {
        assert_eq!(one(json!({ "op": "symlink", "path": target, "to": "l" })).await, denied, "{target}");
    }
    let inside = directory(&server, "default", &made);
    std::os::unix::fs::symlink("../../../../caddis.sqlite", inside.join("planted")).unwrap();
    std::os::unix::fs::symlink("../../../..", inside.join("up")).unwrap();
    for path in ["../a", "/etc/passwd", "..", "planted", "up/caddis.sqlite", "up/master.key", "a/../../a"] {
        for op in ["raw_open", "read"] {
            let result = one(json!({ "op": op, "path": path })).await;
            assert!(result["error"].is_string(), "{op} {path}: {result}");
        }
        for operation in [
            json!({ "op": "write", "path": path, "text": "x" }),
            json!({ "op": "rename", "path": "a", "to": path }),
            json!({ "op": "mkdir", "path": path }),
            json!({ "op": "many", "path": format!("{path}/"), "count": 1 }),
        ] {
            // Above the root there is nothing: the standard library takes `..` off before it asks.
            let result = one(operation.clone()).await;
            let replaces_the_link = path == "planted" && operation["op"] == "rename";
            let stays_inside = path == "../a" || path == "a/../../a";
            assert!(result["error"].is_string() || stays_inside || replaces_the_link, "{operation}: {result}");
        }
    }
    assert!(std::fs::read(server.data().join("caddis.sqlite")).unwrap().starts_with(b"SQLite format 3"));
    let names: Vec<_> = std::fs::read_dir(server.data()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name != "a" && name != "x"), "{names:?}");
    // What a plain link does to a directory that is removed is nothing: it is not followed.
    admin.manage(Method::DELETE, "/functions/f").send().await.expect(StatusCode::NO_CONTENT);
    assert!(server.data().join("caddis.sqlite").exists() && !inside.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_the_same_time_share_one_account() {
    let server = Server::start(options().flag("--files-mb", 1)).await;
    let admin = server.admin();
    let made = put(&admin, "f", BOTH).await;
    let fill = |number: u32| {
        let admin = admin.clone();
        async move { one(&admin, "f", json!({ "op": "fill", "path": format!("{number}"), "bytes": 1 << 19 })).await }
    };
    let filled = futures::future::join_all((0..8).map(fill)).await;
    let written: u64 = filled.iter().map(|result| result["written"].as_u64().unwrap()).sum();
    let held: u64 =
        files_below(&directory(&server, "default", &made)).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!((written, held), (1 << 20, 1 << 20), "{filled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_that_write_do_not_hold_up_a_deletion() {
    let server = start().await;
    let admin = server.admin();
    let shop = admin.create_app("shop").await;
    for (app, name, gone) in [(&admin, "default", "/api/v1/functions/f"), (&shop, "shop", "/api/v1/apps/shop")] {
        let made = put(app, "f", BOTH).await;
        let kept = directory(&server, name, &made);
        let writers: Vec<_> = (0..4)
            .map(|number| {
                let app = app.clone();
                let many = json!([{ "op": "many", "path": format!("{number}-"), "count": 1_000 }]);
                tokio::spawn(async move { app.post("f", "/", &many).await.expect(StatusCode::OK).json()[0].clone() })
            })
            .collect();
        eventually("the first files", async || kept.join("0-0").exists().then_some(())).await;
        admin.call(Method::DELETE, gone).send().await.expect(StatusCode::NO_CONTENT);
        assert!(!kept.exists());
        for writer in writers {
            let result = writer.await.unwrap();
            assert!(result.is_null() || result["error"] == "NotFound", "{result}");
        }
        assert!(!kept.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_a_directory_is_a_setting_of_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let ended = options().flag("--files-mb", 0).run_to_end(folder.path()).await;
    let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && complaint.contains("--files-mb must be between 1"), "{complaint}");
    let server = start().await;
    let wrong = server.admin().upload("f", guests::FILES.bytes(), "allow_read=maybe").await;
    refused(&wrong, 400, "invalid_request", &["query"]);
}

/// Runs one statement after the other, and tells what each gave or threw.
const SCRIPT: &str = "export default async (req) => {
    const seen = [];
    for (const step of await req.json()) {
        try {
            const value = await (0, eval)(`(async () => (${step}))()`);
            seen.push(value instanceof Uint8Array ? [...value] : value ?? null);
        } catch (error) {
            const kind = Object.keys(Deno.errors).find((name) => error instanceof Deno.errors[name]) ?? error.constructor.name;
            seen.push(`${kind} ${error.code ?? error.message}`);
        }
    }
    return seen;
}";

async fn put_script(admin: &Client, allow_read: bool, allow_write: bool) {
    let body =
        json!({ "name": "s", "code": SCRIPT, "enabled": true, "allow_read": allow_read, "allow_write": allow_write });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

/// Insists on what each statement gives.
async fn run(admin: &Client, steps: &[(&str, Value)]) {
    let (statements, expected): (Vec<_>, Vec<_>) = steps.iter().cloned().unzip();
    assert_eq!(carry_out(admin, "s", json!(statements)).await, json!(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_have_files_as_deno_has_them() {
    let server = start().await;
    let admin = server.admin();
    put_script(&admin, true, true).await;
    run(
        &admin,
        &[
            ("Deno.writeTextFile('/notes.txt', 'héllo')", Value::Null),
            ("Deno.writeTextFile('notes.txt', ' you', { append: true })", Value::Null),
            ("Deno.readTextFile(new URL('file:///notes.txt'))", json!("héllo you")),
            ("Deno.readTextFileSync('./notes.txt')", json!("héllo you")),
            ("Deno.writeTextFile('notes.txt', 'x', { createNew: true })", json!("AlreadyExists EEXIST")),
            ("Deno.writeTextFile('none.txt', 'x', { create: false })", json!("NotFound ENOENT")),
            ("Deno.mkdir('a/b/c', { recursive: true })", Value::Null),
            ("Deno.mkdir('a')", json!("AlreadyExists EEXIST")),
            ("Deno.mkdir('a/b', { recursive: true })", Value::Null),
            ("Deno.writeFile('a/b/bytes', new Uint8Array([1, 2, 255]))", Value::Null),
            ("Deno.readFile('a/b/bytes')", json!([1, 2, 255])),
            ("Deno.writeFile('a/s', new Response('streamed').body)", Value::Null),
            ("Deno.rename('a/s', 'a/t')", Value::Null),
            ("Deno.copyFile('a/t', 'a/u')", Value::Null),
            ("Array.fromAsync(Deno.readDir('a')).then((all) => all.map((e) => [e.name, e.isFile, e.isDirectory]))",
                json!([["b", false, true], ["t", true, false], ["u", true, false]])),
            ("Deno.stat('a/u').then((s) => [s.size, s.isFile, s.isDirectory, Math.abs(Date.now() - s.mtime) < 60000])",
                json!([8, true, false, true])),
            ("Deno.remove('a')", json!("Error ENOTEMPTY")),
            ("Deno.remove('a', { recursive: true })", Value::Null),
            ("Deno.stat('a')", json!("NotFound ENOENT")),
            ("Deno.readTextFile('/')", json!("IsADirectory EISDIR")),
            ("Deno.readTextFile('../../../../master.key')", json!("PermissionDenied EPERM")),
            ("Deno.writeTextFile('a/../../x', '')", json!("PermissionDenied EPERM")),
            ("Deno.readTextFile('')", json!("IsADirectory EISDIR")),
            ("Deno.writeFile('big', new Uint8Array(8 * 1024 * 1024 + 1))", json!("Error EFBIG")),
            ("Deno.writeFile('notes.txt', 'text')", json!("TypeError The data is not a Uint8Array")),
        ],
    )
    .await;
    server
        .admin()
        .change("s", &json!({ "code": format!("const top = Deno.readTextFileSync('a'); {SCRIPT}") }))
        .await
        .expect(StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn fx2_allow_read_and_allow_write_do_what_they_say_in_programs() {
    let server = Server::start(options().flag("--files-mb", 1)).await;
    let admin = server.admin();
    put_script(&admin, false, false).await;
    let (read, write) = ("Deno.readTextFile('a')", "Deno.writeTextFile('a', 'x'.repeat(1 << 20))");
    run(&admin, &[(read, json!("PermissionDenied EACCES")), (write, json!("PermissionDenied EACCES"))]).await;
    let allow = json!({ "allow_write": true });
    admin.change("s", &allow).await.expect(StatusCode::OK);
    let full = "Deno.writeTextFile('b', 'x')";
    run(&admin, &[(write, Value::Null), (read, json!("PermissionDenied EACCES")), (full, json!("Error ENOSPC"))]).await;
    admin.change("s", &json!({ "allow_read": true, "allow_write": false })).await.expect(StatusCode::OK);
    let size = "Deno.readTextFile('a').then((text) => text.length)";
    run(&admin, &[(size, json!(1 << 20)), ("Deno.remove('a')", json!("PermissionDenied EACCES"))]).await;
}
