//! `GET /auth/v1/user`: whose a token is, as Supabase's clients ask with `auth.getUser(token)` (SB10). The token itself is the right to ask.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Api;
use super::extract::InApp;
use crate::auth::User;
use crate::http::credential::bearer;

/// A user as GoTrue has it. What a token does not say is empty.
#[derive(Serialize)]
struct UserObject<'a> {
    id: &'a str,
    aud: &'a str,
    role: &'a str,
    email: &'a str,
    phone: &'a str,
    app_metadata: Value,
    user_metadata: Value,
    identities: [(); 0],
    is_anonymous: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl<'a> UserObject<'a> {
    fn new(user: &'a User) -> Self {
        let claims = &user.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let object = |name: &str| claims.get(name).filter(|value| value.is_object()).cloned();
        let empty = || Value::Object(Map::new());
        // The host keeps no users: the token is as old as anything it knows of this one.
        let issued = claims.get("iat").and_then(Value::as_i64).and_then(|at| Timestamp::from_second(at).ok());
        let issued = issued.unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            id: &user.id,
            aud: claims.get("aud").and_then(Value::as_str).unwrap_or(&user.role),
            role: &user.role,
            email: user.email.as_deref().unwrap_or_default(),
            phone: text("phone"),
            app_metadata: object("app_metadata").unwrap_or_else(empty),
            user_metadata: object("user_metadata").unwrap_or_else(empty),
            identities: [],
            is_anonymous: claims.get("is_anonymous").and_then(Value::as_bool).unwrap_or(false),
            created_at: issued,
            updated_at: issued,
        }
    }
}

/// An error as GoTrue has it.
#[derive(Serialize)]
struct AuthError {
    code: u16,
    error_code: &'static str,
    msg: String,
}

fn refuse(status: StatusCode, error_code: &'static str, msg: impl Into<String>) -> Response {
    (status, Json(AuthError { code: status.as_u16(), error_code, msg: msg.into() })).into_response()
}

/// `GET /auth/v1/user`
pub(super) async fn user(State(_): State<Arc<Api>>, InApp(app): InApp, headers: HeaderMap) -> Response {
    let mut response = match bearer(&headers) {
        None => {
            refuse(StatusCode::UNAUTHORIZED, "no_authorization", "this route needs a user's token as a Bearer token")
        }
        Some(token) => match app.verifier().verify(&token).await {
            Ok(user) => Json(UserObject::new(&user)).into_response(),
            Err(error) => refuse(StatusCode::FORBIDDEN, "bad_jwt", format!("invalid JWT: {error}")),
        },
    };
    open_to_pages(&mut response);
    response
}

/// `OPTIONS /auth/v1/user`: a browser asks before it sends the token.
pub(super) async fn preflight(headers: HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    open_to_pages(&mut response);
    let answer = response.headers_mut();
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
    if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

/// Any page may ask: the answer holds nothing that the token it needs does not say.
fn open_to_pages(response: &mut Response) {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}
