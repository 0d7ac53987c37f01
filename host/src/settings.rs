//! What the author of a function may choose, and what the host then holds to. Part of each version, so immutable once deployed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tunables::{FUEL, MEMORY_LIMIT_MB, TIMEOUT_SECONDS};

/// The settings of one version of a function. Names, defaults and ranges are Fluxbase's (FX2) where it has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Free text.
    pub description: Option<String>,
    /// A disabled function answers 404.
    pub enabled: bool,
    /// Who may call it.
    pub access: Access,
    /// Wall clock for one request, in seconds.
    pub timeout_seconds: u32,
    /// Sum of all linear memories and tables of an instance, in MiB.
    pub memory_limit_mb: u32,
    /// CPU budget of one request: one unit is about one WebAssembly instruction.
    pub fuel: u64,
    /// Whether outgoing requests are allowed at all.
    pub allow_net: bool,
    /// Whether the function sees variables and secrets.
    pub allow_env: bool,
    /// Reserved: reading a private directory.
    pub allow_read: bool,
    /// Reserved: writing a private directory.
    pub allow_write: bool,
    /// Reserved: a cron expression.
    pub cron_schedule: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            description: None,
            enabled: true,
            access: Access::default(),
            timeout_seconds: TIMEOUT_SECONDS.default,
            memory_limit_mb: MEMORY_LIMIT_MB.default,
            fuel: FUEL.default,
            allow_net: true,
            allow_env: true,
            allow_read: false,
            allow_write: false,
            cron_schedule: None,
        }
    }
}

/// Who may call a function (KL2).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "lowercase", deny_unknown_fields)]
pub enum Access {
    /// Anybody.
    Public,
    /// Whoever has a valid token or key of the app.
    #[default]
    Authenticated,
    /// Users in at least one of these groups.
    Group {
        /// Compared with the `groups` claim.
        groups: Vec<String>,
    },
    /// Users whose token has all of these claims.
    Metadata {
        /// Claim to value; compared with the claims of the token, then with those in `user_metadata` and `app_metadata`.
        metadata: BTreeMap<String, serde_json::Value>,
    },
}
