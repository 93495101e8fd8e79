//! Questions to a keyspace whose right answers the ledger knows.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use crate::ledger::{KeyspaceLedger, LedgerRow, TABLE, of_origin};
use std::collections::{BTreeMap, BTreeSet};
use storage::ask::{AggregateRequest, AskError, Budget, Cell, Metric, Permille, Selection};
use storage::batch::RowBatch;
use storage::engine::{CursorState, FeedEntry, Keyspace};
use storage::error::StoreError;
use storage::row::{Dimension, Measure, RowId, Seq, Word};

/// Why a question was not answered as it should have been.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The answer is wrong: the worst there is.
    Wrong(String),
    /// There is no answer, but an error.
    Failed(StoreError),
}

impl From<StoreError> for Finding {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<AskError> for Finding {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Store(error) => Self::Failed(error),
            other => Self::Wrong(format!("a question gave up: {other}")),
        }
    }
}

type Question = fn(&dyn Keyspace, &KeyspaceLedger) -> Result<(), Finding>;

/// Every question with its name.
pub(crate) const QUESTIONS: [(&str, Question); 9] = [
    ("scan", scan_is_right),
    ("page", pages_are_right),
    ("rows by seq", seqs_are_right),
    ("feed", feed_is_right),
    ("find", find_is_right),
    ("aggregate", aggregates_are_right),
    ("selection", selections_are_right),
    ("small values", small_values_are_right),
    ("sizes", sizes_are_right),
];

/// Asks every question and the keyspace's own check.
pub(crate) fn ask_all(keyspace: &dyn Keyspace, ledger: &KeyspaceLedger) -> Result<(), Finding> {
    for (name, question) in QUESTIONS {
        question(keyspace, ledger).map_err(|finding| match finding {
            Finding::Wrong(what) => Finding::Wrong(format!("{name}: {what}")),
            failed => failed,
        })?;
    }
    match keyspace.check()? {
        findings if findings.is_empty() => Ok(()),
        findings => Err(Finding::Wrong(format!("check: {}", findings.join("; ")))),
    }
}

fn demand(holds: bool, what: impl FnOnce() -> String) -> Result<(), Finding> {
    if holds { Ok(()) } else { Err(Finding::Wrong(what())) }
}

/// Rows by seq with what they say.
type Found = BTreeMap<Seq, LedgerRow>;

fn collect(batch: &RowBatch, found: &mut Found) -> Result<(), Finding> {
    demand(batch.seq.len() == batch.len, || "rows without seq".to_owned())?;
    for at in 0..batch.len {
        let twice = found.insert(batch.seq[at], LedgerRow::read(batch, at));
        demand(twice.is_none(), || format!("seq {} twice", batch.seq[at]))?;
    }
    Ok(())
}

/// Whether the rows found are exactly those of the ledger.
fn compare(found: &Found, ledger: &KeyspaceLedger) -> Result<(), Finding> {
    let mut ids = BTreeSet::new();
    for (seq, row) in found {
        let told = ledger.seqs.get(&row.id);
        demand(told.is_none_or(|told| told == seq), || {
            format!("`{}` was given seq {told:?} and has {seq}", row.id)
        })?;
        demand(ids.insert(&row.id), || format!("`{}` is there twice", row.id))?;
        let expected = ledger.rows.get(&row.id);
        demand(expected == Some(row), || format!("found {row:?}, expected {expected:?}"))?;
    }
    demand(found.len() == ledger.rows.len(), || {
        let lost = ledger.rows.keys().find(|id| !ids.contains(id));
        format!("{} rows of {}, lost: {lost:?}", found.len(), ledger.rows.len())
    })
}

fn scan(keyspace: &dyn Keyspace, selection: &Selection) -> Result<Found, Finding> {
    let mut found = Found::new();
    let mut newest = (i64::MIN, 0);
    let mut result = Ok(());
    keyspace.scan(selection, &Budget::default(), &mut |batch| {
        result = collect(batch, &mut found).and_then(|()| {
            for (ts, seq) in batch.ts.iter().zip(&batch.seq) {
                demand(newest < (*ts, *seq), || format!("seq {seq} is out of order"))?;
                newest = (*ts, *seq);
            }
            Ok(())
        });
        result.is_ok()
    })?;
    result.map(|()| found)
}

/// All rows, by seq, as one scan gives them.
pub(crate) fn all_rows(keyspace: &dyn Keyspace) -> Result<Found, Finding> {
    scan(keyspace, &Selection::all())
}

fn scan_is_right(keyspace: &dyn Keyspace, ledger: &KeyspaceLedger) -> Result<(), Finding> {
    compare(&all_rows(keyspace)?, ledger)
}

fn pages_are_right(keyspace: &dyn Keyspace, ledger: &KeyspaceLedger) -> Result<(), Finding> {
    const PAGE_ROWS: usize = 97;
    let mut found = Found::new();
    let mut after = None;
    loop {
        let page = keyspace.page(&Selection::all(), after, PAGE_ROWS, &Budget::default())?;
        for at in 0..page.len {
            let here = (page.ts[at], page.seq.get(at).copied().unwrap_or_default());
            demand(after.is_none_or(|last| here < last), || format!("{here:?} is out of order"))?;
            after = Some(here);
        }
        collect(&page, &mut found)?;
        if page.len < PAGE_ROWS {
            return compare(&found, ledger);
        }
    }
}

fn seqs_are_right(keyspace: &dyn Keyspace, ledger: &KeyspaceLedger) -> Result<(), Finding> {
    const PAGE_ROWS: usize = 61;
    let last_seq = keyspace.last_seq()?;
    let mut found = Found::new();
    let mut from = 1;
    loop {
        let page = keyspace.rows_by_seq(from, last_seq, PAGE_ROWS)?;
        demand(page.seq.is_sorted(), || "seqs out of order".to_owned())?;
        demand(page.seq.first().is_none_or(|first| *first >= from), || "seq too small".to_owned())?;
        collect(&page, &mut found)?;
        match page.seq.last() {
            Some(last) if page.len == PAGE_ROWS => from = last + 1,
            _ => return compare(&found, ledger),
        }
    }
}

/// The feed is contiguous from its first seq to the newest, and where it still has everything
/// it leads to exactly the rows that are there.
fn feed_is_right(keyspace: &dyn Keyspace, ledger: &KeyspaceLedger) -> Result<(), Finding> {
    const STEP_BYTES: usize = 10_000;
    let stats = keyspace.stats()?;
    let last_seq = keyspace.last_seq()?;
    demand(stats.last_seq == last_seq, || "two answers to the newest seq".to_owned())?;
    let (mut rows, mut gone) = (Found::new(), BTreeSet::new());
    let mut taken = BTreeSet::new();
    let mut next = stats.feed_first_seq.max(1);
    while next <= last_seq {
        let items = keyspace.feed(next, STEP_BYTES)?;
        demand(!items.is_empty(), || format!("the feed ends before seq {next}"))?;
        for item in &items {
            demand(item.first == next, || format!("seq {} where {next} is due", item.first))?;
            let seqs = follow(&item.entry, &mut rows, &mut gone)?;
            let inside = seqs.iter().all(|seq| (item.first..=item.last).contains(seq));
            demand(inside, || format!("seqs outside of {}..={}", item.first, item.last))?;
            next = item.last + 1;
            taken.extend(seqs);
        }
    }
    let missing = (stats.feed_first_seq.max(1)..=last_seq)
        .find(|seq| !taken.contains(seq) && !gone.contains(seq));
    demand(missing.is_none(), || format!("seq {missing:?} is missing in the feed"))?;
    rows.retain(|seq, _| !gone.contains(seq));
    if stats.feed_first_seq <= 1 {
        compare(&rows, ledger)
    } else {
        let strange = rows.values().find(|row| ledger.rows.get(&row.id) != Some(row));
        demand(strange.is_none(), || format!("the feed has {strange:?}"))
    }
}

/// Takes an entry in and gives the seqs it has.
fn follow(
    entry: &FeedEntry,
    rows: &mut Found,
    gone: &mut BTreeSet<Seq>,
) -> Result<Vec<Seq>, Finding> {
    let added = match entry {
        FeedEntry::Rows(added) => added,
        FeedEntry::Removed { seq, rows } => {
            gone.extend(rows);
            return Ok(vec![*seq]);
        }
        FeedEntry::Replaced { removed, rows } => {
            gone.extend(removed);
            rows
        }
    };
    demand(added.seq.is_sorted(), || "an entry's seqs are out of order".to_owned())?;
    collect(added, rows)?;
    Ok(added.seq.clone())
}

fn find_is_right(keyspace: &dyn Keyspace, ledger: &KeyspaceLedger) -> Result<(), Finding> {
    const ASKED: usize = 12;
    let step = (ledger.rows.len() / ASKED).max(1);
    for row in ledger.rows.values().step_by(step) {
        for ts_ms in [None, Some(row.ts_ms)] {
            let found = keyspace.find(RowId::parse(&row.id), ts_ms, &[])?;
            let right = found.len == 1 && LedgerRow::read(&found, 0) == *row;
            demand(right, || format!("{} rows for `{}`", found.len, row.id))?;
        }
        let elsewhere = keyspace.find(RowId::parse(&row.id), Some(row.ts_ms + 1), &[])?;
        demand(elsewhere.len == 0, || format!("`{}` at another time", row.id))?;
    }
    let nobody = keyspace.find(RowId::Text("never written"), None, &[])?;
    demand(nobody.len == 0, || "a row that was never written".to_owned())
}

/// Bucket and words of a group.
type Key = (u32, Vec<Option<String>>);

/// What the ledger says of a group: rows, failures, and of the durations number, sum, min, max.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
struct Sums {
    count: i128,
    failures: i128,
    sum: Option<i128>,
    min: Option<i128>,
    max: Option<i128>,
}

impl Sums {
    fn add(&mut self, row: &LedgerRow) {
        self.count += 1;
        self.failures += i128::from(row.status.is_failure());
        if let Some(us) = row.duration_us.map(i128::from) {
            self.sum = Some(self.sum.unwrap_or(0) + us);
            self.min = Some(self.min.map_or(us, |m| m.min(us)));
            self.max = Some(self.max.map_or(us, |m| m.max(us)));
        }
    }
}

const HOURS: i64 = 3_600_000;

fn request(group_by: &[Dimension], bucket_starts: Vec<i64>, partials: bool) -> AggregateRequest {
    let duration = || Measure::Duration;
    AggregateRequest {
        selection: Selection::all(),
        bucket_starts,
        group_by: group_by.to_vec(),
        metrics: vec![
            Metric::Count,
            Metric::FailureCount,
            Metric::Sum(duration()),
            Metric::Min(duration()),
            Metric::Max(duration()),
            Metric::Avg(duration()),
            Metric::Quantile(duration(), Permille(950)),
            Metric::SuccessRate,
        ],
        partials,
    }
}

/// The answer as a table, in order of the keys.
fn answer(
    keyspace: &dyn Keyspace,
    request: &AggregateRequest,
) -> Result<BTreeMap<Key, Vec<Cell>>, Finding> {
    let answer = keyspace.aggregate(request, &Budget::default())?;
    let mut table = BTreeMap::new();
    for n in 0..answer.keys.len() {
        let words: Vec<_> = answer.keys.words(n).map(|w| w.map(|w| w.to_string())).collect();
        let key = (answer.keys.buckets[n], words);
        let cells: Vec<Cell> = answer.cells.iter().filter_map(|c| c.get(n).copied()).collect();
        let complete = cells.len() == request.metrics.len();
        demand(complete, || "a group without all its cells".to_owned())?;
        let twice = table.insert(key, cells);
        demand(twice.is_none(), || format!("group {n} is there twice"))?;
    }
    Ok(table)
}

fn whole(cell: Cell) -> Option<i128> {
    match cell {
        Cell::Null => None,
        Cell::Int(n) | Cell::Micros(n) => Some(n),
        Cell::Float(x) => Some(x as i128),
    }
}

fn aggregates_are_right(keyspace: &dyn Keyspace, ledger: &KeyspaceLedger) -> Result<(), Finding> {
    let word = |w| Dimension::Word(w);
    let from = ledger.rows.values().map(|r| r.ts_ms).min().unwrap_or(0).div_euclid(HOURS) * HOURS;
    let to = ledger.rows.values().map(|r| r.ts_ms).max().unwrap_or(0);
    let days: Vec<i64> = (from..=to.max(from)).step_by(24 * HOURS as usize).collect();
    let cases: [(&[Dimension], Vec<i64>); 4] = [
        (&[], Vec::new()),
        (&[word(Word::User)], days.clone()),
        (&[word(Word::Command), word(Word::User)], Vec::new()),
        (&[Dimension::Label("zone".into()), Dimension::Status], days),
    ];
    for (group_by, starts) in cases {
        let expected = naive(ledger, group_by, &starts);
        let from_columns = answer(keyspace, &request(group_by, starts.clone(), false))?;
        let from_partials = answer(keyspace, &request(group_by, starts, true))?;
        demand(from_columns == from_partials, || {
            format!("by {group_by:?}: partials and columns differ")
        })?;
        let found: BTreeMap<Key, Sums> = from_columns
            .into_iter()
            .map(|(key, cells)| (key, sums(&cells)))
            .filter(|(_, sums)| sums.count != 0)
            .collect();
        demand(found == expected, || format!("by {group_by:?}: {found:?}, expected {expected:?}"))?;
    }
    Ok(())
}

fn sums(cells: &[Cell]) -> Sums {
    Sums {
        count: whole(cells[0]).unwrap_or(0),
        failures: whole(cells[1]).unwrap_or(0),
        sum: whole(cells[2]),
        min: whole(cells[3]),
        max: whole(cells[4]),
    }
}

fn naive(ledger: &KeyspaceLedger, group_by: &[Dimension], starts: &[i64]) -> BTreeMap<Key, Sums> {
    let mut groups: BTreeMap<Key, Sums> = BTreeMap::new();
    for row in ledger.rows.values() {
        let bucket = starts.partition_point(|start| *start <= row.ts_ms).saturating_sub(1) as u32;
        let words = group_by.iter().map(|dimension| word_of(row, dimension)).collect();
        groups.entry((bucket, words)).or_default().add(row);
    }
    groups
}

fn word_of(row: &LedgerRow, dimension: &Dimension) -> Option<String> {
    match dimension {
        Dimension::Word(Word::User) => Some(row.user.clone()),
        Dimension::Word(Word::Command) => Some(row.command.clone()),
        Dimension::Status => Some(row.status.as_str().to_owned()),
        Dimension::Label(_) => row.label.clone(),
        _ => None,
    }
}

fn selections_are_right(keyspace: &dyn Keyspace, ledger: &KeyspaceLedger) -> Result<(), Finding> {
    let origins: BTreeSet<&str> = ledger.rows.values().map(|r| r.origin.as_str()).collect();
    for origin in origins {
        let found = scan(keyspace, &of_origin(origin))?;
        let mut part = ledger.clone();
        part.rows.retain(|_, row| row.origin == origin);
        compare(&found, &part)?;
    }
    Ok(())
}

fn small_values_are_right(keyspace: &dyn Keyspace, ledger: &KeyspaceLedger) -> Result<(), Finding> {
    const LIMIT: usize = 1000;
    let found: BTreeMap<Vec<u8>, Vec<u8>> =
        keyspace.list(TABLE, b"", None, LIMIT)?.into_iter().collect();
    demand(found == ledger.notes, || format!("notes {found:?}, expected {:?}", ledger.notes))?;
    for (key, value) in &ledger.notes {
        let got = keyspace.get(TABLE, key)?;
        demand(got.as_ref() == Some(value), || format!("note {key:?} is {got:?}"))?;
    }
    for (consumer, seq) in &ledger.cursors {
        let state = keyspace.cursor(consumer)?;
        demand(state == CursorState::At(*seq), || format!("cursor `{consumer}` is {state:?}"))?;
    }
    Ok(())
}

fn sizes_are_right(keyspace: &dyn Keyspace, ledger: &KeyspaceLedger) -> Result<(), Finding> {
    let stats = keyspace.stats()?;
    let times = || ledger.rows.values().map(|row| row.ts_ms);
    let range = times().min().zip(times().max());
    demand(stats.rows == ledger.rows.len() as u64, || format!("{} rows", stats.rows))?;
    // A removal may leave the range wider than the rows that are left.
    let covers = match (stats.time_range, range) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(says), Some(is)) => says.0 <= is.0 && says.1 >= is.1,
    };
    demand(covers, || format!("range {:?}, rows in {range:?}", stats.time_range))
}
