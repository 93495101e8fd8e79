//! The table's one `check`: imports a file and compares what is told, what is stored and what is
//! kept aside. Every file is imported again, which has to change nothing, and dryly, which has to
//! say the same.

use super::support::{RECEIVED_MS, Store, all_rows, arrival};
use emx::model::time::format_rfc3339;
use emx::process::admit::Arrival;
use emx::process::mask::mask;
use emx::process::quarantine::{Form, Quarantined, TABLE, read};
use emx::transfer::import::{self, Options, Taken};
use emx::transfer::report::ImportReport;
use emx::transfer::sink::{DryRun, KeyspaceSink, Sink};
use emx::transfer::{Format, ImportError, Source, mapping};
use jiff::tz::TimeZone;
use std::io::Cursor;
use std::sync::Arc;
use storage::engine::Keyspace;
use storage::row::Row;

/// What is expected of a file.
pub(super) enum Expected {
    /// So many records are accepted and so many were there already; the others have these
    /// problems.
    Rows(u64, u64, Vec<Problem<'static>>),
    /// The import ends by this error. So many records were stored before.
    Fails(&'static str, usize),
}
pub(super) use Expected::{Fails, Rows};

/// The line, the code, the pointer, and whether the record is kept aside.
pub(super) type Problem<'p> = (u64, &'static str, &'p str, bool);

pub(super) const KEPT: bool = true;
pub(super) const GONE: bool = false;

/// How a file is imported.
#[derive(Clone, Copy)]
pub(super) struct File<'f> {
    pub(super) name: &'f str,
    pub(super) format: Option<Format>,
    pub(super) map: &'f [&'f str],
    pub(super) epoch_ms: Option<i64>,
    pub(super) zone: &'f str,
}

/// A file without a telling name, of a format that is given.
pub(super) const fn given(format: Format) -> File<'static> {
    File { format: Some(format), ..named("x") }
}

/// A file whose format is to be told.
pub(super) const fn named(name: &str) -> File<'_> {
    File { name, format: None, map: &[], epoch_ms: None, zone: "UTC" }
}

impl File<'_> {
    fn run(self, bytes: &[u8], sink: &mut dyn Sink) -> Result<(ImportReport, Taken), ImportError> {
        let rules = self.map.iter().map(|rule| mapping::parse_rule(rule));
        let options = Options {
            format: self.format,
            rules: rules.collect::<Result<_, _>>()?,
            epoch_ms: self.epoch_ms,
            zone: TimeZone::get(self.zone).expect("a time zone"),
            batch_rows: 3,
        };
        let arrival = Arrival { origin: "import:test", retention_ms: None, ..arrival() };
        let size = bytes.len() as u64;
        let source = Source::new(self.name, Cursor::new(bytes.to_vec()), Some(size))?;
        Ok(import::run(source, &options, arrival, sink, &mut |_, _| true)?)
    }
}

/// What a file came to, to look closer.
pub(super) struct Outcome {
    name: String,
    /// The rows, oldest first, each as `field=value` for what it has.
    rows: Vec<Vec<String>>,
    kept: Vec<String>,
    pub(super) report: Option<ImportReport>,
    pub(super) taken: Option<Taken>,
    /// The error's sentence.
    pub(super) message: String,
}

impl Outcome {
    /// The rows have these values, among others.
    #[track_caller]
    pub(super) fn stores(&self, rows: &[&[&str]]) {
        assert_eq!(self.rows.len(), rows.len(), "{}", self.name);
        for (row, wanted) in self.rows.iter().zip(rows) {
            for part in *wanted {
                assert!(row.iter().any(|p| p == part), "{}: {part} in {row:?}", self.name);
            }
        }
    }

    /// Exactly these texts are kept aside.
    #[track_caller]
    pub(super) fn keeps(&self, raws: &[&str]) {
        let mut raws: Vec<_> = raws.to_vec();
        raws.sort_unstable();
        assert_eq!(self.kept, raws, "{}", self.name);
    }

    /// The error, or the detail of the first problem, says all of this.
    #[track_caller]
    pub(super) fn says(&self, words: &[&str]) {
        let first = self.report.as_ref().and_then(|report| report.problems.first());
        let text = first.map_or(&self.message, |problem| &problem.detail);
        for word in words {
            assert!(text.contains(word), "{}: `{word}` in: {text}", self.name);
        }
    }
}

pub(super) struct Table {
    store: Store,
    cases: usize,
}

pub(super) fn table() -> Table {
    Table { store: Store::new(), cases: 0 }
}

impl Table {
    /// Imports `bytes` as they are.
    #[track_caller]
    pub(super) fn check(
        &mut self,
        name: &str,
        file: File<'_>,
        bytes: impl AsRef<[u8]>,
        expected: Expected,
    ) -> Outcome {
        let bytes = bytes.as_ref();
        self.check_packed(name, file, bytes, bytes, expected)
    }

    /// Imports `packed`, which is `content` compressed.
    #[track_caller]
    pub(super) fn check_packed(
        &mut self,
        name: &str,
        file: File<'_>,
        packed: &[u8],
        content: &[u8],
        expected: Expected,
    ) -> Outcome {
        let (outcome, keyspace) = self.check_once(name, file, packed, content, expected);
        let Some(report) = &outcome.report else { return outcome };
        let problems: Vec<Problem<'_>> =
            report.problems.iter().map(|p| (p.line, p.code, &*p.pointer, p.quarantined)).collect();
        let there = report.accepted + report.duplicates;
        let mut sink = KeyspaceSink(Arc::clone(&keyspace));
        let (again, _) = file.run(packed, &mut sink).expect("the same import");
        check_report(name, &again, (0, there), &problems);
        assert_eq!(rows(&*keyspace), outcome.rows, "{name}: rows after a repeat");
        let kept = check_kept(name, &*keyspace, content, report);
        assert_eq!(kept, outcome.kept, "{name}: kept after a repeat");
        let (dry, _) = file.run(packed, &mut DryRun).expect("the same import");
        check_report(name, &dry, (there, 0), &problems);
        outcome
    }

    /// The same without the repeats, for what depends on what the tenant has already.
    #[track_caller]
    pub(super) fn check_once(
        &mut self,
        name: &str,
        file: File<'_>,
        packed: &[u8],
        content: &[u8],
        expected: Expected,
    ) -> (Outcome, Arc<dyn Keyspace>) {
        self.cases += 1;
        let keyspace = self.store.keyspace(&format!("case-{}", self.cases));
        let mut sink = KeyspaceSink(Arc::clone(&keyspace));
        let imported = file.run(packed, &mut sink);
        let mut outcome = Outcome {
            name: name.to_owned(),
            rows: rows(&*keyspace),
            kept: Vec::new(),
            report: None,
            taken: None,
            message: String::new(),
        };
        match (imported, expected) {
            (Err(e), Fails(code, stored)) => {
                assert_eq!((e.code(), outcome.rows.len()), (code, stored), "{name}: {e}");
                outcome.message = e.to_string();
            }
            (Err(e), Rows(..)) => panic!("{name}: the import failed: {e}"),
            (Ok((report, _)), Fails(code, _)) => panic!("{name}: not {code} but {report:?}"),
            (Ok((report, taken)), Rows(accepted, duplicates, problems)) => {
                check_report(name, &report, (accepted, duplicates), &problems);
                assert_eq!(outcome.rows.len() as u64, accepted, "{name}: rows stored");
                outcome.kept = check_kept(name, &*keyspace, content, &report);
                (outcome.report, outcome.taken) = (Some(report), Some(taken));
            }
        }
        (outcome, keyspace)
    }

    /// Every file is one record with these problems, or with none.
    #[track_caller]
    pub(super) fn each(
        &mut self,
        file: File<'_>,
        cases: &[(&str, Vec<u8>, Option<Problem<'static>>)],
    ) {
        for (name, bytes, problem) in cases {
            let expected = Rows(u64::from(problem.is_none()), 0, problem.iter().copied().collect());
            self.check(name, file, bytes, expected);
        }
    }
}

#[track_caller]
fn check_report(name: &str, report: &ImportReport, fates: (u64, u64), problems: &[Problem<'_>]) {
    let found: Vec<_> = report
        .problems
        .iter()
        .map(|p| (p.line, p.code, p.pointer.as_str(), p.quarantined))
        .collect();
    assert_eq!(found, problems, "{name}: {:?}", report.problems);
    for problem in &report.problems {
        assert!(!problem.detail.is_empty(), "{name}: a problem without a sentence");
    }
    let kept = problems.iter().filter(|(.., kept)| *kept).count() as u64;
    let gone = problems.len() as u64 - kept;
    let counts = (report.accepted, report.duplicates, report.quarantined, report.rejected);
    assert_eq!(counts, (fates.0, fates.1, kept, gone), "{name}: {report:?}");
    assert_eq!(report.rows, fates.0 + fates.1 + kept + gone, "{name}: every record once");
}

/// What is kept aside is what the report says, with its text as it stands in the file from that
/// line on. Gives the texts.
#[track_caller]
fn check_kept(
    name: &str,
    keyspace: &dyn Keyspace,
    content: &[u8],
    report: &ImportReport,
) -> Vec<String> {
    let entries = keyspace.list(TABLE, &[], None, 1000).expect("the quarantine");
    let entries: Vec<Quarantined> =
        entries.iter().map(|(_, value)| read(value).expect("an entry")).collect();
    let mut told = vec![false; entries.len()];
    let mut texts: Vec<String> = entries.iter().map(|entry| entry.raw.clone()).collect();
    texts.sort();
    for problem in report.problems.iter().filter(|problem| problem.quarantined) {
        let skipped = content.split_inclusive(|&b| b == b'\n').take(problem.line as usize - 1);
        let from = skipped.map(<[u8]>::len).sum::<usize>();
        let text = mask(&String::from_utf8_lossy(&content[from..])).into_owned();
        let is_it = |entry: &Quarantined| {
            (&*entry.code, &entry.pointer, &entry.detail)
                == (problem.code, &problem.pointer, &problem.detail)
                && text.contains(&entry.raw)
        };
        // Of several like it, the one that stands at the beginning.
        let found = (0..entries.len()).filter(|&n| is_it(&entries[n]));
        let at = found.max_by_key(|&n| (text.starts_with(&entries[n].raw), entries[n].raw.len()));
        let at = at.unwrap_or_else(|| panic!("{name}: not kept: {problem:?}"));
        told[at] = true; // a text that comes twice is kept once
        let entry = &entries[at];
        assert!(!entry.raw.is_empty(), "{name}: {entry:?}");
        assert_eq!((entry.form, &*entry.origin), (Form::Text, "import:test"), "{name}");
        assert_eq!(entry.received_ms, RECEIVED_MS, "{name}");
    }
    assert!(told.iter().all(|&told| told), "{name}: kept without being told: {entries:?}");
    texts
}

/// Every row there is, oldest first.
fn rows(keyspace: &dyn Keyspace) -> Vec<Vec<String>> {
    let batch = all_rows(keyspace);
    (0..batch.len).rev().map(|n| batch.with_row(n, shown)).collect()
}

fn shown(row: &Row<'_>) -> Vec<String> {
    let mut parts = vec![
        format!("ts={}", format_rfc3339(row.ts_ms)),
        format!("status={}", row.status.as_str()),
        format!("actor={}", row.actor.as_str()),
    ];
    let number = |name: &str, n: Option<i64>| format!("{name}={}", n.unwrap_or(-1));
    parts.push(number("duration_us", row.duration_us.map(|us| us as i64)));
    parts.push(number("exit_code", row.exit_code));
    for word in storage::row::Word::ALL {
        parts.push(format!("{}={}", word.as_str(), row.words[word as usize]));
    }
    parts.extend(row.labels.iter().map(|(key, word)| format!("labels.{key}={word}")));
    parts.extend(row.values.iter().map(|(key, value)| format!("values.{key}={value}")));
    parts.push(format!("entries={}", row.labels.len() + row.values.len()));
    parts
}
