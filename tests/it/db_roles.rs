//! `ctx.db` and the SDK's `db`: values, batches, cursors, transactions, and the roles a function may take.

use caddis_tests::{Client, Server, guests};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::start;

async fn deploy(server: &Server, name: &str, code: &str, settings: Value) {
    let mut body = json!({ "name": name, "code": code, "enabled": true, "access": { "policy": "public" } });
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    server.admin().manage(Method::POST, "/functions").json(&body).send().await.expect(StatusCode::CREATED);
}

/// What a function of this text answers.
async fn answer(server: &Server, code: &str) -> Value {
    deploy(server, "f", code, json!({})).await;
    server.anonymous().get("f", "/").await.expect(StatusCode::OK).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_lose_nothing_in_javascript() {
    let server = start().await;
    let code = r#"
        export default async (_, { db }) => {
          await db.query("CREATE TABLE t (v ANY) STRICT");
          const values = [9007199254740991, 9007199254740992n, -(2n ** 63n), 2n ** 63n - 1n, 0.1, -0.5, 1e300, "naïve \u{1f980}\0 end", "",
            true, false, null, undefined, new Date(1700000000123), new Uint8Array([0, 255]), new Uint16Array([258]).buffer, NaN, { a: [1] }];
          await db.batch(values.map((v) => ({ sql: "INSERT INTO t VALUES (:v)", parameters: { v } })));
          const { rows } = await db.query("SELECT v, typeof(v) AS type FROM t ORDER BY rowid");
          const show = (v) => typeof v === "bigint" ? `${v}n` : v instanceof Uint8Array ? `bytes ${[...v]}` : v;
          const wrong = [];
          for (const v of [2n ** 63n, Symbol("s"), new Date(NaN)]) {
            wrong.push(await db.query("SELECT ?", [v]).catch((e) => e.name));
          }
          return { rows: rows.map(({ v, type }) => [show(v), type]), wrong };
        }"#;
    let expected = json!([
        [9_007_199_254_740_991_i64, "integer"],
        ["9007199254740992n", "integer"],
        ["-9223372036854775808n", "integer"],
        ["9223372036854775807n", "integer"],
        [0.1, "real"],
        [-0.5, "real"],
        [1e300, "real"],
        ["naïve \u{1f980}\0 end", "text"],
        ["", "text"],
        [1, "integer"],
        [0, "integer"],
        [null, "null"],
        [null, "null"],
        ["2023-11-14T22:13:20.123Z", "text"],
        ["bytes 0,255", "blob"],
        ["bytes 2,1", "blob"],
        [null, "null"],
        ["{\"a\":[1]}", "text"],
    ]);
    let found = answer(&server, code).await;
    assert_eq!(found["rows"], expected);
    assert_eq!(found["wrong"], json!(["RangeError", "TypeError", "RangeError"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_all_or_nothing_and_errors_say_where() {
    let server = start().await;
    let code = r#"
        export default async (_, { db }) => {
          await db.query("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)");
          const insert = (v) => ({ sql: "INSERT INTO t (v) VALUES ($v) RETURNING id", parameters: { v } });
          const first = await db.batch([insert("a"), insert("b"), "SELECT count(*) AS n FROM t"]);
          const failed = await db.batch([insert("c"), insert("a")]).catch(({ code, message }) => [code, message]);
          const named = await db.query("SELECT :x", { y: 1 }).catch(({ code, message }) => [code, message]);
          return { ids: first.map(({ rows }) => Object.values(rows[0])[0]), failed, named, left: (await db.query("SELECT v FROM t")).rows };
        }"#;
    let found = answer(&server, code).await;
    assert_eq!(found["ids"], json!([1, 2, 2]));
    assert_eq!(found["failed"], json!(["constraint", "statement 2: UNIQUE constraint failed: t.v"]));
    assert_eq!(found["named"], json!(["parameter", "the statement has the parameter :x, for which there is no value"]));
    assert_eq!(found["left"], json!([{ "v": "a" }, { "v": "b" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_any_length_fits_into_little_memory() {
    let server = start().await;
    let fill = r#"
        export default async (_, { db }) => {
          await db.query("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)");
          await db.query("INSERT INTO t WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 60000) SELECT i, printf('%01000d', i) FROM n");
          return "filled";
        }"#;
    answer(&server, fill).await;
    let code = r#"
        export default async (request, { db }) => {
          const least = Number(new URL(request.url).searchParams.get("least"));
          let [rows, sum] = [0, 0];
          for await (const { id, body } of db.stream("SELECT id, body FROM t WHERE id > ?", [least])) {
            rows += 1;
            sum += id + body.length;
          }
          for await (const { id } of db.stream("SELECT id FROM t")) if (id === 3) break;
          const stream = db.stream("SELECT 1 AS one");
          const second = (() => { try { db.stream("SELECT 2") } catch (e) { return e.message } })();
          const one = await stream.next();
          await stream.return();
          return { rows, sum, second, one, done: (await stream.next()).done };
        }"#;
    let whole = json!({ "memory_limit_mb": 64, "timeout_seconds": 60 });
    deploy(&server, "read", code, whole).await;
    let read = async |least: i64| {
        let reply = server.anonymous().get("read", &format!("/?least={least}")).await.expect(StatusCode::OK);
        let memory = server.admin().execution("read", &reply).await["peak_memory_bytes"].as_u64().unwrap();
        (reply.json(), memory)
    };
    let (few, little) = read(59_000).await;
    let (all, much) = read(0).await;
    assert_eq!((&few["rows"], &all["rows"], &all["sum"]), (&json!(1000), &json!(60_000), &json!(1_860_030_000)));
    assert!(much <= little + 4 * 1024 * 1024, "60 MB of rows took {much} bytes, 1 MB took {little}");
    assert!(all["second"].as_str().unwrap().contains("reads from a cursor"), "{all}");
    assert_eq!((&all["one"], &all["done"]), (&json!({ "value": { "one": 1 }, "done": false }), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_streams_what_it_wrote_and_goes_on() {
    let server = start().await;
    let code = r#"
        export default async (_, { db }) => {
          const made = await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
          const first = await db.execute("INSERT INTO t (v) VALUES (?), (:b)", ["a", "b"]);
          const failed = await db.execute("INSERT INTO t VALUES (1, 'x')").catch(({ code }) => code);
          const inside = await db.transaction(async (tx) => {
            const fill = "INSERT INTO t (v) WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000) SELECT :v || i FROM n";
            const filled = await tx.execute(fill, { v: "new " });
            let [rows, busy] = [0, undefined];
            for await (const { id } of tx.stream("SELECT id FROM t")) {
              rows += 1;
              busy ??= await tx.query("SELECT 1").catch(({ code }) => code);
            }
            for await (const { id } of tx.stream("SELECT id FROM t WHERE id > :id", { id: 7 })) {
              await new Promise((done) => setTimeout(done));
              if (id === 9) break;
            }
            const writes = (() => { try { tx.stream("DELETE FROM t") } catch ({ code }) { return code } })();
            const twice = (() => { const one = tx.stream("SELECT 1"); try { tx.stream("SELECT 2") } catch ({ code }) { return [code, one.return()] } })();
            await twice[1];
            const { changes } = await tx.execute("UPDATE t SET v = 'seen' WHERE id <= ?", [rows]);
            return { filled, rows, busy, writes, twice: twice[0], changes };
          });
          await db.transaction(async (tx) => {
            tx.stream("WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n");
            throw new Error("left open");
          }).catch(() => {});
          return { made, first, failed, inside, after: (await db.query("SELECT count(*) AS n FROM t WHERE v = 'seen'")).rows[0].n };
        }"#;
    let found = answer(&server, code).await;
    assert_eq!(found["made"], json!({ "changes": 0, "lastInsertId": 0 }));
    assert_eq!(
        (&found["first"], &found["failed"]),
        (&json!({ "changes": 2, "lastInsertId": 2 }), &json!("constraint"))
    );
    let expected = json!({ "filled": { "changes": 3000, "lastInsertId": 3002 }, "rows": 3002, "busy": "busy", "writes": "denied",
        "twice": "denied", "changes": 3002 });
    assert_eq!((&found["inside"], &found["after"]), (&expected, &json!(3002)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_in_a_transaction_is_undone_alone() {
    let server = start().await;
    let code = r#"
        export default async (_, { db }) => {
          await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE)");
          const insert = (v) => ({ sql: "INSERT INTO t (v) VALUES ($v) RETURNING id", parameters: { v } });
          const inside = await db.transaction(async (tx) => {
            await tx.execute("INSERT INTO t (v) VALUES ('a')");
            const failed = await tx.batch([insert("b"), insert("a")]).catch(({ code, message }) => [code, message]);
            const done = await tx.batch([insert("c"), "SELECT count(*) AS n FROM t"]);
            return { failed, done: done.map(({ rows }) => Object.values(rows[0])[0]) };
          });
          const left = await db.transaction(async (tx) => {
            await tx.batch([insert("d")]);
            throw new Error("out");
          }).catch(({ message }) => message);
          const denied = await db.transaction((tx) => tx.batch(["SELECT 1", insert("e")]), { readOnly: true }).catch(({ code }) => code);
          return { inside, left, denied, rows: (await db.query("SELECT v FROM t")).rows.map(({ v }) => v) };
        }"#;
    let found = answer(&server, code).await;
    let failed = json!(["constraint", "statement 2: UNIQUE constraint failed: t.v"]);
    assert_eq!(found["inside"], json!({ "failed": failed, "done": [2, 2] }));
    assert_eq!((&found["left"], &found["denied"]), (&json!("out"), &json!("denied")));
    assert_eq!(found["rows"], json!(["a", "c"]));
}

const POLICIES: &str = r#"
    export default async (_, { db }) => {
      await db.query("CREATE TABLE posts (id INTEGER PRIMARY KEY, author TEXT, published INTEGER)");
      await db.query("INSERT INTO posts (author, published) VALUES ('ann', 0), ('ann', 1), ('bob', 0)");
      await db.query("CREATE POLICY own ON posts TO butterbase_user USING (author = auth.uid()::text)");
      await db.query("CREATE POLICY public ON posts FOR SELECT TO butterbase_anon USING (published = 1)");
      await db.query("ALTER TABLE posts ENABLE ROW LEVEL SECURITY");
      return "done";
    }"#;

const ROLES: &str = r#"
    export default async (_, { db }) => {
      const look = async (db) => {
        const { rows } = await db.query("SELECT count(*) AS n, auth.uid() AS uid, auth.role() AS role, auth.jwt() ->> 'team' AS team FROM posts");
        return [rows[0].n, rows[0].uid, rows[0].role, rows[0].team];
      };
      return {
        own: await look(db),
        ann: await db.asUser("ann", look),
        bob: await db.asUser("bob", (db) => db.transaction(async (tx) => look(tx))),
        anon: await db.asAnon(look),
        service: await db.asService(look).catch(({ code, message }) => `${code}: ${message}`),
        refused: await db.asUser("bob", (db) => db.query("INSERT INTO posts (author) VALUES ('ann')")).catch(({ code }) => code),
        rowid: await db.asUser("bob", async (db) => (await db.query("UPDATE posts SET published = 0")).lastInsertId),
      };
    }"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_function_takes_the_roles_its_settings_allow() {
    let server = start().await;
    answer(&server, POLICIES).await;
    deploy(&server, "roles", ROLES, json!({})).await;
    deploy(&server, "trusted", ROLES, json!({ "allow_service_role": true })).await;
    let anyone = server.anonymous();
    let ann = anyone.with_token(&server.admin().user_token(json!({ "sub": "ann", "team": "red" })).await);
    let look = async |client: &Client, name: &str| client.get(name, "/").await.expect(StatusCode::OK).json();

    let found = look(&anyone, "roles").await;
    assert_eq!(found["own"], json!([1, null, "anon", null]));
    assert_eq!(found["ann"], json!([2, "ann", "authenticated", null]));
    assert_eq!(found["bob"], json!([1, "bob", "authenticated", null]));
    assert_eq!(found["anon"], json!([1, null, "anon", null]));
    assert!(found["service"].as_str().unwrap().contains("allow_service_role"), "{found}");
    assert_eq!((&found["refused"], &found["rowid"]), (&json!("denied"), &json!(0)));

    let found = look(&ann, "trusted").await;
    assert_eq!(found["own"], json!([2, "ann", "authenticated", "red"]));
    assert_eq!(found["ann"], json!([2, "ann", "authenticated", "red"]), "the caller keeps the claims of the token");
    assert_eq!(found["service"], json!([3, null, "service_role", null]));
    let found = look(&server.admin(), "roles").await;
    assert_eq!(found["service"], json!([3, null, "service_role", null]), "who acts for the app already may go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_left_or_runs_out_of_time_is_rolled_back() {
    let server = start().await;
    answer(&server, "export default (_, { db }) => db.query('CREATE TABLE t (v TEXT)')").await;
    let code = r#"
        export default async (request, { db }) => {
          const how = new URL(request.url).searchParams.get("how");
          return db.transaction(async (tx) => {
            await tx.query("INSERT INTO t VALUES (?)", [how]);
            if (how === "throw") throw new Error("out");
            if (how === "trap") for (let all = []; ; ) all.push(new Uint8Array(1 << 20).fill(1));
            if (how === "hang") await new Promise(() => {});
            if (how === "loop") for (;;);
            return how;
          });
        }"#;
    deploy(&server, "tx", code, json!({ "timeout_seconds": 2, "fuel": 3_000_000_000_u64 })).await;
    for how in ["throw", "trap", "hang", "loop", "commit"] {
        let reply = server.anonymous().get("tx", &format!("/?how={how}")).await;
        assert_eq!(reply.status == StatusCode::OK, how == "commit", "{how}: {}", reply.text());
    }
    deploy(&server, "read", "export default (_, { db }) => db.query('SELECT v FROM t')", json!({})).await;
    assert_eq!(server.anonymous().get("read", "/").await.json()["rows"], json!([{ "v": "commit" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_has_the_same() {
    let server = start().await;
    server.admin().put_component("sdk", guests::SDK_ECHO, "").await;
    let found = server.anonymous().get("sdk", "/db/roles").await.expect(StatusCode::OK).json();
    let expected =
        json!({ "inserted": [1, 1, 2], "read": 4, "seen": [3, 0], "hidden": 0, "refused": true, "streamed": 5 });
    assert_eq!(found, expected);
}
