//! Images: what is frozen, what is fresh, and what they cost.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future;
use javy_shim::{ENGINE, standalone};
use sha2::{Digest, Sha256};

use crate::host::{Call, Written, host};

#[tokio::test]
async fn a_thousand_requests_start_from_the_same_state_with_fresh_randomness_and_time() {
    let function = host()
        .deploy_source(
            "let counter = 0; const frozen = crypto.randomUUID(); Math.random();
             export default () => [++counter, frozen, crypto.randomUUID(), Math.random(), Date.now(), performance.now()]",
        )
        .await;
    let answers = future::join_all((0..1000).map(|_| function.get())).await;
    let texts: Vec<String> = answers.iter().map(|outcome| outcome.text()).collect();
    let field = |index: usize| {
        texts.iter().map(|text| text.split(',').nth(index).expect("field").to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(field(0), BTreeSet::from(["[1".to_owned()]));
    assert_eq!(field(1).len(), 1);
    assert_eq!(field(2).len(), 1000);
    assert_eq!(field(3).len(), 1000);
    assert!(field(4).len() > 1, "time stands still");
    assert!(field(5).iter().all(|text| text.trim_end_matches(']').parse::<f64>().expect("a number") < 5_000.0));
}

#[tokio::test]
async fn timers_that_were_set_at_top_level_have_their_rest_to_run() {
    let function = host()
        .deploy_source("const tick = new Promise((r) => setTimeout(() => r('tick'), 30)); export default () => tick.then((t) => new Response(t))")
        .await;
    let outcome = function.get().await;
    assert_eq!(outcome.text(), "tick");
    assert!(outcome.took > Duration::from_millis(20), "{:?}", outcome.took);
}

#[tokio::test]
async fn a_standalone_component_answers_like_the_image() {
    let function =
        host().deploy_source("const x = 41; export default (req) => new Response(`${x + 1} ${req.method}`)").await;
    let component = standalone::component(&function.image).expect("encodes");
    wasmparser::validate(&component).expect("valid");
    assert_eq!(host().exports(&component), ["caddis:function/handler@0.1.0"]);
    assert_eq!(host().call_component(&component, Call::post("x")).await.text(), "42 POST");
}

#[test]
fn the_committed_files_have_the_committed_sums() {
    let sums = include_str!("../../prebuilt/engine.wasm.sha256");
    for (name, bytes) in [("engine.wasm", ENGINE), ("base.wasm", javy_shim::BASE_IMAGE)] {
        let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(sums.contains(&format!("{sum}  {name}\n")), "{name}");
    }
}

const LARGE: &str = "const rows = Array.from({ length: 40_000 }, (_, n) => ({ n, text: 'row ' + n }));
    export default (req) => new Response(req.method + ' ' + rows.length + rows[39_999].text)";

#[tokio::test]
async fn a_program_that_keeps_much_starts_on_its_image_and_others_answer_the_same_on_theirs() {
    let large = host().deploy_source(LARGE).await;
    assert!(large.changes.is_none());
    assert_eq!(large.get().await.text(), "GET 40000row 39999");
    let small =
        host().deploy_source("const x = { y: [41] }; export default (req) => [x.y[0]++, x.y[0], req.method]").await;
    let size = small.changes.as_ref().map(Vec::len);
    assert!(size.is_some_and(|size| size < 16_384), "{size:?}");
    assert_eq!(small.get().await.text(), host().on_its_image(&small).get().await.text());
}

#[tokio::test]
async fn nothing_of_one_program_is_there_for_another_in_its_place() {
    let source = |text: &str| {
        format!(
            "globalThis.{text} = Array.from({{ length: 500 }}, (_, n) => ({{ n, text: '{text}'.repeat(3) + n }}));
             export default (req) => [Object.keys({text}).length, {text}.map((item) => item.text + req.method).join().length]"
        )
    };
    let deployed = [host().deploy_source(&source("firstfirst")).await, host().deploy_source(&source("second")).await];
    let [first, second] = host().side_by_side(deployed);
    let clean = second.memory().await;
    let contains = |memory: &[u8], text: &[u8]| memory.windows(text.len()).any(|bytes| bytes == text);
    assert!(contains(&first.memory().await, b"firstfirst") && !contains(&clean, b"firstfirst"));
    for _ in 0..20 {
        // All places are taken by the one and then, as no others are free, by the other.
        for outcome in future::join_all((0..64).map(|_| first.get())).await {
            assert_eq!(outcome.text(), "[500,18389]");
        }
        assert!(second.memory().await == clean);
    }
}

#[tokio::test]
async fn a_small_request_writes_to_few_pages() {
    let function = host().deploy_source("export default async (req) => Response.json(await req.json())").await;
    let outcome = function.call(Call { measured: true, ..typical_call() }).await;
    assert_eq!(outcome.text(), r#"{"hello":"world","n":[1,2,3]}"#);
    let Written { pages, groups } = outcome.written;
    assert!((1..=40).contains(&pages) && groups <= 16, "{pages} pages in {groups} groups");
}

/// Fuel counts instructions and is the same on every machine. The bounds are a tenth above what there is.
#[tokio::test]
async fn a_small_request_takes_few_instructions() {
    for (code, most) in [
        ("Deno.serve(() => new Response('hello'))", 77_000),
        ("export default async (req) => Response.json(await req.json())", 182_000),
        ("export default (req, ctx) => ({ method: req.method, user: ctx.user?.id })", 113_000),
    ] {
        let function = host().deploy_source(code).await;
        let fuel = function.call(Call { measured: true, ..typical_call() }).await.fuel;
        assert!(fuel <= most, "{code}: {fuel}");
    }
}

/// Not a test of speed: it prints what the README states.
/// `cargo test --release -p javy-shim --test engine -- --ignored --nocapture figures`.
#[tokio::test]
#[ignore = "prints figures"]
async fn figures() {
    let programs = [
        ("constant", "export default () => new Response('x')"),
        ("JSON echo", "export default async (req) => Response.json(await req.json())"),
        (
            "20 headers",
            "export default (req) => {
               const headers = new Headers();
               for (const [name, value] of req.headers) headers.set(name, value);
               return new Response(null, { headers });
             }",
        ),
        ("value", "export default () => 1"),
    ];
    println!("engine {} bytes", ENGINE.len());
    for (name, code) in programs {
        let mut deploys = Vec::new();
        for _ in 0..20 {
            deploys.push(host().deploy_source(code).await.steps);
        }
        deploys.sort();
        let function = host().deploy_source(code).await;
        let mut calls = Vec::new();
        for _ in 0..3_000 {
            let outcome = function.call(typical_call()).await;
            outcome.text();
            calls.push((outcome.took, outcome.instantiated));
        }
        calls.sort();
        let measured = function.call(Call { measured: true, ..typical_call() }).await;
        println!(
            "{name}: image {} bytes, changes {:?}; evaluate, copy, encode, compile {:?}; request and its instantiation {:?}, p99 {:?}; fuel {}; {:?}",
            function.image.len(),
            function.changes.as_ref().map(Vec::len),
            deploys[10],
            calls[1_500],
            calls[2_970],
            measured.fuel,
            measured.written,
        );
    }
}

/// What a browser sends through a proxy: 20 header fields and a small JSON body.
fn typical_call() -> Call {
    let headers = vec![
        ("host", "example.com"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "en-US,en;q=0.9"),
        ("apikey", "anon"),
        ("authorization", "Bearer abc.def.ghi"),
        ("cache-control", "no-cache"),
        ("content-length", "29"),
        ("content-type", "application/json"),
        ("cookie", "session=0123456789abcdef"),
        ("dnt", "1"),
        ("origin", "https://app.example.com"),
        ("referer", "https://app.example.com/"),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "cross-site"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
        ("x-client-info", "example/1.0"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-request-id", "00000000-0000-4000-8000-000000000000"),
    ];
    Call { headers, ..Call::post(r#"{"hello":"world","n":[1,2,3]}"#) }
}
