//! The host's side of `wit/`: one file per interface, each with its own state and view. No file here knows the
//! runtime; `runtime/ctx.rs` composes the states into what a store holds.

pub mod compression;
pub mod crypto;
pub mod db;
pub mod egress;
pub mod encodings;
pub mod env;
pub mod fetch;
pub mod files;
pub mod intl;
pub mod log;
pub mod outgoing;
pub mod user;

use wasmtime::component::{HasData, Linker};

/// What `bindgen!` makes of `wit/`.
#[expect(missing_docs, reason = "generated from the documented WIT")]
mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "caddis:function/function",
        imports: {
            "caddis:function/db": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        require_store_data_send: true,
        with: {
            "wasi:io": wasmtime_wasi::p2::bindings::io,
            "caddis:function/db.connection": super::db::Connection,
            "caddis:function/db.cursor": super::db::CursorHandle,
            "caddis:function/db.transaction": super::db::TransactionHandle,
        },
    });
}

/// What `bindgen!` makes of the interfaces for locales and encodings.
mod generated_intl {
    wasmtime::component::bindgen!({
        path: ["../wit", "../javy-shim/wit"],
        world: "caddis:engine/locales",
        imports: { default: trappable },
        require_store_data_send: true,
        with: { "caddis:engine/encodings.decoder": super::encodings::LegacyDecoder },
    });
}

pub use generated::caddis::function as wit;
pub use generated::{Function, FunctionIndices};

/// Gives each interface its view of a store's data.
pub trait Views: Send + 'static {
    /// State of `db`.
    fn db(&mut self) -> db::DbView<'_>;
    /// State of `env`.
    fn env(&mut self) -> env::EnvView<'_>;
    /// State of `user`.
    fn user(&mut self) -> user::UserView<'_>;
    /// State of `log`.
    fn log(&mut self) -> log::LogView<'_>;
    /// State of `encodings`.
    fn encodings(&mut self) -> encodings::EncodingsView<'_>;
    /// State of `intl`.
    fn intl(&mut self) -> intl::IntlView<'_>;
    /// State of `compression`.
    fn compression(&mut self) -> compression::CompressionView<'_>;
    /// State of `crypto`.
    fn crypto(&mut self) -> crypto::CryptoView<'_>;
    /// State of `outgoing`.
    fn outgoing(&mut self) -> outgoing::OutgoingView<'_>;
}

struct Db;
impl HasData for Db {
    type Data<'a> = db::DbView<'a>;
}

struct Env;
impl HasData for Env {
    type Data<'a> = env::EnvView<'a>;
}

struct User;
impl HasData for User {
    type Data<'a> = user::UserView<'a>;
}

struct Log;
impl HasData for Log {
    type Data<'a> = log::LogView<'a>;
}

struct Encodings;
impl HasData for Encodings {
    type Data<'a> = encodings::EncodingsView<'a>;
}

struct Intl;
impl HasData for Intl {
    type Data<'a> = intl::IntlView<'a>;
}

struct Outgoing;
impl HasData for Outgoing {
    type Data<'a> = outgoing::OutgoingView<'a>;
}

/// Adds every interface of these to a linker.
pub fn link_all<T: Views>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wit::db::add_to_linker::<T, Db>(linker, T::db)?;
    wit::env::add_to_linker::<T, Env>(linker, T::env)?;
    wit::user::add_to_linker::<T, User>(linker, T::user)?;
    wit::log::add_to_linker::<T, Log>(linker, T::log)?;
    generated_intl::caddis::engine::encodings::add_to_linker::<T, Encodings>(linker, T::encodings)?;
    generated_intl::caddis::engine::intl::add_to_linker::<T, Intl>(linker, T::intl)?;
    wit::http::add_to_linker::<T, Outgoing>(linker, T::outgoing)?;
    wit::outgoing::add_to_linker::<T, Outgoing>(linker, T::outgoing)?;
    compression::link(linker)?;
    crypto::link(linker)?;
    Ok(())
}
