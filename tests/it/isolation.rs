//! Every request has an instance that did not exist before it.

use caddis_tests::{Client, Options, Server, guests};
use http::{Method, StatusCode};
use tokio::task::JoinSet;

use crate::options;

/// Random, so that no program contains it by chance.
const PATTERN: &[u8; 16] = b"\x91k\xf2\x07\xd8\x3c\xa5\xee\x12\x84\x5f\xb9\x60\xcb\x2d\xf6";
/// The guest expects what it searches for with each byte XORed with this.
const MASK: u8 = 0x5a;

async fn serve(options: Options) -> Server {
    let server = Server::start(options).await;
    server.admin().put_component("f", guests::ISOLATION, "fuel=100000000000&timeout_seconds=300").await;
    server
}

async fn ask(client: &Client, path: &str, body: &[u8]) -> u64 {
    let reply = client.invoke(Method::POST, "f", path).body(body.to_vec()).send().await.expect(StatusCode::OK);
    reply.text().parse().unwrap()
}

fn masked(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| byte ^ MASK).collect()
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn a_global_has_its_first_value_in_every_request() {
    let server = serve(options()).await;
    for _ in 0..20 {
        assert_eq!(ask(&server.anonymous(), "/count", b"").await, 42);
    }
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let client = server.anonymous();
        calls.spawn(async move { ask(&client, "/count", b"").await });
    }
    assert!(calls.join_all().await.iter().all(|&count| count == 42));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_one_request_never_shows_in_another() {
    // Gigabytes are written and searched.
    let server = serve(options().alone()).await;
    // The search finds what is there: else finding nothing would mean nothing.
    assert!(ask(&server.anonymous(), "/search", &masked(b"the memory may grow to")).await >= 1);
    assert!(ask(&server.anonymous(), "/search", &masked(&[0; 16])).await > 1_000_000);

    for _ in 0..4 {
        let mut fillers = JoinSet::new();
        for _ in 0..8 {
            let client = server.anonymous();
            fillers.spawn(async move { ask(&client, "/fill", PATTERN).await });
        }
        assert!(fillers.join_all().await.iter().all(|&copies| copies > 1_000_000));
        let mut searchers = JoinSet::new();
        for _ in 0..8 {
            let client = server.anonymous();
            searchers.spawn(async move { ask(&client, "/search", &masked(PATTERN)).await });
        }
        assert_eq!(searchers.join_all().await, [0; 8]);
    }
}

/// A program that keeps much or little at top level, with words that no other has.
fn keeper(number: usize) -> String {
    format!(
        "const words = Array.from({{ length: {} }}, (_, n) => `word {number} ${{n}}`);
         globalThis.of{number} = words;
         export default () => {{
             const others = Object.keys(globalThis).filter((name) => /^of[0-9]/.test(name));
             const same = words.every((word, n) => word === `word {number} ${{n}}`);
             words.fill('overwritten');
             return Response.json([others, same]);
         }};",
        // The last one has more than what functions share takes.
        [10, 300, 4_000, 100_000][number]
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_start_on_the_same_memory_see_nothing_of_each_other() {
    let server = Server::start(options()).await;
    let name = |number: usize| format!("keeper{number}");
    let deploy = async |number: usize, code: String| {
        let body = serde_json::json!({ "name": name(number), "code": code, "enabled": true, "access": { "policy": "public" } });
        server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
    };
    for number in 0..4 {
        deploy(number, keeper(number)).await;
    }
    let mut calls = JoinSet::new();
    for call in 0..200 {
        let (client, number) = (server.anonymous(), call % 4);
        let name = name(number);
        calls.spawn(async move { (number, client.get(&name, "/").await.expect(StatusCode::OK).text().to_owned()) });
    }
    for (number, text) in calls.join_all().await {
        assert_eq!(text, format!("[[\"of{number}\"],true]"));
    }
    // Nor does one that came after another of its name.
    server.admin().manage(Method::DELETE, "/functions/keeper1").send().await;
    deploy(1, "export default () => [typeof of1, typeof of0]".to_owned()).await;
    for _ in 0..20 {
        let reply = server.anonymous().get("keeper1", "/").await.expect(StatusCode::OK);
        assert_eq!(reply.text(), r#"["undefined","undefined"]"#);
        server.anonymous().get("keeper2", "/").await.expect(StatusCode::OK);
    }
}
