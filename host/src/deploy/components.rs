//! Uploaded components: compiled once, kept on disk, linked to what they import.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use crate::error::Error;
use crate::ids::ContentHash;
use crate::runtime::cache::Cache;
use crate::runtime::compile::Compiler;
use crate::runtime::component::{Host, Linked};
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
}

impl Components {
    /// An upload, or why it cannot run here.
    pub async fn build(&self, hash: ContentHash, bytes: Bytes) -> Result<Arc<Linked>, Error> {
        match self.cached(hash).await? {
            Some(linked) => Ok(linked),
            None => self.compile(hash, bytes).await,
        }
    }

    /// A component that was uploaded before.
    pub async fn load(&self, hash: ContentHash) -> Result<Arc<Linked>, Error> {
        if let Some(linked) = self.cached(hash).await? {
            return Ok(linked);
        }
        let bytes = self.store.read(move |tx| functions::component_bytes(tx, hash)).await?;
        self.compile(hash, bytes.into()).await
    }

    async fn cached(&self, hash: ContentHash) -> Result<Option<Arc<Linked>>, Error> {
        let cache = self.cache.clone();
        let component = spawn_blocking(move || cache.load(hash)).await.map_err(Error::internal)?;
        component.map(|component| self.host.link(&component).map(Arc::new)).transpose()
    }

    async fn compile(&self, hash: ContentHash, bytes: Bytes) -> Result<Arc<Linked>, Error> {
        let code = self.compiler.compile(bytes).await?;
        let cache = self.cache.clone();
        let component = spawn_blocking(move || cache.store(hash, &code)).await.map_err(Error::internal)??;
        self.host.link(&component).map(Arc::new)
    }
}
