//! Connections to checked addresses: resolve once, judge every address, connect to one that passed, agree on TLS.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::{Error, Result};

use crate::bindings::egress::EgressPolicy;
use crate::bindings::fetch::errors;
use crate::bindings::fetch::target::Target;
use crate::tunables::{FETCH_ADDRESSES, FETCH_CONNECT_TIMEOUT, FETCH_LOOKUPS};

/// Turns names into addresses.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of a host, with this port. `host` is never an address in its usual spelling.
    ///
    /// # Errors
    ///
    /// Whatever the resolver says when the name does not exist or it cannot be asked.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The resolver of the operating system.
struct SystemResolver {
    lookups: Arc<Semaphore>,
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let lookup = self.lookups.clone().acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        tokio::task::spawn_blocking(move || {
            // In the closure, because the thread stays busy when nobody waits for it any more.
            let _lookup = lookup;
            (host.as_str(), port).to_socket_addrs().map(Iterator::collect)
        })
        .await
        .map_err(io::Error::other)?
    }
}

/// Why extra root certificates were refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRoots {
    /// Not PEM.
    #[error("the extra root certificates are not PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// PEM, but without a certificate, or with one that cannot be a root.
    #[error("an extra root certificate cannot be used: {0}")]
    Certificate(#[from] rustls::Error),
}

/// Makes connections for all executions of the host. Holds what is expensive to build and the same for all of them.
pub struct Dialer {
    tls: TlsConnector,
    resolver: Box<dyn Resolve>,
}

impl Dialer {
    /// Trusts the public certificate authorities, and the certificates in `extra_roots` (PEM, may be empty). Resolves
    /// names as the operating system does.
    ///
    /// # Errors
    ///
    /// `InvalidRoots` when `extra_roots` holds something else than usable certificates.
    pub fn new(extra_roots: &[u8]) -> Result<Self, InvalidRoots> {
        Self::with_resolver(extra_roots, SystemResolver { lookups: Arc::new(Semaphore::new(FETCH_LOOKUPS)) })
    }

    /// As `new`, with another resolver.
    ///
    /// # Errors
    ///
    /// As `new`.
    pub fn with_resolver(extra_roots: &[u8], resolver: impl Resolve) -> Result<Self, InvalidRoots> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for certificate in CertificateDer::pem_slice_iter(extra_roots) {
            roots.add(certificate?)?;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), resolver: Box::new(resolver) })
    }

    /// Connects to where `uri` points, if `policy` opens it: for requests of the host itself.
    ///
    /// # Errors
    ///
    /// What guests would be told.
    pub async fn open(
        &self,
        uri: &Uri,
        policy: &EgressPolicy,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<>> {
        let target = Target::of(uri)?;
        policy.check_name(&target.host, target.port).map_err(|_| Error::HttpRequestDenied)?;
        self.connect(&target, policy, FETCH_CONNECT_TIMEOUT).await
    }

    /// Connects to an address of `target` that `policy` opens, in `limit` altogether.
    pub(super) async fn connect(
        &self,
        target: &Target,
        policy: &EgressPolicy,
        limit: Duration,
    ) -> Result<Box<dyn Connection>> {
        let deadline = Instant::now() + limit;
        let resolved = timeout_at(deadline, self.resolve(target)).await.map_err(|_| Error::DnsTimeout)??;
        let open = open_addresses(target, policy, resolved)?;
        let stream = connect_to_one_of(&open, deadline).await?;
        if !target.tls {
            return Ok(Box::new(stream));
        }
        let name = server_name(target)?;
        match timeout_at(deadline, self.tls.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(errors::from_tls(&error)),
            Err(_) => Err(Error::ConnectionTimeout),
        }
    }

    async fn resolve(&self, target: &Target) -> Result<Vec<SocketAddr>> {
        if let Some(address) = target.address() {
            return Ok(vec![SocketAddr::new(address, target.port)]);
        }
        let unresolved = Error::DnsError { rcode: None, info_code: None };
        match self.resolver.resolve(&target.host, target.port).await {
            Ok(addresses) if addresses.is_empty() => Err(unresolved),
            Ok(addresses) => Ok(addresses),
            Err(error) => {
                tracing::debug!(host = target.host, %error, "name of an outgoing request not resolved");
                Err(unresolved)
            }
        }
    }
}

/// What HTTP is spoken over.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// The addresses that may be tried: those the policy opens, and not too many of them.
fn open_addresses(target: &Target, policy: &EgressPolicy, resolved: Vec<SocketAddr>) -> Result<Vec<SocketAddr>> {
    let is_open = |address: &SocketAddr| match policy.check_address(&target.host, *address) {
        Ok(()) => true,
        Err(denied) => {
            tracing::debug!(%denied, "outgoing request denied");
            false
        }
    };
    let open: Vec<_> = resolved.into_iter().filter(is_open).take(FETCH_ADDRESSES).collect();
    if open.is_empty() { Err(Error::DestinationIpProhibited) } else { Ok(open) }
}

/// Tries one address after the other, each with a fair share of the time left, so that a silent one cannot use it up.
async fn connect_to_one_of(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream> {
    let mut failure = Error::DestinationUnavailable;
    for (address, untried) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let share = deadline.saturating_duration_since(Instant::now()).div_f64(untried as f64);
        failure = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Worth no failure: without it small writes are merely slower.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => errors::from_connect(&error),
            Err(_) => Error::ConnectionTimeout,
        };
    }
    Err(failure)
}

/// The name the server's certificate must be for.
fn server_name(target: &Target) -> Result<ServerName<'static>> {
    match target.address() {
        Some(address) => Ok(ServerName::from(address)),
        None => ServerName::try_from(target.host.clone()).map_err(|_| Error::HttpRequestUriInvalid),
    }
}
