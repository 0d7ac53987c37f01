//! From an upload to a function that serves: check, compile, link, store, swap. The only writer of active versions; nothing
//! here is on the path of a request but the first one after a start.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, OnceCell};
use tokio::task::spawn_blocking;
use wasmtime::component::Component;

use crate::auth::jwt::TokenKey;
use crate::error::{Code, Error};
use crate::ids::{AppName, ContentHash, FunctionName};
use crate::router::table::{App, EnvironmentCell, Function, Table};
use crate::runtime::admission::Admission;
use crate::runtime::cache::Cache;
use crate::runtime::compile::Compiler;
use crate::runtime::component::{Host, Linked};
use crate::settings::{Maxima, Settings, SettingsPatch};
use crate::store::functions::{self, FunctionVersion, Published};
use crate::store::{Store, StoreError, api_keys, apps};

/// Turns components into callable functions and keeps the table in step with the store.
pub struct Deployer {
    store: Store,
    table: Arc<Table>,
    host: Arc<Host>,
    compiler: Compiler,
    cache: Cache,
    admission: Arc<Admission>,
    /// Held while a version becomes active, so that the table changes in the order of the store.
    publishing: Mutex<()>,
}

impl Deployer {
    /// A deployer for one host.
    pub fn new(
        store: Store,
        table: Arc<Table>,
        host: Arc<Host>,
        compiler: Compiler,
        cache: Cache,
        admission: Arc<Admission>,
    ) -> Self {
        Self { store, table, host, compiler, cache, admission, publishing: Mutex::new(()) }
    }

    /// Fills the table from the store. Components are loaded when they are first called.
    pub async fn load(&self) -> Result<(), StoreError> {
        let (apps, functions) = self
            .store
            .read(|tx| {
                let mut loaded = Vec::new();
                for app in apps::list(tx)? {
                    let secret = apps::jwt_secret(tx, &app.name)?;
                    let keys = api_keys::hashes(tx, &app.name)?;
                    loaded.push((app.name, secret, keys));
                }
                Ok((loaded, functions::list_all(tx)?))
            })
            .await?;
        for (name, secret, keys) in apps {
            self.table.insert(Arc::new(App::new(name, TokenKey::new(&secret), keys)));
        }
        for version in functions {
            if let Some(app) = self.table.app(&version.app) {
                self.activate(&app, version, OnceCell::new());
            }
        }
        Ok(())
    }

    /// Deploys a component as the next version of a function.
    pub async fn component(
        &self,
        app: &App,
        name: FunctionName,
        patch: SettingsPatch,
        maxima: Maxima,
        bytes: Bytes,
        by: &str,
    ) -> Result<(FunctionVersion, Published), Error> {
        // Before the work of compiling, and again below on what is active by then.
        patch.apply(Settings::default(), &maxima)?;
        let hash = ContentHash::of(&bytes);
        let linked = self.prepare(hash, bytes.clone()).await?;
        let _order = self.publishing.lock().await;
        let active = app.function(&name).map(|active| active.version.settings.clone());
        let settings = patch.apply(active.unwrap_or_default(), &maxima)?;
        let (app_name, by, world) = (app.name.clone(), by.to_owned(), linked.world);
        let published = self
            .store
            .write(move |tx| {
                let component = functions::Component { hash, bytes: &bytes, world: world.as_str() };
                functions::publish_component(tx, &app_name, &name, &settings, component, &by)
            })
            .await?;
        self.activate(app, published.0.clone(), OnceCell::new_with(Some(linked)));
        Ok(published)
    }

    /// Deploys other settings as the next version of a function.
    pub async fn settings(
        &self,
        app: &App,
        name: FunctionName,
        patch: SettingsPatch,
        maxima: Maxima,
        by: &str,
    ) -> Result<FunctionVersion, Error> {
        let _order = self.publishing.lock().await;
        let (app_name, by) = (app.name.clone(), by.to_owned());
        let version = self
            .store
            .write(move |tx| {
                let active = functions::get(tx, &app_name, &name)?;
                functions::publish_settings(tx, &app_name, &name, &patch.apply(active.settings, &maxima)?, &by)
            })
            .await?;
        let linked = app.function(&version.name).and_then(|old| old.component.get().cloned());
        self.activate(app, version.clone(), OnceCell::new_with(linked));
        Ok(version)
    }

    /// Removes a function with its versions, variables and executions. Requests that run end undisturbed.
    pub async fn delete(&self, app: &App, name: FunctionName) -> Result<(), Error> {
        let _order = self.publishing.lock().await;
        let (app_name, stored_name) = (app.name.clone(), name.clone());
        let id = self.store.write(move |tx| functions::delete(tx, &app_name, &stored_name)).await?;
        app.remove(&name);
        self.store.executions().delete_function(id).await?;
        Ok(())
    }

    /// The component of a function, loaded by whoever needs it first.
    pub async fn linked(&self, function: &Function) -> Result<Arc<Linked>, Error> {
        let load = || async {
            let hash = function.version.component;
            if let Some(linked) = self.cached(hash).await? {
                return Ok(linked);
            }
            let bytes = self.store.read(move |tx| functions::component_bytes(tx, hash)).await?;
            self.compile(hash, bytes.into()).await
        };
        function.component.get_or_try_init(load).await.cloned()
    }

    async fn prepare(&self, hash: ContentHash, bytes: Bytes) -> Result<Arc<Linked>, Error> {
        match self.cached(hash).await? {
            Some(linked) => Ok(linked),
            None => self.compile(hash, bytes).await,
        }
    }

    async fn cached(&self, hash: ContentHash) -> Result<Option<Arc<Linked>>, Error> {
        let cache = self.cache.clone();
        let component = spawn_blocking(move || cache.load(hash)).await.map_err(Error::internal)?;
        component.map(|component| self.link(&component)).transpose()
    }

    async fn compile(&self, hash: ContentHash, bytes: Bytes) -> Result<Arc<Linked>, Error> {
        let code = self.compiler.compile(bytes).await?;
        let cache = self.cache.clone();
        let component = spawn_blocking(move || cache.store(hash, &code)).await.map_err(Error::internal)??;
        self.link(&component)
    }

    fn link(&self, component: &Component) -> Result<Arc<Linked>, Error> {
        self.host.link(component).map(Arc::new)
    }

    fn activate(&self, app: &App, version: FunctionVersion, component: OnceCell<Arc<Linked>>) {
        let (gate, usage) = match app.function(&version.name) {
            Some(before) => (before.gate.clone(), before.usage.clone()),
            None => (self.admission.gate(), Arc::default()),
        };
        app.activate(Arc::new(Function { version, component, environment: EnvironmentCell::default(), gate, usage }));
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

/// The app of a request.
pub fn find_app(table: &Table, name: &AppName) -> Result<Arc<App>, Error> {
    table.app(name).ok_or_else(|| Error::new(Code::NotFound, format!("there is no app {name}")))
}
