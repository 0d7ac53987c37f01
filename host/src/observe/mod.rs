//! What the host tells its operator and keeps of each execution.

pub mod capture;
pub mod response;
