//! Answers through `wasi:http/handler@0.3`, by way of the crate `wasip3`.

use anyhow::Result;
use guest_common::{AnyBody, answer, json_response};
use http_body_util::{BodyExt, Empty};
use serde_json::{Value, json};
use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::http_compat::{
    IncomingRequestBody, http_from_wasi_request, http_from_wasi_response, http_into_wasi_request,
    http_into_wasi_response,
};

struct Echo;

impl wasip3::exports::http::handler::Guest for Echo {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let response = respond(http_from_wasi_request(request)?)
            .await
            .map_err(|error| ErrorCode::InternalError(Some(format!("{error:#}"))))?;
        http_into_wasi_response(response)
    }
}

wasip3::http::service::export!(Echo);

async fn respond(request: http::Request<IncomingRequestBody>) -> Result<http::Response<AnyBody>> {
    match request.uri().path() {
        "/fetch" => json_response(&fetch(request.uri().query().unwrap_or_default()).await),
        _ => answer(request).await,
    }
}

/// Gets this URL.
async fn fetch(url: &str) -> Value {
    match get(url).await {
        Ok((status, body)) => json!({ "status": status, "body": body }),
        Err(error) => json!({ "error": format!("{error:#}") }),
    }
}

async fn get(url: &str) -> Result<(u16, String)> {
    let request = http_into_wasi_request(http::Request::get(url).body(Empty::<&[u8]>::new())?)?;
    let response = http_from_wasi_response(wasip3::http::client::send(request).await?)?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
