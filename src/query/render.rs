//! Answers and rows as text, written as they are walked: JSON and CSV.

use super::answer::{Answer, Column, Table, Value, source_word};
use super::decimal::{shifted, write_float, write_int, write_micros_as_ms};
use super::rows::Page;
use crate::model::time::Rfc3339;
use std::io::{self, Write};
use storage::batch::RowBatch;
use storage::row::{TimeMs, Word};

/// Writes an answer as the contract's JSON object.
pub fn write_json(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let table = &*answer.table;
    out.write_all(b"{\"columns\":[")?;
    list(out, table.columns.iter(), write_column)?;
    out.write_all(b"],\"rows\":[")?;
    list(out, table.rows(), |out, row| {
        out.write_all(b"[")?;
        list(out, row.iter(), write_value)?;
        out.write_all(b"]")
    })?;
    write!(out, "],\"source\":\"{}\",\"view\":", source_word(table.source))?;
    match &table.view {
        Some(view) => write_text(out, view)?,
        None => out.write_all(b"null")?,
    }
    write!(out, ",\"rows_scanned\":{},\"elapsed_ms\":", table.rows_scanned)?;
    write_float(out, answer.elapsed_ms)?;
    write!(
        out,
        ",\"cached\":{},\"as_of_seq\":{},\"truncated\":{}}}",
        answer.cached, table.as_of_seq, table.truncated
    )
}

/// Writes `items` with commas between them.
fn list<W: Write, T>(
    out: &mut W,
    items: impl Iterator<Item = T>,
    mut each: impl FnMut(&mut W, T) -> io::Result<()>,
) -> io::Result<()> {
    for (n, item) in items.enumerate() {
        if n > 0 {
            out.write_all(b",")?;
        }
        each(out, item)?;
    }
    Ok(())
}

fn write_column(out: &mut impl Write, column: &Column) -> io::Result<()> {
    out.write_all(b"{\"name\":")?;
    write_text(out, &column.name)?;
    write!(out, ",\"type\":\"{}\",\"unit\":", column.kind.as_str())?;
    match column.unit {
        Some(unit) => write!(out, "\"{}\"}}", unit.as_str()),
        None => out.write_all(b"null}"),
    }
}

fn write_text(out: &mut impl Write, text: &str) -> io::Result<()> {
    serde_json::to_writer(out, text).map_err(io::Error::from)
}

/// Writes a cell as JSON.
pub fn write_value(out: &mut impl Write, value: &Value) -> io::Result<()> {
    match value {
        Value::Null => out.write_all(b"null"),
        Value::Text(text) => write_text(out, text),
        Value::Time(ms) => {
            out.write_all(b"\"")?;
            write_time(out, *ms)?;
            out.write_all(b"\"")
        }
        other => write_number(out, other),
    }
}

/// Writes a number the same way into JSON and CSV; other cells not at all.
fn write_number(out: &mut impl Write, value: &Value) -> io::Result<()> {
    match value {
        Value::Int(n) => write_int(out, *n),
        Value::Micros(us) => write_micros_as_ms(out, *us),
        Value::MicrosFloat(us) => write_float(out, shifted(*us, -3)),
        Value::Float(x) => write_float(out, *x),
        Value::Null | Value::Text(_) | Value::Time(_) => Ok(()),
    }
}

/// Writes a time as RFC 3339 in UTC with milliseconds, or as the number itself where that form has
/// no year for it.
pub fn write_time(out: &mut impl Write, ms: TimeMs) -> io::Result<()> {
    match Rfc3339::new(ms) {
        Some(text) => out.write_all(text.as_str().as_bytes()),
        None => write!(out, "{ms}"),
    }
}

/// Writes a table as NDJSON: an object a row, by the names of the columns.
pub fn write_ndjson(out: &mut impl Write, table: &Table) -> io::Result<()> {
    for row in table.rows() {
        out.write_all(b"{")?;
        list(out, table.columns.iter().zip(row), |out, (column, value)| {
            write_text(out, &column.name)?;
            out.write_all(b":")?;
            write_value(out, value)
        })?;
        out.write_all(b"}\n")?;
    }
    Ok(())
}

/// Writes a table as CSV (RFC 4180) with a header. Nulls are empty; words that a spreadsheet
/// would run as a formula get an apostrophe in front.
pub fn write_csv(out: impl Write, table: &Table) -> io::Result<()> {
    write_csv_fields(out, table).map_err(csv_io)
}

/// The failure of the output that `error` is, so that whoever reads it can tell a closed pipe.
pub(crate) fn csv_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn write_csv_fields(out: impl Write, table: &Table) -> csv::Result<()> {
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    let mut cell = Vec::new();
    for column in &table.columns {
        csv.write_field(defused(&column.name, &mut cell))?;
    }
    csv.write_record(None::<&[u8]>)?;
    for row in table.rows() {
        for value in row {
            match value {
                Value::Text(text) => csv.write_field(defused(text, &mut cell))?,
                Value::Time(ms) => {
                    cell.clear();
                    write_time(&mut cell, *ms)?;
                    csv.write_field(&cell)?;
                }
                number => {
                    cell.clear();
                    write_number(&mut cell, number)?;
                    csv.write_field(&cell)?;
                }
            }
        }
        csv.write_record(None::<&[u8]>)?;
    }
    Ok(csv.flush()?)
}

/// First characters that make a spreadsheet run a cell (OWASP, "CSV injection").
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The cell `text`, made harmless for spreadsheets: one that they would run as a formula gets a `'`
/// in front. `buffer` is room for it.
pub(crate) fn defused<'a>(text: &'a str, buffer: &'a mut Vec<u8>) -> &'a [u8] {
    if !text.starts_with(FORMULA_STARTS) {
        return text.as_bytes();
    }
    buffer.clear();
    buffer.push(b'\'');
    buffer.extend_from_slice(text.as_bytes());
    buffer
}

/// Writes a page as `{items, next_cursor}`.
pub fn write_page(out: &mut impl Write, page: &Page) -> io::Result<()> {
    out.write_all(b"{\"items\":[")?;
    list(out, page.rows(), |out, (batch, row)| write_execution(out, batch, row))?;
    out.write_all(b"],\"next_cursor\":")?;
    match &page.next_cursor {
        Some(cursor) => write_text(out, cursor)?,
        None => out.write_all(b"null")?,
    }
    out.write_all(b"}")
}

/// The words of an execution in the contract's order.
const EXECUTION_WORDS: [Word; 8] = [
    Word::Command,
    Word::CommandLine,
    Word::User,
    Word::Team,
    Word::Project,
    Word::Session,
    Word::Host,
    Word::Error,
];

/// Writes a row as the contract's execution with its `seq`. What it does not have is left out, so
/// that it can be sent again as it is.
pub fn write_execution(out: &mut impl Write, batch: &RowBatch, row: usize) -> io::Result<()> {
    write!(out, "{{\"id\":")?;
    write_text(out, &batch.ids.get(row).to_string())?;
    if let Some(seq) = batch.seq.get(row) {
        write!(out, ",\"seq\":{seq}")?;
    }
    out.write_all(b",\"ts\":\"")?;
    write_time(out, batch.ts.get(row).copied().unwrap_or_default())?;
    out.write_all(b"\"")?;
    for word in EXECUTION_WORDS {
        let text = batch.word(word, row);
        if !text.is_empty() {
            write!(out, ",\"{}\":", word.as_str())?;
            write_text(out, text)?;
        }
    }
    if let Some(us) = batch.duration(row) {
        out.write_all(b",\"duration_ms\":")?;
        write_micros_as_ms(out, i128::from(us))?;
    }
    if let Some(code) = batch.exit_code(row) {
        write!(out, ",\"exit_code\":{code}")?;
    }
    let (status, actor) = (batch.status(row).as_str(), batch.actor(row).as_str());
    write!(out, ",\"status\":\"{status}\",\"actor\":\"{actor}\"")?;
    let labels = batch.labels.iter().filter_map(|c| Some((&*c.key, c.words.get(row)?)));
    write_map(out, "labels", labels, |out, word| write_text(out, word))?;
    let values = batch
        .values
        .iter()
        .filter_map(|c| c.values.get(row).copied().filter(|x| x.is_finite()).map(|x| (&*c.key, x)));
    write_map(out, "values", values, |out, x| write_float(out, x))?;
    out.write_all(b"}")
}

/// Writes a member that is an object, unless it would be empty.
fn write_map<'a, W: Write, T>(
    out: &mut W,
    name: &str,
    entries: impl Iterator<Item = (&'a str, T)>,
    write_one: impl Fn(&mut W, T) -> io::Result<()>,
) -> io::Result<()> {
    let mut any = false;
    for (key, value) in entries {
        if any {
            out.write_all(b",")?;
        } else {
            write!(out, ",\"{name}\":{{")?;
        }
        any = true;
        write_text(out, key)?;
        out.write_all(b":")?;
        write_one(out, value)?;
    }
    if any { out.write_all(b"}") } else { Ok(()) }
}
