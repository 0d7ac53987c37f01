//! What a request brings to say who makes it.

use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::auth::management::{ManagementTokens, Scope};
use crate::auth::{Identity, KeyHash};
use crate::error::Error;
use crate::router::table::App;

/// What a token begins with where a browser brings it as the protocol of a WebSocket.
pub const PROTOCOL_TOKEN: &str = "bearer.";

/// The header Supabase clients send their key in.
pub const APIKEY: HeaderName = HeaderName::from_static("apikey");

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1).
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Fewest bytes of a token or an API key of the host: shorter words need no hashing.
const KEY_BYTES: usize = 16;

/// Whether a header field holds what opens the host, so that functions must not see it: whoever wrote one could use it
/// elsewhere. Any word of it counts, because a client that errs about the scheme, or sends a user's token beside a key
/// as Supabase's clients do, still sends the key.
pub fn is_host_credential(name: &HeaderName, value: &HeaderValue, app: &App, tokens: &ManagementTokens) -> bool {
    if ![AUTHORIZATION, APIKEY, SEC_WEBSOCKET_PROTOCOL].contains(name) {
        return false;
    }
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b';' | b':' | b'"' | b'=');
    let words =
        value.as_bytes().split(is_between).map(|word| word.strip_prefix(PROTOCOL_TOKEN.as_bytes()).unwrap_or(word));
    words.filter(|word| word.len() >= KEY_BYTES).any(|word| {
        let hash = KeyHash::of(word);
        tokens.principal(hash).is_some() || app.api_key(hash).is_some()
    })
}

/// What a request brings for a function: an `Authorization` header counts before an `apikey` header.
pub fn presented(headers: &HeaderMap) -> Option<String> {
    let apikey = || headers.get(APIKEY).and_then(|value| value.to_str().ok()).map(str::to_owned);
    bearer(headers).or_else(apikey)
}

/// Who has this token or key, or none, in this app.
pub async fn authenticate(token: Option<&str>, app: &App, tokens: &ManagementTokens) -> Result<Identity, Error> {
    let Some(token) = token else { return Ok(Identity::Anonymous) };
    let hash = KeyHash::of(token);
    if let Some(principal) = tokens.principal(hash) {
        principal.require_app(Some(&app.name))?;
        principal.require(Scope::Deploy)?;
        return Ok(principal.token.map_or(Identity::Admin, Identity::Token));
    }
    if let Some(identity) = app.key(hash) {
        return Ok(identity);
    }
    Ok(Identity::User(app.verifier().verify(token).await?))
}
