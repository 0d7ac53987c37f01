//! Uploaded components: compiled once, kept on disk, linked to what they import.

use std::sync::Arc;

use bytes::Bytes;
use javy_shim::ENGINE;
use tokio::task::spawn_blocking;

use crate::error::{Code, Error};
use crate::ids::ContentHash;
use crate::runtime::cache::{Cache, MachineCode};
use crate::runtime::compile::Compiler;
use crate::runtime::component::{Host, Linked};
use crate::runtime::limits::MemoryBudget;
use crate::runtime::script::ScriptEngine;
use crate::store::{Store, functions};

/// Makes components callable.
pub struct Components {
    /// Where uploads are kept.
    pub store: Store,
    /// What they are linked to.
    pub host: Arc<Host>,
    /// Makes machine code.
    pub compiler: Compiler,
    /// Keeps machine code.
    pub cache: Cache,
    /// What all of it may take, with the executions.
    pub budget: Arc<MemoryBudget>,
}

/// There is no room for another function.
pub(super) fn no_memory() -> Error {
    Error::new(Code::Overloaded, "all memory the host has for functions is in use; try again later")
}

impl Components {
    /// An upload, or why it cannot run here.
    pub async fn build(&self, hash: ContentHash, bytes: Bytes) -> Result<Arc<Linked>, Error> {
        let code = match self.cached(hash).await? {
            Some(code) => code,
            None => self.keep(hash, self.compiler.compile_upload(bytes).await?).await?,
        };
        self.link(&code)
    }

    /// A component that was uploaded before.
    pub async fn load(&self, hash: ContentHash) -> Result<Arc<Linked>, Error> {
        if let Some(code) = self.cached(hash).await? {
            return self.link(&code);
        }
        let bytes = self.store.read(move |tx| functions::component_bytes(tx, hash)).await?;
        self.build(hash, bytes.into()).await
    }

    /// The JavaScript engine. It is compiled as uploads are, aside: what compiling takes of memory would stay.
    pub async fn script_engine(&self) -> Result<ScriptEngine, Error> {
        let hash = ContentHash::of(ENGINE);
        let code = match self.cached(hash).await? {
            Some(code) => code,
            None => self.keep(hash, self.compiler.compile(Bytes::from_static(ENGINE)).await?).await?,
        };
        let engine = self.cache.component(&code).map_err(Error::internal)?;
        ScriptEngine::new(&self.host, engine).map_err(Error::internal)
    }

    async fn cached(&self, hash: ContentHash) -> Result<Option<MachineCode>, Error> {
        let cache = self.cache.clone();
        spawn_blocking(move || cache.read(hash)).await.map_err(Error::internal)
    }

    async fn keep(&self, hash: ContentHash, code: Vec<u8>) -> Result<MachineCode, Error> {
        let cache = self.cache.clone();
        spawn_blocking(move || cache.keep(hash, code)).await.map_err(Error::internal)
    }

    fn link(&self, code: &MachineCode) -> Result<Arc<Linked>, Error> {
        // What compiles can still have more memories, tables or instances than the pool has for one component.
        let component = self.cache.component(code).map_err(|error| {
            let message = format!("the component needs more than this host gives one: {error:#}");
            Error::new(Code::InvalidComponent, message)
        })?;
        let linked = self.host.link(&component)?;
        Ok(Arc::new(Linked { memory: Some(self.budget.share(code.size()).ok_or_else(no_memory)?), ..linked }))
    }
}
