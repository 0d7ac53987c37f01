//! The request and its body.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};

use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::de::DeserializeOwned;
use wasip2::io::streams::{InputStream, StreamError};
use wstd::runtime::AsyncPollable;

use crate::bindings::caddis::function::http as wit;
use crate::{Error, Result};

/// How much of a body [`Request::bytes`], [`Request::text`] and [`Request::json`] read at most: 8 MiB.
pub const DEFAULT_BODY_LIMIT: usize = 8 * 1024 * 1024;

/// How much one read of a stream asks for, in bytes. What arrives at once is rarely more.
const READ_SIZE: u64 = 64 * 1024;

/// A request to this function.
#[derive(Debug)]
pub struct Request {
    method: Method,
    uri: Uri,
    url: String,
    headers: HeaderMap,
    raw_headers: Vec<(String, Vec<u8>)>,
    body: RefCell<Body>,
}

#[derive(Debug)]
enum Body {
    Bytes(Bytes),
    Stream(BodyStream),
    Taken,
}

impl Request {
    pub(crate) fn from_wit(request: wit::Request) -> Result<Self> {
        Ok(Self {
            method: Method::from_bytes(request.method.as_bytes())?,
            // Parsed as a path, because a path like `//x` would be taken for an authority.
            uri: Uri::from(PathAndQuery::try_from(request.path_with_query)?),
            url: request.url,
            headers: header_map(&request.headers)?,
            raw_headers: request.headers,
            body: RefCell::new(match request.body {
                wit::RequestBody::Empty => Body::Bytes(Bytes::new()),
                wit::RequestBody::Bytes(bytes) => Body::Bytes(bytes.into()),
                wit::RequestBody::Stream(stream) => Body::Stream(BodyStream::new(Source::Stream(stream))),
            }),
        })
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path below the function, with the query.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The path below the function, as sent: `/` when there is none, percent-encoding left alone.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The absolute URL the client asked for.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The query's pairs of name and value, decoded, in order.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes())
    }

    /// The first value of this name in the query, decoded.
    pub fn query_value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_pairs().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The header fields by name. Values of one name keep their order.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The header fields as they came: order and duplicates kept, names in lower case.
    pub fn raw_headers(&self) -> &[(String, Vec<u8>)] {
        &self.raw_headers
    }

    /// The first value of a header field, when it is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The whole body, up to [`DEFAULT_BODY_LIMIT`]. May be called again.
    ///
    /// # Errors
    /// Status 413 when the body is longer; a failure when the client goes away or [`Request::stream`] took the body.
    pub async fn bytes(&self) -> Result<Bytes> {
        self.bytes_up_to(DEFAULT_BODY_LIMIT).await
    }

    /// As [`Request::bytes`], with a limit in bytes. Mind the memory limit of the function.
    ///
    /// # Errors
    /// As [`Request::bytes`].
    pub async fn bytes_up_to(&self, limit: usize) -> Result<Bytes> {
        // Left taken while waiting, so that no second reader gets half of the body.
        let bytes = match self.body.replace(Body::Taken) {
            Body::Bytes(bytes) => bytes,
            Body::Stream(stream) => collect(stream, limit).await?,
            Body::Taken => return Err(body_taken()),
        };
        self.body.replace(Body::Bytes(bytes.clone()));
        if bytes.len() > limit { Err(body_too_long(limit)) } else { Ok(bytes) }
    }

    /// The whole body as text.
    ///
    /// # Errors
    /// As [`Request::bytes`], and status 400 when it is not UTF-8.
    pub async fn text(&self) -> Result<String> {
        String::from_utf8(self.bytes().await?.into())
            .map_err(|_| Error::status(400, "the request body is not valid UTF-8"))
    }

    /// The whole body as JSON, whatever its content type.
    ///
    /// # Errors
    /// As [`Request::bytes`], and status 400 with the place and the reason when it does not parse or does not fit the type.
    pub async fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.bytes().await?).map_err(|error| {
            Error::status(400, format_args!("the request body is not the JSON expected here: {error}"))
        })
    }

    /// The body as it arrives. Takes the body: [`Request::bytes`] and the like fail afterwards.
    ///
    /// # Errors
    /// When the body was taken before.
    pub fn stream(&self) -> Result<BodyStream> {
        match self.body.replace(Body::Taken) {
            Body::Bytes(bytes) => Ok(BodyStream::new(Source::Bytes(bytes))),
            Body::Stream(stream) => Ok(stream),
            Body::Taken => Err(body_taken()),
        }
    }
}

fn header_map(fields: &[(String, Vec<u8>)]) -> Result<HeaderMap> {
    let mut map = HeaderMap::try_with_capacity(fields.len())?;
    for (name, value) in fields {
        map.try_append(HeaderName::try_from(name)?, HeaderValue::from_bytes(value)?)?;
    }
    Ok(map)
}

async fn collect(mut stream: BodyStream, limit: usize) -> Result<Bytes> {
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.chunk().await? {
        if chunk.len() > limit.saturating_sub(body.len()) {
            return Err(body_too_long(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn body_too_long(limit: usize) -> Error {
    Error::status(413, format_args!("the request body is longer than the {limit} bytes accepted here"))
}

fn body_taken() -> Error {
    Error::new("the request body was already taken")
}

/// A request body that is read as it arrives.
#[derive(Debug)]
pub struct BodyStream {
    // Above the stream it watches, because fields are dropped in order and the host refuses to drop a watched stream.
    readiness: OnceCell<AsyncPollable>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Bytes(Bytes),
    Stream(InputStream),
}

impl BodyStream {
    fn new(source: Source) -> Self {
        Self { readiness: OnceCell::new(), source }
    }

    /// The next bytes, never empty; none at the end of the body.
    ///
    /// # Errors
    /// When the client went away or the body is over the host's limit.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let stream = match &mut self.source {
            Source::Bytes(bytes) => return Ok(Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty())),
            Source::Stream(stream) => stream,
        };
        loop {
            match stream.read(READ_SIZE) {
                Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes.into())),
                Ok(_) => self.readiness.get_or_init(|| AsyncPollable::new(stream.subscribe())).wait_for().await,
                Err(StreamError::Closed) => return Ok(None),
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(Error::new(format_args!("reading the request body: {}", error.to_debug_string())));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wstd::runtime::block_on;

    use super::*;

    fn request(path: &str, headers: &[(&str, &str)], body: &str) -> Request {
        Request::from_wit(wit::Request {
            method: "POST".into(),
            url: format!("http://example.com/functions/v1/x{path}"),
            path_with_query: path.into(),
            headers: headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect(),
            body: wit::RequestBody::Bytes(body.into()),
        })
        .unwrap()
    }

    #[test]
    fn path_and_query_are_parted_and_decoded() {
        let request = request("/a%20b/7?tag=x+y&tag=%26&empty=", &[], "");
        assert_eq!(request.path(), "/a%20b/7");
        let pairs: Vec<_> = request.query_pairs().collect();
        let expected = [("tag", "x y"), ("tag", "&"), ("empty", "")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(request.query_value("tag").as_deref(), Some("x y"));
        assert_eq!(request.query_value("none"), None);
    }

    #[test]
    fn a_path_that_looks_like_an_authority_stays_a_path() {
        assert_eq!(request("//evil.example/x", &[], "").path(), "//evil.example/x");
    }

    #[test]
    fn duplicate_headers_keep_their_order() {
        let fields = [("x-tag", "2"), ("accept", "*/*"), ("x-tag", "1"), ("x-tag", "2")];
        let request = request("/", &fields, "");
        let tags: Vec<_> = request.headers().get_all("x-tag").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(tags, ["2", "1", "2"]);
        let raw: Vec<_> = request.raw_headers().iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(raw, fields.map(|(name, value)| (name, value.as_bytes())));
        assert_eq!(request.header("X-Tag"), Some("2"));
    }

    #[test]
    fn the_body_can_be_read_twice_but_streamed_once() {
        let request = request("/", &[], "[1,2]");
        block_on(async {
            assert_eq!(request.json::<Vec<u8>>().await.unwrap(), [1, 2]);
            assert_eq!(request.text().await.unwrap(), "[1,2]");
            let mut stream = request.stream().unwrap();
            assert_eq!(stream.chunk().await.unwrap().unwrap(), "[1,2]");
            assert_eq!(stream.chunk().await.unwrap(), None);
            assert!(request.bytes().await.unwrap_err().to_string().contains("already taken"));
            assert!(request.stream().is_err());
        });
    }

    #[test]
    fn a_body_over_the_limit_is_413_and_stays_readable() {
        let request = request("/", &[], "12345");
        block_on(async {
            let error = request.bytes_up_to(4).await.unwrap_err();
            assert_eq!(error.into_answer().unwrap().status(), 413);
            assert_eq!(request.bytes_up_to(5).await.unwrap(), "12345");
        });
    }

    #[test]
    fn a_long_stream_is_413() {
        let stream = BodyStream::new(Source::Bytes(Bytes::from_static(b"12345")));
        let error = block_on(collect(stream, 4)).unwrap_err();
        assert_eq!(error.into_answer().unwrap().status(), 413);
    }

    #[test]
    fn malformed_json_is_400_with_the_place() {
        let error = block_on(request("/", &[], "{\"a\":}").json::<serde_json::Value>()).unwrap_err();
        assert!(error.to_string().contains("line 1 column 6"), "{error}");
        assert_eq!(error.into_answer().unwrap().status(), 400);
    }
}
