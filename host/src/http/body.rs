//! Bodies on their way in and out. A body ends well only if the execution behind it does.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::AbortHandle;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::sync::Notify;
use wasmtime_wasi_http::WasiBody;

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

/// The body of a request as a guest reads it: at most `limit` bytes.
pub fn incoming(body: Incoming, limit: usize) -> WasiBody {
    Limited::new(body, limit)
        .map_err(move |error| {
            if error.is::<LengthLimitError>() {
                return wasmtime_wasi_http::Error::HttpRequestBodySize(Some(limit as u64));
            }
            match error.downcast::<hyper::Error>() {
                Ok(error) => wasmtime_wasi_http::Error::Hyper(*error),
                Err(_) => wasmtime_wasi_http::Error::HttpProtocolError,
            }
        })
        .boxed_unsync()
}

const RUNNING: u8 = 0;
const SUCCEEDED: u8 = 1;
const FAILED: u8 = 2;

/// What an execution and the body of its response tell each other.
#[derive(Debug, Clone, Default)]
pub struct Completion(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    execution: AtomicU8,
    body_ended: Notify,
}

impl Completion {
    /// The execution has ended.
    pub fn set(&self, succeeded: bool) {
        self.0.execution.store(if succeeded { SUCCEEDED } else { FAILED }, Ordering::Release);
    }

    /// Counts the execution as failed if it ends without [`Completion::set`]: by a panic or by being cancelled.
    pub fn guard(&self) -> CompletionGuard {
        CompletionGuard(self.clone())
    }

    /// Waits until the body was sent or given up.
    pub async fn body_ended(&self) {
        self.0.body_ended.notified().await;
    }

    fn failed(&self) -> bool {
        self.0.execution.load(Ordering::Acquire) == FAILED
    }
}

/// See [`Completion::guard`].
#[derive(Debug)]
pub struct CompletionGuard(Completion);

impl Drop for CompletionGuard {
    fn drop(&mut self) {
        let _ = self.0.0.execution.compare_exchange(RUNNING, FAILED, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Cancels an execution when dropped, unless it was allowed to go on.
#[derive(Debug)]
pub struct CancelOnDrop(Option<AbortHandle>);

impl CancelOnDrop {
    /// Cancels through this handle.
    pub fn new(handle: AbortHandle) -> Self {
        Self(Some(handle))
    }

    /// Lets the execution go on.
    pub fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            handle.abort();
        }
    }
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
}

impl ResponseBody {
    /// A body of at most `limit` bytes. Dropping it before its end means that the client is gone, and cancels the execution.
    pub fn new(
        inner: WasiBody,
        announced: Option<u64>,
        limit: u64,
        completion: Completion,
        cancel: CancelOnDrop,
    ) -> Self {
        Self { inner, announced, sent: 0, limit, ended: false, completion, cancel }
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
        self.completion.0.body_ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::abortable;

    fn body(inner: WasiBody, limit: u64) -> (ResponseBody, Completion, AbortHandle) {
        let completion = Completion::default();
        let (_, handle) = abortable(std::future::pending::<()>());
        let cancel = CancelOnDrop::new(handle.clone());
        (ResponseBody::new(inner, None, limit, completion.clone(), cancel), completion, handle)
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

    #[test]
    fn ending_without_a_word_counts_as_failure() {
        let completion = Completion::default();
        drop(completion.guard());
        assert!(completion.failed());
    }
}
