//! What converts into a [`Value`].

use super::{Parameters, Value};

macro_rules! into_value {
    ($($source:ty => |$value:ident| $expression:expr;)*) => {
        $(impl From<$source> for Value {
            fn from($value: $source) -> Self {
                $expression
            }
        })*
    };
}

into_value! {
    bool => |value| Self::Integer(value.into());
    i8 => |value| Self::Integer(value.into());
    i16 => |value| Self::Integer(value.into());
    i32 => |value| Self::Integer(value.into());
    i64 => |value| Self::Integer(value);
    u8 => |value| Self::Integer(value.into());
    u16 => |value| Self::Integer(value.into());
    u32 => |value| Self::Integer(value.into());
    f32 => |value| Self::Real(value.into());
    f64 => |value| Self::Real(value);
    &str => |value| Self::Text(value.to_owned());
    &String => |value| Self::Text(value.clone());
    String => |value| Self::Text(value);
    &[u8] => |value| Self::Blob(value.to_vec());
    &Vec<u8> => |value| Self::Blob(value.clone());
    Vec<u8> => |value| Self::Blob(value);
    bytes::Bytes => |value| Self::Blob(value.into());
    &Value => |value| value.clone();
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<const N: usize> From<[Value; N]> for Parameters {
    fn from(values: [Value; N]) -> Self {
        Self::Positional(values.into())
    }
}

impl From<Vec<Value>> for Parameters {
    fn from(values: Vec<Value>) -> Self {
        Self::Positional(values)
    }
}

impl From<&[Value]> for Parameters {
    fn from(values: &[Value]) -> Self {
        Self::Positional(values.to_vec())
    }
}
