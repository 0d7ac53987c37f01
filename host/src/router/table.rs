//! What the host serves now: apps, their keys, their functions. A snapshot in memory that the request path reads without a lock;
//! the store behind it is read at start and written by the management API, which then swaps what changed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, MutexGuard, OnceCell, OwnedMutexGuard};

use crate::auth::verifier::Verifier;
use crate::auth::{Identity, KeyHash};
use crate::bindings::env::Environment;
use crate::ids::{ApiKeyId, AppName, FunctionName};
use crate::observe::metrics::FunctionMetrics;
use crate::runtime::admission::Gate;
use crate::runtime::component::Linked;
use crate::runtime::instances::Instances;
use crate::settings::Settings;
use crate::settings::app::AppSettings;
use crate::store::functions::FunctionVersion;
use crate::threads::Usage;

/// Every app by name.
#[derive(Default)]
pub struct Table {
    apps: ArcSwap<HashMap<AppName, Arc<App>>>,
}

impl Table {
    /// The app with this name.
    pub fn app(&self, name: &AppName) -> Option<Arc<App>> {
        self.apps.load().get(name).cloned()
    }

    /// Takes an app out of service.
    pub fn remove(&self, name: &AppName) {
        self.apps.rcu(|apps| {
            let mut apps = HashMap::clone(apps);
            apps.remove(name);
            apps
        });
    }

    /// All apps.
    pub fn apps(&self) -> Vec<Arc<App>> {
        self.apps.load().values().cloned().collect()
    }

    /// Adds an app.
    pub fn insert(&self, app: Arc<App>) {
        self.apps.rcu(|apps| {
            let mut apps = HashMap::clone(apps);
            apps.insert(app.name.clone(), app.clone());
            apps
        });
    }
}

/// A tenant, as the request path sees it.
pub struct App {
    /// Its name.
    pub name: AppName,
    verifier: ArcSwap<Verifier>,
    settings: ArcSwap<AppSettings>,
    api_keys: ArcSwap<HashMap<KeyHash, ApiKeyId>>,
    functions: ArcSwap<HashMap<FunctionName, Arc<Served>>>,
    /// Held while something of the app changes, so that this changes in the order of the store.
    changing: Mutex<()>,
}

/// What a function's requests go to.
struct Served {
    active: Arc<Function>,
    canaries: Vec<Canary>,
}

/// A version that gets a share of the requests beside the active one.
#[derive(Clone)]
pub struct Canary {
    /// Requests of a hundred.
    pub percent: u8,
    /// The version.
    pub function: Arc<Function>,
}

impl Served {
    /// The version for one request. Each is on its own: a caller may meet one version, then the other.
    fn pick(&self) -> &Arc<Function> {
        if self.canaries.is_empty() {
            return &self.active;
        }
        self.drawn(fastrand::u8(..100)).map_or(&self.active, |canary| &canary.function)
    }

    /// Whose one of a hundred lots this is.
    fn drawn(&self, lot: u8) -> Option<&Canary> {
        let mut below = 0;
        self.canaries.iter().find(|canary| {
            below += canary.percent;
            lot < below
        })
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Function>> {
        std::iter::once(&self.active).chain(self.canaries.iter().map(|canary| &canary.function))
    }
}

impl App {
    /// An app without functions.
    pub fn new(name: AppName, verifier: Verifier, settings: AppSettings, api_keys: HashMap<KeyHash, ApiKeyId>) -> Self {
        Self {
            name,
            verifier: ArcSwap::from_pointee(verifier),
            settings: ArcSwap::from_pointee(settings),
            api_keys: ArcSwap::from_pointee(api_keys),
            functions: ArcSwap::default(),
            changing: Mutex::default(),
        }
    }

    /// Waits until nobody else changes something of the app, and keeps others from it.
    pub async fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// What its owner chose.
    pub fn settings(&self) -> Arc<AppSettings> {
        self.settings.load_full()
    }

    /// Its owner chose otherwise.
    pub fn set_settings(&self, settings: AppSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// Checks its users' tokens.
    pub fn verifier(&self) -> Arc<Verifier> {
        self.verifier.load_full()
    }

    /// Checks its users' tokens in another way from now on.
    pub fn set_verifier(&self, verifier: Verifier) {
        self.verifier.store(Arc::new(verifier));
    }

    /// Who presents this API key.
    pub fn api_key(&self, hash: KeyHash) -> Option<Identity> {
        self.api_keys.load().get(&hash).copied().map(Identity::ApiKey)
    }

    /// Who presents this key of the app, of whatever kind.
    pub fn key(&self, hash: KeyHash) -> Option<Identity> {
        self.api_key(hash).or_else(|| self.verifier.load().project_keys().identify(&hash))
    }

    /// Adds an API key.
    pub fn add_api_key(&self, hash: KeyHash, id: ApiKeyId) {
        self.api_keys.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            keys.insert(hash, id);
            keys
        });
    }

    /// Removes an API key: the next request with it is refused.
    pub fn remove_api_key(&self, id: ApiKeyId) {
        self.api_keys.rcu(|keys| {
            keys.iter().filter(|(_, other)| **other != id).map(|(hash, id)| (*hash, *id)).collect::<HashMap<_, _>>()
        });
    }

    /// The active version of a function.
    pub fn function(&self, name: &FunctionName) -> Option<Arc<Function>> {
        self.functions.load().get(name).map(|served| served.active.clone())
    }

    /// The active versions of all functions.
    pub fn all(&self) -> Vec<Arc<Function>> {
        self.functions.load().values().map(|served| served.active.clone()).collect()
    }

    /// The functions that an event starts, by name.
    pub fn listening(&self, event: &str) -> Vec<FunctionName> {
        let functions = self.functions.load();
        let mut names: Vec<_> = functions
            .iter()
            .filter(|(_, served)| listens(&served.active.version.settings, event))
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    }

    /// Ends instances that have waited for this long.
    pub fn end_idle(&self, time: Duration) {
        self.functions
            .load()
            .values()
            .flat_map(|served| served.all())
            .for_each(|function| function.instances.end_idle(time));
    }

    /// The version of a function for one request.
    pub fn pick(&self, name: &FunctionName) -> Option<Arc<Function>> {
        self.functions.load().get(name).map(|served| served.pick().clone())
    }

    /// Makes a version the active one, with others that get a share. Requests that run go on with theirs.
    pub fn activate(&self, active: Arc<Function>, canaries: Vec<Canary>) {
        let served = Arc::new(Served { active, canaries });
        self.functions.rcu(|functions| {
            let mut functions = HashMap::clone(functions);
            functions.insert(served.active.version.name.clone(), served.clone());
            functions
        });
    }

    /// Takes all functions out of service, also for those that run and would call one another.
    pub fn clear(&self) {
        self.functions.store(Arc::default());
    }

    /// Takes a function out of service.
    pub fn remove(&self, name: &FunctionName) {
        self.functions.rcu(|functions| {
            let mut functions = HashMap::clone(functions);
            functions.remove(name);
            functions
        });
    }

    /// Forgets the variables of all functions, because one of the app's has changed.
    pub fn forget_environments(&self) {
        self.functions.load().values().for_each(|served| forget(served));
    }

    /// Forgets the variables of one function.
    pub fn forget_environment(&self, name: &FunctionName) {
        if let Some(served) = self.functions.load().get(name) {
            forget(served);
        }
    }
}

fn listens(settings: &Settings, event: &str) -> bool {
    settings.enabled && settings.websocket_event.as_deref() == Some(event)
}

fn forget(served: &Served) {
    served.all().for_each(|function| function.forget_environment());
}

/// What the versions of one function have in common.
#[derive(Clone)]
pub struct Shared {
    /// How many executions run.
    pub gate: Gate,
    /// What CPU time they used.
    pub usage: Arc<Usage>,
    /// What is counted of them.
    pub metrics: Arc<FunctionMetrics>,
    /// Held by the run of a schedule.
    pub turn: Arc<Mutex<()>>,
}

/// One version of a function that is in use.
pub struct Function {
    /// Its settings and what it is made of.
    pub version: FunctionVersion,
    /// What is called, made at first use.
    linked: ArcSwap<OnceCell<Arc<Linked>>>,
    /// Its variables, read at first use.
    pub environment: EnvironmentCell,
    /// How many of its executions run; versions of one function share it.
    pub gate: Gate,
    /// What CPU time it used; versions of one function share it.
    pub usage: Arc<Usage>,
    /// What is counted of it; versions of one function share it.
    pub metrics: Arc<FunctionMetrics>,
    /// Its instances that wait for the next request.
    pub instances: Arc<Instances>,
    turn: Arc<Mutex<()>>,
}

impl Function {
    /// A version that is about to become active; `linked` if it is callable already.
    pub fn new(version: FunctionVersion, linked: Option<Arc<Linked>>, shared: Shared) -> Self {
        let linked = ArcSwap::from_pointee(OnceCell::new_with(linked));
        let Shared { gate, usage, metrics, turn } = shared;
        let (environment, instances) = (EnvironmentCell::default(), Arc::default());
        Self { version, linked, environment, gate, usage, metrics, instances, turn }
    }

    /// What the next version has in common with this one.
    pub fn shared(&self) -> Shared {
        Shared {
            gate: self.gate.clone(),
            usage: self.usage.clone(),
            metrics: self.metrics.clone(),
            turn: self.turn.clone(),
        }
    }

    /// The turn of a run of its schedule, unless another has it: of whatever version.
    pub fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        self.turn.clone().try_lock_owned().ok()
    }

    /// The place for what is called. A request that fills it fills the one it was given, even if it is replaced meanwhile.
    pub fn linked(&self) -> Arc<OnceCell<Arc<Linked>>> {
        self.linked.load_full()
    }

    /// Its variables have changed. A program may have read them at top level, so its image goes too.
    fn forget_environment(&self) {
        self.environment.forget();
        if self.linked().get().is_none_or(|linked| linked.program.is_some()) {
            self.linked.store(Arc::default());
        }
    }
}

/// The variables of a function, until one changes.
#[derive(Default)]
pub struct EnvironmentCell(std::sync::Mutex<EnvironmentState>);

#[derive(Default)]
struct EnvironmentState {
    /// Counts changes, so that what was read before a change is not kept after it.
    generation: u64,
    value: Option<Arc<Environment>>,
}

impl EnvironmentCell {
    /// What is known, or the generation to hand to [`EnvironmentCell::keep`] after reading.
    pub fn get(&self) -> Result<Arc<Environment>, u64> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.value.clone().ok_or(state.generation)
    }

    /// Keeps what was read, unless something changed meanwhile.
    pub fn keep(&self, generation: u64, value: &Arc<Environment>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.generation == generation {
            state.value = Some(value.clone());
        }
    }

    /// The variables have changed.
    pub fn forget(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.generation += 1;
        state.value = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let cell = EnvironmentCell::default();
        let generation = cell.get().unwrap_err();
        cell.forget();
        cell.keep(generation, &Arc::default());
        let generation = cell.get().unwrap_err();
        cell.keep(generation, &Arc::default());
        assert!(cell.get().is_ok());
    }
}
