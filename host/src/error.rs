//! The one error clients see: a stable code, a text for the client, and a cause that stays in the host's log.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:ident;)*) => {
        /// What went wrong, for programs. Codes are part of the public API and never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as clients see it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The status it is sent with.
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$variant => StatusCode::$status,)*
                }
            }

            /// The code with this text.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// A field, parameter, header or body is malformed or out of range; the message names it.
    InvalidRequest = "invalid_request", BAD_REQUEST;
    /// The upload is not a component this host can run; the message says why and how to make one.
    InvalidComponent = "invalid_component", BAD_REQUEST;
    /// The source does not parse, resolve or evaluate; `details` has file, line and code frame of each error.
    InvalidSource = "invalid_source", BAD_REQUEST;
    /// A package registry cannot be asked now, or does not answer as one; the message says what was tried.
    RegistryUnavailable = "registry_unavailable", BAD_GATEWAY;
    /// A statement, migration or import that the database refuses; the message says why, `details` where.
    InvalidSql = "invalid_sql", BAD_REQUEST;
    /// No credentials, or credentials that are not valid.
    Unauthorized = "unauthorized", UNAUTHORIZED;
    /// Looks like a JSON Web Token, and is none.
    TokenMalformed = "token_malformed", UNAUTHORIZED;
    /// The token's algorithm is none, unknown, or not the one of the key it names.
    TokenAlgorithm = "token_algorithm", UNAUTHORIZED;
    /// The token's `kid` names no key of its issuer, or is missing where several keys would fit.
    TokenUnknownKey = "token_unknown_key", UNAUTHORIZED;
    /// The token was signed with another key.
    TokenSignature = "token_signature", UNAUTHORIZED;
    /// The token's `exp` has passed.
    TokenExpired = "token_expired", UNAUTHORIZED;
    /// The token's `nbf` has not come.
    TokenNotYetValid = "token_not_yet_valid", UNAUTHORIZED;
    /// The token's `iss` is not one the app trusts.
    TokenIssuer = "token_issuer", UNAUTHORIZED;
    /// The token's `aud` does not name the app.
    TokenAudience = "token_audience", UNAUTHORIZED;
    /// A claim of the token is missing or not valid; the message names it.
    TokenClaim = "token_claim", UNAUTHORIZED;
    /// The keys of the token's issuer cannot be fetched now.
    KeysUnavailable = "keys_unavailable", SERVICE_UNAVAILABLE;
    /// Too many requests of this caller; `retry_after` says when to come back.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS;
    /// Valid credentials that do not allow this.
    Forbidden = "forbidden", FORBIDDEN;
    /// No such route, app or function, or the function is disabled.
    NotFound = "not_found", NOT_FOUND;
    /// The route exists, the method does not.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED;
    /// It exists already.
    Conflict = "conflict", CONFLICT;
    /// The body is over its limit; the message has the numbers.
    TooLarge = "too_large", PAYLOAD_TOO_LARGE;
    /// The body's content type is not accepted here.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE;
    /// The function's wall clock ran out (FX8).
    Timeout = "timeout", REQUEST_TIMEOUT;
    /// The function's fuel ran out.
    CpuLimit = "cpu_limit", REQUEST_TIMEOUT;
    /// The function wanted more memory than its limit and ended because of it.
    MemoryLimit = "memory_limit", INTERNAL_SERVER_ERROR;
    /// The function trapped: unreachable code, an access out of bounds, a stack overflow.
    Trap = "trap", INTERNAL_SERVER_ERROR;
    /// The function reported an error instead of a response.
    FunctionError = "function_error", INTERNAL_SERVER_ERROR;
    /// The function returned without a response.
    NoResponse = "no_response", INTERNAL_SERVER_ERROR;
    /// The function's response is not valid HTTP.
    InvalidResponse = "invalid_response", INTERNAL_SERVER_ERROR;
    /// The client went away before the function ended, or its request did not arrive whole.
    ClientDisconnected = "client_disconnected", BAD_REQUEST;
    /// The host has no room for another execution; `Retry-After` says when to come back.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE;
    /// The host is shutting down.
    ShuttingDown = "shutting_down", SERVICE_UNAVAILABLE;
    /// The host failed; its log has the cause.
    Internal = "internal", INTERNAL_SERVER_ERROR;
}

/// A failure on its way to a client.
#[derive(Debug)]
pub struct Error {
    /// For programs.
    pub code: Code,
    /// For the person at the client; never holds paths of the host, SQL of the host, or secrets.
    pub message: Cow<'static, str>,
    /// More for programs, as JSON: the errors of a source.
    pub details: Option<serde_json::Value>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// For the host's log only.
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error that the client caused or may know all about.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: None, retry_after: None, cause: None }
    }

    /// A failure of the host: the client learns only that it happened.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            code: Code::Internal,
            message: Cow::Borrowed("the host failed; its log has the cause"),
            details: None,
            retry_after: None,
            cause: Some(cause.into()),
        }
    }

    /// With more for programs.
    pub fn with_details(self, details: &(impl serde::Serialize + ?Sized)) -> Self {
        Self { details: serde_json::to_value(details).ok(), ..self }
    }

    /// With the time after which it may be different.
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// A malformed or out-of-range input; the message names it.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}

impl From<crate::ids::InvalidName> for Error {
    fn from(error: crate::ids::InvalidName) -> Self {
        Self::invalid(error.to_string())
    }
}
