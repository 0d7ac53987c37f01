//! `caddis:function/env`: variables and secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::wit::env::Host;
use crate::secrets::Secret;

/// The variables of one function, sorted by name.
pub type Environment = BTreeMap<String, Secret>;

/// Where the host is reached: one of the variables that every function has, by the names Supabase gives them (SB7).
pub const URL: &str = "SUPABASE_URL";
/// The key of the app for pages and apps of users.
pub const ANON_KEY: &str = "SUPABASE_ANON_KEY";
/// The same as a JSON object of named keys, which newer clients read.
pub const PUBLISHABLE_KEYS: &str = "SUPABASE_PUBLISHABLE_KEYS";
/// The key of the app for servers.
pub const SERVICE_ROLE_KEY: &str = "SUPABASE_SERVICE_ROLE_KEY";
/// The same as a JSON object of named keys.
pub const SECRET_KEYS: &str = "SUPABASE_SECRET_KEYS";

/// The variables of [`URL`] and its siblings that everybody may know.
const PUBLIC: [&str; 3] = [URL, ANON_KEY, PUBLISHABLE_KEYS];

/// The values that must not get into a record: all but those everybody may know.
pub fn secrets(environment: &Environment) -> impl Iterator<Item = &Secret> {
    environment.iter().filter(|(name, _)| !PUBLIC.contains(&name.as_str())).map(|(_, value)| value)
}

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
