//! Which lane a tenant's appends take: the one they are in, and else one with nothing to do, so that
//! nobody waits behind what another tenant has sent while a lane is free.
//!
//! *Invariant*: all appends of a tenant that are under way at a time are in one lane.

use hashbrown::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who is in which lane.
#[derive(Debug)]
pub(super) struct Seats(Mutex<Taken>);

#[derive(Debug)]
struct Taken {
    /// The lane of each tenant that has appends under way, and how many.
    by_tenant: HashMap<Arc<str>, (usize, usize)>,
    /// How many appends are under way in each lane.
    by_lane: Vec<usize>,
}

/// An append's place in a lane, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    tenant: Arc<str>,
    lane: usize,
}

impl Seats {
    /// So many lanes, at least one, and nobody in them.
    pub(super) fn new(lanes: usize) -> Self {
        let by_lane = vec![0; lanes.max(1)];
        Self(Mutex::new(Taken { by_tenant: HashMap::new(), by_lane }))
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for an append of `tenant`.
    pub(super) fn take(self: &Arc<Self>, tenant: &Arc<str>) -> Seat {
        let mut taken = self.lock();
        let lane = match taken.by_tenant.get_mut(tenant) {
            Some((lane, count)) => {
                *count += 1;
                *lane
            }
            None => {
                let lane = taken.choose(tenant);
                taken.by_tenant.insert(Arc::clone(tenant), (lane, 1));
                lane
            }
        };
        taken.by_lane[lane] += 1;
        drop(taken);
        Seat { seats: Arc::clone(self), tenant: Arc::clone(tenant), lane }
    }
}

impl Taken {
    /// The emptiest lane, of equals the first from the tenant's own on: so that it mostly stays there.
    fn choose(&self, tenant: &str) -> usize {
        let lanes = self.by_lane.len();
        let own = (xxhash_rust::xxh3::xxh3_64(tenant.as_bytes()) % lanes as u64) as usize;
        let from_own = (own..lanes).chain(0..own);
        from_own.min_by_key(|lane| self.by_lane[*lane]).unwrap_or(own)
    }
}

impl Seat {
    /// Which lane.
    pub(super) fn lane(&self) -> usize {
        self.lane
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.by_lane[self.lane] -= 1;
        if let Some((_, count)) = taken.by_tenant.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                taken.by_tenant.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_stays_in_its_lane_and_others_go_where_nothing_is() {
        let seats = Arc::new(Seats::new(4));
        let noisy: Arc<str> = "noisy".into();
        let flood: Vec<Seat> = (0..100).map(|_| seats.take(&noisy)).collect();
        assert!(flood.iter().all(|seat| seat.lane() == flood[0].lane()));
        for n in 0..100 {
            let quiet = seats.take(&format!("quiet-{n}").into());
            assert_ne!(quiet.lane(), flood[0].lane());
        }
        drop(flood);
        let taken = seats.lock();
        assert!(taken.by_tenant.is_empty() && taken.by_lane.iter().all(|count| *count == 0));
    }

    #[test]
    fn where_every_lane_is_taken_the_emptiest_is_shared() {
        let seats = Arc::new(Seats::new(2));
        let names: Vec<Arc<str>> = (0..3).map(|n| format!("tenant-{n}").into()).collect();
        let _first: Vec<Seat> = (0..5).map(|_| seats.take(&names[0])).collect();
        let second = seats.take(&names[1]);
        assert_eq!(seats.take(&names[2]).lane(), second.lane());
    }
}
