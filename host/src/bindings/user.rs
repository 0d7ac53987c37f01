//! `caddis:function/user`: the verified caller.

use super::wit::user::{Host, Identity};
use crate::auth::User;

/// What `user` sees of a store.
#[derive(Debug)]
pub struct UserView<'a>(pub Option<&'a User>);

impl Host for UserView<'_> {
    fn current(&mut self) -> wasmtime::Result<Option<Identity>> {
        Ok(self.0.map(|user| Identity {
            id: user.id.clone(),
            email: user.email.clone(),
            role: user.role.clone(),
            groups: user.groups.clone(),
            claims: serde_json::Value::Object(user.claims.clone()).to_string(),
        }))
    }
}
