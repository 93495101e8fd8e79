//! JSON: one object a line, an array of objects, or objects one after the other.
//!
//! A record's members are columns, taken by name like those of a table; objects within it are
//! taken apart into `outer.inner`, so that `labels` and `values` are found where they are ours.

use super::cell::{aside, put};
use super::mapping::{self, Column, Rule, Target};
use super::record::{ReadError, Record, Records, too_long};
use super::source::{Found, LINE_BYTES_MAX, Lines};
use crate::model::execution::Execution;
use crate::model::problem::{excerpt, pointer, row};
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
            objects: Objects { lines, by_line, rest: Vec::new(), at: 0, line: 1, arrays: 0 },
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
    let members: Members = serde_json::from_str(text.trim()).map_err(|e| not_read(text, &e))?;
    if let Some((pointer, detail)) = members.repeated {
        return Err(Refusal::rejected(row::DUPLICATE_KEY, pointer, detail));
    }
    let mut execution = Execution::default();
    let mut filled = Vec::with_capacity(members.cells.len());
    let by_rule = |name: &str| rules.iter().any(|(column, _)| column == name);
    let (told, guessed): (Vec<_>, Vec<_>) = match rules {
        [] => (Vec::new(), members.cells),
        _ => members.cells.into_iter().partition(|(name, _)| by_rule(name)),
    };
    // As in a table, what was asked for wins over a guess, and an earlier guess over a later one.
    for (name, cell) in told.into_iter().chain(guessed) {
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
        match target {
            // Ours, and not what it has to be: passing over it would lose what it says.
            Target::Ignored if matches!(&*name, "labels" | "values") && !by_rule(&name) => {
                let detail = format!("`{name}` is no object");
                return Err(aside(row::WRONG_TYPE, &name, detail));
            }
            Target::Ignored => continue,
            Target::Field(field, _) if filled.contains(&field) => continue,
            Target::Field(field, _) => filled.push(field),
            Target::Label(_) | Target::Value(_) => {}
        }
        let Some(cell) = cell else {
            let detail = "a list or a nested object stands where a plain value is wanted";
            return Err(Refusal {
                pointer: target.pointer(),
                ..aside(row::WRONG_TYPE, "", detail)
            });
        };
        put(&mut execution, &target, Cow::Owned(cell), zone)?;
    }
    Ok(execution)
}

/// Deepest nesting that is read, the parser's own bound.
const NESTING_MAX: usize = 127;

/// Why `text` is not read as an object.
fn not_read(text: &str, error: &serde_json::Error) -> Refusal {
    if nesting(text) > NESTING_MAX {
        let detail = format!("the record is nested deeper than {NESTING_MAX} levels");
        return Refusal::rejected(row::TOO_DEEP, String::new(), detail);
    }
    aside(row::INVALID_JSON, "", format!("the record is not a JSON object: {error}"))
}

/// How deep the brackets of `text` are nested.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// An object's members, those of inner objects with dotted names. A list is `None`.
#[derive(Default)]
struct Members {
    cells: Vec<(String, Option<String>)>,
    /// The pointer of a member that stands twice, and what is said about it.
    repeated: Option<(String, String)>,
}

/// Objects within objects that are taken apart; deeper ones count as lists do.
const DEPTH_MAX: usize = 4;

impl Members {
    fn add(&mut self, outer: &str, within: &str, value: Object, depth: usize) {
        if self.repeated.is_none()
            && let Some(name) = value.repeated()
        {
            let (name, detail) = (excerpt(name), "stands twice: leave one out");
            self.repeated = Some((pointer(within, &name), format!("`{outer}{name}` {detail}")));
        }
        for (name, member) in value.0 {
            let inner_pointer = || pointer(within, &excerpt(&name));
            let name = format!("{outer}{name}");
            match member {
                Member::Null => {}
                Member::Plain(text) => self.cells.push((name, Some(text))),
                Member::Object(inner) if depth < DEPTH_MAX => {
                    self.add(&format!("{name}."), &inner_pointer(), inner, depth + 1);
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
        members.add("", "", object, 0);
        Ok(members)
    }
}

/// An object with its members in order, repeated ones included.
struct Object(Vec<(String, Member)>);

/// Members among which a repeated one is looked for without sorting them.
const FEW: usize = 24;

impl Object {
    /// The name of a member that stands twice.
    fn repeated(&self) -> Option<&str> {
        let name = |n: usize| &*self.0[n].0;
        if self.0.len() <= FEW {
            let is_repeat = |n: &usize| (0..*n).any(|earlier| name(earlier) == name(*n));
            return (1..self.0.len()).find(is_repeat).map(name);
        }
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

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
        // Beyond this the digits behind the first 17 are made up.
        let is_huge = number.abs() >= 1e21;
        Ok(Member::Plain(if is_huge { format!("{number:e}") } else { number.to_string() }))
    }

    fn visit_unit<E>(self) -> Result<Member, E> {
        Ok(Member::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Member, A::Error> {
        // Read like any other value, so that the parser's bound on nesting holds here too.
        while seq.next_element::<Member>()?.is_some() {}
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
    /// Arrays around the objects that are not closed yet.
    arrays: usize,
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
    ///
    /// No text in JSON holds a line break: where one seems to, its quote is missing. The record
    /// ends there, so that it does not swallow those behind it.
    fn next_balanced(&mut self, record: &mut Vec<u8>) -> Result<Found, ReadError> {
        let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
        loop {
            while let Some(&byte) = self.rest.get(self.at) {
                self.at += 1;
                if depth == 0 && !in_text {
                    let is_between = byte.is_ascii_whitespace() || b"[],".contains(&byte);
                    if is_between && !record.is_empty() {
                        self.at -= 1;
                        return Ok(bounded(record));
                    }
                    match byte {
                        b'[' => self.arrays += 1,
                        b']' => self.arrays = self.arrays.saturating_sub(1),
                        _ => {}
                    }
                    if is_between {
                        continue;
                    }
                    if record.is_empty() {
                        self.line = self.lines.number();
                    }
                }
                if record.len() <= LINE_BYTES_MAX {
                    record.push(byte);
                }
                match byte {
                    b'\n' if in_text => {
                        self.arrays = 0; // its end may have been in the text
                        return Ok(bounded(record));
                    }
                    _ if escaped => escaped = false,
                    b'\\' if in_text => escaped = true,
                    b'"' => in_text = !in_text,
                    b'{' if !in_text => depth += 1,
                    b'}' if !in_text && depth > 0 => {
                        depth -= 1;
                        if depth == 0 {
                            return Ok(bounded(record));
                        }
                    }
                    _ => {}
                }
            }
            self.rest.clear();
            self.at = 0;
            if self.lines.read_piece(&mut self.rest)? {
                continue;
            }
            if !record.is_empty() {
                self.arrays = 0; // this record says already that the file was cut
                return Ok(bounded(record));
            }
            if self.arrays > 0 {
                let cut = std::io::Error::new(
                    std::io::ErrorKind::UnexpectedEof,
                    "the array is not closed, the file was cut short",
                );
                return Err(cut.into());
            }
            return Ok(Found::End);
        }
    }
}

/// Whether `record`, of which at most one byte too many is kept, is within its bound.
fn bounded(record: &[u8]) -> Found {
    if record.len() <= LINE_BYTES_MAX { Found::Line } else { Found::TooLong }
}
