//! HTTP in and out. A request's way: [`listener`] accepts its connection, [`service`] routes it to a function or to the
//! management API, [`respond`] turns what comes back into a response. [`admin`] has a listener of its own.

pub mod admin;
pub mod body;
pub mod cors;
pub mod credential;
pub mod headers;
pub mod listener;
pub mod rate;
mod realtime;
pub mod respond;
pub mod service;
mod socket;
mod stream;
