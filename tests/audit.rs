//! The audit chain: whatever is done to a chain behind its back is found, and where.
//!
//! `EMX_SOAK=1` reads a million entries, otherwise ten thousand.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

use emx::audit::{
    Anchor, AuditLog, Event, Filter, Finding, Harm, Outcome, Source, Told, Verdict, verify_lines,
};
use serde_json::Value;
use std::sync::Arc;
use storage::ask::Budget;
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
        places(self.log.verify(CHAIN, anchors).unwrap())
    }

    /// The stored entry `seq`, as whoever can write the file sees it.
    fn stored(&self, seq: u64) -> Vec<u8> {
        self.platform.get("audit", &key(seq)).unwrap().unwrap()
    }

    /// Puts a forged entry at `seq`, and what lay there and behind it one place further.
    fn insert_at(&self, seq: u64) {
        let last = self.log.anchor(CHAIN).unwrap().seq;
        (seq..=last).rev().for_each(|seq| self.store(seq + 1, Some(self.stored(seq))));
        self.store(seq, Some(forged(&self.stored(seq + 1), seq)));
    }

    /// Has the head say that the last entry is `seq`, with the hash of the entry that was `hash_of`.
    fn set_head(&self, seq: u64, hash_of: u64) {
        let head = self.platform.get("audit_heads", CHAIN.as_bytes()).unwrap().unwrap();
        let mut head: Value = serde_json::from_slice(&head).unwrap();
        assert_eq!(head["seq"], hash_of);
        head["seq"] = seq.into();
        let value = Some(head.to_string().into_bytes());
        let key = CHAIN.as_bytes().to_vec();
        let write = TableWrite { table: "audit_heads".into(), key, value };
        assert!(self.platform.write(&[], &[write]).unwrap());
    }

    fn store(&self, seq: u64, value: Option<Vec<u8>>) {
        let write = TableWrite { table: "audit".into(), key: key(seq), value };
        assert!(self.platform.write(&[], &[write]).unwrap());
    }
}

/// Each place with what is wrong there.
fn places(verdict: Verdict) -> Vec<(u64, Harm)> {
    let each =
        |Finding { seq, first_seq, harm }| (first_seq..=seq).rev().map(move |seq| (seq, harm));
    verdict.findings.into_iter().flat_map(each).collect()
}

/// What somebody has written who wanted it to be taken for the entry `seq`.
fn forged(text: &[u8], seq: u64) -> Vec<u8> {
    let mut entry: Value = serde_json::from_slice(text).unwrap();
    entry["seq"] = seq.into();
    entry["actor"] = "user:otto".into();
    entry.to_string().into_bytes()
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
        let found =
            installation.log.find(CHAIN, filter, before, limit, &Budget::default()).unwrap();
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
fn an_entry_that_cannot_be_read_is_listed_and_the_rest_beside_it() {
    let installation = Installation::with(30);
    installation.store(7, Some(b"{\"version\":1,\"seq\":7".to_vec()));
    installation.store(9, Some(b"\xff\xfe".to_vec()));
    let damaged = |filter: &Filter, limit| {
        let found = installation.log.find(CHAIN, filter, None, limit, &Budget::default()).unwrap();
        let unread = found.entries.iter().filter(|listed| listed.entry.is_none());
        (found.entries.len(), unread.map(|listed| listed.seq).collect::<Vec<u64>>())
    };
    assert_eq!(damaged(&Filter::default(), 100), (30, vec![9, 7]));
    assert_eq!(damaged(&Filter::default(), 22), (22, vec![9]));
    let of_one = Filter { target: Some("api_key:k12".into()), ..Filter::default() };
    assert_eq!(damaged(&of_one, 100), (3, vec![9, 7]));
    let harmed = [(9, Harm::Altered), (7, Harm::Altered)];
    assert_eq!(installation.findings(&[]), harmed);
}

#[test]
fn a_long_stretch_does_not_hide_what_lies_behind_it() {
    let installation = Installation::with(1_000);
    installation.insert_at(300);
    installation.set_head(1_001, 1_000);
    installation.store(100, None);
    let verdict = installation.log.verify(CHAIN, &[]).unwrap();
    let said: Vec<String> = verdict.findings.iter().map(ToString::to_string).collect();
    let expected = [
        "each of the entries 301 to 1001 lies in the place of another one",
        "entry 300 was inserted",
        "entry 100 is missing",
    ];
    assert_eq!(said, expected);
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
        places(verdict)
    };
    assert_eq!(look(&lines), []);
    let mut altered = lines.clone();
    let text = String::from_utf8(altered[3].clone()).unwrap();
    altered[3] = text.replace("anna", "otto").into_bytes();
    assert_eq!(look(&altered), [(7, Harm::Altered)]);
    let mut swapped = lines.clone();
    swapped.swap(2, 5);
    let missing = [8, 7, 6].map(|seq| (seq, Harm::Missing));
    assert_eq!(look(&swapped), [&missing[..], &[7, 6, 8].map(|seq| (seq, Harm::Moved))].concat());
    let mut repeated = lines.clone();
    repeated.insert(4, lines[3].clone());
    assert_eq!(look(&repeated), [(7, Harm::Moved)]);
    assert_eq!(look(&lines[1..]), [(10, Harm::Missing)]);
    assert_eq!(look(&lines[..9]), [(1, Harm::Missing)]);
    assert_eq!(look(&[]), [(10, Harm::Missing)]);
    // The newest ones cannot be read: the next one tells which they are.
    let (noise, altered) = (b"{".to_vec(), |seq| (seq, Harm::Altered));
    let mut unreadable = lines.clone();
    unreadable[0].clone_from(&noise);
    unreadable[1].clone_from(&noise);
    assert_eq!(look(&unreadable), [altered(10), altered(9)]);
    let bare = |lines: &[Vec<u8>]| {
        let lines = lines.iter().cloned().map(Ok::<_, ()>);
        verify_lines(lines, CHAIN, &[]).unwrap()
    };
    assert_eq!(places(bare(&unreadable)), [altered(10), altered(9)]);
    let nothing = bare(&[noise]);
    assert_eq!((nothing.entries, places(nothing)), (1, vec![altered(1)]));
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
    let harms: [Harming; 12] = [
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
        (
            "one more between, and the rest moved up",
            |i| i.insert_at(7),
            &[
                (11, Harm::Inserted),
                (10, Harm::Moved),
                (9, Harm::Moved),
                (8, Harm::Moved),
                (7, Harm::Inserted),
            ],
        ),
        (
            "the same, and the head told so",
            |i| {
                i.insert_at(7);
                i.set_head(11, 10);
            },
            &[
                (11, Harm::Moved),
                (10, Harm::Moved),
                (9, Harm::Moved),
                (8, Harm::Moved),
                (7, Harm::Inserted),
            ],
        ),
        (
            "one less, the rest moved down, and the head told so",
            |i| {
                (7..10).for_each(|seq| i.store(seq, Some(i.stored(seq + 1))));
                i.store(10, None);
                i.set_head(9, 10);
            },
            &[(9, Harm::Moved), (8, Harm::Moved), (7, Harm::Moved)],
        ),
        (
            "neighbours that changed places",
            |i| {
                let (a, b) = (i.stored(6), i.stored(7));
                i.store(6, Some(b));
                i.store(7, Some(a));
            },
            &[(7, Harm::Moved), (6, Harm::Moved)],
        ),
        (
            "the newest two cut off",
            |i| [9, 10].into_iter().for_each(|seq| i.store(seq, None)),
            &[(10, Harm::Missing), (9, Harm::Missing)],
        ),
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
