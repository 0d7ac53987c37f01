//! What a handler fails with, and what the client sees of it.

use std::fmt;

use http::StatusCode;

use crate::Response;
use crate::bindings::caddis::function::http as wit;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of a handler. `?` makes one from any standard error and from `anyhow::Error`.
///
/// Without a status it is a failure of the function: the client gets status 500 with code `function_error`, and the
/// execution counts as failed. With a status it is an answer: see [`Response::error`].
///
/// ```
/// use caddis_sdk::{Error, Result};
///
/// fn port(text: &str) -> Result<u16> {
///     let port: u16 = text.parse()?;
///     if port == 0 { Err(Error::status(422, "port 0 means nothing here")) } else { Ok(port) }
/// }
/// assert_eq!(port("0").unwrap_err().to_string(), "port 0 means nothing here");
/// assert_eq!(port("x").unwrap_err().to_string(), "invalid digit found in string");
/// ```
pub struct Error {
    status: Option<StatusCode>,
    cause: anyhow::Error,
}

impl Error {
    /// A failure of the function with this message.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { status: None, cause: anyhow::Error::msg(message.to_string()) }
    }

    /// An answer with this status and message. Statuses outside 400 to 599 become 500.
    pub fn status(status: u16, message: impl fmt::Display) -> Self {
        Self::new(message).with_status(status)
    }

    /// Turns a failure into an answer with this status: the client sees the whole message. Statuses outside 400 to 599
    /// become 500.
    ///
    /// ```
    /// # use caddis_sdk::{Error, Result};
    /// # fn id(text: &str) -> Result<i64> {
    /// let id = text.parse().map_err(|error| Error::from(error).with_status(400));
    /// # id }
    /// # let _ : Result<i64> = id("7");
    /// ```
    pub fn with_status(mut self, status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let is_error = status.is_client_error() || status.is_server_error();
        self.status = Some(if is_error { status } else { StatusCode::INTERNAL_SERVER_ERROR });
        self
    }

    /// The response for the client, or the failure to report to the host.
    pub(crate) fn into_answer(self) -> Result<Response, wit::Error> {
        match self.status {
            Some(status) => Ok(Response::error(status.as_u16(), self)),
            None => Err(self.into_failure()),
        }
    }

    /// The failure to report to the host, whatever the status: for when a response has already begun.
    pub(crate) fn into_failure(self) -> wit::Error {
        wit::Error { message: self.to_string(), stack: None }
    }
}

/// The message and those of all causes, parted by `: `.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.cause)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("status", &self.status).field("cause", &self.cause).finish()
    }
}

impl<E: Into<anyhow::Error>> From<E> for Error {
    fn from(cause: E) -> Self {
        Self { status: None, cause: cause.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("reading the port")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_foreign_error_fails_the_function_with_its_chain() {
        let error = Error::from(Outer("x".parse::<u8>().unwrap_err()));
        let failure = error.into_answer().err().unwrap();
        assert_eq!(failure.message, "reading the port: invalid digit found in string");
    }

    #[test]
    fn an_error_with_a_status_is_a_json_answer() {
        let response = Error::status(404, "no such note").into_answer().unwrap();
        assert_eq!(response.status(), 404);
        let body: serde_json::Value = serde_json::from_slice(response.body().unwrap()).unwrap();
        assert_eq!(body, serde_json::json!({ "error": "Not Found", "message": "no such note", "code": "not_found" }));
    }

    #[test]
    fn a_status_that_is_no_error_becomes_500() {
        for status in [0, 99, 200, 302, 600, 1000] {
            assert_eq!(Error::status(status, "x").into_answer().unwrap().status(), 500);
        }
    }
}
