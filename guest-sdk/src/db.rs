//! The app's SQL database (SQLite). All functions of one app share it; no other app can reach it.
//!
//! ```no_run
//! use caddis_sdk::{Context, Result, params};
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
pub use wit::{Changes, ConstraintKind, ConstraintViolation, TransactionMode, Value};

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
    ($query:expr, $execute:expr) => {
        /// Runs one statement and returns its rows.
        ///
        /// # Errors
        /// Those of the host.
        pub async fn query(&self, sql: &str, parameters: impl AsRef<[Value]>) -> Result<Rows, Error> {
            Ok($query(self, sql, parameters.as_ref())?.into())
        }

        /// As `query`, with the rows as values of a type: see [`Rows::into`].
        ///
        /// # Errors
        /// Those of the host, and [`Error::Decode`].
        pub async fn query_as<T: DeserializeOwned>(
            &self,
            sql: &str,
            parameters: impl AsRef<[Value]>,
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
            parameters: impl AsRef<[Value]>,
        ) -> Result<Option<T>, Error> {
            self.query(sql, parameters).await?.into_first()
        }

        /// Runs one statement and returns what it changed; rows it yields are dropped.
        ///
        /// # Errors
        /// Those of the host.
        pub async fn execute(&self, sql: &str, parameters: impl AsRef<[Value]>) -> Result<Changes, Error> {
            Ok($execute(self, sql, parameters.as_ref())?)
        }
    };
}

/// The app's database. Each statement is a transaction of its own, durable when the call returns.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Db;

impl Db {
    statements!(|_: &Self, sql, parameters| wit::query(sql, parameters), |_: &Self, sql, parameters| wit::execute(
        sql, parameters
    ));

    /// Starts a transaction, and rolls it back when the value is dropped before [`Transaction::commit`]. One request has
    /// at most one open transaction.
    ///
    /// # Errors
    /// Those of the host: [`Error::Busy`] when another writer holds the lock for over 5 seconds.
    pub async fn begin(&self, mode: TransactionMode) -> Result<Transaction, Error> {
        Ok(Transaction(wit::Transaction::begin(mode)?))
    }

    /// Runs `work` in a read-write transaction: committed when it succeeds, rolled back when it fails.
    ///
    /// # Errors
    /// The error of `work`, or the host's.
    pub async fn transaction<T>(&self, work: impl AsyncFnOnce(&Transaction) -> crate::Result<T>) -> crate::Result<T> {
        let transaction = self.begin(TransactionMode::ReadWrite).await?;
        let value = work(&transaction).await?;
        transaction.commit().await?;
        Ok(value)
    }
}

/// An open transaction. Dropping it rolls it back.
#[derive(Debug)]
pub struct Transaction(wit::Transaction);

impl Transaction {
    statements!(|this: &Self, sql, parameters| this.0.query(sql, parameters), |this: &Self, sql, parameters| this
        .0
        .execute(sql, parameters));

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
