//! The table's one `check`: decodes a body, stores it, and compares what is told and what is there.

use super::support::{Store, all_rows, arrival};
use emx::intake::batch::{BatchReport, prepare};
use emx::intake::decode::{Body, DecodeLimits, Encoding, Format, Shape, decode};
use emx::process::quarantine::TABLE;
use std::io::Write;

/// What is expected of a body.
pub(super) enum Expected {
    /// The whole body is refused by this code.
    Body(&'static str),
    /// So many rows are accepted and so many quarantined; the others are rejected. Each problem is
    /// `(index, code, pointer)`.
    Rows(usize, usize, Vec<(usize, &'static str, &'static str)>),
}
use Expected::{Body as Whole, Rows};

/// Small bounds, so that bodies over them are small too.
pub(super) const LIMITS: DecodeLimits = DecodeLimits {
    body_bytes_max: 1 << 20,
    expanded_bytes_max: 2 << 20,
    ratio_max: 50,
    row_bytes_max: 64 << 10,
    rows_max: 1000,
};

pub(super) const JSON: Body =
    Body { format: Format::Json, encoding: Encoding::Identity, shape: Shape::Many };
pub(super) const ONE: Body = Body { shape: Shape::One, ..JSON };
pub(super) const LINES: Body = Body { format: Format::Ndjson, ..JSON };
pub(super) const PACK: Body = Body { format: Format::MessagePack, ..JSON };

pub(super) struct Table {
    store: Store,
    cases: usize,
}

impl Table {
    pub(super) fn check(
        &mut self,
        name: &str,
        body: Body,
        bytes: impl AsRef<[u8]>,
        expected: Expected,
    ) {
        self.cases += 1;
        let keyspace = self.store.keyspace(&format!("case-{}", self.cases));
        let decoded = decode(bytes.as_ref(), body, arrival(), &LIMITS);
        let (accepted, quarantined, problems) = match (decoded, expected) {
            (Err(e), Whole(code)) => return assert_eq!(e.code(), code, "{name}: {e}"),
            (Err(e), Rows(..)) => panic!("{name}: the body was refused: {e}"),
            (Ok(decoded), Whole(code)) => panic!("{name}: not {code} but {decoded:?}"),
            (Ok(decoded), Rows(accepted, quarantined, problems)) => {
                let total = decoded.total;
                let atomic = prepare(decoded.clone(), arrival(), true);
                assert_eq!(atomic.is_err(), !problems.is_empty(), "{name}: atomic");
                let prepared = prepare(decoded, arrival(), false).expect("not atomic");
                let appended = keyspace.append(vec![prepared.append]).expect("an append");
                let report = prepared.ledger.settle(&appended[0]).expect("not atomic");
                assert_eq!(counted(&report), total, "{name}: every row is counted once");
                check_report(name, &report, &problems);
                (accepted, quarantined, report)
            }
        };
        assert_eq!((problems.accepted, problems.quarantined), (accepted, quarantined), "{name}");
        assert_eq!(all_rows(&*keyspace).len, accepted, "{name}: rows stored");
        let kept = keyspace.list(TABLE, &[], None, 10_000).expect("the quarantine").len();
        assert_eq!(kept, quarantined, "{name}: rows kept in quarantine");
    }

    pub(super) fn line(
        &mut self,
        name: &str,
        line: &str,
        problems: &[(&'static str, &'static str)],
    ) {
        let problems: Vec<_> = problems.iter().map(|&(code, pointer)| (0, code, pointer)).collect();
        let accepted = usize::from(problems.is_empty());
        self.check(name, LINES, line, Rows(accepted, 0, problems.clone()));
        // The same row in an array has the same fate, but where the array cannot be cut.
        if !problems.iter().any(|(_, code, _)| *code == "invalid_json") {
            self.check(name, JSON, format!("[{line}]"), Rows(accepted, 0, problems.clone()));
            self.check(name, ONE, line, Rows(accepted, 0, problems));
        }
    }

    pub(super) fn quarantined(&mut self, name: &str, line: &str, code: &'static str) {
        self.check(name, LINES, line, Rows(0, 1, vec![(0, code, "/ts")]));
        self.check(name, ONE, line, Rows(0, 1, vec![(0, code, "/ts")]));
    }
}

pub(super) fn counted(report: &BatchReport) -> usize {
    report.accepted + report.duplicates + report.quarantined + report.rejected
}

pub(super) fn check_report(name: &str, report: &BatchReport, problems: &[(usize, &str, &str)]) {
    let found: Vec<_> =
        report.errors.iter().map(|e| (e.index, e.code, e.pointer.as_str())).collect();
    assert_eq!(found, problems, "{name}: {:?}", report.errors);
    for error in &report.errors {
        assert!(!error.detail.is_empty(), "{name}: a problem without a sentence");
    }
}

pub(super) fn table() -> Table {
    Table { store: Store::new(), cases: 0 }
}

/// `{"command":"x", …}`.
pub(super) fn with(members: &str) -> String {
    format!(r#"{{"command":"x",{members}}}"#)
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("into memory")
}

/// Letters that compress to about a tenth: each of a random sequence 16 times (xorshift32).
pub(super) fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut letters = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        [b'a' + (state >> 27) as u8 % 26; 16]
    });
    letters.by_ref().take(len / 16).flatten().collect()
}

pub(super) fn pack(value: &serde_json::Value) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("into memory")
}
