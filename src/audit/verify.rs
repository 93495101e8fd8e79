//! Whether a chain is what was written: read from its end to its beginning, each entry must have the
//! hash that the next one, the head or an anchor says.

use super::entry::{Entry, Head, Link};
use super::{AuditLog, PAGE_MAX, StoredPage, hash_of};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use std::sync::PoisonError;
use storage::error::StoreError;

/// Findings that are told; more of them say nothing more.
const FINDINGS_MAX: usize = 100;

/// The state of a chain at some time, to be kept where whoever can write the log cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The chain.
    pub chain: Box<str>,
    /// Its last entry then; 0: it had none.
    pub seq: u64,
    /// That entry's hash.
    pub hash: Link,
}

/// As one line: `emx-audit <chain> <seq> <hash>`.
impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "emx-audit {} {} {}", self.chain, self.seq, self.hash)
    }
}

impl FromStr for Anchor {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let mut words = line.split_whitespace();
        let mut word = || words.next().ok_or(());
        if word()? != "emx-audit" {
            return Err(());
        }
        let (chain, seq, hash) = (word()?.into(), word()?, word()?);
        let (seq, hash) = (seq.parse().map_err(|_| ())?, Link::parse(hash).ok_or(())?);
        let of_nothing = seq == 0 && hash != Link::default();
        if of_nothing || words.next().is_some() { Err(()) } else { Ok(Self { chain, seq, hash }) }
    }
}

/// What is wrong at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// The entry is not the one that was written.
    Altered,
    /// The entry is not there.
    Missing,
    /// The entry lies where another one should.
    Moved,
    /// The entry lies behind the last one, or where one should that lies further up.
    Inserted,
    /// The entry is not the one that the anchor was made of.
    Rewritten,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Altered => "was altered",
            Self::Missing => "is missing",
            Self::Moved => "lies in the place of another one",
            Self::Inserted => "was inserted",
            Self::Rewritten => "is not the one that the anchor was made of",
        })
    }
}

/// Something that is wrong with a chain, at one place or at several in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The place, or the newest of them.
    pub seq: u64,
    /// The oldest of them.
    pub first_seq: u64,
    /// What is wrong at each.
    pub harm: Harm,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, first_seq, harm } = self;
        match seq == first_seq {
            true => write!(f, "entry {seq} {harm}"),
            false => write!(f, "each of the entries {first_seq} to {seq} {harm}"),
        }
    }
}

/// What became of looking at a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Entries that were read.
    pub entries: u64,
    /// What is wrong, from the newest to the oldest, the first hundred stretches of it.
    pub findings: Vec<Finding>,
}

impl AuditLog {
    /// Looks at the whole of `chain` as it is now, and at the `anchors` that are of it.
    pub fn verify(&self, chain: &str, anchors: &[Anchor]) -> Result<Verdict, StoreError> {
        let (head, mut page) = self.newest(chain)?;
        let mut walk = Walk::from(&head, anchors.iter().filter(|anchor| &*anchor.chain == chain));
        loop {
            for (seq, bytes) in &page {
                walk.step(*seq, bytes);
            }
            match page.last() {
                Some((seq, _)) if page.len() == PAGE_MAX => {
                    page = self.page_as_stored(chain, Some(*seq), PAGE_MAX)?;
                }
                _ => return Ok(walk.end()),
            }
        }
    }

    /// The head and the first page. Nothing is added in between, which would lie behind that head; what is
    /// added later comes before the first page.
    fn newest(&self, chain: &str) -> Result<(Head, StoredPage), StoreError> {
        let _alone = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((self.head(chain)?, self.page_as_stored(chain, None, PAGE_MAX)?))
    }
}

/// Looks at the exported entries of `chain`, newest first, a stored entry a line, and at the `anchors`
/// that are of it. What was cut off before it was exported only an anchor shows.
pub fn verify_lines<E>(
    lines: impl Iterator<Item = Result<Vec<u8>, E>>,
    chain: &str,
    anchors: &[Anchor],
) -> Result<Verdict, E> {
    let (mut walk, mut unreadable) = (None, 0);
    let of_chain = || anchors.iter().filter(|anchor| &*anchor.chain == chain);
    for line in lines {
        let line = line?;
        let seq = Entry::decode(&line).map(|entry| entry.seq).ok();
        let walk = match (&mut walk, seq) {
            (Some(walk), _) => walk,
            (None, Some(seq)) => {
                let begun = Walk::behind(unreadable, (seq, hash_of(&line)), of_chain());
                walk.insert(begun)
            }
            // It can be told which one it was once there is one that can be read.
            (None, None) => {
                unreadable += 1;
                continue;
            }
        };
        // A line that is no entry lies where the next one should.
        walk.step(seq.unwrap_or(walk.seq), &line);
    }
    let of_none = || Walk::behind(unreadable, (0, Link::default()), of_chain());
    Ok(walk.unwrap_or_else(of_none).end())
}

/// Where a look at a chain has come to.
struct Walk<'a> {
    /// The seq that comes next.
    seq: u64,
    /// The hash that it must have; `None` behind an entry that nothing can be said of.
    hash: Option<Link>,
    /// The hash of the entry that should lie there, and lies one place further up.
    displaced: Option<Link>,
    last_seq: u64,
    anchors: Vec<&'a Anchor>,
    verdict: Verdict,
}

impl<'a> Walk<'a> {
    fn from(head: &Head, anchors: impl Iterator<Item = &'a Anchor>) -> Self {
        let mut walk = Self {
            seq: head.seq,
            hash: Some(head.hash),
            displaced: None,
            last_seq: head.seq,
            anchors: anchors.collect(),
            verdict: Verdict { entries: 0, findings: Vec::new() },
        };
        let beyond: Vec<u64> =
            walk.anchors.iter().map(|anchor| anchor.seq).filter(|seq| *seq > head.seq).collect();
        beyond.into_iter().for_each(|seq| walk.find(seq, Harm::Missing));
        walk
    }

    /// One of a file whose first lines, as many as `unreadable`, are no entries; `first` is the first that
    /// is one, with its hash.
    fn behind(
        unreadable: u64,
        (seq, hash): (u64, Link),
        anchors: impl Iterator<Item = &'a Anchor>,
    ) -> Self {
        let last_seq = seq.saturating_add(unreadable);
        let mut walk = Self::from(&Head { seq: last_seq, hash }, anchors);
        if unreadable > 0 {
            walk.find_all((seq.saturating_add(1), last_seq), Harm::Altered);
        }
        walk.verdict.entries = unreadable;
        walk.seq = seq;
        walk
    }

    fn step(&mut self, seq: u64, bytes: &[u8]) {
        self.verdict.entries += 1;
        if seq > self.last_seq {
            return self.find(seq, Harm::Inserted);
        }
        if seq > self.seq {
            return self.find(seq, Harm::Moved); // a line of a file, too late or again
        }
        self.skip_to(seq);
        let found = hash_of(bytes);
        // What an entry says of the one before it is believed, unless it is another one.
        let entry = Entry::decode(bytes).ok();
        let claimed = entry.as_ref().map_or(seq, |entry| entry.seq);
        let is_itself = claimed == seq;
        if !is_itself {
            self.find(seq, Harm::Moved);
        } else if self.displaced.is_some_and(|displaced| displaced != found) {
            self.find(seq, Harm::Inserted);
        } else if self.hash.is_some_and(|expected| expected != found) {
            self.find(seq, Harm::Altered);
        }
        self.displaced = Some(found).filter(|_| claimed.checked_add(1) == Some(seq));
        if self.anchors.iter().any(|anchor| anchor.seq == seq && anchor.hash != found) {
            self.find(seq, Harm::Rewritten);
        }
        self.hash = entry.filter(|_| is_itself).map(|entry| entry.prev);
        self.seq = seq.saturating_sub(1);
    }

    /// Entries between the one that should come and `seq` are not there.
    fn skip_to(&mut self, seq: u64) {
        if self.seq > seq {
            self.find_all((seq + 1, self.seq), Harm::Missing);
            (self.hash, self.displaced, self.seq) = (None, None, seq);
        }
    }

    fn end(mut self) -> Verdict {
        self.skip_to(0);
        if self.hash.is_some_and(|hash| hash != Link::default()) {
            self.find(1, Harm::Altered); // the first one has none before it
        }
        self.verdict
    }

    fn find(&mut self, seq: u64, harm: Harm) {
        self.find_all((seq, seq), harm);
    }

    /// The same at every place from `first_seq` to `seq`. What goes on from the last finding is told with
    /// it, so that the hundred are not used up before a place that says more.
    fn find_all(&mut self, (first_seq, seq): (u64, u64), harm: Harm) {
        let findings = &mut self.verdict.findings;
        let joins = first_seq..=seq.saturating_add(1);
        if let Some(last) = findings.last_mut()
            && last.harm == harm
            && joins.contains(&last.first_seq)
        {
            last.first_seq = first_seq;
        } else if findings.len() < FINDINGS_MAX {
            findings.push(Finding { seq, first_seq, harm });
        }
    }
}
