//! How many executions run at once, for the host and for one function, and what happens to the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Lets executions in. Those that find no room wait in a bounded queue for a bounded time.
#[derive(Debug)]
pub struct Admission {
    host: Arc<Semaphore>,
    places: usize,
    waiting: AtomicUsize,
    queue: usize,
    patience: Duration,
    per_function: usize,
}

/// The share of one function: it cannot take every place of the host.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

/// A place for one execution, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _host: OwnedSemaphorePermit,
    _function: OwnedSemaphorePermit,
}

/// There is no room now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

impl Admission {
    /// Room for `places` executions, with a queue for as many times `queue_factor`.
    pub fn new(places: usize, queue: usize, patience: Duration) -> Self {
        Self {
            host: Arc::new(Semaphore::new(places)),
            places,
            waiting: AtomicUsize::new(0),
            queue,
            patience,
            per_function: (places * 3).div_ceil(4),
        }
    }

    /// How many executions can run.
    pub fn places(&self) -> usize {
        self.places
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.places.saturating_sub(self.host.available_permits())
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The share of one function.
    pub fn gate(&self) -> Gate {
        Gate(Arc::new(Semaphore::new(self.per_function)))
    }

    /// A place for one execution of the function behind this gate.
    pub async fn enter(&self, gate: &Gate) -> Result<Permit, NoRoom> {
        if let Some(permit) = self.try_enter(gate) {
            return Ok(permit);
        }
        let _waiting = Waiting::join(&self.waiting, self.queue).ok_or(NoRoom)?;
        timeout(self.patience, async {
            let function = gate.0.clone().acquire_owned().await.map_err(|_| NoRoom)?;
            let host = self.host.clone().acquire_owned().await.map_err(|_| NoRoom)?;
            Ok(Permit { _host: host, _function: function })
        })
        .await
        .unwrap_or(Err(NoRoom))
    }

    fn try_enter(&self, gate: &Gate) -> Option<Permit> {
        let function = gate.0.clone().try_acquire_owned().ok()?;
        let host = self.host.clone().try_acquire_owned().ok()?;
        Some(Permit { _host: host, _function: function })
    }
}

/// A seat in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(count: &'a AtomicUsize, seats: usize) -> Option<Self> {
        count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| (waiting < seats).then_some(waiting + 1))
            .ok()
            .map(|_| Self(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_queue_is_bounded_and_one_function_leaves_room_for_others() {
        let admission = Arc::new(Admission::new(4, 1, Duration::from_secs(60)));
        let (noisy, quiet) = (admission.gate(), admission.gate());
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(admission.enter(&noisy).await.unwrap());
        }
        let queued = tokio::spawn({
            let (admission, noisy) = (admission.clone(), noisy.clone());
            async move { admission.enter(&noisy).await.is_ok() }
        });
        while admission.waiting.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.enter(&noisy).await.unwrap_err(), NoRoom);
        assert!(admission.enter(&quiet).await.is_ok());
        held.clear();
        assert!(queued.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let admission = Admission::new(1, 1, Duration::from_secs(5));
        let gate = admission.gate();
        let _held = admission.enter(&gate).await.unwrap();
        assert_eq!(admission.enter(&gate).await.unwrap_err(), NoRoom);
    }
}
