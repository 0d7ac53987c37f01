//! `caddis:function/env`: variables and secrets.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use super::wit::env::Host;
use crate::secrets::Secret;
use crate::secrets::redact::Redactor;

/// Variables that every function has: how to reach the host, and its app's keys, as Supabase names them (SB7).
pub const URL: &str = "SUPABASE_URL";
/// See [`URL`].
pub const ANON_KEY: &str = "SUPABASE_ANON_KEY";
/// See [`URL`]. The only one of them that is a secret.
pub const SERVICE_ROLE_KEY: &str = "SUPABASE_SERVICE_ROLE_KEY";

/// The variables of one function, sorted by name.
#[derive(Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, Secret>,
    redactor: Redactor,
}

impl Environment {
    /// These variables.
    pub fn new(variables: BTreeMap<String, Secret>) -> Self {
        let known = [URL, ANON_KEY];
        let secrets = variables.iter().filter(|(name, _)| !known.contains(&name.as_str()));
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
