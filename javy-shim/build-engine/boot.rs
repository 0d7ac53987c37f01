//! Runs the new engine once, to evaluate the prelude, and takes its memory.

use javy_shim::{BUILDER_INTERFACE, ENGINE_IMPORT, IMAGE_IMPORT, SNAPSHOT_INTERFACE, WASM_STACK_SIZE, image};
use wasmtime::component::{Component, Func, Instance, Linker, Val};
use wasmtime::{Config, Engine, Store};

use crate::Result;
use crate::module::Parts;
use crate::prelude::Module;

/// Makes the base image. Every import but the wall clock traps: the image must not depend on the machine or the moment.
pub(crate) fn base_image(wrapper: &[u8], parts: &Parts, prelude: Vec<Module>) -> Result<Vec<u8>> {
    let mut config = Config::new();
    config.max_wasm_stack(WASM_STACK_SIZE).async_stack_size(WASM_STACK_SIZE * 2);
    let engine = Engine::new(&config)?;
    let component = Component::new(&engine, wrapper)?;
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.root().module(ENGINE_IMPORT, &wasmtime::Module::new(&engine, &parts.engine)?)?;
    linker.root().module(IMAGE_IMPORT, &wasmtime::Module::new(&engine, &parts.memory)?)?;
    stop_the_clock(&mut linker)?;
    linker.define_unknown_imports_as_traps(&component)?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &component)?;
    let modules = Val::List(prelude.into_iter().map(to_value).collect());
    let mut result = [Val::Bool(false)];
    function(&mut store, &instance, BUILDER_INTERFACE, "boot")?.call(&mut store, &[modules], &mut result)?;
    let [Val::Result(Ok(_))] = result else {
        return Err(format!("the prelude does not evaluate: {result:?}").into());
    };
    let read = function(&mut store, &instance, SNAPSHOT_INTERFACE, "memory")?.typed::<(), (Vec<u8>,)>(&store)?;
    let (memory,) = read.call(&mut store, ())?;
    Ok(image::encode(&memory))
}

fn stop_the_clock(linker: &mut Linker<()>) -> Result<()> {
    linker.instance("wasi:clocks/wall-clock@0.2.0")?.func_new("now", |_, _, _, results| {
        if let Some(result) = results.first_mut() {
            *result = Val::Record(vec![("seconds".into(), Val::U64(0)), ("nanoseconds".into(), Val::U32(0))]);
        }
        Ok(())
    })?;
    Ok(())
}

fn function(store: &mut Store<()>, instance: &Instance, interface: &str, name: &str) -> Result<Func> {
    let missing = || format!("the wrapper does not export {interface}.{name}");
    let interface = instance.get_export_index(&mut *store, None, interface).ok_or_else(missing)?;
    let index = instance.get_export_index(&mut *store, Some(&interface), name).ok_or_else(missing)?;
    Ok(instance.get_func(&mut *store, index).ok_or_else(missing)?)
}

fn to_value(module: Module) -> Val {
    let imports =
        module.imports.into_iter().map(|(specifier, name)| Val::Tuple(vec![Val::String(specifier), Val::String(name)]));
    Val::Record(vec![
        ("name".to_owned(), Val::String(module.name)),
        ("code".to_owned(), Val::String(module.code)),
        ("imports".to_owned(), Val::List(imports.collect())),
    ])
}
