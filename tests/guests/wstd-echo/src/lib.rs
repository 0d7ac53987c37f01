//! Answers through `wasi:http/incoming-handler@0.2`, by way of the crate `wstd`.

use guest_common::{AnyBody, answer, json_response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use wstd::http::{Body, Client, Error, Request, Response};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let response = match request.uri().path() {
        "/fetch" => json_response(&fetch(request.uri().query().unwrap_or_default()).await)?,
        _ => answer(request.map(Body::into_boxed_body)).await?,
    };
    Ok(response.map(Body::from_http_body::<AnyBody>))
}

/// Gets this URL.
async fn fetch(url: &str) -> Value {
    match get(url).await {
        Ok((status, body)) => json!({ "status": status, "body": body }),
        Err(error) => json!({ "error": format!("{error:#}") }),
    }
}

async fn get(url: &str) -> Result<(u16, String), Error> {
    let response = Client::new().send(Request::get(url).body(Body::empty())?).await?;
    let status = response.status().as_u16();
    let body = response.into_body().into_boxed_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
