//! `/db`: the schema and the rows of an app's database, for whoever manages it. Statements run for the app itself unless the
//! request names another role.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream::unfold;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as JsonValue, json};

use super::Api;
use super::extract::{InApp, json as body_of};
use super::reception::bytes;
use crate::error::{Code, Error};
use crate::store::tenant::{
    Applied, Caller, Database, Error as DatabaseError, Migration, MigrationError, Outcome, Parameters, ScriptError,
    TransactionMode, Value,
};
use crate::tunables::{IMPORT_BYTES, MANAGEMENT_BODY_BYTES, MANAGEMENT_STATEMENT_TIME, MIGRATION_TIME};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppliedMigration")]
pub(in crate::api) struct AppliedObject {
    version: i64,
    name: String,
    checksum: String,
    applied_at: String,
}

impl From<Applied> for AppliedObject {
    fn from(applied: Applied) -> Self {
        let Applied { version, name, checksum, applied_at } = applied;
        Self { version, name, checksum, applied_at }
    }
}

fn listed(applied: Vec<Applied>) -> Vec<AppliedObject> {
    applied.into_iter().map(AppliedObject::from).collect()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Migrations {
    migrations: Vec<MigrationFile>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MigrationFile {
    name: String,
    sql: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DatabaseQuery")]
pub(in crate::api) struct Query {
    sql: String,
    #[serde(default)]
    parameters: Option<JsonValue>,
    #[serde(default)]
    role: Role,
    #[serde(default)]
    user: Option<String>,
    /// Refuses a statement that would change anything.
    #[serde(default)]
    read_only: bool,
}

/// Whom a statement is run for.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DatabaseRole")]
enum Role {
    #[default]
    #[serde(rename = "service_role", alias = "butterbase_service")]
    Service,
    #[serde(alias = "butterbase_user")]
    Authenticated,
    #[serde(alias = "butterbase_anon")]
    Anon,
}

async fn database(api: &Api, app: &crate::router::table::App) -> Result<Database, Error> {
    // The body took its time.
    api.deployer.check_served(app)?;
    api.deployer.databases.open(&app.name).await.map_err(refused)
}

/// `GET /db/migrations`: what was run.
pub(super) async fn migrations(State(api): State<Arc<Api>>, InApp(app): InApp) -> Result<Response, Error> {
    let deadline = Instant::now() + MANAGEMENT_STATEMENT_TIME;
    let applied = database(&api, &app).await?.migrations(deadline).await.map_err(refused)?;
    Ok(Json(listed(applied)).into_response())
}

/// `POST /db/migrations`: runs what was not run yet.
pub(super) async fn migrate(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    request: Request,
) -> Result<Response, Error> {
    let Migrations { migrations, dry_run } = body_of(request, IMPORT_BYTES).await?;
    let migrations = migrations.into_iter().map(|MigrationFile { name, sql }| Migration { name, sql }).collect();
    let database = database(&api, &app).await?;
    match database.migrate(migrations, dry_run, Instant::now() + MIGRATION_TIME).await {
        Ok(applied) => Ok(Json(json!({ "applied": listed(applied), "dry_run": dry_run })).into_response()),
        Err(MigrationError::Refused(message)) => Err(Error::new(Code::InvalidSql, message)),
        Err(MigrationError::Failed { name, script }) => Err(script_failed(&name, script)),
        Err(MigrationError::Database(error)) => Err(refused(error)),
    }
}

/// `POST /db/query`: one statement.
pub(super) async fn query(State(api): State<Arc<Api>>, InApp(app): InApp, request: Request) -> Result<Response, Error> {
    let Query { sql, parameters, role, user, read_only } = body_of(request, MANAGEMENT_BODY_BYTES).await?;
    let caller = match (role, user) {
        (Role::Authenticated, Some(user)) => Caller::user(user),
        (Role::Authenticated, None) => return Err(Error::invalid("user: role authenticated needs the id of a user")),
        (Role::Anon, None) => Caller::anon(),
        (Role::Service, None) => Caller::service(),
        (Role::Anon | Role::Service, Some(_)) => return Err(Error::invalid("user: goes with role authenticated")),
    };
    let parameters = parameters_from(parameters)?;
    let database = database(&api, &app).await?.acting_for(Arc::new(caller));
    let deadline = Instant::now() + MANAGEMENT_STATEMENT_TIME;
    let outcome = match read_only {
        true => read(&database, sql, parameters, deadline).await,
        false => database.run(sql, parameters, deadline).await,
    }
    .map_err(refused)?;
    let rows = outcome.rows.rows.into_iter().map(|row| row.into_iter().map(json_from).collect::<Vec<_>>());
    Ok(Json(json!({
        "columns": outcome.rows.columns,
        "rows": rows.collect::<Vec<_>>(),
        "rows_affected": outcome.changes.rows_affected,
        "last_insert_id": outcome.changes.last_insert_id,
    }))
    .into_response())
}

/// Runs a statement where nothing can be written.
async fn read(
    database: &Database,
    sql: String,
    parameters: Parameters,
    deadline: Instant,
) -> Result<Outcome, DatabaseError> {
    let snapshot = database.begin(TransactionMode::ReadOnly, deadline).await?;
    let outcome = snapshot.run(sql, parameters, deadline).await?;
    snapshot.rollback().await?;
    Ok(outcome)
}

/// `GET /db/dump`: schema, rows and policies as SQL text.
pub(super) async fn dump(State(api): State<Arc<Api>>, InApp(app): InApp) -> Result<Response, Error> {
    let pieces = database(&api, &app).await?.dump(Instant::now() + MIGRATION_TIME).await.map_err(refused)?;
    // One that fails in the middle breaks the body off: it must not look like a whole one.
    let stream = unfold(pieces, async |mut pieces| Some((pieces.recv().await?.map(Bytes::from), pieces)));
    Ok(([(CONTENT_TYPE, "application/sql")], Body::from_stream(stream)).into_response())
}

/// `POST /db/import`: SQL text, all or nothing.
pub(super) async fn import(
    State(api): State<Arc<Api>>,
    InApp(app): InApp,
    request: Request,
) -> Result<Response, Error> {
    let body = bytes(request, IMPORT_BYTES).await?;
    let text = String::from_utf8(body.into()).map_err(|_| Error::invalid("body: must be SQL text in UTF-8"))?;
    let imported = database(&api, &app).await?.import(text, Instant::now() + MIGRATION_TIME).await.map_err(refused)?;
    imported.map_err(|script| script_failed("body", script))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What the one who asked is told.
fn refused(error: DatabaseError) -> Error {
    match error {
        DatabaseError::Busy(message) => Error::new(Code::Overloaded, message),
        DatabaseError::Timeout => Error::new(Code::Timeout, "the time for this statement ran out"),
        DatabaseError::Internal(cause) => Error::internal(cause),
        other => Error::new(Code::InvalidSql, other.to_string()),
    }
}

/// With the place and the statement, unless it is the host that failed.
fn script_failed(file: &str, script: ScriptError) -> Error {
    let ScriptError { error, statement, line, column } = script;
    let error = refused(error);
    if error.code != Code::InvalidSql {
        return error;
    }
    let message = format!("{file}:{line}:{column}: {}", error.message);
    let detail = json!([{
        "file": file, "line": line, "column": column, "message": error.message, "frame": statement,
    }]);
    Error::new(Code::InvalidSql, message).with_details(&detail)
}

fn parameters_from(json: Option<JsonValue>) -> Result<Parameters, Error> {
    match json {
        None | Some(JsonValue::Null) => Ok(Parameters::Positional(Vec::new())),
        Some(JsonValue::Array(values)) => {
            values.into_iter().map(value_from).collect::<Result<_, _>>().map(Parameters::Positional)
        }
        Some(JsonValue::Object(values)) => {
            let named = values.into_iter().map(|(name, value)| Ok((name, value_from(value)?)));
            named.collect::<Result<_, Error>>().map(Parameters::Named)
        }
        Some(_) => Err(Error::invalid("parameters: must be an array, or an object of names and values")),
    }
}

/// JSON has no bytes: `{"base64": "…"}` stands for them.
fn value_from(json: JsonValue) -> Result<Value, Error> {
    let wrong = || Error::invalid("parameters: a value is null, a boolean, a number, a string, or {\"base64\": \"…\"}");
    match json {
        JsonValue::Null => Ok(Value::Null),
        JsonValue::Bool(value) => Ok(Value::Integer(value.into())),
        JsonValue::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(Value::Integer(integer)),
            (None, Some(real)) => Ok(Value::Real(real)),
            (None, None) => Err(wrong()),
        },
        JsonValue::String(text) => Ok(Value::Text(text)),
        JsonValue::Object(object) => base64_in(&object).map(Value::Blob).ok_or_else(wrong),
        JsonValue::Array(_) => Err(wrong()),
    }
}

fn base64_in(object: &Map<String, JsonValue>) -> Option<Vec<u8>> {
    let text = object.get("base64").filter(|_| object.len() == 1)?.as_str()?;
    STANDARD.decode(text).ok()
}

fn json_from(value: Value) -> JsonValue {
    match value {
        Value::Null => JsonValue::Null,
        Value::Integer(integer) => integer.into(),
        Value::Real(real) => real.into(),
        Value::Text(text) => text.into(),
        Value::Blob(bytes) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}
