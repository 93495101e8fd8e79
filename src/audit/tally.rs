//! What is counted in memory before it is told.
//!
//! *Invariants*: [`REFUSED_KINDS_MAX`] and [`READ_KINDS_MAX`] bound it. Beyond the first, refusals are
//! counted together, whoever was refused: a stranger can make few entries. Beyond the second, every
//! reading is told.

use super::PLATFORM;
use super::entry::{Event, Outcome, Source, Told};
use serde_json::Value;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Different refusals that are counted apart between two writes.
const REFUSED_KINDS_MAX: usize = 512;

/// Different readings that are counted apart between two writes.
const READ_KINDS_MAX: usize = 16_384;

/// What an entry says of actors that could not be counted apart.
const MANY: &str = "many";

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    chain: Box<str>,
    actor: String,
    action: String,
    address: Option<IpAddr>,
    outcome: Outcome,
    code: String,
}

impl Kind {
    fn of(Told { chain, event }: &Told) -> Self {
        Self {
            chain: chain.clone(),
            actor: event.actor.clone(),
            action: event.action.clone(),
            address: event.source.address.map(network_of),
            outcome: event.outcome,
            code: event.after.as_str().unwrap_or_default().into(),
        }
    }
}

/// What one peer can choose its addresses from: of version 6, the half that says the network.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// The first of a kind, and how many there were that nothing was told of.
#[derive(Debug)]
struct Counted {
    first: Event,
    untold: u64,
}

type Kinds = HashMap<Kind, Counted>;

#[derive(Debug, Default)]
pub(super) struct Tally {
    refused: Mutex<Kinds>,
    read: Mutex<Kinds>,
}

fn lock(kinds: &Mutex<Kinds>) -> MutexGuard<'_, Kinds> {
    kinds.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    pub(super) fn count(&self, told: Told) {
        let mut kinds = lock(&self.refused);
        let mut kind = Kind::of(&told);
        let mut event = told.event;
        if kinds.len() >= REFUSED_KINDS_MAX && !kinds.contains_key(&kind) {
            let (action, actor, target) = (MANY.to_owned(), MANY.to_owned(), String::new());
            event = Event {
                action,
                actor,
                target,
                source: Source::default(),
                after: Value::Null,
                ..event
            };
            kind = Kind::of(&Told { chain: PLATFORM.into(), event: event.clone() });
        }
        let more = event.count;
        kinds.entry(kind).or_insert(Counted { first: event, untold: 0 }).untold += more;
    }

    pub(super) fn read(&self, told: Told) -> Option<Told> {
        let mut kinds = lock(&self.read);
        let kind = Kind::of(&told);
        if let Some(counted) = kinds.get_mut(&kind) {
            counted.untold += 1;
            return None;
        }
        if kinds.len() < READ_KINDS_MAX {
            kinds.insert(kind, Counted { first: told.event.clone(), untold: 0 });
        }
        Some(told)
    }

    /// Everything that was counted and not told, and begins anew.
    pub(super) fn take(&self) -> Vec<Told> {
        let [refused, read] =
            [&self.refused, &self.read].map(|kinds| std::mem::take(&mut *lock(kinds)));
        let untold = refused.into_iter().chain(read).filter(|(_, counted)| counted.untold > 0);
        untold
            .map(|(Kind { chain, .. }, Counted { mut first, untold })| {
                if untold > 1 {
                    first.source.request_id = None; // several have several
                }
                Told { chain, event: Event { count: untold, ..first } }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(actor: &str) -> Told {
        let source = Source { address: None, request_id: Some("r".into()) };
        let event = Event::new(actor.into(), "query", String::new(), source);
        event.ended(Outcome::Refused).after("forbidden".into()).in_chain("t")
    }

    #[test]
    fn what_is_alike_is_one_entry_with_its_count() {
        let tally = Tally::default();
        (0..3).for_each(|_| tally.count(refused("user:a")));
        tally.count(refused("user:b"));
        let mut taken = tally.take();
        taken.sort_by(|a, b| a.event.actor.cmp(&b.event.actor));
        let counts: Vec<_> =
            taken.iter().map(|t| (t.event.actor.as_str(), t.event.count)).collect();
        assert_eq!(counts, [("user:a", 3), ("user:b", 1)]);
        assert_eq!(taken[0].event.source.request_id, None);
        assert_eq!(taken[1].event.source.request_id.as_deref(), Some("r"));
        assert_eq!(tally.take(), []);
    }

    #[test]
    fn a_flood_of_different_ones_is_counted_together() {
        let tally = Tally::default();
        (0..2 * REFUSED_KINDS_MAX).for_each(|n| tally.count(refused(&format!("user:{n}"))));
        let taken = tally.take();
        assert_eq!(taken.len(), REFUSED_KINDS_MAX + 1);
        assert_eq!(
            taken.iter().map(|told| told.event.count).sum::<u64>(),
            2 * REFUSED_KINDS_MAX as u64
        );
        assert!(taken.iter().any(|told| told.event.actor == MANY));
    }

    #[test]
    fn the_first_read_is_told_and_others_are_counted() {
        let tally = Tally::default();
        assert!(tally.read(refused("user:a")).is_some());
        assert!(tally.read(refused("user:a")).is_none());
        assert!(tally.read(refused("user:b")).is_some());
        let taken = tally.take();
        assert_eq!((taken.len(), taken[0].event.count), (1, 1));
        assert!(tally.read(refused("user:a")).is_some(), "after a write it is the first again");
    }
}
