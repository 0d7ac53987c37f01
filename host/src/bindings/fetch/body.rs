//! The bodies of outgoing requests and of their responses.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi_http::{Error, Result, WasiBody};

use crate::bindings::fetch::errors;

/// A guest's body without its data frames of zero bytes. A guest can produce them without end, and whoever takes them
/// would get nowhere without yielding.
pub(super) struct NonEmptyFrames(pub(super) WasiBody);

impl Body for NonEmptyFrames {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && frame.data_ref().is_some_and(Bytes::is_empty)
        {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The body of a response, which owns the connection it comes from: dropping it closes the connection.
pub(super) struct ResponseBody<B> {
    incoming: B,
    patience: Duration,
    /// Runs only while somebody waits for a frame: a guest that takes its time is not the server's fault.
    pause: Option<Pin<Box<Sleep>>>,
    _driver: AbortOnDropJoinHandle<()>,
}

impl<B> ResponseBody<B> {
    /// Fails when the server is silent for longer than `patience`.
    pub(super) fn new(incoming: B, driver: AbortOnDropJoinHandle<()>, patience: Duration) -> Self {
        Self { incoming, patience, pause: None, _driver: driver }
    }
}

impl<B: Body<Data = Bytes, Error = hyper::Error> + Unpin> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) {
            self.pause = None;
            return Poll::Ready(frame.map(|result| result.map_err(|error| errors::from_hyper_body(&error))));
        }
        let patience = self.patience;
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(pause.as_mut().poll(context));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
