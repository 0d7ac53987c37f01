//! The response, whole or streamed.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;

use serde::Serialize;
use wstd::io::AsyncOutputStream;

use crate::bindings::caddis::function::http as wit;
use crate::bindings::caddis::function::outgoing::{self, StartError};
use crate::{Error, Result};

/// A response. Status and header fields are checked by the host: it answers `invalid_response` for what HTTP forbids.
///
/// ```
/// use caddis_sdk::Response;
///
/// let response = Response::html("<h1>gone</h1>").with_status(410).with_header("set-cookie", "seen=1");
/// assert_eq!(response.status(), 410);
/// ```
#[derive(Debug)]
pub struct Response {
    head: wit::ResponseHead,
    body: Body,
}

enum Body {
    Whole(Vec<u8>),
    Stream(Work),
}

/// Writes a streamed body.
type Work = Box<dyn FnOnce(Writer) -> Pin<Box<dyn Future<Output = Result<()>>>>>;

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Stream(_) => f.write_str("stream"),
        }
    }
}

impl Response {
    /// A response with this status (200 to 599), no header fields and no body.
    pub fn new(status: u16) -> Self {
        Self { head: wit::ResponseHead { status, headers: Vec::new() }, body: Body::Whole(Vec::new()) }
    }

    /// Status 204 without a body.
    pub fn empty() -> Self {
        Self::new(204)
    }

    /// Status 200 with plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(200).with_header("content-type", "text/plain; charset=utf-8").with_body(text.into())
    }

    /// Status 200 with HTML.
    pub fn html(html: impl Into<String>) -> Self {
        Self::new(200).with_header("content-type", "text/html; charset=utf-8").with_body(html.into())
    }

    /// Status 200 with JSON.
    ///
    /// # Errors
    /// When the value has no JSON form, such as a map whose keys are not strings.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        Ok(Self::new(200).with_header("content-type", "application/json").with_body(serde_json::to_vec(value)?))
    }

    /// An error for programs and people: `{"error": "Not Found", "code": "not_found", "message": …}`, the shape of the
    /// host's own errors.
    pub fn error(status: u16, message: impl fmt::Display) -> Self {
        let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let reason = reason.unwrap_or("Error");
        let code = reason.to_ascii_lowercase().replace(|character: char| !character.is_ascii_alphanumeric(), "_");
        let body = serde_json::json!({ "error": reason, "code": code, "message": message.to_string() });
        Self::new(status).with_header("content-type", "application/json").with_body(body.to_string())
    }

    /// Status 302 to this location; [`Response::with_status`] makes it another kind of redirect.
    pub fn redirect(location: impl AsRef<str>) -> Self {
        Self::new(302).with_header("location", location.as_ref())
    }

    /// Status 200 with a body that `work` writes after the head has been sent; each write is sent at once. The request goes on
    /// until `work` ends, so this is also the way to go on working after the answer.
    ///
    /// When `work` fails, the client sees a broken message, never a short one that looks complete, and the execution fails.
    ///
    /// ```
    /// use caddis_sdk::{Response, time};
    ///
    /// let response = Response::stream(|mut writer| async move {
    ///     for second in 0..3 {
    ///         writer.write(format!("{second}\n")).await?;
    ///         time::Timer::after(time::Duration::from_secs(1)).wait().await;
    ///     }
    ///     Ok(())
    /// })
    /// .with_header("content-type", "text/plain");
    /// ```
    pub fn stream<Writing>(work: impl FnOnce(Writer) -> Writing + 'static) -> Self
    where
        Writing: Future<Output = Result<()>> + 'static,
    {
        Self { body: Body::Stream(Box::new(|writer| Box::pin(work(writer)))), ..Self::new(200) }
    }

    /// Sets the status: 200 to 599.
    pub fn with_status(mut self, status: u16) -> Self {
        self.head.status = status;
        self
    }

    /// Adds a header field after those already there, also when one has the same name.
    pub fn with_header(mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        self.head.headers.push((name.as_ref().to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// Replaces the body.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Whole(body.into());
        self
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The header fields, in order.
    pub fn headers(&self) -> &[(String, Vec<u8>)] {
        &self.head.headers
    }

    /// The body, unless it is streamed.
    pub fn body(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Whole(bytes) => Some(bytes),
            Body::Stream(_) => None,
        }
    }

    /// Hands the response to the host; a streamed one is at its end when this returns.
    pub(crate) async fn send(self) -> Result<wit::Response, wit::Error> {
        match self.body {
            Body::Whole(body) => Ok(wit::Response::Whole(wit::WholeResponse { head: self.head, body })),
            Body::Stream(work) => {
                let stream = outgoing::start(&self.head).map_err(|error| start_failed(&error).into_failure())?;
                let stream = Rc::new(AsyncOutputStream::new(stream));
                match work(Writer(Rc::clone(&stream))).await {
                    Ok(()) => Ok(wit::Response::Streamed),
                    Err(error) => {
                        // Dropping the stream would tell the host that the body is complete.
                        std::mem::forget(stream);
                        Err(error.into_failure())
                    }
                }
            }
        }
    }
}

fn start_failed(error: &StartError) -> Error {
    match error {
        StartError::AlreadyStarted => Error::new("a response was already started for this request"),
        StartError::InvalidStatus(status) => {
            Error::new(format_args!("the response's status {status} is not in 200 to 599"))
        }
        StartError::InvalidField(name) => {
            Error::new(format_args!("the response's header field {name:?} has a name or value that HTTP forbids"))
        }
        StartError::Closed => Error::new("the client went away"),
    }
}

/// Writes the body of a streamed response.
#[derive(Debug)]
pub struct Writer(Rc<AsyncOutputStream>);

impl Writer {
    /// Sends all these bytes, waiting while the client is slow.
    ///
    /// # Errors
    /// When the client went away.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        match bytes.as_ref() {
            [] => Ok(()),
            bytes => Ok(self.0.write_all(bytes).await?),
        }
    }

    /// Waits until everything written has been sent on.
    ///
    /// # Errors
    /// When the client went away.
    pub async fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_are_added_in_order_and_in_lower_case() {
        let response = Response::text("x").with_header("Set-Cookie", "a=1").with_header("set-cookie", "b=2");
        let fields: Vec<_> = response.headers().iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(
            fields,
            [("content-type", &b"text/plain; charset=utf-8"[..]), ("set-cookie", b"a=1"), ("set-cookie", b"b=2")]
        );
    }

    #[test]
    fn a_whole_response_is_passed_on_as_it_is() {
        let sent = wstd::runtime::block_on(Response::redirect("/x").with_status(307).send()).unwrap();
        let wit::Response::Whole(whole) = sent else { panic!("not whole") };
        assert_eq!((whole.head.status, whole.body.len()), (307, 0));
        assert_eq!(whole.head.headers, [("location".to_owned(), b"/x".to_vec())]);
    }

    #[test]
    fn json_that_cannot_be_written_is_an_error() {
        let keys_that_are_lists = std::collections::BTreeMap::from([(vec![1], 1)]);
        assert!(Response::json(&keys_that_are_lists).is_err());
    }
}
