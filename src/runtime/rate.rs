//! What there may be in a second, in one atomic each: a bucket that decides, and a count that is shown.
//!
//! The bucket is the generic cell rate algorithm (ITU-T I.371): one number says until when what was taken
//! is spread, and who comes while that lies further ahead than a second is refused. Time is nanoseconds
//! since some instant of the caller's.

use std::sync::atomic::{AtomicU64, Ordering};

const SECOND_NS: u64 = 1_000_000_000;

/// So much in a second, and a second's worth at once. Whoever takes more at once than that has it, for
/// else it could never have it, and is in debt: the next one waits until it is paid.
#[derive(Debug, Default)]
pub struct Bucket {
    /// Nanoseconds of one piece; 0: there is no bound.
    piece_ns: AtomicU64,
    /// Until when what was taken is spread.
    spread_ns: AtomicU64,
}

impl Bucket {
    /// From now on there are `per_second`; 0: without bound. Debts are forgotten.
    pub fn set(&self, per_second: u64) {
        let piece_ns = SECOND_NS.checked_div(per_second).map_or(0, |ns| ns.max(1));
        self.piece_ns.store(piece_ns, Ordering::Relaxed);
        self.spread_ns.store(0, Ordering::Relaxed);
    }

    /// Takes `count` pieces, unless there is not one left; then, in how many nanoseconds there is.
    pub fn take(&self, count: u64, now_ns: u64) -> Result<(), u64> {
        let piece_ns = self.piece_ns.load(Ordering::Relaxed);
        if piece_ns == 0 {
            return Ok(());
        }
        let (burst_ns, cost_ns) = (SECOND_NS.max(piece_ns), piece_ns.saturating_mul(count));
        let mut spread_ns = self.spread_ns.load(Ordering::Relaxed);
        loop {
            let from_ns = spread_ns.max(now_ns);
            let ready_ns = (from_ns + piece_ns).saturating_sub(burst_ns);
            if ready_ns > now_ns {
                return Err(ready_ns - now_ns);
            }
            let (next_ns, order) = (from_ns.saturating_add(cost_ns), Ordering::Relaxed);
            match self.spread_ns.compare_exchange_weak(spread_ns, next_ns, order, order) {
                Ok(_) => return Ok(()),
                Err(found_ns) => spread_ns = found_ns,
            }
        }
    }

    /// Whether a piece is left, and else in how many nanoseconds there is one. Takes nothing.
    pub fn look(&self, now_ns: u64) -> Result<(), u64> {
        self.take(0, now_ns)
    }

    /// Takes `count` pieces, whatever is left.
    pub fn owe(&self, count: u64, now_ns: u64) {
        let piece_ns = self.piece_ns.load(Ordering::Relaxed);
        let owed = |spread_ns: u64| {
            Some(spread_ns.max(now_ns).saturating_add(piece_ns.saturating_mul(count)))
        };
        if piece_ns > 0 {
            let order = Ordering::Relaxed;
            let _always = self.spread_ns.fetch_update(order, order, owed);
        }
    }
}

/// How many there were in the last whole second, as far as it is worth showing: what two threads count
/// while the second changes may be lost.
#[derive(Debug, Default)]
pub struct PerSecond {
    /// A second, and how many were counted in it.
    current: AtomicU64,
    previous: AtomicU64,
}

fn pack(second: u64, count: u64) -> u64 {
    second << 32 | count.min(u64::from(u32::MAX))
}

fn unpack(packed: u64) -> (u64, u64) {
    (packed >> 32, packed & u64::from(u32::MAX))
}

impl PerSecond {
    /// Counts `count` now.
    pub fn add(&self, count: u64, now_ns: u64) {
        let (now, order) = ((now_ns / SECOND_NS) & u64::from(u32::MAX), Ordering::Relaxed);
        let found = self.current.load(order);
        let (second, counted) = unpack(found);
        if second == now {
            // Far from the bound but in years.
            if counted + count <= u64::from(u32::MAX) {
                self.current.fetch_add(count, order);
            }
            return;
        }
        if self.current.compare_exchange(found, pack(now, count), order, order).is_ok() {
            self.previous.store(found, order);
        } else {
            self.current.fetch_add(count, order);
        }
    }

    /// The more of what was counted in the second that is under way and in the one before.
    pub fn most(&self, now_ns: u64) -> u64 {
        self.last(now_ns).max(self.last(now_ns + SECOND_NS))
    }

    /// How many were counted in the whole second before `now_ns`.
    pub fn last(&self, now_ns: u64) -> u64 {
        let before = (now_ns / SECOND_NS).wrapping_sub(1) & u64::from(u32::MAX);
        let [current, previous] = [&self.current, &self.previous].map(|packed| {
            let (second, count) = unpack(packed.load(Ordering::Relaxed));
            if second == before { count } else { 0 }
        });
        current + previous
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn bucket(per_second: u64) -> Bucket {
        let bucket = Bucket::default();
        bucket.set(per_second);
        bucket
    }

    #[test]
    fn a_second_s_worth_at_once_and_then_one_by_one() {
        let bucket = bucket(10);
        for _ in 0..10 {
            assert_eq!(bucket.take(1, 0), Ok(()));
        }
        assert_eq!(bucket.take(1, 0), Err(100 * MS));
        assert_eq!(bucket.take(1, 99 * MS), Err(MS));
        assert_eq!(bucket.take(1, 100 * MS), Ok(()));
        assert_eq!(bucket.look(100 * MS), Err(100 * MS));
        // Nobody saves more than a second.
        let later = 60 * SECOND_NS;
        let taken = (0..100).filter(|_| bucket.take(1, later).is_ok()).count();
        assert_eq!(taken, 10);
    }

    #[test]
    fn more_than_a_second_s_worth_is_given_and_owed() {
        let bucket = bucket(10);
        assert_eq!(bucket.take(25, 0), Ok(()));
        assert_eq!(bucket.take(1, 0), Err(1_600 * MS));
        assert_eq!(bucket.take(1, 1_600 * MS), Ok(()));
        // What is known only later is owed, too.
        bucket.set(10);
        assert_eq!(bucket.look(0), Ok(()));
        bucket.owe(25, 0);
        assert_eq!(bucket.look(0), Err(1_600 * MS));
        bucket.set(1);
        assert_eq!(bucket.take(1, 0), Ok(()));
        assert_eq!(bucket.take(1, 0), Err(SECOND_NS));
    }

    #[test]
    fn in_the_long_run_there_is_what_was_set_however_many_ask() {
        for per_second in [1, 7, 1_000, 10_000_000] {
            let bucket = bucket(per_second);
            let (mut taken, steps, batch) = (0, 2_000, 1 + per_second / 100);
            for step in 0..steps {
                let now_ns = step * 20 * SECOND_NS / steps;
                while bucket.take(batch, now_ns).is_ok() {
                    taken += batch;
                }
            }
            let most = 21 * per_second + 2 * batch;
            assert!((19 * per_second..=most).contains(&taken), "{per_second}: {taken}");
        }
        let free = bucket(0);
        assert!((0..1_000_000).all(|_| free.take(1_000_000, 0).is_ok()));
        assert_eq!(free.look(0), Ok(()));
    }

    #[test]
    fn the_last_whole_second_is_shown() {
        let count = PerSecond::default();
        count.add(3, 500 * MS);
        count.add(4, 999 * MS);
        assert_eq!(count.last(999 * MS), 0);
        assert_eq!(count.last(SECOND_NS), 7);
        count.add(5, SECOND_NS + MS);
        assert_eq!(count.last(SECOND_NS + MS), 7);
        assert_eq!(count.last(2 * SECOND_NS), 5);
        assert_eq!(count.last(3 * SECOND_NS), 0);
        let most = [0, SECOND_NS, 2 * SECOND_NS, 3 * SECOND_NS].map(|now_ns| count.most(now_ns));
        assert_eq!(most, [7, 7, 5, 0]);
    }
}
