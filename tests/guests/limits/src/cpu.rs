//! What takes time or stack without a host call.

use std::sync::atomic::{AtomicU64, Ordering};

static STEP: AtomicU64 = AtomicU64::new(1);

/// Never returns. A test looks for this name in the backtrace.
#[inline(never)]
pub fn spin() -> ! {
    loop {
        STEP.fetch_add(1, Ordering::Relaxed);
    }
}

/// Calls itself for as long as the stack lasts; the sum after the call keeps it from becoming a loop.
#[inline(never)]
pub fn dive(depth: u64) -> u64 {
    let next = depth + STEP.load(Ordering::Relaxed);
    if next == 0 { 0 } else { dive(next).wrapping_mul(3) ^ depth }
}

/// Traps. A test looks for this name in the backtrace.
#[inline(never)]
pub fn fall_into_the_unreachable() -> ! {
    core::arch::wasm32::unreachable()
}
