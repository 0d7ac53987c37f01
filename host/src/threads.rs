//! Work for guests, on threads of two priorities, so that a function that burns CPU cannot slow the others down.
//!
//! Work starts at normal priority. Beyond [`CPU_BEFORE_DEMOTION`] it goes on at low priority, where the kernel lets it run
//! only beside, never instead of, other work. What it cost is charged to the function for which it was done.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use tokio::sync::oneshot;

use crate::tunables::CPU_BEFORE_DEMOTION;

/// CPU time beyond its fair share that a function may use before its executions start at low priority, as time of its share.
const BURST: Duration = Duration::from_millis(20);

/// How long a thread waits for the next blocking work before it ends.
const IDLE_TIME: Duration = Duration::from_secs(10);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Cores a function may keep busy before it is over its fair share: a quarter of the machine's.
static SHARE: LazyLock<u64> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from).div_ceil(4) as u64);

thread_local! {
    static PRIORITY: Cell<Priority> = const { Cell::new(Priority::Normal) };
    static CHARGED: RefCell<Option<Arc<Usage>>> = const { RefCell::new(None) };
    /// CPU time of this thread when its blocking work began.
    static BEGUN: Cell<Option<Duration>> = const { Cell::new(None) };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Priority {
    Normal,
    Low,
}

/// What one function has used: when it will be within its fair share again, in nanoseconds since the start (the generic cell
/// rate algorithm).
#[derive(Debug, Default)]
pub struct Usage(AtomicU64);

impl Usage {
    /// Adds CPU time.
    pub fn charge(&self, used: Duration) {
        self.charge_at(since_start(), used);
    }

    /// Whether the function has used more than its fair share.
    pub fn is_over(&self) -> bool {
        self.is_over_at(since_start())
    }

    fn charge_at(&self, now: u64, used: Duration) {
        let owed = nanoseconds(used) / *SHARE;
        let _ =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| Some(paid.max(now).saturating_add(owed)));
    }

    fn is_over_at(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) > now.saturating_add(nanoseconds(BURST))
    }
}

/// Nanoseconds since the start of the process.
pub fn since_start() -> u64 {
    nanoseconds(START.elapsed())
}

/// A duration in nanoseconds.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Runs something, and lets blocking work it starts be charged to the same function.
pub fn on_behalf<T>(usage: &Arc<Usage>, work: impl FnOnce() -> T) -> T {
    let outer = CHARGED.replace(Some(Arc::clone(usage)));
    let result = work();
    CHARGED.set(outer);
    result
}

/// Makes this thread one that the kernel runs only where no thread of normal priority wants to, and takes off at once when one does
/// (`SCHED_IDLE`). With mere niceness, others wait for the end of its time slice: milliseconds. There is no way back without
/// privileges.
pub fn step_back() {
    if PRIORITY.replace(Priority::Low) == Priority::Low {
        return;
    }
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let idle = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    if let Err(error) = idle {
        tracing::warn!(?error, "threads of low priority run at normal priority");
    }
}

/// Blocking work calls this now and then, so that it steps back when it takes long.
pub fn step_back_when_long() {
    if let Some(begun) = BEGUN.get()
        && PRIORITY.get() == Priority::Normal
        && cpu_time().saturating_sub(begun) >= CPU_BEFORE_DEMOTION
    {
        step_back();
    }
}

/// Lets this thread wait for its turn when it wakes up, where it would interrupt others otherwise. What it gets of the CPU stays the same.
#[expect(unsafe_code, reason = "POSIX's scheduling of threads is a C function")]
pub fn do_not_interrupt() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the thread is the one that runs, and the parameters live as long as the call.
    let refused =
        unsafe { libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_BATCH, &raw const parameters) };
    if refused != 0 {
        tracing::warn!(error = refused, "a thread of the host runs at normal priority");
    }
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Blocking work that did not come to its end: it panicked.
#[derive(Debug, thiserror::Error)]
#[error("work on a thread of its own failed")]
pub struct Panicked;

/// Starts work that blocks on a thread for it; the future waits for its end. Dropping the future does not stop it.
pub fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, Panicked>> + Send {
    let (sender, receiver) = oneshot::channel();
    start(move || {
        // Whoever waited may be gone.
        let _ = sender.send(work());
    });
    async { receiver.await.map_err(|_| Panicked) }
}

/// Starts work that blocks on a thread for it: one of the priority of the thread that asks.
pub fn start(work: impl FnOnce() + Send + 'static) {
    let usage = CHARGED.with_borrow(Clone::clone);
    let job = Box::new(move || {
        let begun = cpu_time();
        BEGUN.set(Some(begun));
        match &usage {
            Some(usage) => {
                on_behalf(usage, work);
                usage.charge(cpu_time().saturating_sub(begun));
            }
            None => work(),
        }
    });
    queue(PRIORITY.get()).push(job);
}

type Job = Box<dyn FnOnce() + Send>;

/// Work of one priority and the threads that wait for it.
struct Queue {
    priority: Priority,
    state: Mutex<QueueState>,
    more: Condvar,
}

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    waiting: usize,
}

fn queue(priority: Priority) -> &'static Queue {
    static QUEUES: LazyLock<[Queue; 2]> = LazyLock::new(|| [Queue::new(Priority::Normal), Queue::new(Priority::Low)]);
    let [normal, low] = &*QUEUES;
    match priority {
        Priority::Normal => normal,
        Priority::Low => low,
    }
}

impl Queue {
    fn new(priority: Priority) -> Self {
        Self { priority, state: Mutex::default(), more: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) {
        let mut state = self.lock();
        state.jobs.push_back(job);
        let enough = state.jobs.len() <= state.waiting;
        drop(state);
        if enough {
            self.more.notify_one();
        } else {
            // Fails only if the thread that starts threads is gone, and it never ends.
            let _ = STARTER.send(self.priority);
        }
    }

    /// Waits for work, for a while.
    fn pop(&self) -> Option<Job> {
        let mut state = self.lock();
        if let Some(job) = state.jobs.pop_front() {
            return Some(job);
        }
        state.waiting += 1;
        let (mut state, _) = self
            .more
            .wait_timeout_while(state, IDLE_TIME, |state| state.jobs.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state.jobs.pop_front()
    }
}

/// Starts threads. A thread begins with the priority of the one that started it, so all are started by one that never steps back.
static STARTER: LazyLock<Sender<Priority>> = LazyLock::new(|| {
    let (sender, receiver) = channel();
    let starter = thread::Builder::new().name("caddis-starter".to_owned()).spawn(move || {
        for priority in receiver {
            let thread = thread::Builder::new().name("caddis-blocking".to_owned());
            if let Err(error) = thread.spawn(move || work(priority)) {
                tracing::error!(?error, "no thread for blocking work could be started: it waits for one that is busy");
            }
        }
    });
    if let Err(error) = starter {
        tracing::error!(?error, "no thread could be started");
    }
    sender
});

/// Makes sure that threads can be started at normal priority from now on. Called before any thread steps back.
pub fn prepare() {
    LazyLock::force(&STARTER);
}

fn work(priority: Priority) {
    if priority == Priority::Low {
        step_back();
    }
    // A thread that stepped back in the middle goes on as one of low priority.
    while let Some(job) = queue(PRIORITY.get()).pop() {
        job();
        BEGUN.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> ThreadSchedulePolicy {
        thread_priority::thread_schedule_policy().unwrap()
    }

    const IDLE: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);

    fn burn(time: Duration) {
        let begun = cpu_time();
        while cpu_time() - begun < time {}
    }

    #[test]
    fn debt_is_paid_off_by_time() {
        let usage = Usage::default();
        let second = 1_000_000_000;
        usage.charge_at(second, Duration::from_millis(200) * u32::try_from(*SHARE).unwrap());
        assert!(usage.is_over_at(second));
        assert!(!usage.is_over_at(second + 200_000_000));
    }

    #[tokio::test]
    async fn long_blocking_work_steps_back_and_is_charged() {
        let usage: Arc<Usage> = Arc::default();
        let work = on_behalf(&usage, || {
            blocking(|| {
                step_back_when_long();
                let before = policy();
                burn(CPU_BEFORE_DEMOTION);
                step_back_when_long();
                (before, policy())
            })
        });
        let (before, after) = work.await.unwrap();
        assert_ne!(before, IDLE);
        assert_eq!(after, IDLE);
        // The account is kept just after the result is out.
        while usage.0.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn work_of_a_thread_of_low_priority_has_low_priority_and_does_not_spread_it() {
        prepare();
        let asked_by_low = thread::spawn(|| {
            step_back();
            blocking(policy)
        });
        assert_eq!(asked_by_low.join().unwrap().await.unwrap(), IDLE);
        assert_ne!(blocking(policy).await.unwrap(), IDLE);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_next_work_runs() {
        assert!(blocking(|| panic!("on purpose")).await.is_err());
        assert_eq!(blocking(|| 1).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn as_many_run_at_the_same_time_as_there_are() {
        const MANY: usize = 20;
        let barrier = Arc::new(std::sync::Barrier::new(MANY));
        let all = (0..MANY).map(|_| {
            let barrier = Arc::clone(&barrier);
            blocking(move || barrier.wait().is_leader())
        });
        let leaders = futures::future::join_all(all).await;
        assert_eq!(leaders.into_iter().filter(|leader| *leader.as_ref().unwrap()).count(), 1);
    }
}
