//! The pages that show what the host's own interfaces answer.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use bindings::caddis::function::{db, env, log, user};

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "caddis:function/imports" });
}

/// A page: from the head and the whole body of a request to the JSON of the response.
pub type Page = fn(&Parts, &[u8]) -> anyhow::Result<Json>;

/// The page at this path.
pub fn page(path: &str) -> Option<Page> {
    Some(match path {
        "/db" => run_statement,
        "/transaction" => run_transaction,
        "/env" => show_variables,
        "/log" => write_lines,
        "/user" => show_caller,
        "/count" => count_calls,
        _ => return None,
    })
}

/// How many calls of this page the instance has answered.
fn count_calls(_parts: &Parts, _body: &[u8]) -> anyhow::Result<Json> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    Ok(json!(CALLS.fetch_add(1, Ordering::Relaxed) + 1))
}

/// `?NAME` is looked up the three ways there are.
fn show_variables(parts: &Parts, _body: &[u8]) -> anyhow::Result<Json> {
    let name = parts.uri.query().unwrap_or_default();
    Ok(json!({
        "get": env::get(name),
        "all": env::all(),
        "wasi": std::env::vars().find(|(key, _)| key == name).map(|(_, value)| value),
    }))
}

fn show_caller(_parts: &Parts, _body: &[u8]) -> anyhow::Result<Json> {
    Ok(match user::current() {
        None => Json::Null,
        Some(caller) => json!({
            "id": caller.id,
            "email": caller.email,
            "role": caller.role,
            "groups": caller.groups,
            "claims": serde_json::from_str::<Json>(&caller.claims).context("claims are a JSON object")?,
        }),
    })
}

fn write_lines(_parts: &Parts, body: &[u8]) -> anyhow::Result<Json> {
    let text = str::from_utf8(body)?;
    for level in [log::Level::Trace, log::Level::Debug, log::Level::Info, log::Level::Warn, log::Level::Error] {
        log::write(level, text);
    }
    println!("{text} on standard output");
    eprintln!("{text} on standard error");
    Ok(Json::Null)
}

#[derive(Deserialize)]
struct Statement {
    sql: String,
    #[serde(default)]
    parameters: Vec<Json>,
    #[serde(default)]
    execute: bool,
}

impl Statement {
    fn parameters(&self) -> anyhow::Result<Vec<db::Value>> {
        self.parameters.iter().map(value_from_json).collect()
    }
}

fn run_statement(_parts: &Parts, body: &[u8]) -> anyhow::Result<Json> {
    let statement: Statement = serde_json::from_slice(body)?;
    let parameters = statement.parameters()?;
    Ok(if statement.execute {
        json_from_changes(db::execute(&statement.sql, &parameters))
    } else {
        json_from_rows(db::query(&statement.sql, &parameters))
    })
}

#[derive(Deserialize)]
struct Script {
    #[serde(default)]
    read_only: bool,
    statements: Vec<Statement>,
    end: End,
    /// Runs outside the transaction, before its end.
    #[serde(default)]
    beside: Option<Statement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum End {
    Commit,
    Rollback,
    Drop,
    Leak,
    Trap,
}

fn run_transaction(_parts: &Parts, body: &[u8]) -> anyhow::Result<Json> {
    let script: Script = serde_json::from_slice(body)?;
    let mode = if script.read_only { db::TransactionMode::ReadOnly } else { db::TransactionMode::ReadWrite };
    let transaction = match db::Transaction::begin(mode) {
        Ok(transaction) => transaction,
        Err(error) => return Ok(json!({ "begin": json_from_error(error) })),
    };
    let mut results = Vec::new();
    for statement in &script.statements {
        let parameters = statement.parameters()?;
        results.push(if statement.execute {
            json_from_changes(transaction.execute(&statement.sql, &parameters))
        } else {
            json_from_rows(transaction.query(&statement.sql, &parameters))
        });
    }
    let beside = script.beside.map(|statement| json_from_rows(db::query(&statement.sql, &[])));
    let end = match script.end {
        End::Commit => json_from_end(db::Transaction::commit(transaction)),
        End::Rollback => json_from_end(db::Transaction::rollback(transaction)),
        End::Drop => Json::Null,
        End::Leak => {
            std::mem::forget(transaction);
            Json::Null
        }
        End::Trap => panic!("asked to trap inside a transaction"),
    };
    Ok(json!({ "results": results, "beside": beside, "end": end }))
}

fn value_from_json(json: &Json) -> anyhow::Result<db::Value> {
    Ok(match json {
        Json::Null => db::Value::Null,
        Json::Bool(value) => db::Value::Integer((*value).into()),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => db::Value::Integer(integer),
            None => db::Value::Real(number.as_f64().context("a number that fits a double")?),
        },
        Json::String(text) => db::Value::Text(text.clone()),
        // JSON has no bytes: an array of numbers stands for a blob.
        Json::Array(bytes) => db::Value::Blob(
            bytes.iter().map(|byte| Ok(byte.as_u64().context("a byte")?.try_into()?)).collect::<anyhow::Result<_>>()?,
        ),
        Json::Object(_) => anyhow::bail!("an object is no SQL value"),
    })
}

fn json_from_value(value: db::Value) -> Json {
    match value {
        db::Value::Null => Json::Null,
        db::Value::Integer(integer) => json!(integer),
        db::Value::Real(real) => json!(real),
        db::Value::Text(text) => json!(text),
        db::Value::Blob(bytes) => json!(bytes),
    }
}

fn json_from_rows(result: Result<db::Rows, db::Error>) -> Json {
    match result {
        Ok(result) => json!({
            "columns": result.columns,
            "rows": result.rows.into_iter()
                .map(|row| row.into_iter().map(json_from_value).collect())
                .collect::<Vec<Json>>(),
        }),
        Err(error) => json_from_error(error),
    }
}

fn json_from_changes(result: Result<db::Changes, db::Error>) -> Json {
    match result {
        Ok(changes) => json!({ "rows_affected": changes.rows_affected, "last_insert_id": changes.last_insert_id }),
        Err(error) => json_from_error(error),
    }
}

fn json_from_end(result: Result<(), db::Error>) -> Json {
    result.map_or_else(json_from_error, |()| json!("done"))
}

fn json_from_error(error: db::Error) -> Json {
    let (kind, message) = match error {
        db::Error::Syntax(message) => ("syntax", message),
        db::Error::Parameter(message) => ("parameter", message),
        db::Error::Constraint(violation) => ("constraint", format!("{:?}: {}", violation.kind, violation.message)),
        db::Error::Denied(message) => ("denied", message),
        db::Error::Busy(message) => ("busy", message),
        db::Error::Limit(message) => ("limit", message),
        db::Error::Timeout => ("timeout", String::new()),
        db::Error::Closed => ("closed", String::new()),
        db::Error::Internal(message) => ("internal", message),
    };
    json!({ "error": kind, "message": message })
}
