//! What guests can reach outside their sandbox, one file per interface.

pub mod egress;
pub mod fetch;
