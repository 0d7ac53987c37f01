//! The schema of an app, as numbered files that are run once and in order, each in a transaction with the record of it.

use std::time::Instant;

use sha2::{Digest, Sha256};

use super::script::{Piece, ScriptError};
use super::{Database, Error};

/// A file: `0001_initial.sql` and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The name, which begins with the number.
    pub name: String,
    /// The statements.
    pub sql: String,
}

/// A migration that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i64,
    /// The name of the file.
    pub name: String,
    /// SHA-256 of the file, as hex.
    pub checksum: String,
    /// When, as in RFC 3339.
    pub applied_at: String,
}

/// Why migrations were not run. Those before the one that failed are done, of that one nothing is.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The files are not what they should be, or not what was run before.
    #[error("{0}")]
    Refused(String),
    /// A statement of one failed.
    #[error("{name}:{}:{}: {script}", script.line, script.column)]
    Failed {
        /// The name of the file.
        name: String,
        /// The statement.
        script: ScriptError,
    },
    /// The database could not be asked.
    #[error(transparent)]
    Database(#[from] Error),
}

/// Where it is recorded what was run.
pub(super) const TABLE: &str = "caddis_migrations";

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS main.caddis_migrations (
    version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TEXT NOT NULL
) STRICT";

/// What is done before the statements of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing.
    Migration,
    /// Rows may refer to rows that come later, and what frames a dump of SQLite's own shell is left out.
    Import,
}

impl Database {
    /// What was run, in order.
    ///
    /// # Errors
    /// As [`Database::run`].
    pub async fn migrations(&self, deadline: Instant) -> Result<Vec<Applied>, Error> {
        self.write(false, deadline, |connection| Ok(connection.on_host(applied)?)).await
    }

    /// Runs what was not run yet, in the order of the numbers; returns what it has run, or with `dry_run` what it would run.
    ///
    /// # Errors
    /// See [`MigrationError`].
    pub async fn migrate(
        &self,
        migrations: Vec<Migration>,
        dry_run: bool,
        deadline: Instant,
    ) -> Result<Vec<Applied>, MigrationError> {
        let pending = pending(&self.migrations(deadline).await?, migrations)?;
        let mut done = Vec::new();
        for (record, sql) in pending {
            if !dry_run {
                self.migrate_one(record.clone(), sql, deadline).await?;
            }
            done.push(record);
        }
        Ok(done)
    }

    async fn migrate_one(&self, record: Applied, sql: String, deadline: Instant) -> Result<(), MigrationError> {
        let name = record.name.clone();
        let on_behalf = self.on_behalf();
        let run = self.write(false, deadline, move |connection| {
            Ok(connection.run_script(&sql, Mode::Migration, &on_behalf, deadline, |sqlite| {
                sqlite.execute_batch(SCHEMA)?;
                let insert = "INSERT INTO main.caddis_migrations VALUES (?1, ?2, ?3, ?4)";
                let Applied { version, name, checksum, applied_at } = &record;
                sqlite.execute(insert, (version, name, checksum, applied_at)).map(drop)
            }))
        });
        run.await?.map_err(|script| MigrationError::Failed { name, script })
    }

    /// Runs the statements of a text in one transaction: all or none. Takes what [`Database::dump`] and SQLite's shell write.
    ///
    /// # Errors
    /// The statement that failed and where it is; the outer error is the database's.
    pub async fn import(&self, text: String, deadline: Instant) -> Result<Result<(), ScriptError>, Error> {
        let on_behalf = self.on_behalf();
        self.write(false, deadline, move |connection| {
            Ok(connection
                .run_script(&text, Mode::Import, &on_behalf, deadline, |sqlite| restore_records(sqlite, &text)))
        })
        .await
    }
}

/// What a dump says of migrations.
pub(super) fn record_line(applied: &Applied) -> String {
    let Applied { version, name, checksum, applied_at } = applied;
    format!("{RECORD}{version} {name} {checksum} {applied_at}\n")
}

const RECORD: &str = "-- migration: ";

fn restore_records(sqlite: &rusqlite::Connection, text: &str) -> rusqlite::Result<()> {
    // They stand before the first statement: further down, the line may be in a text.
    for line in text.lines().take_while(|line| line.starts_with("--")) {
        let Some(record) = line.strip_prefix(RECORD) else { continue };
        if let [version, name, checksum, at] = record.split(' ').collect::<Vec<_>>().as_slice() {
            sqlite.execute_batch(SCHEMA)?;
            sqlite.execute(
                "INSERT OR REPLACE INTO main.caddis_migrations VALUES (?1, ?2, ?3, ?4)",
                [version, name, checksum, at],
            )?;
        }
    }
    Ok(())
}

/// Whether a piece of an import is only the frame of a dump.
pub(super) fn is_frame(piece: &Piece<'_>) -> bool {
    let words: Vec<_> = piece.sql.split_ascii_whitespace().map(str::to_ascii_uppercase).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    matches!(words.as_slice(), ["BEGIN" | "COMMIT"] | ["BEGIN" | "COMMIT", "TRANSACTION"])
        || piece.sql.to_ascii_lowercase().starts_with("pragma foreign_keys")
}

/// What was run, as the table has it.
pub(super) fn applied(sqlite: &rusqlite::Connection) -> rusqlite::Result<Vec<Applied>> {
    let exists = "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND name = ?1";
    if sqlite.query_row(exists, [TABLE], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, name, checksum, applied_at FROM main.caddis_migrations ORDER BY version";
    let record = |row: &rusqlite::Row<'_>| {
        Ok(Applied { version: row.get(0)?, name: row.get(1)?, checksum: row.get(2)?, applied_at: row.get(3)? })
    };
    sqlite.prepare(sql)?.query_map([], record)?.collect()
}

/// What is to be run, in order.
fn pending(done: &[Applied], migrations: Vec<Migration>) -> Result<Vec<(Applied, String)>, MigrationError> {
    let refused = |message: String| Err(MigrationError::Refused(message));
    let mut pending: Vec<(Applied, String)> = Vec::new();
    let last = done.last().map_or(0, |applied| applied.version);
    for Migration { name, sql } in migrations {
        let version = number(&name)?;
        let checksum = checksum(&sql);
        if let Some(before) = done.iter().find(|applied| applied.version == version) {
            if before.checksum != checksum {
                return refused(format!(
                    "{name} is not what was run as {} on {}: put it back as it was, and write a new migration",
                    before.name, before.applied_at
                ));
            }
        } else if version < last {
            return refused(format!("{name} comes too late: {last} was run already. Give it a number above that"));
        } else {
            let applied_at = jiff::Timestamp::now().to_string();
            pending.push((Applied { version, name, checksum, applied_at }, sql));
        }
    }
    pending.sort_by_key(|(record, _)| record.version);
    let twice = pending.windows(2).find_map(|pair| match pair {
        [(one, _), (other, _)] if one.version == other.version => Some((&one.name, &other.name)),
        _ => None,
    });
    match twice {
        Some((one, other)) => refused(format!("{one} and {other} have the same number")),
        None => Ok(pending),
    }
}

/// The number a name begins with.
fn number(name: &str) -> Result<i64, MigrationError> {
    let refused = || {
        MigrationError::Refused(format!(
            "{name}: a migration is a file like 0001_create_notes.sql: a number from 1, then letters, digits, _, - and ."
        ))
    };
    let stem = name.strip_suffix(".sql").ok_or_else(refused)?;
    let digits = stem.find(|character: char| !character.is_ascii_digit()).unwrap_or(stem.len());
    let (number, rest) = stem.split_at_checked(digits).ok_or_else(refused)?;
    let plain = rest.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.'));
    number.parse().ok().filter(|number| *number > 0 && plain && name.len() <= 200).ok_or_else(refused)
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
