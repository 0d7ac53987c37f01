//! What an execution and the messages it works on tell each other: has the request arrived, has the response been sent, did it
//! all go well.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use futures::future::AbortHandle;
use tokio::sync::Notify;

/// How a body that is being read has fared: a function that fails over it is not to blame.
#[derive(Debug, Clone, Default)]
pub struct Arrival(Arc<OnceLock<Fault>>);

/// Why a body did not arrive.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// It has more bytes than the host takes.
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// The client went away, or sent what is not HTTP.
    Broken,
}

impl Arrival {
    /// Notes the first fault; later ones follow from it.
    pub fn note(&self, fault: Fault) {
        let _ = self.0.set(fault);
    }

    /// What went wrong, if something did.
    pub fn fault(&self) -> Option<Fault> {
        self.0.get().copied()
    }
}

const RUNNING: u8 = 0;
const SUCCEEDED: u8 = 1;
const FAILED: u8 = 2;

/// What an execution and the body of its response tell each other.
#[derive(Debug, Clone, Default)]
pub struct Completion(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    execution: AtomicU8,
    body_ended: Notify,
}

impl Completion {
    /// The execution has ended.
    pub fn set(&self, succeeded: bool) {
        self.0.execution.store(if succeeded { SUCCEEDED } else { FAILED }, Ordering::Release);
    }

    /// Counts the execution as failed if it ends without [`Completion::set`]: by a panic or by being cancelled.
    pub fn guard(&self) -> CompletionGuard {
        CompletionGuard(self.clone())
    }

    /// Waits until the body was sent or given up.
    pub async fn body_ended(&self) {
        self.0.body_ended.notified().await;
    }

    /// The body was sent or given up.
    pub fn end_body(&self) {
        self.0.body_ended.notify_one();
    }

    /// Whether the execution has failed.
    pub fn failed(&self) -> bool {
        self.0.execution.load(Ordering::Acquire) == FAILED
    }
}

/// See [`Completion::guard`].
#[derive(Debug)]
pub struct CompletionGuard(Completion);

impl Drop for CompletionGuard {
    fn drop(&mut self) {
        let _ = self.0.0.execution.compare_exchange(RUNNING, FAILED, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Cancels an execution when dropped, unless it was allowed to go on.
#[derive(Debug)]
pub struct CancelOnDrop(Option<AbortHandle>);

impl CancelOnDrop {
    /// Cancels through this handle.
    pub fn new(handle: AbortHandle) -> Self {
        Self(Some(handle))
    }

    /// Lets the execution go on.
    pub fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ending_without_a_word_counts_as_failure() {
        let completion = Completion::default();
        drop(completion.guard());
        assert!(completion.failed());
    }
}
