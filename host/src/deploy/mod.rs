//! From an upload to a function that serves: check, compile, link, store, swap. The only writer of active versions; nothing
//! here is on the path of a request but the first one after a start.

pub mod components;
pub mod script;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use self::components::Components;
use self::script::{JAVASCRIPT, Owner, Scripts, store_source, stored_source};
use crate::auth::jwt::TokenKey;
use crate::error::{Code, Error};
use crate::ids::{AppName, ContentHash, FunctionName};
use crate::js::source::Source;
use crate::router::table::{App, Function, Table};
use crate::runtime::admission::Admission;
use crate::runtime::component::Linked;
use crate::settings::{Maxima, Settings, SettingsPatch};
use crate::store::functions::{self, FunctionVersion, Published};
use crate::store::{Store, StoreError, api_keys, apps};

/// Makes versions active and keeps the table in step with the store.
pub struct Deployer {
    /// What is kept.
    pub store: Store,
    /// What is served.
    pub table: Arc<Table>,
    /// Makes components callable.
    pub components: Components,
    /// Makes programs callable.
    pub scripts: Scripts,
    /// Gives new functions their share of the host.
    pub admission: Arc<Admission>,
    /// Held while a version becomes active, so that the table changes in the order of the store.
    pub publishing: Mutex<()>,
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

/// What a version is made of, ready to be published.
struct Content {
    hash: ContentHash,
    bytes: Bytes,
    world: &'static str,
    linked: Arc<Linked>,
}

impl Deployer {
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
                self.activate(&app, version, None);
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
        // Before the work of compiling, and again when it is published, on what is active by then.
        patch.apply(Settings::default(), &maxima)?;
        let hash = ContentHash::of(&bytes);
        let linked = self.components.build(hash, bytes.clone()).await?;
        let world = linked.world.as_str();
        self.publish(app, name, patch, maxima, Content { hash, bytes, world, linked }, Expect::Any, by).await
    }

    /// Deploys JavaScript or TypeScript as the next version of a function.
    pub async fn source(
        &self,
        app: &App,
        name: FunctionName,
        patch: SettingsPatch,
        maxima: Maxima,
        source: Source,
        expect: Expect,
        by: &str,
    ) -> Result<(FunctionVersion, Published), Error> {
        let active = app.function(&name);
        check(expect, active.is_some(), &name)?;
        let before = active.as_ref().map(|active| active.version.settings.clone()).unwrap_or_default();
        let settings = patch.apply(before, &maxima)?;
        let bytes = store_source(&source)?;
        let function = active.map(|active| active.version.id);
        let owner = Owner { app: &app.name, function, settings: &settings };
        let linked = self.scripts.build(owner, source).await?;
        let content = Content { hash: ContentHash::of(&bytes), bytes, world: JAVASCRIPT, linked };
        self.publish(app, name, patch, maxima, content, expect, by).await
    }

    #[expect(clippy::too_many_arguments, reason = "what a deployment consists of, passed on once")]
    async fn publish(
        &self,
        app: &App,
        name: FunctionName,
        patch: SettingsPatch,
        maxima: Maxima,
        content: Content,
        expect: Expect,
        by: &str,
    ) -> Result<(FunctionVersion, Published), Error> {
        let _order = self.publishing.lock().await;
        let active = app.function(&name);
        check(expect, active.is_some(), &name)?;
        let before = active.map(|active| active.version.settings.clone()).unwrap_or_default();
        let settings = patch.apply(before, &maxima)?;
        let (app_name, by) = (app.name.clone(), by.to_owned());
        let Content { hash, bytes, world, linked } = content;
        let write = move |tx: &crate::store::Writer<'_>| {
            let component = functions::Component { hash, bytes: &bytes, world };
            functions::publish_component(tx, &app_name, &name, &settings, component, &by)
        };
        let published = self.store.write(write).await?;
        self.activate(app, published.0.clone(), Some(linked));
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
        // A program is evaluated anew: its settings decide what it sees and may do at top level.
        let linked = app.function(&version.name).and_then(|before| before.linked().get().cloned());
        self.activate(app, version.clone(), linked.filter(|linked| linked.program.is_none()));
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
        let owner = Owner { app: &version.app, function: Some(version.id), settings: &version.settings };
        self.scripts.build(owner, stored_source(&bytes)?).await
    }

    fn activate(&self, app: &App, version: FunctionVersion, linked: Option<Arc<Linked>>) {
        let (gate, usage) = match app.function(&version.name) {
            Some(before) => (before.gate.clone(), before.usage.clone()),
            None => (self.admission.gate(), Arc::default()),
        };
        app.activate(Arc::new(Function::new(version, linked, gate, usage)));
    }
}

fn check(expect: Expect, is_there: bool, name: &FunctionName) -> Result<(), Error> {
    match (expect, is_there) {
        (Expect::New, true) => Err(Error::new(Code::Conflict, format!("a function {name} exists already"))),
        (Expect::Existing, false) => Err(Error::new(Code::NotFound, "not found")),
        _ => Ok(()),
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
