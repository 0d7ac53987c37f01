//! The database of an app as a guest meets it.

mod batches;
mod crash;
mod durability;
mod guarding;
mod limits;
mod speed;
mod statements;
mod stopping;
mod transactions;

use super::*;

/// A host with a database directory of its own.
pub(super) struct Host {
    databases: Databases,
    directory: tempfile::TempDir,
}

impl Host {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { databases: Databases::with_limits(directory.path().join("data"), limits), directory }
    }

    pub(super) async fn app(&self, name: &str) -> Database {
        self.databases.open(&name.parse().unwrap()).await.unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("data/apps").join(name).join("data.sqlite")
    }
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(super) async fn query(database: &Database, sql: &str) -> Result<Rows, Error> {
    database.query(sql.to_owned(), vec![], soon()).await
}

pub(super) async fn execute(database: &Database, sql: &str) -> Result<Changes, Error> {
    database.execute(sql.to_owned(), vec![], soon()).await
}

/// The only value of the only row.
pub(super) async fn value(database: &Database, sql: &str) -> Value {
    single(query(database, sql).await.unwrap())
}

fn single(rows: Rows) -> Value {
    assert_eq!((rows.columns.len(), rows.rows.len()), (1, 1), "{rows:?}");
    rows.rows[0][0].clone()
}
