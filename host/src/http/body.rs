//! Bodies on their way in and out. A response ends well only if the execution behind it does.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use wasmtime_wasi_http::WasiBody;

use crate::invoke::Delivery;
use crate::runtime::signals::{Arrival, CancelOnDrop, Completion, Fault};

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body of any kind, as the connection sends it.
pub type AnyBody = UnsyncBoxBody<Bytes, BodyError>;

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> AnyBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// No body.
pub fn empty() -> AnyBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// The body of a request as a guest reads it: at most `limit` bytes. Beside it, what becomes of it.
pub fn incoming(body: Incoming, limit: usize) -> (WasiBody, Arrival) {
    let arrival = Arrival::default();
    let noted = arrival.clone();
    let body = Limited::new(body, limit).map_err(move |error| {
        if error.is::<LengthLimitError>() {
            noted.note(Fault::TooLarge { limit });
            return wasmtime_wasi_http::Error::HttpRequestBodySize(Some(limit as u64));
        }
        noted.note(Fault::Broken);
        match error.downcast::<hyper::Error>() {
            Ok(error) => wasmtime_wasi_http::Error::Hyper(*error),
            Err(_) => wasmtime_wasi_http::Error::HttpProtocolError,
        }
    });
    (body.boxed_unsync(), arrival)
}

/// The body of a function's response.
#[derive(Debug)]
pub struct ResponseBody {
    inner: WasiBody,
    /// What `content-length` promises, if it does: a connection does not ask for more than that.
    announced: Option<u64>,
    sent: u64,
    limit: u64,
    ended: bool,
    completion: Completion,
    cancel: CancelOnDrop,
    delivery: Delivery,
}

impl ResponseBody {
    /// A body of at most `limit` bytes. Dropping it before its end means that the client is gone, and cancels the execution.
    pub fn new(
        inner: WasiBody,
        announced: Option<u64>,
        limit: u64,
        completion: Completion,
        cancel: CancelOnDrop,
        delivery: Delivery,
    ) -> Self {
        Self { inner, announced, sent: 0, limit, ended: false, completion, cancel, delivery }
    }

    fn end(&mut self) {
        self.ended = true;
        self.cancel.release();
    }

    fn count(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.sent = self.sent.saturating_add(bytes as u64);
        if self.sent > self.limit {
            return Err(format!("the response is over the host's limit of {} bytes", self.limit).into());
        }
        if self.announced == Some(self.sent) {
            self.end();
        }
        Ok(())
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let frame = match Pin::new(&mut self.inner).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.to_string().into()))),
                Poll::Ready(None) if self.completion.failed() => {
                    return Poll::Ready(Some(Err("the function failed after it had started its response".into())));
                }
                Poll::Ready(None) => {
                    self.end();
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            let size = frame.data_ref().map(Bytes::len);
            // An empty chunk would end a chunked message; and a guest could send them without end.
            if size == Some(0) {
                continue;
            }
            if let Err(error) = self.count(size.unwrap_or(0)) {
                return Poll::Ready(Some(Err(error)));
            }
            if let Some(part) = frame.data_ref() {
                self.delivery.saw(part);
            }
            return Poll::Ready(Some(Ok(frame)));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A body with nothing (more) in it is dropped by the connection without being asked for its end.
        if self.inner.is_end_stream() && !self.completion.failed() {
            self.end();
        }
        self.completion.end_body();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::{AbortHandle, abortable};

    fn body(inner: WasiBody, limit: u64) -> (ResponseBody, Completion, AbortHandle) {
        let completion = Completion::default();
        let (_, handle) = abortable(std::future::pending::<()>());
        let cancel = CancelOnDrop::new(handle.clone());
        (ResponseBody::new(inner, None, limit, completion.clone(), cancel, Delivery::default()), completion, handle)
    }

    fn text(text: &'static str) -> WasiBody {
        Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync()
    }

    #[tokio::test]
    async fn a_failed_execution_breaks_its_body() {
        let (body, completion, _) = body(text("half"), 100);
        completion.set(false);
        assert!(body.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_complete_body_lets_the_execution_go_on() {
        let (body, _, handle) = body(text("whole"), 100);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "whole");
        assert!(!handle.is_aborted());
    }

    #[tokio::test]
    async fn a_dropped_body_cancels_the_execution() {
        let (body, _, handle) = body(text("unread"), 100);
        drop(body);
        assert!(handle.is_aborted());
    }

    #[tokio::test]
    async fn a_body_over_the_limit_breaks() {
        let (body, ..) = body(text("12345"), 4);
        assert!(body.collect().await.is_err());
    }
}
