//! `caddis:function/outgoing` and the conversions of `http`: how a function answers.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokio::sync::oneshot;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::DynOutputStream;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::p2::body::{HostOutgoingBody, StreamContext};

use super::wit::http::ResponseHead;
use super::wit::outgoing::{Host, StartError};
use crate::observe::response::SentResponse;
use crate::tunables::{BODY_CHUNK_BYTES, BODY_CHUNKS, HEADER_FIELDS_BYTES};

/// Takes the response of one execution. Consumed by answering, so that there is never a second one.
#[derive(Debug)]
pub struct Responder {
    sender: oneshot::Sender<Response<WasiBody>>,
    sent: SentResponse,
}

/// The client no longer waits for the response.
#[derive(Debug)]
pub struct ClientGone;

impl Responder {
    /// A responder that notes the status it sends, and where the response arrives.
    pub fn new(sent: SentResponse) -> (Self, oneshot::Receiver<Response<WasiBody>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender, sent }, receiver)
    }

    /// Sends the response.
    pub fn send(self, response: Response<WasiBody>) -> Result<(), ClientGone> {
        self.sent.start(response.status());
        self.sender.send(response).map_err(|_| ClientGone)
    }
}

/// What `outgoing` sees of a store.
#[derive(Debug)]
pub struct OutgoingView<'a> {
    /// Streams live here.
    pub table: &'a mut ResourceTable,
    /// None once the response has started.
    pub responder: &'a mut Option<Responder>,
}

impl super::wit::http::Host for OutgoingView<'_> {}

impl Host for OutgoingView<'_> {
    fn start(&mut self, head: ResponseHead) -> wasmtime::Result<Result<Resource<DynOutputStream>, StartError>> {
        let response = match response_head(head) {
            Ok(response) => response,
            Err(error) => return Ok(Err(error)),
        };
        let Some(responder) = self.responder.take() else { return Ok(Err(StartError::AlreadyStarted)) };
        let (mut body, outgoing) = HostOutgoingBody::new(StreamContext::Response, None, BODY_CHUNKS, BODY_CHUNK_BYTES);
        let Some(stream) = body.take_output_stream() else { wasmtime::bail!("a new body has no stream") };
        // `body` is dropped here: from now on the message ends when the stream does.
        drop(body);
        if responder.send(response.map(|()| outgoing)).is_err() {
            return Ok(Err(StartError::Closed));
        }
        Ok(Ok(self.table.push(stream)?))
    }
}

/// Checks the head of a response a guest made.
pub fn response_head(head: ResponseHead) -> Result<Response<()>, StartError> {
    let status = StatusCode::from_u16(head.status)
        .ok()
        .filter(|status| (200..=599).contains(&status.as_u16()))
        .ok_or(StartError::InvalidStatus(head.status))?;
    let mut headers = HeaderMap::new();
    let mut size = 0;
    for (name, value) in head.headers {
        size += name.len() + value.len();
        if size > HEADER_FIELDS_BYTES {
            return Err(StartError::InvalidField(name));
        }
        append(&mut headers, &name, &value).ok_or(StartError::InvalidField(name))?;
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn append(headers: &mut HeaderMap, name: &str, value: &[u8]) -> Option<()> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let value = HeaderValue::from_bytes(value).ok()?;
    if name == CONTENT_LENGTH && (headers.contains_key(CONTENT_LENGTH) || !is_length(&value)) {
        return None;
    }
    headers.try_append(name, value).ok().map(|_| ())
}

/// One or more digits (RFC 9110, section 8.6), and a number; `u64::from_str` alone would take a sign as well.
fn is_length(value: &HeaderValue) -> bool {
    let digits = value.as_bytes().iter().all(u8::is_ascii_digit);
    digits && value.to_str().is_ok_and(|text| text.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        let headers = fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        ResponseHead { status, headers }
    }

    #[test]
    fn duplicates_keep_their_order() {
        let response = response_head(head(201, &[("set-cookie", "a=1"), ("x", "y"), ("set-cookie", "b=2")])).unwrap();
        let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
    }

    #[test]
    fn what_http_forbids_is_named() {
        assert!(matches!(response_head(head(101, &[])), Err(StartError::InvalidStatus(101))));
        assert!(matches!(response_head(head(1000, &[])), Err(StartError::InvalidStatus(1000))));
        for (name, value) in [("a b", "c"), ("x", "a\r\nb: c"), ("content-length", "+5"), ("content-length", "")] {
            let error = response_head(head(200, &[(name, value)])).unwrap_err();
            assert!(matches!(error, StartError::InvalidField(field) if field == name), "{name}: {value}");
        }
    }
}
