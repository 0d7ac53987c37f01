//! The allocator as QuickJS asks for it: it frees blocks without their sizes, so each has its size in front.
//!
//! A script does little between two allocations, so what they cost counts. These go straight to the blocks of a class; what comes with
//! rquickjs goes through the allocator of the language, which takes three calls more for each block.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;

use super::{ALLOCATOR, GRANULE};

/// What is in front of a block. It is as large as blocks are aligned.
#[repr(C, align(8))]
struct Header {
    /// Bytes that may be used, a multiple of `GRANULE`.
    size: usize,
}

const HEADER: usize = size_of::<Header>();

/// The largest block there is: no size below overflows.
const LARGEST: usize = isize::MAX as usize - HEADER - GRANULE;

/// Blocks for QuickJS.
pub(crate) struct Blocks;

/// The layout of a block with this much room, and its header.
///
/// # Safety
/// `size` is at most `LARGEST`, and a multiple of `GRANULE`.
#[inline]
const unsafe fn layout(size: usize) -> Layout {
    // SAFETY: as the caller promised; the alignment is a power of two.
    unsafe { Layout::from_size_align_unchecked(HEADER + size, GRANULE) }
}

const fn round(size: usize) -> usize {
    size.next_multiple_of(GRANULE)
}

/// The block behind a new header. Null stays null.
///
/// # Safety
/// `at` has room for a header and `size` bytes, or is null.
#[inline]
unsafe fn begin(at: *mut u8, size: usize) -> *mut u8 {
    if at.is_null() {
        return null_mut();
    }
    // SAFETY: as the caller promised.
    unsafe {
        at.cast::<Header>().write(Header { size });
        at.add(HEADER)
    }
}

/// Where a block begins, with its header, and its size.
///
/// # Safety
/// `block` is one that [`begin`] returned.
#[inline]
unsafe fn header(block: *mut u8) -> (*mut u8, usize) {
    // SAFETY: as the caller promised.
    unsafe {
        let at = block.sub(HEADER);
        (at, at.cast::<Header>().read().size)
    }
}

// SAFETY: blocks are those of the module's allocator, and as large as their headers say.
unsafe impl rquickjs::allocator::Allocator for Blocks {
    #[inline]
    fn alloc(&mut self, size: usize) -> *mut u8 {
        if size > LARGEST {
            return null_mut();
        }
        let size = round(size);
        // SAFETY: the size was looked at, and the layout is not empty.
        unsafe { begin(ALLOCATOR.alloc(layout(size)), size) }
    }

    #[inline]
    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        let Some(size) = count.checked_mul(size).filter(|size| *size <= LARGEST).map(round) else { return null_mut() };
        // SAFETY: as above.
        unsafe { begin(ALLOCATOR.alloc_zeroed(layout(size)), size) }
    }

    #[inline]
    unsafe fn dealloc(&mut self, block: *mut u8) {
        // SAFETY: the block is one of ours, so its size is that of its layout.
        unsafe {
            let (at, size) = header(block);
            ALLOCATOR.dealloc(at, layout(size));
        }
    }

    #[inline]
    unsafe fn realloc(&mut self, block: *mut u8, wanted: usize) -> *mut u8 {
        if wanted > LARGEST {
            return null_mut();
        }
        let wanted = round(wanted);
        // SAFETY: as above.
        unsafe {
            let (at, size) = header(block);
            begin(ALLOCATOR.realloc(at, layout(size), HEADER + wanted), wanted)
        }
    }

    #[inline]
    unsafe fn usable_size(block: *mut u8) -> usize {
        // SAFETY: the block is one of ours.
        unsafe { header(block).1 }
    }
}
