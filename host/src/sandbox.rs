//! What every store is made from: the host's databases, its way out, its memory. Shared by requests and by the evaluation of programs.

pub mod origin;

use std::sync::Arc;
use std::time::Instant;

use self::origin::Origin;
use crate::auth::User;
use crate::auth::project::ProjectKeys;
use crate::bindings::crypto::CryptoState;
use crate::bindings::db::DbState;
use crate::bindings::egress::EgressPolicy;
use crate::bindings::env::Environment;
use crate::bindings::fetch::{Dialer, Fetch, Siblings};
use crate::bindings::files::FileAccess;
use crate::bindings::outgoing::Responder;
use crate::error::Error;
use crate::files::Files;
use crate::ids::{AppName, FunctionId};
use crate::observe::capture::LogCapture;
use crate::observe::trace::TraceContext;
use crate::runtime::ctx::CtxParts;
use crate::runtime::engine::mebibytes;
use crate::runtime::limits::{MemoryBudget, MemoryLimiter};
use crate::runtime::outcome::Limits;
use crate::settings::Settings;
use crate::store::secrets::Changes;
use crate::store::tenant::{Caller, Databases};
use crate::store::{Reader, Store, StoreError, apps, secrets};
use crate::threads;

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
    /// Where functions find the host itself.
    pub origin: Origin,
    /// What guests may use of the host's memory.
    pub memory: Arc<MemoryBudget>,
    /// Functions' own directories.
    pub files: Arc<Files>,
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
    /// The function's directory, if it has one.
    pub files: Option<FileAccess>,
    /// The app's other functions, if they may be called.
    pub siblings: Option<Box<dyn Siblings>>,
    /// The trace its outgoing requests belong to.
    pub trace: Option<TraceContext>,
}

impl Resources {
    /// What goes into the store of one execution.
    pub fn parts(&self, app: &AppName, settings: &Settings, occasion: Occasion) -> CtxParts {
        let Occasion { deadline, environment, wasi_environment, user, caller, log, responder, files, siblings, trace } =
            occasion;
        CtxParts {
            fetch: Fetch::new(self.dialer.clone(), self.egress.clone(), settings.allow_net, siblings)
                .with_own_host(self.origin.address())
                .only_to(settings.allowed_hosts.clone())
                .in_trace(trace),
            files,
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

    /// The directory of a function, if its settings give it one.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub async fn directory(
        &self,
        app: &AppName,
        function: FunctionId,
        settings: &Settings,
    ) -> Result<Option<FileAccess>, Error> {
        let Settings { allow_read: read, allow_write: write, .. } = *settings;
        if !read && !write {
            return Ok(None);
        }
        let directory = self.files.of(app, function);
        if directory.root().is_none() {
            let prepared = directory.clone();
            let prepared = threads::blocking(move || prepared.prepare()).await;
            prepared.map_err(Error::internal)?.map_err(Error::internal)?;
        }
        Ok(Some(FileAccess { files: self.files.clone(), directory, read, write }))
    }

    /// The variables of a function as they are now, or as they would be with these changes. One that does not exist yet has none of
    /// its own.
    pub async fn environment(
        &self,
        app: &AppName,
        function: Option<FunctionId>,
        settings: &Settings,
        changes: &Changes,
    ) -> Result<Arc<Environment>, StoreError> {
        if !settings.allow_env {
            return Ok(Arc::default());
        }
        let (app, origin, changes) = (app.clone(), self.origin.clone(), changes.clone());
        let read = move |tx: &Reader<'_>| {
            let keys = ProjectKeys::new(&app, &apps::jwt_secret(tx, &app)?)
                .map_err(|error| StoreError::Internal(error.into()))?;
            let mut variables = origin.variables(&app, &keys);
            variables.extend(secrets::environment(tx, &app, function, &changes)?);
            Ok(Arc::new(Environment::new(variables)))
        };
        self.store.read(read).await
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
