//! Who computes next: processors are shared out to parties in turns of a few milliseconds, each as its
//! share allows, however much any of them has to do.
//!
//! A party that is alone gets whatever it wants. From the moment on that another one has asked, and for
//! [`REMEMBERED`] after, each keeps to its share, so that whoever comes back finds a processor that nobody
//! has: a turn that is under way cannot be taken away, and short questions must not wait for long ones. A
//! share is rounded down to whole processors; of a share below one it pauses between its turns.
//!
//! A party that had half of its share or more is *heavy* for [`REMEMBERED`]: while others ask, its turns are
//! *behind*, meant for threads that run when no other thread wants to. A scheduler lets whoever wakes wait for
//! up to a tick, 4 ms of many kernels, however far behind (`nice`) the thread is that computes; not so
//! for these. Where every processor is always wanted, whoever is heavy waits.
//!
//! *Invariants*: no more processors are given than there are, where those that are given behind count for
//! whoever is behind too, and for nobody else: they give way. Whoever waits is given a turn as soon as one
//! is free that it may have, and the one who had least for its share comes first. Nothing is held while
//! somebody waits.

use super::clock::Clock;
use super::pool;
use super::rate::PerSecond;
use rayon::ThreadPool;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use storage::turns::Taken;

/// How long room is kept for somebody who asked: longer than a page that is looked at is quiet.
const REMEMBERED: Duration = Duration::from_secs(10);

/// How often it is enough to say that somebody is there who takes no turn.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// Longest pause between two turns of a party: with the least share a long turn would pause for minutes.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Longest wait on a clock that tests may move.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Parties that are remembered at least. Beyond it those go that have nothing to do.
const PARTIES_KEPT: usize = 64;

/// Processors, and who uses them.
pub struct Turns {
    inner: Mutex<Inner>,
    processors: usize,
    clock: Clock,
    began: Instant,
    next_party: AtomicU64,
    /// How many wait, for a look without the lock.
    waiting: AtomicUsize,
    /// Threads that stand behind all others, made when the first turn is meant for them. `None`: there are
    /// none to be had.
    behind: OnceLock<Option<ThreadPool>>,
}

/// One of those who share the processors.
pub struct Party {
    turns: Arc<Turns>,
    id: u64,
    /// Hundredths of all processors.
    percent: AtomicU32,
    /// Processor time used, nanoseconds.
    used_ns: AtomicU64,
    /// The same of each second, microseconds.
    used_lately_us: PerSecond,
    /// Until when it is heavy, nanoseconds since the beginning.
    heavy_until_ns: AtomicU64,
    /// From when on it may [show itself](Self::show) again.
    shows_again_ns: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    taken: usize,
    /// Those given behind, not among `taken`.
    taken_behind: usize,
    accounts: HashMap<u64, Account>,
    /// What whoever had the last turn had had before: where newcomers begin.
    level: u64,
    /// Who asked last, and who before that.
    last: Option<(u64, Instant)>,
    before: Option<(u64, Instant)>,
}

#[derive(Debug, Default)]
struct Account {
    percent: u32,
    /// Processors in use.
    running: usize,
    /// Nanoseconds had, divided by the share.
    had: u64,
    /// No turn before.
    pauses_until: Option<Instant>,
    waiting: VecDeque<Arc<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    wanted: usize,
    is_behind: bool,
    /// Processors given; 0: it still waits. Changed with the lock held.
    given: AtomicUsize,
    bell: Condvar,
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("processors", &self.processors).finish_non_exhaustive()
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Turns {
    /// Shares out so many processors.
    pub fn new(processors: usize, clock: Clock) -> Self {
        Self {
            inner: Mutex::default(),
            processors: processors.max(1),
            began: clock.instant(),
            clock,
            next_party: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            behind: OnceLock::new(),
        }
    }

    /// A new party with a share of so many hundredths of the processors.
    pub fn party(self: &Arc<Self>, percent: u32) -> Party {
        let id = self.next_party.fetch_add(1, Ordering::Relaxed);
        Party {
            turns: Arc::clone(self),
            id,
            percent: AtomicU32::new(percent),
            used_ns: AtomicU64::new(0),
            used_lately_us: PerSecond::default(),
            heavy_until_ns: AtomicU64::new(0),
            shows_again_ns: AtomicU64::new(0),
        }
    }

    /// Nanoseconds since the beginning.
    fn ns(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives turns to whoever may have one.
    fn share_out(&self, inner: &mut Inner, now: Instant) {
        loop {
            let may = |(id, account): (&u64, &Account)| {
                let room = self.room(inner, *id, account, now);
                (room > 0 && !account.waiting.is_empty()).then_some((account.had, *id, room))
            };
            let candidates = inner.accounts.iter().filter_map(may);
            let (mut others, mut next): (usize, Option<(u64, u64, usize)>) = (0, None);
            for candidate in candidates {
                others += 1;
                next = Some(next.map_or(candidate, |least| least.min(candidate)));
            }
            let Some((had, id, room)) = next else { return };
            let free = inner.accounts.get(&id).map_or(0, |account| self.free(inner, account));
            let Some(account) = inner.accounts.get_mut(&id) else { return };
            let Some(waiter) = account.waiting.pop_front() else { return };
            let given = waiter.wanted.min(room).min((free / others).max(1));
            account.running += given;
            match waiter.is_behind {
                true => inner.taken_behind += given,
                false => inner.taken += given,
            }
            inner.level = inner.level.max(had);
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            waiter.given.store(given, Ordering::Relaxed);
            waiter.bell.notify_one();
        }
    }

    /// How many processors nobody has before whom the next turn of a party comes.
    fn free(&self, inner: &Inner, account: &Account) -> usize {
        let is_behind = account.waiting.front().is_some_and(|waiter| waiter.is_behind);
        let taken = inner.taken + if is_behind { inner.taken_behind } else { 0 };
        self.processors.saturating_sub(taken)
    }

    /// How many more processors a party may have now.
    fn room(&self, inner: &Inner, id: u64, account: &Account, now: Instant) -> usize {
        let free = self.free(inner, account);
        if !inner.is_crowded(id, now) {
            return free;
        }
        if account.pauses_until.is_some_and(|until| until > now) {
            return 0;
        }
        let share = (self.processors * account.percent as usize / 100).max(1);
        free.min(share.saturating_sub(account.running))
    }

    /// How long a party pauses after it used a processor for `used`, where its share is below one.
    fn pause(&self, percent: u32, used: Duration) -> Duration {
        let share = self.processors as f64 * f64::from(percent.max(1)) / 100.0;
        if share >= 1.0 {
            return Duration::ZERO;
        }
        used.mul_f64(1.0 / share - 1.0).min(PAUSE_MAX)
    }
}

impl Inner {
    /// Whether somebody else asked lately who may have a turn now. For one who pauses no room is kept: once
    /// the pause is over it waits, and a turn that lasts for long ends for it.
    fn is_crowded(&self, id: u64, now: Instant) -> bool {
        let others = [self.last, self.before].into_iter().flatten();
        others.filter(|(other, _)| *other != id).any(|(other, at)| {
            let since = now.saturating_duration_since(at);
            since < REMEMBERED && !self.pauses(other, now)
        })
    }

    fn pauses(&self, id: u64, now: Instant) -> bool {
        let account = self.accounts.get(&id);
        account.and_then(|account| account.pauses_until).is_some_and(|until| until > now)
    }

    fn seen(&mut self, id: u64, now: Instant) {
        if self.last.is_some_and(|(last, _)| last != id) {
            self.before = self.last;
        }
        self.last = Some((id, now));
    }

    fn account(&mut self, id: u64, percent: u32) -> &mut Account {
        if self.accounts.len() >= 2 * PARTIES_KEPT {
            self.accounts.retain(|_, account| account.running > 0 || !account.waiting.is_empty());
        }
        let level = self.level;
        let account = self.accounts.entry(id).or_default();
        account.percent = percent;
        if account.running == 0 && account.waiting.is_empty() {
            // What somebody did not ask for is not made up for later.
            account.had = account.had.max(level);
        }
        account
    }
}

impl Party {
    /// From now on its share is so many hundredths.
    pub fn set_percent(&self, percent: u32) {
        self.percent.store(percent, Ordering::Relaxed);
    }

    /// Processor time used, nanoseconds.
    pub fn used_ns(&self) -> u64 {
        self.used_ns.load(Ordering::Relaxed)
    }

    /// Processor time of the turns that ended in the last whole second, microseconds.
    pub fn used_us(&self, now: Instant) -> u64 {
        self.used_lately_us.last(self.turns.ns(now))
    }

    /// It is here, though what it has to do needs no turn: others are to keep to their share.
    pub fn show(&self, now: Instant) {
        let (now_ns, again_ns) = (self.turns.ns(now), &self.shows_again_ns);
        if now_ns >= again_ns.load(Ordering::Relaxed) {
            again_ns.store(now_ns + SHOWN_EVERY.as_nanos() as u64, Ordering::Relaxed);
            self.turns.lock().seen(self.id, now);
        }
    }

    /// Counts what was used, and whether that makes it heavy for a while.
    fn count(&self, used_ns: u64, now: Instant) {
        let now_ns = self.turns.ns(now);
        self.used_ns.fetch_add(used_ns, Ordering::Relaxed);
        self.used_lately_us.add(used_ns / 1_000, now_ns);
        // Of a second, in hundredths of a processor; rounded down as it is given.
        let share = self.turns.processors as u64 * u64::from(self.percent());
        let share = if share < 100 { share } else { share - share % 100 };
        if 2 * self.used_lately_us.most(now_ns) >= 10_000 * share {
            let until_ns = now_ns.saturating_add(REMEMBERED.as_nanos() as u64);
            self.heavy_until_ns.store(until_ns, Ordering::Relaxed);
        }
    }

    fn percent(&self) -> u32 {
        self.percent.load(Ordering::Relaxed)
    }

    /// How many processors are shared out.
    pub fn processors(&self) -> usize {
        self.turns.processors
    }

    /// Computes something in a turn, and at the moments that `work` says in another one.
    pub fn in_turns<R>(&self, work: impl FnOnce(&mut dyn FnMut()) -> R) -> R {
        let mut turn = self.turn();
        work(&mut || {
            drop(turn.take()); // whoever waits comes first
            turn = self.turn();
        })
    }

    fn turn(&self) -> Option<End<'_>> {
        use storage::turns::Turns as _;
        self.take(1, None).map(|taken| End { party: self, taken })
    }
}

/// Gives back what was taken, also where the work panics.
struct End<'a> {
    party: &'a Party,
    taken: Taken,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        storage::turns::Turns::give_back(self.party, self.taken);
    }
}

impl storage::turns::Turns for Party {
    fn take(&self, wanted: usize, until: Option<Instant>) -> Option<Taken> {
        let turns = &*self.turns;
        let wanted = wanted.clamp(1, turns.processors);
        let mut inner = turns.lock();
        let mut now = turns.clock.instant();
        let is_heavy = turns.ns(now) < self.heavy_until_ns.load(Ordering::Relaxed);
        let is_behind = is_heavy && inner.is_crowded(self.id, now);
        let (given, bell) = (AtomicUsize::new(0), Condvar::new());
        let waiter = Arc::new(Waiter { wanted, is_behind, given, bell });
        inner.seen(self.id, now);
        let percent = self.percent();
        inner.account(self.id, percent).waiting.push_back(Arc::clone(&waiter));
        turns.waiting.fetch_add(1, Ordering::Relaxed);
        turns.share_out(&mut inner, now);
        loop {
            let processors = waiter.given.load(Ordering::Relaxed);
            if processors > 0 {
                return Some(Taken { processors, since: now, is_behind, used: None });
            }
            let account = inner.accounts.get_mut(&self.id)?;
            if until.is_some_and(|until| until <= now) {
                account.waiting.retain(|other| !Arc::ptr_eq(other, &waiter));
                turns.waiting.fetch_sub(1, Ordering::Relaxed);
                return None;
            }
            let ends = [until, account.pauses_until].into_iter().flatten().filter(|at| *at > now);
            // A pause ends by itself, and so does the time in which room is kept: nobody rings then.
            let within = ends.map(|at| at - now).min().unwrap_or(LOOK_EVERY).min(LOOK_EVERY);
            let waited = waiter.bell.wait_timeout(inner, within);
            (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
            now = turns.clock.instant();
            turns.share_out(&mut inner, now);
        }
    }

    fn is_wanted(&self) -> bool {
        let turns = &*self.turns;
        turns.waiting.load(Ordering::Relaxed) > 0
            || turns.lock().is_crowded(self.id, turns.clock.instant())
    }

    fn give_back(&self, taken: Taken) {
        let turns = &*self.turns;
        let mut inner = turns.lock();
        let now = turns.clock.instant();
        let elapsed = taken.used.unwrap_or(now.saturating_duration_since(taken.since));
        let used = elapsed.saturating_mul(u32::try_from(taken.processors).unwrap_or(u32::MAX));
        let used_ns = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        self.count(used_ns, now);
        let part = if taken.is_behind { &mut inner.taken_behind } else { &mut inner.taken };
        *part = part.saturating_sub(taken.processors);
        let percent = self.percent();
        let pause = turns.pause(percent, used);
        if let Some(account) = inner.accounts.get_mut(&self.id) {
            account.running = account.running.saturating_sub(taken.processors);
            account.had = account.had.saturating_add(used_ns / u64::from(percent.max(1)));
            let until = now.checked_add(pause).filter(|_| !pause.is_zero());
            account.pauses_until = account.pauses_until.max(until);
        }
        inner.seen(self.id, now);
        turns.share_out(&mut inner, now);
    }

    fn threads(&self, taken: Taken) -> Option<&ThreadPool> {
        let turns = &*self.turns;
        let make = || {
            let threads = pool::last_threads(turns.processors);
            let tell = |error| tracing::warn!(%error, "no threads that stand behind others");
            threads.map_err(tell).ok()
        };
        taken.is_behind.then(|| turns.behind.get_or_init(make).as_ref()).flatten()
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
