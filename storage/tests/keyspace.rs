//! A keyspace from the outside: what goes in comes out, once, whatever happens to the blocks.

mod support;

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::slice::from_ref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::ask::{AggregateRequest, Budget, Metric, Permille, Predicate, Selection, WordTest};
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{
    Append, CursorState, Engine, Expect, FeedEntry, KeyspaceSettings, RowOutcome, TableWrite,
};
use storage::error::StoreError;
use storage::row::{Actor, Dimension, Measure, Row, RowId, Status, Word};
use storage::turns::{Taken, Turns};
use storage::volume::OsVolume;
use support::{append, batch, contents, expected, fresh, made, small_settings};

#[test]
fn rows_survive_reopening_sealed_and_unsealed() {
    let (dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    for from in (0..1000).step_by(37) {
        keyspace.append(vec![append(batch(from..(from + 37).min(1000)))]).unwrap();
    }
    assert_eq!(contents(&keyspace), expected(0..1000));
    keyspace.settle().unwrap();
    assert_eq!(keyspace.stats().unwrap().unsealed_rows, 0);
    assert_eq!(contents(&keyspace), expected(0..1000));
    keyspace.append(vec![append(batch(1000..1050))]).unwrap();
    assert_eq!(keyspace.check().unwrap(), Vec::<String>::new());
    drop((keyspace, engine));
    let engine = EmbeddedEngine::open(OsVolume::shared(dir.path()), small_settings()).unwrap();
    let keyspace = engine.open("t").unwrap();
    assert_eq!(contents(&keyspace), expected(0..1050));
    assert_eq!(keyspace.last_seq().unwrap(), 1050);
    assert_eq!(keyspace.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_repeat_is_stored_once_wherever_its_original_lies() {
    let (_dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    let twice_in_a_group = keyspace.append(vec![append(batch(0..50)), append(batch(25..75))]);
    let [first, second] = &twice_in_a_group.unwrap()[..] else { panic!("two answers") };
    assert_eq!(first.seqs, Some((1, 50)));
    assert_eq!(second.seqs, Some((51, 75)));
    assert_eq!(second.outcomes.iter().filter(|o| **o == RowOutcome::Duplicate).count(), 25);
    for round in 0..3 {
        let again = keyspace.append(vec![append(batch(0..80))]).unwrap();
        let new = again[0].outcomes.iter().filter(|o| **o == RowOutcome::Accepted).count();
        assert_eq!(new, if round == 0 { 5 } else { 0 });
        keyspace.settle().unwrap();
    }
    assert_eq!(contents(&keyspace), expected(0..80));
}

#[test]
fn a_row_without_ts_is_a_repeat_for_a_day() {
    const DAY_MS: i64 = 24 * 3600 * 1000;
    let (_dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    let send = |received: i64, ts_given: bool| {
        let mut rows = storage::batch::RowBatchBuilder::default();
        let row = support::Made { ts_ms: received, ts_given, ..made(1) };
        support::push(&mut rows, 1, &row);
        let answer = keyspace.append(vec![append(rows.finish())]).unwrap();
        answer[0].outcomes[0] == RowOutcome::Accepted
    };
    let t0 = 1_700_000_000_000;
    assert!(send(t0, false));
    assert!(!send(t0 + DAY_MS, false), "unsealed, within the day");
    assert!(!send(t0, true), "unsealed, sent again with the ts it was given");
    assert!(send(t0 + 1, true), "with another ts it is another row");
    keyspace.settle().unwrap();
    assert!(!send(t0 + DAY_MS, false), "sealed, within the day");
    assert!(!send(t0, true), "sealed, sent again with the ts it was given");
    assert!(!send(t0 + 1, true));
    assert!(send(t0 + DAY_MS + 1, false), "after the day");
}

#[test]
fn one_id_with_many_times_is_as_many_rows() {
    const TIMES: i64 = 30_000; // a search among all of them for each would take minutes
    let (_dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    let mut rows = storage::batch::RowBatchBuilder::default();
    for ts_ms in 0..TIMES {
        support::push(&mut rows, 1, &support::Made { ts_ms, ..made(1) });
    }
    let rows = rows.finish();
    for expected in [RowOutcome::Accepted, RowOutcome::Duplicate, RowOutcome::Duplicate] {
        let answer = keyspace.append(vec![append(rows.clone())]).unwrap();
        assert!(answer[0].outcomes.iter().all(|outcome| *outcome == expected));
        keyspace.settle().unwrap();
    }
}

#[test]
fn rows_of_one_time_are_told_apart_by_their_ids() {
    let (_dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    let of_one_time = |numbers: std::ops::Range<u64>| {
        let mut rows = storage::batch::RowBatchBuilder::default();
        for n in numbers {
            support::push(&mut rows, n, &support::Made { ts_ms: 1_700_000_000_000, ..made(n) });
        }
        vec![append(rows.finish())]
    };
    keyspace.append(of_one_time(0..1000)).unwrap();
    keyspace.settle().unwrap();
    let again = keyspace.append(of_one_time(500..1500)).unwrap().remove(0).outcomes;
    assert!(again[..500].iter().all(|outcome| *outcome == RowOutcome::Duplicate));
    assert!(again[500..].iter().all(|outcome| *outcome == RowOutcome::Accepted));
}

#[test]
fn long_texts_make_blocks_of_few_rows_and_merging_ends() {
    let dir = tempfile::tempdir().unwrap();
    let settings = EngineSettings { seal_rows: 1000, seal_bytes: 256 << 10, ..small_settings() };
    let engine = EmbeddedEngine::open(OsVolume::shared(dir.path()), settings).unwrap();
    engine.create("t", &KeyspaceSettings::default()).unwrap();
    let keyspace = engine.open("t").unwrap();
    for call in 0..60 {
        let mut rows = storage::batch::RowBatchBuilder::default();
        for n in call * 50..call * 50 + 50 {
            let user = format!("{n:04}").repeat(600); // a word as long as a text may be
            support::push(&mut rows, n, &support::Made { user, ..made(n) });
        }
        keyspace.append(vec![append(rows.finish())]).unwrap();
        keyspace.settle().unwrap();
    }
    let stats = keyspace.stats().unwrap();
    assert_eq!(stats.rows, 3000);
    assert!((20..60).contains(&stats.blocks), "{} blocks", stats.blocks);
    assert_eq!(keyspace.check().unwrap(), Vec::<String>::new());
}

/// Rows with a label each, whose keys are `keys`.
fn labelled(keys: std::ops::Range<u64>) -> storage::batch::RowBatch {
    let mut rows = storage::batch::RowBatchBuilder::default();
    for n in keys {
        let (made, key) = (made(n), format!("key-{n}"));
        rows.push(&Row {
            id: RowId::parse(&made.id),
            ts_ms: made.ts_ms,
            ts_given: true,
            received_ms: made.ts_ms,
            words: [""; Word::ALL.len()],
            status: Status::Success,
            actor: Actor::Ci,
            duration_us: None,
            exit_code: None,
            labels: &[(&key, "v")],
            values: &[],
        });
    }
    rows.finish()
}

#[test]
fn only_stored_rows_use_up_the_tenants_keys() {
    let (_dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    let send = |keys, atomic| {
        let append = Append { rows: labelled(keys), atomic, ..Append::default() };
        let mut answers = keyspace.append(vec![append]).unwrap();
        let over = |outcome: &&RowOutcome| **outcome == RowOutcome::TooManyKeys;
        answers.remove(0).outcomes.iter().filter(over).count()
    };
    assert_eq!(send(0..600, false), 0);
    assert_eq!(send(1000..1500, true), 76, "nothing of it is stored");
    assert_eq!(send(2000..2424, false), 0, "so there is room for 424 others");
    assert_eq!(send(3000..3001, false), 1);
    assert_eq!(keyspace.stats().unwrap().rows, 1024);
}

#[test]
fn pages_by_seq_are_the_lowest_whatever_blocks_they_lie_in() {
    let (_dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    for from in (0..600).step_by(50) {
        keyspace.append(vec![append(batch(from..from + 50))]).unwrap();
        if from % 200 == 0 {
            keyspace.settle().unwrap();
        }
    }
    for (from, to, limit) in [(1, 600, 70), (123, 600, 200), (590, u64::MAX, 70), (7, 9, 70)] {
        let found = keyspace.rows_by_seq(from, to, limit).unwrap().seq;
        let wanted: Vec<u64> = (from..=to.min(600)).take(limit).collect();
        assert_eq!(found, wanted);
    }
}

#[test]
fn removing_an_origin_leaves_the_others_and_frees_the_ids() {
    let (dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    keyspace.append(vec![append(batch(0..500))]).unwrap();
    keyspace.settle().unwrap();
    keyspace.append(vec![append(batch(500..600))]).unwrap();
    let mut selection = Selection::all();
    selection.predicates.push(Predicate::Word(
        Dimension::Word(Word::Origin),
        WordTest::In(vec!["import:a".into()]),
    ));
    assert_eq!(keyspace.remove(&selection).unwrap(), 120);
    let others = || (0..600).filter(|n| n % 5 != 0);
    assert_eq!(contents(&keyspace), expected(others()));
    assert_eq!(keyspace.last_seq().unwrap(), 601, "the removal takes a seq");
    assert_eq!(keyspace.check().unwrap(), Vec::<String>::new());
    drop((keyspace, engine));
    let engine = EmbeddedEngine::open(OsVolume::shared(dir.path()), small_settings()).unwrap();
    let keyspace = engine.open("t").unwrap();
    assert_eq!(contents(&keyspace), expected(others()));
    let again = keyspace.append(vec![append(batch(0..600))]).unwrap();
    let new = again[0].outcomes.iter().filter(|o| **o == RowOutcome::Accepted).count();
    assert_eq!(new, 120);
    assert_eq!(contents(&keyspace), expected(0..600));
}

#[test]
fn replacing_changes_rows_in_their_place_and_adds_new_ones() {
    let (_dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    keyspace.append(vec![append(batch(0..300))]).unwrap();
    keyspace.settle().unwrap();
    keyspace.append(vec![append(batch(300..350))]).unwrap();
    let mut rows = storage::batch::RowBatchBuilder::default();
    for n in [5, 299, 349, 999] {
        support::push(&mut rows, n, &support::Made { user: "new".into(), ..made(n) });
    }
    assert_eq!(keyspace.replace(rows.finish()).unwrap(), 3);
    let mut want = expected((0..350).chain([999]));
    for row in &mut want {
        if [5, 299, 349, 999].iter().any(|&n| made(n).id == row.0) {
            row.2 = "new".into();
        }
    }
    assert_eq!(contents(&keyspace), want);
    let feed = keyspace.feed(351, usize::MAX).unwrap();
    let entries: Vec<&FeedEntry> = feed.iter().map(|item| &item.entry).collect();
    assert!(matches!(&entries[..], [FeedEntry::Replaced { removed, rows }]
        if removed.len() == 3 && rows.seq == [351, 352, 353, 354]));
    keyspace.settle().unwrap();
    assert_eq!(contents(&keyspace), want);
    assert_eq!(keyspace.check().unwrap(), Vec::<String>::new());
}

#[test]
fn pages_find_and_seqs_agree_with_the_rows() {
    let (_dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    for from in (0..730).step_by(73) {
        keyspace.append(vec![append(batch(from..from + 73))]).unwrap();
        if from == 365 {
            keyspace.settle().unwrap();
        }
    }
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = keyspace.page(&Selection::all(), after, 50, &Default::default()).unwrap();
        if page.len == 0 {
            break;
        }
        after = Some((page.ts[page.len - 1], page.seq[page.len - 1]));
        seen.extend((0..page.len).map(|row| (page.ts[row], page.seq[row])));
    }
    assert!(seen.is_sorted_by(|a, b| a > b));
    assert_eq!(seen.len(), 730);
    let row = made(400);
    let found = keyspace.find(RowId::parse(&row.id), None, &[]).unwrap();
    assert_eq!((found.len, found.ts[0]), (1, row.ts_ms));
    assert_eq!(keyspace.find(RowId::parse("nobody"), None, &[]).unwrap().len, 0);
    let by_seq = keyspace.rows_by_seq(100, 620, 400).unwrap();
    assert_eq!(by_seq.seq, (100..500).collect::<Vec<_>>());
}

#[test]
fn the_feed_is_gapless_until_it_expires() {
    let (_dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    assert_eq!(keyspace.cursor("search").unwrap(), CursorState::Missing);
    for from in (0..100).step_by(10) {
        keyspace.append(vec![append(batch(from..from + 10))]).unwrap();
    }
    keyspace.set_cursor("search", 5).unwrap();
    assert_eq!(keyspace.cursor("search").unwrap(), CursorState::At(5));
    let items = keyspace.feed(15, usize::MAX).unwrap();
    let seqs: Vec<u64> =
        items.iter().flat_map(|item| item.entry.rows().unwrap().seq.clone()).collect();
    assert_eq!(seqs, (15..=100).collect::<Vec<_>>());
    assert_eq!((items[0].first, items[0].last), (15, 20));
    assert!(items.windows(2).all(|pair| pair[0].last + 1 == pair[1].first));
    keyspace.append(vec![append(batch(100..3000))]).unwrap();
    keyspace.settle().unwrap();
    assert!(matches!(keyspace.feed(1, 1), Err(StoreError::SeqExpired { first_seq: 2.. })));
    assert_eq!(keyspace.cursor("search").unwrap(), CursorState::Detached);
    assert!(keyspace.stats().unwrap().feed_bytes <= 4096);
}

#[test]
fn snapshot_and_rewrite_keep_everything() {
    let (dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    keyspace.append(vec![append(batch(0..900))]).unwrap();
    keyspace.settle().unwrap();
    keyspace.append(vec![append(batch(900..950))]).unwrap();
    let write = TableWrite { table: "a".into(), key: vec![1], value: Some(vec![2]) };
    let absent = Expect { table: "a".into(), key: vec![1], value: None };
    assert!(keyspace.write(from_ref(&absent), from_ref(&write)).unwrap());
    assert!(!keyspace.write(&[absent], &[write]).unwrap());
    keyspace.rewrite().unwrap();
    assert_eq!(contents(&keyspace), expected(0..950));
    assert_eq!(keyspace.get("a", &[1]).unwrap(), Some(vec![2]));
    assert_eq!(keyspace.list("a", &[], None, 9).unwrap(), [(vec![1], vec![2])]);
    keyspace.append(vec![append(batch(950..960))]).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let place = copy.path().join("tenants/t");
    std::fs::create_dir_all(&place).unwrap();
    keyspace.snapshot(&place.join("metrics.redb")).unwrap();
    let other = EmbeddedEngine::open(OsVolume::shared(copy.path()), small_settings()).unwrap();
    let copied = other.open("t").unwrap();
    assert_eq!(contents(&copied), expected(0..960));
    assert_eq!(copied.check().unwrap(), Vec::<String>::new());
    drop(dir);
}

#[test]
fn random_time_order_is_merged_into_few_overlaps() {
    let (_dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    for from in (0..6000).step_by(100) {
        keyspace.append(vec![append(batch(from..from + 100))]).unwrap();
        keyspace.settle().unwrap();
    }
    assert_eq!(contents(&keyspace), expected(0..6000));
    assert_eq!(keyspace.check().unwrap(), Vec::<String>::new());
    let again = keyspace.append(vec![append(batch(0..6000))]).unwrap();
    assert!(again[0].outcomes.iter().all(|o| *o == RowOutcome::Duplicate));
}

#[test]
fn a_foreign_file_is_refused() {
    let (dir, engine) = fresh();
    engine.create("u", &Default::default()).unwrap();
    assert!(matches!(engine.create("u", &Default::default()), Err(StoreError::Exists { .. })));
    assert!(matches!(engine.open("../t"), Err(StoreError::NotFound { .. })));
    drop(engine);
    let file = |name: &str| dir.path().join("tenants").join(name).join("metrics.redb");
    std::fs::copy(file("t"), file("u")).unwrap();
    let engine = EmbeddedEngine::open(OsVolume::shared(dir.path()), small_settings()).unwrap();
    assert!(matches!(engine.open("u"), Err(StoreError::WrongKeyspace { .. })));
    let second = EmbeddedEngine::open(OsVolume::shared(dir.path()), small_settings()).unwrap();
    let _held = engine.open("t").unwrap();
    assert!(matches!(second.open("t"), Err(StoreError::InUse)));
}

/// Ends every turn with the first block, and counts them.
#[derive(Debug)]
struct Impatient {
    processors: usize,
    /// Where work is done, if not by the thread that asks.
    threads: Option<ThreadPool>,
    long_ago: std::time::Instant,
    turns: AtomicUsize,
    taken: AtomicUsize,
}

impl Turns for Impatient {
    fn take(&self, wanted: usize, _: Option<std::time::Instant>) -> Option<Taken> {
        self.turns.fetch_add(1, Ordering::SeqCst);
        assert_eq!(self.taken.fetch_add(1, Ordering::SeqCst), 0, "one turn at a time");
        let processors = wanted.min(self.processors);
        let is_behind = self.threads.is_some();
        Some(Taken { processors, since: self.long_ago, is_behind, used: None })
    }

    fn is_wanted(&self) -> bool {
        true
    }

    fn give_back(&self, _: Taken) {
        self.taken.fetch_sub(1, Ordering::SeqCst);
    }

    fn threads(&self, _: Taken) -> Option<&ThreadPool> {
        self.threads.as_ref()
    }
}

#[expect(clippy::disallowed_methods, reason = "a turn that began long ago")]
fn impatient(processors: usize, threads: Option<ThreadPool>) -> Arc<Impatient> {
    let long_ago = std::time::Instant::now() - std::time::Duration::from_secs(3600);
    Arc::new(Impatient { processors, threads, long_ago, turns: 0.into(), taken: 0.into() })
}

fn elsewhere() -> Option<ThreadPool> {
    let threads = ThreadPoolBuilder::new().num_threads(2).thread_name(|_| "elsewhere".to_owned());
    threads.build().ok()
}

#[test]
fn what_is_done_in_a_turn_is_done_where_the_turn_says_and_a_panic_gives_it_back() {
    let turns = impatient(1, elsewhere());
    let budget = Budget { turns: Some(Arc::<Impatient>::clone(&turns)), ..Budget::default() };
    let name = || std::thread::current().name().map(str::to_owned);
    assert_eq!(budget.turn(1).unwrap().run(name).as_deref(), Some("elsewhere"));
    assert_ne!(Budget::default().turn(1).unwrap().run(name).as_deref(), Some("elsewhere"));
    let panics = || budget.turn(1).unwrap().run(|| -> u8 { panic!("on purpose") });
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    assert_eq!(turns.taken.load(Ordering::SeqCst), 0);
}

#[test]
fn a_question_that_is_interrupted_after_every_block_has_the_same_answer() {
    const ROWS: u64 = 1000;
    let (_dir, engine) = fresh();
    let keyspace = engine.open("t").unwrap();
    for from in (0..ROWS).step_by(20) {
        keyspace.append(vec![append(batch(from..from + 20))]).unwrap();
    }
    keyspace.settle().unwrap();
    let blocks = keyspace.stats().unwrap().blocks as usize;
    assert!(blocks >= 4, "{blocks} blocks");
    let stddev = Metric::Stddev(Measure::Duration); // its order matters
    for metric in [Metric::Count, stddev, Metric::Quantile(Measure::Duration, Permille(950))] {
        let request = AggregateRequest {
            selection: Selection::all(),
            bucket_starts: Vec::new(),
            group_by: vec![Dimension::Word(Word::User)],
            metrics: vec![metric],
            partials: true,
        };
        let mut answers: Vec<Vec<String>> = Vec::new();
        let here = [1, 2, 64].map(|processors| Some(impatient(processors, None)));
        let all = [None, Some(impatient(2, elsewhere()))].into_iter().chain(here);
        for turns in all {
            let shared = turns.clone().map(|turns| turns as Arc<dyn Turns>);
            let budget = Budget { turns: shared, ..Budget::default() };
            let answer = keyspace.aggregate(&request, &budget).unwrap();
            let groups = (0..answer.keys.len()).map(|n| {
                let words: Vec<_> = answer.keys.words(n).collect();
                format!("{words:?} {:?}", answer.cells[0][n])
            });
            let mut groups: Vec<String> = groups.collect();
            groups.sort();
            answers.push(groups);
            let Some(turns) = turns else { continue };
            let count = turns.turns.load(Ordering::SeqCst);
            let least = blocks / turns.processors.min(rayon::current_num_threads());
            assert!(count >= least, "{count} turns, {} processors", turns.processors);
            assert_eq!(turns.taken.load(Ordering::SeqCst), 0);
        }
        assert!(answers[0].len() > 1);
        assert!(answers.iter().all(|groups| *groups == answers[0]), "{answers:?}");
    }
    let turns = impatient(1, elsewhere());
    let budget = Budget { turns: Some(Arc::<Impatient>::clone(&turns)), ..Budget::default() };
    let page = keyspace.page(&Selection::all(), None, 10, &budget).unwrap();
    let mut scanned = 0;
    let mut count = |rows: &storage::batch::RowBatch| {
        assert_eq!(turns.taken.load(Ordering::SeqCst), 0, "nobody waits for a peer in a turn");
        scanned += rows.len;
        true
    };
    keyspace.scan(&Selection::all(), &budget, &mut count).unwrap();
    assert_eq!((page.len, scanned), (10, ROWS as usize));
    assert!(turns.turns.load(Ordering::SeqCst) >= blocks);
}
