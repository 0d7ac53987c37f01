//! Tokens that others make: their keys given or published, and a reason for each that is refused.

use std::sync::{Arc, Mutex, PoisonError};

use caddis_tests::signer::sign_with_secret;
use caddis_tests::{Client, Server, Signer, Stub, stub};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{options, refused};

/// An issuer that publishes keys, which can be changed.
struct Issuer {
    stub: Stub,
    keys: Arc<Mutex<Value>>,
}

impl Issuer {
    async fn publishing(keys: Value) -> Self {
        let keys = Arc::new(Mutex::new(keys));
        let shared = keys.clone();
        let stub = Stub::start(move |_| {
            let keys = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
            stub::answer(200, "application/json", json!({ "keys": keys }).to_string())
        });
        Self { stub: stub.await, keys }
    }

    fn publish(&self, keys: Value) {
        *self.keys.lock().unwrap() = keys;
    }

    fn url(&self) -> String {
        format!("{}/.well-known/jwks.json", self.stub.url())
    }
}

async fn serve(admin: &Client) {
    let code = "export default (req, ctx) => new Response(ctx.user.id)";
    let body = json!({ "name": "who", "code": code, "enabled": true });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

async fn configure(server: &Server, change: Value) -> caddis_tests::Reply {
    server.admin().call(Method::PATCH, "/api/v1/apps/default").json(&change).send().await
}

/// The claims of a token that is in order.
fn claims(more: Value) -> Value {
    let mut claims = json!({ "sub": "u1", "iss": "https://issuer.example", "aud": "caddis", "exp": seconds(600) });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// Seconds since 1970, now and some more.
fn seconds(more: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + more
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_given_to_the_app_open_it_and_each_refusal_has_its_reason() {
    let server = Server::start(options()).await;
    serve(&server.admin()).await;
    let (rs, es, ed) = (Signer::rs256(), Signer::es256(), Signer::ed25519());
    let keys = json!([rs.jwk("rs"), es.jwk("es"), { "kid": "ed", "pem": ed.pem() }]);
    let change = json!({ "issuers": [{ "issuer": "https://issuer.example", "audiences": ["caddis"], "keys": keys }] });
    let changed = configure(&server, change.clone()).await.expect(StatusCode::OK);
    assert_eq!(changed.json()["issuers"], change["issuers"]);
    let call = async |token: String| server.anonymous().with_token(&token).get("who", "").await;

    for (signer, kid) in [(&rs, "rs"), (&es, "es"), (&ed, "ed")] {
        let reply = call(signer.sign(Some(kid), &claims(json!({})))).await.expect(StatusCode::OK);
        assert_eq!(reply.text(), "u1");
    }
    let unsigned = es.sign(Some("es"), &claims(json!({})));
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", unsigned.split('.').nth(1).unwrap());
    let confused = sign_with_secret(rs.pem().as_bytes(), Some("rs"), &claims(json!({})));
    for (code, token) in [
        ("token_algorithm", unsigned),
        ("token_algorithm", confused),
        ("token_unknown_key", es.sign(Some("other"), &claims(json!({})))),
        ("token_signature", Signer::es256().sign(Some("es"), &claims(json!({})))),
        ("token_expired", es.sign(Some("es"), &claims(json!({ "exp": seconds(-600) })))),
        ("token_not_yet_valid", es.sign(Some("es"), &claims(json!({ "nbf": seconds(300) })))),
        ("token_audience", es.sign(Some("es"), &claims(json!({ "aud": "another" })))),
        ("token_issuer", es.sign(Some("es"), &claims(json!({ "iss": "https://another.example" })))),
        ("token_claim", es.sign(Some("es"), &claims(json!({ "sub": null })))),
        ("token_malformed", "a.b.c".to_owned()),
        ("unauthorized", "nothing".to_owned()),
    ] {
        let reply = call(token).await;
        refused(&reply, 401, code, &[]);
        let challenge = reply.header("www-authenticate")[0].to_owned();
        assert_eq!(challenge.contains("invalid_token"), code != "unauthorized", "{code}: {challenge}");
    }
    // The app's own tokens are as good as before, and its settings survive a restart.
    let own = server.admin().user_token(json!({ "sub": "own" })).await;
    assert_eq!(call(own).await.expect(StatusCode::OK).text(), "own");
    let mut server = server;
    server.restart().await;
    let reply = server.anonymous().with_token(&es.sign(Some("es"), &claims(json!({})))).get("who", "").await;
    assert_eq!(reply.expect(StatusCode::OK).text(), "u1");
}

#[tokio::test(flavor = "multi_thread")]
async fn published_keys_are_fetched_before_they_are_needed_and_again_when_they_change() {
    let server = Server::start(options().flag("--allow-egress", "127.0.0.0/8")).await;
    serve(&server.admin()).await;
    let (old, new) = (Signer::es256(), Signer::rs256());
    let issuer = Issuer::publishing(json!([old.jwk("old")])).await;
    let change = json!({ "issuers": [{ "issuer": "https://issuer.example", "jwks_url": issuer.url() }] });
    configure(&server, change).await.expect(StatusCode::OK);
    let call = async |token: &str| server.anonymous().with_token(token).get("who", "").await;
    let with_old = old.sign(Some("old"), &claims(json!({})));
    for _ in 0..5 {
        call(&with_old).await.expect(StatusCode::OK);
    }
    assert_eq!(issuer.stub.requests(), ["GET /.well-known/jwks.json"]);

    issuer.publish(json!([old.jwk("old"), new.jwk("new")]));
    call(&new.sign(Some("new"), &claims(json!({})))).await.expect(StatusCode::OK);
    call(&with_old).await.expect(StatusCode::OK);
    for kid in ["x", "y"] {
        refused(&call(&new.sign(Some(kid), &claims(json!({})))).await, 401, "token_unknown_key", &["kid"]);
    }
    assert_eq!(issuer.stub.requests().len(), 2, "an invented kid is no reason to ask again at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_s_key_url_goes_only_where_functions_may_and_the_operator_s_anywhere() {
    let signer = Signer::es256();
    let issuer = Issuer::publishing(json!([signer.jwk("k")])).await;
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("caddis.toml");
    let toml = |url: &str| format!("[[issuers.default]]\nissuer = \"https://issuer.example\"\njwks_url = \"{url}\"\n");
    std::fs::write(&file, toml(&issuer.url())).unwrap();
    let server = Server::start(options().flag("--config", file.display())).await;
    serve(&server.admin()).await;
    let token = signer.sign(Some("k"), &claims(json!({})));
    server.anonymous().with_token(&token).get("who", "").await.expect(StatusCode::OK);

    let asked = issuer.stub.requests().len();
    let change = json!({ "issuers": [{ "issuer": "mine", "jwks_url": issuer.url() }] });
    refused(&configure(&server, change).await, 400, "invalid_request", &["issuers[0].jwks_url", "reached"]);
    let change = json!({ "issuers": [{ "issuer": "mine", "jwks_url": "http://issuer.example/keys" }] });
    refused(&configure(&server, change).await, 400, "invalid_request", &["issuers[0].jwks_url", "https"]);
    let private = json!({ "kty": "EC", "crv": "P-256", "x": "", "y": "", "d": "planted-secret" });
    let reply = configure(&server, json!({ "issuers": [{ "keys": [private] }] })).await;
    refused(&reply, 400, "invalid_request", &["issuers[0].keys[0]", "private"]);
    assert!(!reply.text().contains("planted-secret"));
    assert_eq!(issuer.stub.requests().len(), asked);

    std::fs::write(&file, toml("nowhere")).unwrap();
    let output = options().flag("--config", file.display()).run_to_end(directory.path()).await;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && complaint.contains("jwks_url"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_not_there_is_not_the_caller_s_fault() {
    let server = Server::start(options().flag("--allow-egress", "127.0.0.0/8")).await;
    serve(&server.admin()).await;
    let signer = Signer::es256();
    let issuer = Issuer::publishing(json!([signer.jwk("k")])).await;
    let change = json!({ "issuers": [{ "issuer": "https://issuer.example", "jwks_url": issuer.url() }] });
    configure(&server, change).await.expect(StatusCode::OK);
    let mut server = server;
    server.stop_gracefully().await;
    drop(issuer);
    server.start_again().await;
    let reply = server.anonymous().with_token(&signer.sign(Some("k"), &claims(json!({})))).get("who", "").await;
    refused(&reply, 503, "keys_unavailable", &["cannot be fetched"]);
    assert_eq!(reply.header("retry-after"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_s_audience_and_secret_can_be_changed() {
    let server = Server::start(options()).await;
    serve(&server.admin()).await;
    let before = server.admin().user_token(json!({ "sub": "u" })).await;
    let call = async |token: &str| server.anonymous().with_token(token).get("who", "").await;
    configure(&server, json!({ "audiences": ["shop"] })).await.expect(StatusCode::OK);
    refused(&call(&before).await, 401, "token_audience", &["aud"]);
    let for_shop = server.admin().user_token(json!({ "sub": "u" })).await;
    call(&for_shop).await.expect(StatusCode::OK);

    refused(&configure(&server, json!({ "jwt_secret": "short" })).await, 400, "invalid_request", &["32 bytes"]);
    let secret = "a new secret that has thirty-two bytes";
    let changed = configure(&server, json!({ "jwt_secret": secret, "audiences": null })).await.expect(StatusCode::OK);
    assert!(!changed.text().contains(secret), "{}", changed.text());
    refused(&call(&for_shop).await, 401, "token_signature", &[]);
    let token = sign_with_secret(secret.as_bytes(), None, &json!({ "sub": "u", "exp": seconds(60) }));
    call(&token).await.expect(StatusCode::OK);
}
