//! Why a statement failed.

use std::fmt;

use super::{ConstraintViolation, wit};

/// Why a statement failed. In a transaction only that statement is undone; the transaction stays open.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The statement does not parse, or names a table or column that does not exist.
    Syntax(String),
    /// The parameters do not fit the statement: too few, too many.
    Parameter(String),
    /// The row would break the schema.
    Constraint(ConstraintViolation),
    /// The host does not allow this.
    Denied(String),
    /// The database was locked for too long. Nothing was done: try again.
    Busy(String),
    /// A limit was met; the text names it and its value.
    Limit(String),
    /// The time of the request or of the transaction ran out; the transaction is rolled back.
    Timeout,
    /// The transaction has ended.
    Closed,
    /// The host failed; its log has the details.
    Internal(String),
    /// A row does not fit the type asked for; the text names the column. Not from the host: the statement was run.
    Decode(String),
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Syntax(text) => Self::Syntax(text),
            wit::Error::Parameter(text) => Self::Parameter(text),
            wit::Error::Constraint(violation) => Self::Constraint(violation),
            wit::Error::Denied(text) => Self::Denied(text),
            wit::Error::Busy(text) => Self::Busy(text),
            wit::Error::Limit(text) => Self::Limit(text),
            wit::Error::Timeout => Self::Timeout,
            wit::Error::Closed => Self::Closed,
            wit::Error::Internal(text) => Self::Internal(text),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(text) => write!(f, "SQL: {text}"),
            Self::Parameter(text) => write!(f, "SQL parameters: {text}"),
            Self::Constraint(violation) => f.write_str(&violation.message),
            Self::Denied(text) => write!(f, "not allowed: {text}"),
            Self::Busy(text) => write!(f, "the database is busy: {text}"),
            Self::Limit(text) => write!(f, "limit of the database: {text}"),
            Self::Timeout => f.write_str("the time for the database ran out"),
            Self::Closed => f.write_str("the transaction has ended"),
            Self::Internal(text) => write!(f, "the database failed: {text}"),
            Self::Decode(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Decode(message.to_string())
    }
}
