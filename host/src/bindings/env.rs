//! `caddis:function/env`: variables and secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::wit::env::Host;
use crate::secrets::Secret;

/// The variables of one function, sorted by name.
pub type Environment = BTreeMap<String, Secret>;

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
