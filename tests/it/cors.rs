//! What browsers are told about pages of other origins: the same in a preflight, an answer and an error.

use caddis_tests::{Client, Reply, Server};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{options, refused, start};

const PAGE: &str = "https://app.example";

async fn deploy(server: &Server, name: &str, settings: Value) {
    let code = "export default (req) => {
        if (req.method === 'PUT') throw new Error('no');
        const headers = { 'Access-Control-Allow-Origin': 'https://of-the-function.example', 'Vary': 'accept' };
        return new Response(req.method, { headers });
    }";
    let mut body = json!({ "name": name, "code": code, "enabled": true });
    for (field, value) in settings.as_object().unwrap() {
        body[field] = value.clone();
    }
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

async fn preflight(client: &Client, function: &str, origin: &str) -> Reply {
    preflight_of(client, &format!("/functions/v1/{function}/x"), origin).await
}

async fn preflight_of(client: &Client, target: &str, origin: &str) -> Reply {
    let call = client.call(Method::OPTIONS, target).header("origin", origin);
    let call = call.header("access-control-request-method", "PUT");
    call.header("access-control-request-headers", "authorization,x-mine").send().await
}

async fn call(client: &Client, method: Method, function: &str, origin: &str) -> Reply {
    client.invoke(method, function, "/x").header("origin", origin).send().await
}

#[track_caller]
fn assert_allowed(reply: &Reply, origin: &str) {
    assert_eq!(reply.header("access-control-allow-origin"), [origin], "{} {}", reply.status, reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn sb12_one_decision_is_for_preflights_answers_and_errors() {
    let server = start().await;
    let cors = json!({ "origins": [PAGE, "http://localhost:3000"], "credentials": true, "expose_headers": ["x-mine"] });
    deploy(&server, "f", json!({ "cors": cors })).await;
    let token = server.admin().user_token(json!({ "sub": "u" })).await;
    let (anybody, user) = (server.anonymous(), server.anonymous().with_token(&token));

    let allowed = preflight(&anybody, "f", PAGE).await.expect(StatusCode::NO_CONTENT);
    assert_allowed(&allowed, PAGE);
    for (name, value) in [
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "authorization,x-mine"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "600"),
    ] {
        assert_eq!(allowed.header(name), [value], "{name}");
    }
    assert!(allowed.body.is_empty());

    for (client, method, status) in [
        (&user, Method::GET, 200),
        (&anybody, Method::GET, 401),
        (&user, Method::PUT, 500),
        (&server.anonymous().with_token("a.b.c"), Method::GET, 401),
    ] {
        let reply = call(client, method, "f", PAGE).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
        assert_allowed(&reply, PAGE);
        assert_eq!(reply.header("access-control-allow-credentials"), ["true"]);
        assert!(reply.header("vary").contains(&"origin"), "{:?}", reply.header("vary"));
        let exposed = reply.header("access-control-expose-headers")[0].to_owned();
        assert!(exposed.contains("x-mine") && exposed.contains("caddis-execution-id"), "{exposed}");
    }

    let other = "https://app.example.evil";
    refused(&preflight(&anybody, "f", other).await, 403, "forbidden", &[other, "cors.origins"]);
    for (client, method) in [(&user, Method::GET), (&anybody, Method::GET), (&user, Method::PUT)] {
        let reply = call(client, method, "f", other).await;
        assert!(reply.header("access-control-allow-origin").is_empty(), "{}", reply.text());
        assert!(reply.header("vary").contains(&"origin"));
    }
    // Whoever is no browser notices nothing, and caches are told all the same.
    let plain = user.get("f", "/x").await.expect(StatusCode::OK);
    assert!(plain.header("access-control-allow-origin").is_empty());
    assert_eq!(plain.header("vary"), ["accept", "origin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_s_decision_is_for_all_functions_that_have_none() {
    let server = start().await;
    let admin = server.admin();
    deploy(&server, "f", json!({ "access": { "policy": "public" } })).await;
    let own = json!({ "origins": ["*"], "methods": ["GET", "PUT"], "headers": ["x-a"], "max_age_seconds": 5 });
    deploy(&server, "own", json!({ "access": { "policy": "public" }, "cors": own })).await;
    let change = json!({ "cors": { "origins": [PAGE] } });
    let change_app = |change: Value| admin.call(Method::PATCH, "/api/v1/apps/default").json(&change).send();
    let changed = change_app(change).await.expect(StatusCode::OK).json();
    assert_eq!(changed["cors"]["origins"], json!([PAGE]), "{changed}");
    let anybody = server.anonymous();
    assert_allowed(&call(&anybody, Method::GET, "f", PAGE).await, PAGE);
    assert_allowed(&call(&anybody, Method::GET, "missing", PAGE).await.expect(StatusCode::NOT_FOUND), PAGE);
    assert_allowed(&call(&anybody, Method::GET, "own", "https://whoever.example").await, "*");
    let allowed = preflight(&anybody, "own", "https://whoever.example").await.expect(StatusCode::NO_CONTENT);
    assert_eq!(allowed.header("access-control-allow-methods"), ["GET, PUT"]);
    assert_eq!(allowed.header("access-control-allow-headers"), ["x-a"]);
    assert_eq!(allowed.header("access-control-max-age"), ["5"]);

    admin.change("own", &json!({ "cors": null })).await.expect(StatusCode::OK);
    assert_allowed(&call(&anybody, Method::GET, "own", PAGE).await, PAGE);
    let bad = change_app(json!({ "cors": { "origins": ["*"], "credentials": true } })).await;
    refused(&bad, 400, "invalid_request", &["cors", "credentials"]);
    change_app(json!({ "cors": null })).await.expect(StatusCode::OK);
    assert_allowed(&call(&anybody, Method::GET, "f", PAGE).await, "https://of-the-function.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_without_settings_decides_and_the_host_s_own_errors_can_be_read() {
    let server = Server::start(options().variable("CADDIS_RATE_LIMITS", "invoke=1/day")).await;
    deploy(&server, "open", json!({ "access": { "policy": "public" }, "rate_limit": "off" })).await;
    deploy(&server, "closed", json!({})).await;
    let anybody = server.anonymous();
    let answered = preflight(&anybody, "open", PAGE).await.expect(StatusCode::OK);
    assert_eq!(answered.text(), "OPTIONS");
    assert_allowed(&answered, "https://of-the-function.example");
    assert_allowed(&call(&anybody, Method::PUT, "open", PAGE).await.expect(StatusCode::INTERNAL_SERVER_ERROR), "*");

    // A browser sends no token with the preflight. Supabase's functions are asked all the same; others cannot be, and the request itself
    // will tell.
    assert_eq!(preflight(&anybody, "closed", PAGE).await.expect(StatusCode::OK).text(), "OPTIONS");
    let made_up = anybody.call(Method::OPTIONS, "/functions/v1/closed/x").header("origin", PAGE);
    let made_up = made_up.header("access-control-request-method", "POST").body("no browser sends one");
    made_up.send().await.expect(StatusCode::NO_CONTENT);
    let allowed = preflight_of(&anybody, "/v2/function/closed/x", PAGE).await.expect(StatusCode::NO_CONTENT);
    assert_allowed(&allowed, "*");
    assert_eq!(allowed.header("access-control-allow-headers"), ["authorization,x-mine"]);
    assert!(allowed.header("access-control-allow-credentials").is_empty());
    let token = server.admin().user_token(json!({ "sub": "u" })).await;
    let user = anybody.with_token(&token);
    assert_allowed(
        &call(&user, Method::GET, "closed", PAGE).await.expect(StatusCode::OK),
        "https://of-the-function.example",
    );
    for (reply, status) in [
        (call(&user, Method::GET, "closed", PAGE).await, StatusCode::TOO_MANY_REQUESTS),
        (call(&anybody.with_token("a.b.c"), Method::GET, "closed", PAGE).await, StatusCode::TOO_MANY_REQUESTS),
        (call(&anybody, Method::GET, "missing", PAGE).await, StatusCode::NOT_FOUND),
        (call(&anybody, Method::GET, "a.b", PAGE).await, StatusCode::BAD_REQUEST),
        (call(&anybody.in_app("none"), Method::GET, "f", PAGE).await, StatusCode::NOT_FOUND),
    ] {
        assert_allowed(&reply.expect(status), "*");
    }
    assert!(anybody.get("missing", "").await.header("access-control-allow-origin").is_empty());
}
