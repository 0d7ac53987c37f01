//! Who may call a function, and what the function learns of the caller.

use caddis_tests::{Client, Reply, Server, guests};
use http::{Method, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::{options, refused};

const SECRET: &str = "a secret of the default app that is long enough";

async fn serve_to_users() -> Server {
    let server = Server::start(options().variable("CADDIS_JWT_SECRET", SECRET)).await;
    let admin = server.admin();
    admin.upload("f", guests::WSTD_ECHO.bytes(), "").await.expect(StatusCode::CREATED);
    server
}

/// Who the function says is calling.
async fn caller(client: &Client) -> Value {
    client.get("f", "/user").await.expect(StatusCode::OK).json()
}

fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// Seconds since 1970, now and some more.
fn from_now(seconds: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + seconds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_for_authenticated_callers_unless_it_says_otherwise() {
    let server = serve_to_users().await;
    refused_for(&server.anonymous().get("f", "/user").await);
    server.admin().change("f", &json!({ "access": { "policy": "public" } })).await.expect(StatusCode::OK);
    assert_eq!(caller(&server.anonymous()).await, Value::Null);
}

#[track_caller]
fn refused_for(reply: &Reply) {
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{}", reply.text());
    assert_eq!(reply.json()["code"], "unauthorized");
    assert_eq!(reply.header("www-authenticate"), ["Bearer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_sees_the_verified_claims_of_its_caller() {
    let server = serve_to_users().await;
    let admin = server.admin();
    let claims = json!({
        "sub": "u1", "email": "u1@example.com", "role": "editor", "groups": ["staff", "night"], "plan": { "seats": 3 },
    });
    let token = admin.user_token(claims.clone()).await;
    let seen = caller(&server.anonymous().with_token(&token)).await;
    for name in ["email", "role", "groups"] {
        assert_eq!(seen[name], claims[name], "{seen}");
    }
    assert_eq!(seen["id"], "u1");
    assert_eq!(seen["claims"]["plan"], claims["plan"]);
    assert!(seen["claims"]["exp"].as_i64().unwrap() <= from_now(3600));

    let seen = caller(&server.anonymous().with_token(&admin.user_token(json!({ "sub": "u2" })).await)).await;
    let defaults = [&seen["email"], &seen["role"], &seen["groups"]];
    assert_eq!(defaults, [&Value::Null, &json!("authenticated"), &json!([])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_made_elsewhere_with_the_app_s_secret_is_as_good() {
    let server = serve_to_users().await;
    let claims = json!({ "sub": "u9", "exp": from_now(60) });
    let token = sign(Algorithm::HS256, SECRET, &claims);
    assert_eq!(caller(&server.anonymous().with_token(&token)).await["id"], "u9");
    for header in ["bearer", "BEARER"] {
        let call = server.anonymous().invoke(Method::GET, "f", "/user");
        call.header("authorization", format!("{header} {token}")).send().await.expect(StatusCode::OK);
    }
    let call = server.anonymous().invoke(Method::GET, "f", "/user").header("apikey", &token);
    assert_eq!(call.send().await.expect(StatusCode::OK).json()["id"], "u9");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_expired_forged_or_not_yet_valid_is_refused() {
    let server = serve_to_users().await;
    let good = json!({ "sub": "u1", "exp": from_now(600) });
    let valid = sign(Algorithm::HS256, SECRET, &good);
    let (head_and_claims, signature) = valid.rsplit_once('.').unwrap();
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", head_and_claims.split_once('.').unwrap().1);
    let cases = [
        ("expired", sign(Algorithm::HS256, SECRET, &json!({ "sub": "u1", "exp": from_now(-3600) }))),
        (
            "not yet valid",
            sign(Algorithm::HS256, SECRET, &json!({ "sub": "u1", "exp": from_now(7200), "nbf": from_now(3600) })),
        ),
        ("another secret", sign(Algorithm::HS256, "another secret that is long enough too", &good)),
        ("another algorithm", sign(Algorithm::HS512, SECRET, &good)),
        ("no algorithm", unsigned),
        ("no signature", format!("{head_and_claims}.")),
        ("a changed signature", format!("{head_and_claims}.{}", signature.chars().rev().collect::<String>())),
        ("two parts", head_and_claims.to_owned()),
        ("no token", String::new()),
        ("no token at all", "....".to_owned()),
        ("a long one", "x".repeat(20_000)),
    ];
    for (case, token) in cases {
        let reply = server.anonymous().with_token(&token).get("f", "/user").await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{case}: {}", reply.text());
    }
    caller(&server.anonymous().with_token(&valid)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_opens_functions_until_it_is_deleted() {
    let server = serve_to_users().await;
    let admin = server.admin();
    let call = admin.manage(Method::POST, "/api-keys").json(&json!({ "name": "ci" }));
    let created = call.send().await.expect(StatusCode::CREATED).json();
    let key = created["key"].as_str().unwrap();
    assert!(key.starts_with("cak_"), "{key}");

    let with_key = server.anonymous().with_token(key);
    assert_eq!(caller(&with_key).await, Value::Null);
    let in_its_own_field = server.anonymous().invoke(Method::GET, "f", "/user").header("apikey", key);
    in_its_own_field.send().await.expect(StatusCode::OK);
    refused(&with_key.manage(Method::GET, "/functions").send().await, 401, "unauthorized", &[]);

    let list = admin.manage(Method::GET, "/api-keys").send().await.expect(StatusCode::OK);
    assert_eq!(list.json()[0]["name"], "ci");
    assert!(!list.text().contains(key), "a key is shown once");

    let path = format!("/api-keys/{}", created["id"].as_str().unwrap());
    admin.manage(Method::DELETE, &path).send().await.expect(StatusCode::NO_CONTENT);
    refused_for(&with_key.get("f", "/user").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_s_own_credentials_never_reach_a_function() {
    let server = serve_to_users().await;
    let admin = server.admin();
    let reply = admin.get("f", "/describe").await.expect(StatusCode::OK);
    assert!(!reply.text().contains(server.admin_token()), "{}", reply.text());

    let call = admin.manage(Method::POST, "/api-keys").json(&json!({ "name": "ci" }));
    let created = call.send().await.expect(StatusCode::CREATED).json();
    let key = created["key"].as_str().unwrap();
    for call in [
        server.anonymous().with_token(key).invoke(Method::GET, "f", "/describe"),
        server.anonymous().invoke(Method::GET, "f", "/describe").header("apikey", key),
        // As mistaken clients do.
        admin.invoke(Method::GET, "f", "/describe").header("apikey", format!("Bearer:{key}")),
        admin.invoke(Method::GET, "f", "/describe").header("sec-websocket-protocol", format!("caddis, bearer.{key}")),
    ] {
        let reply = call.send().await.expect(StatusCode::OK);
        assert!(!reply.text().contains(key), "{}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_claims_decide_who_may_call() {
    let server = serve_to_users().await;
    let admin = server.admin();
    let member = json!({ "sub": "u1", "groups": ["staff"], "department": "engineering" });
    let member = server.anonymous().with_token(&admin.user_token(member).await);
    let other = server.anonymous().with_token(&admin.user_token(json!({ "sub": "u2" })).await);
    for access in [
        json!({ "policy": "group", "groups": ["admin", "staff"] }),
        json!({ "policy": "metadata", "metadata": { "department": "engineering" } }),
    ] {
        admin.change("f", &json!({ "access": access })).await.expect(StatusCode::OK);
        member.get("f", "/describe").await.expect(StatusCode::OK);
        refused(&other.get("f", "/describe").await, 403, "forbidden", &["policy"]);
        refused(&server.anonymous().get("f", "/describe").await, 401, "unauthorized", &[]);
    }
}
