//! One tenant's use of what all share: counted as it begins and ends, refused where it is over.

use super::latencies::Latencies;
use super::table::{Limit, Limits};
use crate::runtime::pool::Places;
use crate::runtime::rate::{Bucket, PerSecond};
use crate::runtime::turns::Party;
use arc_swap::ArcSwap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use storage::ask::Budget;

/// Questions of a tenant that may wait for a thread, for each processor.
const QUESTIONS_WAITING_MAX: usize = 256;

/// Bodies of a tenant that may wait to be decoded, for each processor.
const BODIES_WAITING_MAX: usize = 256;

/// Exports of a tenant at a time, and how many more may wait.
const EXPORTS_MAX: usize = 4;
const EXPORTS_WAITING_MAX: usize = 16;

/// Pieces of a tenant's work that wait for the disk at a time, a quarter of what there is for all, and
/// how many more may wait for their turn.
const DISK_MAX: usize = 16;
const DISK_WAITING_MAX: usize = 1024;

/// For how long a size of the tenant's file is good: what is written meanwhile may lie above the limit.
const SIZE_GOOD: Duration = Duration::from_secs(1);

/// When to come back where it is not known when there will be room.
const LATER: Duration = Duration::from_secs(1);

/// When to come back where somebody has to delete or to allow something first.
const MUCH_LATER: Duration = Duration::from_secs(60);

/// Refusals that are held back at a time: each keeps a request in memory.
const HELD_MAX: usize = 256;

/// How long a refusal is held back at most. Whoever asks again at once, over and over, would else cost
/// more by being refused than by being answered.
const HELD_FOR_MAX: Duration = Duration::from_millis(100);

/// A size that is not known.
const UNKNOWN: u64 = u64::MAX;

/// What a tenant may use, and uses.
pub struct Meter {
    limits: ArcSwap<Limits>,
    /// Where nanoseconds begin.
    epoch: Instant,
    requests: Bucket,
    events: Bucket,
    requests_counted: PerSecond,
    events_counted: PerSecond,
    in_flight: AtomicU64,
    in_flight_max: AtomicU64,
    refused: [AtomicU64; 8],
    held: AtomicUsize,
    /// The part in the processors for questions, and for the decoding of rows.
    questions: Arc<Party>,
    decoding: Arc<Party>,
    /// Threads for questions.
    pub question_places: Places,
    /// Of bodies.
    pub body_places: Places,
    /// Of exports.
    pub export_places: Places,
    /// Of what waits for the disk.
    pub disk_places: Places,
    question_ns_most: AtomicU64,
    question_bytes_most: Arc<AtomicUsize>,
    file_bytes: AtomicU64,
    measured_ns: AtomicU64,
    /// How long requests took.
    pub latencies: Latencies,
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("limits", &self.limits.load()).finish_non_exhaustive()
    }
}

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Which.
    pub limit: Limit,
    /// Its value.
    pub most: u64,
    /// When to try again.
    pub retry_after: Duration,
}

impl Over {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self.limit {
            Limit::RequestsPerSecond => "too_many_requests",
            Limit::EventsPerSecond => "too_many_events",
            Limit::ConcurrentRequests => "too_many_concurrent_requests",
            Limit::WebsocketConnections => "too_many_watchers",
            Limit::Storage => "storage_full",
            // Of these a question says itself that it is over, or it waits.
            Limit::QueryTime | Limit::QueryMemory | Limit::CpuShare => self.limit.as_str(),
        }
    }

    /// What the limit is counted in, seconds; `None`: it is one at a time.
    pub fn window_s(&self) -> Option<u64> {
        matches!(self.limit, Limit::RequestsPerSecond | Limit::EventsPerSecond).then_some(1)
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { most, .. } = self;
        match self.limit {
            Limit::RequestsPerSecond => {
                write!(f, "this tenant may send {most} requests a second: send less, or later")
            }
            Limit::EventsPerSecond => {
                write!(f, "this tenant may send {most} executions a second: send less, or later")
            }
            Limit::ConcurrentRequests => {
                write!(f, "{most} requests of this tenant are under way: wait for some of them")
            }
            Limit::WebsocketConnections => {
                write!(f, "as many connections of this tenant watch as may, {most}: close some")
            }
            Limit::Storage => write!(
                f,
                "this tenant stores as much as it may, {most} bytes: delete something, or have the limit \
                 raised; nothing was lost, and everything can be read"
            ),
            Limit::QueryTime | Limit::QueryMemory | Limit::CpuShare => {
                write!(f, "`{}` of this tenant is {most}", self.limit.as_str())
            }
        }
    }
}

impl std::error::Error for Over {}

/// A request that is under way.
#[derive(Debug)]
pub struct InFlight(Arc<Meter>);

impl InFlight {
    /// Whose.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A refusal that is held back.
#[derive(Debug)]
pub struct Held {
    meter: Arc<Meter>,
    /// For how long.
    pub duration: Duration,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meter.held.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Meter {
    /// Nothing is used yet.
    pub(super) fn new(limits: Limits, epoch: Instant, questions: Party, decoding: Party) -> Self {
        let processors = questions.processors();
        let meter = Self {
            limits: ArcSwap::from_pointee(limits),
            epoch,
            requests: Bucket::default(),
            events: Bucket::default(),
            requests_counted: PerSecond::default(),
            events_counted: PerSecond::default(),
            in_flight: AtomicU64::new(0),
            in_flight_max: AtomicU64::new(0),
            refused: [const { AtomicU64::new(0) }; 8],
            held: AtomicUsize::new(0),
            questions: Arc::new(questions),
            decoding: Arc::new(decoding),
            question_places: Places::new(processors, processors * QUESTIONS_WAITING_MAX),
            body_places: Places::new(processors, processors * BODIES_WAITING_MAX),
            export_places: Places::new(EXPORTS_MAX, EXPORTS_WAITING_MAX),
            disk_places: Places::new(DISK_MAX, DISK_WAITING_MAX),
            question_ns_most: AtomicU64::new(0),
            question_bytes_most: Arc::default(),
            file_bytes: AtomicU64::new(UNKNOWN),
            measured_ns: AtomicU64::new(0),
            latencies: Latencies::default(),
        };
        meter.apply(limits);
        meter
    }

    /// From now on these limits hold. Where they are others, what was counted of rates is forgotten.
    pub(super) fn set(&self, limits: Limits) {
        if **self.limits.load() != limits {
            self.apply(limits);
        }
    }

    fn apply(&self, limits: Limits) {
        self.requests.set(limits.of(Limit::RequestsPerSecond));
        self.events.set(limits.of(Limit::EventsPerSecond));
        self.in_flight_max.store(limits.of(Limit::ConcurrentRequests), Ordering::Relaxed);
        let percent = u32::try_from(limits.of(Limit::CpuShare)).unwrap_or(u32::MAX);
        self.questions.set_percent(percent);
        self.decoding.set_percent(percent);
        self.limits.store(Arc::new(limits));
    }

    /// The value of a limit.
    pub fn limit(&self, limit: Limit) -> u64 {
        self.limits.load().of(limit)
    }

    fn ns(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.epoch);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn over(&self, limit: Limit, retry_after: Duration) -> Over {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
        Over { limit, most: self.limit(limit), retry_after }
    }

    /// Counts a request that begins now, and until what it gives is dropped as one under way.
    pub fn begin(self: &Arc<Self>, now: Instant) -> Result<InFlight, Over> {
        let under_way = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let in_flight = InFlight(Arc::clone(self));
        if under_way >= self.in_flight_max.load(Ordering::Relaxed) {
            return Err(self.over(Limit::ConcurrentRequests, LATER));
        }
        let now_ns = self.ns(now);
        if let Err(wait_ns) = self.requests.take(1, now_ns) {
            return Err(self.over(Limit::RequestsPerSecond, Duration::from_nanos(wait_ns)));
        }
        self.requests_counted.add(1, now_ns);
        Ok(in_flight)
    }

    /// Fails where executions are owed: before any more are read.
    pub fn look_for_events(&self, now: Instant) -> Result<(), Over> {
        self.events
            .look(self.ns(now))
            .map_err(|wait_ns| self.over(Limit::EventsPerSecond, Duration::from_nanos(wait_ns)))
    }

    /// Counts executions that were read. However many they are they are taken, for whoever is over waits
    /// for the next ones: else a request with more than there may be in a second could never be sent.
    pub fn count_events(&self, count: usize, now: Instant) {
        let (count, now_ns) = (count as u64, self.ns(now));
        self.events.owe(count, now_ns);
        self.events_counted.add(count, now_ns);
    }

    /// How many may watch.
    pub fn watchers_max(&self) -> usize {
        usize::try_from(self.limit(Limit::WebsocketConnections)).unwrap_or(usize::MAX)
    }

    /// Counts that somebody may not watch because as many do as may.
    pub fn too_many_watchers(&self) -> Over {
        self.over(Limit::WebsocketConnections, LATER)
    }

    /// Fails where the tenant's file is as large as it may be, as far as that is known.
    pub fn look_for_room(&self) -> Result<(), Over> {
        let (most, bytes) = (self.limit(Limit::Storage), self.file_bytes.load(Ordering::Relaxed));
        match most > 0 && bytes != UNKNOWN && bytes >= most {
            true => Err(self.over(Limit::Storage, MUCH_LATER)),
            false => Ok(()),
        }
    }

    /// The same before it is known whether the size has to be measured. One that is no longer good
    /// refuses nobody: else nobody would come to where it is measured again.
    pub fn look_for_known_room(&self, now: Instant) -> Result<(), Over> {
        match self.knows_size(now) {
            true => self.look_for_room(),
            false => Ok(()),
        }
    }

    fn knows_size(&self, now: Instant) -> bool {
        let measured_ns = self.measured_ns.load(Ordering::Relaxed);
        let is_known = self.file_bytes.load(Ordering::Relaxed) != UNKNOWN;
        is_known && self.ns(now).saturating_sub(measured_ns) < SIZE_GOOD.as_nanos() as u64
    }

    /// Whether the size of the tenant's file has to be measured now, by whoever asks: it is needed, and not
    /// known or no longer good.
    pub fn must_measure(&self, now: Instant) -> bool {
        if self.limit(Limit::Storage) == 0 {
            return false;
        }
        let (now_ns, order) = (self.ns(now), Ordering::Relaxed);
        let measured_ns = self.measured_ns.load(order);
        if self.knows_size(now) {
            return false;
        }
        let is_known = self.file_bytes.load(order) != UNKNOWN;
        // Of those who come together one measures; nobody goes on before the first size is known.
        let is_mine = self.measured_ns.compare_exchange(measured_ns, now_ns, order, order).is_ok();
        is_mine || !is_known
    }

    /// Takes in what was measured.
    pub fn measured(&self, file_bytes: u64) {
        self.file_bytes.store(file_bytes.min(UNKNOWN - 1), Ordering::Relaxed);
    }

    /// The budget of a question that begins now.
    pub fn budget(&self, now: Instant) -> Budget {
        let time = Duration::from_millis(self.limit(Limit::QueryTime));
        Budget { deadline: now.checked_add(time), ..self.budget_without_end() }
    }

    /// The same for what may take its time.
    pub fn budget_without_end(&self) -> Budget {
        let most = self.limit(Limit::QueryMemory);
        Budget {
            memory_bytes: usize::try_from(most).unwrap_or(usize::MAX),
            peak_bytes: Arc::clone(&self.question_bytes_most),
            turns: Some(Arc::<Party>::clone(&self.questions)),
            ..Budget::default()
        }
    }

    /// Counts how long a question took.
    pub fn question_took(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.question_ns_most.fetch_max(ns, Ordering::Relaxed);
    }

    /// The tenant's part in the processors that decode rows.
    pub fn decoding(&self) -> &Party {
        &self.decoding
    }

    /// Processor time of questions and decoding, in turns.
    pub fn processor_time(&self) -> Duration {
        Duration::from_nanos(self.questions.used_ns().saturating_add(self.decoding.used_ns()))
    }

    /// How long a refusal is to be held back, if it is.
    pub fn hold(self: &Arc<Self>, over: &Over) -> Option<Held> {
        if matches!(over.limit, Limit::Storage) {
            return None; // it is not the rate that is wrong
        }
        if self.held.fetch_add(1, Ordering::Relaxed) >= HELD_MAX {
            self.held.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let duration = over.retry_after.min(HELD_FOR_MAX);
        Some(Held { meter: Arc::clone(self), duration })
    }

    /// How much is used now of what there may be; of questions the most there was. `None`: it is not
    /// counted here, or not known.
    pub fn used(&self, limit: Limit, now: Instant) -> Option<u64> {
        let now_ns = self.ns(now);
        match limit {
            Limit::RequestsPerSecond => Some(self.requests_counted.last(now_ns)),
            Limit::EventsPerSecond => Some(self.events_counted.last(now_ns)),
            Limit::ConcurrentRequests => Some(self.in_flight.load(Ordering::Relaxed)),
            Limit::QueryTime => Some(self.question_ns_most.load(Ordering::Relaxed) / 1_000_000),
            Limit::QueryMemory => Some(self.question_bytes_most.load(Ordering::Relaxed) as u64),
            Limit::CpuShare => Some(self.share_used(now)),
            Limit::WebsocketConnections | Limit::Storage => None,
        }
    }

    /// Hundredths of the processors that questions and decoding had in the last whole second.
    fn share_used(&self, now: Instant) -> u64 {
        let us = self.questions.used_us(now) + self.decoding.used_us(now);
        (us / (10_000 * self.questions.processors() as u64)).min(100)
    }

    /// How often somebody was refused for a limit since the start.
    pub fn refused(&self, limit: Limit) -> u64 {
        self.refused[limit as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
