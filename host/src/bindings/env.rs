//! `caddis:function/env`: variables and secrets.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use super::wit::env::Host;
use crate::secrets::Secret;
use crate::secrets::redact::Redactor;

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

/// The variables of one function, sorted by name.
#[derive(Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, Secret>,
    redactor: Redactor,
}

impl Environment {
    /// These variables.
    pub fn new(variables: BTreeMap<String, Secret>) -> Self {
        let secrets = variables.iter().filter(|(name, _)| !PUBLIC.contains(&name.as_str()));
        let redactor = Redactor::new(secrets.map(|(_, value)| value));
        Self { variables, redactor }
    }

    /// Takes the values out of what gets into a record: all but those everybody may know.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

impl Deref for Environment {
    type Target = BTreeMap<String, Secret>;

    fn deref(&self) -> &Self::Target {
        &self.variables
    }
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
