//! Running WebAssembly. Four lifetimes, each a type, and nothing of one kept in another:
//!
//! - [`component::Host`]: one per process: the engine and everything a guest may import.
//! - [`component::Linked`]: one per version of a function: compiled, linked, ready to instantiate.
//! - [`execution::Execution`]: one per request: a fresh store and instance, gone with the response.
//! - [`ctx::Ctx`]: what that store holds.

pub mod admission;
pub mod cache;
pub mod compile;
pub mod component;
pub mod ctx;
pub mod engine;
pub mod execution;
pub mod instances;
pub mod limits;
pub mod outcome;
pub mod scheduler;
pub mod script;
pub mod signals;
pub mod turns;
pub mod weight;
