//! From a compiled component to something that can be called: its world, its imports, its pre-instantiation.

use std::sync::Arc;

use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};
use wasmtime::{Engine, Store};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use super::ctx::Ctx;
use super::instances::Lean;
use super::limits::Share;
use super::weight::Weight;
use crate::bindings::{self, FunctionIndices};
use crate::error::{Code, Error};
use crate::js::bundle::Bundle;

/// What a component exports, and so how it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// `caddis:function/handler@0.1`.
    Lean,
    /// `wasi:http/incoming-handler@0.2`.
    Http02,
    /// `wasi:http/handler@0.3`.
    Http03,
}

/// Worlds in order of preference, with the interface that marks them.
const WORLDS: [(World, &str, &str); 3] = [
    (World::Lean, "caddis:function/handler", "0.1"),
    (World::Http03, "wasi:http/handler", "0.3"),
    (World::Http02, "wasi:http/incoming-handler", "0.2"),
];

/// What the host implements: package, version track it is compatible with, interfaces.
const INTERFACES: [(&str, &str, &[&str]); 15] = [
    ("caddis:engine", "0.1", &["compression", "crypto", "encodings", "files", "intl"]),
    ("caddis:function", "0.1", &["db", "env", "http", "log", "outgoing", "user"]),
    ("wasi:cli", "0.2", CLI),
    ("wasi:cli", "0.3", CLI),
    ("wasi:clocks", "0.2", &["monotonic-clock", "wall-clock"]),
    ("wasi:clocks", "0.3", &["monotonic-clock", "system-clock", "types"]),
    ("wasi:filesystem", "0.2", &["preopens", "types"]),
    ("wasi:filesystem", "0.3", &["preopens", "types"]),
    ("wasi:http", "0.2", &["outgoing-handler", "types"]),
    ("wasi:http", "0.3", &["client", "types"]),
    ("wasi:io", "0.2", &["error", "poll", "streams"]),
    ("wasi:random", "0.2", &["insecure", "insecure-seed", "random"]),
    ("wasi:random", "0.3", &["insecure", "insecure-seed", "random"]),
    ("wasi:sockets", "0.2", SOCKETS),
    ("wasi:sockets", "0.3", SOCKETS),
];

const CLI: &[&str] = &[
    "environment",
    "exit",
    "stderr",
    "stdin",
    "stdout",
    "terminal-input",
    "terminal-output",
    "terminal-stderr",
    "terminal-stdin",
    "terminal-stdout",
    "types",
];

const SOCKETS: &[&str] =
    &["instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "types", "udp", "udp-create-socket"];

impl World {
    /// The name clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lean => "caddis:function/handler@0.1",
            Self::Http02 => "wasi:http/incoming-handler@0.2",
            Self::Http03 => "wasi:http/handler@0.3",
        }
    }
}

/// A component that can be called: instantiating it looks nothing up.
pub enum Entry {
    /// The lean world.
    Lean(LeanPre),
    /// WASI 0.2.
    Http02(ProxyPre<Ctx>),
    /// WASI 0.3.
    Http03(ServicePre<Ctx>),
}

/// A component of the lean world.
pub struct LeanPre {
    instance: InstancePre<Ctx>,
    /// The same for executions that need little, and whether those of this one do.
    light: Option<(InstancePre<Ctx>, Weight)>,
    exports: FunctionIndices,
    /// What it is to be told between two requests, if it is to be told.
    rest: Option<ComponentExportIndex>,
}

impl LeanPre {
    /// A component; `rest` is a function without parameters and results that makes an instance ready for another request.
    pub fn new(instance: InstancePre<Ctx>, rest: Option<ComponentExportIndex>) -> wasmtime::Result<Self> {
        let exports = FunctionIndices::new(&instance)?;
        Ok(Self { instance, light: None, exports, rest })
    }

    /// With other places in the pool for executions that need little.
    pub fn with_light(self, instance: InstancePre<Ctx>) -> Self {
        Self { light: Some((instance, Weight::default())), ..self }
    }

    /// Notes what an execution has used.
    pub fn used(&self, fuel: u64) {
        if let Some((_, weight)) = &self.light {
            weight.note(fuel);
        }
    }

    fn instance(&self) -> &InstancePre<Ctx> {
        match &self.light {
            Some((light, weight)) if weight.is_light() => light,
            _ => &self.instance,
        }
    }

    /// An instance of it.
    pub async fn instantiate(&self, store: &mut Store<Ctx>) -> wasmtime::Result<Lean> {
        let fuel = store.get_fuel()?;
        let instance = self.instance().instantiate_async(&mut *store).await?;
        if self.rest.is_some() {
            // An engine runs nothing yet. wasmtime counts what is copied into its memory, and how much that is is our choice.
            store.set_fuel(fuel)?;
        }
        let function = self.exports.load(store, &instance)?;
        Ok(Lean { function, rest: self.rest.map(|index| (instance, index)) })
    }
}

/// Links components to the host's interfaces.
pub struct Host {
    engine: Engine,
    linker: Linker<Ctx>,
}

impl Host {
    /// Everything a guest may import.
    pub fn new(engine: Engine) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        bindings::files::link(&mut linker)?;
        bindings::link_all(&mut linker)?;
        Ok(Self { engine, linker })
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Everything a guest may import, to add to.
    pub fn linker(&self) -> &Linker<Ctx> {
        &self.linker
    }

    /// Makes a component callable, or says what is wrong with it.
    pub fn link(&self, component: &Component) -> Result<Linked, Error> {
        let world = self.world(component)?;
        let imports = self.imports(component);
        let pre = self.linker.instantiate_pre(component).map_err(|error| self.explain(&imports, &error))?;
        let wasi_environment = imports.iter().any(|name| name.starts_with("wasi:cli/environment@"));
        // The descriptors of both are of one kind in the host, and 0.3 keeps no account of what it changes.
        let asks = [("wasi:filesystem/preopens", "0.2"), ("caddis:engine/files", "0.1")];
        let files = asks.iter().any(|(interface, track)| imports_on(&imports, interface, track))
            && !imports.iter().any(|name| name.starts_with("wasi:filesystem/") && name.contains("@0.3"));
        Ok(Linked { world, wasi_environment, files, entry: enter(world, pre)?, program: None, memory: None })
    }

    fn imports(&self, component: &Component) -> Vec<String> {
        component.component_type().imports(&self.engine).map(|(name, _)| name.to_owned()).collect()
    }

    fn world(&self, component: &Component) -> Result<World, Error> {
        let exports: Vec<String> =
            component.component_type().exports(&self.engine).map(|(name, _)| name.to_owned()).collect();
        let found = WORLDS
            .iter()
            .find(|(_, interface, version)| exports.iter().any(|name| is_compatible(name, interface, version)));
        found.map(|(world, ..)| *world).ok_or_else(|| no_handler(&exports))
    }

    fn explain(&self, imports: &[String], error: &wasmtime::Error) -> Error {
        let unknown: Vec<&str> = imports.iter().map(String::as_str).filter(|name| !is_known(name)).collect();
        let message = if unknown.is_empty() {
            format!("the component does not fit this host: {error:#}")
        } else {
            format!("the component imports what this host does not have: {}", unknown.join(", "))
        };
        Error::new(Code::InvalidComponent, message)
    }
}

/// A component that fits the host.
pub struct Linked {
    /// How it is called.
    pub world: World,
    /// Whether it reads `wasi:cli/environment`.
    pub wasi_environment: bool,
    /// Whether it asks for files, and in a version that has them here.
    pub files: bool,
    /// What is called.
    pub entry: Entry,
    /// The program it was made from, if it is JavaScript: for stacks in its author's lines.
    pub program: Option<Arc<Bundle>>,
    /// What it takes of the budget between its executions: machine code, or an image.
    pub memory: Option<Share>,
}

fn enter(world: World, pre: InstancePre<Ctx>) -> Result<Entry, Error> {
    let entry = match world {
        World::Lean => LeanPre::new(pre, None).map(Entry::Lean),
        World::Http02 => ProxyPre::new(pre).map(Entry::Http02),
        World::Http03 => ServicePre::new(pre).map(Entry::Http03),
    };
    entry.map_err(|error| {
        Error::new(Code::InvalidComponent, format!("the component's {} export does not fit: {error:#}", world.as_str()))
    })
}

fn no_handler(exports: &[String]) -> Error {
    let found = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
    let wanted = WORLDS.map(|(_, interface, version)| format!("{interface}@{version}")).join(", ");
    Error::new(Code::InvalidComponent, format!("the component exports {found}; a function exports one of {wanted}"))
}

/// Whether an interface name like `wasi:http/types@0.2.3` is this interface on this version track.
fn is_compatible(name: &str, interface: &str, track: &str) -> bool {
    name.split_once('@').is_some_and(|(found, version)| found == interface && on_track(version, track))
}

fn imports_on(imports: &[String], interface: &str, track: &str) -> bool {
    imports.iter().any(|name| is_compatible(name, interface, track))
}

fn on_track(version: &str, track: &str) -> bool {
    version.strip_prefix(track).is_some_and(|patch| patch.is_empty() || patch.starts_with('.'))
}

fn is_known(import: &str) -> bool {
    let Some((path, version)) = import.split_once('@') else { return false };
    let Some((package, interface)) = path.split_once('/') else { return false };
    INTERFACES.iter().any(|(known, track, interfaces)| {
        *known == package && on_track(version, track) && interfaces.contains(&interface)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patch_versions_are_compatible_and_others_are_not() {
        assert!(is_known("wasi:io/streams@0.2.0"));
        assert!(is_known("wasi:io/streams@0.2.99"));
        assert!(!is_known("wasi:io/streams@0.20.0"));
        assert!(!is_known("wasi:io/streams"));
        assert!(!is_known("wasi:keyvalue/store@0.2.0"));
        assert!(!is_known("caddis:function/queue@0.1.0"));
    }
}
