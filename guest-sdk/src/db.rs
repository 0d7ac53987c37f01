//! The app's SQL database (SQLite). All functions of one app share it; no other app can reach it.
//!
//! ```no_run
//! use caddis_sdk::{Context, Result, named_params, params};
//!
//! #[derive(serde::Deserialize)]
//! struct Note {
//!     id: i64,
//!     title: String,
//!     done: bool,
//!     due: Option<String>,
//! }
//!
//! async fn work(context: Context) -> Result<()> {
//!     let db = context.db();
//!     let open: Vec<Note> = db.query_as("SELECT * FROM notes WHERE done = ?", params![false]).await?;
//!     let total: Option<i64> = db.query_one("SELECT count(*) FROM notes", params![]).await?;
//!     let mine: Vec<Note> = db
//!         .query_as("SELECT * FROM notes WHERE owner = :owner AND id > :id", named_params! { "owner": "ann", "id": 7 })
//!         .await?;
//!     db.transaction(async |tx| {
//!         for note in &open {
//!             tx.execute("UPDATE notes SET done = 1 WHERE id = ?", params![note.id]).await?;
//!         }
//!         Ok(())
//!     })
//!     .await
//! }
//! ```

mod error;
mod row;
mod value;

use serde::de::DeserializeOwned;

use crate::bindings::caddis::function::db as wit;

pub use error::Error;
pub use wit::{Changes, ConstraintKind, ConstraintViolation, Parameters, Role, Statement, TransactionMode, Value};

/// Makes the parameters of a statement, bound in order to `?`, `?1`, `:name`, `@name` or `$name`. Takes everything that
/// converts into a [`Value`]: booleans, integers up to 64 bits signed, floats, text, bytes, and an `Option` of these.
///
/// ```
/// use caddis_sdk::{db::Value, params};
///
/// let due: Option<&str> = None;
/// assert_eq!(params![7, "milk", true, due], [Value::Integer(7), Value::Text("milk".into()), Value::Integer(1), Value::Null]);
/// ```
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {{
        let parameters: [$crate::db::Value; _] = [$($crate::db::Value::from($value)),*];
        parameters
    }};
}

/// Makes the parameters of a statement, bound by name: with or without the sign (`:`, `@`, `$`) in front.
///
/// ```
/// use caddis_sdk::{db::{Parameters, Value}, named_params};
///
/// let named = vec![("id".to_owned(), Value::Integer(7))];
/// assert_eq!(Parameters::from(named_params! { "id": 7 }), Parameters::Named(named));
/// ```
#[macro_export]
macro_rules! named_params {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::db::Parameters::Named(vec![$(($name.to_owned(), $crate::db::Value::from($value))),*])
    };
}

/// A statement of a [batch](Db::batch).
pub fn statement(sql: impl Into<String>, parameters: impl Into<Parameters>) -> Statement {
    Statement { sql: sql.into(), parameters: parameters.into() }
}

/// What a statement did.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The rows; none for a statement that yields none.
    pub rows: Rows,
    /// What it changed.
    pub changes: Changes,
}

impl From<wit::Outcome> for Outcome {
    fn from(outcome: wit::Outcome) -> Self {
        Self { rows: outcome.rows.into(), changes: outcome.changes }
    }
}

/// The rows of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// The names of the columns, in order. Names may repeat.
    pub columns: Vec<String>,
    /// The rows; each has one value per column.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// The rows as values of a type: a struct or map by the names of the columns, a tuple by their order, or, when there
    /// is one column, its plain value.
    ///
    /// Integers become any integer type that holds them, 0 and 1 booleans; NULL needs an `Option`; BLOBs become bytes; text
    /// becomes text or an enum's variant without fields.
    ///
    /// # Errors
    /// [`Error::Decode`], which names the column.
    pub fn into<T: DeserializeOwned>(self) -> Result<Vec<T>, Error> {
        self.rows.into_iter().map(|row| row::decode(&self.columns, row)).collect()
    }

    fn into_first<T: DeserializeOwned>(self) -> Result<Option<T>, Error> {
        self.rows.into_iter().next().map(|row| row::decode(&self.columns, row)).transpose()
    }
}

impl From<wit::Rows> for Rows {
    fn from(rows: wit::Rows) -> Self {
        Self { columns: rows.columns, rows: rows.rows }
    }
}

macro_rules! statements {
    ($run:expr) => {
        /// Runs one statement and returns its rows and what it changed.
        ///
        /// # Errors
        /// Those of the host.
        pub async fn run(&self, sql: &str, parameters: impl Into<Parameters>) -> Result<Outcome, Error> {
            Ok($run(self, &statement(sql, parameters))?.into())
        }

        /// Runs one statement and returns its rows.
        ///
        /// # Errors
        /// Those of the host.
        pub async fn query(&self, sql: &str, parameters: impl Into<Parameters>) -> Result<Rows, Error> {
            Ok(self.run(sql, parameters).await?.rows)
        }

        /// As `query`, with the rows as values of a type: see [`Rows::into`].
        ///
        /// # Errors
        /// Those of the host, and [`Error::Decode`].
        pub async fn query_as<T: DeserializeOwned>(
            &self,
            sql: &str,
            parameters: impl Into<Parameters>,
        ) -> Result<Vec<T>, Error> {
            self.query(sql, parameters).await?.into()
        }

        /// As `query_as`, with the first row only; none when there are no rows.
        ///
        /// # Errors
        /// Those of the host, and [`Error::Decode`].
        pub async fn query_one<T: DeserializeOwned>(
            &self,
            sql: &str,
            parameters: impl Into<Parameters>,
        ) -> Result<Option<T>, Error> {
            self.query(sql, parameters).await?.into_first()
        }

        /// Runs one statement and returns what it changed.
        ///
        /// # Errors
        /// Those of the host.
        pub async fn execute(&self, sql: &str, parameters: impl Into<Parameters>) -> Result<Changes, Error> {
            Ok(self.run(sql, parameters).await?.changes)
        }
    };
}

macro_rules! of_connections {
    () => {
        statements!(|this: &Self, statement| this.with(|connection| connection.run(statement)));

        /// Runs statements in one transaction: all or none is done. Made with [`statement`].
        ///
        /// # Errors
        /// Those of the host; the message begins with the number of the statement.
        pub async fn batch(&self, statements: &[Statement]) -> Result<Vec<Outcome>, Error> {
            let outcomes = self.with(|connection| connection.batch(statements))?;
            Ok(outcomes.into_iter().map(Outcome::from).collect())
        }

        /// Starts a statement that reads, to take its rows piece by piece, however many there are. One request has at most
        /// one open cursor.
        ///
        /// # Errors
        /// Those of the host.
        pub async fn cursor(&self, sql: &str, parameters: impl Into<Parameters>) -> Result<Cursor, Error> {
            let statement = statement(sql, parameters);
            Ok(Cursor::of(self.with(|connection| connection.open(&statement))?))
        }

        /// Starts a transaction, and rolls it back when the value is dropped before [`Transaction::commit`]. One request has
        /// at most one open transaction.
        ///
        /// # Errors
        /// Those of the host: [`Error::Busy`] when another writer holds the lock for over 5 seconds.
        pub async fn begin(&self, mode: TransactionMode) -> Result<Transaction, Error> {
            Ok(Transaction(self.with(|connection| connection.begin(mode))?))
        }

        /// Runs `work` in a read-write transaction: committed when it succeeds, rolled back when it fails.
        ///
        /// # Errors
        /// The error of `work`, or the host's.
        pub async fn transaction<T>(
            &self,
            work: impl AsyncFnOnce(&Transaction) -> crate::Result<T>,
        ) -> crate::Result<T> {
            let transaction = self.begin(TransactionMode::ReadWrite).await?;
            let value = work(&transaction).await?;
            transaction.commit().await?;
            Ok(value)
        }
    };
}

thread_local! {
    /// Made at the first use, and gone with the instance.
    static OF_CALLER: wit::Connection = wit::Connection::new();
}

/// The app's database, in the role of the caller of the function. Each statement is a transaction of its own, durable when the
/// call returns.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Db;

impl Db {
    of_connections!();

    fn with<T>(&self, action: impl FnOnce(&wit::Connection) -> T) -> T {
        OF_CALLER.with(action)
    }

    /// The database as this user sees it: `authenticated`, with `auth.uid()` as given.
    ///
    /// # Errors
    /// Those of the host.
    pub fn as_user(&self, id: impl Into<String>) -> Result<Connection, Error> {
        Connection::acting_as(Role::Authenticated(id.into()))
    }

    /// The database as anybody sees it: `anon`.
    ///
    /// # Errors
    /// Those of the host.
    pub fn as_anon(&self) -> Result<Connection, Error> {
        Connection::acting_as(Role::Anon)
    }

    /// The database as the app itself sees it: `service_role`.
    ///
    /// # Errors
    /// [`Error::Denied`] when neither the caller nor the function's settings allow it.
    pub fn as_service(&self) -> Result<Connection, Error> {
        Connection::acting_as(Role::ServiceRole)
    }
}

/// The app's database in a role.
#[derive(Debug)]
pub struct Connection(wit::Connection);

impl Connection {
    of_connections!();

    fn with<T>(&self, action: impl FnOnce(&wit::Connection) -> T) -> T {
        action(&self.0)
    }

    fn acting_as(role: Role) -> Result<Self, Error> {
        Ok(Self(wit::Connection::acting_as(&role)?))
    }
}

/// A result on its way: as many rows as there are, in the memory of a few hundred.
#[derive(Debug)]
pub struct Cursor {
    columns: Vec<String>,
    cursor: wit::Cursor,
}

impl Cursor {
    fn of(cursor: wit::Cursor) -> Self {
        Self { columns: cursor.columns(), cursor }
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    /// Those of the host.
    pub async fn next(&mut self) -> Result<Rows, Error> {
        Ok(Rows { columns: self.columns.clone(), rows: self.cursor.next()? })
    }
}

/// An open transaction. Dropping it rolls it back.
#[derive(Debug)]
pub struct Transaction(wit::Transaction);

impl Transaction {
    statements!(|this: &Self, statement| this.0.run(statement));

    /// Runs statements, made with [`statement`], in this transaction: all are done, or none is and the transaction goes on as it was before.
    ///
    /// # Errors
    /// Those of the host; the message begins with the number of the statement.
    pub async fn batch(&self, statements: &[Statement]) -> Result<Vec<Outcome>, Error> {
        Ok(self.0.batch(statements)?.into_iter().map(Outcome::from).collect())
    }

    /// Starts a statement that reads, with the transaction's writes so far, to take its rows piece by piece. Until the cursor is
    /// dropped the transaction runs no other statement.
    ///
    /// # Errors
    /// Those of the host.
    pub async fn cursor(&self, sql: &str, parameters: impl Into<Parameters>) -> Result<Cursor, Error> {
        Ok(Cursor::of(self.0.open(&statement(sql, parameters))?))
    }

    /// Makes the writes visible and durable, all or none.
    ///
    /// # Errors
    /// Those of the host.
    pub async fn commit(self) -> Result<(), Error> {
        Ok(wit::Transaction::commit(self.0)?)
    }

    /// Undoes the writes.
    ///
    /// # Errors
    /// Those of the host.
    pub async fn rollback(self) -> Result<(), Error> {
        Ok(wit::Transaction::rollback(self.0)?)
    }
}
