//! The export that lets the host read the memory in place.

use std::cell::UnsafeCell;

/// Where the canonical ABI expects a returned `list<u8>`: address and length.
#[repr(C)]
struct List(UnsafeCell<[u32; 2]>);

// SAFETY: the module has one thread.
unsafe impl Sync for List {}

static LIST: List = List(UnsafeCell::new([0, 0]));

/// `caddis:engine/snapshot.memory`, by hand: bindings would return a copy that lies in the memory it copies.
#[unsafe(export_name = "caddis:engine/snapshot@0.1.0#memory")]
extern "C" fn memory() -> *const u32 {
    const PAGE: usize = 65_536;
    let length = core::arch::wasm32::memory_size::<0>().saturating_mul(PAGE);
    // SAFETY: one thread, and no other reference to the cell exists.
    unsafe { *LIST.0.get() = [0, u32::try_from(length).unwrap_or(u32::MAX)] };
    LIST.0.get().cast()
}
