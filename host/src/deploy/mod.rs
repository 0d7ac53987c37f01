//! From an upload to a function that serves: check, compile, link, store, swap. The only writer of active versions; nothing
//! here is on the path of a request but the first one after a start.

mod apps;
pub mod components;
mod evaluations;
pub mod packages;
pub mod script;
mod versions;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard, Notify};

use self::components::Components;
use self::packages::{LockedPackages, PackageVersions};
use self::script::{JAVASCRIPT, Owner, Recipe, Scripts};
use crate::auth::verifier::Verifiers;
use crate::error::{Code, Error};
use crate::files::Files;
use crate::ids::{AppName, ContentHash, FunctionId, FunctionName};
use crate::js::source::Source;
use crate::router::table::{App, Canary, Function, Shared, Table};
use crate::runtime::admission::Admission;
use crate::runtime::component::Linked;
use crate::settings::{Maxima, Settings, SettingsPatch};
use crate::store::functions::{self, Activation, FunctionVersion, Published, versions as stored_versions};
use crate::store::secrets::{self, Changes, Scope};
use crate::store::tenant::Databases;
use crate::store::{Store, StoreError, Writer, api_keys, apps as stored_apps};
use crate::threads;
use crate::tunables::{CRON_FUNCTIONS, EVENT_FUNCTIONS};

/// Makes versions active and keeps the table in step with the store.
pub struct Deployer {
    /// What is kept.
    pub store: Store,
    /// What is served.
    pub table: Arc<Table>,
    /// Makes components callable.
    pub components: Arc<Components>,
    /// Makes programs callable.
    pub scripts: Scripts,
    /// Gives new functions their share of the host.
    pub admission: Arc<Admission>,
    /// What authors may ask for.
    pub maxima: Maxima,
    /// The apps' databases, which go with them.
    pub databases: Databases,
    /// The directories of functions, which go with them.
    pub files: Arc<Files>,
    /// Told when other versions are served than before.
    pub changed: Arc<Notify>,
    /// Makes what checks the tokens of an app's users.
    pub verifiers: Verifiers,
    /// Held while an app is made or removed, so that the table changes in the order of the store.
    pub apps: Mutex<()>,
    /// Held while what is left of deleted apps is removed.
    pub deleting: Mutex<()>,
}

/// Whether a function of the name may be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It must not.
    New,
    /// It must.
    Existing,
    /// Either way.
    Any,
}

/// What becomes of a deployment that is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is kept and gets the function's requests.
    Activate,
    /// It is kept, and gets no requests before somebody says so. The first version of a function is active all the same.
    Keep,
    /// Nothing is kept.
    DryRun,
}

/// What a deployment did.
#[derive(Debug)]
pub enum Deployed {
    /// Nothing: it is in order, and these would be the settings.
    Checked {
        /// The function's name.
        name: FunctionName,
        /// Its settings.
        settings: Settings,
    },
    /// There is a new function.
    Created(FunctionVersion),
    /// There is a new version of a function.
    Updated(FunctionVersion),
}

/// A version to deploy.
pub struct Deployment<'a> {
    /// The app.
    pub app: &'a App,
    /// The function's name.
    pub name: FunctionName,
    /// Changes to the settings of the version before, or to the defaults.
    pub patch: SettingsPatch,
    /// Values of its variables to set, and names to remove. Versions share them: they change at once.
    pub variables: Changes,
    /// Whether there may be a version before.
    pub expect: Expect,
    /// What becomes of it.
    pub mode: Mode,
    /// Who deploys.
    pub by: &'a str,
}

/// What a version is made of, ready to be published.
struct Content {
    hash: ContentHash,
    bytes: Bytes,
    world: &'static str,
    linked: Arc<Linked>,
}

/// A version that gets a share of a function's requests; `linked` if it is callable already.
struct Share {
    percent: u8,
    version: FunctionVersion,
    linked: Option<Arc<Linked>>,
}

impl Deployer {
    /// Fills the table from the store. Components are loaded when they are first called.
    pub async fn load(&self) -> Result<(), Error> {
        self.finish_deletions().await?;
        let (apps, functions) = self
            .store
            .read(|tx| {
                let mut loaded = Vec::new();
                for app in stored_apps::list(tx)? {
                    let secret = stored_apps::jwt_secret(tx, &app.name)?;
                    let keys = api_keys::hashes(tx, &app.name)?;
                    loaded.push((app, secret, keys));
                }
                let mut functions = Vec::new();
                for active in functions::list_all(tx)? {
                    let canaries = stored_versions::canaries(tx, active.id)?;
                    functions.push((active, canaries));
                }
                Ok((loaded, functions))
            })
            .await?;
        for (app, secret, keys) in apps {
            let verifier = self.verifiers.verifier(&app.name, &secret, &app.settings);
            let verifier = verifier.map_err(|error| StoreError::Internal(error.into()))?;
            verifier.fetch_ahead();
            self.table.insert(Arc::new(App::new(app.name, verifier, app.settings, keys)));
        }
        self.sweep_files(functions.iter().map(|(active, _)| (active.app.clone(), active.id)).collect()).await;
        for (active, canaries) in functions {
            if let Some(app) = self.table.app(&active.app) {
                let share = |(percent, version)| Share { percent, version, linked: None };
                self.activate(&app, active, None, canaries.into_iter().map(share).collect());
            }
        }
        Ok(())
    }

    /// Removes directories of functions that are no longer there. What cannot be removed is in nobody's way.
    async fn sweep_files(&self, known: HashSet<(AppName, FunctionId)>) {
        let files = self.files.clone();
        let sweep = move || files.sweep(|app, function| known.contains(&(app.clone(), function)));
        if let Ok(Err(error)) = threads::blocking(sweep).await {
            tracing::warn!(%error, "files of functions that are gone could not be removed");
        }
    }

    /// Deploys a component.
    pub async fn component(&self, deployment: Deployment<'_>, bytes: Bytes) -> Result<Deployed, Error> {
        // Before the work of compiling, and again when it is published, on what is active by then.
        self.settings_of(&deployment)?;
        let hash = ContentHash::of(&bytes);
        let linked = self.components.build(hash, bytes.clone()).await?;
        let world = linked.world.as_str();
        self.publish(deployment, Content { hash, bytes, world, linked }).await
    }

    /// Deploys JavaScript or TypeScript. Packages stay at the versions that the function has, where they still do, or get newer ones.
    pub async fn source(
        &self,
        deployment: Deployment<'_>,
        source: Source,
        versions: PackageVersions,
    ) -> Result<(Deployed, Recipe), Error> {
        let settings = self.settings_of(&deployment)?;
        let Deployment { app, name, .. } = &deployment;
        let active = app.function(name);
        let before = match &active {
            Some(active) => self.packages(&active.version).await?,
            None => LockedPackages::new(),
        };
        let function = active.map(|active| active.version.id);
        let owner = Owner { app: &app.name, function, settings: &settings, variables: &deployment.variables };
        let recipe = Recipe { source: source.clone(), packages: before };
        let (linked, packages) = self.scripts.build(owner, recipe, versions).await?;
        let recipe = Recipe { source, packages };
        let bytes = recipe.store()?;
        let content = Content { hash: ContentHash::of(&bytes), bytes, world: JAVASCRIPT, linked };
        Ok((self.publish(deployment, content).await?, recipe))
    }

    /// The packages a version was deployed with.
    async fn packages(&self, version: &FunctionVersion) -> Result<LockedPackages, Error> {
        if version.world != JAVASCRIPT {
            return Ok(LockedPackages::new());
        }
        let hash = version.component;
        match self.store.read(move |tx| functions::component_bytes(tx, hash)).await {
            Ok(bytes) => Recipe::stored(&bytes).map(|recipe| recipe.packages),
            // The version was replaced meanwhile.
            Err(StoreError::NotFound) => Ok(LockedPackages::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// The settings a deployment would have now, if it may be made.
    fn settings_of(&self, deployment: &Deployment<'_>) -> Result<Settings, Error> {
        let Deployment { app, name, patch, expect, .. } = deployment;
        let active = app.function(name);
        match (expect, &active) {
            (Expect::New, Some(_)) => {
                return Err(Error::new(Code::Conflict, format!("a function {name} exists already")));
            }
            (Expect::Existing, None) => return Err(Error::new(Code::NotFound, "not found")),
            (Expect::New | Expect::Existing | Expect::Any, _) => {}
        }
        let before = active.map(|active| active.version.settings.clone()).unwrap_or_default();
        let settings = patch.apply(before, &self.maxima)?;
        check_triggers(app, name, &settings)?;
        Ok(settings)
    }

    /// Keeps others from changing an app. One that was removed does not change any more: another may have its name by now.
    ///
    /// # Errors
    /// `NotFound`
    pub async fn change<'a>(&self, app: &'a App) -> Result<MutexGuard<'a, ()>, Error> {
        let order = app.change().await;
        self.check_served(app)?;
        Ok(order)
    }

    /// Refuses an app that was removed.
    ///
    /// # Errors
    /// `NotFound`
    pub fn check_served(&self, app: &App) -> Result<(), Error> {
        let served = find_app(&self.table, &app.name)?;
        if std::ptr::eq(&raw const *served, app) { Ok(()) } else { Err(no_app(&app.name)) }
    }

    async fn publish(&self, deployment: Deployment<'_>, content: Content) -> Result<Deployed, Error> {
        let _order = self.change(deployment.app).await?;
        let settings = self.settings_of(&deployment)?;
        let Deployment { app, name, by, mode, variables, .. } = deployment;
        let Some(activation) = activation(mode) else { return Ok(Deployed::Checked { name, settings }) };
        let (app_name, by) = (app.name.clone(), by.to_owned());
        let changed = !variables.is_empty();
        let Content { hash, bytes, world, linked } = content;
        let write = move |tx: &Writer<'_>| {
            let component = functions::Component { hash, bytes: &bytes, world };
            let published = functions::publish_component(tx, &app_name, &name, &settings, component, activation, &by)?;
            secrets::apply(tx, &Scope::Function(published.0.id), variables)?;
            Ok(published)
        };
        let (version, published) = self.store.write(write).await?;
        if activation == Activation::Now || published == Published::Created {
            self.activate(app, version.clone(), Some(linked), Vec::new());
        } else if changed {
            app.forget_environment(&version.name);
        }
        Ok(match published {
            Published::Created => Deployed::Created(version),
            Published::Updated => Deployed::Updated(version),
        })
    }

    /// Deploys other settings, with what the function is made of.
    pub async fn settings(&self, deployment: Deployment<'_>) -> Result<Deployed, Error> {
        let _order = self.change(deployment.app).await?;
        let settings = self.settings_of(&deployment)?;
        let Deployment { app, name, by, mode, variables, .. } = deployment;
        let Some(activation) = activation(mode) else { return Ok(Deployed::Checked { name, settings }) };
        let (app_name, by) = (app.name.clone(), by.to_owned());
        let write = move |tx: &Writer<'_>| {
            let version = functions::publish_settings(tx, &app_name, &name, &settings, activation, &by)?;
            secrets::apply(tx, &Scope::Function(version.id), variables)?;
            Ok(version)
        };
        let version = self.store.write(write).await?;
        if activation == Activation::Later {
            app.forget_environment(&version.name);
            return Ok(Deployed::Updated(version));
        }
        // A program is evaluated anew: its settings decide what it sees and may do at top level.
        let linked = app.function(&version.name).and_then(|before| before.linked().get().cloned());
        self.activate(app, version.clone(), linked.filter(|linked| linked.program.is_none()), Vec::new());
        Ok(Deployed::Updated(version))
    }

    /// Removes a function with its versions, variables and executions. Requests that run end undisturbed.
    pub async fn delete(&self, app: &App, name: FunctionName) -> Result<(), Error> {
        let _order = self.change(app).await?;
        let (app_name, stored_name) = (app.name.clone(), name.clone());
        let id = self.store.write(move |tx| functions::delete(tx, &app_name, &stored_name)).await?;
        app.remove(&name);
        self.changed.notify_one();
        let (files, owner) = (self.files.clone(), app.name.clone());
        let removed = threads::blocking(move || files.delete(&owner, id)).await;
        removed.map_err(Error::internal)?.map_err(Error::internal)?;
        self.store.executions().delete_function(id).await?;
        Ok(())
    }

    /// What is called for a function, made by whoever needs it first.
    pub async fn linked(&self, function: &Function) -> Result<Arc<Linked>, Error> {
        function.linked().get_or_try_init(|| self.link(&function.version)).await.cloned()
    }

    async fn link(&self, version: &FunctionVersion) -> Result<Arc<Linked>, Error> {
        let hash = version.component;
        if version.world != JAVASCRIPT {
            return self.components.load(hash).await;
        }
        let bytes = self.store.read(move |tx| functions::component_bytes(tx, hash)).await?;
        let variables = &Changes::new();
        let owner = Owner { app: &version.app, function: Some(version.id), settings: &version.settings, variables };
        self.scripts.build(owner, Recipe::stored(&bytes)?, PackageVersions::Keep).await.map(|(linked, _)| linked)
    }

    fn activate(&self, app: &App, version: FunctionVersion, linked: Option<Arc<Linked>>, canaries: Vec<Share>) {
        let shared = match app.function(&version.name) {
            Some(before) => before.shared(),
            None => Shared {
                gate: self.admission.gate(),
                usage: Arc::default(),
                metrics: Arc::default(),
                turn: Arc::default(),
            },
        };
        let canary = |Share { percent, version, linked }| {
            let function = Arc::new(Function::new(version, linked, shared.clone()));
            Canary { percent, function }
        };
        let canaries = canaries.into_iter().map(canary).collect();
        app.activate(Arc::new(Function::new(version, linked, shared.clone())), canaries);
        self.changed.notify_one();
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::new(Code::NotFound, "not found"),
            StoreError::Conflict(what) => Self::new(Code::Conflict, format!("{what} exists already")),
            StoreError::Busy => Self::new(Code::Overloaded, "the host's database is busy; try again"),
            StoreError::Refused(error) => error,
            StoreError::Internal(cause) => Self::internal(cause),
        }
    }
}

/// Refuses one more schedule, or one more function for an event, than an app can have. Functions that are disabled count.
fn check_triggers(app: &App, name: &FunctionName, settings: &Settings) -> Result<(), Error> {
    let others = |has: &dyn Fn(&Settings) -> bool| {
        let is_one = |function: &&Arc<Function>| function.version.name != *name && has(&function.version.settings);
        app.all().iter().filter(is_one).count()
    };
    if settings.cron_schedule.is_some() && others(&|other| other.cron_schedule.is_some()) >= CRON_FUNCTIONS {
        return Err(Error::invalid(format!(
            "cron_schedule: {CRON_FUNCTIONS} functions of the app have a schedule already; let one of them do what is due at the same time"
        )));
    }
    let event = &settings.websocket_event;
    if event.is_some() && others(&|other| other.websocket_event == *event) >= EVENT_FUNCTIONS {
        return Err(Error::invalid(format!(
            "websocket_event: {EVENT_FUNCTIONS} functions of the app have this event already; let one of them call the others"
        )));
    }
    Ok(())
}

/// How a version is published, if it is.
fn activation(mode: Mode) -> Option<Activation> {
    match mode {
        Mode::Activate => Some(Activation::Now),
        Mode::Keep => Some(Activation::Later),
        Mode::DryRun => None,
    }
}

/// The app of a request.
pub fn find_app(table: &Table, name: &AppName) -> Result<Arc<App>, Error> {
    table.app(name).ok_or_else(|| no_app(name))
}

fn no_app(name: &AppName) -> Error {
    Error::new(Code::NotFound, format!("there is no app {name}"))
}
