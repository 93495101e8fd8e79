//! How much may be under way at a time: in all, for one owner, and with one other end, so that neither one
//! that hangs nor one who asks for many that do takes every place.

use hashbrown::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Exchanges at a time, in all: each holds a socket and at most its answer.
const ALL_MAX: usize = 256;

/// Exchanges at a time with one host and port.
const OF_ONE_MAX: usize = 32;

/// Exchanges at a time for one owner: some are left where one other end of many hangs.
const OF_OWNER_MAX: usize = 48;

/// Names that are looked up at a time for one owner: each may hold one of the resolver's few threads for
/// much longer than anybody waits.
const LOOKUPS_OF_OWNER_MAX: usize = 4;

/// Who has taken which place.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_other_end: Counts,
    by_owner: Counts,
    lookups: Counts,
}

/// Counts by name; what is counted nothing of is not there.
#[derive(Debug, Default)]
struct Counts(HashMap<Box<str>, usize>);

impl Counts {
    fn of(&self, name: &str) -> usize {
        self.0.get(name).copied().unwrap_or(0)
    }

    fn add(&mut self, name: &str) {
        self.0.insert(name.into(), self.of(name) + 1);
    }

    fn take_back(&mut self, name: &str) {
        match self.of(name) {
            0 | 1 => drop(self.0.remove(name)),
            count => drop(self.0.insert(name.into(), count - 1)),
        }
    }
}

/// A place that was taken; it is given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    owner: Box<str>,
    /// `None`: a lookup.
    other_end: Option<Box<str>>,
}

impl Places {
    /// A place for an exchange of `owner` with `other_end`, if one is left.
    pub(super) fn exchange(self: &Arc<Self>, owner: &str, other_end: &str) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= ALL_MAX
            || taken.by_other_end.of(other_end) >= OF_ONE_MAX
            || taken.by_owner.of(owner) >= OF_OWNER_MAX
        {
            return None;
        }
        taken.all += 1;
        taken.by_other_end.add(other_end);
        taken.by_owner.add(owner);
        Some(self.place(owner, Some(other_end)))
    }

    /// A place for `owner` to look a name up, if one is left.
    pub(super) fn lookup(self: &Arc<Self>, owner: &str) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.lookups.of(owner) >= LOOKUPS_OF_OWNER_MAX {
            return None;
        }
        taken.lookups.add(owner);
        Some(self.place(owner, None))
    }

    fn place(self: &Arc<Self>, owner: &str, other_end: Option<&str>) -> Place {
        Place {
            places: Arc::clone(self),
            owner: owner.into(),
            other_end: other_end.map(Into::into),
        }
    }

    #[cfg(test)]
    pub(super) fn are_all_free(&self) -> bool {
        let Taken { all, by_other_end, by_owner, lookups } = &*self.taken.lock().unwrap();
        *all == 0 && [by_other_end, by_owner, lookups].iter().all(|counts| counts.0.is_empty())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.other_end {
            Some(other_end) => {
                taken.all -= 1;
                taken.by_other_end.take_back(other_end);
                taken.by_owner.take_back(&self.owner);
            }
            None => taken.lookups.take_back(&self.owner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_one_other_end_nor_one_owner_takes_all_and_all_are_given_back() {
        let places = Arc::new(Places::default());
        let hang = |owner: &str, other_end: &str| places.exchange(owner, other_end);
        // Many owners at one host, which hangs.
        let owners = (0..ALL_MAX).map(|n| format!("owner {n}"));
        let at_one: Vec<Place> =
            owners.map_while(|owner| hang(&owner, "slow.example.org")).collect();
        assert_eq!(at_one.len(), OF_ONE_MAX);
        // One owner at many hosts, each of which hangs.
        let names = (0..ALL_MAX).map(|n| format!("{n}.example.org"));
        let of_one: Vec<Place> = names.map_while(|name| hang("acme", &name)).collect();
        assert_eq!(of_one.len(), OF_OWNER_MAX);
        let lookups: Vec<Place> = (0..ALL_MAX).map_while(|_| places.lookup("acme")).collect();
        assert_eq!(lookups.len(), LOOKUPS_OF_OWNER_MAX);
        // Somebody else, meanwhile.
        drop((hang("other", "idp.example.org").unwrap(), places.lookup("other").unwrap()));
        // Everybody together.
        let pairs = (0..ALL_MAX).map(|n| (format!("tenant {n}"), format!("host {n}")));
        let others: Vec<Place> = pairs.map_while(|(owner, host)| hang(&owner, &host)).collect();
        assert_eq!(others.len(), ALL_MAX - OF_ONE_MAX - OF_OWNER_MAX);
        drop((at_one, of_one, lookups));
        assert!(hang("acme", "slow.example.org").is_some() && places.lookup("acme").is_some());
        drop(others);
        assert!(places.are_all_free());
    }
}
