//! The pages that `wstd-echo` and `wasip3-echo` serve alike, so that one set of tests holds for both worlds.

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use serde_json::{Value, json};

mod services;

/// A body of either direction.
pub type AnyBody = UnsyncBoxBody<Bytes, anyhow::Error>;

/// What `/stream` says before it has read anything.
const GREETING: &[u8] = b"ready\n";

/// Answers one request.
pub async fn answer<B>(request: Request<B>) -> anyhow::Result<Response<AnyBody>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<anyhow::Error>,
{
    let (parts, body) = request.into_parts();
    let body = body.map_err(Into::into).boxed_unsync();
    match parts.uri.path() {
        "/echo" => Ok(Response::new(body)),
        "/stream" => Ok(Response::new(greet(body))),
        "/trailers" => json_response(&read_trailers(body).await?),
        path if path.starts_with("/describe") => describe(&parts, body).await,
        path => match services::page(path) {
            Some(page) => json_response(&page(&parts, &body.collect().await?.to_bytes())?),
            None => not_found(),
        },
    }
}

/// Puts a greeting in front of the request's own pieces, each of which goes out as it comes in.
fn greet(body: AnyBody) -> AnyBody {
    Greeted { greeting: Some(Bytes::from_static(GREETING)), rest: body }.boxed_unsync()
}

struct Greeted {
    greeting: Option<Bytes>,
    rest: AnyBody,
}

impl Body for Greeted {
    type Data = Bytes;
    type Error = anyhow::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, anyhow::Error>>> {
        match self.greeting.take() {
            Some(greeting) => std::task::Poll::Ready(Some(Ok(Frame::data(greeting)))),
            None => std::pin::Pin::new(&mut self.rest).poll_frame(context),
        }
    }
}

/// Tells what arrived, and sets one response header three times.
async fn describe(parts: &Parts, body: AnyBody) -> anyhow::Result<Response<AnyBody>> {
    let headers: Vec<Value> = parts
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), value.as_bytes().escape_ascii().to_string()]))
        .collect();
    let mut response = json_response(&json!({
        "method": parts.method.as_str(),
        "authority": parts.uri.authority().map(|authority| authority.as_str()),
        "path_with_query": parts.uri.path_and_query().map(|path| path.as_str()),
        "headers": headers,
        "body_bytes": body.collect().await?.to_bytes().len(),
    }))?;
    for value in ["one", "two", "three"] {
        response.headers_mut().append("x-reply", http::HeaderValue::from_static(value));
    }
    Ok(response)
}

async fn read_trailers(body: AnyBody) -> anyhow::Result<Value> {
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok(trailers.iter().map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())])).collect())
}

fn not_found() -> anyhow::Result<Response<AnyBody>> {
    let mut response = Response::new(whole("no such page\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}

/// A response with this JSON.
pub fn json_response(value: &Value) -> anyhow::Result<Response<AnyBody>> {
    Ok(Response::builder().header("content-type", "application/json").body(whole(value.to_string()))?)
}

fn whole(text: impl Into<Bytes>) -> AnyBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}
