//! Tells signed-in users who they are; everyone else gets status 401.

use caddis_sdk::{Context, Error, Request, Response, Result};
use serde_json::{Value, json};

#[caddis_sdk::handler]
async fn handle(_request: Request, context: Context) -> Result<Response> {
    let user =
        context.user().ok_or_else(|| Error::status(401, "send the token of a user as `authorization: bearer …`"))?;
    let claims: Value = user.claims()?;
    Response::json(&json!({
        "id": user.id,
        "email": user.email,
        "role": user.role,
        "groups": user.groups,
        "claims": claims,
    }))
}
