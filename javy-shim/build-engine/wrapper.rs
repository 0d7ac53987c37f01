//! Makes the component around engine and image.
//!
//! The imports the engine calls are lowered with its memory and allocator, which exist only when the engine does, which needs its
//! imports first. wit-component knows how to close that circle, so it encodes the whole module as a component, and here that component is
//! changed: the module it contains becomes an import, and its memory comes from a second import.

use std::convert::Infallible;

use javy_shim::{ENGINE_IMPORT, IMAGE_IMPORT};
use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent, RoundtripReencoder, component_utils};
use wasm_encoder::{
    Component, ComponentImportSection, ComponentTypeRef, CoreTypeSection, EntityType, InstanceSection, MemoryType,
    ModuleArg, ModuleType,
};
use wasmparser::{Parser, Payload, TypeRef};
use wit_component::ComponentEncoder;

use crate::Result;

/// The index of the engine among the core modules: wit-component puts the main module first.
const ENGINE: u32 = 0;
/// The index the imported image gets; the modules behind it move by one.
const IMAGE: u32 = 1;
/// The index the instance of the image gets among the core instances: the first, so all others move by one.
const IMAGE_INSTANCE: u32 = 0;

/// Encodes the compiled module as a component.
pub(crate) fn encode(module: &[u8]) -> Result<Vec<u8>> {
    Ok(ComponentEncoder::default().module(module)?.validate(true).encode()?)
}

/// Turns the component into the wrapper. `engine` is the module it will be instantiated with.
pub(crate) fn rewrite(component: &[u8], engine: &[u8]) -> Result<Vec<u8>> {
    let mut wrapper = Component::new();
    let mut rewriter = Rewriter { engine, depth: 0, modules: 0 };
    rewriter.parse_component(&mut wrapper, Parser::new(0), component)?;
    let wrapper = wrapper.finish();
    wasmparser::validate(&wrapper)?;
    Ok(wrapper)
}

struct Rewriter<'a> {
    engine: &'a [u8],
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
        if self.depth == 0 && index >= IMAGE { index + 1 } else { index }
    }

    fn instance_index(&mut self, index: u32) -> u32 {
        if self.depth == 0 { index + 1 } else { index }
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
            return import_modules(component, self.engine);
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
                let mut given: Vec<_> = args.iter().map(|arg| (arg.name, ModuleArg::Instance(arg.index + 1))).collect();
                given.push(("env", ModuleArg::Instance(IMAGE_INSTANCE)));
                instances.instantiate(ENGINE, given);
                Ok(())
            }
            other => component_utils::parse_instance(self, instances, other),
        }
    }
}

/// Imports the two modules and instantiates the image.
fn import_modules(component: &mut Component, engine: &[u8]) -> std::result::Result<(), Error<Infallible>> {
    let (engine, memory) = engine_type(engine)?;
    let mut image = ModuleType::new();
    image.export("memory", EntityType::Memory(memory));
    let mut types = CoreTypeSection::new();
    types.ty().module(&engine);
    types.ty().module(&image);
    let mut imports = ComponentImportSection::new();
    imports.import(ENGINE_IMPORT, ComponentTypeRef::Module(ENGINE));
    imports.import(IMAGE_IMPORT, ComponentTypeRef::Module(IMAGE));
    let mut instances = InstanceSection::new();
    instances.instantiate::<_, &str>(IMAGE, []);
    component.section(&types).section(&imports).section(&instances);
    Ok(())
}

/// The imports and exports of the engine, and the type of its memory.
fn engine_type(engine: &[u8]) -> std::result::Result<(ModuleType, MemoryType), Error<Infallible>> {
    let mut reencoder = RoundtripReencoder;
    let mut ty = ModuleType::new();
    let mut memory = MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };
    let mut function_types = Vec::new();
    for payload in Parser::new(0).parse_all(engine) {
        match payload? {
            Payload::TypeSection(section) => {
                for function in section.into_iter_err_on_gc_types() {
                    let function = reencoder.func_type(function?)?;
                    ty.ty().func_type(&function);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(index) => function_types.push(index),
                        TypeRef::Memory(imported) => memory = reencoder.memory_type(imported)?,
                        _ => {}
                    }
                    ty.import(import.module, import.name, reencoder.entity_type(import.ty)?);
                }
            }
            Payload::FunctionSection(section) => {
                for index in section {
                    function_types.push(index?);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    let entity = match export.kind {
                        wasmparser::ExternalKind::Func => {
                            let function = usize::try_from(export.index).unwrap_or(usize::MAX);
                            function_types.get(function).map(|index| EntityType::Function(*index))
                        }
                        wasmparser::ExternalKind::Memory => Some(EntityType::Memory(memory)),
                        _ => None,
                    };
                    if let Some(entity) = entity {
                        ty.export(export.name, entity);
                    }
                }
            }
            _ => {}
        }
    }
    Ok((ty, memory))
}
