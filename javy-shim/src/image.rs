//! A memory as a core module without code.

use std::ops::Range;
use std::sync::LazyLock;

use wasm_encoder::{
    ConstExpr, DataSection, EntityType, ExportKind, ExportSection, ImportSection, MemorySection, MemoryType, Module,
};
use wasmparser::{BinaryReaderError, DataKind, Operator, Parser, Payload};

use crate::{BASE_IMAGE, PAGE_SIZE, STACK_SIZE};

/// The module that a memory is imported from.
pub const MEMORY_MODULE: &str = "env";

/// The name that a memory is exported and imported by.
pub const MEMORY_NAME: &str = "memory";

/// The most that may be different from the base image, in bytes: what is copied for each request. Beyond it a copy-on-write mapping is cheaper.
const MOST_CHANGES: usize = 1 << 20;

/// The most segments that this may be. What is between two that are no further apart than `GAP` bytes is copied with them.
const MOST_SEGMENTS: usize = 2_000;
const GAP: usize = 128;

/// Memory is looked at in blocks of this many bytes: what lies in adjacent blocks that are different is one segment.
const BLOCK: usize = 64;

/// Encodes the memory of an engine that is not in a call as an image: `(module (memory (export "memory") …) (data …)…)`.
///
/// `memory` is the whole memory from address 0, a whole number of pages; a rest that does not fill a page is taken as part of one.
/// The stack at its beginning is left out. The image starts with as many pages as the memory has.
pub fn encode(memory: &[u8]) -> Vec<u8> {
    let mut memories = MemorySection::new();
    memories.memory(memory_of(memory.len().div_ceil(PAGE_SIZE)));
    let mut exports = ExportSection::new();
    exports.export(MEMORY_NAME, ExportKind::Memory, 0);
    let mut module = Module::new();
    module.section(&memories).section(&exports).section(&data(&segments(memory, &Initial::default(), STACK_SIZE)));
    module.finish()
}

/// Encodes what is different in the memory of an engine from [`BASE_IMAGE`]: `(module (import "env" "memory" …) (data …)…)`.
///
/// None where that is too much to copy for each request, or the memory is larger than the one of that image.
pub fn changes(memory: &[u8]) -> Option<Changes> {
    static BASE: LazyLock<Initial<'static>> = LazyLock::new(|| Initial::of(BASE_IMAGE).unwrap_or_default());
    let segments = joined(memory, &segments(memory, &BASE, STACK_SIZE));
    let size: usize = segments.iter().map(|(_, bytes)| bytes.len()).sum();
    let fits = memory.len() == BASE.size && size <= MOST_CHANGES && segments.len() <= MOST_SEGMENTS;
    fits.then(|| Changes { module: encode_changes(&segments), segments: segments.len() })
}

/// What is different from the base image.
#[derive(Debug)]
pub struct Changes {
    /// As a core module.
    pub module: Vec<u8>,
    /// In how many pieces: a host that compiles the module keeps a record of each.
    pub segments: usize,
}

/// The segments, with those that are close to one another as one.
fn joined<'a>(memory: &'a [u8], segments: &[Segment<'a>]) -> Vec<Segment<'a>> {
    let mut joined: Vec<Segment<'a>> = Vec::new();
    for &(address, bytes) in segments {
        let end = address + bytes.len();
        match joined.last_mut() {
            Some((begin, before)) if address - (*begin + before.len()) <= GAP => {
                *before = memory.get(*begin..end).unwrap_or_default();
            }
            _ => joined.push((address, bytes)),
        }
    }
    joined
}

/// Changes that are none.
pub fn no_changes() -> Vec<u8> {
    encode_changes(&[])
}

fn encode_changes(segments: &[Segment<'_>]) -> Vec<u8> {
    let mut imports = ImportSection::new();
    imports.import(MEMORY_MODULE, MEMORY_NAME, EntityType::Memory(memory_of(0)));
    let mut module = Module::new();
    module.section(&imports).section(&data(segments));
    module.finish()
}

fn memory_of(pages: usize) -> MemoryType {
    MemoryType { minimum: pages as u64, maximum: None, memory64: false, shared: false, page_size_log2: None }
}

fn data(segments: &[Segment<'_>]) -> DataSection {
    let mut data = DataSection::new();
    for (address, bytes) in segments {
        data.active(0, &ConstExpr::i32_const(signed(*address)), bytes.iter().copied());
    }
    data
}

/// The operand of `i32.const` that means this address.
fn signed(address: usize) -> i32 {
    u32::try_from(address).unwrap_or(u32::MAX).cast_signed()
}

/// An address and what is there.
type Segment<'a> = (usize, &'a [u8]);

/// What a memory starts with: these segments, in ascending order, and zeros. As bytes it would be several times as large.
#[derive(Default)]
struct Initial<'a> {
    size: usize,
    segments: Vec<Segment<'a>>,
}

impl<'a> Initial<'a> {
    /// The memory of an image that [`encode`] made.
    fn of(image: &'a [u8]) -> Result<Self, BinaryReaderError> {
        let mut initial = Self::default();
        for payload in Parser::new(0).parse_all(image) {
            match payload? {
                Payload::MemorySection(section) => {
                    for ty in section {
                        initial.size = usize::try_from(ty?.initial).unwrap_or_default() * PAGE_SIZE;
                    }
                }
                Payload::DataSection(section) => {
                    for segment in section {
                        let segment = segment?;
                        let DataKind::Active { offset_expr, .. } = segment.kind else { continue };
                        let Operator::I32Const { value } = offset_expr.get_operators_reader().read()? else { continue };
                        initial.segments.push((value.cast_unsigned() as usize, segment.data));
                    }
                }
                _ => {}
            }
        }
        Ok(initial)
    }

    /// The segments that end behind this address.
    fn from(&self, at: usize) -> &[Segment<'a>] {
        let before = self.segments.partition_point(|(begin, bytes)| begin + bytes.len() <= at);
        self.segments.get(before..).unwrap_or_default()
    }

    fn byte(&self, at: usize) -> u8 {
        let first = self.from(at).first();
        first.and_then(|(begin, bytes)| bytes.get(at.checked_sub(*begin)?)).copied().unwrap_or_default()
    }
}

/// Whether a block at this address is what these segments, which end behind it, start it with.
fn is_initial(block: &[u8], at: usize, segments: &[Segment<'_>]) -> bool {
    // Comparisons of slices, because they are fast in every build.
    match segments.first() {
        Some((begin, bytes)) if *begin <= at && at + block.len() <= begin + bytes.len() => {
            bytes.get(at - begin..).is_some_and(|bytes| bytes.starts_with(block))
        }
        Some((begin, _)) if *begin < at + block.len() => {
            let mut expected = ZEROS;
            for (begin, bytes) in segments.iter().take_while(|(begin, _)| *begin < at + BLOCK) {
                for (index, byte) in bytes.iter().enumerate().skip(at.saturating_sub(*begin)) {
                    let Some(place) = expected.get_mut(begin + index - at) else { break };
                    *place = *byte;
                }
            }
            expected.starts_with(block)
        }
        _ => ZEROS.starts_with(block),
    }
}

/// The parts of `memory` from `start`, a multiple of [`BLOCK`], that are different from `base`.
fn segments<'a>(memory: &'a [u8], base: &Initial<'_>, start: usize) -> Vec<Segment<'a>> {
    let mut found = Vec::new();
    let mut begin = None;
    let mut rest = base.from(start);
    for (index, block) in memory.chunks(BLOCK).enumerate().skip(start / BLOCK) {
        let at = index * BLOCK;
        while let [(begin, bytes), others @ ..] = rest
            && begin + bytes.len() <= at
        {
            rest = others;
        }
        match (is_initial(block, at, rest), begin) {
            (false, None) => begin = Some(at),
            (true, Some(from)) => {
                found.extend(trimmed(memory, base, from..at));
                begin = None;
            }
            _ => {}
        }
    }
    found.extend(begin.and_then(|from| trimmed(memory, base, from..memory.len())));
    found
}

static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// The part of the range from the first difference to the last.
fn trimmed<'a>(memory: &'a [u8], base: &Initial<'_>, range: Range<usize>) -> Option<Segment<'a>> {
    let differs = |at: &usize| memory.get(*at).is_some_and(|byte| *byte != base.byte(*at));
    let first = range.clone().find(differs)?;
    let last = range.rev().find(differs)?;
    Some((first, memory.get(first..=last)?))
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
        let found: Vec<(usize, usize)> =
            segments(&memory, &Initial::default(), BLOCK).into_iter().map(|(at, bytes)| (at, bytes.len())).collect();
        assert_eq!(found, [(BLOCK + 7, 2 * BLOCK - 8), (4 * BLOCK, 1), (8 * BLOCK, 1)]);
    }

    #[test]
    fn what_is_as_it_was_is_left_out_wherever_its_segments_begin_and_end() {
        let parts: [(usize, &[u8]); 4] =
            [(BLOCK + 3, &[1; 2 * BLOCK]), (3 * BLOCK + 9, &[2; 5]), (3 * BLOCK + 20, &[3]), (6 * BLOCK, &[4; BLOCK])];
        let base = Initial { size: 8 * BLOCK, segments: parts.to_vec() };
        let mut memory = vec![0; 8 * BLOCK];
        for (at, bytes) in parts {
            memory[at..at + bytes.len()].copy_from_slice(bytes);
        }
        assert_eq!(segments(&memory, &base, BLOCK), []);
        for at in BLOCK..8 * BLOCK {
            let before = memory[at];
            memory[at] = 9;
            assert_eq!(segments(&memory, &base, BLOCK), [(at, &[9_u8][..])]);
            memory[at] = before;
        }
    }

    #[test]
    fn segments_that_are_close_are_one() {
        let memory: Vec<u8> = (0..4_096_u32).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect();
        let part = |at: usize, length: usize| (at, &memory[at..at + length]);
        let found = joined(&memory, &[part(0, 10), part(10 + GAP, 5), part(16 + 2 * GAP, 1)]);
        assert_eq!(found, [part(0, 15 + GAP), part(16 + 2 * GAP, 1)]);
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
