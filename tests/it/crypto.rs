//! Cryptography: the Web Cryptography API in JavaScript functions, and what it may cost.

use std::time::{Duration, Instant};

use caddis_tests::Server;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::start;

async fn deploy(server: &Server, code: &str, timeout_seconds: u32) {
    let body = json!({
        "name": "f", "code": code, "enabled": true, "access": {"policy": "public"},
        "timeout_seconds": timeout_seconds, "fuel": 100_000_000_000_u64,
    });
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_algorithm_gives_its_known_answers() {
    let server = start().await;
    let code =
        format!("const VECTORS = {};\n{}", include_str!("crypto/vectors.json"), include_str!("crypto/algorithms.js"));
    deploy(&server, &code, 30).await;
    assert_eq!(server.anonymous().get("f", "/").await.expect(StatusCode::OK).json(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_imported_at_top_level_serves_every_request() {
    let server = start().await;
    let code = "const key = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']);
        const algorithm = { name: 'ECDSA', hash: 'SHA-256' };
        export default async () => {
            const data = crypto.getRandomValues(new Uint8Array(8));
            const signature = await crypto.subtle.sign(algorithm, key.privateKey, data);
            return Response.json(await crypto.subtle.verify(algorithm, key.publicKey, signature, data));
        }";
    deploy(&server, code, 30).await;
    for _ in 0..3 {
        assert_eq!(server.anonymous().get("f", "/").await.json(), Value::Bool(true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_derivation_without_end_ends_when_its_time_does() {
    let server = start().await;
    let code = "export default async () => {
            const key = await crypto.subtle.importKey('raw', new Uint8Array(8), 'PBKDF2', false, ['deriveBits']);
            const algorithm = { name: 'PBKDF2', hash: 'SHA-512', salt: new Uint8Array(8), iterations: 4294967295 };
            return Response.json(await crypto.subtle.deriveBits(algorithm, key, 512));
        }";
    deploy(&server, code, 1).await;
    let begin = Instant::now();
    let reply = server.anonymous().get("f", "/").await.expect(StatusCode::REQUEST_TIMEOUT);
    assert_eq!(reply.json()["code"], "timeout");
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_over_the_limit_are_refused_by_name() {
    let server = start().await;
    let code = "export default async (req) => {
            const key = await crypto.subtle.importKey('raw', new Uint8Array(16), 'AES-GCM', false, ['encrypt']);
            const size = Number(new URL(req.url).searchParams.get('size'));
            try {
                const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv: new Uint8Array(12) }, key, new Uint8Array(size));
                return Response.json(sealed.byteLength);
            } catch (error) { return new Response(`${error.name}: ${error.message}`); }
        }";
    deploy(&server, code, 30).await;
    assert_eq!(server.anonymous().get("f", "/?size=4000000").await.json(), json!(4_000_016));
    for size in ["8388609", "20000000"] {
        let reply = server.anonymous().get("f", &format!("/?size={size}")).await.text();
        assert!(reply.starts_with("OperationError: ") && reply.contains("8388608"), "{reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_keys_are_errors_a_script_can_catch() {
    let server = start().await;
    let code =
        format!("const VECTORS = {};\n{}", include_str!("crypto/vectors.json"), include_str!("crypto/damage.js"));
    deploy(&server, &code, 60).await;
    let reply = server.anonymous().get("f", "/").await.expect(StatusCode::OK).json();
    assert_eq!(reply["unexpected"], json!([]));
    assert!(reply["refused"].as_u64().is_some_and(|refused| refused > 100), "{reply}");
}
