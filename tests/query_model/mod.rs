//! What the tests of asking share: plain rows, a keyspace that does everything the slow way, and
//! an oracle that answers the JSON question from the contract's words alone.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of the model")]

pub mod check;
pub mod fake;
pub mod oracle;

use proptest::prelude::*;
use storage::batch::{RowBatch, RowBatchBuilder};
use storage::row::{Actor, Row, RowId, Status, TimeMs, Word};

/// A row with nothing clever about it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlainRow {
    pub id: String,
    pub ts: TimeMs,
    pub words: [String; Word::ALL.len()],
    pub status: Status,
    pub actor: Actor,
    pub duration_us: Option<u64>,
    pub exit_code: Option<i64>,
    pub labels: Vec<(String, String)>,
    pub values: Vec<(String, f64)>,
}

impl PlainRow {
    pub fn new(id: &str, ts: TimeMs) -> Self {
        Self {
            id: id.to_owned(),
            ts,
            words: Default::default(),
            status: Status::Unknown,
            actor: Actor::Unknown,
            duration_us: None,
            exit_code: None,
            labels: Vec::new(),
            values: Vec::new(),
        }
    }

    pub fn with(mut self, word: Word, text: &str) -> Self {
        self.words[word as usize] = text.to_owned();
        self
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| k == key).map(|(_, word)| word.as_str())
    }

    pub fn value(&self, key: &str) -> Option<f64> {
        self.values.iter().find(|(k, _)| k == key).map(|&(_, value)| value)
    }

    pub fn of_row(row: &Row<'_>) -> Self {
        Self {
            id: row.id.to_string(),
            ts: row.ts_ms,
            words: row.words.map(str::to_owned),
            status: row.status,
            actor: row.actor,
            duration_us: row.duration_us,
            exit_code: row.exit_code,
            labels: row.labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
            values: row.values.iter().map(|&(k, v)| (k.to_owned(), v)).collect(),
        }
    }

    fn push(&self, rows: &mut RowBatchBuilder) {
        let labels: Vec<_> = self.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let values: Vec<_> = self.values.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        rows.push(&Row {
            id: RowId::parse(&self.id),
            ts_ms: self.ts,
            ts_given: true,
            received_ms: self.ts,
            words: Word::ALL.map(|word| self.words[word as usize].as_str()),
            status: self.status,
            actor: self.actor,
            duration_us: self.duration_us,
            exit_code: self.exit_code,
            labels: &labels,
            values: &values,
        });
    }
}

/// The rows as a batch without seqs.
pub fn batch<'a>(rows: impl IntoIterator<Item = &'a PlainRow>) -> RowBatch {
    let mut builder = RowBatchBuilder::default();
    for row in rows {
        row.push(&mut builder);
    }
    builder.finish()
}

/// Days around which clocks do strange things, and the zones where they do.
pub const ANCHORS: [TimeMs; 5] = [
    1_774_746_000_000, // 2026-03-29T01:00Z: Berlin springs forward
    1_792_890_000_000, // 2026-10-25T01:00Z: Berlin falls back
    1_775_314_800_000, // 2026-04-04T15:00Z: Lord Howe falls back by half an hour
    1_325_239_200_000, // 2011-12-30T10:00Z: Apia skips a day
    1_773_588_600_000, // 2026-03-15: Casablanca and St. John's are near their own
];

/// The zones asked in.
pub const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Africa/Casablanca",
];

fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(words).prop_map(str::to_owned)
}

prop_compose! {
    /// Any row near `anchor`, its id not set yet.
    pub fn any_row(anchor: TimeMs)(
        offset in prop_oneof![-7_200_000_i64..7_200_000, -3_000_000_000_i64..3_000_000_000],
        command in word(&["cargo build", "cargo test", "git", "ß"]),
        user in word(&["", "ann", "bob", "zoë"]),
        team in word(&["", "red", "blue"]),
        host in word(&["h1", "h2"]),
        status in proptest::sample::select(&Status::ALL[..]),
        actor in proptest::sample::select(&Actor::ALL[..]),
        duration_us in proptest::option::weighted(0.8, prop_oneof![0_u64..5_000, 0_u64..10_000_000_000]),
        exit_code in proptest::option::of(-1_i64..4),
        branch in proptest::option::of(word(&["", "main", "dev"])),
        x in proptest::option::of(prop_oneof![Just(0.0), -1e6..1e6_f64, -1.0..1.0_f64]),
    ) -> PlainRow {
        let mut row = PlainRow::new("", anchor + offset)
            .with(Word::Command, &command)
            .with(Word::User, &user)
            .with(Word::Team, &team)
            .with(Word::Host, &host);
        (row.status, row.actor) = (status, actor);
        (row.duration_us, row.exit_code) = (duration_us, exit_code);
        row.labels.extend(branch.map(|branch| ("branch".to_owned(), branch)));
        row.values.extend(x.map(|x| ("x".to_owned(), x)));
        row
    }
}

/// Rows near one anchor with ids of their own, spread over two months or crowded into a few hours:
/// only where many rows share an hour does a block keep partial aggregates.
pub fn any_rows(count: std::ops::Range<usize>) -> impl Strategy<Value = (TimeMs, Vec<PlainRow>)> {
    (proptest::sample::select(&ANCHORS[..]), any::<bool>()).prop_flat_map(
        move |(anchor, crowded)| {
            proptest::collection::vec(any_row(anchor), count.clone()).prop_map(move |mut rows| {
                for (n, row) in rows.iter_mut().enumerate() {
                    row.id = format!("row-{n}");
                    if crowded {
                        row.ts = anchor + (row.ts - anchor) % CROWD_MS;
                    }
                }
                (anchor, rows)
            })
        },
    )
}

/// How far crowded rows lie from their anchor.
const CROWD_MS: i64 = 5_400_000;
