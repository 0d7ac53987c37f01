//! Places the blocks that requests write to side by side.
//!
//! Most of what the prelude leaves in memory is only read by a request, but objects that it uses, wherever they lie, have counts of references in
//! them. Whoever builds the engine finds out which blocks these are: it boots the engine once to see where each block lies ([`stop`]), watches what
//! some requests write to, and boots it again with their numbers. That the numbers mean the same blocks again is sure, because nothing in a
//! boot depends on the moment or on addresses.

use super::{ALLOCATOR, CHUNK};

/// Most bytes for these blocks: the rest of the chunk is for requests.
const MOST: usize = CHUNK / 2;

/// Counts the small blocks while it is on.
pub(super) struct Placement {
    on: bool,
    count: u32,
    /// Numbers of blocks that requests write to, in ascending order.
    written: Vec<u32>,
    /// How many of them were met.
    met: usize,
    /// Bytes of the chunk they have taken.
    used: usize,
    /// Address and size of each block.
    seen: Vec<Block>,
}

/// Where a block lies: address and size in bytes.
pub(crate) type Block = (u32, u32);

impl Placement {
    pub(super) const OFF: Self = Self { on: false, count: 0, written: Vec::new(), met: 0, used: 0, seen: Vec::new() };

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// Counts a block; where it lies in the chunk, from its beginning, if requests write to it and there is room.
    pub(super) fn place(&mut self, size: usize) -> Option<usize> {
        let is_written = self.written.get(self.met) == Some(&self.count);
        self.count += 1;
        if !is_written {
            return None;
        }
        self.met += 1;
        let at = self.used;
        (at + size <= MOST).then(|| {
            self.used += size;
            at
        })
    }

    /// Notes where the block is that was counted last.
    #[expect(clippy::cast_possible_truncation, reason = "addresses and sizes have 32 bits")]
    pub(super) fn note(&mut self, block: *mut u8, size: usize) {
        // Never more than there is room for: this is called by the allocator.
        if self.seen.len() < self.seen.capacity() {
            self.seen.push((block.addr() as u32, size as u32));
        }
    }

    /// How much of the chunk these blocks take.
    pub(super) fn used(&self) -> usize {
        self.used
    }
}

/// Starts to count blocks. Those with these numbers, which ascend, are placed side by side; the first `notes` blocks are noted.
pub(crate) fn start(written: Vec<u32>, notes: usize) {
    let seen = Vec::with_capacity(notes);
    // SAFETY: one thread, and the state is never borrowed across a call that could come back here.
    let placement = unsafe { &mut (*ALLOCATOR.0.get()).placement };
    placement.written = written;
    placement.seen = seen;
    placement.on = true;
}

/// Stops, and returns what was noted.
pub(crate) fn stop() -> Vec<Block> {
    // SAFETY: as above; nothing is freed while the state is borrowed.
    let (written, seen) = unsafe {
        let placement = &mut (*ALLOCATOR.0.get()).placement;
        placement.on = false;
        (std::mem::take(&mut placement.written), std::mem::take(&mut placement.seen))
    };
    drop(written);
    seen
}
