//! How much may be under way at a time: in all, and with one other end, so that one that hangs does not
//! take every place.

use hashbrown::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Exchanges at a time, in all: each holds a socket and at most its answer.
const ALL_MAX: usize = 256;

/// Exchanges at a time with one host and port.
const OF_ONE_MAX: usize = 32;

/// Who has taken which place.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_other_end: HashMap<Box<str>, usize>,
}

/// A place that was taken; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    other_end: Box<str>,
}

impl Places {
    /// A place for an exchange with `other_end`, if one is left.
    pub(super) fn take(self: &Arc<Self>, other_end: String) -> Option<Place> {
        let other_end: Box<str> = other_end.into();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = taken.by_other_end.get(&other_end).copied().unwrap_or(0);
        if taken.all >= ALL_MAX || of_one >= OF_ONE_MAX {
            return None;
        }
        taken.all += 1;
        taken.by_other_end.insert(other_end.clone(), of_one + 1);
        Some(Place { places: Arc::clone(self), other_end })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let left = taken.by_other_end.get(&self.other_end).map_or(0, |count| count - 1);
        match left {
            0 => drop(taken.by_other_end.remove(&self.other_end)),
            _ => drop(taken.by_other_end.insert(self.other_end.clone(), left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_other_end_leaves_places_for_others_and_all_are_given_back() {
        let places = Arc::new(Places::default());
        let of = |name: &str, count: usize| -> Vec<Place> {
            (0..count).map_while(|_| places.take(name.to_owned())).collect()
        };
        let hanging = of("slow.example.org", 1_000);
        assert_eq!(hanging.len(), OF_ONE_MAX);
        let names = (0..ALL_MAX).map(|n| format!("{n}.example.org"));
        let others: Vec<Place> = names.map_while(|name| places.take(name)).collect();
        assert_eq!(others.len(), ALL_MAX - OF_ONE_MAX);
        drop(hanging);
        assert_eq!(of("slow.example.org", 1_000).len(), OF_ONE_MAX);
        drop(others);
        let taken = places.taken.lock().unwrap();
        assert!(taken.all == 0 && taken.by_other_end.is_empty(), "{taken:?}");
    }
}
