//! One call's work: how long it may go on, and why it stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::wit::Error;
use crate::threads;

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum Stop {
    /// As the guest is told.
    Failed(Error),
    /// The time of the request is up, or nobody waits any more.
    Deadline,
    /// The execution has used its CPU time for cryptography.
    CpuTime,
    /// A fault of the host.
    Panicked,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The limits of one call. Long work asks [`Work::check`] every millisecond or so.
#[derive(Debug)]
pub(super) struct Work {
    deadline: Instant,
    cpu_left: Duration,
    begun: std::cell::OnceCell<Duration>,
    cancelled: Arc<AtomicBool>,
}

impl Work {
    pub(super) fn new(deadline: Instant, cpu_left: Duration) -> Self {
        Self { deadline, cpu_left, begun: std::cell::OnceCell::new(), cancelled: Arc::default() }
    }

    /// Stops the work when dropped: nobody waits for it then.
    pub(super) fn cancel_on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.cancelled.clone())
    }

    /// Whether the work may go on. Called on the thread that does it.
    pub(super) fn check(&self) -> Result<(), Stop> {
        threads::step_back_when_long();
        if self.cancelled.load(Ordering::Relaxed) || Instant::now() >= self.deadline {
            return Err(Stop::Deadline);
        }
        if self.used() >= self.cpu_left { Err(Stop::CpuTime) } else { Ok(()) }
    }

    /// CPU time of this thread since the work first asked for it.
    pub(super) fn used(&self) -> Duration {
        let now = Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
        now.saturating_sub(*self.begun.get_or_init(|| now))
    }
}

/// See [`Work::cancel_on_drop`].
pub(super) struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
