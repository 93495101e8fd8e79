//! What a provider claims of a person, as a JSON object that says each thing once.

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::fmt;

/// The claims of an ID token or of user information. Two readers of an object with a repeated name may
/// read two things, so that such an object is refused. What is `null` is not claimed (Core §5.3.2).
#[derive(Debug)]
pub(super) struct Claims(Map<String, Value>);

/// A claim has another type than the standard gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongType;

impl Claims {
    /// The claims in `json`.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// A claim of any type.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A claim that is text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, WrongType> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(WrongType),
        }
    }

    /// A claim that is a time, in Unix milliseconds. It is written in seconds, which may have a
    /// fraction (RFC 7519 §2).
    pub(super) fn time_ms(&self, name: &str) -> Result<Option<i64>, WrongType> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let whole = value.as_i64().and_then(|seconds| seconds.checked_mul(1000));
        // A cast from a fraction saturates.
        let ms = whole.or_else(|| value.as_f64().map(|seconds| (seconds * 1000.0) as i64));
        ms.map(Some).ok_or(WrongType)
    }

    /// A claim that is text, or a list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, WrongType> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(vec![text])),
            Some(Value::Array(items)) => {
                let texts = items.iter().map(|item| item.as_str().ok_or(WrongType));
                Ok(Some(texts.collect::<Result<_, _>>()?))
            }
            Some(_) => Err(WrongType),
        }
    }

    /// Whether a claim is true, or says so: some providers write `"true"`.
    pub(super) fn is_true(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text == "true",
            _ => false,
        }
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EachOnce)
    }
}

struct EachOnce;

impl<'de> Visitor<'de> for EachOnce {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Claims, A::Error> {
        let mut map = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name is repeated"));
            }
        }
        map.retain(|_, value| !value.is_null());
        Ok(Claims(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_that_say_each_thing_once_are_read() {
        for bad in [
            "",
            "null",
            "[]",
            "\"a\"",
            r#"{"a":1,"a":1}"#,
            r#"{"a":null,"a":1}"#,
            r#"{"a":1}x"#,
            "{\"a\":1",
        ] {
            assert!(Claims::read(bad.as_bytes()).is_none(), "{bad}");
        }
        let text =
            br#"{"s":"a","i":7,"f":7.5,"l":["a","b"],"x":["a",1],"n":null,"h":1e300,"t":"true"}"#;
        let claims = Claims::read(text).unwrap();
        assert_eq!(claims.text("s"), Ok(Some("a")));
        assert_eq!((claims.text("none"), claims.text("i")), (Ok(None), Err(WrongType)));
        assert_eq!(claims.time_ms("i"), Ok(Some(7_000)));
        assert_eq!(claims.time_ms("f"), Ok(Some(7_500)));
        assert_eq!(claims.time_ms("h"), Ok(Some(i64::MAX)));
        assert_eq!((claims.time_ms("s"), claims.time_ms("n")), (Err(WrongType), Ok(None)));
        assert_eq!(claims.texts("l"), Ok(Some(vec!["a", "b"])));
        assert_eq!(claims.texts("s"), Ok(Some(vec!["a"])));
        assert_eq!((claims.texts("x"), claims.texts("i")), (Err(WrongType), Err(WrongType)));
        assert!(claims.get("n").is_none() && claims.get("i").is_some());
        assert!(claims.is_true("t") && !claims.is_true("s") && !claims.is_true("i"));
    }
}
