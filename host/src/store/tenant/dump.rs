//! A database as SQL text, which [`Database::import`](super::Database::import) and SQLite's own shell read.

use std::time::Instant;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use tokio::sync::mpsc::{Receiver, channel};

use super::heap::Budget;
use super::migrations::{applied, record_line};
use super::rls::catalog;
use super::rls::quoted;
use super::{Database, Error, STATEMENT_MEMORY};
use crate::threads;

/// Bytes of text that go out together.
const PIECE: usize = 64 * 1024;

/// Pieces that wait to be sent.
const WAITING: usize = 2;

impl Database {
    /// Starts to write the schema and all rows, of one snapshot, as text in pieces: for the app itself.
    ///
    /// # Errors
    /// `Busy` and `Timeout`, as for a statement. What goes wrong later is the last piece.
    pub async fn dump(&self, deadline: Instant) -> Result<Receiver<Result<String, Error>>, Error> {
        let mut lease = self.app.cursors.lease(false, deadline).await?;
        let (sender, pieces) = channel(WAITING);
        threads::start(move || {
            let _budget = Budget::of(STATEMENT_MEMORY);
            let pass = |text| sender.blocking_send(Ok(text)).map_err(|_| Error::Closed);
            let dumped = lease.connection().and_then(|connection| {
                connection.host("BEGIN")?;
                let dumped = connection.on_host(|sqlite| dump(sqlite, &mut Writer { text: String::new(), pass }));
                connection.host("ROLLBACK")?;
                dumped
            });
            if let Err(error) = dumped {
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok(pieces)
    }
}

/// Collects text up to a good size.
struct Writer<F> {
    text: String,
    pass: F,
}

impl<F: Fn(String) -> Result<(), Error>> Writer<F> {
    fn write(&mut self, text: &str) -> Result<(), Error> {
        self.text.push_str(text);
        if self.text.len() < PIECE {
            return Ok(());
        }
        (self.pass)(std::mem::take(&mut self.text))
    }

    fn statement(&mut self, sql: &str) -> Result<(), Error> {
        self.write(sql)?;
        self.write(";\n")
    }
}

fn dump(sqlite: &Connection, writer: &mut Writer<impl Fn(String) -> Result<(), Error>>) -> Result<(), Error> {
    for record in applied(sqlite)? {
        writer.write(&record_line(&record))?;
    }
    for (name, sql) in of_type(sqlite, "table")? {
        writer.statement(&sql)?;
        dump_rows(sqlite, writer, &name, false)?;
    }
    for (name, sql) in of_type(sqlite, "virtual")? {
        writer.statement(&sql)?;
        let compact: String = sql.to_ascii_lowercase().split_whitespace().collect();
        if compact.contains(",content=''") || compact.contains(",content=\"\"") {
            writer.write("-- The rows of this table cannot be read: it keeps nothing but its index.\n")?;
        } else if compact.contains(",content=") {
            // Its rows are those of another table.
            writer.statement(&format!("INSERT INTO {0}({0}) VALUES('rebuild')", quoted(&name)))?;
        } else {
            dump_rows(sqlite, writer, &name, compact.contains("usingfts5("))?;
        }
    }
    // Behind the rows: a trigger has done its work already.
    for kind in ["index", "view", "trigger"] {
        for (_, sql) in of_type(sqlite, kind)? {
            writer.statement(&sql)?;
        }
    }
    for statement in catalog::statements(sqlite)? {
        writer.statement(&statement)?;
    }
    writer.write("-- The dump is complete.\n")?;
    (writer.pass)(std::mem::take(&mut writer.text))
}

/// Names and statements of what the app has made.
fn of_type(sqlite: &Connection, kind: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "SELECT s.name, s.sql FROM main.sqlite_schema AS s
               LEFT JOIN pragma_table_list AS l ON l.schema = 'main' AND l.name = s.name AND s.type IN ('table', 'view')
               WHERE iif(s.type = 'table', coalesce(l.type, 'table'), s.type) = ?1 AND s.sql IS NOT NULL
               AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND s.name NOT LIKE 'caddis\\_%' ESCAPE '\\' ORDER BY s.rowid";
    sqlite.prepare(sql)?.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn dump_rows(
    sqlite: &Connection,
    writer: &mut Writer<impl Fn(String) -> Result<(), Error>>,
    table: &str,
    with_rowid: bool,
) -> Result<(), Error> {
    let columns = "SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE hidden = 0 ORDER BY cid";
    let columns: rusqlite::Result<Vec<String>> =
        sqlite.prepare(columns)?.query_map([table], |row| row.get(0))?.collect();
    let columns = columns?.into_iter().map(|name| quoted(&name));
    let columns: Vec<_> = with_rowid.then(|| "rowid".to_owned()).into_iter().chain(columns).collect();
    let columns = columns.join(", ");
    let mut statement = sqlite.prepare(&format!("SELECT {columns} FROM main.{}", quoted(table)))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        writer.statement(&insert(table, &columns, row)?)?;
    }
    Ok(())
}

fn insert(table: &str, columns: &str, row: &Row<'_>) -> rusqlite::Result<String> {
    let mut sql = format!("INSERT INTO {} ({columns}) VALUES (", quoted(table));
    for index in 0..row.as_ref().column_count() {
        if index > 0 {
            sql.push_str(", ");
        }
        push_literal(&mut sql, row.get_ref(index)?);
    }
    sql.push(')');
    Ok(sql)
}

fn push_literal(sql: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => sql.push_str("NULL"),
        ValueRef::Integer(integer) => sql.push_str(&integer.to_string()),
        ValueRef::Real(real) if real.is_infinite() => sql.push_str(if real > 0.0 { "9e999" } else { "-9e999" }),
        ValueRef::Real(real) => sql.push_str(&format!("{real:?}")),
        ValueRef::Blob(bytes) => push_hexadecimal(sql, bytes),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => {
                sql.push('\'');
                sql.push_str(&text.replace('\'', "''"));
                sql.push('\'');
            }
            _ => {
                sql.push_str("CAST(");
                push_hexadecimal(sql, bytes);
                sql.push_str(" AS TEXT)");
            }
        },
    }
}

fn push_hexadecimal(sql: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    sql.push_str("x'");
    for byte in bytes {
        sql.extend([byte >> 4, byte & 15].iter().filter_map(|digit| DIGITS.get(usize::from(*digit))));
    }
    sql.push('\'');
}
