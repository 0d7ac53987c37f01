//! Responses, good and bad.

use wasip2::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::OutputStream;

/// A response body that is being sent.
pub struct Sending {
    // Before the body it belongs to: fields are dropped in order.
    stream: OutputStream,
    body: OutgoingBody,
}

/// Sends the head.
pub fn start(to: ResponseOutparam, response: OutgoingResponse) -> Sending {
    let body = response.body().expect("the body is there");
    ResponseOutparam::set(to, Ok(response));
    Sending { stream: body.write().expect("the stream is there"), body }
}

impl Sending {
    /// Sends this much, and waits until the host has taken it.
    pub fn send(&self, bytes: &[u8]) {
        for piece in bytes.chunks(4096) {
            self.stream.blocking_write_and_flush(piece).expect("the client reads");
        }
    }

    fn finish(self) {
        drop(self.stream);
        // Refused when it is shorter than promised; the test looks at what the client sees of it.
        let _ = OutgoingBody::finish(self.body, None);
    }
}

/// A good response.
pub fn text(to: ResponseOutparam, text: &str) {
    let sending = start(to, OutgoingResponse::new(Fields::new()));
    sending.send(text.as_bytes());
    sending.finish();
}

/// A head that promises 100 bytes, and a body of 5.
pub fn promise_more_than_sent(to: ResponseOutparam) {
    let fields = Fields::new();
    fields.append("content-length", b"100").expect("a valid field");
    let sending = start(to, OutgoingResponse::new(fields));
    sending.send(b"short");
    sending.finish();
}

/// This many MiB of the letter x.
pub fn megabytes(to: ResponseOutparam, count: usize) {
    let sending = start(to, OutgoingResponse::new(Fields::new()));
    let megabyte = vec![b'x'; 1024 * 1024];
    for _ in 0..count {
        sending.send(&megabyte);
    }
    sending.finish();
}
