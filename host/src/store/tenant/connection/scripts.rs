//! Several statements of the host's own callers as one: migrations and imports.

use std::time::Instant;

use rusqlite::OptionalExtension;

use super::Connection;
use crate::store::tenant::guard::{self, Call, OnBehalf};
use crate::store::tenant::migrations::{Mode, is_frame};
use crate::store::tenant::rls::command;
use crate::store::tenant::script::{ScriptError, pieces};
use crate::store::tenant::text::Kind;
use crate::store::tenant::{ConstraintKind, Error};

impl Connection {
    /// Runs the statements of a text in one transaction, and then what the host has to do in it.
    pub(in crate::store::tenant) fn run_script(
        &mut self,
        text: &str,
        mode: Mode,
        on_behalf: &OnBehalf,
        deadline: Instant,
        finish: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<()>,
    ) -> Result<(), ScriptError> {
        let of_whole = |error| ScriptError::of_whole(text, error);
        let result = self
            .ease(text.len(), mode)
            .and_then(|()| self.host("BEGIN IMMEDIATE"))
            .map_err(of_whole)
            .and_then(|()| self.run_pieces(text, mode, on_behalf, deadline))
            .and_then(|()| self.on_host(finish).map_err(Error::from).map_err(of_whole))
            .and_then(|()| self.commit_script(mode).map_err(of_whole));
        if self.is_in_transaction() {
            self.host("ROLLBACK").map_err(of_whole)?;
        }
        let restored = self.ease(0, Mode::Migration).map_err(of_whole);
        result.and(restored)
    }

    /// Makes room for a text of the host, or with a length of 0 takes it away.
    fn ease(&self, length: usize, mode: Mode) -> Result<(), Error> {
        guard::allow_length(&self.sqlite, length)?;
        Ok(guard::check_foreign_keys(&self.sqlite, mode == Mode::Migration)?)
    }

    fn commit_script(&self, mode: Mode) -> Result<(), Error> {
        if mode == Mode::Import {
            let dangling = |sqlite: &rusqlite::Connection| {
                sqlite.query_row("SELECT \"table\", parent FROM pragma_foreign_key_check LIMIT 1", [], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
                })
            };
            if let Some((table, parent)) = self.on_host(dangling).optional()? {
                let message = format!("FOREIGN KEY constraint failed: a row of {table} refers to no row of {parent}");
                return Err(Error::Constraint { kind: ConstraintKind::ForeignKey, message });
            }
        }
        self.host("COMMIT")
    }

    fn run_pieces(
        &mut self,
        text: &str,
        mode: Mode,
        on_behalf: &OnBehalf,
        deadline: Instant,
    ) -> Result<(), ScriptError> {
        let mut pieces = pieces(text);
        if mode == Mode::Import {
            pieces.retain(|piece| !is_frame(piece));
        }
        for piece in &pieces {
            self.run_piece(piece.sql, on_behalf, deadline).map_err(|error| ScriptError::at(text, piece, error))?;
        }
        Ok(())
    }

    fn run_piece(&mut self, sql: &str, on_behalf: &OnBehalf, deadline: Instant) -> Result<(), Error> {
        let call = Call::of_script(sql.to_owned(), on_behalf.clone(), deadline)?;
        let command = if call.kind == Kind::Schema { command::parse(sql)? } else { None };
        match command {
            Some(command) => self.apply(&command)?,
            None => drop(self.execute(&call)?),
        }
        if self.is_in_transaction() { Ok(()) } else { Err(Error::Closed) }
    }
}
