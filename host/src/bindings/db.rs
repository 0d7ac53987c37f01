//! `caddis:function/db`: translates between the WIT and the app's database.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::{Resource, ResourceTable};

use super::wit::db::{self as wit, Host, HostConnection, HostCursor, HostTransaction};
use crate::ids::AppName;
use crate::store::tenant::{
    self, Caller, ConstraintKind, Cursor, Database, Databases, DbRole, Life, Outcome, Parameters, Transaction,
    TransactionMode, Value,
};

/// What the generated bindings know a transaction by. Dropped with its store, it is rolled back.
pub type TransactionHandle = Transaction;

/// What the generated bindings know a cursor by. Dropped with its store, its statement ends.
pub type CursorHandle = Cursor;

/// A way to the database for someone.
pub struct Connection(Arc<Caller>);

/// The database of one execution, opened when it is first used: most functions never do.
pub struct DbState {
    databases: Databases,
    app: AppName,
    life: Life,
    caller: Arc<Caller>,
    /// Whether the function may act for the app whoever calls it.
    may_serve: bool,
    database: Option<Database>,
    deadline: Instant,
    /// One request has at most one transaction: a second would wait for the first until both run out of time.
    in_transaction: bool,
    /// For the same reason it has at most one cursor.
    in_cursor: bool,
}

impl DbState {
    /// The state of an execution of this app for this caller that ends at `deadline` at the latest. `may_serve`: whether it may act
    /// for the app when the caller may not.
    pub fn new(databases: Databases, app: AppName, caller: Caller, may_serve: bool, deadline: Instant) -> Self {
        let life = databases.life(&app);
        let caller = Arc::new(caller);
        let database = None;
        Self { databases, app, life, caller, may_serve, database, deadline, in_transaction: false, in_cursor: false }
    }

    /// The database, for the caller of the function.
    async fn database(&mut self) -> Result<Database, tenant::Error> {
        let caller = Arc::clone(&self.caller);
        self.database_for(caller).await
    }

    async fn database_for(&mut self, caller: Arc<Caller>) -> Result<Database, tenant::Error> {
        let database = match &self.database {
            Some(database) => database.clone(),
            None => self.database.insert(self.databases.open_in(&self.app, self.life).await?).clone(),
        };
        Ok(database.acting_for(caller))
    }

    /// Who a role is.
    fn acting_as(&self, role: wit::Role) -> Result<Arc<Caller>, tenant::Error> {
        match role {
            wit::Role::Authenticated(id) if self.is_caller(&id) => Ok(Arc::clone(&self.caller)),
            wit::Role::Authenticated(id) => Ok(Arc::new(Caller::user(id))),
            wit::Role::Anon => Ok(Arc::new(Caller::anon())),
            wit::Role::ServiceRole if self.may_serve || self.caller.role == DbRole::Service => {
                Ok(Arc::new(Caller::service()))
            }
            wit::Role::ServiceRole => Err(tenant::Error::Denied(
                "this function may not act as service_role for its callers; its setting allow_service_role is false"
                    .to_owned(),
            )),
        }
    }

    /// Whether it is the caller himself, whose token says more than his id.
    fn is_caller(&self, id: &str) -> bool {
        self.caller.role == DbRole::Authenticated && self.caller.uid.as_deref() == Some(id)
    }

    async fn begin(&mut self, caller: Arc<Caller>, mode: wit::TransactionMode) -> Result<Transaction, tenant::Error> {
        if self.in_transaction {
            let message = "this request has an open transaction already; end it before another is begun";
            return Err(tenant::Error::Denied(message.to_owned()));
        }
        let mode = match mode {
            wit::TransactionMode::ReadOnly => TransactionMode::ReadOnly,
            wit::TransactionMode::ReadWrite => TransactionMode::ReadWrite,
        };
        let transaction = self.database_for(caller).await?.begin(mode, self.deadline).await?;
        self.in_transaction = true;
        Ok(transaction)
    }

    /// For the same reason as one transaction, a request has at most one cursor.
    fn may_open(&self) -> Result<(), tenant::Error> {
        if !self.in_cursor {
            return Ok(());
        }
        let message = "this request reads from a cursor already; end it before another is opened";
        Err(tenant::Error::Denied(message.to_owned()))
    }

    async fn open(&mut self, caller: Arc<Caller>, statement: wit::Statement) -> Result<Cursor, tenant::Error> {
        self.may_open()?;
        let database = self.database_for(caller).await?;
        let cursor = database.cursor(statement.sql, statement.parameters, self.deadline).await?;
        self.in_cursor = true;
        Ok(cursor)
    }
}

/// What `db` sees of a store.
pub struct DbView<'a> {
    /// The state.
    pub state: &'a mut DbState,
    /// Connections, cursors and transactions live here.
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

    async fn answer_list(&self, result: Result<Vec<Outcome>, tenant::Error>) -> Answer<Vec<wit::Outcome>> {
        let outcomes = self.answer::<_, Vec<Outcome>>(result).await?;
        Ok(outcomes.map(|outcomes| outcomes.into_iter().map(wit::Outcome::from).collect()))
    }
}

fn values(parameters: Vec<wit::Value>) -> Vec<Value> {
    parameters.into_iter().map(Value::from).collect()
}

impl DbView<'_> {
    fn caller(&self, connection: &Resource<Connection>) -> wasmtime::Result<Arc<Caller>> {
        Ok(Arc::clone(&self.table.get(connection)?.0))
    }

    /// Puts what was made where the guest finds it.
    fn keep<T: Send + 'static>(&mut self, made: Result<T, wit::Error>) -> Answer<Resource<T>> {
        Ok(match made {
            Ok(made) => Ok(self.table.push(made)?),
            Err(error) => Err(error),
        })
    }
}

impl Host for DbView<'_> {
    async fn query(&mut self, sql: String, parameters: Vec<wit::Value>) -> Answer<wit::Rows> {
        let deadline = self.state.deadline;
        let result = match self.state.database().await {
            Ok(database) => database.query(sql, values(parameters), deadline).await,
            Err(error) => Err(error),
        };
        self.state.answer(result).await
    }

    async fn execute(&mut self, sql: String, parameters: Vec<wit::Value>) -> Answer<wit::Changes> {
        let deadline = self.state.deadline;
        let result = match self.state.database().await {
            Ok(database) => database.execute(sql, values(parameters), deadline).await,
            Err(error) => Err(error),
        };
        self.state.answer(result).await
    }
}

impl HostConnection for DbView<'_> {
    async fn new(&mut self) -> wasmtime::Result<Resource<Connection>> {
        Ok(self.table.push(Connection(Arc::clone(&self.state.caller)))?)
    }

    async fn acting_as(&mut self, role: wit::Role) -> Answer<Resource<Connection>> {
        let caller = self.state.acting_as(role).map(Connection).map_err(wit::Error::from);
        self.keep(caller)
    }

    async fn run(&mut self, connection: Resource<Connection>, statement: wit::Statement) -> Answer<wit::Outcome> {
        let (caller, deadline) = (self.caller(&connection)?, self.state.deadline);
        let result = match self.state.database_for(caller).await {
            Ok(database) => database.run(statement.sql, statement.parameters, deadline).await,
            Err(error) => Err(error),
        };
        self.state.answer(result).await
    }

    async fn batch(
        &mut self,
        connection: Resource<Connection>,
        statements: Vec<wit::Statement>,
    ) -> Answer<Vec<wit::Outcome>> {
        let (caller, deadline) = (self.caller(&connection)?, self.state.deadline);
        let result = match self.state.database_for(caller).await {
            Ok(database) => database.batch(listed(statements), deadline).await,
            Err(error) => Err(error),
        };
        self.state.answer_list(result).await
    }

    async fn begin(
        &mut self,
        connection: Resource<Connection>,
        mode: wit::TransactionMode,
    ) -> Answer<Resource<Transaction>> {
        let begun = self.state.begin(self.caller(&connection)?, mode).await;
        let begun = self.state.answer(begun).await?;
        self.keep(begun)
    }

    async fn open(&mut self, connection: Resource<Connection>, statement: wit::Statement) -> Answer<Resource<Cursor>> {
        let opened = self.state.open(self.caller(&connection)?, statement).await;
        let opened = self.state.answer(opened).await?;
        self.keep(opened)
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl HostCursor for DbView<'_> {
    async fn columns(&mut self, cursor: Resource<Cursor>) -> wasmtime::Result<Vec<String>> {
        Ok(self.table.get(&cursor)?.columns().to_vec())
    }

    async fn next(&mut self, cursor: Resource<Cursor>) -> Answer<Vec<Vec<wit::Value>>> {
        let result = self.table.get_mut(&cursor)?.next().await;
        let piece = self.state.answer::<_, Vec<Vec<Value>>>(result).await?;
        Ok(piece.map(wit_rows))
    }

    async fn drop(&mut self, cursor: Resource<Cursor>) -> wasmtime::Result<()> {
        self.state.in_cursor = false;
        // A transaction can go on only then.
        self.table.delete(cursor)?.close().await;
        Ok(())
    }
}

impl HostTransaction for DbView<'_> {
    async fn begin(&mut self, mode: wit::TransactionMode) -> Answer<Resource<Transaction>> {
        let caller = Arc::clone(&self.state.caller);
        let begun = self.state.begin(caller, mode).await;
        let begun = self.state.answer(begun).await?;
        self.keep(begun)
    }

    async fn run(&mut self, transaction: Resource<Transaction>, statement: wit::Statement) -> Answer<wit::Outcome> {
        let transaction = self.table.get(&transaction)?;
        let result = transaction.run(statement.sql, statement.parameters, self.state.deadline).await;
        self.state.answer(result).await
    }

    async fn batch(
        &mut self,
        transaction: Resource<Transaction>,
        statements: Vec<wit::Statement>,
    ) -> Answer<Vec<wit::Outcome>> {
        let result = self.table.get(&transaction)?.batch(listed(statements), self.state.deadline).await;
        self.state.answer_list(result).await
    }

    async fn open(
        &mut self,
        transaction: Resource<Transaction>,
        statement: wit::Statement,
    ) -> Answer<Resource<Cursor>> {
        let transaction = self.table.get(&transaction)?;
        let opened = match self.state.may_open() {
            Ok(()) => transaction.cursor(statement.sql, statement.parameters, self.state.deadline).await,
            Err(error) => Err(error),
        };
        self.state.in_cursor |= opened.is_ok();
        let opened = self.state.answer(opened).await?;
        self.keep(opened)
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

impl From<wit::Parameters> for Parameters {
    fn from(parameters: wit::Parameters) -> Self {
        match parameters {
            wit::Parameters::Positional(list) => Self::Positional(values(list)),
            wit::Parameters::Named(list) => {
                Self::Named(list.into_iter().map(|(name, value)| (name, value.into())).collect())
            }
        }
    }
}

impl From<wit::Statement> for tenant::Statement {
    fn from(statement: wit::Statement) -> Self {
        Self { sql: statement.sql, parameters: statement.parameters.into() }
    }
}

fn listed(statements: Vec<wit::Statement>) -> Vec<tenant::Statement> {
    statements.into_iter().map(tenant::Statement::from).collect()
}

fn wit_rows(rows: Vec<Vec<Value>>) -> Vec<Vec<wit::Value>> {
    rows.into_iter().map(|row| row.into_iter().map(wit::Value::from).collect()).collect()
}

impl From<tenant::Rows> for wit::Rows {
    fn from(rows: tenant::Rows) -> Self {
        Self { columns: rows.columns, rows: wit_rows(rows.rows) }
    }
}

impl From<Outcome> for wit::Outcome {
    fn from(outcome: Outcome) -> Self {
        Self { rows: outcome.rows.into(), changes: outcome.changes.into() }
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
