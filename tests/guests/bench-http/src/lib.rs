//! What the benchmarks measure of `wasi:http/incoming-handler@0.2`, by way of the crate `wstd`.

use serde_json::Value;
use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(mut request: Request<Body>) -> Result<Response<Body>, Error> {
    let value: Value = serde_json::from_slice(request.body_mut().contents().await?)?;
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(serde_json::to_vec(&value)?.into())?)
}
