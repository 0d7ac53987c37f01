//! The database of an app as a guest meets it.

mod batches;
mod crash;
mod durability;
mod guarding;
mod limits;
mod quick;
mod schema;
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

#[tokio::test]
async fn what_ran_in_a_deleted_app_has_no_database_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let databases = Databases::new(directory.path().to_owned(), Durability::default());
    let name: AppName = "shop".parse().unwrap();
    let life = databases.life(&name);
    let deadline = Instant::now() + Duration::from_secs(60);
    let held = databases.open_in(&name, life).await.unwrap();
    held.execute("CREATE TABLE t (x)".to_owned(), Vec::new(), deadline).await.unwrap();
    databases.delete(&name).await.unwrap();
    databases.delete(&name).await.unwrap();
    assert!(!directory.path().join("apps/shop").exists());
    assert!(matches!(databases.open_in(&name, life).await, Err(Error::Denied(_))));
    let next = databases.open_in(&name, databases.life(&name)).await.unwrap();
    let rows = next.query("SELECT count(*) FROM sqlite_schema".to_owned(), Vec::new(), deadline).await.unwrap();
    assert_eq!(rows.rows, [[Value::Integer(0)]]);
    // Whoever still has the old one reaches nothing of the new one.
    let write = held.execute("CREATE TABLE u (x)".to_owned(), Vec::new(), deadline).await;
    assert!(matches!(write, Err(Error::Denied(_))), "{write:?}");
    // A connection of its own would be one to the new file.
    let read = held.query("SELECT 1".to_owned(), Vec::new(), deadline).await;
    assert!(matches!(read, Err(Error::Denied(_))), "{read:?}");
    let rows = next.query("SELECT count(*) FROM sqlite_schema".to_owned(), Vec::new(), deadline).await.unwrap();
    assert_eq!(rows.rows, [[Value::Integer(0)]]);
}
