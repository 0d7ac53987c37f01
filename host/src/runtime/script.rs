//! JavaScript functions: one engine, compiled once, and a memory image for each function.
//!
//! [`ScriptEngine::image`] instantiates the engine on the memory it has after its start, evaluates a program there under the limits of
//! its function, and copies that memory out. [`ScriptEngine::link`] makes the copy callable: what a request gets is the same engine on a
//! copy-on-write mapping of the image. An image may hold what the program read at top level, secrets too, so it is never written
//! to a disk.

use std::fs::File;
use std::io::Seek as _;
use std::os::unix::fs::FileExt as _;

use javy_shim::{BASE_IMAGE, BUILDER_INTERFACE, ENGINE_IMPORT, IMAGE_IMPORT, SNAPSHOT_INTERFACE, image};
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

/// The compiled engine.
pub struct ScriptEngine {
    wrapper: Component,
    linker: Linker<Ctx>,
    /// An engine without a program.
    base: InstancePre<Ctx>,
    /// What an engine is told between two requests.
    rest: ComponentExportIndex,
}

impl ScriptEngine {
    /// Links the compiled engine to what it imports.
    pub fn new(host: &Host, engine: Module, wrapper: Component) -> wasmtime::Result<Self> {
        let mut linker = host.linker().clone();
        linker.root().module(ENGINE_IMPORT, &engine)?;
        let base = with_image(&linker, &wrapper, BASE_IMAGE)?;
        let missing = || wasmtime::format_err!("the engine does not export {BUILDER_INTERFACE}#rest");
        let (_, builder) = wrapper.get_export(None, BUILDER_INTERFACE).ok_or_else(missing)?;
        let (_, rest) = wrapper.get_export(Some(&builder), "rest").ok_or_else(missing)?;
        Ok(Self { wrapper, linker, base, rest })
    }

    /// Evaluates a program and returns its image.
    pub async fn image(
        &self,
        program: Program<'_>,
        parts: CtxParts,
        limits: Limits,
        deadline: Instant,
    ) -> Result<Vec<u8>, Failure> {
        let mut store = Store::new(self.wrapper.engine(), Ctx::new(parts));
        let evaluated = timeout_at(deadline, self.evaluate(&mut store, program, limits.fuel)).await;
        match evaluated {
            Ok(Ok(image)) => Ok(image),
            Ok(Err(error)) => Err(limits.explain(&error, store.data().memory.refusal(), None)),
            Err(_elapsed) => Err(Failure::new(
                Code::Timeout,
                "the module's top level did not end in time: a loop without end, or an await that never settles",
            )),
        }
    }

    async fn evaluate(&self, store: &mut Store<Ctx>, program: Program<'_>, fuel: u64) -> wasmtime::Result<Vec<u8>> {
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
        Ok(image::encode(memory.as_le_slice(&*store)))
    }

    /// Makes an image callable. Compiles it, which is quick because there is no code in it.
    pub fn link(&self, image: &[u8]) -> wasmtime::Result<Linked> {
        let pre = with_image(&self.linker, &self.wrapper, image)?;
        let entry = Entry::Lean(LeanPre::new(pre, Some(self.rest))?);
        Ok(Linked { world: World::Lean, wasi_environment: false, files: true, entry, program: None, memory: None })
    }
}

fn with_image(linker: &Linker<Ctx>, wrapper: &Component, image: &[u8]) -> wasmtime::Result<InstancePre<Ctx>> {
    let mut linker = linker.clone();
    linker.root().module(IMAGE_IMPORT, &image_module(wrapper.engine(), image)?)?;
    linker.instantiate_pre(wrapper)
}

/// Compiles an image into a file that exists in memory only. Wasmtime maps the memory of instances from there; otherwise it would keep
/// what it compiled and a copy to map.
fn image_module(engine: &Engine, image: &[u8]) -> wasmtime::Result<Module> {
    let mut file = File::from(memfd_create("caddis-image", MemfdFlags::CLOEXEC)?);
    write_sparse(&mut file, &engine.precompile_module(image)?)?;
    file.rewind()?;
    let image = module_of_file(engine, file)?;
    Ok(image)
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
