//! What is counted in memory before it is told.
//!
//! *Invariants*: [`REFUSED_KINDS_MAX`], [`READ_KINDS_MAX`] and [`LATER_KINDS_MAX`] bound it. Beyond the
//! first, of the platform's chain and of all others by itself, refusals are counted together, whoever was
//! refused, but for each chain apart: a stranger can make few entries, and takes none from a tenant's
//! auditors. Beyond the second, every reading is told; beyond the third, nothing takes place that would be
//! told later. What was refused takes no room from what took place.

use super::PLATFORM;
use super::entry::{Event, Outcome, Source, Told};
use crate::model::network::network;
use serde_json::Value;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Different refusals that are counted apart between two writes, in the platform's chain and in those of
/// tenants; beyond them there is one kind for each chain.
const REFUSED_KINDS_MAX: usize = 512;

/// Different readings that are counted apart between two writes.
const READ_KINDS_MAX: usize = 16_384;

/// What is told later may be as much again: it took place, so that none of it may be lost.
const LATER_KINDS_MAX: usize = 2 * READ_KINDS_MAX;

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
            address: event.source.address.map(network),
            outcome: event.outcome,
            code: event.after.as_str().unwrap_or_default().into(),
        }
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
    /// In the platform's chain, where strangers are refused who name no tenant.
    refused_by_platform: Mutex<Kinds>,
    read: Mutex<Kinds>,
}

fn lock(kinds: &Mutex<Kinds>) -> MutexGuard<'_, Kinds> {
    kinds.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts `event` with its kind. What not all of a kind have in common is told of none.
fn add(kinds: &mut Kinds, kind: Kind, event: &Event) {
    let network = kind.address;
    let more = event.count;
    let counted = kinds.entry(kind).or_insert_with(|| Counted { first: event.clone(), untold: 0 });
    if counted.first.target != event.target {
        counted.first.target.clear();
    }
    if counted.first.source.address != event.source.address {
        counted.first.source.address = network;
    }
    counted.untold += more;
}

impl Tally {
    pub(super) fn count(&self, told: Told) {
        let mut kinds = lock(match &*told.chain {
            PLATFORM => &self.refused_by_platform,
            _ => &self.refused,
        });
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
            kind = Kind::of(&Told { chain: kind.chain, event: event.clone() });
        }
        add(&mut kinds, kind, &event);
    }

    pub(super) fn read(&self, told: Told) -> Option<Told> {
        let mut kinds = lock(&self.read);
        let kind = Kind::of(&told);
        if kinds.contains_key(&kind) {
            add(&mut kinds, kind, &told.event);
            return None;
        }
        if kinds.len() < READ_KINDS_MAX {
            kinds.insert(kind, Counted { first: told.event.clone(), untold: 0 });
        }
        Some(told)
    }

    /// Keeps what took place to be told later. Gives whether there is room for it.
    pub(super) fn later(&self, told: &Told) -> bool {
        let mut kinds = lock(&self.read);
        let kind = Kind::of(told);
        let has_room = kinds.len() < LATER_KINDS_MAX || kinds.contains_key(&kind);
        if has_room {
            add(&mut kinds, kind, &told.event);
        }
        has_room
    }

    /// Everything that was counted and not told, and begins anew.
    pub(super) fn take(&self) -> Vec<Told> {
        let all = [&self.refused, &self.refused_by_platform, &self.read]
            .map(|kinds| std::mem::take(&mut *lock(kinds)));
        let untold = all.into_iter().flatten().filter(|(_, counted)| counted.untold > 0);
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
        refused_in("t", actor)
    }

    fn refused_in(chain: &str, actor: &str) -> Told {
        let source = Source { address: None, request_id: Some("r".into()) };
        let event = Event::new(actor.into(), "query", String::new(), source);
        event.ended(Outcome::Refused).after("forbidden".into()).in_chain(chain)
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
    fn one_entry_does_not_lay_the_refusals_of_many_at_the_door_of_the_first() {
        let tally = Tally::default();
        for (target, address) in [("email:a", "2001:db8::1"), ("email:b", "2001:db8::2")] {
            let Told { chain, mut event } = refused("anonymous");
            event.target = target.into();
            event.source.address = Some(address.parse().unwrap());
            tally.count(Told { chain, event });
        }
        let [Told { event, .. }] = &*tally.take() else { panic!("one kind") };
        assert_eq!((event.count, &*event.target), (2, ""));
        assert_eq!(event.source.address, Some("2001:db8::".parse().unwrap()));
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
    fn a_flood_leaves_each_tenants_auditors_what_was_refused_there() {
        let tally = Tally::default();
        let flood = |chain| {
            (0..REFUSED_KINDS_MAX)
                .for_each(|n| tally.count(refused_in(chain, &format!("user:{n}"))));
        };
        flood(PLATFORM);
        tally.count(refused_in("a", "user:x"));
        flood("b");
        tally.count(refused_in("a", "user:y"));
        tally.count(refused_in("c", "user:z"));
        let taken = tally.take();
        let told = |chain: &str| {
            let here = taken.iter().filter(|told| &*told.chain == chain);
            let mut told: Vec<_> = here.map(|t| (&*t.event.actor, t.event.count)).collect();
            told.sort_unstable();
            told
        };
        assert_eq!(told("a"), [(MANY, 1), ("user:x", 1)]);
        assert_eq!(told("c"), [(MANY, 1)]);
        assert_eq!((told("b")[0], told("b").len()), ((MANY, 1), REFUSED_KINDS_MAX));
        assert_eq!(told(PLATFORM).len(), REFUSED_KINDS_MAX);
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
