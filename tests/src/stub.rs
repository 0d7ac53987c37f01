//! A service of somebody else's, on loopback, that a test answers for.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// What a stub answers with.
pub type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// A running stub. Dropping it closes its port and all connections.
#[derive(Debug)]
pub struct Stub {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Stub {
    /// Answers each request with what `answer` makes of it.
    pub async fn start(answer: impl Fn(Request<Bytes>) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, Arc::new(answer), requests.clone()));
        Self { address, requests, task }
    }

    /// `http://`, address and port.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Method and target of all requests so far: `GET /a?b=c`.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A whole answer.
pub fn answer(status: u16, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).boxed_unsync();
    Response::builder().status(status).header("content-type", content_type).body(body).expect("a proper head")
}

async fn serve<F>(listener: TcpListener, answer: Arc<F>, requests: Arc<Mutex<Vec<String>>>)
where
    F: Fn(Request<Bytes>) -> Answer + Send + Sync + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (answer, requests) = (answer.clone(), requests.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (answer, requests) = (answer.clone(), requests.clone());
            async move {
                let (head, body) = request.into_parts();
                let line = format!("{} {}", head.method, head.uri);
                requests.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                let body = body.collect().await?.to_bytes();
                Ok::<_, hyper::Error>(answer(Request::from_parts(head, body)))
            }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
