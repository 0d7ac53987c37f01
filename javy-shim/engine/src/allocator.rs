//! The one allocator of the module, for Rust and QuickJS ([`quickjs`]).
//!
//! It decides which pages of memory a request writes to, and every page costs twice: it is copied when it is first written, and put
//! back when the instance ends. So blocks of all sizes are cut off one chunk after the other, and a freed block waits for the next of its
//! size. What an instance allocates lies side by side, in a chunk that was empty when the image was made ([`seal`]); the holes in older
//! memory stay holes. Before it in the same chunk lie the blocks of the prelude that requests write to ([`placement`]).
//! QuickJS has an allocator of its own for small blocks, with a page for each size; it is off (see `../../build-engine/compile.rs`).
//!
//! While an image is prepared the allocator also clears what is freed: an image stores what is not zero, and most of what a build or an
//! evaluation allocates (source text, syntax trees, arguments) is garbage when the memory is copied. Requests do not pay for that.

pub(crate) mod placement;
pub(crate) mod quickjs;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

use placement::Placement;

/// Sizes up to here are rounded up to a multiple of `GRANULE`: one class each.
const FINE: usize = 1024;
const GRANULE: usize = 8;
const FINE_CLASSES: usize = FINE / GRANULE;

/// Sizes from `FINE` to here have four classes for each doubling. Larger blocks are the system allocator's.
const LARGEST: usize = 8192;
const CLASSES: usize = FINE_CLASSES + 4 * (LARGEST.ilog2() - FINE.ilog2()) as usize;

/// Room for what a usual request allocates.
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
    reserved: true,
    clearing: true,
    placement: Placement::OFF,
}));

struct Allocator(UnsafeCell<State>);

struct State {
    /// The freed blocks of each class: the first word of one is the address of the next.
    free: [*mut u8; CLASSES],
    /// What is left of the current chunk.
    next: *mut u8,
    rest: usize,
    /// Whether the chunk for requests is still reserved.
    reserved: bool,
    clearing: bool,
    placement: Placement,
}

// SAFETY: the module has one thread.
unsafe impl Sync for Allocator {}

/// Says that a request has begun: what is freed from now on is not cleared.
pub(crate) fn begin_request() {
    // SAFETY: one thread, and the state is never borrowed across a call that could come back here.
    unsafe { (*ALLOCATOR.0.get()).clearing = false };
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

/// Makes everything allocated from now on lie in an empty chunk, away from what is there: forgets the freed blocks.
pub(crate) fn seal(chunk: Chunk) {
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
        (state.next, state.rest) = match chunk {
            Chunk::Reserved if state.reserved => {
                state.reserved = false;
                let used = state.placement.used();
                (RESERVED.0.get().cast::<u8>().add(used), CHUNK - used)
            }
            // The next block takes a new one.
            _ => (null_mut(), 0),
        };
    }
}

/// Makes the memory larger by this many bytes, which are free.
pub(crate) fn make_room(bytes: usize) {
    let layout = Layout::array::<u8>(bytes).unwrap_or(Layout::new::<u8>());
    // SAFETY: the layout is not empty, and the block is freed as it came.
    unsafe {
        let block = System.alloc(layout);
        if !block.is_null() {
            System.dealloc(block, layout);
        }
    }
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
        // SAFETY: as the caller promised.
        unsafe { if self.placement.is_on() { self.take_placed(layout) } else { self.take_next(layout) } }
    }

    /// # Safety
    /// `layout` is small.
    #[cold]
    unsafe fn take_placed(&mut self, layout: Layout) -> *mut u8 {
        let (size, _) = class_of(layout.size());
        // SAFETY: what is placed is within the reserved chunk, which nothing else uses yet.
        let block = unsafe {
            match self.placement.place(size) {
                Some(at) => RESERVED.0.get().cast::<u8>().add(at),
                None => self.take_next(layout),
            }
        };
        self.placement.note(block, size);
        block
    }

    /// # Safety
    /// `layout` is small.
    #[inline]
    unsafe fn take_next(&mut self, layout: Layout) -> *mut u8 {
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
