//! Results too large to be held at once: read piece by piece, from one snapshot, as fast as the guest takes them.
//!
//! SQLite's statement lives on a thread of its own, which waits while nobody takes what it has read. Dropping the cursor
//! ends the statement wherever it is.

use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, channel};

use super::connection::Connection;
use super::guard::Call;
use super::value::{Rows, Value};
use super::{Cancel, Error, STATEMENT_MEMORY};
use crate::store::tenant::heap::Budget;
use crate::threads;

/// Pieces that wait to be taken. With the one being read and the one being taken, that is what the host holds.
const WAITING: usize = 1;

/// A result on its way.
pub struct Cursor {
    columns: Vec<String>,
    /// The first piece, which came with the columns.
    first: Option<Vec<Vec<Value>>>,
    ended: bool,
    pieces: Receiver<Result<Rows, Error>>,
    cancel: Cancel,
}

impl Cursor {
    /// Starts a statement that reads, and waits for its first rows. The connection goes back when the statement has ended.
    pub(super) async fn open<L: Send + 'static>(
        mut lease: L,
        connection: fn(&mut L) -> Result<&mut Connection, Error>,
        call: Arc<Call>,
    ) -> Result<Self, Error> {
        let (sender, mut pieces) = channel(WAITING);
        let cancel = Cancel(Arc::clone(&call));
        threads::start(move || {
            let _budget = Budget::of(STATEMENT_MEMORY);
            let sent = connection(&mut lease).and_then(|connection| {
                connection.stream(&call, |rows| sender.blocking_send(Ok(rows)).map_err(|_| Error::Closed))
            });
            // A piece without rows is the end; a channel that closes without one is none. Whoever took the pieces may be gone.
            let _ = sender.blocking_send(sent.map(|()| Rows::default()));
            // Before the channel closes, which is how one learns of it.
            drop(lease);
            drop(sender);
        });
        match pieces.recv().await {
            Some(Ok(Rows { columns, rows })) => Ok(Self { columns, first: Some(rows), ended: false, pieces, cancel }),
            Some(Err(error)) => {
                // A transaction can go on only when its connection is back.
                while pieces.recv().await.is_some() {}
                Err(error)
            }
            None => Err(Error::internal("a cursor ended before it began")),
        }
    }

    /// Ends the statement and waits until its connection has gone back.
    pub async fn close(self) {
        let Self { mut pieces, cancel, .. } = self;
        drop(cancel);
        while pieces.recv().await.is_some() {}
    }

    /// The names of the columns, in order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next rows: at most [`CURSOR_ROWS`](crate::tunables::CURSOR_ROWS) of them, none at the end.
    ///
    /// # Errors
    /// `Timeout` at the deadline, and what the statement fails with in the middle.
    pub async fn next(&mut self) -> Result<Vec<Vec<Value>>, Error> {
        if self.ended {
            return Ok(Vec::new());
        }
        let rows = match self.first.take() {
            Some(rows) => rows,
            None => match self.pieces.recv().await {
                Some(piece) => piece?.rows,
                None => return Err(Error::internal("a cursor ended before its statement")),
            },
        };
        self.ended = rows.is_empty();
        Ok(rows)
    }
}
