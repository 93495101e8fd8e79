//! Threads that have much to do for others who do not wait for it, and breathe: after a while they pause for
//! a moment, in which a processor is free for whoever is waited for.
//!
//! A scheduler lets whoever wakes wait for the thread that runs for up to a tick (4 ms of many kernels), also
//! where that one stands behind it, and for as many such threads as there are. It takes up who waits as
//! soon as a thread pauses.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest time of work between two pauses while nobody is waited for: whoever comes then waits so long.
const WORK_MAX: Duration = Duration::from_millis(1);

/// The same once somebody has come. A request that stores something wakes six threads one after the other, the
/// kernel's among them, and each may wait so long.
const WORK_BESIDE_MAX: Duration = Duration::from_micros(100);

/// For how long whoever comes is taken to be there: most requests are answered in less, and whoever takes
/// long over one must not slow the others down.
const STAYS: Duration = Duration::from_millis(10);

/// How long a pause is at least; a timer of the kernel adds about as much.
const PAUSE: Duration = Duration::from_micros(50);

thread_local! {
    static WORKS_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Whether somebody came lately who is waited for. Clones are the same.
#[derive(Clone, Debug)]
pub struct Awaited(Arc<Came>);

#[derive(Debug)]
struct Came {
    began: Instant,
    /// Until when whoever came last is taken to be there, microseconds since.
    until_us: AtomicU64,
}

impl Default for Awaited {
    fn default() -> Self {
        Self(Arc::new(Came { began: now(), until_us: AtomicU64::new(0) }))
    }
}

impl Awaited {
    /// Somebody comes.
    pub fn comes(&self) {
        self.0.until_us.store(self.us(now() + STAYS), Ordering::Relaxed);
    }

    fn is_there(&self, now: Instant) -> bool {
        self.us(now) < self.0.until_us.load(Ordering::Relaxed)
    }

    fn us(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.0.began).as_micros()).unwrap_or(u64::MAX)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what the scheduler goes by is no clock of the product"
)]
fn now() -> Instant {
    Instant::now()
}

/// This thread has waited for work, and has some: for `on_thread_unpark`. Where nobody says so, the time
/// counts from the pause before.
pub fn begin() {
    WORKS_SINCE.set(Some(now()));
}

/// Between two pieces of work: pauses if it is time to, which it is sooner after somebody came. Gives
/// whether it did.
pub fn breathe(beside: &Awaited) -> bool {
    let now = now();
    let since = WORKS_SINCE.get().unwrap_or(now);
    let work_max = if beside.is_there(now) { WORK_BESIDE_MAX } else { WORK_MAX };
    let pauses = now.saturating_duration_since(since) >= work_max;
    if pauses {
        #[expect(
            clippy::disallowed_methods,
            reason = "there is nothing to wait for but the moment"
        )]
        sleep(PAUSE);
    }
    WORKS_SINCE.set(Some(if pauses { self::now() } else { since }));
    pauses
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time from one pause to the end of the next.
    fn next_pause(beside: &Awaited) -> Duration {
        let start = now();
        begin();
        while !breathe(beside) {}
        start.elapsed()
    }

    #[test]
    fn a_thread_pauses_after_much_work_and_sooner_after_somebody_came() {
        let beside = Awaited::default();
        assert!((0..10).all(|_| next_pause(&beside) >= WORK_MAX + PAUSE));
        // Once is enough, for a machine that is busy may take any time.
        let soon = |_| {
            beside.clone().comes();
            next_pause(&beside) < WORK_MAX
        };
        assert!((0..100).any(soon), "pauses are as rare as alone");
        let since = now();
        while since.elapsed() < STAYS {}
        assert!(next_pause(&beside) >= WORK_MAX + PAUSE);
    }
}
