//! Runs the new engine, to evaluate the prelude, and takes its memory.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use javy_shim::{BUILDER_INTERFACE, CHANGES_IMPORT, IMAGE_IMPORT, SNAPSHOT_INTERFACE, WASM_STACK_SIZE, image};
use wasmtime::component::{Component, Func, Instance, Linker, Val};
use wasmtime::{Config, Engine, Store};

use crate::module::Parts;
use crate::prelude::Module;
use crate::{Result, instrument, requests, watch, wrapper};

/// What answers requests.
pub(crate) const HANDLER_INTERFACE: &str = "caddis:function/handler@0.1.0";

/// More blocks than the prelude has.
const MOST_BLOCKS: u32 = 1 << 20;

/// The engine, ready to run on an image.
pub(crate) struct Runner {
    engine: Engine,
    component: Component,
    linker: Linker<()>,
}

/// An instance of it.
pub(crate) struct Running {
    store: Store<()>,
    instance: Instance,
}

/// A block of memory: its address, its size, and what number it has in the order of allocation.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    pub(crate) address: usize,
    pub(crate) size: usize,
    pub(crate) number: u32,
}

/// Makes the base image. Evaluates the prelude twice: what requests write to lies together the second time.
pub(crate) fn base_image(component: &[u8], parts: &Parts, prelude: &[Module]) -> Result<Vec<u8>> {
    let runner = Runner::new(&wrapper::rewrite(component, parts)?)?;
    let noted = Parts { engine: instrument::note_stores(&parts.engine)?, ..parts.clone() };
    let noting = Runner::new(&wrapper::rewrite(component, &noted)?)?;
    let (base, blocks) = runner.boot(&parts.memory, prelude, &[], MOST_BLOCKS)?;
    let written = watch::written_blocks(&runner, &noting, &base, &blocks)?;
    let (base, _) = runner.boot(&parts.memory, prelude, &written, 0)?;
    Ok(base)
}

impl Runner {
    fn new(component: &[u8]) -> Result<Self> {
        let mut config = Config::new();
        config.max_wasm_stack(WASM_STACK_SIZE).async_stack_size(WASM_STACK_SIZE * 2);
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, component)?;
        let mut linker: Linker<()> = Linker::new(&engine);
        linker.root().module(CHANGES_IMPORT, &wasmtime::Module::new(&engine, image::no_changes())?)?;
        requests::stop_the_clock(&mut linker)?;
        Ok(Self { engine, component, linker })
    }

    /// Evaluates the prelude. Returns the image, and the first `notes` blocks in the order of allocation.
    ///
    /// Every import but the wall clock traps: the image must not depend on the machine or the moment.
    fn boot(&self, image: &[u8], prelude: &[Module], written: &[u32], notes: u32) -> Result<(Vec<u8>, Vec<Block>)> {
        let mut running = self.start_on(image, &mut self.linker.clone())?;
        let modules = Val::List(prelude.iter().map(to_value).collect());
        let written = Val::List(written.iter().map(|number| Val::U32(*number)).collect());
        let booted = running.call(BUILDER_INTERFACE, "boot", &[modules, written, Val::U32(notes)])?;
        let Val::Result(Ok(Some(blocks))) = booted else {
            return Err(format!("the prelude does not evaluate: {booted:?}").into());
        };
        Ok((image::encode(&running.memory()?), blocks_of(*blocks, notes)?))
    }

    /// Instantiates the engine on an image, with what requests need.
    pub(crate) fn start(&self, image: &[u8]) -> Result<Running> {
        let mut linker = self.linker.clone();
        requests::define_imports(&mut linker)?;
        self.start_on(image, &mut linker)
    }

    fn start_on(&self, image: &[u8], linker: &mut Linker<()>) -> Result<Running> {
        linker.root().module(IMAGE_IMPORT, &wasmtime::Module::new(&self.engine, image)?)?;
        linker.define_unknown_imports_as_traps(&self.component)?;
        let mut store = Store::new(&self.engine, ());
        let instance = run(linker.instantiate_async(&mut store, &self.component))?;
        Ok(Running { store, instance })
    }
}

impl Running {
    pub(crate) fn call(&mut self, interface: &str, name: &str, arguments: &[Val]) -> Result<Val> {
        let function = self.function(interface, name)?;
        let mut results = [Val::Bool(false)];
        run(function.call_async(&mut self.store, arguments, &mut results))?;
        let [result] = results;
        Ok(result)
    }

    /// A copy of the memory.
    pub(crate) fn memory(&mut self) -> Result<Vec<u8>> {
        let read = self.function(SNAPSHOT_INTERFACE, "memory")?.typed::<(), (Vec<u8>,)>(&self.store)?;
        Ok(run(read.call_async(&mut self.store, ()))?.0)
    }

    fn function(&mut self, interface: &str, name: &str) -> Result<Func> {
        let missing = || format!("the engine does not export {interface}.{name}");
        let interface = self.instance.get_export_index(&mut self.store, None, interface).ok_or_else(missing)?;
        let index = self.instance.get_export_index(&mut self.store, Some(&interface), name).ok_or_else(missing)?;
        Ok(self.instance.get_func(&mut self.store, index).ok_or_else(missing)?)
    }
}

/// Runs what never waits.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
    }
}

fn blocks_of(value: Val, notes: u32) -> Result<Vec<Block>> {
    let Val::List(blocks) = value else { return Err("boot does not return a list".into()) };
    if notes > 0 && blocks.len() >= notes as usize {
        return Err(format!("the prelude has more than {notes} blocks: raise MOST_BLOCKS").into());
    }
    let mut found = Vec::with_capacity(blocks.len());
    for (number, block) in (0..).zip(blocks) {
        let Val::Tuple(block) = block else { return Err("a block is not a tuple".into()) };
        let [Val::U32(address), Val::U32(size)] = block[..] else { return Err("a block is not two numbers".into()) };
        found.push(Block { address: address as usize, size: size as usize, number });
    }
    Ok(found)
}

pub(crate) fn to_value(module: &Module) -> Val {
    let imports = module
        .imports
        .iter()
        .map(|(specifier, name)| Val::Tuple(vec![Val::String(specifier.clone()), Val::String(name.clone())]));
    Val::Record(vec![
        ("name".to_owned(), Val::String(module.name.clone())),
        ("code".to_owned(), Val::String(module.code.clone())),
        ("imports".to_owned(), Val::List(imports.collect())),
    ])
}
