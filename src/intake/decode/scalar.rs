//! Values as any serde format gives them: scalars as they are, nested ones skipped.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Any value that is no object or array, and those as [`Scalar::Nested`].
pub(super) enum Scalar<'a> {
    Null,
    Bool,
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes { utf8: bool },
    Nested(&'static str),
}

pub(super) enum Integer {
    Is(i64),
    OutOfRange,
    Not,
}

impl Scalar<'_> {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::Bytes { .. } => "bytes",
            Self::Nested(kind) => kind,
        }
    }

    pub(super) fn integer(&self) -> Integer {
        match *self {
            Self::Signed(n) => Integer::Is(n),
            Self::Unsigned(n) => i64::try_from(n).map_or(Integer::OutOfRange, Integer::Is),
            // -2^63 and 2^63 are exact in a double; the latter is just out of range.
            Self::Float(x)
                if x.fract() == 0.0 && (-(2f64.powi(63))..2f64.powi(63)).contains(&x) =>
            {
                Integer::Is(x as i64)
            }
            Self::Float(x) if x.is_finite() && x.fract() == 0.0 => Integer::OutOfRange,
            _ => Integer::Not,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match *self {
            Self::Unsigned(n) => Some(n as f64),
            Self::Signed(n) => Some(n as f64),
            Self::Float(x) => Some(x),
            _ => None,
        }
    }
}

/// Reads a [`Scalar`].
pub(super) struct AnyScalar;

impl<'a> DeserializeSeed<'a> for AnyScalar {
    type Value = Scalar<'a>;

    #[inline]
    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<Scalar<'a>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for AnyScalar {
    type Value = Scalar<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Bool)
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Unsigned(n))
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Signed(n))
    }

    fn visit_f64<E: Error>(self, x: f64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Float(x))
    }

    #[inline]
    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Bytes { utf8: std::str::from_utf8(bytes).is_ok() })
    }

    fn visit_newtype_struct<D: Deserializer<'a>>(self, from: D) -> Result<Scalar<'a>, D::Error> {
        from.deserialize_any(IgnoredAny)?;
        Ok(Scalar::Nested("an extension type"))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Scalar<'a>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested("an array"))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Scalar<'a>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested("an object"))
    }
}

/// Who takes an object where one should be, or is told what was there instead.
pub(super) trait TakeMap<'a> {
    /// Takes the object.
    fn take<A: MapAccess<'a>>(self, map: A) -> Result<(), A::Error>;

    /// Something else was there, and has been skipped.
    fn decline(self, found: Scalar<'a>);
}

/// Reads an object for a [`TakeMap`].
pub(super) struct Object<T>(pub(super) T);

impl<'a, T: TakeMap<'a>> Object<T> {
    fn declined<E>(self, found: Result<Scalar<'a>, E>) -> Result<(), E> {
        self.0.decline(found?);
        Ok(())
    }
}

impl<'a, T: TakeMap<'a>> DeserializeSeed<'a> for Object<T> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'a, T: TakeMap<'a>> Visitor<'a> for Object<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, map: A) -> Result<(), A::Error> {
        self.0.take(map)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.declined(AnyScalar.visit_unit())
    }

    fn visit_bool<E: Error>(self, b: bool) -> Result<(), E> {
        self.declined(AnyScalar.visit_bool(b))
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<(), E> {
        self.declined(AnyScalar.visit_u64(n))
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<(), E> {
        self.declined(AnyScalar.visit_i64(n))
    }

    fn visit_f64<E: Error>(self, x: f64) -> Result<(), E> {
        self.declined(AnyScalar.visit_f64(x))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<(), E> {
        self.declined(AnyScalar.visit_borrowed_str(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.declined(AnyScalar.visit_str(text))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<(), E> {
        self.declined(AnyScalar.visit_bytes(bytes))
    }

    fn visit_newtype_struct<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        let found = AnyScalar.visit_newtype_struct(from);
        self.declined(found)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<(), A::Error> {
        let found = AnyScalar.visit_seq(seq);
        self.declined(found)
    }
}
