//! A memory as a core module without code.

use wasm_encoder::{ConstExpr, DataSection, ExportKind, ExportSection, MemorySection, MemoryType, Module};

use crate::{PAGE_SIZE, STACK_SIZE};

/// Zeros between two segments that are cheaper to store than a segment's header and its work at compile time.
const GAP: usize = 256;

/// Encodes the memory of an engine that is not in a call as an image: `(module (memory (export "memory") …) (data …)…)`.
///
/// `memory` is the whole memory from address 0, a whole number of pages; a rest that does not fill a page is taken as part of one.
/// The stack at its beginning is left out. The image starts with as many pages as the memory has.
pub fn encode(memory: &[u8]) -> Vec<u8> {
    let mut memories = MemorySection::new();
    let pages = memory.len().div_ceil(PAGE_SIZE);
    memories.memory(MemoryType { minimum: pages as u64, maximum: None, memory64: false, shared: false, page_size_log2: None });
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

/// The parts of `memory` from `start` that are not zero, with their addresses. Parts closer than [`GAP`] are one.
fn segments(memory: &[u8], start: usize) -> Vec<(usize, &[u8])> {
    let mut found: Vec<(usize, &[u8])> = Vec::new();
    let mut position = start;
    while let Some(begin) = memory.get(position..).and_then(|rest| rest.iter().position(|byte| *byte != 0)) {
        let begin = position + begin;
        let end = end_of_segment(memory, begin);
        found.push((begin, memory.get(begin..end).unwrap_or_default()));
        position = end;
    }
    found
}

/// The address after the last byte that is not zero before a gap.
fn end_of_segment(memory: &[u8], begin: usize) -> usize {
    let mut end = begin;
    for (address, byte) in memory.iter().enumerate().skip(begin) {
        if *byte != 0 {
            end = address + 1;
        } else if address + 1 - end >= GAP {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_long_gaps_only_and_leaves_out_the_stack() {
        let mut memory = vec![0; 4096];
        memory[3] = 1;
        memory[100] = 2;
        memory[100 + GAP] = 3;
        memory[100 + 2 * GAP + 1] = 4;
        memory[4095] = 5;
        let found: Vec<(usize, usize)> = segments(&memory, 16).into_iter().map(|(at, bytes)| (at, bytes.len())).collect();
        assert_eq!(found, [(100, GAP + 1), (100 + 2 * GAP + 1, 1), (4095, 1)]);
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
