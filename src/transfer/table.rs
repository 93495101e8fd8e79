//! CSV and TSV, as RFC 4180 has it and as spreadsheets write it: quotes, line breaks within
//! them, CRLF, a byte order mark (which the source has taken off), `;` instead of `,`.

use super::cell::{aside, put};
use super::mapping::{self, Column, Rule, Target};
use super::problem::ImportError;
use super::record::{ReadError, Record, Records, too_long, too_long_quote, without_end};
use super::source::{Found, LINE_BYTES_MAX, Lines};
use crate::model::execution::Execution;
use crate::process::admit::Refusal;
use csv_core::{ReadRecordResult, Terminator};
use jiff::tz::TimeZone;
use std::borrow::Cow;
use std::collections::HashSet;

/// Reads a table.
pub(crate) struct TableRecords {
    lines: Lines,
    separator: u8,
    cells: Cells,
    names: Vec<String>,
    targets: Vec<Target>,
    zone: TimeZone,
    record: Vec<u8>,
}

/// Takes one record apart.
struct Cells {
    reader: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
}

impl TableRecords {
    /// Reads the first line, which names the columns.
    pub(crate) fn new(
        mut lines: Lines,
        name: &str,
        separator: Option<u8>,
        rules: &[Rule],
        zone: TimeZone,
    ) -> Result<Self, ReadError> {
        let mut record = Vec::new();
        let no_header = || ReadError::Import(ImportError::NoHeader { name: name.to_owned() });
        let bad_header =
            |what| ReadError::Import(ImportError::BadHeader { name: name.to_owned(), what });
        let separator = loop {
            record.clear();
            match lines.read(&mut record)? {
                Found::Line if is_blank(&record) => {}
                Found::Line => break separator.unwrap_or_else(|| likely_separator(&record)),
                Found::TooLong => return Err(bad_header("it is longer than a line may be")),
                Found::End => return Err(no_header()),
            }
        };
        if complete(&mut lines, separator, &mut record)? != Whole::Record {
            return Err(bad_header("a quote opens in it and is not closed"));
        }
        let mut cells = Cells::new(separator);
        cells.split(without_end(&record));
        let names: Vec<String> = (0..cells.count)
            .map(|n| String::from_utf8_lossy(cells.get(n)).trim().to_owned())
            .collect();
        if names.iter().all(String::is_empty) {
            return Err(no_header());
        }
        if names.iter().any(|name| name.contains('\r') && !name.contains('\n')) {
            return Err(bad_header("lines end in CR alone; convert them with `tr '\\r' '\\n'`"));
        }
        let mut seen = HashSet::new();
        if let Some(column) = names.iter().find(|name| !name.is_empty() && !seen.insert(*name)) {
            let column = column.clone();
            return Err(ReadError::Import(ImportError::DuplicateColumn { column }));
        }
        let targets = mapping::resolve(&names, rules).map_err(ReadError::Import)?;
        for field in ["ts", "command"] {
            if !targets.iter().any(|t| matches!(t, Target::Field(f, _) if *f == field)) {
                let columns = mapping::listed(&names);
                return Err(ReadError::Import(ImportError::NoColumn { field, columns }));
            }
        }
        Ok(Self { lines, separator, cells, names, targets, zone, record })
    }

    /// The record in `self.record` as an execution.
    fn execution(&self) -> Result<Execution<'_>, Refusal> {
        if self.cells.count != self.names.len() {
            let (found, wanted) = (self.cells.count, self.names.len());
            let code = if found < wanted { "short_record" } else { "long_record" };
            let detail = format!("the line has {found} cells, the first line has {wanted}");
            return Err(aside(code, "", detail));
        }
        let mut execution = Execution::default();
        for (n, target) in self.targets.iter().enumerate() {
            let text = std::str::from_utf8(self.cells.get(n))
                .map_err(|_| aside("invalid_utf8", "", "the line is not UTF-8"))?;
            put(&mut execution, target, Cow::Borrowed(text), &self.zone)?;
        }
        Ok(execution)
    }
}

impl Records for TableRecords {
    fn next(&mut self, take: &mut dyn FnMut(Record<'_>)) -> Result<bool, ReadError> {
        loop {
            self.record.clear();
            let line = self.lines.number() + 1;
            match self.lines.read(&mut self.record)? {
                Found::End => return Ok(false),
                Found::TooLong => {
                    take(Record { line, raw: &self.record, read: Err(too_long()) });
                    return Ok(true);
                }
                Found::Line if is_blank(&self.record) => continue,
                Found::Line => {}
            }
            let whole = complete(&mut self.lines, self.separator, &mut self.record)?;
            let raw = without_end(&self.record);
            let read = match whole {
                Whole::Record => {
                    self.cells.split(raw);
                    self.execution()
                }
                Whole::Unclosed => Err(unclosed()),
                Whole::TooLong => Err(too_long_quote()),
            };
            take(Record { line, raw, read });
            return Ok(true);
        }
    }

    fn line(&self) -> u64 {
        self.lines.number()
    }

    fn columns(&self) -> Vec<Column> {
        mapping::shown(&self.names, &self.targets)
    }
}

/// What a record that begins with a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    /// Complete: every quote is closed.
    Record,
    /// A quote is open where the file ends.
    Unclosed,
    /// A quote is open where the record has all the bytes that one may have.
    TooLong,
}

/// Reads on until every quote of `record`, a line, is closed.
fn complete(lines: &mut Lines, separator: u8, record: &mut Vec<u8>) -> Result<Whole, ReadError> {
    let (mut seen, mut at) = (0, At::CellBegin);
    loop {
        at = at.after(&record[seen..], separator);
        if record.len() > LINE_BYTES_MAX + 1 {
            return Ok(Whole::TooLong); // what follows is looked at anew
        }
        if at != At::Quoted {
            return Ok(Whole::Record);
        }
        seen = record.len();
        match lines.read(record)? {
            Found::Line => {}
            Found::End => return Ok(Whole::Unclosed),
            Found::TooLong => return Ok(Whole::TooLong),
        }
    }
}

/// Where in a record reading is, as the reader that takes it apart has it: a quote means
/// something at the beginning of a cell, and is a letter like any other within one. Were it
/// counted there, `5" disk` would swallow the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    CellBegin,
    Plain,
    Quoted,
    /// Behind a quote within quotes: their end, or the first half of a doubled one.
    QuoteEnd,
}

impl At {
    /// Where it is after `part`.
    fn after(self, part: &[u8], separator: u8) -> Self {
        if self != Self::Quoted && !part.contains(&b'"') {
            return Self::Plain; // the usual line
        }
        part.iter().fold(self, |at, &byte| match (at, byte) {
            (Self::Quoted, b'"') => Self::QuoteEnd,
            (Self::Quoted, _) | (Self::CellBegin | Self::QuoteEnd, b'"') => Self::Quoted,
            (_, byte) if byte == separator => Self::CellBegin,
            _ => Self::Plain,
        })
    }
}

/// Why a record is kept aside that the end of the file cuts: where it was to end is a guess.
fn unclosed() -> Refusal {
    let detail = "a quote opens in this record and is never closed: all that follows is part of it";
    aside("unclosed_quote", "", detail)
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// The separator that the first line has most of, outside of quotes.
fn likely_separator(header: &[u8]) -> u8 {
    let (mut commas, mut semicolons, mut quoted) = (0, 0, false);
    for &byte in header {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => commas += 1,
            b';' if !quoted => semicolons += 1,
            _ => {}
        }
    }
    if semicolons > commas { b';' } else { b',' }
}

impl Cells {
    fn new(separator: u8) -> Self {
        let mut builder = csv_core::ReaderBuilder::new();
        // A record has lost its end already: a CR that is left is part of a cell, and if it ended
        // the record, what stands behind it would be lost.
        builder.delimiter(separator).terminator(Terminator::Any(b'\n'));
        Self { reader: builder.build(), text: vec![0; 1024], ends: vec![0; 64], count: 0 }
    }

    /// Takes `record` apart.
    fn split(&mut self, record: &[u8]) {
        self.reader.reset();
        let (mut input, mut written, mut ended) = (record, 0, 0);
        loop {
            let (result, read, out, ends) =
                self.reader.read_record(input, &mut self.text[written..], &mut self.ends[ended..]);
            input = &input[read..];
            (written, ended) = (written + out, ended + ends);
            match result {
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                // An empty input is the end, which gives the record.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        self.count = ended;
    }

    fn get(&self, n: usize) -> &[u8] {
        let begin = if n == 0 { 0 } else { self.ends[n - 1] };
        &self.text[begin..self.ends[n]]
    }
}
