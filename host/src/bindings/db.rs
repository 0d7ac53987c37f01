//! `caddis:function/db`: translates between the WIT and the app's database.

use std::time::Instant;

use wasmtime::component::{Resource, ResourceTable};

use super::wit::db;
use crate::store::tenant::{self, ConstraintKind, Database};

/// A guest's transaction. Rolled back when dropped with its store.
#[derive(Debug)]
pub struct TransactionHandle(tenant::Transaction);

/// The database of one execution.
#[derive(Debug)]
pub struct DbState {
    /// The app's database.
    pub database: Database,
    /// When the execution ends at the latest.
    pub deadline: Instant,
    /// Whether a transaction is open: one request has at most one.
    pub in_transaction: bool,
}

/// What `db` sees of a store.
#[derive(Debug)]
pub struct DbView<'a> {
    /// The state.
    pub state: &'a mut DbState,
    /// Transactions live here.
    pub table: &'a mut ResourceTable,
}
