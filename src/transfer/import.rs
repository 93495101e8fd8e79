//! Imports a file: reads on this thread, stores on another, in bounded batches.

use super::detect::{Format, detect};
use super::json::JsonRecords;
use super::judge::{Batch, Judge};
use super::mapping::{self, Column, Rule};
use super::problem::ImportError;
use super::record::Records;
use super::report::ImportReport;
use super::sink::{Sink, SinkError};
use super::source::{Lines, Position, Source};
use super::swf::SwfRecords;
use super::table::TableRecords;
use crate::process::admit::{Arrival, Refusal};
use crossbeam::channel::{Receiver, Sender, bounded};
use jiff::tz::TimeZone;
use storage::engine::RowOutcome;
use storage::row::TimeMs;

/// How a file is to be read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its format; `None`: it is detected.
    pub format: Option<Format>,
    /// What columns are taken for, over what their names say.
    pub rules: Vec<Rule>,
    /// When a job log without `UnixStartTime` begins.
    pub epoch_ms: Option<TimeMs>,
    /// The zone of times without an offset.
    pub zone: TimeZone,
    /// Rows that are stored together.
    pub batch_rows: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: None,
            rules: Vec::new(),
            epoch_ms: None,
            zone: TimeZone::UTC,
            batch_rows: BATCH_ROWS,
        }
    }
}

/// Rows stored together where nobody says otherwise.
pub const BATCH_ROWS: usize = 5000;

/// Batches that wait for the store: one is stored while the next is read.
const BATCHES_WAITING: usize = 2;

/// What a file is taken for.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The format.
    pub format: Format,
    /// Facts that the file tells of itself.
    pub facts: Vec<(String, String)>,
    /// Its columns and what they were taken for.
    pub columns: Vec<Column>,
}

/// Imports `source` into `sink`. `progress` is called now and then with how far it is; what it
/// answers says whether to go on.
pub fn run(
    source: Source,
    options: &Options,
    arrival: Arrival<'_>,
    sink: &mut dyn Sink,
    progress: &mut dyn FnMut(&Position, u64) -> bool,
) -> Result<(ImportReport, Taken), ImportError> {
    let format = match options.format {
        Some(format) => format,
        None => detect(&source)?,
    };
    let (name, position) = (source.name().to_owned(), source.position());
    let lines = Lines::new(source.into_content());
    let mut records = records(lines, &name, format, options)?;
    let (to_store, batches) = bounded::<Batch>(BATCHES_WAITING);
    let (read, stored) = std::thread::scope(|scope| {
        let storing = scope.spawn(move || store(&batches, sink));
        let read = read(&mut *records, &name, options, arrival, &to_store, &mut |rows| {
            progress(&position, rows)
        });
        drop(to_store);
        let stored = storing.join().unwrap_or_else(|_| {
            Err(SinkError::Other {
                detail: "storing failed unexpectedly: import the file again".to_owned(),
                transient: true,
            })
        });
        (read, stored)
    });
    // A failure to store ends the reading too, and is the cause.
    let mut report = stored?;
    report.add(read?);
    let taken = Taken { format, facts: records.facts(), columns: records.columns() };
    Ok((report, taken))
}

fn records(
    lines: Lines,
    name: &str,
    format: Format,
    options: &Options,
) -> Result<Box<dyn Records>, ImportError> {
    let (rules, zone) = (&options.rules, options.zone.clone());
    mapping::check_rules(rules)?;
    let table = |lines, separator| {
        TableRecords::new(lines, name, separator, rules, zone.clone())
            .map(|records| Box::new(records) as Box<dyn Records>)
            .map_err(|e| e.into_import(name, 0))
    };
    match format {
        Format::Swf => Ok(Box::new(SwfRecords::new(lines, options.epoch_ms))),
        Format::Csv => table(lines, None),
        Format::Tsv => table(lines, Some(b'\t')),
        Format::Json => Ok(Box::new(JsonRecords::new(lines, false, rules, zone))),
        Format::Ndjson => Ok(Box::new(JsonRecords::new(lines, true, rules, zone))),
    }
}

/// Reads and judges every record.
fn read(
    records: &mut dyn Records,
    name: &str,
    options: &Options,
    arrival: Arrival<'_>,
    to_store: &Sender<Batch>,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<ImportReport, ImportError> {
    let mut judge = Judge::new(arrival);
    loop {
        let more = records.next(&mut |record| judge.take(record));
        let ended = match more {
            Ok(more) => !more,
            Err(e) => {
                let line = records.line();
                // What was read before is stored all the same.
                let _ = to_store.send(judge.batch());
                return Err(e.into_import(name, line));
            }
        };
        if ended || judge.waiting() >= options.batch_rows {
            if judge.waiting() > 0 && to_store.send(judge.batch()).is_err() {
                break; // storing failed; its own answer says why
            }
            if !progress(judge.report.rows) || ended {
                break;
            }
        }
    }
    Ok(judge.report)
}

/// Stores every batch and counts what became of the rows.
fn store(batches: &Receiver<Batch>, sink: &mut dyn Sink) -> Result<ImportReport, SinkError> {
    let mut report = ImportReport::default();
    for Batch { append, lines } in batches {
        if let Some(range) = append.rows.time_range() {
            report.cover(range);
        }
        for (outcome, line) in sink.append(append)?.outcomes.into_iter().zip(lines) {
            match outcome {
                RowOutcome::Accepted => report.accepted += 1,
                RowOutcome::Duplicate => report.duplicates += 1,
                RowOutcome::TooManyKeys => {
                    report.rejected += 1;
                    report.tell(line, Refusal::too_many_keys());
                }
            }
        }
    }
    Ok(report)
}
