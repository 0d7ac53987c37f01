//! Connections: bind, accept, serve, drain. HTTP/1.1 only: a proxy in front speaks HTTP/2 and TLS.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tokio_util::task::TaskTracker;

use super::body::AnyBody;
use crate::tunables::{HEAD_BYTES, HEAD_TIME, WRITE_STALL_TIME};

/// Pause after a failed `accept`, which mostly means that the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What stands behind a socket.
pub trait Answers: Send + Sync + 'static {
    /// Answers one request from this address.
    fn call(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> impl Future<Output = Result<Response<AnyBody>, Infallible>> + Send;
}

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    places: Arc<Semaphore>,
}

impl Listener {
    /// Binds, so that a port that is taken is known before anything else happens.
    pub async fn bind(address: SocketAddr, max_connections: usize) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        Ok(Self { socket, places: Arc::new(Semaphore::new(max_connections)) })
    }

    /// Where it listens: with the port the system chose when it was asked for port 0.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `shutdown` says true, then waits for the requests that run.
    pub async fn serve<A: Answers>(self, service: Arc<A>, mut shutdown: watch::Receiver<bool>) {
        let connections = TaskTracker::new();
        loop {
            // Taken before the next connection: at the limit, clients wait in the kernel's queue.
            let Ok(place) = self.places.clone().acquire_owned().await else { break };
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = told(&mut shutdown) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer.ip(), service.clone(), shutdown.clone(), place));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.socket);
        connections.close();
        connections.wait().await;
    }
}

async fn connection<A: Answers>(
    stream: TcpStream,
    peer: IpAddr,
    service: Arc<A>,
    mut shutdown: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) {
    // Small writes, such as server-sent events, must not wait for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    // hyper has no limit of its own for a client that does not read: it would keep a whole response in memory for ever.
    let mut stream = Box::pin(TimeoutStream::new(stream));
    stream.as_mut().set_write_timeout_pinned(Some(WRITE_STALL_TIME));
    let answer = service_fn(move |request| {
        let service = service.clone();
        async move { service.call(request, peer).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    tokio::pin!(served);
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = told(&mut shutdown) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection");
    }
}

/// Waits for the shutdown; also over when nobody is left who could announce it.
async fn told(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}
