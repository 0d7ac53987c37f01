//! Makes the component around the engine.
//!
//! The imports the engine calls are lowered with its memory and allocator, which exist only when the engine does, which needs its
//! imports first. wit-component knows how to close that circle, so it encodes the whole module as a component, and here that component is
//! changed: the module in it gives way to the one without a memory, and the memory comes from an import, once another has written to it.

use std::convert::Infallible;

use javy_shim::image::{MEMORY_MODULE, MEMORY_NAME};
use javy_shim::{CHANGES_IMPORT, IMAGE_IMPORT};
use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent, component_utils};
use wasm_encoder::{
    Component, ComponentImportSection, ComponentSectionId, ComponentTypeRef, CoreTypeSection, EntityType,
    InstanceSection, MemoryType, ModuleArg, ModuleType, RawSection,
};
use wasmparser::Parser;
use wit_component::ComponentEncoder;

use crate::module::Parts;
use crate::{Result, direct};

/// The index of the engine among the core modules: wit-component puts the main module first.
const ENGINE: u32 = 0;
/// The indices the imported modules get; the modules behind them move by as many.
const IMAGE: u32 = 1;
const CHANGES: u32 = 2;
/// The indices of their types among the core types: there are no others.
const IMAGE_TYPE: u32 = 0;
const CHANGES_TYPE: u32 = 1;
/// The index of the image's instance among the core instances. The one of the changes is next, so all others move by two.
const IMAGE_INSTANCE: u32 = 0;
const ADDED: u32 = 2;

/// Encodes the compiled module as a component.
pub(crate) fn encode(module: &[u8]) -> Result<Vec<u8>> {
    Ok(ComponentEncoder::default().module(module)?.validate(true).encode()?)
}

/// Puts the parts of the module in its place.
pub(crate) fn rewrite(component: &[u8], parts: &Parts) -> Result<Vec<u8>> {
    let mut wrapper = Component::new();
    let mut rewriter = Rewriter { parts, depth: 0, modules: 0 };
    rewriter.parse_component(&mut wrapper, Parser::new(0), component)?;
    direct::lower(&wrapper.finish())
}

struct Rewriter<'a> {
    parts: &'a Parts,
    /// How deep in nested components and modules; indices change at the top only.
    depth: u32,
    /// How many core modules were seen.
    modules: u32,
}

impl Reencode for Rewriter<'_> {
    type Error = Infallible;
}

impl ReencodeComponent for Rewriter<'_> {
    fn push_depth(&mut self) {
        self.depth += 1;
    }

    fn pop_depth(&mut self) {
        self.depth -= 1;
    }

    fn module_index(&mut self, index: u32) -> u32 {
        if self.depth == 0 && index > ENGINE { index + ADDED } else { index }
    }

    fn instance_index(&mut self, index: u32) -> u32 {
        if self.depth == 0 { index + ADDED } else { index }
    }

    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        parser: Parser,
        module: &[u8],
    ) -> std::result::Result<(), Error<Self::Error>> {
        let index = self.modules;
        self.modules += 1;
        if index == ENGINE {
            component.section(&RawSection { id: ComponentSectionId::CoreModule.into(), data: &self.parts.engine });
            import_modules(component, self.parts.memory_type);
            return Ok(());
        }
        component_utils::parse_component_submodule(self, component, parser, module)
    }

    fn parse_instance(
        &mut self,
        instances: &mut InstanceSection,
        instance: wasmparser::Instance<'_>,
    ) -> std::result::Result<(), Error<Self::Error>> {
        match instance {
            wasmparser::Instance::Instantiate { module_index: ENGINE, args } => {
                let mut given: Vec<_> =
                    args.iter().map(|arg| (arg.name, ModuleArg::Instance(arg.index + ADDED))).collect();
                given.push((MEMORY_MODULE, ModuleArg::Instance(IMAGE_INSTANCE)));
                instances.instantiate(ENGINE, given);
                Ok(())
            }
            other => component_utils::parse_instance(self, instances, other),
        }
    }
}

/// Imports the two modules and instantiates them.
fn import_modules(component: &mut Component, memory: MemoryType) {
    let memory = EntityType::Memory(memory);
    let (mut image, mut changes) = (ModuleType::new(), ModuleType::new());
    image.export(MEMORY_NAME, memory);
    changes.import(MEMORY_MODULE, MEMORY_NAME, memory);
    let mut types = CoreTypeSection::new();
    types.ty().module(&image);
    types.ty().module(&changes);
    let mut imports = ComponentImportSection::new();
    imports.import(IMAGE_IMPORT, ComponentTypeRef::Module(IMAGE_TYPE));
    imports.import(CHANGES_IMPORT, ComponentTypeRef::Module(CHANGES_TYPE));
    let mut instances = InstanceSection::new();
    instances.instantiate::<_, &str>(IMAGE, []);
    instances.instantiate(CHANGES, [(MEMORY_MODULE, ModuleArg::Instance(IMAGE_INSTANCE))]);
    component.section(&types).section(&imports).section(&instances);
}
