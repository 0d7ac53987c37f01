//! Functions that the host runs by itself, at the times of their schedules.

use std::process::Stdio;

use caddis_tests::{Client, Reply, Server, eventually, within_patience};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{options, refused, start};

/// Says what started it.
const TELL: &str = "export default async (req, ctx) => Response.json({
    method: req.method, url: req.url, body: await req.json().catch(() => null), trigger: req.headers.get('caddis-trigger'),
    user: ctx.user ?? null,
})";

async fn shop(server: &Server) -> Client {
    server.admin().create_app("shop").await
}

async fn deploy(app: &Client, body: Value) -> Reply {
    app.manage(Method::POST, "/functions").json(&body).send().await
}

async fn shown(app: &Client, function: &str) -> Value {
    app.manage(Method::GET, &format!("/functions/{function}")).send().await.expect(StatusCode::OK).json()
}

async fn run(app: &Client, function: &str) -> Reply {
    app.manage(Method::POST, &format!("/functions/{function}/cron")).send().await
}

fn cron(schedule: &str) -> Value {
    json!({ "type": "cron", "config": { "schedule": schedule } })
}

#[tokio::test(flavor = "multi_thread")]
async fn bb3_http_and_cron_may_start_the_same_function() {
    let server = start().await;
    let app = shop(&server).await;
    let http = json!({ "type": "http", "config": { "auth": "none" } });
    let body = json!({ "name": "f", "code": TELL, "triggers": [http, cron("0 9 * * *")] });
    let made = deploy(&app, body).await.expect(StatusCode::CREATED).json();
    let daily = json!({ "type": "cron", "config": { "schedule": "0 9 * * *", "timezone": "UTC" } });
    assert_eq!(made["triggers"], json!([http, daily]), "{made}");
    assert!(made["next_run"].as_str().is_some_and(|time| time.ends_with("T09:00:00Z")), "{made}");
    let visitor = server.anonymous().in_app("shop");
    let answer = visitor.post("f", "/", &json!({ "trigger": "cron" })).await.expect(StatusCode::OK).json();
    assert_eq!((&answer["trigger"], &answer["user"]), (&Value::Null, &Value::Null));
    let forged = visitor.invoke(Method::POST, "f", "/").header("Caddis-Trigger", "cron").json(&json!({}));
    assert_eq!(forged.send().await.expect(StatusCode::OK).json()["trigger"], Value::Null, "only the host says so");
    let trial = json!({ "method": "POST", "headers": { "caddis-trigger": "cron" }, "body": "{}" });
    let tried = app.manage(Method::POST, "/functions/f/test").json(&trial).send().await.expect(StatusCode::OK).json();
    let answer: Value = serde_json::from_str(tried["body"].as_str().unwrap()).unwrap();
    assert_eq!(answer["trigger"], Value::Null, "{tried}");

    // What triggers do not list is gone.
    let settings =
        json!({ "trigger": { "type": "cron", "config": { "schedule": "@hourly", "timezone": "Asia/Kolkata" } } });
    let changed = app.manage(Method::PATCH, "/functions/f/settings").json(&settings).send().await;
    let changed = changed.expect(StatusCode::OK).json();
    let hourly = json!({ "type": "cron", "config": { "schedule": "@hourly", "timezone": "Asia/Kolkata" } });
    assert_eq!(changed["triggers"], json!([hourly]), "{changed}");
    assert!(changed["next_run"].as_str().is_some_and(|time| time.ends_with(":30:00Z")), "{changed}");
    let user = visitor.with_token(&app.user_token(json!({ "sub": "u1" })).await);
    for caller in [&visitor, &user] {
        refused(&caller.get("f", "/").await, 404, "not_found", &["f", "http"]);
    }
    app.get("f", "/").await.expect(StatusCode::OK);
    let other =
        "export default (req, ctx) => ctx.invoke('f', { forged: true }, { headers: { 'caddis-trigger': 'cron' } })";
    deploy(&app, json!({ "name": "g", "code": other, "trigger": { "type": "http" } })).await;
    let sibling = user.get("g", "/").await.expect(StatusCode::OK).json();
    assert_eq!((&sibling["trigger"], &sibling["user"]["id"]), (&Value::Null, &json!("u1")));

    let without = json!({ "trigger": { "type": "http", "config": {} } });
    app.manage(Method::PATCH, "/functions/f/settings").json(&without).send().await.expect(StatusCode::OK);
    let shown = shown(&app, "f").await;
    assert_eq!((&shown["cron_schedule"], shown.get("next_run")), (&Value::Null, None), "{shown}");
    refused(&run(&app, "f").await, 400, "invalid_request", &["f", "cron_schedule"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bb3_what_is_wrong_with_a_trigger_is_named() {
    let server = start().await;
    let app = shop(&server).await;
    for (fields, parts) in [
        (json!({ "trigger": { "type": "cron", "config": {} } }), ["schedule", "*/5"]),
        (json!({ "trigger": { "type": "cron", "config": { "schedule": 5 } } }), ["schedule", "*/5"]),
        (json!({ "trigger": cron("61 * * * *") }), ["minute \"61\"", "*/5 * * * *"]),
        (json!({ "trigger": cron("* * * * * *") }), ["6 fields", "@daily"]),
        (json!({ "trigger": cron("0 0 31 4 *") }), ["no month", "*/5"]),
        (
            json!({ "trigger": { "type": "cron", "config": { "schedule": "@daily", "timezone": "Mars" } } }),
            ["cron_timezone", "Europe/Paris"],
        ),
        (
            json!({ "trigger": { "type": "cron", "config": { "schedule": "@daily", "at": 1 } } }),
            ["config.at", "leave it out"],
        ),
        (json!({ "trigger": { "type": "websocket" } }), ["config.event", "chat_message"]),
        (json!({ "trigger": { "type": "websocket", "config": { "event": "" } } }), ["websocket_event", "chat_message"]),
        (json!({ "triggers": [cron("@daily"), cron("@hourly")] }), ["triggers", "one of each type"]),
        (json!({ "trigger": cron("@daily"), "cron_schedule": "@hourly" }), ["cron_schedule", "give one"]),
        (json!({ "cron_timezone": "UTC" }), ["cron_timezone", "cron_schedule"]),
        (json!({ "trigger": { "type": "webhook" } }), ["webhook", "\"auth\": \"none\""]),
        (json!({ "trigger": { "type": "s3_upload" } }), ["s3_upload", "storage"]),
    ] {
        let mut body = json!({ "name": "f", "code": TELL });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        refused(&deploy(&app, body).await, 400, "invalid_request", &parts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fx2_a_schedule_is_set_shown_and_removed() {
    let server = start().await;
    let admin = server.admin();
    let body = json!({ "name": "f", "code": TELL, "cron_schedule": "*/5 * * * *" });
    let made = deploy(&admin, body).await.expect(StatusCode::CREATED).json();
    assert_eq!((&made["cron_schedule"], made.get("next_run")), (&json!("*/5 * * * *"), None), "it is disabled");
    refused(&run(&admin, "f").await, 404, "not_found", &["f"]);
    let put = async |body: Value| admin.change("f", &body).await.expect(StatusCode::OK).json();
    let enabled = put(json!({ "enabled": true })).await;
    assert_eq!(enabled["cron_schedule"], "*/5 * * * *");
    assert!(enabled["next_run"].is_string(), "{enabled}");
    let listed = admin.manage(Method::GET, "/functions").send().await.json();
    assert!(listed[0]["next_run"].is_string(), "{listed}");
    let moved = put(json!({ "cron_schedule": "@yearly", "cron_timezone": "Europe/Paris" })).await;
    assert_eq!((&moved["cron_schedule"], &moved["cron_timezone"]), (&json!("@yearly"), &json!("Europe/Paris")));
    assert!(moved["next_run"].as_str().is_some_and(|time| time.ends_with("-12-31T23:00:00Z")), "{moved}");
    let removed = put(json!({ "cron_schedule": null })).await;
    assert_eq!((&removed["cron_schedule"], removed.get("cron_timezone")), (&Value::Null, None));

    let back = admin.manage(Method::POST, "/functions/f/rollback").json(&json!({ "version": 3 })).send().await;
    assert_eq!(back.expect(StatusCode::OK).json()["cron_schedule"], "@yearly", "a schedule is part of its version");
}

#[tokio::test(flavor = "multi_thread")]
async fn bb6_a_run_acts_for_the_app_and_is_recorded_as_cron() {
    let server = start().await;
    let app = shop(&server).await;
    let schema = "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT); ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON notes USING (owner = auth.uid()); INSERT INTO notes (owner) VALUES ('ann'), ('ben');";
    let migration = json!({ "migrations": [{ "name": "0001_notes.sql", "sql": schema }] });
    app.manage(Method::POST, "/db/migrations").json(&migration).send().await.expect(StatusCode::OK);
    let code = "export default async (req, ctx) => {
        const { rows } = await ctx.db.query('SELECT count(*) AS n FROM notes');
        console.log('counted');
        if (rows[0].n === 0) throw new Error('nothing to do');
        return Response.json({ ...await req.json(), seen: rows[0].n, user: ctx.user ?? null, path: new URL(req.url).pathname });
    }";
    deploy(&app, json!({ "name": "f", "code": code, "trigger": cron("*/5 * * * *") }))
        .await
        .expect(StatusCode::CREATED);
    let reply = run(&app, "f").await.expect(StatusCode::OK);
    let answer = reply.json();
    let told = |name: &str| answer[name].clone();
    assert_eq!(
        (told("trigger"), told("schedule"), told("timezone")),
        (json!("cron"), json!("*/5 * * * *"), json!("UTC"))
    );
    assert_eq!((told("seen"), told("user")), (json!(2), Value::Null), "no row is hidden from it");
    assert_eq!(told("path"), "/projects/shop/functions/v1/f");
    assert!(told("scheduledTime").as_str().is_some_and(|time| time.ends_with('Z')), "{answer}");
    let record = app.execution("f", &reply).await;
    assert_eq!((&record["trigger_type"], &record["user_id"]), (&json!("cron"), &json!("service_role")), "{record}");
    assert_eq!((&record["status"], &record["logs"]), (&json!("success"), &json!("console.log: counted")), "{record}");

    let statement = json!({ "sql": "DELETE FROM notes" });
    app.manage(Method::POST, "/db/query").json(&statement).send().await.expect(StatusCode::OK);
    let failed = run(&app, "f").await.expect(StatusCode::INTERNAL_SERVER_ERROR);
    let record = app.execution("f", &failed).await;
    assert!(record["error_message"].as_str().is_some_and(|text| text.contains("nothing to do")), "{record}");
    app.get("f", "/").await;
    let ids = async |query: &str| app.executions("f", query).await.len();
    let all = eventually("three records", async || (ids("limit=10").await == 3).then_some(())).await;
    assert_eq!((all, ids("trigger_type=cron").await, ids("trigger_type=http").await), ((), 2, 1));
    assert_eq!(ids("trigger_type=cron&status=error").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_function_do_not_overlap() {
    let server = start().await;
    let app = shop(&server).await;
    let endless = "export default () => new Response(new ReadableStream({
        start(controller) { controller.enqueue(new TextEncoder().encode('begun')); }, pull() { return new Promise((settle) => setTimeout(settle, 120_000)); } }))";
    deploy(&app, json!({ "name": "f", "code": endless, "trigger": cron("@yearly") })).await.expect(StatusCode::CREATED);
    let mut first = app.manage(Method::POST, "/functions/f/cron").start().await;
    assert_eq!(first.next().await.unwrap().unwrap(), "begun");
    // Also of another version.
    let quick = json!({ "name": "f", "code": TELL, "trigger": cron("@yearly") });
    deploy(&app, quick).await.expect(StatusCode::OK);
    refused(&run(&app, "f").await, 409, "conflict", &["has not ended"]);
    app.get("f", "/").await.expect(StatusCode::OK);
    drop(first);
    eventually("the turn of the next", async || (run(&app, "f").await.status == StatusCode::OK).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_has_so_many_schedules_and_no_more() {
    let server = start().await;
    let app = shop(&server).await;
    let body = |name: &str| json!({ "name": name, "code": "export default () => 'x'", "cron_schedule": "@yearly" });
    for number in 0..100 {
        deploy(&app, body(&format!("f{number}"))).await.expect(StatusCode::CREATED);
    }
    refused(&deploy(&app, body("more")).await, 400, "invalid_request", &["cron_schedule", "100"]);
    deploy(&app, body("f7")).await.expect(StatusCode::OK);
    app.change("f7", &json!({ "cron_schedule": null })).await.expect(StatusCode::OK);
    deploy(&app, body("more")).await.expect(StatusCode::CREATED);
    let back = app.manage(Method::POST, "/functions/f7/rollback").json(&json!({ "version": 1 })).send().await;
    refused(&back, 400, "invalid_request", &["cron_schedule", "100"]);
    deploy(&server.admin(), body("f")).await.expect(StatusCode::CREATED);
}

/// The one test that waits for a minute to begin. It does so beside all others: what it needs of the machine is next to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn bb9_a_schedule_runs_by_itself_also_after_a_restart() {
    let mut server = Server::start_beside(options()).await;
    let app = shop(&server).await;
    let every_minute = async |app: &Client, name: &str, code: &str| {
        let body = json!({ "name": name, "code": code, "trigger": cron("* * * * *"), "enabled": name != "off" });
        deploy(app, body).await.expect(StatusCode::CREATED);
    };
    for (name, code) in
        [("f", TELL), ("broken", "export default () => { throw new Error('no') }"), ("off", TELL), ("gone", TELL)]
    {
        every_minute(&app, name, code).await;
    }
    server.restart().await;
    let app = server.admin().in_app("shop");
    let wait = "await new Promise((settle) => setTimeout(settle, 3_000))";
    every_minute(&app, "lasting", &format!("export default async () => {{ {wait}; return new Response('lasted') }}"))
        .await;
    app.manage(Method::DELETE, "/functions/gone").send().await.expect(StatusCode::NO_CONTENT);
    let endless = "export default async (req) => new URL(req.url).search ? 'short' : new Response(new ReadableStream({
        pull() { return new Promise((settle) => setTimeout(settle, 300_000)); } }))";
    let body = json!({ "name": "busy", "code": endless, "trigger": cron("@yearly"), "timeoutMs": 300_000 });
    deploy(&app, body).await.expect(StatusCode::CREATED);
    let still_running = app.manage(Method::POST, "/functions/busy/cron").start().await;
    app.change("busy", &json!({ "cron_schedule": "* * * * *" })).await.expect(StatusCode::OK);

    let mut ends = app.manage(Method::GET, "/functions/f/executions/stream").start().await;
    let ended = loop {
        let text = String::from_utf8(ends.next().await.unwrap().unwrap().to_vec()).unwrap();
        if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
            break serde_json::from_str::<Value>(data).unwrap();
        }
    };
    assert_eq!((&ended["trigger_type"], &ended["status"]), (&json!("cron"), &json!("success")), "{ended}");
    let answer: Value = serde_json::from_str(ended["result"].as_str().unwrap()).unwrap();
    assert!(answer["body"]["scheduledTime"].as_str().is_some_and(|time| time.ends_with(":00Z")), "{answer}");
    assert_eq!(answer["trigger"], "cron");
    let broken = async || app.executions("broken", "trigger_type=cron&status=error").await.into_iter().next();
    eventually("the record of what failed", broken).await;
    assert!(app.executions("off", "limit=1").await.is_empty(), "a disabled function does not run");
    eventually("the run that was skipped to be counted", async || {
        let metrics = server.admin().call(Method::GET, "/metrics").send().await.text();
        metrics.contains("caddis_function_schedule_skips_total{app=\"shop\",function=\"busy\"} 1").then_some(())
    })
    .await;

    // What has begun ends as a request does; the host waits for nothing else.
    drop((ends, still_running));
    assert!(server.stop_gracefully().await.success(), "a schedule does not keep the host");
    server.start_again().await;
    let lasting = server.admin().in_app("shop").executions("lasting", "").await;
    assert_eq!((&lasting[0]["trigger_type"], &lasting[0]["result"]), (&json!("cron"), &json!("lasted")), "{lasting:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_runs_a_schedule_now() {
    let server = start().await;
    let code = "export default async (req) => { const { trigger } = await req.json(); return new Response(trigger + ' answers') }";
    deploy(&shop(&server).await, json!({ "name": "f", "code": code, "trigger": cron("@yearly") })).await;
    let run = async |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_caddis"));
        command.args(["run", "--cron", name, "--app", "shop", "--url", &format!("http://{}", server.address())]);
        command.env("CADDIS_ADMIN_TOKEN", server.admin_token()).stdin(Stdio::null());
        within_patience("the command to end", command.output()).await.unwrap()
    };
    let output = run("f").await;
    assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap().as_str()), (Some(0), "cron answers"));
    let output = run("missing").await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && told.contains("no such function"), "{told}");
}
