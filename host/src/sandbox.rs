//! What every store is made from: the host's databases, its way out, its memory. Shared by requests and by the evaluation of programs.

use std::sync::Arc;
use std::time::Instant;

use crate::auth::User;
use crate::bindings::crypto::CryptoState;
use crate::bindings::db::DbState;
use crate::bindings::egress::EgressPolicy;
use crate::bindings::env::Environment;
use crate::bindings::fetch::{Dialer, Fetch, Siblings};
use crate::bindings::outgoing::Responder;
use crate::ids::{AppName, FunctionId};
use crate::observe::capture::LogCapture;
use crate::runtime::ctx::CtxParts;
use crate::runtime::engine::mebibytes;
use crate::runtime::limits::{MemoryBudget, MemoryLimiter};
use crate::runtime::outcome::Limits;
use crate::settings::Settings;
use crate::store::tenant::{Caller, Databases};
use crate::store::{Store, StoreError, secrets};

/// The host's resources.
pub struct Resources {
    /// Functions, secrets, executions.
    pub store: Store,
    /// The apps' databases.
    pub databases: Databases,
    /// Outgoing connections.
    pub dialer: Arc<Dialer>,
    /// Where they may go.
    pub egress: Arc<EgressPolicy>,
    /// What guests may use of the host's memory.
    pub memory: Arc<MemoryBudget>,
}

/// What one execution brings along.
pub struct Occasion {
    /// When it ends at the latest.
    pub deadline: Instant,
    /// Variables and secrets.
    pub environment: Arc<Environment>,
    /// Whether the guest reads `wasi:cli/environment`.
    pub wasi_environment: bool,
    /// The caller.
    pub user: Option<Arc<User>>,
    /// Who the database is asked for.
    pub caller: Caller,
    /// Log lines.
    pub log: LogCapture,
    /// Where the response goes.
    pub responder: Responder,
    /// The app's other functions, if they may be called.
    pub siblings: Option<Box<dyn Siblings>>,
}

impl Resources {
    /// What goes into the store of one execution.
    pub fn parts(&self, app: &AppName, settings: &Settings, occasion: Occasion) -> CtxParts {
        let Occasion { deadline, environment, wasi_environment, user, caller, log, responder, siblings } = occasion;
        CtxParts {
            fetch: Fetch::new(self.dialer.clone(), self.egress.clone(), settings.allow_net, siblings),
            db: DbState::new(self.databases.clone(), app.clone(), caller, settings.allow_service_role, deadline),
            crypto: CryptoState::new(deadline),
            environment,
            wasi_environment,
            user,
            log,
            responder,
            memory: MemoryLimiter::new(mebibytes(settings.memory_limit_mb), self.memory.clone()),
        }
    }

    /// The variables of a function as they are now.
    pub async fn environment(
        &self,
        app: &AppName,
        function: FunctionId,
        settings: &Settings,
    ) -> Result<Arc<Environment>, StoreError> {
        if !settings.allow_env {
            return Ok(Arc::default());
        }
        let app = app.clone();
        self.store.read(move |tx| secrets::environment(tx, &app, function)).await.map(Arc::new)
    }
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Self {
        Self {
            timeout_seconds: settings.timeout_seconds,
            memory_limit_mb: settings.memory_limit_mb,
            fuel: settings.fuel,
        }
    }
}
