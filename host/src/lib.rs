//! Caddis: a self-hosted function host.
//!
//! # Map
//!
//! Edges go downwards only:
//!
//! ```text
//! cli → app → triggers → http → { router, api } → { invoke, deploy } → { sandbox, js } → runtime → bindings → { store, secrets, files } → { error, ids, settings, threads, tunables }
//! ```
//!
//! `auth` stands beside `invoke`, `data` (the data directory with its key) beside `app`; `observe` serves all. What is *not* there matters as much:
//!
//! - `bindings` never imports `runtime`: each binding owns its state and view, `runtime::ctx` composes them.
//! - Only `store` names rusqlite, only `secrets::seal` the ciphers, only `config` reads the environment, only `cli` prints.
//! - Only `runtime` and `bindings` name wasmtime, but for the linking in `deploy`.
//! - Nothing past `http` and `api` parses a header or chooses a status: an [`error::Error`] carries its code, `http::respond` sends it.
//!
//! # A request
//!
//! `http::listener` accepts, `http::service` routes, `router::table` finds app and function without a lock, `auth` says who
//! calls, `invoke` asks the policy, takes a place, and starts an execution; `runtime::execution` makes a fresh store and
//! instance; the response streams back through `http::body`; the row goes to `store::executions`.
//!
//! `http::admin` has a listener of its own, where no function answers: the pages in `host/admin` and the management API.

pub mod api;
pub mod app;
pub mod auth;
pub mod bindings;
pub mod cli;
pub mod config;
pub mod data;
pub mod deploy;
pub mod error;
pub mod files;
pub mod http;
pub mod ids;
pub mod invoke;
pub mod js;
pub mod observe;
pub mod router;
pub mod runtime;
pub mod sandbox;
pub mod secrets;
pub mod settings;
pub mod store;
pub mod threads;
pub mod triggers;
pub mod tunables;
