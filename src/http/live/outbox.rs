//! What waits to be sent to one connection: the only thing that others put something into.
//!
//! *Invariants*: it holds a bounded number of updates and bytes. Where one more does not fit, all are
//! dropped, and each subscription that lost one is told from which seq it has to go on: the first it
//! lost. Nothing is ever put in for a registration that has lagged or ended. Putting something in
//! waits for nobody.

use bytes::Bytes;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use storage::row::Seq;

/// Most updates that wait: two thirds of a second at one each 5 ms.
const UPDATES_MAX: usize = 128;

/// Most bytes that wait, beside one update that is longer on its own. The texts are shared, so this is
/// about how far behind one may be, not about memory.
const BYTES_MAX: usize = 4 << 20;

/// A subscription's place among those that are live. Never used again.
pub(super) type Registration = u64;

/// Why a connection is to be closed by others than its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// Whoever watches may not any more.
    Revoked,
    /// Whoever watches may see something else than before.
    SightChanged,
    /// There is nothing more to be had.
    Failed,
}

/// An update on its way to a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queued {
    pub(super) registration: Registration,
    pub(super) first: Seq,
    pub(super) text: Bytes,
}

/// What waits to be sent to one connection.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Queued>,
    bytes: usize,
    live: Vec<Registration>,
    lagged: Vec<(Registration, Seq)>,
    closing: Option<Closing>,
    /// Something has happened of which the owner was not told.
    has_news: bool,
    /// The owner, while it waits for that. It lies here and not beside the lock, for whoever puts
    /// something into thousands of these mostly waits for memory.
    waiting: Option<Waker>,
}

/// What was taken out.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) updates: Vec<Queued>,
    /// Those that lost something, and from where they go on. Not before `updates` are sent.
    pub(super) lagged: Vec<(Registration, Seq)>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once something was put in, or the connection is to be closed. For its owner alone: only
    /// the last who asked is told.
    pub(super) async fn news(&self) {
        poll_fn(|cx| {
            let mut inner = self.lock();
            if std::mem::take(&mut inner.has_news) {
                return Poll::Ready(());
            }
            inner.waiting = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Lets updates in for `registration`.
    pub(super) fn admit(&self, registration: Registration) {
        self.lock().live.push(registration);
    }

    /// Puts an update in that begins at `first`. `false`: the registration is not live, or not any
    /// more.
    pub(super) fn push(&self, registration: Registration, first: Seq, text: &Bytes) -> bool {
        let mut inner = self.lock();
        if !inner.live.contains(&registration) {
            return false;
        }
        let over = inner.queue.len() >= UPDATES_MAX || inner.bytes + text.len() > BYTES_MAX;
        let fits = inner.queue.is_empty() || !over;
        if fits {
            inner.bytes += text.len();
            inner.queue.push_back(Queued { registration, first, text: text.clone() });
        } else {
            inner.drop_all();
            inner.lag(registration, first);
        }
        Inner::tell(inner);
        fits
    }

    /// Has `registration` go on from `from` by itself.
    pub(super) fn lag(&self, registration: Registration, from: Seq) {
        let mut inner = self.lock();
        let queued = inner.queue.iter().find(|queued| queued.registration == registration);
        let from = queued.map_or(from, |queued| queued.first);
        inner.forget(registration);
        inner.lag(registration, from);
        Inner::tell(inner);
    }

    /// Lets nothing more in for `registration`, and drops what is there.
    pub(super) fn forget(&self, registration: Registration) {
        let mut inner = self.lock();
        inner.live.retain(|live| *live != registration);
        inner.lagged.retain(|(lagged, _)| *lagged != registration);
        inner.forget(registration);
    }

    /// Up to `bytes_max` of updates, at least one if there is one, and who lagged.
    pub(super) fn take(&self, bytes_max: usize) -> Taken {
        let mut inner = self.lock();
        let (mut taken, mut bytes) = (Taken::default(), 0);
        while bytes < bytes_max
            && let Some(queued) = inner.queue.pop_front()
        {
            bytes += queued.text.len();
            taken.updates.push(queued);
        }
        inner.bytes -= bytes;
        // Whoever lagged has nothing in the queue.
        taken.lagged = std::mem::take(&mut inner.lagged);
        taken
    }

    /// Has the connection closed.
    pub(super) fn close(&self, closing: Closing) {
        let mut inner = self.lock();
        inner.closing.get_or_insert(closing);
        Inner::tell(inner);
    }

    /// Whether, and why, the connection is to be closed.
    pub(super) fn closing(&self) -> Option<Closing> {
        self.lock().closing
    }
}

impl Inner {
    /// Tells the owner that something has happened, and ends what was done under the lock.
    fn tell(mut inner: MutexGuard<'_, Self>) {
        inner.has_news = true;
        let waiting = inner.waiting.take();
        drop(inner);
        if let Some(owner) = waiting {
            owner.wake();
        }
    }

    fn forget(&mut self, registration: Registration) {
        self.queue.retain(|queued| queued.registration != registration);
        self.bytes = self.queue.iter().map(|queued| queued.text.len()).sum();
    }

    fn drop_all(&mut self) {
        for queued in std::mem::take(&mut self.queue) {
            self.lag(queued.registration, queued.first);
        }
        self.bytes = 0;
    }

    /// The first seq that is told wins: updates are dropped in their order.
    fn lag(&mut self, registration: Registration, from: Seq) {
        self.live.retain(|live| *live != registration);
        if !self.lagged.iter().any(|(lagged, _)| *lagged == registration) {
            self.lagged.push((registration, from));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: usize) -> Bytes {
        vec![b'x'; bytes].into()
    }

    #[test]
    fn what_does_not_fit_drops_all_and_says_from_where_each_goes_on() {
        let outbox = Outbox::default();
        (1..=3).for_each(|registration| outbox.admit(registration));
        for n in 0..UPDATES_MAX as Seq {
            assert!(outbox.push(1 + n % 2, 10 + n, &text(8)));
        }
        assert!(!outbox.push(2, 900, &text(8)));
        assert!(!outbox.push(1, 901, &text(8)), "it lagged already");
        assert!(outbox.push(3, 902, &text(8)), "it lost nothing");
        let taken = outbox.take(usize::MAX);
        assert_eq!(taken.lagged, [(1, 10), (2, 11)]);
        assert_eq!(taken.updates, [Queued { registration: 3, first: 902, text: text(8) }]);
        outbox.admit(4);
        assert!(outbox.push(4, 5, &text(2 * BYTES_MAX)), "one may be longer on its own");
        assert!(!outbox.push(3, 6, &text(1)));
        assert_eq!(outbox.take(usize::MAX).lagged, [(4, 5), (3, 6)]);
    }

    #[test]
    fn what_was_forgotten_is_gone_and_what_is_made_to_lag_goes_on_from_its_first_loss() {
        let outbox = Outbox::default();
        outbox.admit(1);
        outbox.admit(2);
        assert!(outbox.push(1, 7, &text(1)) && outbox.push(2, 7, &text(1)));
        outbox.forget(1);
        assert!(!outbox.push(1, 8, &text(1)));
        outbox.lag(2, 9);
        let taken = outbox.take(usize::MAX);
        assert_eq!((taken.updates, taken.lagged), (vec![], vec![(2, 7)]));
        assert_eq!(outbox.closing(), None);
        outbox.close(Closing::Revoked);
        outbox.close(Closing::Failed);
        assert_eq!(outbox.closing(), Some(Closing::Revoked));
    }

    #[test]
    fn no_more_than_wanted_is_taken_but_at_least_one() {
        let outbox = Outbox::default();
        outbox.admit(1);
        (0..3).for_each(|n| assert!(outbox.push(1, n, &text(10))));
        assert_eq!(outbox.take(1).updates.len(), 1);
        assert_eq!(outbox.take(11).updates.len(), 2);
        assert!(outbox.take(11).updates.is_empty());
    }
}
