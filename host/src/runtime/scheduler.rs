//! Two levels of threads, so that a function that burns CPU cannot slow the others down.
//!
//! An execution starts on the threads that also serve connections. It goes on where it stopped on a second set of threads with low
//! priority once it has used [`CPU_BEFORE_DEMOTION`], and starts there if its function is over its fair share while
//! other functions are in use. From then on the kernel lets it run only beside, never instead of, requests of others.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::threads::{self, Usage, nanoseconds, since_start};
use crate::tunables::CPU_BEFORE_DEMOTION;

/// For how long a request of another function counts as that function being in use.
const CONTENTION: Duration = Duration::from_millis(250);

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs executions.
#[derive(Debug)]
pub struct Scheduler {
    background: Option<Runtime>,
    contention: Contention,
}

/// Whether more than one function is in use.
#[derive(Debug, Default)]
struct Contention {
    last: AtomicUsize,
    /// When a function was called that was not the one called before it.
    changed: AtomicU64,
}

impl Contention {
    fn observe(&self, usage: &Arc<Usage>, now: u64) -> bool {
        let function = Arc::as_ptr(usage) as usize;
        if self.last.swap(function, Ordering::Relaxed) != function {
            self.changed.store(now, Ordering::Relaxed);
            return true;
        }
        now.saturating_sub(self.changed.load(Ordering::Relaxed)) < nanoseconds(CONTENTION)
    }
}

impl Scheduler {
    /// Starts the low-priority threads, as many as there are cores.
    pub fn start(cores: usize) -> std::io::Result<Self> {
        threads::prepare();
        let background = Builder::new_multi_thread()
            .worker_threads(cores)
            .thread_name("caddis-background")
            .on_thread_start(threads::step_back)
            .enable_all()
            .build()?;
        Ok(Self { background: Some(background), contention: Contention::default() })
    }

    /// Runs an execution of the function with this usage: here, until it waits for something or yields, and from then on as a task.
    ///
    /// Most executions never wait. They need no task, and no other thread is woken up to look for work.
    pub fn execute(&self, usage: &Arc<Usage>, task: impl Future<Output = ()> + Send + 'static) {
        let Some(background) = self.background.as_ref().map(Runtime::handle).cloned() else { return };
        let contended = self.contention.observe(usage, since_start());
        let mut metered = Metered { task: Box::pin(task), usage: usage.clone() };
        if contended && usage.is_over() {
            background.spawn(metered);
            return;
        }
        // The task polls at once, so nobody needs to be woken up before.
        let mut nobody = Context::from_waker(Waker::noop());
        let first = catch_unwind(AssertUnwindSafe(|| metered.poll_metered(&mut nobody)));
        // What panicked has ended, as it would have as a task; whoever waits for its result learns that when it is dropped.
        if let Ok((Poll::Pending, used)) = first {
            tokio::spawn(run(Slice { task: Some(metered), used }, background));
        }
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

async fn run(slice: Slice, background: Handle) {
    if let Some(rest) = slice.await {
        background.spawn(rest);
    }
}

/// A task whose CPU time is charged to its function.
struct Metered {
    task: Task,
    usage: Arc<Usage>,
}

impl Metered {
    fn poll_metered(&mut self, context: &mut Context<'_>) -> (Poll<()>, Duration) {
        let start = Instant::now();
        let poll = threads::on_behalf(&self.usage, || self.task.as_mut().poll(context));
        let used = start.elapsed();
        self.usage.charge(used);
        (poll, used)
    }
}

impl Future for Metered {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.poll_metered(context).0
    }
}

/// Polls a task until it is done or has used what it may before it is demoted; in that case gives it back.
struct Slice {
    task: Option<Metered>,
    used: Duration,
}

impl Future for Slice {
    type Output = Option<Metered>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Metered>> {
        let Some(task) = self.task.as_mut() else { return Poll::Ready(None) };
        let (poll, used) = task.poll_metered(context);
        if poll.is_ready() {
            return Poll::Ready(None);
        }
        self.used += used;
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

    /// Long enough to be over the share of a function on any machine.
    const BUSY: Duration = Duration::from_millis(500);

    fn thread_name() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    fn spin(time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {}
    }

    /// Where a task of this function starts.
    async fn place(scheduler: &Scheduler, usage: &Arc<Usage>, work: Duration) -> String {
        let (sender, receiver) = oneshot::channel();
        scheduler.execute(usage, async move {
            let name = thread_name();
            spin(work);
            let _ = sender.send(name);
        });
        receiver.await.unwrap()
    }

    #[tokio::test]
    async fn a_busy_task_moves_and_goes_on() {
        let scheduler = Scheduler::start(1).unwrap();
        let (sender, receiver) = oneshot::channel();
        scheduler.execute(&Arc::default(), async move {
            let before = thread_name();
            let start = Instant::now();
            while start.elapsed() < CPU_BEFORE_DEMOTION * 2 {
                tokio::task::yield_now().await;
                spin(Duration::from_millis(1));
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
        scheduler.execute(&Arc::default(), async move {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            let _ = sender.send(thread_name());
        });
        assert_ne!(receiver.await.unwrap(), "caddis-background");
    }

    #[tokio::test]
    async fn a_function_over_its_share_steps_back_for_others_only() {
        let scheduler = Scheduler::start(1).unwrap();
        let (noisy, quiet) = (Arc::default(), Arc::default());
        // Alone it may use everything there is.
        place(&scheduler, &noisy, BUSY).await;
        scheduler.contention.changed.store(0, Ordering::Relaxed);
        tokio::time::sleep(CONTENTION).await;
        place(&scheduler, &noisy, BUSY).await;
        assert_ne!(place(&scheduler, &noisy, Duration::ZERO).await, "caddis-background");
        // Beside another one it may not.
        assert_ne!(place(&scheduler, &quiet, Duration::ZERO).await, "caddis-background");
        assert_eq!(place(&scheduler, &noisy, Duration::ZERO).await, "caddis-background");
        assert_ne!(place(&scheduler, &quiet, Duration::ZERO).await, "caddis-background");
    }
}
