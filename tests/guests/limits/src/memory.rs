//! What takes memory, in the guest or in the host.

use wasip2::clocks::monotonic_clock;
use wasip2::http::types::Fields;

const MIB: usize = 1024 * 1024;
const PAGES_PER_MIB: usize = 16;

/// Allocates and keeps until the allocator gives up, which aborts.
pub fn allocate_without_end() {
    loop {
        std::hint::black_box(vec![1u8; MIB].leak());
    }
}

/// Grows until the host refuses, and tells how many MiB there are then.
pub fn grow_until_refused() -> usize {
    while core::arch::wasm32::memory_grow(0, PAGES_PER_MIB) != usize::MAX {}
    core::arch::wasm32::memory_size(0) / PAGES_PER_MIB
}

/// Takes handles and gives none back.
pub fn make_fields_without_end() {
    loop {
        std::mem::forget(Fields::new());
    }
}

/// Takes handles of timers and gives none back.
pub fn make_pollables_without_end() {
    loop {
        std::mem::forget(monotonic_clock::subscribe_duration(3_600_000_000_000));
    }
}

/// Appends fields of 1 KiB until the host refuses, and tells how many it took.
pub fn fill_fields_until_refused() -> usize {
    let fields = Fields::new();
    let value = vec![b'x'; 1024];
    (0..100_000).take_while(|number| fields.append(&format!("x-{number}"), &value).is_ok()).count()
}
