//! The JavaScript engine of Caddis, as a host uses it.
//!
//! The engine is one core module, compiled once per host. A function is only a memory image: the memory the engine has after it has
//! evaluated the function's source. A request gets a fresh instance of the engine on a copy-on-write copy of that image.
//!
//! ```text
//!  wrapper (component) ── imports ──┬── "engine": core module, all the code, imports its memory
//!                                   └── "image":  core module, exports "memory", no code
//! ```
//!
//! To make an image, instantiate the wrapper with [`ENGINE`] and [`BASE_IMAGE`], call `caddis:engine/builder.evaluate` and then
//! `caddis:engine/snapshot.memory`, and hand what that returns to [`image::encode`]. To serve, instantiate the wrapper with [`ENGINE`]
//! and the image and call `caddis:function/handler.handle`. Nothing but memory has to be copied: the build checks that the stack
//! pointer is the engine's only mutable global, and between calls it has the value it starts with.
//!
//! What the wrapper imports is in `wit/`: the lean world, WASI, and `caddis:engine`, by which the host does what needs
//! large tables or speed: locales, legacy encodings, cryptography.
//!
//! The files in `prebuilt/` are built from `engine/` and `js/` by `cargo engine`.

pub mod image;
pub mod node;
pub mod standalone;

/// The engine: a core module that imports its memory as `env.memory` and whatever WIT functions the wrapper lowers.
pub const ENGINE: &[u8] = include_bytes!("../prebuilt/engine.wasm");

/// The component around engine and image. It imports both as core modules, named [`ENGINE_IMPORT`] and [`IMAGE_IMPORT`].
pub const WRAPPER: &[u8] = include_bytes!("../prebuilt/wrapper.wasm");

/// The image of an engine that has started and has not been given a program.
pub const BASE_IMAGE: &[u8] = include_bytes!("../prebuilt/base.wasm");

/// The name of the wrapper's import of the engine.
pub const ENGINE_IMPORT: &str = "engine";

/// The name of the wrapper's import of the image.
pub const IMAGE_IMPORT: &str = "image";

/// The WIT interface of the wrapper that evaluates a program.
pub const BUILDER_INTERFACE: &str = "caddis:engine/builder@0.1.0";

/// The WIT interface of the wrapper that reads the memory.
pub const SNAPSHOT_INTERFACE: &str = "caddis:engine/snapshot@0.1.0";

/// The size of the shadow stack in bytes, a multiple of [`PAGE_SIZE`]. It lies at address 0, and nothing on it is alive between calls.
pub const STACK_SIZE: usize = 3 << 20;

/// The size of a page of WebAssembly memory in bytes.
pub const PAGE_SIZE: usize = 65_536;

/// The wasm stack an engine needs for one call, in bytes: with less, deep recursion in a script overflows the host's limit and traps before QuickJS
/// can throw its RangeError. (`wasmtime::Config::max_wasm_stack`; an async stack must be larger by what host functions use.)
pub const WASM_STACK_SIZE: usize = 32 << 20;
