//! Why a statement failed, and which of SQLite's many codes means what to the author of a function.

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::tunables::VALUE_BYTES;

/// Why a statement failed. Texts are for the author of the function: they hold his own SQL, never a path of the host.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The statement does not parse, names what does not exist, or failed on the data it met (malformed JSON, overflow).
    #[error("{0}")]
    Syntax(String),
    /// The parameters do not fit the statement.
    #[error("{0}")]
    Parameter(String),
    /// The row would break the schema.
    #[error("{message}")]
    Constraint {
        /// Which kind of rule.
        kind: ConstraintKind,
        /// SQLite's message, which names the table and column.
        message: String,
    },
    /// The host does not allow this.
    #[error("{0}")]
    Denied(String),
    /// A lock was held for longer than the host waits. Nothing was done.
    #[error("{0}")]
    Busy(String),
    /// A limit was met; the text names it.
    #[error("{0}")]
    Limit(String),
    /// The deadline passed or the caller went away.
    #[error("the time for this statement ran out")]
    Timeout,
    /// The transaction has ended.
    #[error("the transaction has ended")]
    Closed,
    /// The host failed. The cause is for its log only: it may hold paths.
    #[error("the database failed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A kind of rule of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    /// A UNIQUE constraint or index.
    Unique,
    /// A PRIMARY KEY.
    PrimaryKey,
    /// A NOT NULL column.
    NotNull,
    /// A CHECK expression.
    Check,
    /// A FOREIGN KEY.
    ForeignKey,
    /// Any other: a trigger that raised, a STRICT table's data type.
    Other,
}

/// Parts of the messages of SQLITE_ERROR that mean a limit; SQLite has no code of their own for them.
const LIMIT_MESSAGES: [&str; 9] = [
    "too many",
    "at most",
    "too large",
    "too complex",
    "too deep",
    "must be between",
    "stack overflow",
    "Recursion limit",
    "recursion",
];

/// Parts of the messages of SQLITE_ERROR that mean SQLite itself refused it.
const DENIED_MESSAGES: [&str; 3] = ["may not be", "not authorized", "unsafe use"];

impl Error {
    /// The error of the statement with this number, counted from 1, in a batch.
    pub(super) fn in_statement(self, number: usize) -> Self {
        let numbered = |message: String| format!("statement {number}: {message}");
        match self {
            Self::Syntax(message) => Self::Syntax(numbered(message)),
            Self::Parameter(message) => Self::Parameter(numbered(message)),
            Self::Constraint { kind, message } => Self::Constraint { kind, message: numbered(message) },
            Self::Denied(message) => Self::Denied(numbered(message)),
            Self::Busy(message) => Self::Busy(numbered(message)),
            Self::Limit(message) => Self::Limit(numbered(message)),
            other @ (Self::Timeout | Self::Closed | Self::Internal(_)) => other,
        }
    }

    /// A write where there is only reading.
    pub(super) fn read_only() -> Self {
        Self::Denied("this transaction is read-only".to_owned())
    }

    /// A failure of the host.
    pub(super) fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(code, ref message) => {
                let message = message.clone().unwrap_or_else(|| code.to_string());
                classify(code, message, error)
            }
            rusqlite::Error::SqlInputError { error: code, ref msg, offset, .. } => {
                let message = format!("{msg} (at byte {offset})");
                classify(code, message, error)
            }
            rusqlite::Error::MultipleStatement => Self::Syntax("one statement at a time".to_owned()),
            other => Self::internal(other),
        }
    }
}

fn classify(code: ffi::Error, message: String, cause: rusqlite::Error) -> Error {
    match code.code {
        ErrorCode::Unknown if mentions(&message, &DENIED_MESSAGES) => Error::Denied(message),
        ErrorCode::Unknown if mentions(&message, &LIMIT_MESSAGES) => Error::Limit(message),
        ErrorCode::Unknown => Error::Syntax(message),
        ErrorCode::ConstraintViolation => Error::Constraint { kind: constraint(code.extended_code), message },
        ErrorCode::TypeMismatch => Error::Constraint { kind: ConstraintKind::Other, message },
        ErrorCode::TooBig => Error::Limit(format!("a value or a row has at most {VALUE_BYTES} bytes")),
        ErrorCode::OutOfMemory => Error::Limit("the statement needs more memory than the host allows one".to_owned()),
        ErrorCode::DiskFull => {
            Error::Limit("the database has reached its greatest size, or the host's disk is full".to_owned())
        }
        ErrorCode::OperationInterrupted => Error::Timeout,
        ErrorCode::AuthorizationForStatementDenied => Error::Denied(message),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SchemaChanged => Error::Busy(message),
        ErrorCode::ParameterOutOfRange => Error::Parameter(message),
        _ => Error::internal(cause),
    }
}

fn mentions(message: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| message.contains(part))
}

fn constraint(extended_code: i32) -> ConstraintKind {
    match extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE => ConstraintKind::Unique,
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => ConstraintKind::PrimaryKey,
        ffi::SQLITE_CONSTRAINT_NOTNULL => ConstraintKind::NotNull,
        ffi::SQLITE_CONSTRAINT_CHECK => ConstraintKind::Check,
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ConstraintKind::ForeignKey,
        _ => ConstraintKind::Other,
    }
}
