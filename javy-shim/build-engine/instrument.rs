//! An engine that notes which words of its memory it writes to, in a map above everything it uses.

use std::ops::Range;

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{CodeSection, Function, Instruction, MemArg, Module, RawSection, ValType};
use wasmparser::{FunctionBody, Operator, Parser, Payload};

use crate::Result;

/// A byte for each word of what lies below and of what a request may add: 1 if it was written to.
pub(crate) const MAP: Range<usize> = (64 << 20)..(80 << 20);

/// The size of a word in bytes.
pub(crate) const WORD: usize = 1 << WORD_BITS;
const WORD_BITS: i32 = 3;

/// Adds to each store of the module one to the map. What the bulk instructions write is noted by its first word only: no block of the
/// prelude is written to that way more than that tells.
pub(crate) fn note_stores(module: &[u8]) -> Result<Vec<u8>> {
    let mut parameters = Vec::new();
    let mut types = Vec::new();
    let mut code = CodeSection::new();
    let mut noted = Module::new();
    let mut left = 0;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        match &payload {
            Payload::TypeSection(section) => {
                for ty in section.clone().into_iter_err_on_gc_types() {
                    types.push(ty?.params().len());
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section.clone() {
                    parameters.push(*types.get(ty? as usize).ok_or("a function has no type")?);
                }
                parameters.reverse();
            }
            Payload::CodeSectionStart { count, .. } => {
                left = *count;
                continue;
            }
            Payload::CodeSectionEntry(body) => {
                let parameters = parameters.pop().ok_or("a body has no function")?;
                code.function(&note_stores_of(body, u32::try_from(parameters)?)?);
                left -= 1;
                if left == 0 {
                    noted.section(&code);
                }
                continue;
            }
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            let data = module.get(range).ok_or("a section is cut off")?;
            noted.section(&RawSection { id, data });
        }
    }
    let noted = noted.finish();
    wasmparser::validate(&noted)?;
    Ok(noted)
}

fn note_stores_of(body: &FunctionBody<'_>, parameters: u32) -> Result<Function> {
    let mut reencoder = RoundtripReencoder;
    let mut locals = Vec::new();
    let mut next = parameters;
    for local in body.get_locals_reader()? {
        let (count, ty) = local?;
        next += count;
        locals.push((count, reencoder.val_type(ty)?));
    }
    let kept = [ValType::I32, ValType::I32, ValType::I64, ValType::F32, ValType::F64];
    locals.extend(kept.map(|ty| (1, ty)));
    let mut function = Function::new(locals);
    for operator in body.get_operators_reader()? {
        let operator = operator?;
        if let Some((offset, value)) = store(&operator) {
            note(&mut function, offset, next, next + 1 + value);
        }
        function.instruction(&reencoder.instruction(operator)?);
    }
    Ok(function)
}

/// The offset of a store, and which of the kept locals has the type of its value: the first after the address is 0.
fn store(operator: &Operator<'_>) -> Option<(u64, u32)> {
    match operator {
        Operator::I32Store { memarg } | Operator::I32Store8 { memarg } | Operator::I32Store16 { memarg } => {
            Some((memarg.offset, 0))
        }
        Operator::I64Store { memarg }
        | Operator::I64Store8 { memarg }
        | Operator::I64Store16 { memarg }
        | Operator::I64Store32 { memarg } => Some((memarg.offset, 1)),
        Operator::F32Store { memarg } => Some((memarg.offset, 2)),
        Operator::F64Store { memarg } => Some((memarg.offset, 3)),
        _ => None,
    }
}

/// Notes a store whose address and value are on the stack, and leaves them there.
fn note(function: &mut Function, offset: u64, address: u32, value: u32) {
    #[expect(clippy::cast_possible_truncation, reason = "an offset in a memory of 32 bits")]
    let offset = (offset as u32).cast_signed();
    let byte = MemArg { offset: MAP.start as u64, align: 0, memory_index: 0 };
    for instruction in [
        Instruction::LocalSet(value),
        Instruction::LocalTee(address),
        Instruction::I32Const(offset),
        Instruction::I32Add,
        Instruction::I32Const(WORD_BITS),
        Instruction::I32ShrU,
        Instruction::I32Const(1),
        Instruction::I32Store8(byte),
        Instruction::LocalGet(address),
        Instruction::LocalGet(value),
    ] {
        function.instruction(&instruction);
    }
}
