//! What a request brings to say who makes it.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use crate::auth::{Identity, KeyHash};
use crate::error::{Code, Error};
use crate::router::table::App;

/// The header Supabase clients send their key in.
pub const APIKEY: HeaderName = HeaderName::from_static("apikey");

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1).
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Who makes a request to a function of this app: an `Authorization` header counts before an `apikey` header.
pub fn identify(headers: &HeaderMap, app: &App, admin_token: KeyHash) -> Result<Identity, Error> {
    let apikey = || headers.get(APIKEY).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Some(token) = bearer(headers).or_else(apikey) else { return Ok(Identity::Anonymous) };
    let hash = KeyHash::of(&token);
    if admin_token.matches(&hash) {
        return Ok(Identity::Admin);
    }
    if let Some(identity) = app.api_key(hash) {
        return Ok(identity);
    }
    let user = app.tokens.verify(&token).map_err(|error| Error::new(Code::Unauthorized, error.to_string()))?;
    Ok(Identity::User(user))
}
