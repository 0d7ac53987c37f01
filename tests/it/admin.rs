//! The admin interface, used in a browser.

use caddis_tests::{Client, Server};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::Tab;
use crate::start;

/// What a hostile function or caller plants wherever text may be.
const PLANTED: &str = "<img src=x onerror=\"hacked = 1\"><script>hacked = 1</script>";

const GREET: &str = "export default async (req: Request) => {
  const { name } = await req.json();
  console.log('greeting', name);
  console.warn('<img src=x onerror=\"hacked = 1\"><script>hacked = 1</script>');
  if (name === 'nobody') throw new TypeError('<script>hacked = 1</script> is nobody');
  return new Response(`hello ${name}`, { headers: { 'x-planted': '<script>hacked = 1</script>' } });
};";

pub(crate) async fn deploy(admin: &Client, name: &str, code: &str) {
    let body = json!({ "name": name, "code": code, "enabled": true, "access": { "policy": "public" } });
    admin.manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

/// A browser that has signed in; none where there is none.
async fn signed_in(server: &Server, token: &str) -> Option<Tab> {
    let mut tab = Tab::open(&format!("http://{}/", server.admin_interface())).await?;
    tab.run(&format!(
        "await fill('Management token', '{token}');
            await click('button', 'Sign in');
            await until(() => find('#bar', 'Sign out'));"
    ))
    .await;
    Some(tab)
}

#[tokio::test(flavor = "multi_thread")]
async fn kl6_executions_are_visible_in_the_admin_interface() {
    let server = start().await;
    deploy(&server.admin(), "greet", GREET).await;
    let user = server.admin().user_token(json!({ "sub": PLANTED })).await;
    let user = server.anonymous().with_token(&user);
    let reply = user.post("greet", "/desk", &json!({ "name": PLANTED })).await.expect(StatusCode::OK);
    user.post("greet", "/desk", &json!({ "name": "nobody" })).await.expect(StatusCode::INTERNAL_SERVER_ERROR);
    let Some(mut tab) = signed_in(&server, server.admin_token()).await else { return };

    let overview = tab
        .run(
            "await shown('greet');
            await click('main a', 'greet');
            await shown('Latest executions');
            return document.querySelector('.figures').innerText;",
        )
        .await;
    let expected = "Calls\n2\nFailed\n50 %\nTimed out\n0\np50";
    assert!(overview.as_str().unwrap().replace("\n\n", "\n").starts_with(expected), "{overview}");
    let rows = tab
        .run("await click('nav a', 'Executions');
            await shown('JSON lines');
            return [...document.querySelectorAll('tbody tr')].map((row) => [...row.cells].slice(1, 5).map((cell) => cell.innerText));")
        .await;
    assert_eq!(rows, json!([["error", "500", "POST /desk", PLANTED], ["success", "200", "POST /desk", PLANTED]]));
    let failed = tab
        .run(
            "await fill('Status', 'error');
            await until(() => document.querySelectorAll('tbody tr').length === 1);
            await click('tbody a');
            await shown('Most memory');
            return document.querySelector('main').innerText;",
        )
        .await;
    for part in ["TypeError: <script>hacked = 1</script> is nobody", "index.ts:5:", "> 5 |", "function_error"] {
        assert!(failed.as_str().unwrap().contains(part), "{part} is not in {failed}");
    }
    let id = reply.execution_id();
    let one = tab
        .run(&format!(
            "location.hash = '#/apps/default/functions/greet/executions/{id}';
            await shown('{id}');
            return document.querySelector('main').innerText;"
        ))
        .await;
    let one = one.as_str().unwrap();
    let planted =
        ["POST /desk", &format!("greeting {PLANTED}"), &format!("warn\n{PLANTED}"), &format!("hello {PLANTED}")];
    for part in planted {
        assert!(one.contains(part), "{part} is not in {one}");
    }
    assert_eq!(
        tab.run("return [typeof hacked, document.querySelectorAll('main img, main script').length];").await,
        json!(["undefined", 0])
    );
    assert_eq!(tab.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kl8_a_function_is_made_tried_and_followed_in_the_admin_interface() {
    let server = start().await;
    let Some(mut tab) = signed_in(&server, server.admin_token()).await else { return };
    let code = Value::from(GREET);
    let refused = tab
        .run(
            "await click('a', 'New function');
            await shown('Check only');
            await fill('Name', 'greet');
            await fill('Who may call it', 'public');
            (await until(() => find('textarea'))).value = 'export default () =>\\n  new Response(;';
            await click('button', 'Check only'); return (await until(() => find('.failure'))).innerText;",
        )
        .await;
    for part in ["invalid_source", "index.ts:2:16", "> 2 |   new Response(;"] {
        assert!(refused.as_str().unwrap().contains(part), "{part} is not in {refused}");
    }
    let listed = server.admin().manage(Method::GET, "/functions").send().await.json();
    assert_eq!(listed, json!([]), "a check makes nothing");
    tab.run(&format!(
        "find('textarea').value = {code};
            await click('button', 'Deploy');
            await shown('There were no calls in this time.');"
    ))
    .await;

    let tried = tab
        .run(
            "await click('nav a', 'Try');
            await shown('Called by');
            await fill('Method', 'POST');
            await fill('Body', '{\"name\": \"Ann\"}');
            await click('button', 'Send');
            await shown('greeting Ann'); find('summary').click(); return document.querySelector('main').innerText;",
        )
        .await;
    for part in ["hello Ann", "x-planted: <script>hacked = 1</script>", "warn\n<img src=x"] {
        assert!(tried.as_str().unwrap().contains(part), "{part} is not in {tried}");
    }
    let called = tab
        .run(
            "await fill('Body', '{\"name\": \"Cid\"}');
            await fill('Called by', 'user');
            await fill('User', '{\"sub\": \"u7\"}');
            await click('button', 'Send');
            await shown('greeting Cid');
            await click('dd a');
            await shown('Most memory');
            return document.querySelector('.facts').innerText;",
        )
        .await;
    assert!(called.as_str().unwrap().contains("By\nu7"), "{called}");
    tab.run("await click('nav a', 'Live log'); await shown('Listening');").await;
    server.anonymous().post("greet", "/desk", &json!({ "name": "Bob" })).await.expect(StatusCode::OK);
    tab.run("await shown('greeting Bob');").await;
    tab.run(
        "await click('nav a', 'Settings');
            await shown('CORS');
            await fill('Seconds', '7');
            await fill('Schedule', '0 9 * * *');
            await fill('Its time zone', 'Europe/Berlin');
            await click('button', 'Save');
            await until(() => find('#notice', 'Saved'));
            await shown('Next run: ');",
    )
    .await;
    let saved = server.admin().manage(Method::GET, "/functions/greet").send().await.json();
    assert_eq!(
        (&saved["timeout_seconds"], &saved["cron_schedule"], &saved["cron_timezone"]),
        (&json!(7), &json!("0 9 * * *"), &json!("Europe/Berlin"))
    );
    let versions = tab
        .run(
            "await click('nav a', 'Versions');
            await shown('Roll back');
            await click('main button', 'Roll back');
            await click('dialog button', 'Roll back');
            await until(() => find('#notice', 'Version 1 serves'));",
        )
        .await;
    assert_eq!(versions, Value::Null);
    let function = server.admin().manage(Method::GET, "/functions/greet").send().await.json();
    assert_eq!((&function["version"], &function["timeout_seconds"]), (&json!(1), &json!(30)));
    let complaints = tab.complaints().await;
    // Chromium's own line about the answer to the check.
    assert_eq!(complaints, ["Failed to load resource: the server responded with a status of 400 (Bad Request)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_tokens_and_apps_are_kept_in_the_admin_interface() {
    let server = start().await;
    let Some(mut tab) = signed_in(&server, server.admin_token()).await else { return };
    tab.run(
        "await click('#bar a', 'Secrets');
            await shown('Nobody can read');
            await fill('Name', 'STRIPE_KEY');
            await fill('Value', 'sk_planted_1');
            await click('button', 'Set');
            await shown('STRIPE_KEY');",
    )
    .await;
    let shown = tab.run("return document.documentElement.outerHTML;").await;
    assert!(!shown.as_str().unwrap().contains("sk_planted_1"), "{shown}");
    tab.run(
        "await click('#bar a', 'Apps');
            await shown('New app');
            await fill('Name', 'shop');
            await click('button', 'Make it');
            await shown('shown only now');
            await until(() => find('#bar option', 'shop'));",
    )
    .await;
    let token = tab
        .run(
            "await click('#bar a', 'Tokens');
            await shown('New token');
            await fill('Name', 'watch');
            await fill('Scope', 'read');
            await fill('App', 'shop');
            await click('button', 'Make it');
            return (await until(() => find('.once code'))).textContent;",
        )
        .await;
    let token = token.as_str().unwrap();
    tab.reload("find('button', 'Sign out').click()").await;
    tab.run(&format!(
        "await fill('Management token', '{token}');
            await click('button', 'Sign in');
            await until(() => find('#bar', 'read of shop'));"
    ))
    .await;
    let offered = tab.run("await shown('There are no functions');
            return [document.querySelector('#bar nav').innerText, Boolean(find('a', 'New function')), sessionStorage.length, localStorage.length, document.cookie];").await;
    assert_eq!(offered, json!(["Functions\nSecrets\nKeys\nApps", false, 2, 0, ""]));
    let id = server.admin().manage(Method::GET, "/tokens").send().await.json()[0]["id"].clone();
    server
        .admin()
        .manage(Method::DELETE, &format!("/tokens/{}", id.as_str().unwrap()))
        .send()
        .await
        .expect(StatusCode::NO_CONTENT);
    let end = tab
        .run(
            "await click('#bar a', 'Secrets');
            await shown('does not know this token');
            return sessionStorage.getItem('caddis-token');",
        )
        .await;
    assert_eq!(end, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_s_database_is_looked_at_and_its_settings_changed_in_the_admin_interface() {
    let server = start().await;
    let admin = server.admin();
    let sql = "CREATE TABLE \"my notes\" (id INTEGER, title TEXT)";
    let migrations = json!({ "migrations": [{ "name": "0001_notes.sql", "sql": sql }] });
    admin.manage(Method::POST, "/db/migrations").json(&migrations).send().await.expect(StatusCode::OK);
    let insert = json!({ "sql": "INSERT INTO \"my notes\" VALUES (?, ?)", "parameters": [i64::MAX, PLANTED] });
    admin.manage(Method::POST, "/db/query").json(&insert).send().await.expect(StatusCode::OK);
    let Some(mut tab) = signed_in(&server, server.admin_token()).await else { return };
    let rows = tab
        .run(
            "await click('#bar a', 'Database');
            await shown('0001_notes.sql');
            await click('.tables button', 'my notes');
            await shown('1 rows');
            return [...document.querySelectorAll('.result td')].map((cell) => cell.innerText);",
        )
        .await;
    assert_eq!(rows, json!([i64::MAX.to_string(), PLANTED]), "numbers are exact, and text is text");
    let refused = tab
        .run(
            "find('textarea').value = 'DELETE FROM \"my notes\"';
            await click('button', 'Run');
            return (await until(() => find('.failure'))).innerText;",
        )
        .await;
    assert!(refused.as_str().unwrap().contains("read-only"), "{refused}");
    tab.run(
        "await click('#bar a', 'Apps');
            await click('td a', 'Settings');
            await shown('Settings of default');
            await fill('Rates', '{\"invoke\": \"7/min\"}');
            await click('button', 'Save');
            await until(() => find('#notice', 'Saved'));",
    )
    .await;
    let app = admin.call(Method::GET, "/api/v1/apps/default").send().await.json();
    assert_eq!((&app["rate_limits"], &app["cors"]), (&json!({ "invoke": "7/min" }), &Value::Null));
}
