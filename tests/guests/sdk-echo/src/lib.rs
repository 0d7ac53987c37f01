//! Answers through `caddis:function/handler`, by way of `caddis-sdk`, as the other echo guests do through `wasi:http`.

use std::sync::atomic::{AtomicU32, Ordering};

use caddis_sdk::db::{Error as SqlError, Value as SqlValue, statement};
use caddis_sdk::{BodyStream, Context, Error, Request, Response, Result, named_params, params};
use serde::Deserialize;
use serde_json::{Value, json};

/// How many calls of `/count` the instance has answered.
static CALLS: AtomicU32 = AtomicU32::new(0);

#[caddis_sdk::handler]
async fn handle(request: Request, context: Context) -> Result<Response> {
    match request.path() {
        "/echo" => Ok(echo(request.stream()?, "")),
        "/stream" => Ok(echo(request.stream()?, "ready\n")),
        "/failure" => Err(Error::new("a deliberate failure")),
        "/bad-status" => Ok(Response::text("").with_status(99)),
        "/bad-field" => Ok(Response::text("").with_header("a b", "c")),
        "/broken-stream" => Ok(Response::stream(|mut writer| async move {
            writer.write("the first half").await?;
            Err(Error::new("a deliberate failure"))
        })),
        "/db/roles" => roles(&context).await,
        "/db" => query(&request, &context).await,
        "/env" => Response::json(&show_variables(&request, &context)),
        "/log" => write_lines(&request, &context).await,
        "/count" => Response::json(&(CALLS.fetch_add(1, Ordering::Relaxed) + 1)),
        "/user" => Response::json(&show_caller(&context)?),
        path if path.starts_with("/describe") => describe(&request).await,
        _ => Ok(Response::text("no such page\n").with_status(404)),
    }
}

fn echo(mut body: BodyStream, greeting: &'static str) -> Response {
    Response::stream(move |mut writer| async move {
        writer.write(greeting).await?;
        while let Some(bytes) = body.chunk().await? {
            writer.write(bytes).await?;
        }
        Ok(())
    })
}

/// Tells what arrived, and sets one response header three times.
async fn describe(request: &Request) -> Result<Response> {
    let headers: Vec<Value> =
        request.raw_headers().iter().map(|(name, value)| json!([name, value.escape_ascii().to_string()])).collect();
    let description = json!({
        "method": request.method().as_str(),
        "url": request.url(),
        "path_with_query": request.uri().to_string(),
        "headers": headers,
        "body_bytes": request.bytes().await?.len(),
    });
    let response = Response::json(&description)?;
    Ok(["one", "two", "three"].into_iter().fold(response, |response, value| response.with_header("x-reply", value)))
}

#[derive(Deserialize)]
struct Query {
    sql: String,
    parameters: Vec<i64>,
}

async fn query(request: &Request, context: &Context) -> Result<Response> {
    let query: Query = request.json().await?;
    let parameters: Vec<SqlValue> = query.parameters.into_iter().map(SqlValue::Integer).collect();
    let rows = context.db().query(&query.sql, parameters).await?;
    let columns = json!(rows.columns);
    let rows: Vec<Vec<Value>> =
        rows.rows.into_iter().map(|row| row.into_iter().map(json_from_value).collect()).collect();
    Response::json(&json!({ "columns": columns, "rows": rows }))
}

/// Names, a batch, a cursor, and a table with a policy as three roles see it.
async fn roles(context: &Context) -> Result<Response> {
    let db = context.db();
    for sql in [
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner TEXT)",
        "CREATE POLICY own ON notes USING (owner = auth.uid())",
    ] {
        db.execute(sql, params![]).await?;
    }
    let insert = "INSERT INTO notes (owner) VALUES (:owner)";
    let inserted = db
        .batch(&[
            statement(insert, named_params! { "owner": "ann" }),
            statement(insert, named_params! { ":owner": "bob" }),
            statement("INSERT INTO notes (owner) SELECT 'bob' FROM notes", params![]),
        ])
        .await?;
    let mut cursor = db.cursor("SELECT id FROM notes", params![]).await?;
    let mut read = 0;
    for rows in [cursor.next().await?, cursor.next().await?] {
        read += rows.rows.len();
    }
    drop(cursor);
    let streamed = db
        .transaction(async |tx| {
            tx.execute(insert, named_params! { "owner": "eve" }).await?;
            let mut cursor = tx.cursor("SELECT id FROM notes", params![]).await?;
            let rows = cursor.next().await?.rows.len();
            drop(cursor);
            let twice = statement("INSERT INTO notes VALUES (9, 'x')", params![]);
            let failed = tx.batch(&[twice.clone(), twice]).await;
            assert!(matches!(failed, Err(SqlError::Constraint(_))), "{failed:?}");
            tx.batch(&[statement("SELECT 1", params![]), statement("SELECT 2", params![])]).await?;
            Ok(rows)
        })
        .await?;
    db.execute("ALTER TABLE notes ENABLE ROW LEVEL SECURITY", params![]).await?;
    let count = "SELECT count(*) FROM notes WHERE id > :id";
    let (bob, anon) = (db.as_user("bob")?, db.as_anon()?);
    let seen: [Option<i64>; 2] = [
        bob.query_one(count, named_params! { "id": 0 }).await?,
        anon.query_one(count, named_params! { "id": 0 }).await?,
    ];
    let hidden = bob.transaction(async |tx| Ok(tx.execute("DELETE FROM notes WHERE owner = 'ann'", params![]).await?));
    let hidden = hidden.await?.rows_affected;
    let refused = matches!(db.as_service(), Err(SqlError::Denied(text)) if text.contains("allow_service_role"));
    let inserted: Vec<_> = inserted.iter().map(|outcome| outcome.changes.rows_affected).collect();
    Response::json(
        &json!({ "inserted": inserted, "read": read, "seen": seen, "hidden": hidden, "refused": refused, "streamed": streamed }),
    )
}

fn json_from_value(value: SqlValue) -> Value {
    match value {
        SqlValue::Null => Value::Null,
        SqlValue::Integer(integer) => json!(integer),
        SqlValue::Real(real) => json!(real),
        SqlValue::Text(text) => json!(text),
        SqlValue::Blob(bytes) => json!(bytes),
    }
}

fn show_variables(request: &Request, context: &Context) -> Value {
    let name = request.uri().query().unwrap_or_default();
    json!({
        "get": context.env(name),
        "all": context.env_all(),
        "wasi": std::env::vars().find(|(key, _)| key == name).map(|(_, value)| value),
    })
}

async fn write_lines(request: &Request, context: &Context) -> Result<Response> {
    let text = request.text().await?;
    context.log().info(&text);
    caddis_sdk::warn!("{text}");
    println!("{text} on standard output");
    Response::json(&Value::Null)
}

fn show_caller(context: &Context) -> Result<Value> {
    Ok(match context.user() {
        None => Value::Null,
        Some(caller) => json!({
            "id": caller.id,
            "email": caller.email,
            "role": caller.role,
            "groups": caller.groups,
            "claims": caller.claims::<Value>()?,
        }),
    })
}
