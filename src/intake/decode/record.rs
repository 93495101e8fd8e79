//! Reads one execution from any self-describing format.
//!
//! Every field is read as whatever it is and judged then, so that one row tells all its wrong
//! fields at once. Text is borrowed from the body wherever it has no escapes.

use crate::model::execution::Execution;
use crate::model::time::parse_rfc3339;
use crate::process::admit::{PROBLEMS_MAX, Problem, Refusal, pointer};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use storage::row::{Actor, Status};

/// What one row's reading needs beside the row; used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Reader {
    problems: Vec<Problem>,
    unknown: Vec<String>,
    /// The field being read, for errors of the format itself.
    at: Option<&'static str>,
    /// A bit per known field that was there.
    seen: u32,
}

impl Reader {
    /// Clears `execution` and gives the seed that fills it.
    pub(super) fn begin<'x, 'de>(
        &'x mut self,
        execution: &'x mut Execution<'de>,
    ) -> RecordSeed<'x, 'de> {
        self.problems.clear();
        self.unknown.clear();
        (self.at, self.seen) = (None, 0);
        let (mut labels, mut values) =
            (std::mem::take(&mut execution.labels), std::mem::take(&mut execution.values));
        labels.clear();
        values.clear();
        *execution = Execution { labels, values, ..Execution::default() };
        RecordSeed { reader: self, execution }
    }

    /// Fails if a field was wrong.
    pub(super) fn end(&mut self) -> Result<(), Refusal> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(Refusal { quarantined: false, problems: std::mem::take(&mut self.problems) })
    }

    /// Where the format itself broke off.
    pub(super) fn pointer(&self) -> String {
        self.at.map(|name| format!("/{name}")).unwrap_or_default()
    }

    /// Names of unknown fields of the row.
    pub(super) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    fn problem(&mut self, code: &'static str, pointer: String, detail: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { code, pointer, detail: detail.into() });
        }
    }
}

/// Fills an execution from a map.
pub(super) struct RecordSeed<'x, 'de> {
    reader: &'x mut Reader,
    execution: &'x mut Execution<'de>,
}

impl<'de> DeserializeSeed<'de> for RecordSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Names of the fields, in the order of their bits.
const FIELDS: [&str; 16] = [
    "id",
    "ts",
    "command",
    "command_line",
    "user_id",
    "team_id",
    "project_id",
    "session_id",
    "host",
    "duration_ms",
    "exit_code",
    "status",
    "actor",
    "error",
    "labels",
    "values",
];

impl<'de> Visitor<'de> for RecordSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an execution (an object)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { reader, execution } = self;
        while let Some(Text(name)) = map.next_key()? {
            let Some(n) = FIELDS.iter().position(|field| **field == *name) else {
                reader.unknown.push(name.into_owned());
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            reader.at = Some(FIELDS[n]);
            if reader.seen & (1 << n) != 0 {
                let detail = "the field stands twice: send it once";
                reader.problem("duplicate_key", format!("/{name}"), detail);
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            reader.seen |= 1 << n;
            match FIELDS[n] {
                "labels" => {
                    map.next_value_seed(KeyedSeed { reader, labels: &mut execution.labels })?;
                }
                "values" => {
                    map.next_value_seed(ValuesSeed { reader, values: &mut execution.values })?;
                }
                field => {
                    let scalar: Scalar<'de> = map.next_value()?;
                    set(field, scalar, execution, reader);
                }
            }
        }
        reader.at = None;
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.not_a_map()
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.not_a_map()
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<(), E> {
        self.not_a_map()
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.not_a_map()
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.not_a_map()
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.not_a_map()
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.not_a_map()
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.not_a_map()
    }
}

impl RecordSeed<'_, '_> {
    fn not_a_map<E>(self) -> Result<(), E> {
        self.reader.problem("wrong_type", String::new(), "an execution is an object");
        Ok(())
    }
}

/// Puts a field in its place, or says what is wrong with it.
fn set<'de>(
    field: &'static str,
    scalar: Scalar<'de>,
    execution: &mut Execution<'de>,
    reader: &mut Reader,
) {
    if matches!(scalar, Scalar::Null) {
        return;
    }
    let wrong = match field {
        "ts" => match time(&scalar) {
            Ok(ts) => return execution.ts_ms = Some(ts),
            Err(wrong) => wrong,
        },
        "duration_ms" => match duration_us(&scalar) {
            Ok(us) => return execution.duration_us = Some(us),
            Err(wrong) => wrong,
        },
        "exit_code" => match scalar {
            Scalar::Int(code) => return execution.exit_code = Some(code),
            Scalar::Big(_) => ("out_of_range", "an exit code is a 64-bit integer"),
            _ => ("wrong_type", "an exit code is an integer"),
        },
        "status" => match word(&scalar).map(Status::parse) {
            Some(Some(status)) => return execution.status = Some(status),
            Some(None) => ("unknown_value", "one of success, failure, timeout, cancelled, unknown"),
            None => ("wrong_type", "a status is a string"),
        },
        "actor" => match word(&scalar).map(Actor::parse) {
            Some(Some(actor)) => return execution.actor = Some(actor),
            Some(None) => ("unknown_value", "one of human, ci, agent, unknown"),
            None => ("wrong_type", "an actor is a string"),
        },
        _ => match scalar {
            Scalar::Text(text) => return set_text(field, text, execution),
            _ => ("wrong_type", "it is a string"),
        },
    };
    reader.problem(wrong.0, format!("/{field}"), wrong.1);
}

fn set_text<'de>(field: &str, text: Cow<'de, str>, execution: &mut Execution<'de>) {
    let place = match field {
        "id" => return execution.id = Some(text),
        "command" => &mut execution.command,
        "command_line" => &mut execution.command_line,
        "user_id" => &mut execution.user_id,
        "team_id" => &mut execution.team_id,
        "project_id" => &mut execution.project_id,
        "session_id" => &mut execution.session_id,
        "host" => &mut execution.host,
        _ => &mut execution.error,
    };
    *place = text;
}

/// A code and a detail.
type Wrong = (&'static str, &'static str);

fn time(scalar: &Scalar<'_>) -> Result<i64, Wrong> {
    match scalar {
        Scalar::Int(ms) => Ok(*ms),
        Scalar::Big(_) => Err(("out_of_range", "a time is a 64-bit number of milliseconds")),
        Scalar::Text(text) => {
            let wrong = ("bad_time", "write it as 2026-03-01T09:30:00.000+01:00, or as integer ms");
            parse_rfc3339(text).ok_or(wrong)
        }
        _ => Err(("wrong_type", "a time is an RFC 3339 string or integer Unix milliseconds")),
    }
}

/// Milliseconds, whole or not, as microseconds: rounded to the nearest.
fn duration_us(scalar: &Scalar<'_>) -> Result<u64, Wrong> {
    const NEGATIVE: Wrong = ("out_of_range", "a duration is not negative");
    const TOO_LONG: Wrong = ("out_of_range", "a duration is at most 10^12 ms");
    match *scalar {
        Scalar::Int(ms) => {
            let ms = u64::try_from(ms).map_err(|_| NEGATIVE)?;
            ms.checked_mul(1000).filter(|&us| us <= storage::DURATION_US_MAX).ok_or(TOO_LONG)
        }
        Scalar::Float(ms) | Scalar::Big(ms) => {
            if ms.is_nan() || ms < 0.0 {
                Err(NEGATIVE)
            } else if ms * 1000.0 > storage::DURATION_US_MAX as f64 {
                Err(TOO_LONG)
            } else {
                Ok((ms * 1000.0).round() as u64)
            }
        }
        _ => Err(("wrong_type", "a duration is a number of milliseconds")),
    }
}

fn word<'s>(scalar: &'s Scalar<'_>) -> Option<&'s str> {
    match scalar {
        Scalar::Text(text) => Some(text),
        _ => None,
    }
}

/// A value as it came. What is nested is walked over and only counted as nested.
enum Scalar<'de> {
    Null,
    Bool,
    Int(i64),
    /// A whole number beyond 64 bits signed.
    Big(f64),
    Float(f64),
    Text(Cow<'de, str>),
    Nested,
}

/// A piece of text, borrowed if it can be.
struct Text<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar<'de>, E> {
        Ok(i64::try_from(number).map_or(Scalar::Big(number as f64), Scalar::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Float(number))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool)
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }

    fn visit_none<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Nested)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
}

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Fills `labels` from a map of strings.
struct KeyedSeed<'x, 'de> {
    reader: &'x mut Reader,
    labels: &'x mut Vec<(Cow<'de, str>, Cow<'de, str>)>,
}

/// Fills `values` from a map of numbers.
struct ValuesSeed<'x, 'de> {
    reader: &'x mut Reader,
    values: &'x mut Vec<(Cow<'de, str>, f64)>,
}

/// More entries than this are read over and not kept: far beyond what is allowed, and still a
/// small row.
const ENTRIES_KEPT_MAX: usize = 1024;

/// The two maps differ only in what they keep of an entry.
macro_rules! keyed_map {
    ($seed:ident, $field:ident, $name:literal, $keep:expr) => {
        impl<'de> DeserializeSeed<'de> for $seed<'_, 'de> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_any(self)
            }
        }

        impl<'de> Visitor<'de> for $seed<'_, 'de> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                while let Some((Text(key), scalar)) = map.next_entry::<Text<'de>, Scalar<'de>>()? {
                    if matches!(scalar, Scalar::Null) || self.$field.len() >= ENTRIES_KEPT_MAX {
                        continue;
                    }
                    match $keep(scalar) {
                        Ok(kept) => self.$field.push((key, kept)),
                        Err((code, detail)) => {
                            self.reader.problem(code, pointer(concat!("/", $name), &key), detail);
                        }
                    }
                }
                Ok(())
            }

            fn visit_unit<E>(self) -> Result<(), E> {
                Ok(())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                self.not_a_map()
            }

            fn visit_str<E>(self, _: &str) -> Result<(), E> {
                self.not_a_map()
            }

            fn visit_i64<E>(self, _: i64) -> Result<(), E> {
                self.not_a_map()
            }

            fn visit_u64<E>(self, _: u64) -> Result<(), E> {
                self.not_a_map()
            }

            fn visit_f64<E>(self, _: f64) -> Result<(), E> {
                self.not_a_map()
            }

            fn visit_bool<E>(self, _: bool) -> Result<(), E> {
                self.not_a_map()
            }

            fn visit_bytes<E>(self, _: &[u8]) -> Result<(), E> {
                self.not_a_map()
            }
        }

        impl $seed<'_, '_> {
            fn not_a_map<E>(self) -> Result<(), E> {
                self.reader.problem(
                    "wrong_type",
                    concat!("/", $name).to_owned(),
                    concat!("`", $name, "` is an object"),
                );
                Ok(())
            }
        }
    };
}

keyed_map!(KeyedSeed, labels, "labels", |scalar: Scalar<'de>| match scalar {
    Scalar::Text(text) => Ok(text),
    _ => Err(("wrong_type", "a label is a string")),
});

keyed_map!(ValuesSeed, values, "values", |scalar: Scalar<'de>| match scalar {
    Scalar::Int(number) => Ok(number as f64),
    Scalar::Big(number) | Scalar::Float(number) => Ok(number),
    _ => Err(("wrong_type", "a value is a number")),
});
