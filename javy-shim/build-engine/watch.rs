//! Finds out which blocks of the prelude requests write to, if only for a moment: most are objects whose references are counted.

use std::collections::{BTreeMap, BTreeSet};

use javy_shim::{BUILDER_INTERFACE, image};
use wasmtime::component::Val;

use crate::Result;
use crate::boot::{Block, HANDLER_INTERFACE, Runner, to_value};
use crate::instrument::{MAP, WORD};
use crate::prelude::Module;
use crate::requests::{PROGRAMS, Program};

/// The numbers of the blocks that the requests of [`PROGRAMS`] write to, in ascending order. `noting` is an engine that notes what it writes to.
pub(crate) fn written_blocks(runner: &Runner, noting: &Runner, base: &[u8], blocks: &[Block]) -> Result<Vec<u32>> {
    // Of the blocks at one address the last one is there at the end.
    let by_address: BTreeMap<usize, Block> = blocks.iter().map(|block| (block.address, *block)).collect();
    let mut written = BTreeSet::new();
    for program in PROGRAMS {
        for address in written_words(runner, noting, base, program)? {
            let block = by_address.range(..=address).next_back().map(|(_, block)| block);
            written.extend(block.filter(|block| address < block.address + block.size).map(|block| block.number));
        }
    }
    Ok(written.into_iter().collect())
}

/// The addresses of the words that a request writes to.
fn written_words(runner: &Runner, noting: &Runner, base: &[u8], program: &Program) -> Result<Vec<usize>> {
    let mut running = runner.start(base)?;
    let module = Module { name: "program".to_owned(), code: program.code.to_owned(), imports: Vec::new() };
    let modules = Val::List(vec![to_value(&module)]);
    let evaluated = running.call(BUILDER_INTERFACE, "evaluate", &[Val::String("program".to_owned()), modules])?;
    if !matches!(evaluated, Val::Result(Ok(_))) {
        return Err(format!("a program does not evaluate: {evaluated:?}").into());
    }
    let mut memory = running.memory()?;
    memory.resize(MAP.end, 0);
    let mut running = noting.start(&image::encode(&memory))?;
    let answer = running.call(HANDLER_INTERFACE, "handle", &[program.request()])?;
    if !matches!(answer, Val::Result(Ok(_))) {
        return Err(format!("a program does not answer: {answer:?}").into());
    }
    let memory = running.memory()?;
    let map = memory.get(MAP).ok_or("the memory is too short")?;
    Ok(map.iter().enumerate().filter(|(_, noted)| **noted != 0).map(|(word, _)| word * WORD).collect())
}
