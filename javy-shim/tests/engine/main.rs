//! The engine in wasmtime: images, handler shapes, web APIs and failures.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests may fail, as tests do"
)]

mod apis;
mod failures;
mod host;
mod shapes;
mod snapshot;
