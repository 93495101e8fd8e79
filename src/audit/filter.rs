//! Which entries an auditor wants to see.

use super::entry::{Entry, Event, Link, Outcome};
use super::{AuditLog, PAGE_MAX, hash_of};
use std::mem::take;
use storage::ask::{AskError, Budget};
use storage::row::TimeMs;

/// Entries that are looked at for one page at most: a filter that nothing passes ends, and is gone on
/// with from there.
const LOOKED_AT_MAX: usize = 20_000;

/// What an entry must be like. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Who, exactly.
    pub actor: Option<String>,
    /// What: the whole, or its beginning up to a dot (`user`, `user.create`).
    pub action: Option<String>,
    /// To what, exactly; one of them where an entry names several.
    pub target: Option<String>,
    /// What became of it.
    pub outcome: Option<Outcome>,
    /// Not before, Unix milliseconds.
    pub from_ms: Option<TimeMs>,
    /// Before, Unix milliseconds.
    pub to_ms: Option<TimeMs>,
    /// Words, in whatever case, that all stand somewhere in it.
    pub text: Option<String>,
}

/// An entry as it lies in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its place.
    pub seq: u64,
    /// The hash of what is stored there.
    pub hash: Link,
    /// What it says; `None`: it is damaged, and cannot be read.
    pub entry: Option<Entry>,
}

/// A page of what was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Newest first.
    pub entries: Vec<Listed>,
    /// Before which entry to go on looking; `None`: there are no more.
    pub next: Option<u64>,
}

impl Filter {
    fn passes(&self, entry: &Entry) -> bool {
        let event = &entry.event;
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| w == found);
        is(&self.actor, &event.actor)
            && self.target.as_ref().is_none_or(|wanted| {
                event.target == *wanted || event.target.split(' ').any(|target| target == wanted)
            })
            && self.action.as_ref().is_none_or(|wanted| is_or_is_under(wanted, &event.action))
            && self.outcome.is_none_or(|wanted| wanted == event.outcome)
            && self.from_ms.is_none_or(|from_ms| entry.at_ms >= from_ms)
            && self.to_ms.is_none_or(|to_ms| entry.at_ms < to_ms)
    }

    /// Whether every word of the text stands in what happened.
    fn has_words(&self, event: &Event) -> bool {
        let Some(text) = &self.text else { return true };
        let Ok(event) = serde_json::to_string(event) else { return false };
        let event = event.to_lowercase();
        text.to_lowercase().split_whitespace().all(|word| event.contains(word))
    }
}

fn is_or_is_under(wanted: &str, action: &str) -> bool {
    let rest = action.strip_prefix(wanted);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl AuditLog {
    /// Up to `limit` entries of `chain` that pass `filter`, before the entry `before` (`None`: from the
    /// last one on), newest first. One that is damaged passes every filter: nobody knows what it said.
    /// Takes a turn of `budget` for each page of the log that is looked at.
    pub fn find(
        &self,
        chain: &str,
        filter: &Filter,
        before: Option<u64>,
        limit: usize,
        budget: &Budget,
    ) -> Result<Found, AskError> {
        let (mut entries, mut next, mut looked_at) = (Vec::new(), before, 0);
        loop {
            let found = budget.turn(1)?.run(|| -> Result<_, AskError> {
                let page = self.page_as_stored(chain, next, PAGE_MAX)?;
                for (seq, stored) in &page {
                    (next, looked_at) = (Some(*seq), looked_at + 1);
                    let entry = Entry::decode(stored).ok();
                    let passes =
                        |entry: &Entry| filter.passes(entry) && filter.has_words(&entry.event);
                    if entry.as_ref().is_none_or(passes) {
                        entries.push(Listed { seq: *seq, hash: hash_of(stored), entry });
                    }
                    if entries.len() >= limit || looked_at >= LOOKED_AT_MAX {
                        let next = Some(*seq).filter(|seq| *seq > 1); // the first one has seq 1
                        return Ok(Some(Found { entries: take(&mut entries), next }));
                    }
                }
                let is_last = page.len() < PAGE_MAX;
                Ok(is_last.then(|| Found { entries: take(&mut entries), next: None }))
            })?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }
}
