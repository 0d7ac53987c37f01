//! Caddis: a self-hosted function host.

pub mod error;
pub mod ids;
pub mod secrets;
pub mod settings;
pub mod store;
pub mod tunables;
