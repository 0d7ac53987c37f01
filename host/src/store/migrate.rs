//! Brings a database file to the schema this build knows. Shipped files under `migrations/` are never edited, only added.

use rusqlite::{Connection, TransactionBehavior};

/// Ordered SQL; the position in the list, counted from 1, is the schema's version.
pub(super) type Migrations = &'static [&'static str];

/// The schema of `caddis.sqlite`.
pub(super) const SYSTEM: Migrations = &[
    include_str!("../../migrations/system/0001_initial.sql"),
    include_str!("../../migrations/system/0002_traffic.sql"),
    include_str!("../../migrations/system/0010_app_settings.sql"),
    include_str!("../../migrations/system/0011_management_tokens.sql"),
    include_str!("../../migrations/system/0012_deleted_apps.sql"),
];

/// The schema of `executions.sqlite`.
pub(super) const EXECUTIONS: Migrations = &[
    include_str!("../../migrations/executions/0001_initial.sql"),
    include_str!("../../migrations/executions/0002_response.sql"),
    include_str!("../../migrations/executions/0003_stats.sql"),
    include_str!("../../migrations/executions/0004_less_to_write.sql"),
];

/// Why a file was not brought up to date.
#[derive(Debug, thiserror::Error)]
pub(super) enum MigrateError {
    /// A newer build wrote it: this one cannot know what its tables mean.
    #[error("schema version {found}, known are versions up to {known}")]
    Newer { found: usize, known: usize },
    /// SQLite failed; the file is as it was before the step that failed.
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

/// Runs what the file has not seen yet, each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection, migrations: Migrations) -> Result<(), MigrateError> {
    let done = schema_version(connection)?;
    if done > migrations.len() {
        return Err(MigrateError::Newer { found: done, known: migrations.len() });
    }
    for (version, sql) in (1_i64..).zip(migrations).skip(done) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

fn schema_version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // A negative version is not ours: it counts as one that is too new.
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE one (x)";
    const SECOND: &str = "CREATE TABLE two (x); INSERT INTO one VALUES (1)";

    fn in_memory() -> Connection {
        crate::store::tenant::install_allocator();
        Connection::open_in_memory().unwrap()
    }

    #[test]
    fn only_new_steps_run() {
        let mut connection = in_memory();
        migrate(&mut connection, &[FIRST]).unwrap();
        migrate(&mut connection, &[FIRST, SECOND]).unwrap();
        migrate(&mut connection, &[FIRST, SECOND]).unwrap();
        assert_eq!(schema_version(&connection).unwrap(), 2);
        let rows: i64 = connection.query_row("SELECT count(*) FROM one", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_step_that_fails_leaves_no_trace() {
        let mut connection = in_memory();
        let error =
            migrate(&mut connection, &[FIRST, "CREATE TABLE two (x); INSERT INTO three VALUES (1)"]).unwrap_err();
        assert!(matches!(error, MigrateError::Database(_)));
        assert_eq!(schema_version(&connection).unwrap(), 1);
        assert!(connection.prepare("SELECT * FROM two").is_err());
    }

    #[test]
    fn newer_and_foreign_versions_are_refused() {
        let mut connection = in_memory();
        for version in [2, -1] {
            connection.pragma_update(None, "user_version", version).unwrap();
            assert!(matches!(migrate(&mut connection, &[FIRST]), Err(MigrateError::Newer { known: 1, .. })));
        }
    }
}
