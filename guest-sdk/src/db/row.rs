//! From a row to a value of the function's own type.

use serde::de::value::{SeqDeserializer, StringDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Error, Value};

/// Decodes one row.
pub(super) fn decode<T: DeserializeOwned>(columns: &[String], row: Vec<Value>) -> Result<T, Error> {
    T::deserialize(Row { columns: columns.iter(), values: row.into_iter(), pending: None })
}

/// What is left of a row.
struct Row<'a> {
    columns: std::slice::Iter<'a, String>,
    values: std::vec::IntoIter<Value>,
    /// The column whose name was read last.
    pending: Option<Column<'a>>,
}

impl<'a> Row<'a> {
    fn next_column(&mut self) -> Option<Column<'a>> {
        Some(Column { name: self.columns.next()?, value: self.values.next()? })
    }

    /// The only column, for types that are not a whole row.
    fn only_column(mut self) -> Result<Column<'a>, Error> {
        match (self.next_column(), self.columns.len()) {
            (Some(column), 0) => Ok(column),
            (_, rest) => Err(Error::custom(format_args!(
                "a row of {} columns is not a plain value: use a struct or a tuple",
                if rest == 0 { 0 } else { rest + 1 }
            ))),
        }
    }
}

/// Forwards types that are one value to the only column.
macro_rules! single_value {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self $(, $argument: $type)*, visitor: V) -> Result<V::Value, Error> {
            self.only_column()?.$method($($argument,)* visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Row<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let value = visitor.visit_seq(&mut self)?;
        match self.values.len() {
            0 => Ok(value),
            rest => Err(Error::custom(format_args!("{rest} columns of the row are left over"))),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    single_value! {
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    forward_to_deserialize_any! { i128 u128 unit_struct map struct identifier ignored_any }
}

impl<'de> MapAccess<'de> for Row<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.pending = self.next_column();
        let name = self.pending.as_ref().map(|column| column.name);
        name.map(|name| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let column = self.pending.take().ok_or_else(|| Error::custom("a value was asked for before its name"))?;
        seed.deserialize(column)
    }
}

impl<'de> SeqAccess<'de> for &mut Row<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.next_column().map(|column| seed.deserialize(column)).transpose()
    }
}

/// A value, and the name of its column for messages.
struct Column<'a> {
    name: &'a str,
    value: Value,
}

/// Adds the name of the column to a message.
fn in_column(name: &str) -> impl Fn(Error) -> Error + '_ {
    move |error| Error::custom(format_args!("column `{name}`: {error}"))
}

impl<'de> Deserializer<'de> for Column<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Integer(integer) => visitor.visit_i64(integer),
            Value::Real(real) => visitor.visit_f64(real),
            Value::Text(text) => visitor.visit_string(text),
            Value::Blob(bytes) => visitor.visit_byte_buf(bytes),
        }
        .map_err(in_column(self.name))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Integer(integer @ (0 | 1)) => visitor.visit_bool(integer == 1),
            Value::Integer(integer) => Err(Error::invalid_value(Unexpected::Signed(integer), &"a boolean: 0 or 1")),
            value => return Column { value, ..self }.deserialize_any(visitor),
        }
        .map_err(in_column(self.name))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Blob(bytes) => {
                visitor.visit_seq(SeqDeserializer::new(bytes.into_iter())).map_err(in_column(self.name))
            }
            value => Column { value, ..self }.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::Text(text) => visitor.visit_enum(StringDeserializer::new(text)).map_err(in_column(self.name)),
            value => Column { value, ..self }.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple_struct map
        struct identifier
    }
}

#[cfg(test)]
mod tests;
