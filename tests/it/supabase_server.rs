//! `@supabase/server`, with which Supabase's newer examples wrap their handlers: those of its documentation, as they are there.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use caddis_tests::{Reply, Server, Signer, Stub, stub};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::npm::{WITH_REGISTRY, locked};

/// Deploys a public function with the package, at the version of the lock file.
async fn deploy(server: &Server, name: &str, code: &str) {
    let files = json!({
        "index.ts": code, "package.json": locked("package.json"), "package-lock.json": locked("package-lock.json")
    });
    let body = json!({ "name": name, "files": files, "enabled": true, "access": { "policy": "public" } });
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

/// The claims of a token of Supabase's, good for a minute.
fn claims(subject: &str) -> Value {
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(60);
    json!({ "sub": subject, "email": "ada@example.com", "role": "authenticated", "aud": "authenticated", "exp": soon.as_secs() })
}

#[track_caller]
fn refused(reply: &Reply, code: &str) {
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::UNAUTHORIZED, &json!(code)), "{}", reply.text());
    assert_eq!(reply.header("access-control-allow-origin"), ["*"], "pages can read why");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_known_by_the_keys_of_the_project() {
    let signer = Signer::es256();
    let keys = json!({ "keys": [signer.jwk("k1")] }).to_string();
    let project = Stub::start(move |request| {
        let field = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let answer = match request.uri().path() {
            "/auth/v1/.well-known/jwks.json" => keys.clone(),
            _ => json!([{ "game": "go", "apikey": field("apikey"), "authorization": field("authorization") }])
                .to_string(),
        };
        stub::answer(200, "application/json", answer)
    })
    .await;
    let server = Server::start(WITH_REGISTRY.clone().flag("--allow-egress", project.address())).await;
    server.admin().set_secrets(json!({ "SUPABASE_URL": project.url() })).await;
    let code = "import { withSupabase } from '@supabase/server'

export default {
  fetch: withSupabase({ auth: 'user' }, async (_req, ctx) => {
    // RLS-scoped — this user only sees their own favorites
    const { data: myGames } = await ctx.supabase.from('favorite_games').select()
    return Response.json(myGames)
  }),
}";
    deploy(&server, "games", code).await;
    let with = async |token: String| server.anonymous().with_token(&token).get("games", "/").await;

    let token = signer.sign(Some("k1"), &claims("u1"));
    let reply = with(token.clone()).await.expect(StatusCode::OK);
    let anon = server.admin().manage(Method::GET, "/project").send().await.json()["anon_key"].clone();
    assert_eq!(reply.json(), json!([{ "game": "go", "apikey": anon, "authorization": format!("Bearer {token}") }]));
    assert_eq!(reply.header("access-control-allow-origin"), ["*"]);
    assert!(
        project.requests().contains(&"GET /rest/v1/favorite_games?select=*".to_owned()),
        "{:?}",
        project.requests()
    );

    refused(&with(Signer::es256().sign(Some("k1"), &claims("u1"))).await, "INVALID_JWT");
    let mut late = claims("u1");
    late["exp"] = json!(1_700_000_000);
    refused(&with(signer.sign(Some("k1"), &late)).await, "INVALID_JWT");
    refused(&server.anonymous().get("games", "/").await, "MISSING_CREDENTIALS");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_the_app_need_no_setting() {
    let server = Server::start(WITH_REGISTRY.clone()).await;
    let project = server.admin().manage(Method::GET, "/project").send().await.json();
    let code = "import { withSupabase } from 'npm:@supabase/server@^1';
        const answer = async (req, ctx) => Response.json([ctx.authMode, ctx.authKeyName ?? null, typeof ctx.supabaseAdmin.from]);
        const modes = { none: 'none', publishable: 'publishable', secret: 'secret', either: ['user', 'secret'] };
        const handlers = Object.entries(modes).map(([name, auth]) => [name, withSupabase({ auth }, answer)]);
        const byName = Object.fromEntries(handlers);
        export default { fetch: (req, env, ctx) => byName[new URL(req.url).pathname.split('/').at(-1)](req, env, ctx) };";
    deploy(&server, "f", code).await;
    let with = async |mode: &str, key: Option<&str>| {
        let call = server.anonymous().invoke(Method::GET, "f", &format!("/{mode}"));
        key.into_iter().fold(call, |call, key| call.header("apikey", key)).send().await
    };
    let (anon, service) = (project["anon_key"].as_str(), project["service_role_key"].as_str());
    for (mode, key, expected) in [
        ("none", None, json!(["none", null, "function"])),
        ("publishable", anon, json!(["publishable", "default", "function"])),
        ("secret", service, json!(["secret", "default", "function"])),
        ("either", service, json!(["secret", "default", "function"])),
    ] {
        assert_eq!(with(mode, key).await.expect(StatusCode::OK).json(), expected, "{mode}");
    }
    for (mode, key) in [("publishable", Some("sb_publishable_x")), ("secret", anon), ("secret", Some("sb_secret_x"))] {
        refused(&with(mode, key).await, "INVALID_API_KEY");
    }
    refused(&with("secret", None).await, "MISSING_CREDENTIALS");
    let preflight = server.anonymous().invoke(Method::OPTIONS, "f", "/secret").send().await;
    assert_eq!(
        (preflight.status, preflight.header("access-control-allow-origin")),
        (StatusCode::NO_CONTENT, vec!["*"])
    );
}
