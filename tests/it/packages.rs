//! npm packages by name, from a registry that each test makes: the protocol, what is refused, and which versions a function keeps.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use bytes::Bytes;
use caddis_tests::stub::{Answer, answer};
use caddis_tests::{Reply, Server, Stub};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::options;

/// What a registry has, by path; tests may change it at any time.
#[derive(Clone, Default)]
struct Contents(Arc<Mutex<BTreeMap<String, Entry>>>);

#[derive(Clone)]
enum Entry {
    Package { latest: String, versions: BTreeMap<String, Value> },
    Tarball(Vec<u8>),
    Redirect(String),
    Status(u16),
    Endless,
}

struct Registry {
    stub: Stub,
    contents: Contents,
}

fn integrity(bytes: &[u8]) -> String {
    format!("sha512-{}", base64::engine::general_purpose::STANDARD.encode(sha2::Sha512::digest(bytes)))
}

/// A tarball with these files; names are taken as they are.
fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(text.len() as u64);
        header.set_cksum();
        tar.append(&header, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// An ES module package: its manifest's further fields, and `index.js`.
fn module(manifest: Value, code: &str) -> Vec<u8> {
    let mut whole = json!({"exports": "./index.js", "type": "module"});
    whole.as_object_mut().unwrap().extend(manifest.as_object().unwrap().clone());
    tarball(&[("package/package.json", &whole.to_string()), ("package/index.js", code)])
}

impl Contents {
    fn set(&self, path: &str, entry: Entry) {
        self.0.lock().unwrap().insert(path.to_owned(), entry);
    }

    /// Publishes a version, which becomes the latest.
    fn publish(&self, name: &str, version: &str, tarball: Vec<u8>) {
        let hash = integrity(&tarball);
        self.publish_as(name, version, tarball, &hash);
    }

    fn publish_as(&self, name: &str, version: &str, tarball: Vec<u8>, integrity: &str) {
        let path = format!("/{name}/tarballs/{version}.tgz");
        let dist = json!({"dist": {"tarball": format!("https://registry.npmjs.org{path}"), "integrity": integrity}});
        let mut contents = self.0.lock().unwrap();
        contents.insert(path, Entry::Tarball(tarball));
        let key = format!("/{}", name.replace('/', "%2f"));
        let mut versions = match contents.remove(&key) {
            Some(Entry::Package { versions, .. }) => versions,
            _ => BTreeMap::new(),
        };
        versions.insert(version.to_owned(), dist);
        contents.insert(key, Entry::Package { latest: version.to_owned(), versions });
    }

    fn answer(&self, path: &str) -> Answer {
        match self.0.lock().unwrap().get(path) {
            Some(Entry::Package { latest, versions }) => {
                let document = json!({"dist-tags": {"latest": latest}, "versions": versions}).to_string();
                let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
                compressed.write_all(document.as_bytes()).unwrap();
                let mut answer = answer(200, "application/vnd.npm.install-v1+json", compressed.finish().unwrap());
                answer.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
                answer
            }
            Some(Entry::Tarball(bytes)) => answer(200, "application/octet-stream", bytes.clone()),
            Some(Entry::Redirect(to)) => {
                let mut answer = answer(302, "text/plain", "");
                answer.headers_mut().insert("location", to.parse().unwrap());
                answer
            }
            Some(Entry::Status(status)) => answer(*status, "text/plain", "no"),
            Some(Entry::Endless) => {
                let zeros = futures::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[0; 64 * 1024]))));
                Response::new(StreamBody::new(zeros).boxed_unsync())
            }
            None => answer(404, "application/json", "{}"),
        }
    }
}

impl Registry {
    async fn start() -> Self {
        let contents = Contents::default();
        let served = contents.clone();
        let stub = Stub::start(move |request| served.answer(request.uri().path())).await;
        Self { stub, contents }
    }

    async fn server(&self) -> Server {
        let options = options().flag("--npm-registry", self.stub.url()).flag("--jsr-registry", self.stub.url());
        Server::start(options).await
    }
}

async fn create(server: &Server, files: Value) -> Reply {
    let body = json!({"name": "f", "files": files, "enabled": true, "access": {"policy": "public"}});
    server.admin().manage(Method::POST, "/functions").json(&body).send().await
}

async fn deploy(server: &Server, code: &str) -> Value {
    create(server, json!({"index.ts": code})).await.expect(StatusCode::CREATED).json()
}

async fn text(server: &Server) -> String {
    server.anonymous().get("f", "/").await.expect(StatusCode::OK).text()
}

/// Insists on a refusal with this status and code, whose first detail points at line 2 of the entry and has these parts.
#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str, parts: &[&str]) {
    assert_eq!(reply.status, status, "{}", reply.text());
    let body = reply.json();
    assert_eq!(body["code"], code, "{body}");
    let detail = &body["details"][0];
    assert_eq!((&detail["file"], &detail["line"]), (&json!("index.ts"), &json!(2)), "{body}");
    assert!(detail["frame"].as_str().unwrap().contains("> 2 | import"), "{body}");
    let message = format!("{} {}", detail["message"], detail["hint"]);
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
}

/// What becomes of a function that imports from `npm:a`.
async fn importing(registry: &Registry, specifier: &str) -> Reply {
    let server = registry.server().await;
    create(
        &server,
        json!({"index.ts": format!("// imports\nimport a from '{specifier}';\nexport default () => new Response(a)")}),
    )
    .await
}

/// `greet` needs `words`, as a range, and `words` is CommonJS.
fn publish_greet(contents: &Contents) {
    let code = "import words from 'words'; export default (name) => `${words.hello} ${name}`;";
    contents.publish("@org/greet", "1.2.0", module(json!({"dependencies": {"words": "^2.1"}}), code));
    let words = [("w/package.json", r#"{"main": "lib/main"}"#), ("w/lib/main.js", "exports.hello = 'hello';")];
    contents.publish("words", "2.3.4", tarball(&words));
}

const GREET: &str = "import greet from 'npm:@org/greet@^1'; export default () => new Response(greet('world'))";

#[tokio::test(flavor = "multi_thread")]
async fn packages_come_with_what_they_need_and_stay_without_the_registry() {
    let registry = Registry::start().await;
    publish_greet(&registry.contents);
    let mut server = registry.server().await;
    let function = deploy(&server, GREET).await;
    assert_eq!(text(&server).await, "hello world");
    let packages = function["packages"].as_array().unwrap();
    let greet = json!({"name": "@org/greet", "version": "1.2.0", "requirements": ["^1"], "integrity": packages[0]["integrity"]});
    assert_eq!((packages.len(), &packages[0]), (2, &greet), "{function}");
    assert_eq!((&packages[1]["version"], &packages[1]["requirements"]), (&json!("2.3.4"), &json!(["^2.1"])));
    assert_eq!(
        server.admin().manage(Method::GET, "/functions/f").send().await.json()["packages"],
        function["packages"]
    );

    let asked = registry.stub.requests().len();
    let redeployed = server.admin().change("f", &json!({"code": GREET})).await.expect(StatusCode::OK).json();
    assert_eq!(redeployed["packages"], function["packages"]);
    assert_eq!(registry.stub.requests().len(), asked, "a redeploy asks nobody");
    drop(registry);
    server.restart().await;
    assert_eq!(text(&server).await, "hello world");
    let code = GREET.replace("'world'", "'you'");
    server.admin().change("f", &json!({"code": code})).await.expect(StatusCode::OK);
    assert_eq!(text(&server).await, "hello you");
    let other = server.admin().change("f", &json!({"code": "\nimport a from 'npm:other';\nexport default a"})).await;
    refused(&other, 502, "registry_unavailable", &["other", "could not be reached", "127.0.0.1"]);
    assert_eq!(text(&server).await, "hello you");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_was_lost_is_fetched_again_as_it_was() {
    let registry = Registry::start().await;
    publish_greet(&registry.contents);
    let mut server = registry.server().await;
    deploy(&server, GREET).await;
    registry.contents.publish("words", "2.9.0", module(json!({}), "export default { hello: 'other' };"));
    server.stop_gracefully().await;
    std::fs::remove_dir_all(server.data().join("packages")).unwrap();
    server.start_again().await;
    assert_eq!(text(&server).await, "hello world");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_change_when_they_are_told_to() {
    let registry = Registry::start().await;
    let publish = |version: &str| {
        registry.contents.publish("a", version, module(json!({}), &format!("export default '{version}'")));
    };
    publish("1.0.0");
    let server = registry.server().await;
    let code = "import a from 'npm:a'; export default () => new Response(a)";
    deploy(&server, code).await;
    publish("1.1.0");
    publish("2.0.0");
    let admin = server.admin();
    admin.change("f", &json!({"code": format!("{code} ")})).await.expect(StatusCode::OK);
    assert_eq!(text(&server).await, "1.0.0");
    let pinned = code.replace("npm:a", "npm:a@1.1.0");
    admin.change("f", &json!({"code": pinned})).await.expect(StatusCode::OK);
    assert_eq!(text(&server).await, "1.1.0");
    admin.change("f", &json!({"code": code, "update_packages": true})).await.expect(StatusCode::OK);
    assert_eq!(text(&server).await, "2.0.0");
    let alone = server.admin().change("f", &json!({"update_packages": true})).await;
    assert_eq!(alone.status, StatusCode::BAD_REQUEST, "{}", alone.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_function_say_which_versions() {
    let registry = Registry::start().await;
    for version in ["1.0.0", "1.1.0", "1.2.0", "2.0.0"] {
        registry.contents.publish("a", version, module(json!({}), &format!("export default '{version}'")));
    }
    let server = registry.server().await;
    let code = "import a from 'a'; export default () => new Response(a)";
    let package = json!({"dependencies": {"a": "^1.0.0"}}).to_string();
    let npm = json!({"packages": {"node_modules/a": {"version": "1.1.0"}}}).to_string();
    let deno = json!({"version": "5", "specifiers": {"npm:a@1": "1.0.0"}, "npm": {"a@1.0.0": {}}}).to_string();
    for (files, version) in [
        (json!({"index.ts": code}), "2.0.0"),
        (json!({"index.ts": code, "package.json": package}), "1.2.0"),
        (json!({"index.ts": code, "package.json": package, "package-lock.json": npm}), "1.1.0"),
        (json!({"index.ts": code, "deno.json": r#"{"imports": {"a": "npm:a@1"}}"#, "deno.lock": deno}), "1.0.0"),
        (
            json!({"index.ts": code, "import_map.json": r#"{"imports": {"a": "https://esm.sh/a@1.1.0?target=deno"}}"#}),
            "1.1.0",
        ),
        (json!({"index.ts": code, "package.json": r#"{"dependencies": {"a": "npm:a@~1.1"}}"#}), "1.1.0"),
    ] {
        create(&server, files.clone()).await.expect(StatusCode::CREATED);
        assert_eq!(text(&server).await, version, "{files}");
        server.admin().manage(Method::DELETE, "/functions/f").send().await.expect(StatusCode::NO_CONTENT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_are_those_of_the_function_and_what_is_optional_may_be_missing() {
    let registry = Registry::start().await;
    let contents = &registry.contents;
    for version in ["1.0.0", "1.5.0"] {
        contents.publish("core", version, module(json!({}), &format!("export default '{version}'")));
    }
    let plugin = json!({"main": "index.cjs", "peerDependencies": {"core": "^1", "extra": "*"}, "peerDependenciesMeta": {"extra": {"optional": true}}});
    let code = "let extra = 'none'; try { extra = require('extra') } catch {} let ghost = 'none'; try { ghost = require('ghost') } catch {}
        module.exports = [require('core').default, extra, ghost].join(' ');";
    contents.publish("plugin", "1.0.0", tarball(&[("p/package.json", &plugin.to_string()), ("p/index.cjs", code)]));
    contents.publish("extra", "1.0.0", module(json!({}), "export default 1"));
    contents.publish("ghost", "1.0.0", module(json!({}), "export default 1"));
    let server = registry.server().await;
    deploy(&server, "import plugin from 'npm:plugin'; import core from 'npm:core@1.0.0'; export default () => new Response(core + ' ' + plugin)").await;
    assert_eq!(text(&server).await, "1.0.0 1.0.0 none none");
    assert!(!registry.stub.requests().iter().any(|line| line.contains("ghost") || line.contains("extra")));
}

#[tokio::test(flavor = "multi_thread")]
async fn jsr_packages_come_from_its_own_registry() {
    let registry = Registry::start().await;
    registry.contents.publish("@jsr/std__text", "1.0.1", module(json!({}), "export default 'from jsr'"));
    let server = registry.server().await;
    deploy(&server, "import a from 'jsr:@std/text@^1.0'; export default () => new Response(a)").await;
    assert_eq!(text(&server).await, "from jsr");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named() {
    let registry = Registry::start().await;
    registry.contents.publish("a", "1.4.0", module(json!({}), "export default 1"));
    let cases = [
        ("npm:nobody@^1", "Cannot find the package", "nobody@^1"),
        ("npm:a@^7", "^7", "the latest is 1.4.0"),
        ("npm:a/deep", "does not export", "./deep"),
        ("https://example.com/x.ts", "cannot be imported", "npm:"),
    ];
    for (specifier, part, other) in cases {
        refused(&importing(&registry, specifier).await, 400, "invalid_source", &[part, other]);
    }
    let server = Server::start(options().flag("--npm-registry", "off")).await;
    let off = create(&server, json!({"index.ts": "\nimport a from 'npm:a';\nexport default a"})).await;
    refused(&off, 400, "invalid_source", &["--npm-registry is off", "node_modules"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tarball_that_is_wrong_is_refused() {
    let good = module(json!({}), "export default 1");
    let with = |name: &str| tarball(&[("package/package.json", "{}"), (name, "1")]);
    let big = "x".repeat(300 << 20);
    let cases = [
        (good.clone(), Some(integrity(b"another")), "is not the one that was expected"),
        (good, Some("sha1-x".to_owned()), "no sha512 hash"),
        (with("package/../../../escape.js"), None, "outside of the package"),
        (with("/etc/escape.js"), None, "outside of the package"),
        (tarball(&[("package/package.json", "{}"), ("package/big.bin", &big)]), None, "unpacks to more than"),
        (b"<html>".to_vec(), None, "damaged"),
        (vec![0; 33 << 20], None, "more than 33554432 bytes"),
    ];
    for (bytes, hash, part) in cases {
        let registry = Registry::start().await;
        let hash = hash.unwrap_or_else(|| integrity(&bytes));
        registry.contents.publish_as("a", "1.0.0", bytes, &hash);
        refused(&importing(&registry, "npm:a").await, 400, "invalid_source", &[part]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_misbehaves_is_an_error_of_its_own() {
    let registry = Registry::start().await;
    let neighbour = Stub::start(|_| answer(200, "application/json", r#"{"versions": {}}"#)).await;
    let cases = [
        (Entry::Status(503), 502, "503"),
        (Entry::Status(403), 400, "403"),
        (Entry::Tarball(b"<html>".to_vec()), 502, "cannot be understood"),
        (Entry::Redirect("/a".to_owned()), 502, "redirects"),
        (Entry::Redirect(format!("{}/a", neighbour.url())), 502, "could not be reached"),
        (Entry::Redirect("file:///etc/passwd".to_owned()), 502, "redirects"),
        (Entry::Endless, 400, "more than 67108864 bytes"),
    ];
    for (entry, status, part) in cases {
        registry.contents.set("/a", entry);
        let code = if status == 502 { "registry_unavailable" } else { "invalid_source" };
        refused(&importing(&registry, "npm:a").await, status, code, &[part]);
    }
    assert!(neighbour.requests().is_empty(), "a redirect reaches what is closed to functions");
    registry.contents.publish("b", "1.0.0", module(json!({}), "export default 'moved'"));
    registry.contents.set("/a", Entry::Redirect("/b".to_owned()));
    importing(&registry, "npm:a").await.expect(StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_registry_holds_up_nobody() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let server = Server::start(options().flag("--npm-registry", address)).await;
    let waiting = server.admin();
    let waiting = tokio::spawn(async move {
        let body = json!({"name": "slow", "code": "import a from 'npm:a'; export default a"});
        waiting.manage(Method::POST, "/functions").json(&body).send().await
    });
    let (_connection, _) = silent.accept().await.unwrap();
    deploy(&server, "export default () => new Response('here')").await;
    assert_eq!(text(&server).await, "here");
    assert!(!waiting.is_finished());
    waiting.abort();
}
