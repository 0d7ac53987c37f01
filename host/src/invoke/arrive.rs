//! Waits for small bodies before a function is started: a client that is slow takes no place from others, and an execution that never waits
//! runs to its end at once.

use std::time::Duration;

use futures::stream;
use http::Request;
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::time::timeout;
use wasmtime_wasi_http::WasiBody;

use crate::tunables::BODY_BY_VALUE_BYTES;

/// The request, with all of its body if that has a length that is small. A body that does not arrive in time, or breaks off, is one of which
/// the function sees just that.
pub(super) async fn small_body(request: Request<WasiBody>, patience: Duration) -> Request<WasiBody> {
    let size = request.body().size_hint().exact();
    if !size.is_some_and(|size| (1..=BODY_BY_VALUE_BYTES as u64).contains(&size)) {
        return request;
    }
    let (head, body) = request.into_parts();
    let body = match timeout(patience, body.collect()).await {
        Ok(Ok(collected)) => Full::new(collected.to_bytes()).map_err(|never| match never {}).boxed_unsync(),
        Ok(Err(error)) => StreamBody::new(stream::iter([Err(error)])).boxed_unsync(),
        Err(_elapsed) => StreamBody::new(stream::pending()).boxed_unsync(),
    };
    Request::from_parts(head, body)
}
