//! Caddis: a self-hosted function host.

pub mod bindings;
pub mod error;
pub mod ids;
pub mod settings;
pub mod tunables;
