//! SQLite's memory, with a budget for each statement.
//!
//! One row may hold hundreds of values of megabytes, a sort or a join may keep everything it has seen: the caps on
//! values and results do not bound what SQLite holds on the way there. Its own heap limit is one for the process, so that
//! one app at the limit would fail the statements of all others. But a statement runs on one thread from start to end,
//! so an allocator that counts by thread bounds each statement by itself. It also lets SQLite do without its own
//! statistics, and with them without a process-wide lock around every allocation.
#![expect(unsafe_code, reason = "SQLite takes an allocator only through its C interface")]

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use rusqlite::ffi;

thread_local! {
    /// What SQLite may still allocate on this thread, in bytes.
    static REMAINING: Cell<i64> = const { Cell::new(i64::MAX) };
}

/// Bytes in front of each allocation that hold its size; also the alignment, which is what SQLite asks for.
const HEADER: usize = 8;

/// Makes this SQLite's allocator. Has to come before the first use of SQLite in the process; later it has no effect.
/// Returns whether the allocator is in place.
pub fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let methods = ffi::sqlite3_mem_methods {
            xMalloc: Some(allocate),
            xFree: Some(release),
            xRealloc: Some(resize),
            xSize: Some(size),
            xRoundup: Some(round_up),
            xInit: Some(start),
            xShutdown: Some(stop),
            pAppData: std::ptr::null_mut(),
        };
        // SAFETY: SQLite copies the table; the functions in it hold to its contract for allocators. Both calls are
        // refused without effect when SQLite has started.
        let codes = unsafe {
            [
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const methods),
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0 as c_int),
            ]
        };
        let installed = codes.iter().all(|code| *code == ffi::SQLITE_OK);
        if !installed {
            tracing::error!("SQLite was used before its allocator was set: statements run without a memory limit");
        }
        installed
    })
}

/// While it lives, SQLite allocates at most so many more bytes on this thread than it frees.
pub(super) struct Budget(());

impl Budget {
    pub(super) fn of(bytes: i64) -> Self {
        REMAINING.set(bytes);
        Self(())
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        REMAINING.set(i64::MAX);
    }
}

/// Takes bytes from the thread's budget (gives them back when negative); false when there are not enough.
fn take(bytes: i64) -> bool {
    let remaining = REMAINING.get().saturating_sub(bytes);
    let enough = remaining >= 0 || bytes <= 0;
    if enough {
        REMAINING.set(remaining);
    }
    enough
}

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(HEADER)?, HEADER).ok()
}

/// # Safety
/// `base` must be null or the start of an allocation of at least `HEADER` bytes.
unsafe fn with_header(base: *mut u8, size: usize) -> *mut c_void {
    if base.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: the header is within the allocation and aligned for a `usize`.
    unsafe {
        base.cast::<usize>().write(size);
        base.add(HEADER).cast()
    }
}

/// # Safety
/// `content` must come from `with_header`.
unsafe fn header(content: *mut c_void) -> (*mut u8, usize) {
    // SAFETY: `with_header` put the size in front of the content.
    unsafe {
        let base = content.cast::<u8>().sub(HEADER);
        (base, base.cast::<usize>().read())
    }
}

unsafe extern "C" fn allocate(bytes: c_int) -> *mut c_void {
    let Ok(size) = usize::try_from(bytes) else {
        return std::ptr::null_mut();
    };
    let Some(layout) = layout(size) else {
        return std::ptr::null_mut();
    };
    if !take(i64::from(bytes)) {
        return std::ptr::null_mut();
    }
    // SAFETY: the layout has a size of at least `HEADER`.
    unsafe { with_header(alloc(layout), size) }
}

unsafe extern "C" fn release(content: *mut c_void) {
    if content.is_null() {
        return;
    }
    // SAFETY: SQLite frees only what it got from `allocate` or `resize`, with the layout computed there.
    unsafe {
        let (base, size) = header(content);
        if let Some(layout) = layout(size) {
            dealloc(base, layout);
            take(-(size as i64));
        }
    }
}

unsafe extern "C" fn resize(content: *mut c_void, bytes: c_int) -> *mut c_void {
    let Ok(new_size) = usize::try_from(bytes) else {
        return std::ptr::null_mut();
    };
    // SAFETY: SQLite resizes only what it got from `allocate` or `resize`.
    let (base, old_size) = unsafe { header(content) };
    let (Some(old), Some(new)) = (layout(old_size), layout(new_size)) else {
        return std::ptr::null_mut();
    };
    if !take(i64::from(bytes) - old_size as i64) {
        return std::ptr::null_mut();
    }
    // SAFETY: `old` is the layout of the allocation, the new size is that of a valid layout.
    unsafe { with_header(realloc(base, old, new.size()), new_size) }
}

unsafe extern "C" fn size(content: *mut c_void) -> c_int {
    if content.is_null() {
        return 0;
    }
    // SAFETY: SQLite asks only about what it got from `allocate` or `resize`.
    let (_, size) = unsafe { header(content) };
    c_int::try_from(size).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn round_up(bytes: c_int) -> c_int {
    bytes.saturating_add(7) & !7
}

unsafe extern "C" fn start(_data: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn stop(_data: *mut c_void) {}
