//! Policies, and statements that try to get around them.

use std::sync::Arc;

use crate::store::tenant::tests::{Host, execute, query, value};
use crate::store::tenant::{Caller, Database, DbRole, Error, TransactionMode, Value, tests::soon};

const SCHEMA: [&str; 11] = [
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, body TEXT UNIQUE)",
    "CREATE TABLE tags (id INTEGER PRIMARY KEY, note INTEGER REFERENCES notes(id) ON DELETE CASCADE, tag TEXT)",
    "CREATE TABLE plain (id INTEGER PRIMARY KEY, v TEXT)",
    "CREATE VIEW all_notes AS SELECT id, body FROM notes",
    "INSERT INTO notes VALUES (1, 'ann', 'ann one'), (2, 'ann', 'ann two'), (3, 'bob', 'secret')",
    "INSERT INTO tags VALUES (1, 1, 'x'), (2, 3, 'y')",
    "INSERT INTO plain VALUES (1, 'a')",
    "ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE public.tags ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY own ON notes TO authenticated USING (owner = auth.uid())",
    "CREATE POLICY of_notes ON tags USING (EXISTS (SELECT 1 FROM notes WHERE notes.id = tags.note))",
];

async fn database(host: &Host) -> Database {
    let database = host.app("app").await;
    for sql in SCHEMA {
        execute(&database, sql).await.unwrap();
    }
    database
}

fn user(database: &Database, uid: &str) -> Database {
    let caller = Caller {
        role: DbRole::Authenticated,
        uid: Some(uid.to_owned()),
        email: Some(format!("{uid}@example.com")),
        claims: Some(format!(r#"{{"sub":"{uid}","team":"red"}}"#)),
    };
    database.clone().acting_for(Arc::new(caller))
}

fn anon(database: &Database) -> Database {
    database.clone().acting_for(Arc::new(Caller { role: DbRole::Anon, ..Caller::service() }))
}

async fn dump(database: &Database) -> String {
    let mut all = String::new();
    for sql in ["SELECT * FROM notes ORDER BY id", "SELECT * FROM tags ORDER BY id"] {
        all += &format!("{:?}", query(database, sql).await.unwrap().rows);
    }
    all
}

#[tokio::test]
async fn each_caller_sees_his_rows() {
    let host = Host::new();
    let service = database(&host).await;
    let (ann, anon) = (user(&service, "ann"), anon(&service));
    for (database, notes, tags) in [(&service, 3, 2), (&ann, 2, 1), (&anon, 0, 0)] {
        for (sql, count) in [
            ("SELECT count(*) FROM notes", notes),
            ("SELECT count(*) FROM all_notes", notes),
            ("WITH n AS (SELECT * FROM notes) SELECT count(*) FROM n", notes),
            ("SELECT (SELECT count(*) FROM notes AS n)", notes),
            ("SELECT count(*) FROM tags", tags),
        ] {
            assert_eq!(value(database, sql).await, Value::Integer(count), "{sql}");
        }
    }
    assert_eq!(value(&ann, "SELECT auth.jwt() ->> 'team'").await, Value::Text("red".to_owned()));
    assert_eq!(value(&anon, "SELECT auth . uid ()").await, Value::Null);
    let reading = ann.begin(TransactionMode::ReadOnly, soon()).await.unwrap();
    let rows = reading.query("SELECT id FROM notes".to_owned(), vec![], soon()).await.unwrap();
    assert_eq!(rows.rows.len(), 2);
}

#[tokio::test]
async fn writes_reach_the_callers_rows_only() {
    let host = Host::new();
    let service = database(&host).await;
    let ann = user(&service, "ann");
    for (sql, affected) in [
        ("UPDATE notes SET body = body || '!'", 2),
        ("UPDATE notes AS n SET body = 'x' WHERE n.id = 3 OR body = 'secret'", 0),
        ("UPDATE notes AS v SET body = v.body WHERE v.id IN (SELECT v FROM plain AS v)", 0),
        ("DELETE FROM notes WHERE id >= 2", 1),
        ("WITH w AS (SELECT 1 AS id) UPDATE notes SET body = 'w' FROM w WHERE notes.id = w.id", 1),
        ("INSERT INTO notes (owner, body) VALUES ('ann', 'new') RETURNING id", 1),
        ("INSERT INTO notes VALUES (1, 'ann', 'up') ON CONFLICT (id) DO UPDATE SET body = excluded.body", 1),
        ("DELETE FROM notes WHERE id = 1", 1),
    ] {
        assert_eq!(execute(&ann, sql).await.unwrap().rows_affected, affected, "{sql}");
    }
    assert_eq!(
        value(&service, "SELECT group_concat(body ORDER BY id) FROM notes").await,
        Value::Text("secret,new".into())
    );
    assert_eq!(value(&service, "SELECT group_concat(id) FROM tags").await, Value::Text("2".into()));
}

#[tokio::test]
async fn no_statement_gets_around_a_policy() {
    let host = Host::new();
    let service = database(&host).await;
    let before = dump(&service).await;
    let ann = user(&service, "ann");
    for sql in [
        "SELECT * FROM main.notes",
        "SELECT * FROM \"main\".notes",
        "SELECT * FROM 'main'.notes",
        "SELECT * FROM [main] /* x */ . notes",
        "SELECT * FROM `MAIN`.notes",
        "SELECT * FROM \u{feff}main.notes",
        "WITH notes AS (SELECT * FROM main.notes) SELECT * FROM notes",
        "DELETE FROM plain WHERE EXISTS (SELECT 1 FROM main.notes WHERE body = 'secret')",
        "DELETE FROM main.notes",
        "UPDATE temp.notes SET body = 'x'",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM sqlite_temp_schema",
        "SELECT * FROM temp.sqlite_master",
        "SELECT * FROM pragma_table_info('notes')",
        "SELECT * FROM pragma_table_list",
        "SELECT * FROM caddis_policies",
        "DELETE FROM caddis_policies",
        "UPDATE caddis_row_security SET enabled = 0",
        "PRAGMA table_info(notes)",
        "PRAGMA query_only = 0",
        "EXPLAIN QUERY PLAN SELECT * FROM notes",
        "CREATE TABLE mine (x)",
        "CREATE TABLE mine AS SELECT * FROM notes",
        "CREATE TEMP VIEW v AS SELECT * FROM main.notes",
        "CREATE VIEW v AS SELECT * FROM notes",
        "CREATE TRIGGER t AFTER INSERT ON plain BEGIN DELETE FROM notes; END",
        "CREATE INDEX i ON notes(body)",
        "CREATE POLICY all_of_it ON notes USING (true)",
        "ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
        "DROP POLICY own ON notes",
        "DROP TABLE notes",
        "DROP VIEW notes",
        "ANALYZE",
        "REINDEX",
        "VACUUM",
        "ATTACH ':memory:' AS x",
        "INSERT INTO notes VALUES (9, 'bob', 'x')",
        "INSERT INTO notes SELECT 9, 'bob', 'x'",
        "INSERT OR IGNORE INTO notes VALUES (9, 'bob', 'x')",
        "INSERT OR REPLACE INTO notes VALUES (3, 'ann', 'x')",
        "REPLACE INTO notes VALUES (3, 'ann', 'x')",
        "UPDATE OR REPLACE notes SET body = 'secret' WHERE id = 1",
        "UPDATE notes SET owner = 'bob'",
        "INSERT INTO notes VALUES (3, 'ann', 'x') ON CONFLICT (id) DO UPDATE SET owner = 'ann'",
        "INSERT INTO notes VALUES (3, 'ann', 'x') ON CONFLICT DO UPDATE SET owner = 'ann' RETURNING *",
        "UPDATE notes SET body = 'x' WHERE 0) OR (1",
        "UPDATE notes SET body = 'x' WHERE 1 /* ",
        "INSERT INTO tags VALUES (9, 3, 'mine')",
        "UPDATE tags SET note = 3",
        "SELECT $a::b(main) FROM notes",
        "SELECT 1; DELETE FROM notes",
        "SAVEPOINT s",
        "SELECT rowid FROM notes",
        // The target of an UPDATE is no table of its FROM.
        "UPDATE notes AS x SET body = x.body FROM plain JOIN plain AS p ON json(x.body)",
        "UPDATE notes AS x SET body = x.body FROM plain, json_each(x.body)",
        "UPDATE notes AS x SET owner = 'ann' FROM (SELECT 1 AS rowid) AS x",
        "UPDATE notes x SET owner = 'ann' FROM (SELECT 1 AS rowid) x",
        "UPDATE notes AS x SET owner = 'ann' FROM (plain JOIN (SELECT 1 AS rowid) AS [X] ON 1)",
        "WITH x AS (SELECT 1 AS rowid) UPDATE notes AS x SET owner = 'ann' FROM x",
        "INSERT INTO notes AS excluded VALUES (1, 'ann', 'secret') ON CONFLICT (body) DO UPDATE SET owner = 'ann' ON CONFLICT DO NOTHING",
        "DELETE FROM notes ORDER BY json(body) LIMIT 1",
    ] {
        let result = query(&ann, sql).await;
        assert!(result.is_err(), "{sql}: {result:?}");
        assert_eq!(dump(&service).await, before, "{sql}");
    }
}

#[tokio::test]
async fn hidden_rows_do_not_show_by_what_fails() {
    let host = Host::new();
    let service = database(&host).await;
    let ann = user(&service, "ann");
    let probe = "CASE WHEN body = 'secret' THEN json('no JSON') ELSE 1 END";
    for sql in [
        format!("SELECT * FROM notes WHERE {probe}"),
        format!("SELECT {probe} FROM notes ORDER BY {probe}"),
        format!("SELECT * FROM all_notes WHERE {probe}"),
        format!("SELECT * FROM plain JOIN notes ON {probe}"),
        format!("UPDATE notes SET body = body WHERE {probe}"),
        format!(
            "UPDATE notes AS x SET body = x.body FROM plain WHERE x.id = plain.id AND {}",
            probe.replace("body", "x.body")
        ),
        format!("DELETE FROM notes AS x WHERE x.id IN (SELECT {} FROM plain) AND 0", probe.replace("body", "x.body")),
        format!("UPDATE notes SET body = {probe} WHERE id = 3"),
        format!("DELETE FROM notes WHERE {probe} AND 0"),
    ] {
        query(&ann, &sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[tokio::test]
async fn a_conflict_with_a_hidden_row_tells_nothing_of_it() {
    let host = Host::new();
    let service = database(&host).await;
    let ann = user(&service, "ann");
    let before = dump(&service).await;
    let probe = "CASE WHEN notes.body = 'secret' THEN json('no JSON') ELSE 1 END";
    for update in [
        "DO UPDATE SET owner = 'ann' WHERE notes.body = 'secret'".to_owned(),
        "DO UPDATE SET owner = 'ann' WHERE notes.body = 'a guess'".to_owned(),
        format!("DO UPDATE SET owner = 'ann' WHERE {probe}"),
        format!("DO UPDATE SET owner = {probe}"),
        format!("DO UPDATE SET owner = {probe} WHERE 1 RETURNING id"),
        format!("DO NOTHING ON CONFLICT (id) DO UPDATE SET owner = {probe} ON CONFLICT DO NOTHING"),
    ] {
        let target = if update.starts_with("DO NOTHING") { "(body)" } else { "(id)" };
        let result =
            query(&ann, &format!("INSERT INTO notes VALUES (3, 'ann', 'x') ON CONFLICT {target} {update}")).await;
        assert!(matches!(&result, Err(Error::Denied(text)) if text.contains("row violates")), "{update}: {result:?}");
        let named = update.replace("notes.", "n.");
        let result =
            query(&ann, &format!("INSERT INTO notes AS n VALUES (3, 'ann', 'x') ON CONFLICT {target} {named}")).await;
        assert!(matches!(&result, Err(Error::Denied(text)) if text.contains("row violates")), "{named}: {result:?}");
    }
    assert_eq!(dump(&service).await, before);
    for (sql, affected) in [
        (
            "INSERT INTO notes VALUES (1, 'ann', 'x') ON CONFLICT (id) DO UPDATE SET body = notes.body || '!' WHERE notes.id = 2",
            0,
        ),
        (
            "INSERT INTO notes AS n VALUES (1, 'ann', 'x') ON CONFLICT (id) DO UPDATE SET body = n.body || '!' WHERE n.id = 1",
            1,
        ),
        ("INSERT INTO notes SELECT 2, 'ann', 'y' WHERE true ON CONFLICT DO UPDATE SET body = excluded.body", 1),
    ] {
        assert_eq!(execute(&ann, sql).await.unwrap().rows_affected, affected, "{sql}");
    }
}

#[tokio::test]
async fn a_name_of_the_app_lends_no_rights() {
    let host = Host::new();
    let service = database(&host).await;
    execute(&service, "CREATE TRIGGER log AFTER INSERT ON plain BEGIN SELECT count(*) FROM notes; END").await.unwrap();
    let ann = user(&service, "ann");
    for sql in [
        "WITH log AS (SELECT * FROM sqlite_schema) SELECT * FROM log",
        "WITH x AS (SELECT 1), \"log\"(a) AS NOT MATERIALIZED (SELECT sql FROM sqlite_schema) SELECT * FROM log",
        "WITH RECURSIVE 'log' AS (SELECT * FROM sqlite_schema) SELECT * FROM log",
        "SELECT * FROM (WITH log AS MATERIALIZED (SELECT * FROM pragma_table_info('notes')) SELECT * FROM log)",
        "WITH log AS (SELECT * FROM sqlite_schema) INSERT INTO plain (v) SELECT sql FROM log",
        "INSERT INTO plain (v) WITH log AS (SELECT sql FROM sqlite_schema) SELECT * FROM log",
        "INSERT INTO plain (v) SELECT sql FROM (SELECT sql FROM sqlite_schema) AS log",
        "WITH all_notes AS (SELECT * FROM sqlite_schema) SELECT * FROM all_notes",
    ] {
        let result = query(&ann, sql).await;
        assert!(matches!(result, Err(Error::Denied(_))), "{sql}: {result:?}");
    }
}

#[tokio::test]
async fn the_target_of_an_update_is_what_its_condition_is_about() {
    let host = Host::new();
    let service = database(&host).await;
    let before = dump(&service).await;
    let ann = user(&service, "ann");
    for sql in [
        "UPDATE notes SET owner = 'ann' FROM (SELECT 3 AS rowid, 3 AS id) AS notes WHERE notes.id = 3",
        "WITH notes AS (SELECT 1 AS rowid, 3 AS id) UPDATE notes SET owner = 'ann' FROM notes WHERE main.notes.id = 3",
        "UPDATE notes SET owner = 'ann' FROM (SELECT 1 AS rowid) AS main",
        "UPDATE notes SET owner = 'ann' FROM (SELECT 1 AS rowid) AS notes",
        "UPDATE notes SET owner = 'ann' FROM (plain JOIN (SELECT 1 AS rowid) AS notes ON 1)",
        "UPDATE notes AS y SET owner = 'ann' FROM (SELECT 1 AS rowid) AS x WHERE y.id > 2",
    ] {
        // Its own rows stay as they are; those of others too, whether it is refused or reaches none.
        let _ = execute(&ann, sql).await;
        assert_eq!(dump(&service).await, before, "{sql}");
    }
}

#[tokio::test]
async fn long_statements_are_read_in_the_time_their_length_takes() {
    let host = Host::new();
    let service = database(&host).await;
    let ann = user(&service, "ann");
    let megabyte = |part: &str| part.repeat(1_000_000 / part.len());
    for sql in [
        format!("SELECT {}1", megabyte("auth,")),
        format!("SELECT {}1", megabyte("auth.uid(),")),
        format!("CREATE TABLE {}", megabyte("auth ")),
        format!("CREATE POLICY {}", megabyte("auth ")),
        format!("ALTER TABLE notes {}", megabyte("auth ")),
        format!("SELECT 1{}", megabyte("::text")),
        format!("SELECT {}1{}", "(".repeat(200_000), ")::int".repeat(100_000)),
        format!("{}SELECT 1", megabyte(";")),
        format!("SELECT 1{}", megabyte(";")),
        format!("INSERT INTO notes VALUES (1) {}", megabyte("ON CONFLICT (id) DO UPDATE SET id = 1 ")),
        format!("INSERT INTO notes VALUES (1) ON CONFLICT {}", megabyte("DO UPDATE WHERE ")),
        format!("UPDATE notes AS x SET {}", megabyte("x.")),
        format!("WITH {}", megabyte("x AS (")),
        format!("DELETE FROM notes WHERE {}", megabyte("WHERE ")),
        format!("SELECT {}", megabyte("/**/")),
        format!("SELECT '{}", megabyte("''")),
    ] {
        for database in [&service, &ann] {
            let started = std::time::Instant::now();
            let _ = query(database, &sql).await;
            let took = started.elapsed();
            assert!(took < std::time::Duration::from_secs(20), "{took:?}: {}", sql.get(..40).unwrap());
        }
    }
}

#[tokio::test]
async fn what_waited_while_the_first_policy_was_made_does_not_run_without_it() {
    let host = Host::new();
    let service = host.app("app").await;
    execute(&service, "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT)").await.unwrap();
    let ann = user(&service, "ann");
    let blocking = service.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    let enabling = execute(&service, "ALTER TABLE notes ENABLE ROW LEVEL SECURITY");
    let inserting = execute(&ann, "INSERT INTO notes VALUES (1, 'bob')");
    let unblock = async {
        tokio::task::yield_now().await;
        blocking.rollback().await.unwrap();
    };
    let (enabled, inserted, ()) = tokio::join!(enabling, inserting, unblock);
    enabled.unwrap();
    assert!(matches!(inserted, Err(Error::Busy(_))), "{inserted:?}");
    let again = execute(&ann, "INSERT INTO notes VALUES (1, 'bob')").await;
    assert!(matches!(again, Err(Error::Denied(_))), "{again:?}");
}

/// Everybody reads and writes in every way there is while policies and the schema change, and statements are given up halfway.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_meets_rows_of_others_while_everything_changes() {
    let host = Host::new();
    let service = database(&host).await;
    execute(&service, "CREATE TRIGGER log AFTER UPDATE ON notes BEGIN UPDATE plain SET v = NEW.id; END").await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..12 {
        let name = ["ann", "bob", "eve"][number % 3];
        let own = user(&service, name);
        tasks.spawn(async move {
            let mine = async |sql: &str| match query(&own, sql).await {
                Ok(rows) => assert!(
                    rows.rows.iter().all(|row| row[0] == Value::Text(name.to_owned())),
                    "{name}: {sql}: {rows:?}"
                ),
                Err(Error::Busy(_)) => {}
                Err(error) => panic!("{name}: {sql}: {error}"),
            };
            for round in 0..25 {
                mine("SELECT owner FROM notes").await;
                mine(&format!("INSERT INTO notes (owner, body) VALUES ('{name}', '{number} {round}') RETURNING owner"))
                    .await;
                mine(&format!("UPDATE notes SET body = body || '.' WHERE id % 5 = {} RETURNING owner", round % 5))
                    .await;
                mine(&format!("DELETE FROM notes WHERE body LIKE '%{}%' AND id > 3 RETURNING owner", round % 7)).await;
                let given_up = query(
                    &own,
                    "UPDATE notes SET body = body || (SELECT count(*) FROM notes AS a, notes AS b, notes AS c)",
                );
                let _ = tokio::time::timeout(std::time::Duration::from_micros(300 * (round % 8)), given_up).await;
                if let Ok(mut cursor) = own.cursor("SELECT owner FROM notes".to_owned(), vec![], soon()).await {
                    let rows = cursor.next().await.unwrap();
                    assert!(rows.iter().all(|row| row[0] == Value::Text(name.to_owned())), "{name}: {rows:?}");
                }
                if round % 6 == 0
                    && let Ok(transaction) = own.begin(TransactionMode::ReadWrite, soon()).await
                {
                    for sql in ["UPDATE notes SET owner = owner RETURNING owner", "SELECT owner FROM notes"] {
                        let rows = transaction.query(sql.to_owned(), vec![], soon()).await.unwrap();
                        assert!(rows.rows.iter().all(|row| row[0] == Value::Text(name.to_owned())), "{name}: {rows:?}");
                    }
                }
            }
        });
    }
    for round in 0..40 {
        for sql in [
            format!("CREATE POLICY p{round} ON notes AS RESTRICTIVE USING (id <> -{round} - 1)"),
            format!("ALTER TABLE plain ADD COLUMN c{round}"),
            format!("CREATE INDEX i{round} ON notes (owner, id)"),
            format!("DROP POLICY p{round} ON notes"),
            format!("DROP INDEX i{round}"),
        ] {
            while let Err(error) = execute(&service, &sql).await {
                assert!(matches!(error, Error::Busy(_)), "{sql}: {error}");
            }
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!(value(&service, "SELECT owner FROM notes WHERE id = 3").await, Value::Text("bob".to_owned()));
}

#[tokio::test]
async fn policies_combine_as_in_postgresql() {
    let host = Host::new();
    let service = database(&host).await;
    let (ann, anon) = (user(&service, "ann"), anon(&service));
    let count = async |database: &Database| value(database, "SELECT count(*) FROM notes").await;
    for (sql, of_ann, of_anon) in [
        ("CREATE POLICY everyone ON notes FOR SELECT USING (id >= 2)", 3, 2),
        ("CREATE POLICY strict ON notes AS RESTRICTIVE USING (body <> 'secret')", 2, 1),
        ("ALTER POLICY strict ON notes TO anon", 3, 1),
        ("DROP POLICY own ON notes", 2, 1),
        ("ALTER POLICY everyone ON notes RENAME TO some", 2, 1),
        ("DROP POLICY some ON notes", 0, 0),
        ("ALTER TABLE notes DISABLE ROW LEVEL SECURITY", 3, 3),
    ] {
        execute(&service, sql).await.unwrap();
        assert_eq!((count(&ann).await, count(&anon).await), (Value::Integer(of_ann), Value::Integer(of_anon)), "{sql}");
    }
}

#[tokio::test]
async fn force_is_accepted_and_changes_nothing_for_callers() {
    let host = Host::new();
    let service = database(&host).await;
    let ann = user(&service, "ann");
    let count = async |database: &Database| value(database, "SELECT count(*) FROM notes").await;
    for sql in ["ALTER TABLE notes FORCE ROW LEVEL SECURITY", "ALTER TABLE notes NO FORCE ROW LEVEL SECURITY"] {
        execute(&service, sql).await.unwrap();
        // The service role bypasses policies as `BYPASSRLS` does in PostgreSQL, where FORCE does not concern it either.
        assert_eq!((count(&ann).await, count(&service).await), (Value::Integer(2), Value::Integer(3)), "{sql}");
        assert!(execute(&ann, sql).await.is_err(), "{sql}");
    }
    assert_eq!(value(&ann, "SELECT auth.email()").await, Value::Text("ann@example.com".to_owned()));
}

#[tokio::test]
async fn nobody_reads_or_writes_less_than_anon() {
    let host = Host::new();
    let service = database(&host).await;
    let before = dump(&service).await;
    let anon = anon(&service);
    for sql in [
        "SELECT * FROM main.notes",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM caddis_policies",
        "INSERT INTO notes VALUES (9, '', 'x')",
        "INSERT OR REPLACE INTO notes VALUES (3, '', 'x')",
        "INSERT INTO tags VALUES (9, 3, 'mine')",
        "CREATE VIEW v AS SELECT * FROM notes",
        "DROP POLICY own ON notes",
        "ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
        "ATTACH ':memory:' AS x",
        "PRAGMA table_info(notes)",
    ] {
        assert!(query(&anon, sql).await.is_err(), "{sql}");
        assert_eq!(dump(&service).await, before, "{sql}");
    }
    for sql in ["SELECT * FROM notes", "SELECT * FROM all_notes", "SELECT * FROM tags", "DELETE FROM notes RETURNING *"]
    {
        assert!(query(&anon, sql).await.unwrap().rows.is_empty(), "{sql}");
        assert_eq!(dump(&service).await, before, "{sql}");
    }
}

#[tokio::test]
async fn what_policies_cannot_be_is_refused() {
    let host = Host::new();
    let service = database(&host).await;
    execute(&service, "CREATE TABLE w (a PRIMARY KEY) WITHOUT ROWID").await.unwrap();
    for (sql, part) in [
        ("ALTER TABLE missing ENABLE ROW LEVEL SECURITY", "does not exist"),
        ("ALTER TABLE w ENABLE ROW LEVEL SECURITY", "WITHOUT ROWID"),
        ("ALTER TABLE notes RENAME TO others", "row-level security"),
        ("CREATE POLICY own ON notes USING (1)", "already exists"),
        ("CREATE POLICY p ON notes USING (missing = 1)", "missing"),
        ("CREATE POLICY p ON notes USING (id = ?)", "no parameters"),
        ("CREATE POLICY p ON notes FOR INSERT USING (1)", "WITH CHECK"),
        ("CREATE POLICY p ON notes TO nobody", "does not exist"),
        ("CREATE POLICY p ON notes USING (1) nonsense", "nonsense"),
        ("DROP POLICY p ON notes", "does not exist"),
        ("DROP TABLE caddis_policies", "host"),
        ("DELETE FROM caddis_policies", "not allowed"),
    ] {
        let error = execute(&service, sql).await.unwrap_err();
        assert!(error.to_string().contains(part), "{sql}: {error}");
    }
    let transaction = service.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    let sql = "DROP POLICY own ON notes".to_owned();
    assert!(matches!(transaction.execute(sql, vec![], soon()).await, Err(Error::Denied(_))));
}

#[tokio::test]
async fn a_policy_that_reads_itself_fails_closed() {
    let host = Host::new();
    let service = database(&host).await;
    execute(&service, "CREATE POLICY loops ON notes USING (EXISTS (SELECT 1 FROM notes))").await.unwrap();
    assert!(query(&user(&service, "ann"), "SELECT * FROM notes").await.is_err());
}

#[tokio::test]
async fn triggers_act_for_the_app_but_their_rows_pass_the_policies() {
    let host = Host::new();
    let service = database(&host).await;
    let ann = user(&service, "ann");
    for sql in [
        "CREATE TABLE audit (what TEXT)",
        "CREATE TRIGGER log AFTER UPDATE ON notes BEGIN INSERT INTO audit SELECT count(*) FROM notes; END",
    ] {
        execute(&service, sql).await.unwrap();
    }
    execute(&ann, "UPDATE notes SET body = 'logged' WHERE id = 1").await.unwrap();
    assert_eq!(value(&service, "SELECT what FROM audit").await, Value::Text("3".into()));
    assert!(query(&ann, "WITH log AS (SELECT * FROM main.notes) SELECT * FROM log").await.is_err());
    execute(&service, "ALTER TABLE audit ENABLE ROW LEVEL SECURITY").await.unwrap();
    let refused = execute(&ann, "UPDATE notes SET body = 'x' WHERE id = 1").await;
    assert!(matches!(refused, Err(Error::Denied(text)) if text.contains("table \"audit\"")));
}

#[tokio::test]
async fn what_a_trigger_writes_elsewhere_need_not_be_readable() {
    let host = Host::new();
    let service = database(&host).await;
    for sql in [
        "CREATE TABLE audit (what TEXT)",
        "CREATE TRIGGER log AFTER DELETE ON notes BEGIN INSERT INTO audit VALUES (OLD.id); END",
        "ALTER TABLE audit ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY written ON audit FOR INSERT WITH CHECK (true)",
    ] {
        execute(&service, sql).await.unwrap();
    }
    let ann = user(&service, "ann");
    let deleted = query(&ann, "DELETE FROM notes WHERE id = 1 RETURNING id").await.unwrap();
    assert_eq!(deleted.rows, [[Value::Integer(1)]]);
    assert!(query(&ann, "INSERT INTO audit VALUES ('x') RETURNING what").await.is_err(), "its own rows it shows");
    assert_eq!(value(&service, "SELECT count(*) FROM audit").await, Value::Integer(1));
}

#[tokio::test]
async fn a_transaction_keeps_to_the_policies() {
    let host = Host::new();
    let service = database(&host).await;
    let transaction = user(&service, "ann").begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    let run = async |sql: &str| transaction.execute(sql.to_owned(), vec![], soon()).await;
    assert_eq!(run("UPDATE notes SET body = 'x' || id").await.unwrap().rows_affected, 2);
    assert!(matches!(run("UPDATE notes SET owner = 'bob'").await, Err(Error::Denied(_))));
    assert!(matches!(run("CREATE TABLE mine (x)").await, Err(Error::Denied(_))));
    transaction.commit().await.unwrap();
    assert_eq!(
        value(&service, "SELECT count(*) FROM notes WHERE body LIKE 'x%' AND owner = 'ann'").await,
        Value::Integer(2)
    );
}

#[tokio::test]
async fn casts_are_written_as_in_postgresql() {
    let host = Host::new();
    let service = host.app("app").await;
    for sql in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, owner TEXT, open TEXT, team INTEGER)",
        "INSERT INTO t VALUES (1, 'ann', 'true', 7), (2, 'ann', 'f', 7), (3, 'bob', 't', 7), (4, 'ann', 'yes', 8)",
        "CREATE POLICY p ON t USING (auth.uid()::text = owner::varchar(20) AND open::boolean AND (auth.jwt() ->> 'n')::int = team)",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    ] {
        execute(&service, sql).await.unwrap();
    }
    let claims = Some(r#"{"n":"7"}"#.to_owned());
    let ann = Caller { role: DbRole::Authenticated, uid: Some("ann".to_owned()), email: None, claims };
    let ann = service.clone().acting_for(Arc::new(ann));
    assert_eq!(value(&ann, "SELECT group_concat(id::text || '!') FROM t").await, Value::Text("1!".to_owned()));
    assert_eq!(value(&service, "SELECT sum('2'::int + id) FROM t").await, Value::Integer(18));
    let unknown = execute(&service, "CREATE POLICY q ON t USING (owner::point = 1)").await;
    assert!(matches!(&unknown, Err(Error::Syntax(text)) if text.contains("point")), "{unknown:?}");
}

#[tokio::test]
async fn a_table_takes_its_policies_along() {
    let host = Host::new();
    let service = database(&host).await;
    execute(&service, "DROP TABLE tags").await.unwrap();
    let transaction = service.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
    transaction.execute("DROP TABLE notes".to_owned(), vec![], soon()).await.unwrap();
    transaction.rollback().await.unwrap();
    let ann = user(&service, "ann");
    assert_eq!(value(&ann, "SELECT count(*) FROM notes").await, Value::Integer(2), "still there, and still protected");
    execute(&service, "CREATE TABLE tags (id INTEGER PRIMARY KEY, tag TEXT)").await.unwrap();
    execute(&service, "INSERT INTO tags VALUES (1, 'x')").await.unwrap();
    assert_eq!(value(&ann, "SELECT count(*) FROM tags").await, Value::Integer(1), "a new table begins without");
    assert_eq!(
        value(&service, "SELECT group_concat(DISTINCT table_name) FROM caddis_policies").await,
        Value::Text("notes".to_owned())
    );
    assert!(matches!(execute(&service, "DROP TABLE missing").await, Err(Error::Syntax(_))));
    execute(&service, "DROP TABLE IF EXISTS missing").await.unwrap();
}

#[tokio::test]
async fn a_connection_tells_nothing_of_its_last_user() {
    let host = Host::new();
    let service = database(&host).await;
    let ann = user(&service, "ann");
    for someone in [&service, &ann] {
        let inserted =
            execute(someone, "INSERT INTO notes (owner, body) VALUES ('ann', hex(randomblob(8)))").await.unwrap();
        assert_eq!(inserted.rows_affected, 1);
        assert!(inserted.last_insert_id > 3);
        let nothing = execute(someone, "UPDATE notes SET body = body WHERE id = 0").await.unwrap();
        assert_eq!((nothing.rows_affected, nothing.last_insert_id), (0, 0));
        let transaction = someone.begin(TransactionMode::ReadWrite, soon()).await.unwrap();
        let last = || transaction.query("SELECT last_insert_rowid()".to_owned(), vec![], soon());
        assert_eq!(last().await.unwrap().rows, [[Value::Integer(0)]]);
        transaction.execute("INSERT INTO plain (v) VALUES ('b')".to_owned(), vec![], soon()).await.unwrap();
        assert_ne!(last().await.unwrap().rows, [[Value::Integer(0)]], "within a transaction it is one's own");
        transaction.rollback().await.unwrap();
    }
    for sql in ["SELECT changes()", "SELECT total_changes()", "DELETE FROM plain WHERE Total_Changes() > 7"] {
        assert!(matches!(query(&ann, sql).await, Err(Error::Denied(_))), "{sql}");
    }
}
