//! CSV and TSV, as RFC 4180 has it and as spreadsheets write it: quotes, line breaks within
//! them, CRLF, a byte order mark (which the source has taken off), `;` instead of `,`.

use super::cell::{aside, put};
use super::mapping::{self, Column, Rule, Target};
use super::problem::ImportError;
use super::record::{ReadError, Record, Records, too_long, without_end};
use super::source::{Found, LINE_BYTES_MAX, Lines};
use crate::model::execution::Execution;
use crate::process::admit::Refusal;
use csv_core::ReadRecordResult;
use jiff::tz::TimeZone;
use std::borrow::Cow;

/// Reads a table.
pub(crate) struct TableRecords {
    lines: Lines,
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
        if !matches!(read_record(&mut lines, &mut record)?, Found::Line) {
            return Err(no_header());
        }
        let separator = separator.unwrap_or_else(|| likely_separator(&record));
        let mut cells = Cells {
            reader: csv_core::ReaderBuilder::new().delimiter(separator).build(),
            text: vec![0; 1024],
            ends: vec![0; 64],
            count: 0,
        };
        cells.split(&record);
        let names: Vec<String> = (0..cells.count)
            .map(|n| String::from_utf8_lossy(cells.get(n)).trim().to_owned())
            .collect();
        if names.iter().all(String::is_empty) {
            return Err(no_header());
        }
        for (n, column) in names.iter().enumerate() {
            if !column.is_empty() && names[..n].contains(column) {
                let column = column.clone();
                return Err(ReadError::Import(ImportError::DuplicateColumn { column }));
            }
        }
        let targets = mapping::resolve(&names, rules).map_err(ReadError::Import)?;
        for field in ["ts", "command"] {
            if !targets.iter().any(|t| matches!(t, Target::Field(f, _) if *f == field)) {
                let columns = names.join(", ");
                return Err(ReadError::Import(ImportError::NoColumn { field, columns }));
            }
        }
        Ok(Self { lines, cells, names, targets, zone, record })
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
            let begins = self.lines.number() + 1;
            let found = read_record(&mut self.lines, &mut self.record)?;
            match found {
                Found::End => return Ok(false),
                Found::TooLong => {
                    take(Record { line: begins, raw: &self.record, read: Err(too_long()) });
                    return Ok(true);
                }
                Found::Line => {}
            }
            let raw = without_end(&self.record);
            if raw.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            self.cells.split(raw);
            let read = self.execution();
            take(Record { line: begins, raw: without_end(&self.record), read });
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

/// Reads lines until every quote is closed: a record.
fn read_record(lines: &mut Lines, record: &mut Vec<u8>) -> Result<Found, ReadError> {
    let mut seen = 0;
    let mut open = false;
    loop {
        match lines.read(record)? {
            Found::Line => {}
            Found::End if seen == 0 => return Ok(Found::End),
            Found::End => return Ok(Found::Line),
            Found::TooLong => return Ok(Found::TooLong),
        }
        open ^= record[seen..].iter().filter(|&&byte| byte == b'"').count() % 2 == 1;
        seen = record.len();
        if !open {
            return Ok(Found::Line);
        }
        if seen > LINE_BYTES_MAX {
            return Ok(Found::TooLong);
        }
    }
}

/// The separator that the first line has most of.
fn likely_separator(header: &[u8]) -> u8 {
    let count = |wanted: u8| header.iter().filter(|&&byte| byte == wanted).count();
    if count(b';') > count(b',') { b';' } else { b',' }
}

impl Cells {
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
