//! Job logs in the Standard Workload Format (Chapin et al. 1999; the Parallel Workloads Archive):
//! `;` comments, of which `UnixStartTime` counts, and lines of 18 numbers, -1 for unknown.

use super::cell::aside;
use super::decimal::Decimal;
use super::problem::ImportError;
use super::record::{ReadError, Record, Records, too_long, without_end};
use super::source::{Found, Lines};
use crate::model::execution::Execution;
use crate::model::problem::excerpt;
use crate::process::admit::Refusal;
use std::borrow::Cow;
use std::fmt::Write as _;
use storage::DURATION_US_MAX;
use storage::row::{Status, TimeMs};
use xxhash_rust::xxh3::xxh3_128;

/// Fields of a line; more are ignored.
const FIELDS: usize = 18;

/// Reads a job log.
pub(crate) struct SwfRecords {
    lines: Lines,
    line: Vec<u8>,
    normal: String,
    /// When the log's clock begins, as its header says.
    header_ms: Option<TimeMs>,
    epoch_ms: Option<TimeMs>,
    /// When it begins for all jobs: settled by the first, so that a header which stands behind a
    /// job cannot move the later ones.
    start_ms: Option<TimeMs>,
    facts: Vec<(String, String)>,
}

/// Header lines that a plan shows.
const FACTS: [&str; 4] = ["Computer", "Installation", "UnixStartTime", "MaxJobs"];

impl SwfRecords {
    /// `epoch_ms` is when the log begins, for those that do not say it.
    pub(crate) fn new(lines: Lines, epoch_ms: Option<TimeMs>) -> Self {
        Self {
            lines,
            line: Vec::new(),
            normal: String::new(),
            header_ms: None,
            epoch_ms,
            start_ms: None,
            facts: Vec::new(),
        }
    }

    fn comment(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        let Some((name, value)) = text.trim_start_matches([';', ' ', '\t']).split_once(':') else {
            return;
        };
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("UnixStartTime") && self.header_ms.is_none() {
            self.header_ms = value.parse::<i64>().ok().and_then(|s| s.checked_mul(1000));
        }
        if FACTS.contains(&name) && !self.facts.iter().any(|(fact, _)| fact == name) {
            self.facts.push((name.to_owned(), excerpt(value)));
        }
    }

    /// When the log's clock begins: its own header, or else the caller's word.
    fn start_ms(&mut self) -> Result<TimeMs, ReadError> {
        let start_ms = self.start_ms.or(self.header_ms).or(self.epoch_ms);
        self.start_ms = start_ms;
        start_ms.ok_or(ReadError::Import(ImportError::NeedsEpoch))
    }
}

impl Records for SwfRecords {
    fn next(&mut self, take: &mut dyn FnMut(Record<'_>)) -> Result<bool, ReadError> {
        loop {
            self.line.clear();
            let found = self.lines.read(&mut self.line)?;
            let number = self.lines.number();
            match found {
                Found::End => return Ok(false),
                Found::TooLong if self.line.trim_ascii_start().starts_with(b";") => continue,
                Found::TooLong => {
                    take(Record { line: number, raw: &self.line, read: Err(too_long()) });
                    return Ok(true);
                }
                Found::Line => {}
            }
            let raw = without_end(&self.line).trim_ascii();
            if raw.is_empty() {
                continue;
            }
            if raw[0] == b';' {
                self.comment();
                continue;
            }
            let start_ms = self.start_ms()?;
            let raw = without_end(&self.line).trim_ascii();
            let read = read_job(raw, start_ms, &mut self.normal);
            take(Record { line: number, raw, read });
            return Ok(true);
        }
    }

    fn line(&self) -> u64 {
        self.lines.number()
    }

    fn facts(&self) -> Vec<(String, String)> {
        self.facts.clone()
    }
}

/// One job. `normal` is room for the line with single spaces.
fn read_job(
    raw: &[u8],
    start_ms: TimeMs,
    normal: &mut String,
) -> Result<Execution<'static>, Refusal> {
    let text =
        std::str::from_utf8(raw).map_err(|_| aside("invalid_utf8", "", "the line is not UTF-8"))?;
    let mut fields = [""; FIELDS];
    let mut count = 0;
    normal.clear();
    // Writing to a string cannot fail.
    let _ = write!(normal, "{}", start_ms.div_euclid(1000));
    for field in text.split_ascii_whitespace() {
        normal.push(' ');
        normal.push_str(field);
        if let Some(slot) = fields.get_mut(count) {
            *slot = field;
        }
        count += 1;
    }
    if count < FIELDS {
        let detail = format!("a job line has {FIELDS} fields, this one has {count}");
        return Err(aside("short_record", "", detail));
    }
    let number = |n: usize, name: &str| known(fields[n - 1], name);
    let submit =
        number(2, "ts")?.ok_or_else(|| aside("missing_ts", "ts", "the submit time is unknown"))?;
    let wait = number(3, "ts")?.unwrap_or(0.0);
    let run = number(4, "duration_ms")?;
    let mut values = Vec::new();
    for (n, key, factor) in
        [(3, "wait_ms", 1000.0), (5, "procs", 1.0), (6, "cpu_ms", 1000.0), (7, "memory_kb", 1.0)]
    {
        if let Some(value) = number(n, &format!("values/{key}"))? {
            values.push((Cow::Borrowed(key), value * factor));
        }
    }
    let named = |n: usize, prefix: &str, field: &str| -> Result<Cow<'static, str>, Refusal> {
        let named = known_id(fields[n - 1], field)?;
        Ok(named.map_or(Cow::Borrowed(""), |id| Cow::Owned(format!("{prefix}{id}"))))
    };
    let command = named(14, "exe-", "command")?;
    let queue = named(15, "", "labels/queue")?;
    Ok(Execution {
        id: Some(Cow::Owned(format!("swf:{:032x}", xxh3_128(normal.as_bytes())))),
        ts_ms: Some(start_ms.saturating_add(((submit + wait) * 1000.0).round() as i64)),
        command: if command.is_empty() { Cow::Borrowed("job") } else { command },
        user_id: named(12, "user-", "user_id")?,
        team_id: named(13, "group-", "team_id")?,
        project_id: named(16, "partition-", "project_id")?,
        duration_us: run.map(duration_us).transpose()?,
        status: Some(match number(11, "status")? {
            Some(1.0) => Status::Success,
            Some(0.0) => Status::Failure,
            Some(5.0) => Status::Cancelled,
            _ => Status::Unknown,
        }),
        labels: if queue.is_empty() { Vec::new() } else { vec![(Cow::Borrowed("queue"), queue)] },
        values,
        ..Execution::default()
    })
}

/// A field's number; `None` for -1. Anything else below zero, or that is no number, sets the
/// line aside.
fn known(text: &str, field: &str) -> Result<Option<f64>, Refusal> {
    match text.parse::<f64>() {
        Ok(-1.0) => Ok(None),
        Ok(number) if number >= 0.0 && number.is_finite() => Ok(Some(number)),
        Ok(number) if number.is_finite() => Err(below_zero(text, field)),
        _ => {
            let detail = format!("`{}` is not a finite number", excerpt(text));
            Err(aside("bad_number", field, detail))
        }
    }
}

/// The same for a field that numbers users, queues and the like: a whole number.
fn known_id(text: &str, field: &str) -> Result<Option<i128>, Refusal> {
    match Decimal::parse(text).and_then(|number| number.whole()) {
        Some(-1) => Ok(None),
        Some(id) if id >= 0 => Ok(Some(id)),
        Some(_) => Err(below_zero(text, field)),
        None => {
            let detail = format!("`{}` is not a whole number", excerpt(text));
            Err(aside("bad_number", field, detail))
        }
    }
}

fn below_zero(text: &str, field: &str) -> Refusal {
    aside("out_of_range", field, format!("`{}` is below zero and not -1", excerpt(text)))
}

fn duration_us(seconds: f64) -> Result<u64, Refusal> {
    let us = (seconds * 1e6).round();
    if us > DURATION_US_MAX as f64 {
        return Err(aside("out_of_range", "duration_ms", "a duration is at most 10^9 seconds"));
    }
    Ok(us as u64)
}
