//! The JavaScript engine of Caddis, as a host uses it.
//!
//! The engine is one component, compiled once per host. A function is only memory: what the engine has there after it has evaluated the
//! function's source. A request gets a fresh instance of the engine on a copy of that memory.
//!
//! ```text
//!  engine (component) ─┬─ core module: all the code, imports its memory
//!                      ├─ imports "image":   core module, exports "memory", no code
//!                      └─ imports "changes": core module, imports "memory" and writes to it, no code
//! ```
//!
//! A program that leaves most of the memory as it found it is stored as its [changes](image::changes) to [`BASE_IMAGE`]: instances of all such programs
//! share one copy-on-write mapping of that image, and the changes are copied onto it. Any other has an [image of its own](image::encode), and
//! [none](image::no_changes) to make to it.
//!
//! To make either, instantiate the engine with [`BASE_IMAGE`] and no changes, call `caddis:engine/builder.evaluate` and then
//! `caddis:engine/snapshot.memory`. To serve, instantiate the engine with both and call `caddis:function/handler.handle`. Nothing but memory has to be
//! copied: the build checks that the stack pointer is the engine's only mutable global, and between calls it has the value it starts with.
//!
//! What else the engine imports is in `wit/`: the lean world, WASI, and `caddis:engine`, by which the host does what needs
//! large tables or speed: locales, legacy encodings, cryptography.
//!
//! The files in `prebuilt/` are built from `engine/` and `js/` by `cargo engine`.

pub mod image;
pub mod node;
pub mod standalone;

/// The engine: a component that imports [`IMAGE_IMPORT`] and [`CHANGES_IMPORT`] as core modules.
pub const ENGINE: &[u8] = include_bytes!("../prebuilt/engine.wasm");

/// The image of an engine that has started and has not been given a program.
pub const BASE_IMAGE: &[u8] = include_bytes!("../prebuilt/base.wasm");

/// The name of the engine's import of the image: the memory.
pub const IMAGE_IMPORT: &str = "image";

/// The name of the engine's import of the changes: what is different in the memory.
pub const CHANGES_IMPORT: &str = "changes";

/// The WIT interface of the engine that evaluates a program.
pub const BUILDER_INTERFACE: &str = "caddis:engine/builder@0.1.0";

/// The WIT interface of the engine that reads the memory.
pub const SNAPSHOT_INTERFACE: &str = "caddis:engine/snapshot@0.1.0";

/// The size of the shadow stack in bytes, a multiple of [`PAGE_SIZE`]. It lies at address 0, and nothing on it is alive between calls.
pub const STACK_SIZE: usize = 3 << 20;

/// The size of a page of WebAssembly memory in bytes.
pub const PAGE_SIZE: usize = 65_536;

/// The wasm stack an engine needs for one call, in bytes: with less, deep recursion in a script overflows the host's limit and traps before QuickJS
/// can throw its RangeError. (`wasmtime::Config::max_wasm_stack`; an async stack must be larger by what host functions use.)
pub const WASM_STACK_SIZE: usize = 32 << 20;
