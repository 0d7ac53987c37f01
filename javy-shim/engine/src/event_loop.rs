//! Runs what is ready: jobs first, then timers, then host I/O; waits only when nothing is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use rquickjs::function::Function;
use rquickjs::{Ctx, Persistent, Result};

use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::io::poll::{self, Pollable};

/// When a timer is due, in nanoseconds of the monotonic clock, and its number: equal times fire in the order they were set.
type Due = (u64, u32);

/// The host resource that a pollable is part of, by its number. It cannot be dropped before the pollable is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A byte stream.
    Stream(u32),
    /// An outgoing request that has no response yet.
    Request(u32),
}

struct Waiter {
    owner: Owner,
    pollable: Pollable,
    callback: Persistent<Function<'static>>,
}

#[derive(Default)]
struct EventLoop {
    timers: BTreeMap<Due, Persistent<Function<'static>>>,
    due_of: BTreeMap<u32, u64>,
    last_timer: u32,
    waiters: Vec<Waiter>,
    frozen_at: u64,
}

thread_local! {
    static LOOP: RefCell<EventLoop> = RefCell::default();
    static MARK_REACHED: Cell<bool> = const { Cell::new(false) };
    static AFTER_JOBS: RefCell<Option<Persistent<Function<'static>>>> = const { RefCell::new(None) };
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The condition holds.
    Done,
    /// Nothing is pending that could make it hold.
    Stalled,
}

/// Sets the function of the prelude that reports unhandled rejections; it is called whenever no job is left.
pub(crate) fn set_after_jobs(function: Persistent<Function<'static>>) {
    AFTER_JOBS.set(Some(function));
}

/// Calls `callback` once, after `milliseconds`. Returns the timer's number, never 0.
pub(crate) fn set_timer(milliseconds: f64, callback: Persistent<Function<'static>>) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is wanted")]
    let delay = (milliseconds.max(0.0) * 1e6) as u64;
    let at = monotonic_clock::now().saturating_add(delay);
    LOOP.with_borrow_mut(|state| {
        state.last_timer = state.last_timer.wrapping_add(1).max(1);
        let id = state.last_timer;
        state.timers.insert((at, id), callback);
        state.due_of.insert(id, at);
        id
    })
}

/// Forgets a timer; one that has fired already is none.
pub(crate) fn clear_timer(id: u32) {
    LOOP.with_borrow_mut(|state| {
        if let Some(at) = state.due_of.remove(&id) {
            state.timers.remove(&(at, id));
        }
    });
}

/// Calls `callback` once `pollable` is ready.
pub(crate) fn wait(owner: Owner, pollable: Pollable, callback: Persistent<Function<'static>>) {
    LOOP.with_borrow_mut(|state| state.waiters.push(Waiter { owner, pollable, callback }));
}

/// Forgets who waits for a resource, without calling back: it is about to be dropped.
pub(crate) fn forget(owner: Owner) {
    LOOP.with_borrow_mut(|state| state.waiters.retain(|waiter| waiter.owner != owner));
}

/// Notes the time at which the memory is copied.
pub(crate) fn freeze() {
    LOOP.with_borrow_mut(|state| state.frozen_at = monotonic_clock::now());
}

/// Moves the timers that were set before the copy was made, so that they have as long to run as they had then.
pub(crate) fn thaw() {
    LOOP.with_borrow_mut(|state| {
        if state.timers.is_empty() {
            return;
        }
        let now = monotonic_clock::now();
        let move_to = |at: u64| now.saturating_add(at.saturating_sub(state.frozen_at));
        state.timers =
            std::mem::take(&mut state.timers).into_iter().map(|((at, id), f)| ((move_to(at), id), f)).collect();
        state.due_of.values_mut().for_each(|at| *at = move_to(*at));
    });
}

/// Runs the jobs that are left, and forgets all timers and all who wait.
pub(crate) fn rest(ctx: &Ctx<'_>) {
    while ctx.execute_pending_job() {}
    let (timers, waiters) = LOOP.with_borrow_mut(|state| {
        state.due_of.clear();
        (std::mem::take(&mut state.timers), std::mem::take(&mut state.waiters))
    });
    drop((timers, waiters));
}

/// Runs until `done` holds or nothing is pending.
///
/// # Errors
/// When a callback of the prelude throws.
pub(crate) fn run(ctx: &Ctx<'_>, done: impl Fn() -> bool) -> Result<Ended> {
    loop {
        if run_jobs(ctx, &done)? || done() {
            return Ok(Ended::Done);
        }
        if !run_due_timer(ctx)? && !wait_for_io(ctx)? {
            return Ok(Ended::Stalled);
        }
        if done() {
            return Ok(Ended::Done);
        }
    }
}

/// Runs jobs until none is left; true when `done` held before that.
fn run_jobs(ctx: &Ctx<'_>, done: &impl Fn() -> bool) -> Result<bool> {
    loop {
        while ctx.execute_pending_job() {
            if done() {
                return Ok(true);
            }
        }
        let reported = match AFTER_JOBS.with_borrow(|function| function.clone()) {
            Some(function) => function.restore(ctx)?.call::<_, bool>(())?,
            None => false,
        };
        if !reported {
            return Ok(false);
        }
        if done() {
            return Ok(true);
        }
    }
}

/// Runs the jobs that are there, and not those that they make. `mark` queues a job that calls [`reach_mark`].
///
/// # Errors
/// When `mark` fails.
pub(crate) fn run_present_jobs(ctx: &Ctx<'_>, mark: impl FnOnce() -> Result<()>) -> Result<()> {
    if !ctx.execute_pending_job() {
        return Ok(());
    }
    MARK_REACHED.set(false);
    mark()?;
    while !MARK_REACHED.get() && ctx.execute_pending_job() {}
    Ok(())
}

/// Says that the jobs before the mark have run.
pub(crate) fn reach_mark() {
    MARK_REACHED.set(true);
}

fn run_due_timer(ctx: &Ctx<'_>) -> Result<bool> {
    let due = LOOP.with_borrow_mut(|state| {
        let entry = state.timers.first_entry()?;
        if entry.key().0 > monotonic_clock::now() {
            return None;
        }
        state.due_of.remove(&entry.key().1);
        Some(entry.remove())
    });
    match due {
        Some(callback) => callback.restore(ctx)?.call::<_, ()>(()).map(|()| true),
        None => Ok(false),
    }
}

/// Waits for the next timer or pollable and calls back the pollables that are ready; false when there is nothing to wait for.
fn wait_for_io(ctx: &Ctx<'_>) -> Result<bool> {
    let (waiters, next_timer) = LOOP.with_borrow_mut(|state| {
        (std::mem::take(&mut state.waiters), state.timers.first_key_value().map(|((at, _), _)| *at))
    });
    if waiters.is_empty() && next_timer.is_none() {
        return Ok(false);
    }
    let timer = next_timer.map(monotonic_clock::subscribe_instant);
    let pollables: Vec<&Pollable> = waiters.iter().map(|waiter| &waiter.pollable).chain(timer.as_ref()).collect();
    let ready = poll::poll(&pollables);
    let mut callbacks = Vec::new();
    for (index, waiter) in waiters.into_iter().enumerate() {
        if ready.iter().any(|position| usize::try_from(*position) == Ok(index)) {
            callbacks.push(waiter.callback);
        } else {
            LOOP.with_borrow_mut(|state| state.waiters.push(waiter));
        }
    }
    for callback in callbacks {
        callback.restore(ctx)?.call::<_, ()>(())?;
    }
    Ok(true)
}
