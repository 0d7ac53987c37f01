//! A REST API over a table of notes.
//!
//! - `GET /?limit=20&offset=0`: the newest notes
//! - `POST /` with `{"title", "body"?}`: 201, the note, and its address in `location`
//! - `GET /{id}`, `PUT /{id}` with `{"title", "body"?}`, `DELETE /{id}`

use caddis_sdk::db::Db;
use caddis_sdk::http::Method;
use caddis_sdk::{Context, Error, Request, Response, Result, params};
use serde::{Deserialize, Serialize};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS notes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL,
        body TEXT NOT NULL,
        created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ'))
    ) STRICT";

/// The most notes one list has.
const MAX_LIMIT: u32 = 100;

#[derive(Serialize, Deserialize)]
struct Note {
    id: i64,
    title: String,
    body: String,
    created_at: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    title: String,
    #[serde(default)]
    body: String,
}

#[caddis_sdk::handler]
async fn handle(request: Request, context: Context) -> Result<Response> {
    let db = context.db();
    match request.path() {
        "/" => match *request.method() {
            Method::GET => list(&request, db).await,
            Method::POST => create(&request, db).await,
            _ => Ok(method_not_allowed("GET, POST")),
        },
        path => {
            let id = parse_id(path)?;
            match *request.method() {
                Method::GET => read(id, db).await,
                Method::PUT => update(id, &request, db).await,
                Method::DELETE => delete(id, db).await,
                _ => Ok(method_not_allowed("GET, PUT, DELETE")),
            }
        }
    }
}

async fn list(request: &Request, db: Db) -> Result<Response> {
    let limit = number(request, "limit", 20)?.clamp(1, MAX_LIMIT);
    let offset = number(request, "offset", 0)?;
    ensure_table(db).await?;
    let sql = "SELECT * FROM notes ORDER BY id DESC LIMIT ? OFFSET ?";
    let notes: Vec<Note> = db.query_as(sql, params![limit, offset]).await?;
    Response::json(&notes)
}

async fn create(request: &Request, db: Db) -> Result<Response> {
    let draft = draft(request).await?;
    ensure_table(db).await?;
    let sql = "INSERT INTO notes (title, body) VALUES (?, ?) RETURNING *";
    let note: Note = found(db.query_one(sql, params![draft.title, draft.body]).await?)?;
    let here = request.url().split('?').next().unwrap_or_default().trim_end_matches('/');
    caddis_sdk::info!("created note {}", note.id);
    Ok(Response::json(&note)?.with_status(201).with_header("location", format!("{here}/{}", note.id)))
}

async fn read(id: i64, db: Db) -> Result<Response> {
    ensure_table(db).await?;
    let note: Note = found(db.query_one("SELECT * FROM notes WHERE id = ?", params![id]).await?)?;
    Response::json(&note)
}

async fn update(id: i64, request: &Request, db: Db) -> Result<Response> {
    let draft = draft(request).await?;
    ensure_table(db).await?;
    let sql = "UPDATE notes SET title = ?, body = ? WHERE id = ? RETURNING *";
    let note: Note = found(db.query_one(sql, params![draft.title, draft.body, id]).await?)?;
    Response::json(&note)
}

async fn delete(id: i64, db: Db) -> Result<Response> {
    ensure_table(db).await?;
    let changes = db.execute("DELETE FROM notes WHERE id = ?", params![id]).await?;
    found((changes.rows_affected > 0).then_some(()))?;
    Ok(Response::empty())
}

/// Asks before it writes, because readers never wait but writers wait for each other.
async fn ensure_table(db: Db) -> Result<()> {
    let exists: Option<i64> = db.query_one("SELECT 1 FROM sqlite_schema WHERE name = 'notes'", params![]).await?;
    if exists.is_none() {
        db.execute(SCHEMA, params![]).await?;
    }
    Ok(())
}

async fn draft(request: &Request) -> Result<Draft> {
    let draft: Draft = request.json().await?;
    match draft.title.chars().count() {
        1..=200 => Ok(draft),
        length => Err(Error::status(400, format_args!("the title has {length} characters; 1 to 200 are allowed"))),
    }
}

fn found<T>(row: Option<T>) -> Result<T> {
    row.ok_or_else(|| Error::status(404, "no such note"))
}

fn parse_id(path: &str) -> Result<i64> {
    let id = path.trim_matches('/');
    id.parse().map_err(|_| Error::status(400, format_args!("{id:?} is not the id of a note: ids are numbers")))
}

fn number(request: &Request, name: &str, default: u32) -> Result<u32> {
    let Some(text) = request.query_value(name) else {
        return Ok(default);
    };
    text.parse().map_err(|_| Error::status(400, format_args!("{name} must be a number, not {text:?}")))
}

fn method_not_allowed(allowed: &str) -> Response {
    Response::error(405, format_args!("only {allowed} are allowed here")).with_header("allow", allowed)
}
