//! The one allocator of the module, for Rust and QuickJS.
//!
//! While an image is prepared it clears what is freed: an image stores what is not zero, and most of what a build or an evaluation
//! allocates (source text, syntax trees, arguments) is garbage when the memory is copied. Requests do not pay for that.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

static CLEARING: AtomicBool = AtomicBool::new(true);

#[global_allocator]
static ALLOCATOR: Clearing = Clearing;

struct Clearing;

/// Whether memory is cleared when it is freed. True at first.
pub(crate) fn clear_freed(clear: bool) {
    CLEARING.store(clear, Ordering::Relaxed);
}

// SAFETY: every call goes on to the system's allocator; memory is written only between the last use by its owner and its release.
unsafe impl GlobalAlloc for Clearing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised; the block has `layout.size()` bytes and nobody uses them any more.
        unsafe {
            if CLEARING.load(Ordering::Relaxed) {
                pointer.write_bytes(0, layout.size());
            }
            System.dealloc(pointer, layout);
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !CLEARING.load(Ordering::Relaxed) {
            // SAFETY: as the caller promised.
            return unsafe { System.realloc(pointer, layout, size) };
        }
        // SAFETY: as the caller promised; the new block is at least as large as what is copied, and does not overlap the old one.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(pointer, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
            moved
        }
    }
}
