//! The engine in wasmtime: images, handler shapes, web APIs and failures.

mod apis;
mod failures;
mod host;
mod shapes;
mod snapshot;
