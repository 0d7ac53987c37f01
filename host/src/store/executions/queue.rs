//! The rows that wait to be written. Putting one in takes a short lock and nothing else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{ExecutionRow, Options};

/// A queue bounded in rows and bytes: many callers put in, one thread takes out.
pub(super) struct Queue {
    options: Options,
    state: Mutex<State>,
    /// The writer waits here. It is woken for the first row and for a full batch, not for each row.
    wake: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    rows: VecDeque<ExecutionRow>,
    bytes: usize,
    /// Rows ever accepted.
    accepted: u64,
    /// Rows up to this one do not wait for company.
    hurry_up_to: u64,
    closed: bool,
}

impl State {
    fn in_a_hurry(&self) -> bool {
        let taken = self.accepted - self.rows.len() as u64;
        self.hurry_up_to > taken
    }
}

impl Queue {
    pub(super) fn new(options: Options) -> Self {
        Self { options, state: Mutex::default(), wake: Condvar::new(), dropped: AtomicU64::new(0) }
    }

    /// Takes the row, or drops and counts it.
    pub(super) fn push(&self, row: ExecutionRow) {
        let size = row.size();
        let mut state = self.state();
        let full = state.rows.len() >= self.options.queue_rows || state.bytes + size > self.options.queue_bytes;
        if full || state.closed {
            drop(state);
            return self.count_dropped(1);
        }
        state.rows.push_back(row);
        state.bytes += size;
        state.accepted += 1;
        let waiting = state.rows.len();
        drop(state);
        if waiting == 1 || waiting == self.options.batch_rows {
            self.wake.notify_one();
        }
    }

    /// Rows lost since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Counts rows that are lost.
    pub(super) fn count_dropped(&self, rows: u64) {
        self.dropped.fetch_add(rows, Ordering::Relaxed);
    }

    /// Has everything accepted so far written without delay; returns how many rows that is since the start.
    pub(super) fn hurry(&self) -> u64 {
        let mut state = self.state();
        state.hurry_up_to = state.accepted;
        let target = state.accepted;
        drop(state);
        self.wake.notify_one();
        target
    }

    /// Accepts nothing from now on.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.wake.notify_one();
    }

    /// Waits for rows and takes a batch: an empty one after [`Options::trim_interval`] without a row, none when the queue
    /// is closed and empty.
    pub(super) fn next_batch(&self) -> Option<Vec<ExecutionRow>> {
        let options = &self.options;
        let idle = |state: &mut State| state.rows.is_empty() && !state.closed;
        let lonely = |state: &mut State| state.rows.len() < options.batch_rows && !state.closed && !state.in_a_hurry();

        let waited = self.wake.wait_timeout_while(self.state(), options.trim_interval, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !state.rows.is_empty() {
            let waited = self.wake.wait_timeout_while(state, options.batch_delay, lonely);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if state.rows.is_empty() && state.closed {
            return None;
        }
        let count = state.rows.len().min(options.batch_rows);
        let batch: Vec<ExecutionRow> = state.rows.drain(..count).collect();
        state.bytes -= batch.iter().map(ExecutionRow::size).sum::<usize>();
        Some(batch)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
