//! Turns are counted and not timed: the clock stands until the test moves it.

use super::*;
use storage::turns::Turns as _;

const TURN: Duration = Duration::from_millis(4);

fn shared(processors: usize) -> (Arc<Turns>, Clock) {
    let clock = Clock::manual(0);
    (Arc::new(Turns::new(processors, clock.clone())), clock)
}

fn waiting(turns: &Turns) -> usize {
    turns.waiting.load(Ordering::Relaxed)
}

#[test]
fn parties_that_always_want_more_take_turns() {
    const TURNS: usize = 60;
    let (turns, clock) = shared(1);
    let parties = [turns.party(50), turns.party(50)];
    let (order, gate) = (Mutex::new(Vec::new()), turns.party(100));
    let first = gate.take(1, None).unwrap();
    std::thread::scope(|scope| {
        // Two askers for each party, so that one always waits while the other has its turn.
        for n in [0, 0, 1, 1] {
            let (order, clock, party) = (&order, &clock, &parties[n]);
            scope.spawn(move || {
                for _ in 0..TURNS / 4 {
                    let taken = party.take(1, None).unwrap();
                    order.lock().unwrap().push(n);
                    clock.advance(TURN);
                    party.give_back(taken);
                }
            });
        }
        while waiting(&turns) < 4 {
            std::thread::yield_now();
        }
        gate.give_back(first);
    });
    let order = order.into_inner().unwrap();
    assert_eq!(order.len(), TURNS);
    // Up to where the first is done, each has had about half.
    let half = order[..TURNS / 2].iter().filter(|n| **n == 0).count();
    assert!((TURNS / 4 - 4..=TURNS / 4 + 4).contains(&half), "{order:?}");
}

#[test]
fn whoever_had_least_for_its_share_comes_first() {
    let (turns, clock) = shared(1);
    let (large, small) = (turns.party(100), turns.party(100));
    // Both ask while the processor is taken; the one who had it is the last to have it again.
    let taken = large.take(1, None).unwrap();
    clock.advance(TURN);
    let order = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let (order, large, small) = (&order, &large, &small);
        for (name, party) in [("large", large), ("large", large), ("small", small)] {
            let before = waiting(&turns);
            scope.spawn(move || {
                let taken = party.take(1, None).unwrap();
                order.lock().unwrap().push(name);
                party.give_back(taken);
            });
            while waiting(&turns) == before {
                std::thread::yield_now();
            }
        }
        large.give_back(taken);
        while order.lock().unwrap().len() < 3 {
            std::thread::yield_now();
        }
        assert_eq!(order.lock().unwrap()[0], "small", "it came last and had nothing before");
    });
}

#[test]
fn a_party_that_is_alone_has_all_and_keeps_room_once_somebody_else_asked() {
    let (turns, clock) = shared(4);
    let (noisy, quiet) = (turns.party(50), turns.party(50));
    let all = noisy.take(4, None).unwrap();
    assert_eq!(all.processors, 4);
    assert!(!noisy.is_wanted());
    noisy.give_back(all);

    let short = quiet.take(1, None).unwrap();
    assert!(noisy.is_wanted(), "a long turn ends where somebody else asked");
    let half = noisy.take(4, None).unwrap();
    assert_eq!(half.processors, 2);
    quiet.give_back(short);
    // Nobody waits, and still there is room for whoever comes back.
    assert_eq!(quiet.take(4, Some(clock.instant())).unwrap().processors, 2);
    noisy.give_back(half);

    clock.advance(REMEMBERED);
    let again = noisy.take(4, None).unwrap();
    assert_eq!(again.processors, 2, "two are in use");
}

#[test]
fn for_whoever_is_there_room_is_kept_though_it_takes_no_turn() {
    let (turns, clock) = shared(2);
    let (noisy, quiet) = (turns.party(50), turns.party(50));
    let has = || {
        let taken = noisy.take(2, None).unwrap();
        noisy.give_back(taken);
        taken.processors
    };
    assert_eq!(has(), 2);
    quiet.show(clock.instant());
    assert_eq!(has(), 1);
    clock.advance(REMEMBERED - Duration::from_millis(1));
    assert_eq!(has(), 1);
    quiet.show(clock.instant());
    quiet.show(clock.instant());
    clock.advance(REMEMBERED - Duration::from_millis(1));
    assert_eq!(has(), 1);
    clock.advance(Duration::from_millis(1));
    assert_eq!(has(), 2);
}

#[test]
fn one_with_many_questions_has_no_more_than_its_share_and_the_other_waits_for_none_of_them() {
    let (turns, clock) = shared(2);
    let (noisy, quiet) = (turns.party(50), turns.party(50));
    quiet.give_back(quiet.take(1, None).unwrap());
    let first = noisy.take(2, None).unwrap();
    assert_eq!(first.processors, 1);
    std::thread::scope(|scope| {
        let soon = clock.instant() + TURN;
        for _ in 0..20 {
            let noisy = &noisy;
            scope.spawn(move || assert!(noisy.take(1, Some(soon)).is_none()));
        }
        while waiting(&turns) < 20 {
            std::thread::yield_now();
        }
        let taken = quiet.take(1, Some(clock.instant())).unwrap();
        quiet.give_back(taken);
        assert_eq!(waiting(&turns), 20);
        clock.advance(TURN);
    });
    assert_eq!(waiting(&turns), 0);
    noisy.give_back(first);
}

#[test]
fn a_share_below_one_processor_is_pauses() {
    let (turns, clock) = shared(2);
    let (noisy, quiet) = (turns.party(10), turns.party(50));
    noisy.give_back(noisy.take(2, None).unwrap()); // alone
    quiet.give_back(quiet.take(1, None).unwrap());
    let taken = noisy.take(2, None).unwrap();
    assert_eq!(taken.processors, 1);
    clock.advance(TURN);
    noisy.give_back(taken);
    // Meanwhile nobody else wants a processor.
    let all = quiet.take(2, None).unwrap();
    assert_eq!(all.processors, 2);
    quiet.give_back(all);
    // A fifth of a processor: four times as long as the turn.
    assert!(noisy.take(1, Some(clock.instant())).is_none());
    clock.advance(TURN * 4 - Duration::from_millis(1));
    assert!(noisy.take(1, Some(clock.instant())).is_none());
    clock.advance(Duration::from_millis(1));
    assert!(noisy.take(1, Some(clock.instant())).is_some());
    assert_eq!(noisy.used_ns(), TURN.as_nanos() as u64);
}

#[test]
fn whoever_had_half_of_its_share_stands_behind_others_and_after_a_while_no_more() {
    use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy};
    let (turns, clock) = shared(2);
    let (noisy, quiet) = (turns.party(10), turns.party(50));
    let used = |time| {
        let taken = noisy.take(1, None).unwrap();
        clock.advance(time);
        noisy.give_back(taken);
        clock.advance(PAUSE_MAX);
        taken.is_behind
    };
    let ask = || quiet.give_back(quiet.take(1, None).unwrap());
    let half = Duration::from_millis(100); // of a tenth of two processors, in a second
    ask();
    assert!(!used(half - Duration::from_millis(1)), "it had nothing yet");
    assert!(!used(half), "it had less than half");
    assert!(used(Duration::ZERO));
    // What others wait for is computed by whoever waits for it.
    let taken = quiet.take(1, None).unwrap();
    assert!(quiet.threads(taken).is_none());
    quiet.give_back(taken);
    let taken = noisy.take(1, None).unwrap();
    let policy = noisy.threads(taken).unwrap().install(thread_priority::thread_schedule_policy);
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    assert_eq!(policy, Ok(idle));
    noisy.give_back(taken);

    clock.advance(REMEMBERED - PAUSE_MAX);
    ask();
    assert!(!used(half), "that was long ago");
    clock.advance(REMEMBERED);
    assert!(!used(Duration::ZERO), "it is alone");
}

#[test]
fn whoever_stands_behind_keeps_no_processor_from_others() {
    let (turns, clock) = shared(2);
    let (noisy, quiet) = (turns.party(100), turns.party(100));
    quiet.show(clock.instant());
    let taken = noisy.take(2, None).unwrap();
    clock.advance(Duration::from_millis(500)); // twice, of two seconds in a second
    noisy.give_back(taken);
    let behind = noisy.take(2, None).unwrap();
    assert_eq!((behind.is_behind, behind.processors), (true, 2));
    assert!(noisy.take(1, Some(clock.instant())).is_none());
    let taken = quiet.take(2, Some(clock.instant())).unwrap();
    assert_eq!((taken.is_behind, taken.processors), (false, 2));
    noisy.give_back(behind);
    assert!(noisy.take(1, Some(clock.instant())).is_none(), "those in front come first");
    quiet.give_back(taken);
    assert!(noisy.take(1, Some(clock.instant())).is_some());
}

#[test]
fn what_waits_for_a_processor_is_not_counted_as_its_time() {
    let (turns, clock) = shared(2);
    let party = turns.party(100);
    let taken = party.take(2, None).unwrap();
    clock.advance(Duration::from_secs(1));
    party.give_back(Taken { used: Some(TURN), ..taken });
    assert_eq!(party.used_ns(), 2 * TURN.as_nanos() as u64);
}

#[test]
fn long_work_lets_others_in_where_it_breathes() {
    let (turns, clock) = shared(1);
    let (long, short) = (turns.party(100), turns.party(100));
    let order = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        long.in_turns(|breathe| {
            scope.spawn(|| short.in_turns(|_| order.lock().unwrap().push("short")));
            while waiting(&turns) < 1 {
                std::thread::yield_now();
            }
            clock.advance(TURN);
            breathe();
            order.lock().unwrap().push("long");
        });
    });
    assert_eq!(order.into_inner().unwrap(), ["short", "long"]);
    assert_eq!(long.used_ns(), TURN.as_nanos() as u64);
}

#[test]
fn a_turn_that_does_not_come_in_time_is_none_and_one_that_ends_in_a_panic_is_given_back() {
    let (turns, clock) = shared(1);
    let (one, other) = (turns.party(50), turns.party(50));
    let taken = one.take(1, None).unwrap();
    assert!(other.take(1, Some(clock.instant())).is_none());
    assert_eq!(waiting(&turns), 0);
    one.give_back(taken);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        other.in_turns(|_| panic!("on purpose"));
    }));
    assert!(panicked.is_err());
    assert!(one.take(1, Some(clock.instant())).is_some());
}
