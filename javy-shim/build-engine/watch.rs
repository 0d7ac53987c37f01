//! Finds out which blocks of the prelude are not the same in the images of programs, and which ones requests write to, if only for a moment: most are
//! objects whose references are counted.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use javy_shim::{BUILDER_INTERFACE, STACK_SIZE, image};
use wasmtime::component::Val;

use crate::Result;
use crate::boot::{Block, HANDLER_INTERFACE, Runner, to_value};
use crate::instrument::{MAP, WORD};
use crate::prelude::Module;
use crate::requests::{PROGRAMS, Program};

/// The numbers of the blocks that the programs of [`PROGRAMS`] and their requests write to, in ascending order. `noting` is an engine that notes
/// what it writes to.
pub(crate) fn written_blocks(runner: &Runner, noting: &Runner, base: &[u8], blocks: &[Block]) -> Result<Vec<u32>> {
    // Of the blocks at one address the last one is there at the end.
    let by_address: BTreeMap<usize, Block> = blocks.iter().map(|block| (block.address, *block)).collect();
    let block_at = |address: usize| {
        let (_, block) = by_address.range(..=address).next_back()?;
        (address < block.address + block.size).then_some(block.number)
    };
    let before = runner.start(base)?.memory()?;
    let mut written = BTreeSet::new();
    for program in PROGRAMS {
        let after = evaluated(runner, base, program)?;
        written.extend(changed_words(&before, &after).filter_map(block_at));
        written.extend(written_words(noting, after, program)?.filter_map(block_at));
    }
    Ok(written.into_iter().collect())
}

/// The memory of an engine that has evaluated the program.
fn evaluated(runner: &Runner, base: &[u8], program: &Program) -> Result<Vec<u8>> {
    let mut running = runner.start(base)?;
    let module = Module { name: "program".to_owned(), code: program.code.to_owned(), imports: Vec::new() };
    let modules = Val::List(vec![to_value(&module)]);
    let evaluated = running.call(BUILDER_INTERFACE, "evaluate", &[Val::String("program".to_owned()), modules])?;
    if !matches!(evaluated, Val::Result(Ok(_))) {
        return Err(format!("a program does not evaluate: {evaluated:?}").into());
    }
    running.memory()
}

/// The addresses of the words above the stack that are not the same.
fn changed_words(before: &[u8], after: &[u8]) -> impl Iterator<Item = usize> {
    let words = before.chunks(WORD).zip(after.chunks(WORD)).enumerate().skip(STACK_SIZE / WORD);
    words.filter(|(_, (before, after))| before != after).map(|(word, _)| word * WORD)
}

/// The addresses of the words that a request writes to, of a program that left this memory.
fn written_words(noting: &Runner, mut memory: Vec<u8>, program: &Program) -> Result<impl Iterator<Item = usize>> {
    memory.resize(MAP.end, 0);
    let mut running = noting.start(&image::encode(&memory))?;
    let answer = running.call(HANDLER_INTERFACE, "handle", &[program.request()])?;
    if !matches!(answer, Val::Result(Ok(_))) {
        return Err(format!("a program does not answer: {answer:?}").into());
    }
    let memory = running.memory()?;
    let Range { start, end } = MAP;
    let words = (start..end.min(memory.len())).filter(move |at| memory.get(*at).is_some_and(|noted| *noted != 0));
    Ok(words.map(|at| (at - MAP.start) * WORD))
}
