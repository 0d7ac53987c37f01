//! Finds modules among the sources the host handed over. The host has resolved every import; nothing is loaded from elsewhere.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::{Declared, Module};
use rquickjs::{Context, Ctx, Error, Result, Runtime, WriteOptions};

use crate::bindings::caddis::function::http::Error as Failure;
use crate::bindings::exports::caddis::engine::builder::Module as Source;
use crate::failure::{caught, plain};

/// Appended to the entry module: a function that the program declares but does not export is invisible from outside.
const HANDLER_BINDINGS: &str = "\n;export const __caddis_handler = \
    typeof handler === 'function' ? handler : \
    typeof default_handler === 'function' ? default_handler : \
    typeof main === 'function' ? main : undefined;\n";

/// The sources that are not loaded yet, and what their imports stand for.
#[derive(Clone, Default)]
pub(crate) struct Modules(Rc<RefCell<Table>>);

#[derive(Default)]
struct Table {
    sources: BTreeMap<String, String>,
    /// Modules compiled ahead: they come without their source text, which every function would repeat.
    bytecode: BTreeMap<String, Vec<u8>>,
    imports: BTreeMap<(String, String), String>,
    entry: String,
}

impl Modules {
    /// Adds modules; a name that is there already is replaced.
    pub(crate) fn add(&self, modules: Vec<Source>) {
        let mut table = self.0.borrow_mut();
        for Source { name, code, imports } in modules {
            for (specifier, target) in imports {
                table.imports.insert((name.clone(), specifier), target);
            }
            table.sources.insert(name, code);
        }
    }

    /// Whether the source of this module waits to be loaded.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.borrow().sources.contains_key(name)
    }

    /// Names the module for which `import.meta.main` is true.
    pub(crate) fn set_entry(&self, name: &str) {
        let mut table = self.0.borrow_mut();
        if let Some(code) = table.sources.get_mut(name) {
            code.push_str(HANDLER_BINDINGS);
        }
        name.clone_into(&mut table.entry);
    }

    /// Compiles the modules that `entry` imports to bytecode without source text, in a context that is thrown away. The entry itself keeps
    /// its source, and is evaluated as any module.
    pub(crate) fn compile_imports(&self, runtime: &Runtime, entry: &str) -> std::result::Result<(), Failure> {
        let source = self.0.borrow().sources.get(entry).cloned().unwrap_or_default();
        runtime.set_loader(self.clone(), Compiler(self.clone()));
        let scratch = Context::full(runtime).map_err(|error| plain(error.to_string()))?;
        scratch.with(|ctx| match Module::declare(ctx.clone(), entry, source) {
            Ok(_) => Ok(()),
            Err(error) => Err(caught(&ctx, error)),
        })?;
        runtime.set_loader(self.clone(), self.clone());
        Ok(())
    }

    /// Compiles a module, without evaluating it.
    pub(crate) fn declare<'js>(&self, ctx: &Ctx<'js>, name: &str) -> Result<Module<'js, Declared>> {
        let bytecode = self.0.borrow_mut().bytecode.remove(name);
        if let Some(bytecode) = bytecode {
            // SAFETY: `compile_imports` wrote it with this very QuickJS.
            return unsafe { Module::load(ctx.clone(), &bytecode) };
        }
        let source = self.0.borrow_mut().sources.remove(name).ok_or_else(|| Error::new_loading(name))?;
        let module = Module::declare(ctx.clone(), name, source)?;
        let meta = module.meta()?;
        meta.set("url", format!("file:///{name}"))?;
        meta.set("main", self.0.borrow().entry == name)?;
        Ok(module)
    }
}

impl Resolver for Modules {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        let table = self.0.borrow();
        let known = table.imports.get(&(base.to_owned(), name.to_owned()));
        // A dynamic import may spell a module's own name.
        let own = || table.sources.contains_key(name).then(|| name.to_owned());
        known.cloned().or_else(own).ok_or_else(|| {
            rquickjs::Exception::throw_reference(ctx, &format!("Cannot find module '{name}', imported by '{base}'"))
        })
    }
}

impl Loader for Modules {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        self.declare(ctx, name)
    }
}

/// Loads modules only to write them down as bytecode.
struct Compiler(Modules);

impl Loader for Compiler {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        let source = self.0.0.borrow_mut().sources.remove(name).ok_or_else(|| Error::new_loading(name))?;
        let module = Module::declare(ctx.clone(), name, source)?;
        let bytecode = module.write(WriteOptions { strip_source: true, ..WriteOptions::default() })?;
        self.0.0.borrow_mut().bytecode.insert(name.to_owned(), bytecode);
        Ok(module)
    }
}
