//! Two levels of threads, so that a function that burns CPU cannot slow the others down.
//!
//! Every execution starts on the threads that also serve connections. One that has used [`CPU_BEFORE_DEMOTION`]
//! goes on where it stopped on a second set of threads with low priority: from then on the kernel lets it run only
//! beside, never instead of, requests that just came in.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::tunables::CPU_BEFORE_DEMOTION;

/// Niceness of the low-priority threads: 15 of 19, about a thirtieth of the weight of a normal thread.
const NICENESS: i32 = 15;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs executions.
#[derive(Debug)]
pub struct Scheduler {
    background: Option<Runtime>,
}

impl Scheduler {
    /// Starts the low-priority threads.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let background = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("caddis-background")
            .on_thread_start(|| {
                if let Err(error) = rustix::process::nice(NICENESS) {
                    tracing::warn!(%error, "background threads run at normal priority");
                }
            })
            .enable_all()
            .build()?;
        Ok(Self { background: Some(background) })
    }

    /// Runs a task on this runtime, and on the background threads once it has used its share.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Some(background) = self.background.as_ref().map(Runtime::handle).cloned() else { return };
        tokio::spawn(run(Box::pin(task), background));
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // Waiting for the threads is not possible inside an async context, and nothing is left to wait for.
        if let Some(background) = self.background.take() {
            background.shutdown_background();
        }
    }
}

async fn run(task: Task, background: Handle) {
    let share = Share { task: Some(task), used: Duration::ZERO };
    if let Some(rest) = share.await {
        background.spawn(rest);
    }
}

/// Polls a task until it is done or has used its share; in that case gives it back.
struct Share {
    task: Option<Task>,
    used: Duration,
}

impl Future for Share {
    type Output = Option<Task>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Task>> {
        let Some(task) = self.task.as_mut() else { return Poll::Ready(None) };
        let start = Instant::now();
        if task.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        self.used += start.elapsed();
        if self.used < CPU_BEFORE_DEMOTION {
            return Poll::Pending;
        }
        Poll::Ready(self.task.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    fn thread_name() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn a_busy_task_moves_and_goes_on() {
        let scheduler = Scheduler::start(1).unwrap();
        let (sender, receiver) = oneshot::channel();
        scheduler.spawn(async move {
            let before = thread_name();
            let start = Instant::now();
            while start.elapsed() < CPU_BEFORE_DEMOTION * 2 {
                tokio::task::yield_now().await;
                let spin = Instant::now();
                while spin.elapsed() < Duration::from_millis(1) {}
            }
            let _ = sender.send((before, thread_name()));
        });
        let (before, after) = receiver.await.unwrap();
        assert_ne!(before, "caddis-background");
        assert_eq!(after, "caddis-background");
    }

    #[tokio::test]
    async fn a_light_task_stays() {
        let scheduler = Scheduler::start(1).unwrap();
        let (sender, receiver) = oneshot::channel();
        scheduler.spawn(async move {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            let _ = sender.send(thread_name());
        });
        assert_ne!(receiver.await.unwrap(), "caddis-background");
    }
}
