//! Caddis: a self-hosted function host.

pub mod error;
pub mod ids;
pub mod settings;
pub mod store;
pub mod tunables;
