//! `caddis:function/env`: variables and secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::wit::env::Host;
use crate::secrets::Secret;

/// The variables of one function, sorted by name.
pub type Environment = BTreeMap<String, Secret>;

/// Variables that every function has: how to reach the host, and its app's keys, as Supabase names them (SB7).
pub const URL: &str = "SUPABASE_URL";
/// See [`URL`].
pub const ANON_KEY: &str = "SUPABASE_ANON_KEY";

/// The values that must not get into a record: all but those everybody may know.
pub fn secrets(environment: &Environment) -> impl Iterator<Item = &Secret> {
    environment.iter().filter(|(name, _)| ![URL, ANON_KEY].contains(&name.as_str())).map(|(_, value)| value)
}
/// See [`URL`]. The only one of them that is a secret.
pub const SERVICE_ROLE_KEY: &str = "SUPABASE_SERVICE_ROLE_KEY";

/// What `env` sees of a store.
#[derive(Debug)]
pub struct EnvView<'a>(pub &'a Arc<Environment>);

impl Host for EnvView<'_> {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.0.get(&name).map(|value| value.expose().to_owned()))
    }

    fn all(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.0.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect())
    }
}
