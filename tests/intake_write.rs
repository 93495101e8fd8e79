//! From decoded bodies to committed rows: what is reported is what is stored, what is kept in
//! quarantine can be retried, and no append is left without an answer.

#[path = "intake_support/scripted.rs"]
mod scripted;
#[path = "intake_support/mod.rs"]
mod support;

use crossbeam::channel::{Receiver, bounded, unbounded};
use emx::intake::batch::{BatchRefused, BatchReport, prepare};
use emx::intake::decode::{Body, DecodeLimits, Encoding, Format, Shape, decode};
use emx::intake::quarantine::{self, EntryId, Retried};
use emx::intake::writer::{WriteError, WriterSettings, Writers, Written};
use emx::process::admit::{Arrival, Refusal};
use emx::process::quarantine::{TABLE, entry};
use scripted::{Act, Scripted};
use std::sync::Arc;
use std::time::Duration;
use storage::engine::{Append, Keyspace, RowOutcome};
use storage::row::Seq;
use support::{RECEIVED_MS, Store, all_rows, arrival};

const LINES: Body =
    Body { format: Format::Ndjson, encoding: Encoding::Identity, shape: Shape::Many };

/// Long enough that only a defect waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Decodes, appends and reports.
fn take(
    keyspace: &dyn Keyspace,
    format: Format,
    bytes: &[u8],
    atomic: bool,
) -> Result<BatchReport, BatchRefused> {
    let body = Body { format, ..LINES };
    let decoded = decode(bytes, body, arrival(), &DecodeLimits::default()).expect("rows");
    let prepared = prepare(decoded, arrival(), atomic)?;
    let appended = keyspace.append(vec![prepared.append]).expect("an append");
    prepared.ledger.settle(&appended[0])
}

fn take_lines(keyspace: &dyn Keyspace, lines: &str) -> BatchReport {
    take(keyspace, Format::Ndjson, lines.as_bytes(), false).expect("not atomic")
}

fn kept(keyspace: &dyn Keyspace) -> Vec<EntryId> {
    let entries = quarantine::list(keyspace, None, 1000).expect("the quarantine");
    entries.expect("its order").into_iter().map(|listed| listed.id).collect()
}

/// The counts of a report: accepted, duplicates, quarantined, rejected.
fn counts(report: &BatchReport) -> [usize; 4] {
    [report.accepted, report.duplicates, report.quarantined, report.rejected]
}

const MIXED: &str = concat!(
    "{\"id\":\"a\",\"command\":\"x\",\"ts\":1772323100000}\n",
    "{\"id\":\"b\",\"command\":\"x\",\"ts\":1772500000000,\"command_line\":\"f --password geheim\"}\n",
    "{\"id\":\"c\",\"command\":7}\n",
    "{\"id\":\"d\",\"command\":\"x\",\"ts\":1772323100000,\"new\":1}\n",
);

#[test]
fn a_batch_and_its_repeat_are_reported_as_they_are_stored() {
    let store = Store::new();
    let keyspace = store.keyspace("t");
    let first = take_lines(&*keyspace, MIXED);
    assert_eq!(counts(&first), [2, 0, 1, 1]);
    assert_eq!((first.first_seq, first.last_seq), (Some(1), Some(2)));
    let errors: Vec<_> = first.errors.iter().map(|e| (e.index, e.code, &*e.pointer)).collect();
    assert_eq!(errors, [(1, "ts_in_future", "/ts"), (2, "wrong_type", "/command")]);
    assert_eq!((first.warnings.len(), first.warnings[0].index), (1, 3));
    let again = take_lines(&*keyspace, MIXED);
    assert_eq!(counts(&again), [0, 2, 1, 1]);
    assert_eq!((again.first_seq, again.last_seq), (None, None));
    assert_eq!((all_rows(&*keyspace).len, kept(&*keyspace).len()), (2, 1));
}

#[test]
fn an_atomic_batch_stores_all_or_nothing() {
    let store = Store::new();
    let keyspace = store.keyspace("t");
    let refused = take(&*keyspace, Format::Ndjson, MIXED.as_bytes(), true).expect_err("bad rows");
    assert_eq!((refused.rows, refused.errors.len()), (2, 2));
    assert_eq!((all_rows(&*keyspace).len, kept(&*keyspace).len()), (0, 0));
    let good: String = MIXED.lines().step_by(3).map(|line| format!("{line}\n")).collect();
    let report = take(&*keyspace, Format::Ndjson, good.as_bytes(), true).expect("good rows");
    assert_eq!(counts(&report), [2, 0, 0, 0]);
}

#[test]
fn rows_with_too_many_keys_are_rejected_by_their_index() {
    let store = Store::new();
    let keyspace = store.keyspace("t");
    let row = |n: usize| {
        let keys: Vec<_> = (0..32).map(|k| format!("\"k{}\":\"v\"", n * 32 + k)).collect();
        format!("{{\"id\":\"r{n}\",\"command\":\"x\",\"labels\":{{{}}}}}\n", keys.join(","))
    };
    let fits: String = (0..storage::KEYS_MAX / 32).map(row).collect();
    assert_eq!(counts(&take_lines(&*keyspace, &fits)), [32, 0, 0, 0]);
    let over = format!("{{\"command\":\"x\"}}\n\n{}", row(32));
    let refused = take(&*keyspace, Format::Ndjson, over.as_bytes(), true).expect_err("a row over");
    assert_eq!((refused.rows, refused.errors[0].index), (1, 2));
    assert_eq!(all_rows(&*keyspace).len, 32);
    let report = take_lines(&*keyspace, &over);
    assert_eq!(counts(&report), [1, 0, 0, 1]);
    assert_eq!((report.errors[0].index, report.errors[0].code), (2, "too_many_keys"));
}

#[test]
fn no_more_than_a_hundred_problems_are_told() {
    let store = Store::new();
    let report = take_lines(&*store.keyspace("t"), &"{\"id\":1,\"host\":2}\n".repeat(500));
    assert_eq!((report.rejected, report.errors.len()), (500, 100));
}

#[test]
fn what_is_kept_has_no_secrets_and_one_entry_in_every_format() {
    let store = Store::new();
    let keyspace = store.keyspace("t");
    let line = MIXED.lines().nth(1).expect("the second line");
    let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let pack = rmp_serde::to_vec(&value).expect("MessagePack");
    let spaced = format!("[ {} ]", line.replace(':', " : "));
    for (format, bytes) in [
        (Format::Ndjson, line.as_bytes()),
        (Format::MessagePack, &pack),
        (Format::Json, spaced.as_bytes()),
    ] {
        let report = take(&*keyspace, format, bytes, false).expect("not atomic");
        assert_eq!(counts(&report), [0, 0, 1, 0]);
    }
    let stored = keyspace.list(TABLE, &[], None, 10).expect("the table");
    assert_eq!(stored.len(), 1);
    let text = String::from_utf8_lossy(&stored[0].1).into_owned();
    assert!(!text.contains("geheim") && text.contains("--password ***"), "{text}");
    let entry =
        quarantine::get(&*keyspace, kept(&*keyspace)[0]).expect("a read").expect("an entry");
    assert_eq!((entry.code.as_str(), entry.pointer.as_str()), ("ts_in_future", "/ts"));
    assert_eq!((entry.origin.as_str(), entry.received_ms), ("api", RECEIVED_MS));
}

#[test]
fn quarantined_rows_are_retried_once_their_time_has_come() {
    let store = Store::new();
    let keyspace = store.keyspace("t");
    let line = "{\"command\":\"x\",\"ts\":1772500000000}\n";
    assert_eq!(counts(&take_lines(&*keyspace, line)), [0, 0, 1, 0]);
    let id = kept(&*keyspace)[0];
    assert_eq!(EntryId::parse(&id.to_string()), Some(id));
    let refused = quarantine::retry(&*keyspace, id, arrival()).expect("a retry");
    assert!(matches!(refused, Retried::Refused(problems) if problems[0].code == "ts_in_future"));
    let later = Arrival { received_ms: RECEIVED_MS + 7 * 86_400_000, ..arrival() };
    let stored = quarantine::retry(&*keyspace, id, later).expect("a retry");
    assert_eq!(stored, Retried::Stored(RowOutcome::Accepted));
    assert_eq!(quarantine::retry(&*keyspace, id, later).expect("a retry"), Retried::Missing);
    // It comes again and is retried again: without an id of its own it is still the same row.
    take_lines(&*keyspace, line);
    let stored = quarantine::retry(&*keyspace, id, later).expect("a retry");
    assert_eq!(stored, Retried::Stored(RowOutcome::Duplicate));
    assert_eq!((all_rows(&*keyspace).len, kept(&*keyspace).len()), (1, 0));
}

#[test]
fn text_in_quarantine_can_be_listed_and_deleted() {
    let store = Store::new();
    let keyspace = store.keyspace("t");
    let refusal = Refusal::rejected("invalid_time", "/ts".to_owned(), "no time".to_owned());
    let writes: Vec<_> = (0..5)
        .map(|n| {
            entry(format!("line {n} PASSWORD=p").as_bytes(), &refusal, RECEIVED_MS, "import-1")
        })
        .collect();
    assert!(keyspace.write(&[], &writes).expect("a write"));
    let ids = kept(&*keyspace);
    assert_eq!(ids.len(), 5);
    let after = quarantine::list(&*keyspace, None, 2).expect("a page").expect("its order");
    let page = quarantine::list(&*keyspace, Some(&after[1].place), 2).expect("a page");
    let page = page.expect("its order");
    assert_eq!(page.iter().map(|listed| listed.id).collect::<Vec<_>>(), ids[2..4]);
    assert!(page[0].entry.raw.ends_with("PASSWORD=***"), "{:?}", page[0]);
    let retried = quarantine::retry(&*keyspace, ids[0], arrival()).expect("a retry");
    assert_eq!(retried, Retried::NotAnExecution);
    assert!(quarantine::delete(&*keyspace, ids[0]).expect("a deletion"));
    assert!(!quarantine::delete(&*keyspace, ids[0]).expect("a deletion"));
    assert_eq!(kept(&*keyspace), ids[1..]);
    for text in ["", "xyz", &"0".repeat(33), &"A".repeat(32), "+0000000000000000000000000000000"] {
        assert_eq!(EntryId::parse(text), None, "{text}");
    }
}

/// An append of `rows` rows whose ids begin with `name`.
fn append_of(name: &str, rows: usize) -> Append {
    let lines: String = (0..rows)
        .map(|n| format!("{{\"id\":\"{name}-{n}\",\"command\":\"x\",\"ts\":1772323100000}}\n"))
        .collect();
    let decoded =
        decode(lines.as_bytes(), LINES, arrival(), &DecodeLimits::default()).expect("rows");
    prepare(decoded, arrival(), false).expect("good rows").append
}

fn one_thread() -> WriterSettings {
    WriterSettings { threads: 1, ..WriterSettings::default() }
}

/// Submits, and gives where the answer will come.
fn submit(
    writers: &Writers,
    tenant: &str,
    keyspace: &Arc<Scripted>,
    append: Append,
) -> Result<Receiver<Written>, WriteError> {
    let (tell, told) = bounded(1);
    let on_written = Box::new(move |written| tell.send(written).expect("somebody waits"));
    writers.submit(&tenant.into(), keyspace.clone(), append, on_written)?;
    Ok(told)
}

fn answer(told: &Receiver<Written>) -> Written {
    told.recv_timeout(PATIENCE).expect("every append is answered")
}

#[test]
fn what_waits_together_is_committed_together_and_in_order() {
    let store = Store::new();
    let (keyspace, gate) = Scripted::gated(store.keyspace("t"));
    let writers = Writers::start(one_thread()).expect("writers");
    let first = submit(&writers, "t", &keyspace, append_of("first", 1)).expect("room");
    gate.wait_for_arrival();
    let others: Vec<_> = (0..10)
        .map(|n| submit(&writers, "t", &keyspace, append_of(&format!("n{n}"), 3)).expect("room"))
        .collect();
    gate.open();
    assert_eq!(answer(&first).expect("stored").seqs, Some((1, 1)));
    for (n, told) in others.iter().enumerate() {
        let from = 2 + 3 * n as Seq;
        assert_eq!(answer(told).expect("stored").seqs, Some((from, from + 2)));
    }
    assert_eq!(keyspace.group_sizes(), [1, 10]);
    assert_eq!(writers.held_bytes(), 0);
}

#[test]
fn a_commit_is_bounded_in_rows() {
    let store = Store::new();
    let (keyspace, gate) = Scripted::gated(store.keyspace("t"));
    let settings = WriterSettings { commit_rows_max: 10, ..one_thread() };
    let writers = Writers::start(settings).expect("writers");
    let mut told = vec![submit(&writers, "t", &keyspace, append_of("first", 1)).expect("room")];
    gate.wait_for_arrival();
    for n in 0..6 {
        told.push(submit(&writers, "t", &keyspace, append_of(&format!("n{n}"), 5)).expect("room"));
    }
    gate.open();
    assert!(told.iter().all(|told| answer(told).is_ok()));
    assert_eq!(keyspace.group_sizes(), [1, 2, 2, 2]);
}

#[test]
fn a_full_lane_is_busy_and_never_grows() {
    let store = Store::new();
    let (keyspace, gate) = Scripted::gated(store.keyspace("t"));
    let settings = WriterSettings { lane_appends_max: 3, ..one_thread() };
    let writers = Writers::start(settings).expect("writers");
    let mut told = vec![submit(&writers, "t", &keyspace, append_of("first", 1)).expect("room")];
    gate.wait_for_arrival();
    for n in 0..3 {
        told.push(submit(&writers, "t", &keyspace, append_of(&format!("n{n}"), 1)).expect("room"));
    }
    let held = writers.held_bytes();
    let refused = submit(&writers, "t", &keyspace, append_of("over", 1)).expect_err("no room");
    assert!(matches!(refused, WriteError::Busy { .. }) && refused.is_transient());
    assert_eq!((refused.code(), writers.held_bytes()), ("busy", held));
    gate.open();
    assert!(told.iter().all(|told| answer(told).is_ok()));
    assert_eq!(all_rows(&*keyspace.inner).len, 4);
}

#[test]
fn a_lane_is_bounded_in_bytes_until_they_are_answered() {
    let store = Store::new();
    let (keyspace, gate) = Scripted::gated(store.keyspace("t"));
    let settings = WriterSettings { lane_bytes_max: 1, ..one_thread() };
    let writers = Writers::start(settings).expect("writers");
    // Larger than the bound, but alone.
    let first = submit(&writers, "t", &keyspace, append_of("first", 100)).expect("an empty lane");
    gate.wait_for_arrival();
    let refused = submit(&writers, "t", &keyspace, append_of("over", 1)).expect_err("no room");
    assert!(matches!(refused, WriteError::Busy { .. }));
    gate.open();
    assert!(answer(&first).is_ok());
    // Whoever has been answered finds room.
    let second = submit(&writers, "t", &keyspace, append_of("second", 1)).expect("room again");
    assert!(answer(&second).is_ok());
}

#[test]
fn a_failure_is_told_to_everybody_in_the_commit_and_to_nobody_else() {
    let store = Store::new();
    let (keyspace, gate) = Scripted::gated(store.keyspace("t"));
    let other = Scripted::new(store.keyspace("other"));
    let writers = Writers::start(one_thread()).expect("writers");
    let first = submit(&writers, "t", &keyspace, append_of("first", 1)).expect("room");
    gate.wait_for_arrival();
    keyspace.next(Act::Go);
    keyspace.next(Act::Fail);
    let failed: Vec<_> = (0..3)
        .map(|n| submit(&writers, "t", &keyspace, append_of(&format!("n{n}"), 1)).expect("room"))
        .collect();
    let spared = submit(&writers, "other", &other, append_of("o", 1)).expect("room");
    gate.open();
    assert!(answer(&first).is_ok());
    for told in &failed {
        let error = answer(told).expect_err("the disk is full");
        assert_eq!((error.code(), error.is_transient()), ("disk_full", true));
    }
    assert!(answer(&spared).is_ok());
    let after = submit(&writers, "t", &keyspace, append_of("after", 1)).expect("room");
    assert!(answer(&after).is_ok());
}

#[test]
fn panics_and_missing_results_are_answered_as_unknown_and_the_writer_lives() {
    let store = Store::new();
    let keyspace = Scripted::new(store.keyspace("t"));
    let writers = Writers::start(one_thread()).expect("writers");
    for act in [Act::Panic, Act::Forget] {
        keyspace.next(act);
        let told = submit(&writers, "t", &keyspace, append_of("a", 1)).expect("room");
        let error = answer(&told).expect_err("nobody knows");
        assert_eq!((error.code(), error.is_transient()), ("outcome_unknown", true));
    }
    let panics = Box::new(|_: Written| panic!("a callback that panics"));
    writers.submit(&"t".into(), keyspace.clone(), append_of("b", 1), panics).expect("room");
    let told = submit(&writers, "t", &keyspace, append_of("c", 1)).expect("room");
    assert!(answer(&told).is_ok());
    assert_eq!(writers.held_bytes(), 0);
}

#[test]
fn stopping_drains_what_was_taken_and_takes_nothing_more() {
    let store = Store::new();
    let (keyspace, gate) = Scripted::gated(store.keyspace("t"));
    let writers = Writers::start(one_thread()).expect("writers");
    let told: Vec<_> = (0..20)
        .map(|n| submit(&writers, "t", &keyspace, append_of(&format!("n{n}"), 2)).expect("room"))
        .collect();
    gate.wait_for_arrival();
    assert!(!writers.stop(Duration::ZERO), "the gate is shut");
    let refused = submit(&writers, "t", &keyspace, append_of("late", 1)).expect_err("stopped");
    assert_eq!(refused.code(), "stopping");
    gate.open();
    assert!(writers.stop(PATIENCE));
    for told in &told {
        assert_eq!(
            told.try_recv().expect("answered before the end").expect("stored").outcomes.len(),
            2
        );
    }
    assert!(writers.stop(PATIENCE), "stopping twice is stopping once");
    assert_eq!(all_rows(&*keyspace.inner).len, 40);
}

#[test]
fn many_callers_get_each_its_own_answer() {
    const CALLERS: usize = 16;
    const CALLS: usize = 20;
    const TENANTS: usize = 5;
    let store = Store::new();
    let keyspaces: Vec<_> = (0..TENANTS).map(|n| store.keyspace(&format!("t{n}"))).collect();
    let writers = Writers::start(WriterSettings::default()).expect("writers");
    let (tell, told) = unbounded();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (writers, keyspaces, tell) = (&writers, &keyspaces, tell.clone());
            scope.spawn(move || {
                for call in 0..CALLS {
                    let n = (caller + call) % TENANTS;
                    let append = append_of(&format!("{caller}-{call}"), 1 + call % 3);
                    let written =
                        writers.append(&format!("t{n}").into(), keyspaces[n].clone(), append);
                    tell.send((n, call, written.expect("stored"))).expect("somebody counts");
                }
            });
        }
    });
    drop(tell);
    let mut seqs = vec![Vec::new(); TENANTS];
    for (tenant, call, appended) in told {
        assert_eq!(appended.outcomes, vec![RowOutcome::Accepted; 1 + call % 3]);
        let (first, last) = appended.seqs.expect("rows were stored");
        seqs[tenant].extend(first..=last);
    }
    for (mut seqs, keyspace) in seqs.into_iter().zip(&keyspaces) {
        seqs.sort_unstable();
        let expected: Vec<Seq> = (1..=seqs.len() as Seq).collect();
        assert_eq!(seqs, expected, "every seq is told to exactly one caller");
        assert_eq!(all_rows(&**keyspace).len, expected.len());
    }
}
