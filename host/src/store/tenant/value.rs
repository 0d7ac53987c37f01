//! Values, rows and changes, and their way into and out of SQLite.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

/// A value in a row or a parameter: SQLite's five storage classes.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A signed 64-bit integer.
    Integer(i64),
    /// A double. As a parameter, NaN becomes NULL.
    Real(f64),
    /// UTF-8 text, which may hold NUL characters.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The least a value counts for in the size of a result, in bytes: what the host spends on one without content.
const VALUE_OVERHEAD: usize = size_of::<Value>();

impl Value {
    /// Copies a value out of a row. Text that is not UTF-8 (SQLite lets a blob be cast to text) comes back as a blob: that
    /// keeps every byte, and no replacement character can be mistaken for content.
    pub(super) fn from_column(column: ValueRef<'_>) -> Self {
        match column {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(integer) => Self::Integer(integer),
            ValueRef::Real(real) => Self::Real(real),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => Self::Blob(bytes.to_owned()),
            },
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_owned()),
        }
    }

    /// What a column will count for in the size of a result, in bytes, before it is copied.
    pub(super) fn size(column: ValueRef<'_>) -> usize {
        match column {
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => VALUE_OVERHEAD,
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() + VALUE_OVERHEAD,
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Real(real) => ValueRef::Real(*real),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// The rows of a result.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// The names of the columns, in order. Names may repeat.
    pub columns: Vec<String>,
    /// The rows; each has one value per column.
    pub rows: Vec<Vec<Value>>,
}

/// What a statement changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows inserted, updated or deleted by the statement itself, without those of triggers.
    pub rows_affected: u64,
    /// The ROWID of the last row the connection inserted; 0 when there was none.
    pub last_insert_id: i64,
}

/// What a statement did: its rows, and what it changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The rows; none for a statement that yields none.
    pub rows: Rows,
    /// The changes; none for a statement that reads.
    pub changes: Changes,
}

/// The parameters of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameters {
    /// Bound in order.
    Positional(Vec<Value>),
    /// Bound by name, which may have its sign (`:`, `@` or `$`) in front or not.
    Named(Vec<(String, Value)>),
}

impl Parameters {
    /// What their content takes, in bytes.
    pub(super) fn size(&self) -> usize {
        let size = |value: &Value| match value {
            Value::Null | Value::Integer(_) | Value::Real(_) => 0,
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
        };
        match self {
            Self::Positional(values) => values.iter().map(size).sum(),
            Self::Named(values) => values.iter().map(|(_, value)| size(value)).sum(),
        }
    }
}

impl From<Vec<Value>> for Parameters {
    fn from(values: Vec<Value>) -> Self {
        Self::Positional(values)
    }
}

/// A statement with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The text.
    pub sql: String,
    /// The parameters.
    pub parameters: Parameters,
}
