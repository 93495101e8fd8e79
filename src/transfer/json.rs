//! JSON: one object a line, an array of objects, or objects one after the other.
//!
//! A record's members are columns, taken by name like those of a table; objects within it are
//! taken apart into `outer.inner`, so that `labels` and `values` are found where they are ours.

use super::cell::{aside, put};
use super::mapping::{self, Column, Rule, Target};
use super::record::{ReadError, Record, Records, too_long};
use super::source::{Found, LINE_BYTES_MAX, Lines};
use crate::model::execution::Execution;
use crate::process::admit::Refusal;
use jiff::tz::TimeZone;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Different member names that are remembered for the plan.
const COLUMNS_MAX: usize = 256;

/// Reads objects.
pub(crate) struct JsonRecords {
    objects: Objects,
    rules: Vec<Rule>,
    zone: TimeZone,
    record: Vec<u8>,
    seen: BTreeMap<String, Target>,
}

impl JsonRecords {
    /// Reads one object a line (`by_line`), or objects in an array or one after the other.
    pub(crate) fn new(lines: Lines, by_line: bool, rules: &[Rule], zone: TimeZone) -> Self {
        Self {
            objects: Objects { lines, by_line, rest: Vec::new(), at: 0, line: 1 },
            rules: rules.to_vec(),
            zone,
            record: Vec::new(),
            seen: BTreeMap::new(),
        }
    }
}

impl Records for JsonRecords {
    fn next(&mut self, take: &mut dyn FnMut(Record<'_>)) -> Result<bool, ReadError> {
        self.record.clear();
        let found = self.objects.next(&mut self.record)?;
        let line = self.objects.line;
        let read = match found {
            Found::End => return Ok(false),
            Found::TooLong => Err(too_long()),
            Found::Line => execution(&self.record, &self.rules, &self.zone, &mut self.seen),
        };
        take(Record { line, raw: self.record.trim_ascii(), read });
        Ok(true)
    }

    fn line(&self) -> u64 {
        self.objects.lines.number()
    }

    fn columns(&self) -> Vec<Column> {
        let names: Vec<String> = self.seen.keys().cloned().collect();
        let targets: Vec<Target> = self.seen.values().cloned().collect();
        mapping::shown(&names, &targets)
    }
}

/// One object as an execution.
fn execution(
    raw: &[u8],
    rules: &[Rule],
    zone: &TimeZone,
    seen: &mut BTreeMap<String, Target>,
) -> Result<Execution<'static>, Refusal> {
    let text = std::str::from_utf8(raw)
        .map_err(|_| aside("invalid_utf8", "", "the record is not UTF-8"))?;
    let members: Members = serde_json::from_str(text.trim())
        .map_err(|e| aside("invalid_json", "", format!("the record is not a JSON object: {e}")))?;
    if let Some(name) = members.repeated {
        let detail = format!("`{name}` stands twice");
        return Err(Refusal::rejected("duplicate_key", format!("/{name}"), detail));
    }
    let mut execution = Execution::default();
    for (name, cell) in members.cells {
        let target = match seen.get(&name) {
            Some(target) => target.clone(),
            None => {
                let target = mapping::target_of(&name, rules);
                if seen.len() < COLUMNS_MAX {
                    seen.insert(name.clone(), target.clone());
                }
                target
            }
        };
        let Some(cell) = cell else {
            if target != Target::Ignored {
                let detail = format!("`{name}` is a list or an object, a plain value is wanted");
                return Err(aside("wrong_type", &name, detail));
            }
            continue;
        };
        put(&mut execution, &target, Cow::Owned(cell), zone)?;
    }
    Ok(execution)
}

/// An object's members, those of inner objects with dotted names. A list is `None`.
#[derive(Default)]
struct Members {
    cells: Vec<(String, Option<String>)>,
    repeated: Option<String>,
}

/// Objects within objects that are taken apart; deeper ones count as lists do.
const DEPTH_MAX: usize = 4;

impl Members {
    fn add(&mut self, outer: &str, value: Object, depth: usize) {
        let mut names: Vec<&str> = Vec::with_capacity(value.0.len());
        for (name, _) in &value.0 {
            if names.contains(&name.as_str()) && self.repeated.is_none() {
                self.repeated = Some(format!("{outer}{name}"));
            }
            names.push(name);
        }
        for (name, member) in value.0 {
            let name = format!("{outer}{name}");
            match member {
                Member::Null => {}
                Member::Plain(text) => self.cells.push((name, Some(text))),
                Member::Object(inner) if depth < DEPTH_MAX => {
                    self.add(&format!("{name}."), inner, depth + 1);
                }
                Member::Object(_) | Member::List => self.cells.push((name, None)),
            }
        }
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Object::deserialize(deserializer)?;
        let mut members = Self::default();
        members.add("", object, 0);
        Ok(members)
    }
}

/// An object with its members in order, repeated ones included.
struct Object(Vec<(String, Member)>);

enum Member {
    Null,
    Plain(String),
    Object(Object),
    List,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Member, E> {
        Ok(Member::Plain(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Member, E> {
        Ok(Member::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Member, E> {
        Ok(Member::Plain(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Member, E> {
        Ok(Member::Plain(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Member, E> {
        Ok(Member::Plain(number.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Member, E> {
        Ok(Member::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Member, A::Error> {
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Member::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Member::Object(Object(members)))
    }
}

/// Cuts a stream into the texts of its objects.
struct Objects {
    lines: Lines,
    by_line: bool,
    /// What was read and not given out, from `at` on.
    rest: Vec<u8>,
    at: usize,
    /// The line at which the record given last begins.
    line: u64,
}

impl Objects {
    fn next(&mut self, record: &mut Vec<u8>) -> Result<Found, ReadError> {
        if !self.by_line {
            return self.next_balanced(record);
        }
        loop {
            record.clear();
            let found = self.lines.read(record)?;
            self.line = self.lines.number();
            if found != Found::Line || !record.iter().all(u8::is_ascii_whitespace) {
                return Ok(found);
            }
        }
    }

    /// The text from the next `{` to the `}` that closes it; what stands between objects
    /// (brackets, commas, spaces) is passed over, anything else there is a record by itself.
    fn next_balanced(&mut self, record: &mut Vec<u8>) -> Result<Found, ReadError> {
        let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
        loop {
            while let Some(&byte) = self.rest.get(self.at) {
                self.at += 1;
                if depth == 0 {
                    if byte == b'{' {
                        self.line = self.lines.number();
                    } else if byte.is_ascii_whitespace() || matches!(byte, b'[' | b']' | b',') {
                        if !record.is_empty() {
                            return Ok(Found::Line);
                        }
                        continue;
                    }
                }
                if record.len() <= LINE_BYTES_MAX {
                    record.push(byte);
                }
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if in_text => escaped = true,
                    b'"' => in_text = !in_text,
                    b'{' if !in_text => depth += 1,
                    b'}' if !in_text && depth > 0 => {
                        depth -= 1;
                        if depth == 0 {
                            let whole = record.len() <= LINE_BYTES_MAX;
                            return Ok(if whole { Found::Line } else { Found::TooLong });
                        }
                    }
                    _ => {}
                }
            }
            self.rest.clear();
            self.at = 0;
            match self.lines.read(&mut self.rest)? {
                Found::Line => {}
                Found::TooLong => return Ok(Found::TooLong),
                Found::End if record.is_empty() => return Ok(Found::End),
                Found::End => return Ok(Found::Line),
            }
        }
    }
}
