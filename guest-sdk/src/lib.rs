//! Write Caddis functions in Rust.
//!
//! ```
//! use caddis_sdk::{Context, Request, Response, Result, params};
//!
//! #[caddis_sdk::handler]
//! async fn handle(request: Request, context: Context) -> Result<Response> {
//!     let name = request.query_value("name").unwrap_or_else(|| "world".into());
//!     let visits: Option<i64> = context.db().query_one("SELECT count(*) FROM visits WHERE name = ?", params![&*name]).await?;
//!     Ok(Response::text(format!("hello {name}, visit {}\n", visits.unwrap_or(0) + 1)))
//! }
//! # fn main() {}
//! ```
//!
//! Build with `cargo build --release --target wasm32-wasip2` and upload the `.wasm` file.
//!
//! # Modules
//! `request` and `response` wrap the WIT interfaces `http` and `outgoing`; [`db`], `user` and [`log`](mod@log) the interfaces
//! of the same names; `env` is part of [`Context`]. `error` decides what the client sees of a failure and `run` is the
//! entry. Only these touch the generated bindings.
//!
//! # Waiting
//! A handler runs on the event loop of [`wstd`]: timers ([`time`]), outgoing requests ([`http_client`]), bodies and
//! [`spawn`]ed tasks wait together. Calls to the database and the other host interfaces return when they are done, and
//! nothing else of the same request runs meanwhile. The request ends when the handler and all detached tasks have.
//!
//! # On other targets
//! The crate compiles everywhere, so that the logic of a function can be unit tested, but calls to the host panic there.

#[doc(hidden)]
pub mod bindings;
mod context;
pub mod db;
mod error;
pub mod log;
mod request;
mod response;
mod run;
mod user;

/// Makes an `async fn` the handler of this function. It takes a [`Request`], or a [`Request`] and a [`Context`], and
/// returns `Result<Response>`; errors other than [`Error`] are fine when [`Error`] can be made from them.
pub use caddis_sdk_macro::handler;

pub use bytes::Bytes;
pub use context::Context;
pub use error::{Error, Result};
pub use http;
pub use request::{BodyStream, DEFAULT_BODY_LIMIT, Request};
pub use response::{Response, Writer};
pub use user::User;
pub use wstd;
pub use wstd::http as http_client;
pub use wstd::runtime::spawn;
pub use wstd::time;

/// What [`handler`] expands to; not for direct use.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings::exports::caddis::function::handler as wit;
    pub use crate::run::run;
}
