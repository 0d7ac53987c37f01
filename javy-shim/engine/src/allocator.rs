//! The one allocator of the module, for Rust and QuickJS.
//!
//! It decides which pages of memory a request writes to, and every page costs twice: it is copied when it is first written, and put
//! back when the instance ends. So blocks of all sizes are cut off one chunk after the other, and a freed block waits for the next of its
//! size. What an instance allocates lies side by side, in a chunk that was empty when the image was made ([`seal`]); the holes in older
//! memory stay holes. QuickJS takes its small blocks from pools of its own, a pool of 4 KiB for each size: they are part of this.
//!
//! While an image is prepared the allocator also clears what is freed: an image stores what is not zero, and most of what a build or an
//! evaluation allocates (source text, syntax trees, arguments) is garbage when the memory is copied. Requests do not pay for that.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::{NonNull, null_mut};

use rquickjs::{Ctx, qjs};

/// Sizes up to here are rounded up to a multiple of `GRANULE`: one class each.
const FINE: usize = 1024;
const GRANULE: usize = 8;
const FINE_CLASSES: usize = FINE / GRANULE;

/// Sizes from `FINE` to here have four classes for each doubling. Larger blocks are the system allocator's.
const LARGEST: usize = 8192;
const CLASSES: usize = FINE_CLASSES + 4 * (LARGEST.ilog2() - FINE.ilog2()) as usize;

/// Room for the pools of QuickJS, and for what a usual request allocates besides.
const CHUNK: usize = 262_144;
const PAGE: usize = 4096;

/// The size of the class for blocks of `size` bytes, and its number. `size` is from 1 to `LARGEST`.
const fn class_of(size: usize) -> (usize, usize) {
    if size <= FINE {
        let granules = size.div_ceil(GRANULE);
        return (granules * GRANULE, granules - 1);
    }
    let doubling = (size - 1).ilog2();
    let quarters = (size - 1) >> (doubling - 2);
    let number = FINE_CLASSES + 4 * (doubling - FINE.ilog2()) as usize + (quarters & 3);
    ((quarters + 1) << (doubling - 2), number)
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(UnsafeCell::new(State {
    free: [null_mut(); CLASSES],
    next: null_mut(),
    rest: 0,
    pools: null_mut(),
    clearing: true,
}));

struct Allocator(UnsafeCell<State>);

struct State {
    /// The freed blocks of each class: the first word of one is the address of the next.
    free: [*mut u8; CLASSES],
    /// What is left of the current chunk.
    next: *mut u8,
    rest: usize,
    /// Where the pools begin that the image ends with; they reach up to `next` when a request begins.
    pools: *mut u8,
    clearing: bool,
}

// SAFETY: the module has one thread.
unsafe impl Sync for Allocator {}

/// Says that a request has begun: what is freed from now on is not cleared.
///
/// Writes to the pages of all pools: most are written to anyway, and with the others they are one group of adjacent pages. A host that puts
/// pages back by copying does so for a limited number of groups (wasmtime: 32), and unmaps the rest.
pub(crate) fn begin_request() {
    // SAFETY: one thread, and the state is never borrowed across a call that could come back here. The pools are in the reserved chunk.
    unsafe {
        let state = &mut *ALLOCATOR.0.get();
        state.clearing = false;
        let end = state.next.min(RESERVED.0.get().cast::<u8>().add(CHUNK));
        let mut page = state.pools;
        while page < end {
            page.write_volatile(page.read_volatile());
            page = page.add(PAGE);
        }
    }
}

/// Where to go on allocating.
#[derive(Clone, Copy)]
pub(crate) enum Chunk {
    /// After all other memory.
    New,
    /// In the chunk for requests; after all other memory when it was used before.
    Reserved,
}

/// The chunk for requests. It lies below the heap: a host that stops putting pages back by copying stops at the upper end.
#[repr(align(4096))]
struct Reserved(UnsafeCell<[u8; CHUNK]>);

// SAFETY: the module has one thread.
unsafe impl Sync for Reserved {}

static RESERVED: Reserved = Reserved(UnsafeCell::new([0; CHUNK]));

/// Makes everything allocated from now on lie in an empty chunk, away from what is there.
pub(crate) fn seal(ctx: &Ctx<'_>, chunk: Chunk) {
    let Some(chunk) = start_chunk(chunk) else { return };
    let chunk = chunk.addr().get()..chunk.addr().get() + CHUNK;
    for size in (GRANULE..=LARGEST_POOLED).step_by(GRANULE) {
        // Fills the holes in the pools of this size, until QuickJS makes a new pool. The blocks are never freed.
        while !chunk_is_full(LARGEST) {
            // SAFETY: the context is alive.
            let block = unsafe { qjs::js_malloc(ctx.as_raw().as_ptr(), size as qjs::size_t) }.cast::<u8>();
            if block.is_null() || chunk.contains(&block.addr()) {
                break;
            }
            // SAFETY: the block has that size, and nobody else uses it.
            unsafe { block.write_bytes(0, size) };
        }
    }
}

/// The largest block for which a pool is made ahead. There are pools up to twice that, but requests use few of them, and an image stores them.
const LARGEST_POOLED: usize = 248;

/// Forgets the freed blocks and takes a new chunk. `None` when there is no memory.
fn start_chunk(chunk: Chunk) -> Option<NonNull<u8>> {
    // SAFETY: as above; a block in a list has room for a word, and nobody else uses it.
    unsafe {
        let state = &mut *ALLOCATOR.0.get();
        for head in &mut state.free {
            while !head.is_null() {
                let block = head.cast::<*mut u8>();
                *head = block.read();
                block.write(null_mut());
            }
        }
        match chunk {
            Chunk::Reserved if state.pools.is_null() => {
                state.next = RESERVED.0.get().cast();
                state.rest = CHUNK;
                state.pools = state.next;
            }
            _ => {
                state.next = null_mut();
                state.rest = 0;
                state.refill();
            }
        }
        NonNull::new(state.next)
    }
}

/// Whether the chunk has no room for a block of this size.
fn chunk_is_full(size: usize) -> bool {
    // SAFETY: one thread.
    unsafe { (*ALLOCATOR.0.get()).rest < size }
}

/// Whether blocks of this layout are in a class.
const fn is_small(layout: &Layout) -> bool {
    layout.size() <= LARGEST && layout.align() <= GRANULE
}

impl State {
    /// Takes a new chunk; false when there is no memory.
    fn refill(&mut self) -> bool {
        // SAFETY: the layout is valid and not empty.
        let chunk = unsafe { System.alloc(Layout::from_size_align_unchecked(CHUNK, PAGE)) };
        if chunk.is_null() {
            return false;
        }
        self.next = chunk;
        self.rest = CHUNK;
        true
    }

    /// # Safety
    /// `layout` is small.
    #[inline]
    unsafe fn take(&mut self, layout: Layout) -> *mut u8 {
        let (size, class) = class_of(layout.size());
        // SAFETY: `class_of` returns a number below `CLASSES`; a block in a list holds the address of the next; a chunk has `rest` bytes.
        unsafe {
            let head = self.free.get_unchecked_mut(class);
            if !head.is_null() {
                let block = *head;
                *head = block.cast::<*mut u8>().read();
                return block;
            }
            if self.rest < size && !self.refill() {
                return null_mut();
            }
            let block = self.next;
            self.next = block.add(size);
            self.rest -= size;
            block
        }
    }

    /// # Safety
    /// `block` is of `layout`, which is small, and nobody uses it any more.
    #[inline]
    unsafe fn give_back(&mut self, block: *mut u8, layout: Layout) {
        let (size, class) = class_of(layout.size());
        // SAFETY: as in `take`; every block has room for a word.
        unsafe {
            if self.clearing {
                block.write_bytes(0, size);
            }
            let head = self.free.get_unchecked_mut(class);
            block.cast::<*mut u8>().write(*head);
            *head = block;
        }
    }
}

// SAFETY: blocks do not overlap, as they are cut off chunks and come back whole; larger ones are the system's. There is one thread.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        unsafe { if is_small(&layout) { (*self.0.get()).take(layout) } else { System.alloc(layout) } }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        unsafe {
            if !is_small(&layout) {
                return System.alloc_zeroed(layout);
            }
            let block = (*self.0.get()).take(layout);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised; the block has `layout.size()` bytes and nobody uses them any more.
        unsafe {
            if is_small(&layout) {
                return (*self.0.get()).give_back(block, layout);
            }
            if (*self.0.get()).clearing {
                block.write_bytes(0, layout.size());
            }
            System.dealloc(block, layout);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promised; a new block is at least as large as what is copied, and does not overlap the old one.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            match (is_small(&layout), is_small(&wanted)) {
                (true, true) if class_of(layout.size()) == class_of(size) => return block,
                (false, false) if !(*self.0.get()).clearing => return System.realloc(block, layout, size),
                _ => {}
            }
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}
