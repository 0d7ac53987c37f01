//! A client for the host's own API: commands deploy and ask through the same door as everybody else.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::Failure;
use crate::secrets::Secret;

/// A host to talk to.
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) token: Secret,
}

/// The address of a host by its URL.
pub(super) async fn address_of(url: &str) -> Result<SocketAddr, Failure> {
    let uri: Uri = url.parse().map_err(|_| format!("{url} is no URL of a host"))?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("http"));
    let host =
        host.ok_or_else(|| format!("{url}: must be http://host:port; for a host behind TLS, run this beside it"))?;
    let mut addresses = tokio::net::lookup_host((host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80))).await?;
    addresses.next().ok_or_else(|| format!("{url}: the name has no address").into())
}

impl Client {
    /// Sends one request. An answer that is not a success becomes an error with the host's message.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        media_type: &str,
        body: Bytes,
    ) -> Result<Value, Failure> {
        let response = self.request(method, path, media_type, body).await?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok(if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? })
    }

    /// Writes what is at a path, as it arrives.
    pub(super) async fn download(
        &self,
        method: Method,
        path: &str,
        to: &mut impl std::io::Write,
    ) -> Result<(), Failure> {
        let mut body = self.request(method, path, "application/json", Bytes::new()).await?.into_body();
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                to.write_all(data)?;
            }
        }
        Ok(to.flush()?)
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        media_type: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(TcpStream::connect(self.address).await?)).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(CONTENT_TYPE, media_type)
            .body(Full::new(body))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.into_body().collect().await?.to_bytes();
        // A function may answer whatever it likes.
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        let message = answer.get("message").and_then(Value::as_str).unwrap_or(&text);
        Err(with_frames(format!("the host answered {status}: {message}"), answer.get("details")).into())
    }
}

/// The message of an error, with the lines of the source it is about.
pub(super) fn with_frames(mut message: String, details: Option<&Value>) -> String {
    for detail in details.and_then(Value::as_array).into_iter().flatten() {
        for more in ["hint", "frame"].iter().filter_map(|field| detail.get(field)?.as_str()) {
            message.push('\n');
            message.push_str(more.trim_end());
        }
    }
    message
}
