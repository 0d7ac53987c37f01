//! Takes the compiled module apart: code here, memory there.

use std::path::Path;

use javy_shim::STACK_SIZE;
use javy_shim::image::{MEMORY_MODULE, MEMORY_NAME};
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    DataSection, EntityType, ExportKind, ExportSection, ImportSection, MemorySection, MemoryType, Module, RawSection,
};
use wasmparser::{GlobalType, Operator, Parser, Payload};
use wit_component::{StringEncoding, embed_component_metadata};

use crate::Result;

/// The engine's code, and the memory it starts with.
#[derive(Clone)]
pub(crate) struct Parts {
    /// The module without its memory, which it imports, and without data.
    pub(crate) engine: Vec<u8>,
    /// A module that exports a memory with that data.
    pub(crate) memory: Vec<u8>,
    /// What that memory is.
    pub(crate) memory_type: MemoryType,
}

/// Adds the type of `caddis:engine/snapshot`, an export that is not made by bindings.
pub(crate) fn with_reader(module: &[u8], package: &Path) -> Result<Vec<u8>> {
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_path(package.join("../wit"))?;
    let (id, _) = resolve.push_path(package.join("wit"))?;
    let world = resolve.select_world(&[id], Some("reader"))?;
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}

/// Separates code and memory.
///
/// A start function is left out: all the linker puts there is the clearing of memory, which an image has done already.
pub(crate) fn split(module: &[u8]) -> Result<Parts> {
    let mut engine = Module::new();
    let mut memory = Module::new();
    let mut reencoder = RoundtripReencoder;
    let mut memory_type = None;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        match &payload {
            Payload::MemorySection(section) => {
                let ty = section.clone().into_iter().next().ok_or("the engine has no memory")??;
                memory_type = Some(reencoder.memory_type(ty)?);
            }
            Payload::GlobalSection(section) => check_globals(section.clone())?,
            _ => {}
        }
    }
    let memory_type = memory_type.ok_or("the engine has no memory")?;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        match payload {
            Payload::ImportSection(section) => {
                let mut imports = ImportSection::new();
                imports.import(MEMORY_MODULE, MEMORY_NAME, EntityType::Memory(memory_type));
                reencoder.parse_import_section(&mut imports, section)?;
                engine.section(&imports);
            }
            Payload::DataSection(section) => {
                let mut data = DataSection::new();
                reencoder.parse_data_section(&mut data, section)?;
                append_memory(&mut memory, memory_type, &data);
            }
            Payload::MemorySection(_)
            | Payload::DataCountSection { .. }
            | Payload::StartSection { .. }
            | Payload::CustomSection(_) => {}
            other => {
                if let Some((id, range)) = other.as_section() {
                    let data = module.get(range).ok_or("a section is cut off")?;
                    engine.section(&RawSection { id, data });
                }
            }
        }
    }
    let parts = Parts { engine: engine.finish(), memory: memory.finish(), memory_type };
    wasmparser::validate(&parts.engine)?;
    wasmparser::validate(&parts.memory)?;
    Ok(parts)
}

fn append_memory(module: &mut Module, memory_type: MemoryType, data: &DataSection) {
    let mut memories = MemorySection::new();
    memories.memory(memory_type);
    let mut exports = ExportSection::new();
    exports.export(MEMORY_NAME, ExportKind::Memory, 0);
    module.section(&memories).section(&exports).section(data);
}

/// An image is memory and nothing else. That is all there is to copy as long as the only other state is the stack pointer,
/// which between calls is where it began: at the end of the stack.
fn check_globals(section: wasmparser::GlobalSectionReader<'_>) -> Result<()> {
    let mut mutable = 0;
    for global in section {
        let global = global?;
        let GlobalType { mutable: true, .. } = global.ty else {
            continue;
        };
        mutable += 1;
        match global.init_expr.get_operators_reader().read()? {
            Operator::I32Const { value } if usize::try_from(value) == Ok(STACK_SIZE) => {}
            other => return Err(format!("a mutable global starts with {other:?}, not with the stack size").into()),
        }
    }
    if mutable == 1 {
        Ok(())
    } else {
        Err(format!("the engine has {mutable} mutable globals; an image can copy none but the stack pointer").into())
    }
}
