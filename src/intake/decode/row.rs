//! Reads one row from any serde format, and goes on after what is wrong in it.
//!
//! A value of the wrong type is not an error of the format: it is noted with its pointer, skipped,
//! and the next field is read. So every offending field of a row is told at once, and a format's
//! own error always means that its bytes cannot be read.

use super::scalar::{AnyScalar, Integer, Object, Scalar, TakeMap};
use crate::model::execution::Execution;
use crate::model::limits::{
    DURATION_MS_MAX, LABELS_MAX, ROW_PROBLEMS_MAX, UNKNOWN_FIELDS_MAX, VALUES_MAX,
};
use crate::model::problem::{self, row};
use crate::model::time::parse_rfc3339;
use crate::process::admit::Refusal;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess};
use std::borrow::Cow;
use storage::row::{Actor, Status};

/// The contract's fields, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Field {
    Id,
    Ts,
    Command,
    CommandLine,
    UserId,
    TeamId,
    ProjectId,
    SessionId,
    Host,
    DurationMs,
    ExitCode,
    Status,
    Actor,
    Error,
    Labels,
    Values,
}

impl Field {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "ts" => Self::Ts,
            "command" => Self::Command,
            "command_line" => Self::CommandLine,
            "user_id" => Self::UserId,
            "team_id" => Self::TeamId,
            "project_id" => Self::ProjectId,
            "session_id" => Self::SessionId,
            "host" => Self::Host,
            "duration_ms" => Self::DurationMs,
            "exit_code" => Self::ExitCode,
            "status" => Self::Status,
            "actor" => Self::Actor,
            "error" => Self::Error,
            "labels" => Self::Labels,
            "values" => Self::Values,
            _ => return None,
        })
    }

    /// Its JSON pointer inside a row.
    pub(super) fn pointer(self) -> &'static str {
        match self {
            Self::Id => "/id",
            Self::Ts => "/ts",
            Self::Command => "/command",
            Self::CommandLine => "/command_line",
            Self::UserId => "/user_id",
            Self::TeamId => "/team_id",
            Self::ProjectId => "/project_id",
            Self::SessionId => "/session_id",
            Self::Host => "/host",
            Self::DurationMs => "/duration_ms",
            Self::ExitCode => "/exit_code",
            Self::Status => "/status",
            Self::Actor => "/actor",
            Self::Error => "/error",
            Self::Labels => "/labels",
            Self::Values => "/values",
        }
    }
}

/// One row at a time, with room that is used again for the next.
#[derive(Default)]
pub(super) struct RowReader<'a> {
    /// What was read.
    pub(super) execution: Execution<'a>,
    /// What is wrong with it; all of them reject.
    pub(super) problems: Vec<Refusal>,
    /// Fields that the contract does not name, each once.
    pub(super) unknown: Vec<Cow<'a, str>>,
    /// Whether the row was read to its end.
    pub(super) is_whole: bool,
    /// Whether anything nested was skipped without looking into it.
    pub(super) skipped: bool,
    /// The field being read, for errors of the format.
    pub(super) at: Option<Field>,
    seen: u32,
    absent_keys: Vec<Cow<'a, str>>,
}

impl<'a> RowReader<'a> {
    /// Reads a row. An error is the format's: see [`fail`](Self::fail).
    pub(super) fn read<D: Deserializer<'a>>(&mut self, from: D) -> Result<(), D::Error> {
        self.clear();
        Object(WholeRow(self)).deserialize(from)?;
        self.at = None;
        Ok(())
    }

    /// Notes that the format itself could not be read at the current field.
    pub(super) fn fail(&mut self, code: &'static str, detail: String) {
        let pointer = self.at.map_or("", Field::pointer);
        self.is_whole = false;
        self.problem(code, pointer, detail);
    }

    fn clear(&mut self) {
        let (mut labels, mut values) = (
            std::mem::take(&mut self.execution.labels),
            std::mem::take(&mut self.execution.values),
        );
        labels.clear();
        values.clear();
        self.execution = Execution { labels, values, ..Execution::default() };
        self.problems.clear();
        self.unknown.clear();
        (self.is_whole, self.skipped, self.at, self.seen) = (false, false, None, 0);
    }

    #[cold]
    pub(super) fn problem(
        &mut self,
        code: &'static str,
        pointer: impl Into<String>,
        detail: String,
    ) {
        if self.problems.len() < ROW_PROBLEMS_MAX {
            self.problems.push(Refusal::rejected(code, pointer.into(), detail));
        }
    }

    #[cold]
    fn wrong_type(&mut self, pointer: impl Into<String>, found: &Scalar<'a>, wanted: &str) {
        let pointer = pointer.into();
        self.skipped |= matches!(found, Scalar::Nested(_));
        if let Scalar::Bytes { utf8: false } = found {
            let detail = format!("`{pointer}` is not UTF-8: encode it as UTF-8");
            return self.problem(row::INVALID_UTF8, pointer, detail);
        }
        let what = if pointer.is_empty() { "the row" } else { &format!("`{pointer}`") };
        let detail = format!("{what} is {}: send {wanted}", found.kind());
        self.problem(row::WRONG_TYPE, pointer, detail);
    }

    #[cold]
    fn wrong_key(&mut self, parent: &str, found: &Scalar<'a>) {
        self.skipped = true;
        let what = if parent.is_empty() { "the row" } else { &format!("`{parent}`") };
        let detail = format!("{what} has {} as a key: send strings as keys", found.kind());
        self.problem(row::WRONG_TYPE, parent, detail);
    }

    #[cold]
    fn out_of_range(&mut self, pointer: impl Into<String>, range: &str) {
        let pointer = pointer.into();
        let detail = format!("`{pointer}` is out of range: send {range}");
        self.problem(row::OUT_OF_RANGE, pointer, detail);
    }

    fn field<A: MapAccess<'a>>(&mut self, field: Field, map: &mut A) -> Result<(), A::Error> {
        self.at = Some(field);
        if self.seen & 1 << field as u32 != 0 {
            let pointer = field.pointer();
            self.problem(
                row::DUPLICATE_KEY,
                pointer,
                format!("`{pointer}` is there twice: send it once"),
            );
            self.skipped = true;
            return map.next_value::<IgnoredAny>().map(drop);
        }
        self.seen |= 1 << field as u32;
        match field {
            Field::Labels | Field::Values => {
                map.next_value_seed(Object(Entries { reader: self, field }))
            }
            _ => {
                let scalar = map.next_value_seed(AnyScalar)?;
                self.set(field, scalar);
                Ok(())
            }
        }
    }

    fn set(&mut self, field: Field, scalar: Scalar<'a>) {
        if matches!(scalar, Scalar::Null) {
            return;
        }
        match field {
            Field::Ts => self.set_ts(scalar),
            Field::DurationMs => self.set_duration(scalar),
            Field::ExitCode => self.set_exit_code(scalar),
            Field::Status => {
                self.execution.status =
                    self.word(field, scalar, Status::parse, Status::ALL.map(Status::as_str));
            }
            Field::Actor => {
                self.execution.actor =
                    self.word(field, scalar, Actor::parse, Actor::ALL.map(Actor::as_str));
            }
            _ => match scalar {
                Scalar::Text(text) => self.set_text(field, text),
                other => self.wrong_type(field.pointer(), &other, "a string"),
            },
        }
    }

    fn set_text(&mut self, field: Field, text: Cow<'a, str>) {
        let to = &mut self.execution;
        match field {
            Field::Id => to.id = Some(text),
            Field::Command => to.command = text,
            Field::CommandLine => to.command_line = text,
            Field::UserId => to.user_id = text,
            Field::TeamId => to.team_id = text,
            Field::ProjectId => to.project_id = text,
            Field::SessionId => to.session_id = text,
            Field::Host => to.host = text,
            _ => to.error = text,
        }
    }

    fn set_ts(&mut self, scalar: Scalar<'a>) {
        let pointer = Field::Ts.pointer();
        if let Scalar::Text(text) = &scalar {
            match parse_rfc3339(text) {
                Ok(ts) => self.execution.ts_ms = Some(ts),
                Err(e) => self.problem(row::INVALID_TIME, pointer, format!("`{pointer}` {e}")),
            }
            return;
        }
        match scalar.integer() {
            Integer::Is(ts) => self.execution.ts_ms = Some(ts),
            Integer::OutOfRange => self.out_of_range(pointer, "Unix milliseconds"),
            Integer::Not => {
                self.wrong_type(pointer, &scalar, "RFC 3339 text or integer Unix milliseconds");
            }
        }
    }

    fn set_exit_code(&mut self, scalar: Scalar<'a>) {
        let pointer = Field::ExitCode.pointer();
        match scalar.integer() {
            Integer::Is(code) => self.execution.exit_code = Some(code),
            Integer::OutOfRange => self.out_of_range(pointer, "a 64-bit integer"),
            Integer::Not => self.wrong_type(pointer, &scalar, "an integer"),
        }
    }

    fn set_duration(&mut self, scalar: Scalar<'a>) {
        const RANGE: &str = "milliseconds from 0 to 10^12, or leave it out";
        let pointer = Field::DurationMs.pointer();
        let micros = match scalar {
            Scalar::Unsigned(ms) => (ms <= DURATION_MS_MAX).then(|| ms * 1000),
            Scalar::Signed(ms) => {
                u64::try_from(ms).ok().filter(|&ms| ms <= DURATION_MS_MAX).map(|ms| ms * 1000)
            }
            Scalar::Float(ms) if !ms.is_finite() => {
                let detail = format!("`{pointer}` is not a finite number: leave it out");
                return self.problem(row::NOT_FINITE, pointer, detail);
            }
            // At most 10^15: every whole microsecond is exact in a double.
            Scalar::Float(ms) => {
                (0.0..=DURATION_MS_MAX as f64).contains(&ms).then(|| (ms * 1000.0).round() as u64)
            }
            other => return self.wrong_type(pointer, &other, "a number of milliseconds"),
        };
        match micros {
            Some(micros) => self.execution.duration_us = Some(micros),
            None => self.out_of_range(pointer, RANGE),
        }
    }

    /// One of a few words; the empty one means absent, as everywhere.
    fn word<T, const N: usize>(
        &mut self,
        field: Field,
        scalar: Scalar<'a>,
        parse: fn(&str) -> Option<T>,
        allowed: [&str; N],
    ) -> Option<T> {
        let pointer = field.pointer();
        let Scalar::Text(text) = &scalar else {
            self.wrong_type(pointer, &scalar, "a string");
            return None;
        };
        let word = parse(text);
        if word.is_none() && !text.is_empty() {
            let detail = format!(
                "`{pointer}` is none of the words allowed: send one of {}",
                allowed.join(", ")
            );
            self.problem(row::INVALID_VALUE, pointer, detail);
        }
        word
    }

    /// Skips the value of a field that the contract does not name.
    #[cold]
    fn unknown<A: MapAccess<'a>>(
        &mut self,
        name: Cow<'a, str>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        self.at = None;
        self.skipped = true;
        if self.unknown.contains(&name) {
            let pointer = problem::pointer("", &problem::excerpt(&name));
            let detail = format!("`{pointer}` is there twice: send it once");
            self.problem(row::DUPLICATE_KEY, pointer, detail);
        } else if self.unknown.len() < UNKNOWN_FIELDS_MAX {
            self.unknown.push(name);
        } else if self.unknown.len() == UNKNOWN_FIELDS_MAX {
            let detail = format!(
                "the row has more than {UNKNOWN_FIELDS_MAX} unknown fields: put them into `labels` or `values`"
            );
            self.problem(row::TOO_MANY_ENTRIES, "", detail);
            // One more marks that this was said.
            self.unknown.push(name);
        }
        map.next_value::<IgnoredAny>().map(drop)
    }

    /// A key without a value is absent, but a key twice is a key twice.
    fn check_absent_keys(&mut self, field: Field) {
        if self.absent_keys.is_empty() {
            return;
        }
        let absent = std::mem::take(&mut self.absent_keys);
        for (n, key) in absent.iter().enumerate() {
            let twice = absent[..n].contains(key)
                || match field {
                    Field::Labels => self.execution.labels.iter().any(|(other, _)| other == key),
                    _ => self.execution.values.iter().any(|(other, _)| other == key),
                };
            if twice {
                let pointer = problem::pointer(field.pointer(), &problem::excerpt(key));
                let detail = format!("`{pointer}` is there twice: send it once");
                self.problem(row::DUPLICATE_KEY, pointer, detail);
            }
        }
    }
}

/// The object of a row.
struct WholeRow<'r, 'a>(&'r mut RowReader<'a>);

impl<'a> TakeMap<'a> for WholeRow<'_, 'a> {
    #[inline]
    fn take<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(AnyScalar)? {
            match key {
                Scalar::Text(name) => match Field::of(&name) {
                    Some(field) => self.0.field(field, &mut map)?,
                    None => self.0.unknown(name, &mut map)?,
                },
                other => {
                    self.0.wrong_key("", &other);
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        self.0.is_whole = true;
        Ok(())
    }

    fn decline(self, found: Scalar<'a>) {
        self.0.wrong_type("", &found, "an object");
    }
}

/// The object of `labels` or `values`.
struct Entries<'r, 'a> {
    reader: &'r mut RowReader<'a>,
    field: Field,
}

impl<'a> Entries<'_, 'a> {
    fn entry(&mut self, key: Cow<'a, str>, value: Scalar<'a>) {
        let to = &mut self.reader.execution;
        // One more than allowed is kept, so that the row is refused for it.
        match (self.field, value) {
            (_, Scalar::Null) => self.reader.absent_keys.push(key),
            (Field::Labels, Scalar::Text(word)) => {
                if to.labels.len() <= LABELS_MAX {
                    to.labels.push((key, word));
                }
            }
            (Field::Labels, other) => self.wrong_entry(&key, &other, "a string"),
            (_, value) => match value.number() {
                Some(number) if to.values.len() <= VALUES_MAX => to.values.push((key, number)),
                Some(_) => {}
                None => self.wrong_entry(&key, &value, "a number"),
            },
        }
    }

    #[cold]
    fn wrong_entry(&mut self, key: &str, found: &Scalar<'a>, wanted: &str) {
        let pointer = problem::pointer(self.field.pointer(), &problem::excerpt(key));
        self.reader.wrong_type(pointer, found, wanted);
    }
}

impl<'a> TakeMap<'a> for Entries<'_, 'a> {
    fn take<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(AnyScalar)? {
            let value = map.next_value_seed(AnyScalar)?;
            match key {
                Scalar::Text(key) => self.entry(key, value),
                other => self.reader.wrong_key(self.field.pointer(), &other),
            }
        }
        self.reader.check_absent_keys(self.field);
        Ok(())
    }

    fn decline(self, found: Scalar<'a>) {
        if !matches!(found, Scalar::Null) {
            self.reader.wrong_type(self.field.pointer(), &found, "an object");
        }
    }
}
