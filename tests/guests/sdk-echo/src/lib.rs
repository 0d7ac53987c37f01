//! Answers through `caddis:function/handler`, by way of `caddis-sdk`, as the other echo guests do through `wasi:http`.

use caddis_sdk::db::Value as SqlValue;
use caddis_sdk::{BodyStream, Context, Error, Request, Response, Result};
use serde::Deserialize;
use serde_json::{Value, json};

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
        "/db" => query(&request, &context).await,
        "/env" => Response::json(&show_variables(&request, &context)),
        "/log" => write_lines(&request, &context).await,
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
