//! A memory as a core module without code.

use wasm_encoder::{ConstExpr, DataSection, ExportKind, ExportSection, MemorySection, MemoryType, Module};

use crate::{PAGE_SIZE, STACK_SIZE};

/// Memory is looked at in blocks of this many bytes: what lies in adjacent blocks that are not zero is one segment.
const BLOCK: usize = 256;

/// Encodes the memory of an engine that is not in a call as an image: `(module (memory (export "memory") …) (data …)…)`.
///
/// `memory` is the whole memory from address 0, a whole number of pages; a rest that does not fill a page is taken as part of one.
/// The stack at its beginning is left out. The image starts with as many pages as the memory has.
pub fn encode(memory: &[u8]) -> Vec<u8> {
    let mut memories = MemorySection::new();
    let pages = memory.len().div_ceil(PAGE_SIZE);
    memories.memory(MemoryType {
        minimum: pages as u64,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    let mut data = DataSection::new();
    for (address, bytes) in segments(memory, STACK_SIZE) {
        data.active(0, &ConstExpr::i32_const(signed(address)), bytes.iter().copied());
    }
    let mut module = Module::new();
    module.section(&memories).section(&exports).section(&data);
    module.finish()
}

/// The operand of `i32.const` that means this address.
fn signed(address: usize) -> i32 {
    u32::try_from(address).unwrap_or(u32::MAX).cast_signed()
}

/// The parts of `memory` from `start`, a multiple of [`BLOCK`], that are not zero, with their addresses.
fn segments(memory: &[u8], start: usize) -> Vec<(usize, &[u8])> {
    let mut found = Vec::new();
    let mut begin = None;
    for (index, block) in memory.chunks(BLOCK).enumerate().skip(start / BLOCK) {
        // A comparison of slices, because it is fast in every build.
        let is_zero = block == ZEROS.get(..block.len()).unwrap_or_default();
        match (is_zero, begin) {
            (false, None) => begin = Some(index * BLOCK),
            (true, Some(from)) => {
                found.push(trimmed(memory, from, index * BLOCK));
                begin = None;
            }
            _ => {}
        }
    }
    found.extend(begin.map(|from| trimmed(memory, from, memory.len())));
    found
}

static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// The part from `begin` to `end` without the zeros at its ends.
fn trimmed(memory: &[u8], begin: usize, end: usize) -> (usize, &[u8]) {
    let bytes = memory.get(begin..end).unwrap_or_default();
    let leading = bytes.iter().take_while(|byte| **byte == 0).count();
    let trailing = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    (
        begin + leading,
        bytes.get(leading..bytes.len() - trailing).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_blocks_are_one_trimmed_segment_and_the_stack_is_left_out() {
        let mut memory = vec![0; 8 * BLOCK + 1];
        memory[3] = 1;
        for address in [BLOCK + 7, 3 * BLOCK - 2, 4 * BLOCK, 8 * BLOCK] {
            memory[address] = 1;
        }
        let found: Vec<(usize, usize)> = segments(&memory, BLOCK)
            .into_iter()
            .map(|(at, bytes)| (at, bytes.len()))
            .collect();
        assert_eq!(found, [(BLOCK + 7, 2 * BLOCK - 8), (4 * BLOCK, 1), (8 * BLOCK, 1)]);
    }

    #[test]
    fn an_image_of_zeros_has_no_segment_and_all_pages() {
        let image = encode(&vec![0; 3 * PAGE_SIZE]);
        wasmparser::validate(&image).expect("valid");
        assert!(image.len() < 64, "{}", image.len());
    }

    #[test]
    fn addresses_over_two_gibibytes_keep_their_bits() {
        assert_eq!(signed(0x8000_0001), -0x7fff_ffff);
    }
}
