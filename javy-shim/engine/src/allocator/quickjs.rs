//! The allocator as QuickJS asks for it: it frees blocks without their sizes, so each has its size in front.
//!
//! A script does little between two allocations, so what they cost counts. These go straight to the blocks of a class; what comes with
//! rquickjs goes through the allocator of the language, which takes three calls more for each block.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;
use std::ptr::null_mut;

use rquickjs::allocator::Allocator;
use rquickjs::{Ctx, qjs};

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
unsafe impl Allocator for Blocks {
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

/// Lets QuickJS call these blocks itself. rquickjs puts an object with virtual methods between them, for which every block pays
/// two calls more.
pub(crate) fn connect(ctx: &Ctx<'_>) {
    // SAFETY: a runtime begins with the functions of its allocator, in the version of QuickJS that is pinned: `take_over` has made sure of it.
    // Those put in their place return and take the same blocks.
    unsafe { take_over(qjs::JS_GetRuntime(ctx.as_raw().as_ptr()).cast()) }
}

/// # Safety
/// `functions` may be read and written.
unsafe fn take_over(functions: *mut qjs::JSMallocFunctions) {
    const PROBE: usize = 24;
    // SAFETY: what is called here either is the function for the size of a block, or of another type, which traps and ends the build of the engine.
    unsafe {
        let block = Blocks.alloc(PROBE);
        let size = (*functions).js_malloc_usable_size.map(|usable_size| usable_size(block.cast()));
        assert_eq!(size, Some(PROBE as qjs::size_t), "a runtime of QuickJS does not begin with its allocator");
        Blocks.dealloc(block);
        functions.write(qjs::JSMallocFunctions {
            js_calloc: Some(calloc),
            js_malloc: Some(malloc),
            js_free: Some(free),
            js_realloc: Some(realloc),
            js_malloc_usable_size: Some(usable_size),
        });
    }
}

unsafe extern "C" fn calloc(_: *mut c_void, count: qjs::size_t, size: qjs::size_t) -> *mut c_void {
    Blocks.calloc(count as usize, size as usize).cast()
}

unsafe extern "C" fn malloc(_: *mut c_void, size: qjs::size_t) -> *mut c_void {
    Blocks.alloc(size as usize).cast()
}

unsafe extern "C" fn free(_: *mut c_void, block: *mut c_void) {
    if !block.is_null() {
        // SAFETY: QuickJS frees what it was given.
        unsafe { Blocks.dealloc(block.cast()) };
    }
}

unsafe extern "C" fn realloc(_: *mut c_void, block: *mut c_void, size: qjs::size_t) -> *mut c_void {
    // SAFETY: QuickJS asks for another size of what it was given.
    unsafe { Blocks.realloc(block.cast(), size as usize).cast() }
}

unsafe extern "C" fn usable_size(block: *const c_void) -> qjs::size_t {
    // SAFETY: QuickJS asks for the size of what it was given, or of nothing.
    if block.is_null() { 0 } else { unsafe { Blocks::usable_size(block.cast_mut().cast()) as qjs::size_t } }
}
