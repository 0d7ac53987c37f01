//! Instances that wait for the next request of their function, where it wants that (`isolation: "instance"`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use wasmtime::Store;
use wasmtime::component::{self, ComponentExportIndex};
use wasmtime_wasi_http::p2::bindings::Proxy;
use wasmtime_wasi_http::p3::bindings::Service;

use super::component::Linked;
use super::ctx::{Ctx, CtxParts};
use crate::bindings::Function;
use crate::bindings::env::Environment;
use crate::tunables::{IDLE_INSTANCES_PER_FUNCTION, REST_FUEL};

/// An instance, as it is called.
pub enum Instance {
    /// In the lean world.
    Lean(Lean),
    /// In WASI 0.2.
    Http02(Proxy),
    /// In WASI 0.3.
    Http03(Service),
}

/// An instance in the lean world.
pub struct Lean {
    /// What is called.
    pub function: Function,
    /// What it is to be told between two requests.
    pub rest: Option<(component::Instance, ComponentExportIndex)>,
}

impl Instance {
    /// Lets it give up what it has of the request that has ended.
    async fn rest(&self, store: &mut Store<Ctx>) -> wasmtime::Result<()> {
        let Self::Lean(Lean { rest: Some((instance, rest)), .. }) = self else { return Ok(()) };
        instance.get_typed_func::<(), ()>(&mut *store, rest)?.call_async(store, ()).await
    }
}

/// An instance that has answered without a failure.
pub struct Sandbox {
    /// What it is an instance of.
    pub linked: Arc<Linked>,
    /// The variables it has seen.
    pub environment: Arc<Environment>,
    /// Its store.
    pub store: Store<Ctx>,
    /// What is called.
    pub instance: Instance,
    /// How many requests it has answered.
    pub served: u32,
}

impl Sandbox {
    /// Goes on with the next request.
    pub fn next(self, parts: CtxParts) -> (Store<Ctx>, Option<Instance>, u32) {
        let Self { mut store, instance, served, .. } = self;
        store.data_mut().next(parts);
        (store, Some(instance), served)
    }

    fn fits(&self, linked: &Arc<Linked>, parts: &CtxParts) -> bool {
        Arc::ptr_eq(&self.linked, linked) && Arc::ptr_eq(&self.environment, &parts.environment)
    }
}

/// The instances of one version of a function that wait.
#[derive(Default)]
pub struct Instances(Mutex<Vec<Waiting>>);

struct Waiting {
    sandbox: Sandbox,
    since: Instant,
    _place: OwnedSemaphorePermit,
}

impl Instances {
    /// Ends those that have waited for this long.
    pub fn end_idle(&self, time: Duration) {
        let ended: Vec<Waiting> = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.extract_if(.., |waiting| waiting.since.elapsed() >= time).collect()
        };
        drop(ended);
    }

    fn pop(&self) -> Option<Sandbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().map(|waiting| waiting.sandbox)
    }

    fn push(&self, new: Waiting) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = if waiting.len() < IDLE_INSTANCES_PER_FUNCTION {
            waiting.push(new);
            None
        } else {
            Some(new)
        };
        drop(waiting);
        // Ending an instance takes a while, and others want the list.
        drop(refused);
    }
}

/// Places for the instances of all functions that wait.
#[derive(Debug, Clone)]
pub struct IdlePlaces {
    free: Arc<Semaphore>,
    count: usize,
}

impl IdlePlaces {
    /// So many.
    pub fn new(count: u32) -> Self {
        let count = count as usize;
        Self { free: Arc::new(Semaphore::new(count)), count }
    }

    /// How many wait.
    pub fn taken(&self) -> usize {
        self.count.saturating_sub(self.free.available_permits())
    }
}

/// Where an execution finds an instance that waits, and leaves its own.
pub struct Keep {
    /// Those of its function.
    pub instances: Arc<Instances>,
    /// Places for those of all functions.
    pub places: IdlePlaces,
    /// After how many requests an instance ends.
    pub requests: u32,
}

impl Keep {
    /// An instance for the next request. Those that saw other variables, or an image made with such, end.
    pub fn take(&self, linked: &Arc<Linked>, parts: &CtxParts) -> Option<Sandbox> {
        // Without memory for its stack the request fails, and need not take an instance with it.
        if parts.memory.refusal().is_some() {
            return None;
        }
        std::iter::from_fn(|| self.instances.pop()).find(|sandbox| sandbox.fits(linked, parts))
    }

    /// Lets an instance wait. It ends when it has served its time, still has something of its request, or finds no place.
    pub async fn put(self, mut sandbox: Sandbox, deadline: Instant) {
        let Sandbox { store, instance, served, .. } = &mut sandbox;
        // What waits must leave room for what works.
        if *served >= self.requests || store.data().memory.is_scarce() || store.set_fuel(REST_FUEL).is_err() {
            return;
        }
        let rested = timeout_at(deadline, instance.rest(store)).await;
        if !matches!(rested, Ok(Ok(()))) || !sandbox.store.data_mut().rest() {
            return;
        }
        if let Ok(place) = self.places.free.try_acquire_owned() {
            self.instances.push(Waiting { sandbox, since: Instant::now(), _place: place });
        }
    }
}
