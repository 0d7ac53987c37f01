//! JavaScript functions: one engine, compiled once, and for each function what its program left in memory.
//!
//! [`ScriptEngine::evaluate`] instantiates the engine on the memory it has after its start, evaluates a program there under the limits of
//! its function, and takes what it left. [`ScriptEngine::link`] makes that callable. Most programs change little of the memory ([`Image::Changes`]):
//! their instances all start on one copy-on-write mapping, which a place in the pool keeps from one function to the next, and the changes are copied
//! onto it. Others have a mapping of their own ([`Image::Whole`]). Either may hold what the program read at top level, secrets too, so it is never
//! written to a disk.

use std::fs::File;
use std::io::Seek as _;
use std::os::unix::fs::FileExt as _;

use javy_shim::image::{self, Changes};
use javy_shim::{BASE_IMAGE, BUILDER_INTERFACE, CHANGES_IMPORT, IMAGE_IMPORT, SNAPSHOT_INTERFACE};
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::time::{Instant, timeout_at};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentType, Func, Instance, InstancePre, Lift, Linker, Lower, WasmList,
};
use wasmtime::{Engine, Module, Store};

use super::component::{Entry, Host, LeanPre, Linked, World};
use super::ctx::{Ctx, CtxParts};
use super::execution::prepare;
use super::outcome::{Failure, Limits};
use crate::error::Code;

/// What wasmtime keeps for each segment of a module beside its bytes, at most.
const SEGMENT_BYTES: usize = 320;

/// Bytes of a page of the machine.
const HOST_PAGE: usize = 4096;

/// A program: modules whose imports are resolved.
#[derive(Debug)]
pub struct Program<'a> {
    /// The name of the module to evaluate.
    pub entry: &'a str,
    /// All modules.
    pub modules: Vec<ProgramModule<'a>>,
}

/// A module of a program.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub struct ProgramModule<'a> {
    /// How other modules and stacks call it.
    pub name: &'a str,
    /// ECMAScript module text.
    pub code: &'a str,
    /// What each import specifier stands for.
    pub imports: Vec<(&'a str, &'a str)>,
}

/// What went wrong inside the program.
#[derive(ComponentType, Lift)]
#[component(record)]
struct ProgramError {
    message: String,
    stack: Option<String>,
}

/// What the requests of a program start from.
pub enum Image {
    /// What is different from an engine without a program.
    Changes(Changes),
    /// All of the memory.
    Whole(Vec<u8>),
}

impl Image {
    /// The smaller one that there can be of this memory.
    pub fn of(memory: &[u8]) -> Self {
        image::changes(memory).map_or_else(|| Self::Whole(image::encode(memory)), Self::Changes)
    }

    /// How much it is, in bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Changes(changes) => changes.module.len() + changes.segments * SEGMENT_BYTES,
            Self::Whole(bytes) => bytes.len(),
        }
    }
}

/// The compiled engine.
pub struct ScriptEngine {
    engine: Component,
    /// Has the memory of an engine without a program.
    on_base: Linker<Ctx>,
    /// The same, for light executions: another module, and so other places in the pool.
    on_light_base: Linker<Ctx>,
    /// Has changes that are none.
    unchanged: Linker<Ctx>,
    /// An engine without a program.
    base: InstancePre<Ctx>,
    /// What an engine is told between two requests.
    rest: ComponentExportIndex,
}

impl ScriptEngine {
    /// Links the compiled engine to what it imports.
    pub fn new(host: &Host, engine: Component) -> wasmtime::Result<Self> {
        let on_base = || -> wasmtime::Result<Linker<Ctx>> {
            let mut linker = host.linker().clone();
            linker.root().module(IMAGE_IMPORT, &image_module(host.engine(), BASE_IMAGE)?)?;
            Ok(linker)
        };
        let (on_base, on_light_base) = (on_base()?, on_base()?);
        let mut unchanged = host.linker().clone();
        unchanged.root().module(CHANGES_IMPORT, &Module::new(host.engine(), image::no_changes())?)?;
        // Not the module that requests start on: a place in the pool keeps the pages that were ever written to there, of which an evaluation has many,
        // and goes to instances of the same module.
        let base = instantiate_pre(&engine, &unchanged, IMAGE_IMPORT, &image_module(host.engine(), BASE_IMAGE)?)?;
        let missing = || wasmtime::format_err!("the engine does not export {BUILDER_INTERFACE}#rest");
        let (_, builder) = engine.get_export(None, BUILDER_INTERFACE).ok_or_else(missing)?;
        let (_, rest) = engine.get_export(Some(&builder), "rest").ok_or_else(missing)?;
        Ok(Self { engine, on_base, on_light_base, unchanged, base, rest })
    }

    /// Evaluates a program and returns what `take` makes of the memory it leaves.
    pub async fn evaluate<T>(
        &self,
        program: Program<'_>,
        parts: CtxParts,
        limits: Limits,
        deadline: Instant,
        take: fn(&[u8]) -> T,
    ) -> Result<T, Failure> {
        let mut store = Store::new(self.engine.engine(), Ctx::new(parts));
        let evaluated = timeout_at(deadline, self.evaluate_in(&mut store, program, limits.fuel, take)).await;
        match evaluated {
            Ok(Ok(taken)) => Ok(taken),
            Ok(Err(error)) => Err(limits.explain(&error, store.data().memory.refusal(), None)),
            Err(_elapsed) => Err(Failure::new(
                Code::Timeout,
                "the module's top level did not end in time: a loop without end, or an await that never settles",
            )),
        }
    }

    async fn evaluate_in<T>(
        &self,
        store: &mut Store<Ctx>,
        program: Program<'_>,
        fuel: u64,
        take: fn(&[u8]) -> T,
    ) -> wasmtime::Result<T> {
        prepare(store, fuel)?;
        let instance = self.base.instantiate_async(&mut *store).await?;
        let evaluate = export(store, &instance, BUILDER_INTERFACE, "evaluate")?
            .typed::<(&str, Vec<ProgramModule<'_>>), (Result<(), ProgramError>,)>(&*store)?;
        let (result,) = evaluate.call_async(&mut *store, (program.entry, program.modules)).await?;
        if let Err(ProgramError { message, stack }) = result {
            return Err(Failure { code: Code::FunctionError, message, stack }.into());
        }
        // The engine's own call, of all its memory, which has its limit; calls of the program are over.
        store.set_hostcall_fuel(usize::MAX);
        let memory = export(store, &instance, SNAPSHOT_INTERFACE, "memory")?.typed::<(), (WasmList<u8>,)>(&*store)?;
        let (memory,) = memory.call_async(&mut *store, ()).await?;
        Ok(take(memory.as_le_slice(&*store)))
    }

    /// Makes an image callable. Compiles it, which is quick because there is no code in it.
    pub fn link(&self, image: &Image) -> wasmtime::Result<Linked> {
        let engine = self.engine.engine();
        let pre = match image {
            Image::Changes(changes) => {
                let changes = Module::new(engine, &changes.module)?;
                let on = |linker| instantiate_pre(&self.engine, linker, CHANGES_IMPORT, &changes);
                LeanPre::new(on(&self.on_base)?, Some(self.rest))?.with_light(on(&self.on_light_base)?)
            }
            // It has places of its own.
            Image::Whole(image) => {
                let image = image_module(engine, image)?;
                LeanPre::new(instantiate_pre(&self.engine, &self.unchanged, IMAGE_IMPORT, &image)?, Some(self.rest))?
            }
        };
        let entry = Entry::Lean(pre);
        Ok(Linked { world: World::Lean, wasi_environment: false, files: true, entry, program: None, memory: None })
    }
}

fn instantiate_pre(
    engine: &Component,
    linker: &Linker<Ctx>,
    import: &str,
    module: &Module,
) -> wasmtime::Result<InstancePre<Ctx>> {
    let mut linker = linker.clone();
    linker.root().module(import, module)?;
    linker.instantiate_pre(engine)
}

/// Compiles an image into a file that exists in memory only. Wasmtime maps the memory of instances from there; otherwise it would keep
/// what it compiled and a copy to map.
fn image_module(engine: &Engine, image: &[u8]) -> wasmtime::Result<Module> {
    let mut file = File::from(memfd_create("caddis-image", MemfdFlags::CLOEXEC)?);
    write_sparse(&mut file, &engine.precompile_module(image)?)?;
    file.rewind()?;
    module_of_file(engine, file)
}

#[expect(unsafe_code, reason = "wasmtime cannot check what it compiled before")]
fn module_of_file(engine: &Engine, file: File) -> wasmtime::Result<Module> {
    // SAFETY: the file has what this very engine compiled a moment ago, no other process has it, and nobody writes to it again.
    unsafe { Module::deserialize_open_file(engine, file) }
}

/// Writes the pages that are not zero, and leaves holes for the others.
fn write_sparse(file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    file.set_len(bytes.len() as u64)?;
    let mut at = 0;
    for page in bytes.chunks(HOST_PAGE) {
        if page.iter().any(|&byte| byte != 0) {
            file.write_all_at(page, at)?;
        }
        at += page.len() as u64;
    }
    Ok(())
}

fn export(store: &mut Store<Ctx>, instance: &Instance, interface: &str, name: &str) -> wasmtime::Result<Func> {
    let missing = || wasmtime::format_err!("the engine does not export {interface}#{name}");
    let interface = instance.get_export_index(&mut *store, None, interface).ok_or_else(missing)?;
    let index = instance.get_export_index(&mut *store, Some(&interface), name).ok_or_else(missing)?;
    instance.get_func(&mut *store, index).ok_or_else(missing)
}
