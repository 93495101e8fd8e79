//! The audit chain: whatever is done to a chain behind its back is found, and where.
//!
//! `EMX_SOAK=1` reads a million entries, otherwise ten thousand.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

use emx::audit::{
    Anchor, AuditLog, Event, Filter, Finding, Harm, Outcome, Source, Told, verify_lines,
};
use std::sync::Arc;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Engine, Expect, TableWrite, Tables};
use storage::volume::OsVolume;

const NOW_MS: i64 = 1_790_000_000_000;
const CHAIN: &str = "t-1";

struct Installation {
    _place: tempfile::TempDir,
    platform: Arc<dyn Tables>,
    log: AuditLog,
}

impl Installation {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let volume = OsVolume::shared(place.path());
        let engine = EmbeddedEngine::open(volume, EngineSettings::default()).unwrap();
        let platform = engine.platform().unwrap();
        Self { _place: place, log: AuditLog::new(Arc::clone(&platform)), platform }
    }

    /// With entries 1 to `count` in the chain, and some of another tenant beside it.
    fn with(count: u64) -> Self {
        let installation = Self::new();
        for first in (1..=count).step_by(1000) {
            let events = (first..=count.min(first + 999)).map(event);
            installation.log.tell(told(events), NOW_MS).unwrap();
        }
        let elsewhere = [1, 2].map(|n| event(n).in_chain("t-10"));
        installation.log.tell(elsewhere.into(), NOW_MS).unwrap();
        installation
    }

    fn findings(&self, anchors: &[Anchor]) -> Vec<(u64, Harm)> {
        let verdict = self.log.verify(CHAIN, anchors).unwrap();
        verdict.findings.into_iter().map(|Finding { seq, harm }| (seq, harm)).collect()
    }

    /// The stored entry `seq`, as whoever can write the file sees it.
    fn stored(&self, seq: u64) -> Vec<u8> {
        self.platform.get("audit", &key(seq)).unwrap().unwrap()
    }

    fn store(&self, seq: u64, value: Option<Vec<u8>>) {
        let write = TableWrite { table: "audit".into(), key: key(seq), value };
        assert!(self.platform.write(&[], &[write]).unwrap());
    }
}

fn told(events: impl IntoIterator<Item = Event>) -> Vec<Told> {
    events.into_iter().map(|event| event.in_chain(CHAIN)).collect()
}

fn key(seq: u64) -> Vec<u8> {
    [format!("{CHAIN}/").as_bytes(), &(u64::MAX - seq).to_be_bytes()].concat()
}

fn event(n: u64) -> Event {
    let source = Source { address: Some([192, 0, 2, 1].into()), request_id: Some("r-1".into()) };
    Event::new("user:anna".into(), "api_key.create", format!("api_key:k{n}"), source)
        .after(serde_json::json!({ "name": format!("key {n}"), "role": "ingest" }))
}

#[test]
fn an_act_and_its_entry_are_one() {
    let installation = Installation::new();
    let Installation { platform, log, .. } = &installation;
    let write = |value: &str| TableWrite {
        table: "things".into(),
        key: b"k".to_vec(),
        value: Some(value.into()),
    };
    let absent = Expect { table: "things".into(), key: b"k".to_vec(), value: None };
    let first = [write("one")];
    let first = log.write(told([event(1)]), NOW_MS, std::slice::from_ref(&absent), &first);
    assert!(first.unwrap());
    let second = log.write(told([event(2)]), NOW_MS, &[absent], &[write("two")]);
    assert!(!second.unwrap(), "the condition does not hold");
    assert_eq!(platform.get("things", b"k").unwrap().unwrap(), b"one");
    let page = log.page(CHAIN, None, 10).unwrap();
    assert_eq!(page.len(), 1, "what did not take place is not told");
    assert_eq!((page[0].seq, &page[0].event), (1, &event(1)));
    assert_eq!(installation.findings(&[]), []);
}

#[test]
fn pages_come_newest_first_and_join() {
    let installation = Installation::with(25);
    let mut seqs = Vec::new();
    let mut before = None;
    loop {
        let page = installation.log.page(CHAIN, before, 10).unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.seq);
        seqs.extend(page.iter().map(|entry| entry.seq));
    }
    assert_eq!(seqs, (1..=25).rev().collect::<Vec<u64>>());
}

#[test]
fn what_an_auditor_looks_for_is_found() {
    let installation = Installation::with(30);
    let refused = Event { actor: "user:otto".into(), action: "query".into(), ..event(31) };
    installation.log.tell(told([refused.ended(Outcome::Refused)]), NOW_MS + 5).unwrap();
    let seqs = |filter: &Filter, before, limit| {
        let found = installation.log.find(CHAIN, filter, before, limit).unwrap();
        (found.entries.iter().map(|entry| entry.seq).collect::<Vec<u64>>(), found.next)
    };
    let all = Filter::default();
    assert_eq!(seqs(&all, None, 2), (vec![31, 30], Some(30)));
    assert_eq!(seqs(&all, Some(3), 9), (vec![2, 1], None));
    let of = |change: fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        seqs(&filter, None, 100).0
    };
    assert_eq!(of(|f| f.actor = Some("user:otto".into())), [31]);
    assert_eq!(of(|f| f.action = Some("api_key".into())).len(), 30);
    assert_eq!(of(|f| f.action = Some("api".into())).len(), 0);
    assert_eq!(of(|f| f.target = Some("api_key:k7".into())), [7]);
    assert_eq!(of(|f| f.outcome = Some(Outcome::Refused)), [31]);
    assert_eq!(of(|f| f.from_ms = Some(NOW_MS + 5)), [31]);
    assert_eq!(of(|f| f.to_ms = Some(NOW_MS + 5)).len(), 30);
    assert_eq!(of(|f| f.text = Some("ANNA \"key 12\"".into())), [12]);
}

#[test]
fn an_export_is_verified_line_by_line() {
    let installation = Installation::with(10);
    let anchor = installation.log.anchor(CHAIN).unwrap();
    let lines = installation.log.page_as_stored(CHAIN, None, 100).unwrap();
    let lines: Vec<Vec<u8>> = lines.into_iter().map(|(_, line)| line).collect();
    let look = |lines: &[Vec<u8>]| {
        let lines = lines.iter().cloned().map(Ok::<_, ()>);
        let verdict = verify_lines(lines, CHAIN, std::slice::from_ref(&anchor)).unwrap();
        verdict.findings.into_iter().map(|f| (f.seq, f.harm)).collect::<Vec<_>>()
    };
    assert_eq!(look(&lines), []);
    let mut altered = lines.clone();
    let text = String::from_utf8(altered[3].clone()).unwrap();
    altered[3] = text.replace("anna", "otto").into_bytes();
    assert_eq!(look(&altered), [(7, Harm::Altered)]);
    let mut swapped = lines.clone();
    swapped.swap(2, 5);
    assert!(!look(&swapped).is_empty());
    assert_eq!(look(&lines[1..]), [(10, Harm::Missing)]);
    assert_eq!(look(&lines[..9]), [(1, Harm::Missing)]);
    assert_eq!(look(&[]), [(10, Harm::Missing)]);
}

#[test]
fn what_is_counted_is_written_once() {
    let installation = Installation::new();
    let refused = || event(1).ended(Outcome::Refused).in_chain(CHAIN);
    (0..5).for_each(|_| installation.log.count(refused()));
    assert_eq!(installation.log.flush(NOW_MS).unwrap(), 1);
    assert_eq!(installation.log.flush(NOW_MS).unwrap(), 0);
    let page = installation.log.page(CHAIN, None, 10).unwrap();
    assert_eq!((page.len(), page[0].event.count), (1, 5));
}

#[test]
fn every_harm_is_found_where_it_was_done() {
    /// What is called so, is done so, and is found so.
    type Harming = (&'static str, fn(&Installation), &'static [(u64, Harm)]);
    let harms: [Harming; 7] = [
        ("nothing", |_| {}, &[]),
        (
            "a word",
            |i| {
                let text = String::from_utf8(i.stored(7)).unwrap();
                i.store(7, Some(text.replace("anna", "otto").into_bytes()));
            },
            &[(7, Harm::Altered)],
        ),
        ("not even an entry", |i| i.store(7, Some(b"{}".to_vec())), &[(7, Harm::Altered)]),
        ("removed", |i| i.store(7, None), &[(7, Harm::Missing)]),
        (
            "the first two",
            |i| [1, 2].into_iter().for_each(|seq| i.store(seq, None)),
            &[(2, Harm::Missing), (1, Harm::Missing)],
        ),
        (
            "changed places",
            |i| {
                let (a, b) = (i.stored(4), i.stored(7));
                i.store(4, Some(b));
                i.store(7, Some(a));
            },
            &[(7, Harm::Moved), (4, Harm::Moved)],
        ),
        ("one more", |i| i.store(11, Some(i.stored(10))), &[(11, Harm::Inserted)]),
    ];
    for (name, harm, expected) in harms {
        let installation = Installation::with(10);
        harm(&installation);
        assert_eq!(installation.findings(&[]), expected, "{name}");
    }
}

#[test]
fn an_anchor_elsewhere_shows_a_chain_that_was_cut_or_written_anew() {
    let installation = Installation::with(10);
    let anchor = installation.log.anchor(CHAIN).unwrap();
    let line = anchor.to_string();
    assert_eq!(line.parse(), Ok(anchor.clone()), "{line}");
    installation.log.tell(told([event(11)]), NOW_MS).unwrap();
    assert_eq!(installation.findings(std::slice::from_ref(&anchor)), []);

    // The same number of entries, all of them chained, but others: only the anchor tells.
    let other = Installation::new();
    let events = (1..=11).map(|n| Event { actor: "user:otto".into(), ..event(n) });
    other.log.tell(told(events), NOW_MS).unwrap();
    assert_eq!(other.findings(&[]), []);
    assert_eq!(other.findings(std::slice::from_ref(&anchor)), [(10, Harm::Rewritten)]);

    // Cut, with the head put back as it was then.
    let cut = Installation::with(8);
    assert_eq!(cut.findings(&[]), []);
    assert_eq!(cut.findings(&[anchor]), [(10, Harm::Missing)]);
    for bad in ["", "emx-audit t 1", "emx-audit t x 00", "emx-audit t 1 00 more", "audit t 1 00"] {
        assert!(bad.parse::<Anchor>().is_err(), "{bad}");
    }
}

#[test]
fn a_log_that_is_written_meanwhile_is_sound() {
    let installation = Installation::with(10);
    std::thread::scope(|scope| {
        let log = &installation.log;
        let writer = scope.spawn(move || {
            (0..200).for_each(|n| log.tell(told([event(n)]), NOW_MS).unwrap());
        });
        let mut looks = 0;
        while !writer.is_finished() || looks == 0 {
            assert_eq!(installation.findings(&[]), [], "look {looks}");
            looks += 1;
        }
    });
    assert_eq!(installation.log.anchor(CHAIN).unwrap().seq, 210);
}

#[test]
fn a_long_chain_is_read_whole() {
    let soak = std::env::var("EMX_SOAK").is_ok_and(|value| value == "1");
    let count = if soak { 1_000_000 } else { 10_000 };
    let installation = Installation::with(count);
    let verdict = installation.log.verify(CHAIN, &[]).unwrap();
    assert_eq!((verdict.entries, verdict.findings), (count, vec![]));
}
