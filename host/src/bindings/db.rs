//! `caddis:function/db`: translates between the WIT and the app's database.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::{Resource, ResourceTable};

use super::wit::db::{self as wit, Host, HostTransaction};
use crate::ids::AppName;
use crate::store::tenant::{
    self, Caller, ConstraintKind, Database, Databases, Life, Transaction, TransactionMode, Value,
};

/// What the generated bindings know a transaction by. Dropped with its store, it is rolled back.
pub type TransactionHandle = Transaction;

/// The database of one execution, opened when it is first used: most functions never do.
pub struct DbState {
    databases: Databases,
    app: AppName,
    life: Life,
    caller: Arc<Caller>,
    database: Option<Database>,
    deadline: Instant,
    /// One request has at most one transaction: a second would wait for the first until both run out of time.
    in_transaction: bool,
}

impl DbState {
    /// The state of an execution of this app for this caller that ends at `deadline` at the latest.
    pub fn new(databases: Databases, app: AppName, caller: Caller, deadline: Instant) -> Self {
        let life = databases.life(&app);
        Self { databases, app, life, caller: Arc::new(caller), database: None, deadline, in_transaction: false }
    }

    async fn database(&mut self) -> Result<Database, tenant::Error> {
        if let Some(database) = &self.database {
            return Ok(database.clone());
        }
        let database = self.databases.open_in(&self.app, self.life).await?.acting_for(Arc::clone(&self.caller));
        Ok(self.database.insert(database).clone())
    }

    async fn query(&mut self, sql: String, parameters: Vec<Value>) -> Result<tenant::Rows, tenant::Error> {
        self.database().await?.query(sql, parameters, self.deadline).await
    }

    async fn execute(&mut self, sql: String, parameters: Vec<Value>) -> Result<tenant::Changes, tenant::Error> {
        self.database().await?.execute(sql, parameters, self.deadline).await
    }

    async fn begin(&mut self, mode: TransactionMode) -> Result<Transaction, tenant::Error> {
        self.database().await?.begin(mode, self.deadline).await
    }
}

/// What `db` sees of a store.
pub struct DbView<'a> {
    /// The state.
    pub state: &'a mut DbState,
    /// Transactions live here.
    pub table: &'a mut ResourceTable,
}

type Answer<T> = wasmtime::Result<Result<T, wit::Error>>;

impl DbState {
    /// What the guest gets. When the time of the whole execution is up it gets nothing any more: the execution is about to be
    /// ended as timed out, and an answer could only make it end in another way first.
    async fn answer<T, U: From<T>>(&self, result: Result<T, tenant::Error>) -> Answer<U> {
        if matches!(result, Err(tenant::Error::Timeout)) && Instant::now() >= self.deadline {
            std::future::pending::<()>().await;
        }
        Ok(result.map(U::from).map_err(wit::Error::from))
    }
}

fn values(parameters: Vec<wit::Value>) -> Vec<Value> {
    parameters.into_iter().map(Value::from).collect()
}

impl Host for DbView<'_> {
    async fn query(&mut self, sql: String, parameters: Vec<wit::Value>) -> Answer<wit::Rows> {
        let result = self.state.query(sql, values(parameters)).await;
        self.state.answer(result).await
    }

    async fn execute(&mut self, sql: String, parameters: Vec<wit::Value>) -> Answer<wit::Changes> {
        let result = self.state.execute(sql, values(parameters)).await;
        self.state.answer(result).await
    }
}

impl HostTransaction for DbView<'_> {
    async fn begin(&mut self, mode: wit::TransactionMode) -> Answer<Resource<Transaction>> {
        if self.state.in_transaction {
            let message = "this request has an open transaction already; end it before another is begun";
            return Ok(Err(wit::Error::Denied(message.to_owned())));
        }
        let mode = match mode {
            wit::TransactionMode::ReadOnly => TransactionMode::ReadOnly,
            wit::TransactionMode::ReadWrite => TransactionMode::ReadWrite,
        };
        let begun = self.state.begin(mode).await;
        match self.state.answer::<_, Transaction>(begun).await? {
            Ok(transaction) => {
                let handle = self.table.push(transaction)?;
                self.state.in_transaction = true;
                Ok(Ok(handle))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    async fn query(
        &mut self,
        transaction: Resource<Transaction>,
        sql: String,
        parameters: Vec<wit::Value>,
    ) -> Answer<wit::Rows> {
        let transaction = self.table.get(&transaction)?;
        let result = transaction.query(sql, values(parameters), self.state.deadline).await;
        self.state.answer(result).await
    }

    async fn execute(
        &mut self,
        transaction: Resource<Transaction>,
        sql: String,
        parameters: Vec<wit::Value>,
    ) -> Answer<wit::Changes> {
        let transaction = self.table.get(&transaction)?;
        let result = transaction.execute(sql, values(parameters), self.state.deadline).await;
        self.state.answer(result).await
    }

    async fn commit(&mut self, transaction: Resource<Transaction>) -> Answer<()> {
        self.state.in_transaction = false;
        let result = self.table.delete(transaction)?.commit().await;
        self.state.answer(result).await
    }

    async fn rollback(&mut self, transaction: Resource<Transaction>) -> Answer<()> {
        self.state.in_transaction = false;
        let result = self.table.delete(transaction)?.rollback().await;
        self.state.answer(result).await
    }

    async fn drop(&mut self, transaction: Resource<Transaction>) -> wasmtime::Result<()> {
        self.state.in_transaction = false;
        drop(self.table.delete(transaction)?);
        Ok(())
    }
}

impl From<wit::Value> for Value {
    fn from(value: wit::Value) -> Self {
        match value {
            wit::Value::Null => Self::Null,
            wit::Value::Integer(value) => Self::Integer(value),
            wit::Value::Real(value) => Self::Real(value),
            wit::Value::Text(value) => Self::Text(value),
            wit::Value::Blob(value) => Self::Blob(value),
        }
    }
}

impl From<Value> for wit::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(value) => Self::Integer(value),
            Value::Real(value) => Self::Real(value),
            Value::Text(value) => Self::Text(value),
            Value::Blob(value) => Self::Blob(value),
        }
    }
}

impl From<tenant::Rows> for wit::Rows {
    fn from(rows: tenant::Rows) -> Self {
        let row = |row: Vec<Value>| row.into_iter().map(wit::Value::from).collect();
        Self { columns: rows.columns, rows: rows.rows.into_iter().map(row).collect() }
    }
}

impl From<tenant::Changes> for wit::Changes {
    fn from(changes: tenant::Changes) -> Self {
        Self { rows_affected: changes.rows_affected, last_insert_id: changes.last_insert_id }
    }
}

impl From<tenant::Error> for wit::Error {
    fn from(error: tenant::Error) -> Self {
        match error {
            tenant::Error::Syntax(message) => Self::Syntax(message),
            tenant::Error::Parameter(message) => Self::Parameter(message),
            tenant::Error::Constraint { kind, message } => {
                Self::Constraint(wit::ConstraintViolation { kind: kind.into(), message })
            }
            tenant::Error::Denied(message) => Self::Denied(message),
            tenant::Error::Busy(message) => Self::Busy(message),
            tenant::Error::Limit(message) => Self::Limit(message),
            tenant::Error::Timeout => Self::Timeout,
            tenant::Error::Closed => Self::Closed,
            tenant::Error::Internal(cause) => {
                tracing::error!(%cause, "a database failed");
                Self::Internal("the host's database failed; its log has the cause".to_owned())
            }
        }
    }
}

impl From<ConstraintKind> for wit::ConstraintKind {
    fn from(kind: ConstraintKind) -> Self {
        match kind {
            ConstraintKind::Unique => Self::Unique,
            ConstraintKind::PrimaryKey => Self::PrimaryKey,
            ConstraintKind::NotNull => Self::NotNull,
            ConstraintKind::Check => Self::Check,
            ConstraintKind::ForeignKey => Self::ForeignKey,
            ConstraintKind::Other => Self::Other,
        }
    }
}
