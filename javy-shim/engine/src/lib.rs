//! QuickJS-ng as a component: the module that is instantiated on a function's memory image for each request.
//!
//! Three moments, three exports. `builder.boot` runs once, when the engine is built, and evaluates the prelude (`../js`).
//! `builder.evaluate` runs once per deployed function. `handler.handle` runs once per instance, on a copy of the memory that
//! `evaluate` left; or several times, with `builder.rest` in between, if the function wants that. Nothing that depends on the moment (time, random numbers, host resources) may be kept from one to the next.

mod allocator;
mod bindings;
mod event_loop;
mod failure;
mod modules;
mod natives;
mod outcome;
mod runtime;
mod snapshot;

use bindings::exports::caddis::engine::builder::{self, Module};
use bindings::exports::caddis::function::handler::{self, Error, Request, Response};

struct Engine;

impl builder::Guest for Engine {
    fn boot(modules: Vec<Module>, written: Vec<u32>, notes: u32) -> Result<Vec<(u32, u32)>, Error> {
        runtime::boot(modules, written, notes)
    }

    fn evaluate(entry: String, modules: Vec<Module>) -> Result<(), Error> {
        runtime::evaluate(&entry, modules)
    }

    fn rest() {
        runtime::rest();
    }
}

impl handler::Guest for Engine {
    fn handle(request: Request) -> Result<Response, Error> {
        runtime::handle(request)
    }
}

bindings::export!(Engine with_types_in bindings);
