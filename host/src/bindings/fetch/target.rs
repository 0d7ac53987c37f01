//! Where a request goes: its URI, taken apart and checked.

use std::net::{IpAddr, SocketAddr};

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use wasmtime_wasi_http::{Error, Result};

use crate::bindings::egress::is_host_name;

/// What functions may ask of their own host: each other, and who a token is of.
const OPEN_TO_FUNCTIONS: [&str; 2] = ["functions/v1/", "auth/v1/"];

/// A destination that was spelled properly; whether it is open is the policy's business.
#[derive(Debug)]
pub(super) struct Target {
    /// A name, or an address without brackets.
    pub(super) host: String,
    /// Never 0.
    pub(super) port: u16,
    /// Whether the connection is encrypted.
    pub(super) tls: bool,
    /// What the `Host` header says.
    pub(super) authority: HeaderValue,
    /// What the request line says: a path that starts with `/`, and a query.
    pub(super) path: Uri,
}

impl Target {
    /// # Errors
    ///
    /// `HttpProtocolError` for a scheme other than http and https, `HttpRequestUriInvalid` for credentials in the
    /// authority, for a host that is neither a name nor an address, and for a path that is not one.
    pub(super) fn of(uri: &Uri) -> Result<Self> {
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(Error::HttpProtocolError),
        };
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        let (host, port) = host_and_port(authority).ok_or(Error::HttpRequestUriInvalid)?;
        Ok(Self {
            host: host.to_owned(),
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            tls,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| Error::HttpRequestUriInvalid)?,
            path: path(uri).ok_or(Error::HttpRequestUriInvalid)?,
        })
    }

    /// Whether it is what the host that listens here has for users and functions of an app: not the management API.
    pub(super) fn is_project_of(&self, host: SocketAddr) -> bool {
        let path = self.path.path();
        let below = path.strip_prefix("/projects/").and_then(|rest| rest.split_once('/'));
        let path = below.map_or_else(|| path.trim_start_matches('/'), |(_, below)| below);
        let is_open = OPEN_TO_FUNCTIONS.iter().any(|prefix| path.starts_with(prefix));
        is_open && !self.tls && self.address() == Some(host.ip()) && self.port == host.port()
    }

    /// The host as an address, when it is spelled as one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Accepts `name`, `address` and `[address]` with or without `:port`, and nothing else an authority may hold.
fn host_and_port(authority: &Authority) -> Option<(&str, Option<u16>)> {
    let host = authority.host();
    let port = match authority.as_str().strip_prefix(host)? {
        "" => None,
        rest => Some(rest.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?),
    };
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => Some(host).filter(|name| is_host_name(name))?,
    };
    Some((host, port))
}

/// Refuses what a server could take for a whole URI, and so for another destination.
fn path(uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = match path.chars().next() {
        None => "/".to_owned(),
        Some('?') => format!("/{path}"),
        Some('/') => path.to_owned(),
        Some(_) => return None,
    };
    Uri::builder().path_and_query(path).build().ok()
}
