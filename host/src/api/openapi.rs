//! `GET /openapi.json`: the management API as OpenAPI 3.1, made from the types that the handlers read and write.

mod operations;

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::http::respond::ErrorObject;

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

/// `GET /openapi.json`
pub(super) async fn get() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

/// JSON, as most bodies are.
const JSON: &str = "application/json";

/// Statuses that every managed route can answer with.
const EVERYWHERE: [u16; 7] = [400, 401, 403, 404, 405, 429, 503];

/// Statuses that routes with a body can answer with besides.
const WITH_BODY: [u16; 2] = [413, 415];

/// The document in the making.
struct Document {
    paths: Map<String, Value>,
    /// For what clients send and for what they get: fields with a default differ.
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

/// One operation in the making.
struct Operation {
    summary: &'static str,
    is_open: bool,
    query: Vec<Value>,
    bodies: Map<String, Value>,
    answers: Map<String, Value>,
    errors: Vec<u16>,
}

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let requests = settings.clone().for_deserialize().into_generator();
    let answers = settings.for_serialize().into_generator();
    let mut document = Document { paths: Map::new(), requests, answers };
    let error = document.answer_schema::<ErrorObject<'_>>();
    operations::all(&mut document);
    let mut schemas = document.answers.take_definitions(true);
    for (name, schema) in document.requests.take_definitions(true) {
        schemas.entry(name).or_insert(schema);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Caddis",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Management of functions. Functions themselves answer at /functions/v1/{name}, /v1/{app}/fn/{name}, /v2/function/{name} and /api/v1/functions/{name}/invoke.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": document.paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": { "Error": { "description": "What went wrong.", "content": { JSON: { "schema": error } } } },
        },
    })
}

impl Document {
    fn request_schema<T: JsonSchema>(&mut self) -> Value {
        self.requests.subschema_for::<T>().to_value()
    }

    fn answer_schema<T: JsonSchema>(&mut self) -> Value {
        self.answers.subschema_for::<T>().to_value()
    }

    /// Adds an operation.
    fn add(&mut self, method: &str, path: &str, operation: Operation) {
        let Operation { summary, is_open, query, bodies, mut answers, errors } = operation;
        let has_body = !bodies.is_empty();
        let statuses = EVERYWHERE.into_iter().filter(|_| !is_open).chain(errors);
        for status in statuses.chain(WITH_BODY.into_iter().filter(|_| has_body)) {
            answers.entry(status.to_string()).or_insert_with(|| json!({ "$ref": "#/components/responses/Error" }));
        }
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path = names.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": named(name) }));
        let parameters: Vec<Value> = in_path.chain(query).collect();
        let mut object = json!({ "summary": summary, "responses": answers });
        if let Value::Object(object) = &mut object {
            if !parameters.is_empty() {
                object.insert("parameters".to_owned(), parameters.into());
            }
            if has_body {
                object.insert("requestBody".to_owned(), json!({ "required": true, "content": bodies }));
            }
            if is_open {
                object.insert("security".to_owned(), json!([]));
            }
        }
        let item = self.paths.entry(path).or_insert_with(|| json!({}));
        if let Value::Object(item) = item {
            item.insert(method.to_owned(), object);
        }
    }
}

/// What a name in a path looks like.
fn named(name: &str) -> Value {
    match name {
        "id" => json!({ "type": "string", "format": "uuid" }),
        "app" => json!({ "type": "string", "pattern": "^[a-z0-9_-]{1,63}$" }),
        _ => json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,100}$" }),
    }
}

impl Operation {
    fn new(summary: &'static str) -> Self {
        let (bodies, answers) = (Map::new(), Map::new());
        Self { summary, is_open: false, query: Vec::new(), bodies, answers, errors: Vec::new() }
    }

    /// Needs no token.
    fn open(self) -> Self {
        Self { is_open: true, ..self }
    }

    /// Takes these parameters in the query.
    fn query<T: JsonSchema>(mut self, document: &mut Document) -> Self {
        let schema = document.requests.root_schema_for::<T>().to_value();
        let required = |name: &str| {
            let required = schema.get("required").and_then(Value::as_array);
            required.is_some_and(|required| required.iter().any(|one| one == name))
        };
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            // What is not there is left out, never null.
            let schema = without_null(schema);
            self.query.push(json!({ "name": name, "in": "query", "required": required(name), "schema": schema }));
        }
        self
    }

    /// Takes JSON.
    fn json<T: JsonSchema>(self, document: &mut Document) -> Self {
        let schema = document.request_schema::<T>();
        self.body(JSON, schema)
    }

    /// Takes a body of this type.
    fn body(mut self, media_type: &str, schema: Value) -> Self {
        self.bodies.insert(media_type.to_owned(), json!({ "schema": schema }));
        self
    }

    /// Answers with JSON.
    fn answers<T: JsonSchema>(self, status: u16, document: &mut Document) -> Self {
        let schema = document.answer_schema::<T>();
        self.answers_with(status, JSON, schema)
    }

    /// Answers with a body of this type.
    fn answers_with(mut self, status: u16, media_type: &str, schema: Value) -> Self {
        let response =
            self.answers.entry(status.to_string()).or_insert_with(|| json!({ "description": "Done.", "content": {} }));
        if let Some(Value::Object(content)) = response.get_mut("content") {
            content.insert(media_type.to_owned(), json!({ "schema": schema }));
        }
        self
    }

    /// Answers without a body.
    fn answers_nothing(mut self, status: u16) -> Self {
        self.answers.insert(status.to_string(), json!({ "description": "Done." }));
        self
    }

    /// Can go wrong in these ways besides.
    fn errors(mut self, statuses: &[u16]) -> Self {
        self.errors.extend(statuses);
        self
    }
}

fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|one| one != "null");
    }
    if let Some(Value::Array(options)) = schema.get_mut("anyOf") {
        options.retain(|one| one.get("type").is_none_or(|one| one != "null"));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public surface, in a file: a change of it shows as a change of that file.
    #[test]
    fn the_document_is_the_one_that_was_reviewed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/openapi.json");
        let made = format!("{:#}\n", document());
        if std::env::var_os("CADDIS_UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let reviewed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            made == reviewed,
            "tests/golden/openapi.json differs: run with CADDIS_UPDATE_GOLDEN=1 and look at the change"
        );
    }

    #[test]
    fn every_route_of_the_router_is_in_the_document() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        let sources = [("/api/v1", include_str!("mod.rs")), ("/v1/projects/{app}", include_str!("supabase.rs"))];
        for (prefix, source) in sources {
            for line in source.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
                let (path, methods) = line.split_once("\", ").unwrap();
                let nested = format!("{prefix}{}", if path == "/" { "" } else { path });
                let item =
                    paths.get(path).or_else(|| paths.get(&nested)).unwrap_or_else(|| panic!("{path} is not there"));
                for method in ["get", "post", "put", "patch", "delete"] {
                    let routed = methods.starts_with(&format!("{method}(")) || methods.contains(&format!(".{method}("));
                    assert!(!routed || item.get(method).is_some(), "{method} {path} is not there");
                }
            }
        }
    }
}
