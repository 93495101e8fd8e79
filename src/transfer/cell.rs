//! Reads one cell into a field. What cannot be read sets the whole record aside.

use super::decimal::Decimal;
use super::mapping::Target;
use super::when::{self, Unit};
use crate::model::execution::Execution;
use crate::model::problem::excerpt;
use crate::process::admit::Refusal;
use jiff::tz::TimeZone;
use std::borrow::Cow;
use storage::row::{Actor, Status};

/// Words for a status that are not the contract's own.
const STATUS_WORDS: [(&str, Status); 18] = [
    ("ok", Status::Success),
    ("passed", Status::Success),
    ("pass", Status::Success),
    ("succeeded", Status::Success),
    ("completed", Status::Success),
    ("true", Status::Success),
    ("failed", Status::Failure),
    ("fail", Status::Failure),
    ("error", Status::Failure),
    ("errored", Status::Failure),
    ("false", Status::Failure),
    ("timed_out", Status::Timeout),
    ("timedout", Status::Timeout),
    ("canceled", Status::Cancelled),
    ("aborted", Status::Cancelled),
    ("interrupted", Status::Cancelled),
    ("skipped", Status::Cancelled),
    ("", Status::Unknown),
];

/// A record set aside for one of its fields.
pub(super) fn aside(code: &'static str, field: &str, detail: impl Into<String>) -> Refusal {
    let pointer = if field.is_empty() { String::new() } else { format!("/{field}") };
    Refusal { quarantined: true, code, pointer, detail: detail.into() }
}

/// What is wrong with the cell `text`, which is shown as far as it is short.
fn quoted(text: &str, detail: &str) -> String {
    format!("`{}`: {detail}", excerpt(text))
}

/// Puts `text` where `target` says. An empty cell is absent.
pub(super) fn put<'r>(
    execution: &mut Execution<'r>,
    target: &Target,
    text: Cow<'r, str>,
    zone: &TimeZone,
) -> Result<(), Refusal> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(());
    }
    match target {
        Target::Ignored => {}
        Target::Label(key) => execution.labels.push((key.clone().into(), text)),
        Target::Value(key) => {
            let number = trimmed.parse::<f64>().ok().filter(|number| number.is_finite());
            let number = number.ok_or_else(|| {
                let detail = format!("`{}` is not a finite number", excerpt(trimmed));
                Refusal { pointer: target.pointer(), ..aside("bad_number", "", detail) }
            })?;
            execution.values.push((key.clone().into(), number));
        }
        Target::Field("ts", unit) => {
            let (ts, _) = when::read(trimmed, *unit, zone)
                .map_err(|(code, detail)| aside(code, "ts", quoted(trimmed, detail)))?;
            execution.ts_ms = Some(ts);
        }
        Target::Field("duration_ms", unit) => {
            execution.duration_us = Some(duration(trimmed, unit.unwrap_or(Unit::Millis))?);
        }
        Target::Field("exit_code", _) => {
            let code = Decimal::parse(trimmed).and_then(|number| number.whole());
            let code = code.and_then(|code| i64::try_from(code).ok());
            let detail = "an exit code is a whole number";
            execution.exit_code = Some(
                code.ok_or_else(|| aside("bad_number", "exit_code", quoted(trimmed, detail)))?,
            );
        }
        Target::Field("status", _) => execution.status = Some(status(trimmed)?),
        Target::Field("actor", _) => {
            let actor = Actor::parse(&trimmed.to_ascii_lowercase());
            execution.actor = Some(actor.ok_or_else(|| {
                let word = excerpt(trimmed);
                let detail = format!("`{word}` is none of human, ci, agent, unknown");
                aside("unknown_value", "actor", detail)
            })?);
        }
        Target::Field(field, _) => put_text(execution, field, text),
    }
    Ok(())
}

fn put_text<'r>(execution: &mut Execution<'r>, field: &str, text: Cow<'r, str>) {
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

fn duration(text: &str, unit: Unit) -> Result<u64, Refusal> {
    let number = Decimal::parse(text).ok_or_else(|| {
        aside("bad_number", "duration_ms", quoted(text, "a duration is a number"))
    })?;
    let micros = unit.micros(&number).and_then(|us| u64::try_from(us).ok());
    micros.filter(|&us| us <= storage::DURATION_US_MAX).ok_or_else(|| {
        let detail = quoted(text, "a duration is 0 to 10^12 ms: check its unit");
        aside("out_of_range", "duration_ms", detail)
    })
}

fn status(text: &str) -> Result<Status, Refusal> {
    let word = text.to_ascii_lowercase().replace([' ', '-'], "_");
    let known = STATUS_WORDS.iter().find(|(name, _)| *name == word).map(|&(_, status)| status);
    Status::parse(&word).or(known).ok_or_else(|| {
        let detail = format!(
            "`{}` is none of success, failure, timeout, cancelled, unknown, and no usual word for \
             one",
            excerpt(text)
        );
        aside("unknown_value", "status", detail)
    })
}
