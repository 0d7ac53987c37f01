//! The log as it is written, for whoever follows it. Costs the request path nothing while nobody does, and never waits for a reader.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};

use super::ExecutionRow;
use crate::tunables::{LOG_TAIL_ROWS, LOG_TAILS};

/// Whom rows are shown to.
pub(super) struct Tails(ArcSwapOption<Sender<Arc<ExecutionRow>>>);

impl Default for Tails {
    fn default() -> Self {
        Self(ArcSwapOption::from_pointee(broadcast::channel(LOG_TAIL_ROWS).0))
    }
}

impl Tails {
    /// Shows a row to those who follow.
    pub(super) fn show(&self, row: &ExecutionRow) {
        if let Some(sender) = &*self.0.load()
            && sender.receiver_count() > 0
        {
            // Whoever left meanwhile need not see it.
            let _ = sender.send(Arc::new(row.clone()));
        }
    }

    /// Follows from now on, if not too many do.
    pub(super) fn follow(&self) -> Option<Tail> {
        let sender = self.0.load_full()?;
        (sender.receiver_count() < LOG_TAILS).then(|| Tail(sender.subscribe()))
    }

    /// Ends all tails.
    pub(super) fn end(&self) {
        self.0.store(None);
    }
}

/// The log from now on.
pub struct Tail(Receiver<Arc<ExecutionRow>>);

/// What comes next.
pub enum Tailed {
    /// An execution.
    Row(Arc<ExecutionRow>),
    /// So many executions went by unseen, because the reader is slow.
    Missed(u64),
}

impl Tail {
    /// Waits for what comes next. None is the end: the host stops.
    pub async fn next(&mut self) -> Option<Tailed> {
        match self.0.recv().await {
            Ok(row) => Some(Tailed::Row(row)),
            Err(RecvError::Lagged(count)) => Some(Tailed::Missed(count)),
            Err(RecvError::Closed) => None,
        }
    }
}
