//! What the host tells its operator and keeps of each execution.

pub mod capture;
pub mod exposition;
pub mod metrics;
pub mod otlp;
pub mod response;
pub mod trace;
