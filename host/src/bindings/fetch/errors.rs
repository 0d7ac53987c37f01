//! From what went wrong to what the guest is told: a code of `wasi:http`, never the text of an error of the host, which
//! may name an address of the operator's network.

use std::error::Error as StdError;
use std::io;

use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::bindings::http::types as p2;
use wasmtime_wasi_http::p3::bindings::http::types as p3;

/// A failed attempt to connect.
pub(super) fn from_connect(error: &io::Error) -> Error {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable, TimedOut,
    };
    tracing::debug!(%error, "outgoing connection failed");
    match error.kind() {
        ConnectionRefused => Error::ConnectionRefused,
        ConnectionReset | ConnectionAborted => Error::ConnectionTerminated,
        TimedOut => Error::ConnectionTimeout,
        HostUnreachable | NetworkUnreachable => Error::DestinationIpUnroutable,
        _ => Error::DestinationUnavailable,
    }
}

/// A failed TLS handshake.
pub(super) fn from_tls(error: &io::Error) -> Error {
    tracing::debug!(%error, "TLS of an outgoing connection failed");
    tls_cause(error).unwrap_or_else(|| from_stream(error))
}

/// A failed exchange.
pub(super) fn from_hyper(error: &hyper::Error) -> Error {
    tracing::debug!(error = error as &dyn StdError, "HTTP exchange failed");
    if let Some(error) = source::<Error>(error) {
        return guest_body_cause(error);
    }
    if error.is_parse_too_large() {
        return Error::HttpResponseHeaderSectionSize(None);
    }
    if let Some(error) = source::<io::Error>(error) {
        return tls_cause(error).unwrap_or_else(|| from_stream(error));
    }
    if error.is_timeout() {
        return Error::HttpResponseTimeout;
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Error::ConnectionTerminated;
    }
    Error::HttpProtocolError
}

/// A failure in the middle of the body of a response.
pub(super) fn from_hyper_body(error: &hyper::Error) -> Error {
    match from_hyper(error) {
        Error::ConnectionTerminated => Error::HttpResponseIncomplete,
        other => other,
    }
}

/// A connection that failed while it was in use.
fn from_stream(error: &io::Error) -> Error {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut, UnexpectedEof};
    match error.kind() {
        ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected | UnexpectedEof => Error::ConnectionTerminated,
        TimedOut => Error::ConnectionTimeout,
        _ => Error::HttpProtocolError,
    }
}

/// What TLS says about the failure, if it was TLS that failed.
fn tls_cause(error: &io::Error) -> Option<Error> {
    use rustls::Error::{AlertReceived, InvalidCertificate, NoCertificatesPresented};
    Some(match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        InvalidCertificate(_) | NoCertificatesPresented => Error::TlsCertificateError,
        AlertReceived(alert) => {
            Error::TlsAlertReceived { alert_id: Some(u8::from(*alert)), alert_message: Some(format!("{alert:?}")) }
        }
        _ => Error::TlsProtocolError,
    })
}

/// The guest's own request body failed, usually because it is not as long as its `content-length` says.
fn guest_body_cause(error: &Error) -> Error {
    match error {
        Error::HttpRequestBodySize(size) => Error::HttpRequestBodySize(*size),
        _ => Error::HttpProtocolError,
    }
}

/// The first cause of this type.
fn source<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    std::iter::successors(error.source(), |error| (*error).source()).find_map(|error| error.downcast_ref())
}

macro_rules! code {
    ($(#[$doc:meta])* $name:ident, $types:ident) => {
        $(#[$doc])*
        pub(super) fn $name(error: Error) -> $types::ErrorCode {
            use $types::ErrorCode;
            match error {
                Error::ConnectionRefused => ErrorCode::ConnectionRefused,
                Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
                Error::ConnectionTimeout => ErrorCode::ConnectionTimeout,
                Error::DestinationIpUnroutable => ErrorCode::DestinationIpUnroutable,
                Error::DestinationUnavailable => ErrorCode::DestinationUnavailable,
                Error::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(size),
                Error::HttpResponseHeaderSectionSize(size) => ErrorCode::HttpResponseHeaderSectionSize(size),
                Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
                Error::TlsAlertReceived { alert_id, alert_message } => {
                    ErrorCode::TlsAlertReceived($types::TlsAlertReceivedPayload { alert_id, alert_message })
                }
                Error::TlsCertificateError => ErrorCode::TlsCertificateError,
                Error::TlsProtocolError => ErrorCode::TlsProtocolError,
                _ => ErrorCode::HttpProtocolError,
            }
        }
    };
}

code!(
    /// What the functions above return, for a guest of wasi:http 0.2.
    p2_code,
    p2
);
code!(
    /// What the functions above return, for a guest of wasi:http 0.3.
    p3_code,
    p3
);
