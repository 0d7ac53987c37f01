//! How far the answer to the request is.

use std::cell::RefCell;

use crate::bindings::caddis::function::http::{Error, WholeResponse};

/// What the prelude has reported.
#[derive(Default)]
pub(crate) enum Outcome {
    /// Nothing yet.
    #[default]
    Pending,
    /// The handler failed.
    Failed(Error),
    /// A response that is sent when `handle` returns.
    Whole(WholeResponse),
    /// A response that was started; its body may still be under way.
    Streamed,
}

thread_local! {
    static OUTCOME: RefCell<(Outcome, bool)> = const { RefCell::new((Outcome::Pending, false)) };
}

/// Records the answer. The first one counts.
pub(crate) fn set(outcome: Outcome) {
    OUTCOME.with_borrow_mut(|(current, _)| {
        if matches!(current, Outcome::Pending) {
            *current = outcome;
        }
    });
}

/// Replaces what was recorded: a body broke after its response had started.
pub(crate) fn fail(error: Error) {
    OUTCOME.set((Outcome::Failed(error), true));
}

/// Says that nothing more will come: the body is sent and all `waitUntil` promises are settled.
pub(crate) fn finish() {
    OUTCOME.with_borrow_mut(|(_, finished)| *finished = true);
}

/// Whether `finish` was called.
pub(crate) fn is_finished() -> bool {
    OUTCOME.with_borrow(|(_, finished)| *finished)
}

/// Takes the answer out.
pub(crate) fn take() -> Outcome {
    OUTCOME.take().0
}
