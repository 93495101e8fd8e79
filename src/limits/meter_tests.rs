//! What a meter lets pass, refuses and shows, with a clock that stands until it is moved.

use super::*;
use crate::runtime::clock::Clock;
use crate::runtime::turns::Turns;

struct World {
    meter: Arc<Meter>,
    clock: Clock,
}

impl World {
    fn new(limits: Limits) -> Self {
        let clock = Clock::manual(0);
        let turns = Arc::new(Turns::new(2, clock.clone()));
        let [questions, decoding] = [turns.party(0), turns.party(0)];
        let meter = Arc::new(Meter::new(limits, clock.instant(), questions, decoding));
        Self { meter, clock }
    }

    fn with(limit: Limit, value: u64) -> Self {
        Self::new(Limits::default().with(limit, value))
    }

    fn now(&self) -> Instant {
        self.clock.instant()
    }

    fn pass(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }

    #[track_caller]
    fn check_over<T: fmt::Debug>(&self, outcome: Result<T, Over>, code: &str, wait_ms: u64) {
        let over = outcome.unwrap_err();
        assert_eq!((over.code(), over.retry_after), (code, Duration::from_millis(wait_ms)));
        assert_eq!(over.most, self.meter.limit(over.limit));
    }
}

#[test]
fn requests_at_a_time_are_given_back_whatever_becomes_of_them() {
    let world = World::with(Limit::ConcurrentRequests, 2);
    let first = world.meter.begin(world.now()).unwrap();
    let second = world.meter.begin(world.now()).unwrap();
    world.check_over(world.meter.begin(world.now()), "too_many_concurrent_requests", 1_000);
    assert_eq!(world.meter.used(Limit::ConcurrentRequests, world.now()), Some(2));
    drop(first);
    drop(world.meter.begin(world.now()).unwrap());
    drop(second);
    assert_eq!(world.meter.used(Limit::ConcurrentRequests, world.now()), Some(0));
    assert_eq!(world.meter.refused(Limit::ConcurrentRequests), 1);
}

#[test]
fn requests_in_a_second_are_counted_and_refused_ones_are_not_under_way() {
    let world = World::with(Limit::RequestsPerSecond, 4);
    for _ in 0..4 {
        drop(world.meter.begin(world.now()).unwrap());
    }
    world.check_over(world.meter.begin(world.now()), "too_many_requests", 250);
    assert_eq!(world.meter.used(Limit::ConcurrentRequests, world.now()), Some(0));
    world.pass(1_000);
    assert_eq!(world.meter.used(Limit::RequestsPerSecond, world.now()), Some(4));
    world.meter.begin(world.now()).unwrap();
}

#[test]
fn a_batch_larger_than_a_second_s_worth_passes_and_the_next_one_waits_for_it() {
    let world = World::with(Limit::EventsPerSecond, 100);
    world.meter.look_for_events(world.now()).unwrap();
    world.meter.count_events(250, world.now());
    world.check_over(world.meter.look_for_events(world.now()), "too_many_events", 1_510);
    world.pass(1_510);
    world.meter.look_for_events(world.now()).unwrap();
    assert_eq!(world.meter.refused(Limit::EventsPerSecond), 1);
}

#[test]
fn a_change_holds_at_once_and_frees_whoever_was_in_debt() {
    let world = World::with(Limit::EventsPerSecond, 1);
    world.meter.count_events(1_000_000, world.now());
    assert!(world.meter.look_for_events(world.now()).is_err());
    let limits = Limits::default().with(Limit::EventsPerSecond, 1);
    world.meter.set(limits);
    assert!(world.meter.look_for_events(world.now()).is_err(), "the same limits change nothing");
    world.meter.set(limits.with(Limit::EventsPerSecond, 2));
    world.meter.look_for_events(world.now()).unwrap();
    world.meter.set(limits.with(Limit::ConcurrentRequests, 1));
    let _one = world.meter.begin(world.now()).unwrap();
    world.check_over(world.meter.begin(world.now()), "too_many_concurrent_requests", 1_000);
}

#[test]
fn the_size_of_the_file_is_measured_when_it_is_needed_and_once_a_second() {
    let free = World::new(Limits::default());
    assert!(!free.meter.must_measure(free.now()));
    let world = World::with(Limit::Storage, 1 << 20);
    assert!(world.meter.must_measure(world.now()) && world.meter.must_measure(world.now()));
    world.meter.look_for_room().unwrap();
    world.meter.measured((1 << 20) - 1);
    world.meter.look_for_room().unwrap();
    world.pass(999);
    assert!(!world.meter.must_measure(world.now()));
    world.pass(1);
    assert!(world.meter.must_measure(world.now()));
    assert!(!world.meter.must_measure(world.now()), "one measures");
    world.meter.measured(1 << 20);
    world.check_over(world.meter.look_for_room(), "storage_full", 60_000);
    // A size that is no longer good keeps nobody from where it is measured again.
    world.check_over(world.meter.look_for_known_room(world.now()), "storage_full", 60_000);
    world.pass(1_000);
    world.meter.look_for_known_room(world.now()).unwrap();
    assert!(world.meter.must_measure(world.now()));
    world.check_over(world.meter.look_for_known_room(world.now()), "storage_full", 60_000);
    world.meter.measured(7);
    world.meter.look_for_known_room(world.now()).unwrap();
}

#[test]
fn questions_have_a_deadline_a_bound_and_a_part_in_the_processors() {
    let limits = Limits::default().with(Limit::QueryTime, 60_000).with(Limit::QueryMemory, 2 << 20);
    let world = World::new(limits);
    let budget = world.meter.budget(world.now());
    assert_eq!(budget.deadline, Some(world.now() + Duration::from_secs(60)));
    assert_eq!(budget.memory_bytes, 2 << 20);
    let turn = budget.turn(2).unwrap();
    assert_eq!(turn.processors(), 2);
    world.pass(500);
    drop(turn);
    assert_eq!(world.meter.processor_time(), Duration::from_secs(1));
    assert!(budget.check(1 << 20).is_ok());
    assert_eq!(world.meter.used(Limit::QueryMemory, world.now()), Some(1 << 20));
    world.pass(1_000);
    assert_eq!(world.meter.used(Limit::CpuShare, world.now()), Some(50));
    world.meter.question_took(Duration::from_millis(7));
    assert_eq!(world.meter.used(Limit::QueryTime, world.now()), Some(7));
    assert_eq!(world.meter.budget_without_end().deadline, None);
}

#[test]
fn refusals_are_held_back_for_a_moment_but_not_too_many_of_them() {
    let world = World::with(Limit::RequestsPerSecond, 1);
    let _passes = world.meter.begin(world.now()).unwrap();
    let over = world.meter.begin(world.now()).unwrap_err();
    let held: Vec<Held> = (0..HELD_MAX).filter_map(|_| world.meter.hold(&over)).collect();
    assert_eq!(held.len(), HELD_MAX);
    assert!(held.iter().all(|held| held.duration == HELD_FOR_MAX));
    assert!(world.meter.hold(&over).is_none());
    drop(held);
    let soon = Over { retry_after: Duration::from_millis(3), ..over };
    assert_eq!(world.meter.hold(&soon).unwrap().duration, Duration::from_millis(3));
}
