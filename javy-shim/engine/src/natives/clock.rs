//! Time and timers.

use std::cell::Cell;

use rquickjs::function::Function;
use rquickjs::{Ctx, Object, Result};

use super::{define, save};
use crate::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use crate::event_loop;

thread_local! {
    /// The monotonic clock when this instance began to work, in nanoseconds.
    static ORIGIN: Cell<u64> = const { Cell::new(0) };
    /// The same moment in milliseconds since 1970, once somebody has asked for it.
    static ORIGIN_DATE: Cell<Option<f64>> = const { Cell::new(None) };
}

pub(super) fn install(native: &Object<'_>) -> Result<()> {
    define!(native,
        "elapsed" => elapsed,
        "timeOrigin" => time_origin,
        "setTimer" => set_timer,
        "clearTimer" => event_loop::clear_timer,
    );
    Ok(())
}

/// Lets `elapsed` count from now.
pub(crate) fn start() {
    ORIGIN.set(monotonic_clock::now());
    ORIGIN_DATE.set(None);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a request does not last 104 days, which is where microseconds get lost"
)]
fn elapsed() -> f64 {
    monotonic_clock::now().saturating_sub(ORIGIN.get()) as f64 / 1e6
}

fn time_origin() -> f64 {
    let date = ORIGIN_DATE.get().unwrap_or_else(|| wall_clock_microseconds() / 1e3 - elapsed());
    ORIGIN_DATE.set(Some(date));
    date
}

#[expect(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
fn wall_clock_microseconds() -> f64 {
    let now = wall_clock::now();
    now.seconds as f64 * 1e6 + f64::from(now.nanoseconds / 1_000)
}

fn set_timer<'js>(ctx: Ctx<'js>, delay: f64, callback: Function<'js>) -> u32 {
    event_loop::set_timer(delay, save(&ctx, callback))
}

/// The clock of QuickJS itself: `Date`, and the seeds it makes when a context is created.
#[unsafe(no_mangle)]
extern "C" fn __rquickjs_host_now_us() -> f64 {
    wall_clock_microseconds()
}
