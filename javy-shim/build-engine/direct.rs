//! Lowers the imports before the engine is instantiated, so that an instance takes them from the host without a detour.
//!
//! wit-component gives the engine stubs for all imports that need its memory or its allocator, and puts the real functions into their table
//! when the engine is there. In the wrapper the memory is there before; only the allocator is not. So one stub, for `cabi_realloc`, is enough:
//! the imports are lowered where wit-component takes a stub for each. An instance of the wrapper is made for each request, and each import
//! that is passed on costs time.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent, component_utils};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, CodeSection, Component, ComponentAliasSection,
    ComponentExportKind, ConstExpr, ElementSection, Elements, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, ImportSection, InstanceSection, Module, RefType, TableSection, TableType, TypeSection, ValType,
};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentTypeRef, ExternalKind, Instance, Parser, Payload,
};

use crate::Result;

/// What wit-component calls the table of the stubs, and the function in it.
const TABLE: &str = "$imports";
const FIRST: &str = "0";

/// The type of `cabi_realloc`.
const REALLOC: ([ValType; 4], [ValType; 1]) = ([ValType::I32; 4], [ValType::I32]);

/// Changes the wrapper.
pub(crate) fn lower(wrapper: &[u8]) -> Result<Vec<u8>> {
    let plan = Plan::of(wrapper)?;
    let mut changed = Component::new();
    let mut rewriter = Rewriter {
        plan: &plan,
        depth: 0,
        modules: plan.imported_modules,
        instances: 0,
        core_functions: 0,
        functions: 0,
    };
    rewriter.parse_component(&mut changed, Parser::new(0), wrapper)?;
    let changed = changed.finish();
    wasmparser::validate(&changed)?;
    Ok(changed)
}

/// A function of an imported instance, and how it is lowered.
struct Lowered<'a> {
    instance: u32,
    name: &'a str,
    options: Box<[wasmparser::CanonicalOption]>,
}

/// What there is in the wrapper. Indices are those it has before the change.
#[derive(Default)]
struct Plan<'a> {
    /// Core instances: of the stubs, of what goes into their table, of the memory.
    stubs: u32,
    real: u32,
    memory: u32,
    /// Core modules: how many are imported, that of the stubs, and that of what fills their table.
    imported_modules: u32,
    stubs_module: u32,
    filler_module: u32,
    /// The names of the stubs, by their core functions.
    stub_names: HashMap<u32, &'a str>,
    /// What is behind the stub of this name.
    lowered: HashMap<&'a str, Lowered<'a>>,
    /// Core functions that are lowered late, and the functions they are made from.
    late: HashSet<u32>,
    late_functions: HashSet<u32>,
    /// The allocator of the engine among the core functions.
    realloc: u32,
    /// What each core function and each function will be.
    core_functions: HashMap<u32, u32>,
    functions: HashMap<u32, u32>,
    /// The functions that will be lowered in the place of stubs, and the core function that is the one that is left.
    early: HashMap<&'a str, u32>,
    early_realloc: u32,
}

/// What adds to the core instances, the core functions or the functions, in order.
enum Defined {
    Instance,
    Core(u32),
    Function(u32),
}

impl<'a> Plan<'a> {
    fn of(wrapper: &'a [u8]) -> Result<Self> {
        let mut found = Found::default();
        for payload in top_level(wrapper) {
            found.see(payload?)?;
        }
        let mut plan = Self { imported_modules: found.imported_modules, ..Self::default() };
        plan.find_instances(&found)?;
        plan.find_lowered(&mut found)?;
        let stubs = found.core_aliases.iter().filter(|(_, from, _)| *from == plan.stubs);
        plan.stub_names = stubs.map(|(at, _, name)| (*at, *name)).collect();
        plan.number(&found.order);
        Ok(plan)
    }

    fn find_instances(&mut self, found: &Found<'_>) -> Result<()> {
        self.stubs = found.table_of.ok_or(OTHERWISE)?;
        for (index, instance) in (0..).zip(&found.core_instances) {
            match instance {
                Instance::FromExports(exports) if exports.iter().any(|export| export.name == TABLE) => {
                    self.real = index
                }
                Instance::FromExports(_) => {}
                Instance::Instantiate { module_index, args } => {
                    if index == self.stubs {
                        self.stubs_module = *module_index;
                    }
                    for arg in args {
                        match arg.name {
                            "env" => self.memory = arg.index,
                            "" => self.filler_module = *module_index,
                            _ => {}
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn find_lowered(&mut self, found: &mut Found<'a>) -> Result<()> {
        let Some(Instance::FromExports(real)) = found.core_instances.get(self.real as usize) else {
            return Err(OTHERWISE.into());
        };
        for export in real.iter().filter(|export| export.kind == ExternalKind::Func) {
            let (function, options) = found.lowers.remove(&export.index).ok_or(OTHERWISE)?;
            let (instance, name) = *found.aliases.get(&function).ok_or(OTHERWISE)?;
            for option in &options {
                if let wasmparser::CanonicalOption::Realloc(index) = option {
                    self.realloc = *index;
                }
            }
            self.late.insert(export.index);
            self.late_functions.insert(function);
            self.lowered.insert(export.name, Lowered { instance, name, options });
        }
        Ok(())
    }

    /// Finds out what the functions will be.
    fn number(&mut self, order: &[Defined]) {
        let (mut instances, mut core, mut functions) = (0, 0, 0);
        for defined in order {
            match defined {
                Defined::Instance => {
                    if instances == self.stubs {
                        self.early_realloc = core;
                        core += 1;
                    }
                    instances += 1;
                }
                Defined::Core(index) if self.late.contains(index) => {}
                Defined::Core(index) => {
                    if let Some(stub) = self.stub_names.get(index) {
                        self.early.insert(stub, functions);
                        functions += 1;
                    }
                    self.core_functions.insert(*index, core);
                    core += 1;
                }
                Defined::Function(index) if self.late_functions.contains(index) => {}
                Defined::Function(index) => {
                    self.functions.insert(*index, functions);
                    functions += 1;
                }
            }
        }
    }
}

const OTHERWISE: &str = "wit-component does not make stubs in the way it did when this was written";

/// What is defined at the top level of the wrapper.
#[derive(Default)]
struct Found<'a> {
    order: Vec<Defined>,
    imported_modules: u32,
    /// How many core functions and functions there are.
    core: u32,
    functions: u32,
    /// Functions that are exports of imported instances.
    aliases: HashMap<u32, (u32, &'a str)>,
    /// Core functions that are exports of core instances.
    core_aliases: Vec<(u32, u32, &'a str)>,
    /// Core functions that are lowered, from what and how.
    lowers: HashMap<u32, (u32, Box<[wasmparser::CanonicalOption]>)>,
    core_instances: Vec<Instance<'a>>,
    /// The core instance that has the table of the stubs.
    table_of: Option<u32>,
}

impl<'a> Found<'a> {
    fn see(&mut self, payload: Payload<'a>) -> Result<()> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    self.imported_modules += u32::from(matches!(import?.ty, ComponentTypeRef::Module(_)));
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    self.see_alias(alias?);
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section {
                    self.see_canonical(function?);
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    self.order.push(Defined::Instance);
                    self.core_instances.push(instance?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn see_alias(&mut self, alias: ComponentAlias<'a>) {
        match alias {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Func, instance_index, name } => {
                self.aliases.insert(self.functions, (instance_index, name));
                self.add_function();
            }
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, instance_index, name } => {
                self.core_aliases.push((self.core, instance_index, name));
                self.add_core();
            }
            ComponentAlias::CoreInstanceExport { instance_index, name: TABLE, .. } => {
                self.table_of = Some(instance_index)
            }
            _ => {}
        }
    }

    fn see_canonical(&mut self, function: CanonicalFunction) {
        match function {
            CanonicalFunction::Lift { .. } => return self.add_function(),
            CanonicalFunction::Lower { func_index, options } => {
                self.lowers.insert(self.core, (func_index, options));
            }
            _ => {}
        }
        self.add_core();
    }

    fn add_core(&mut self) {
        self.order.push(Defined::Core(self.core));
        self.core += 1;
    }

    fn add_function(&mut self) {
        self.order.push(Defined::Function(self.functions));
        self.functions += 1;
    }
}

/// What is in the component, but not what is in the modules and components in it.
fn top_level(wrapper: &[u8]) -> impl Iterator<Item = wasmparser::Result<Payload<'_>>> {
    let mut depth = 0_u32;
    Parser::new(0).parse_all(wrapper).filter(move |payload| {
        let at_top = depth == 0;
        match payload {
            Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            _ => {}
        }
        at_top
    })
}

struct Rewriter<'a> {
    plan: &'a Plan<'a>,
    /// How deep in nested components and modules.
    depth: u32,
    /// How many core modules, core instances, core functions and functions were seen.
    modules: u32,
    instances: u32,
    core_functions: u32,
    functions: u32,
}

type Done = std::result::Result<(), Error<Infallible>>;

impl Reencode for Rewriter<'_> {
    type Error = Infallible;

    fn function_index(&mut self, index: u32) -> std::result::Result<u32, Error<Infallible>> {
        let changed = self.plan.core_functions.get(&index).filter(|_| self.depth == 0);
        Ok(changed.copied().unwrap_or(index))
    }
}

impl ReencodeComponent for Rewriter<'_> {
    fn push_depth(&mut self) {
        self.depth += 1;
    }

    fn pop_depth(&mut self) {
        self.depth -= 1;
    }

    fn component_func_index(&mut self, index: u32) -> u32 {
        self.plan.functions.get(&index).filter(|_| self.depth == 0).copied().unwrap_or(index)
    }

    fn parse_component_payload(&mut self, component: &mut Component, payload: Payload<'_>, whole: &[u8]) -> Done {
        if self.depth > 0 {
            return component_utils::parse_component_payload(self, component, payload, whole);
        }
        match payload {
            Payload::ComponentAliasSection(section) => {
                section.into_iter().try_for_each(|alias| self.alias(component, alias?))
            }
            Payload::ComponentCanonicalSection(section) => {
                section.into_iter().try_for_each(|function| self.canonical(component, function?))
            }
            Payload::InstanceSection(section) => {
                section.into_iter().try_for_each(|instance| self.instance(component, instance?))
            }
            // The names of functions have other numbers now.
            Payload::CustomSection(_) => Ok(()),
            other => component_utils::parse_component_payload(self, component, other, whole),
        }
    }

    fn parse_component_submodule(&mut self, component: &mut Component, parser: Parser, module: &[u8]) -> Done {
        let index = self.modules;
        self.modules += u32::from(self.depth == 0);
        if self.depth == 0 && index == self.plan.stubs_module {
            component.section(&wasm_encoder::ModuleSection(&stub()));
            return Ok(());
        }
        if self.depth == 0 && index == self.plan.filler_module {
            component.section(&wasm_encoder::ModuleSection(&filler()));
            return Ok(());
        }
        component_utils::parse_component_submodule(self, component, parser, module)
    }
}

impl Rewriter<'_> {
    fn alias(&mut self, component: &mut Component, alias: ComponentAlias<'_>) -> Done {
        match alias {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Func, .. } => {
                self.functions += 1;
                if self.plan.late_functions.contains(&(self.functions - 1)) {
                    return Ok(());
                }
            }
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, .. } => {
                self.core_functions += 1;
                if let Some(stub) = self.plan.stub_names.get(&(self.core_functions - 1)) {
                    return self.lower(component, stub);
                }
            }
            // The engine passes on the memory it imports.
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Memory, .. } => return Ok(()),
            _ => {}
        }
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(self.component_alias(alias)?);
        component.section(&aliases);
        Ok(())
    }

    /// Lowers what is behind a stub, in the place of the stub.
    fn lower(&mut self, component: &mut Component, stub: &str) -> Done {
        let (Some(Lowered { instance, name, options }), Some(function)) =
            (self.plan.lowered.get(stub), self.plan.early.get(stub))
        else {
            return Ok(());
        };
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(Alias::InstanceExport { instance: *instance, kind: ComponentExportKind::Func, name });
        component.section(&aliases);
        let mut options_now = Vec::new();
        for option in options {
            options_now.push(match option {
                wasmparser::CanonicalOption::Realloc(_) => CanonicalOption::Realloc(self.plan.early_realloc),
                other => self.canonical_option(*other)?,
            });
        }
        let mut lowered = CanonicalFunctionSection::new();
        lowered.lower(*function, options_now);
        component.section(&lowered);
        Ok(())
    }

    fn canonical(&mut self, component: &mut Component, function: CanonicalFunction) -> Done {
        if matches!(function, CanonicalFunction::Lift { .. }) {
            self.functions += 1;
        } else {
            self.core_functions += 1;
            if self.plan.late.contains(&(self.core_functions - 1)) {
                return Ok(());
            }
        }
        let mut functions = CanonicalFunctionSection::new();
        self.parse_component_canonical(&mut functions, function)?;
        component.section(&functions);
        Ok(())
    }

    fn instance(&mut self, component: &mut Component, instance: Instance<'_>) -> Done {
        let index = self.instances;
        self.instances += 1;
        let mut instances = InstanceSection::new();
        if index == self.plan.real {
            let realloc = self.function_index(self.plan.realloc)?;
            instances.export_items([(TABLE, ExportKind::Table, 0), (FIRST, ExportKind::Func, realloc)]);
        } else {
            self.parse_instance(&mut instances, instance)?;
        }
        component.section(&instances);
        if index == self.plan.stubs {
            let of = |instance, kind, name| Alias::CoreInstanceExport { instance, kind, name };
            let mut aliases = ComponentAliasSection::new();
            aliases.alias(of(self.plan.memory, ExportKind::Memory, "memory"));
            aliases.alias(of(self.plan.stubs, ExportKind::Func, FIRST));
            component.section(&aliases);
        }
        Ok(())
    }
}

/// A function that calls what is in a table, and the table.
fn stub() -> Module {
    let (mut functions, mut tables, mut exports) = (FunctionSection::new(), TableSection::new(), ExportSection::new());
    functions.function(0);
    tables.table(table());
    exports.export(FIRST, ExportKind::Func, 0).export(TABLE, ExportKind::Table, 0);
    let mut body = Function::new([]);
    let mut code = body.instructions();
    for parameter in 0..4 {
        code.local_get(parameter);
    }
    code.i32_const(0).call_indirect(0, 0).end();
    let mut bodies = CodeSection::new();
    bodies.function(&body);
    let mut module = Module::new();
    module.section(&types()).section(&functions).section(&tables).section(&exports).section(&bodies);
    module
}

/// Puts a function into that table.
fn filler() -> Module {
    let mut imports = ImportSection::new();
    imports.import("", FIRST, EntityType::Function(0)).import("", TABLE, EntityType::Table(table()));
    let mut elements = ElementSection::new();
    elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(vec![0].into()));
    let mut module = Module::new();
    module.section(&types()).section(&imports).section(&elements);
    module
}

fn types() -> TypeSection {
    let mut types = TypeSection::new();
    types.ty().function(REALLOC.0, REALLOC.1);
    types
}

fn table() -> TableType {
    TableType { element_type: RefType::FUNCREF, table64: false, minimum: 1, maximum: Some(1), shared: false }
}
