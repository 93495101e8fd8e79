//! Threads that have much to do for others who do not wait for it, and breathe: after a while they pause for
//! a moment, in which a processor is free for whoever is waited for.
//!
//! A scheduler lets whoever wakes wait for the thread that runs for up to a tick (4 ms of many kernels), also
//! where that one stands behind it, and for as many such threads as there are. It takes up who waits as
//! soon as a thread pauses.

use std::cell::Cell;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest time of work between two pauses: a write to the disk wakes several threads one after the other, and
/// each waits so long.
const WORK_MAX: Duration = Duration::from_micros(250);

/// How long a pause is at least; a timer of the kernel adds about as much.
const PAUSE: Duration = Duration::from_micros(50);

thread_local! {
    static WORKS_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
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

/// Between two pieces of work: pauses if it is time to. Gives whether it did.
pub fn breathe() -> bool {
    let now = now();
    let since = WORKS_SINCE.get().unwrap_or(now);
    let pauses = now.saturating_duration_since(since) >= WORK_MAX;
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

    #[test]
    fn a_thread_pauses_after_much_work_and_not_after_little() {
        let (start, mut pauses) = (now(), 0);
        begin();
        while pauses < 10 {
            pauses += u32::from(breathe());
        }
        assert!(start.elapsed() >= 10 * (WORK_MAX + PAUSE));
    }
}
