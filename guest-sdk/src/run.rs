//! The entry: from the host's request to the host's response.

use crate::bindings::caddis::function::http as wit;
use crate::{Context, Error, Request, Response};

/// Answers one request with `handler`, on an event loop that lives as long as the request.
///
/// # Errors
/// The failure to report to the host.
pub fn run<E: Into<Error>>(
    request: wit::Request,
    handler: impl AsyncFnOnce(Request, Context) -> Result<Response, E>,
) -> Result<wit::Response, wit::Error> {
    // Streams must be dropped while the event loop still runs: all of the answer is made inside.
    wstd::runtime::block_on(async move {
        let request = Request::from_wit(request).map_err(Error::into_failure)?;
        match handler(request, Context).await {
            Ok(response) => response,
            Err(error) => error.into().into_answer()?,
        }
        .send()
        .await
    })
}
