//! Rows as a file: NDJSON, which can be imported again without loss, or CSV for a spreadsheet.

use crate::model::time::format_rfc3339;
use crate::query::decimal::{write_float, write_micros_as_ms};
use crate::query::render::{csv_io, defused, write_execution};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;
use storage::ask::{AskError, Budget, Selection};
use storage::batch::RowBatch;
use storage::engine::Keyspace;
use storage::row::Word;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// A table with one column for every label and value key there is.
    Csv,
    /// One JSON object a line, as the API shows an execution.
    Ndjson,
}

impl ExportFormat {
    /// The format of that name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "csv" => Some(Self::Csv),
            "ndjson" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The rows could not be read.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The output could not be written.
    #[error("cannot write the export: {0}")]
    Write(#[from] io::Error),
}

/// Writes the selected rows in order of time; gives how many. Memory stays bounded.
pub fn export(
    keyspace: &dyn Keyspace,
    selection: &Selection,
    format: ExportFormat,
    budget: &Budget,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, ExportError> {
    match format {
        ExportFormat::Ndjson => each_row(keyspace, selection, budget, progress, |batch, row| {
            write_execution(&mut &mut *out, batch, row)?;
            out.write_all(b"\n")
        }),
        ExportFormat::Csv => {
            let keys = keys(keyspace, selection, budget)?;
            let mut csv =
                csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
            write_header(&mut csv, &keys).map_err(csv_io)?;
            let rows = each_row(keyspace, selection, budget, progress, |batch, row| {
                write_row(&mut csv, batch, row, &keys).map_err(csv_io)
            })?;
            csv.flush()?;
            Ok(rows)
        }
    }
}

/// Calls `write` with each selected row; gives how many there were.
fn each_row(
    keyspace: &dyn Keyspace,
    selection: &Selection,
    budget: &Budget,
    progress: &mut dyn FnMut(u64),
    mut write: impl FnMut(&RowBatch, usize) -> io::Result<()>,
) -> Result<u64, ExportError> {
    let (mut rows, mut failed) = (0, None);
    keyspace.scan(selection, budget, &mut |batch| {
        failed = (0..batch.len).try_for_each(|row| write(batch, row)).err();
        rows += batch.len as u64;
        progress(rows);
        failed.is_none()
    })?;
    failed.map_or(Ok(rows), |e| Err(e.into()))
}

/// The keys of labels and values among the selected rows, each sorted.
type Keys = (BTreeSet<Arc<str>>, BTreeSet<Arc<str>>);

fn keys(
    keyspace: &dyn Keyspace,
    selection: &Selection,
    budget: &Budget,
) -> Result<Keys, ExportError> {
    let mut keys = Keys::default();
    keyspace.scan(selection, budget, &mut |batch| {
        keys.0.extend(batch.labels.iter().map(|column| Arc::clone(&column.key)));
        keys.1.extend(batch.values.iter().map(|column| Arc::clone(&column.key)));
        true
    })?;
    Ok(keys)
}

/// A table being written.
type Csv<'w> = csv::Writer<&'w mut dyn Write>;

const COLUMNS: [&str; 14] = [
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
];

const WORDS: [Word; 7] = [
    Word::Command,
    Word::CommandLine,
    Word::User,
    Word::Team,
    Word::Project,
    Word::Session,
    Word::Host,
];

fn write_header(csv: &mut Csv<'_>, (labels, values): &Keys) -> csv::Result<()> {
    let mut cell = Vec::new();
    for column in COLUMNS {
        csv.write_field(column)?;
    }
    for (prefix, keys) in [("labels", labels), ("values", values)] {
        for key in keys {
            csv.write_field(defused(&format!("{prefix}.{key}"), &mut cell))?;
        }
    }
    csv.write_record(None::<&[u8]>)
}

fn write_row(
    csv: &mut Csv<'_>,
    batch: &RowBatch,
    row: usize,
    (labels, values): &Keys,
) -> csv::Result<()> {
    let mut cell = Vec::new();
    csv.write_field(defused(&batch.ids.get(row).to_string(), &mut cell))?;
    csv.write_field(format_rfc3339(batch.ts[row]))?;
    for word in WORDS {
        csv.write_field(defused(batch.word(word, row), &mut cell))?;
    }
    cell.clear();
    if let Some(us) = batch.duration(row) {
        write_micros_as_ms(&mut cell, us.into())?;
    }
    csv.write_field(&cell)?;
    csv.write_field(batch.exit_code(row).map(|code| code.to_string()).unwrap_or_default())?;
    csv.write_field(batch.status(row).as_str())?;
    csv.write_field(batch.actor(row).as_str())?;
    csv.write_field(defused(batch.word(Word::Error, row), &mut cell))?;
    for key in labels {
        let label = batch.label(key).and_then(|words| words.get(row)).unwrap_or_default();
        csv.write_field(defused(label, &mut cell))?;
    }
    for key in values {
        cell.clear();
        let value = batch.value(key).and_then(|column| column.get(row)).copied();
        if let Some(value) = value.filter(|value| !value.is_nan()) {
            write_float(&mut cell, value)?;
        }
        csv.write_field(&cell)?;
    }
    csv.write_record(None::<&[u8]>)
}
