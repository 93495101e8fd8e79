//! How often passwords may be tried, from where, and who is not kept out by others.

use crate::elsewhere::connect_from;
use crate::peer::{Answer, Peer};
use crate::world::{PASSWORD, USER, World, check_at, login, make_user};

/// Tries until that is refused. Gives how often it was not, and the refusal.
fn tried(peer: &mut Peer, email: &str) -> (usize, Answer) {
    for n in 0..200 {
        let answer = peer.ask(&login(email, "wrong horse battery")).unwrap();
        if answer.status != 401 {
            return (n, answer);
        }
    }
    panic!("nothing is refused");
}

#[track_caller]
fn demand_limited(answer: &Answer, limit: u32) {
    assert_eq!((answer.status, answer.code().as_str()), (429, "too_many_attempts"), "{answer:?}");
    let number = |name: &str| answer.header(name).unwrap().parse::<u32>().unwrap();
    let left_s = number("retry-after");
    assert!((1..=300).contains(&left_s), "{answer:?}");
    assert_eq!(number("ratelimit-reset"), left_s);
    assert_eq!((number("ratelimit-limit"), number("ratelimit-remaining")), (limit, 0));
    assert_eq!(answer.header("ratelimit-policy"), Some(format!("{limit};w=300").as_str()));
}

#[test]
fn strangers_are_kept_out_and_whoever_was_there_before_is_not() {
    let world = World::new();
    let mut known = connect_from(&world.server, "127.0.0.1");
    let mut stranger = connect_from(&world.server, "127.0.0.2");
    let mut another = connect_from(&world.server, "127.0.0.3");
    check_at(&mut known, &login(USER, PASSWORD), 200, "");
    let (tries, refused) = tried(&mut stranger, USER);
    assert_eq!(tries, 10);
    demand_limited(&refused, 10);
    demand_limited(&another.ask(&login(USER, PASSWORD)).unwrap(), 10);
    for (name, value) in [("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=127.0.0.1")] {
        let spoofed = login(USER, PASSWORD).header(name, value);
        demand_limited(&another.ask(&spoofed).unwrap(), 10);
    }
    check_at(&mut known, &login(USER, PASSWORD), 200, "");
    drop((known, stranger, another));

    // A kill gives nobody anything back, and takes nothing from whoever is known.
    let world = world.killed();
    let mut stranger = connect_from(&world.server, "127.0.0.2");
    let mut known = connect_from(&world.server, "127.0.0.1");
    demand_limited(&stranger.ask(&login(USER, PASSWORD)).unwrap(), 10);
    check_at(&mut known, &login(USER, PASSWORD), 200, "");

    // A whole office's address is used up, by one in it who guesses.
    let (tries, refused) = tried(&mut known, "nobody@example.org");
    assert_eq!(tries, 10);
    demand_limited(&refused, 10);
    for n in 0..4 {
        tried(&mut known, &format!("{n}@example.org"));
    }
    demand_limited(&known.ask(&login("new@example.org", PASSWORD)).unwrap(), 50);
    check_at(&mut known, &login(USER, PASSWORD), 200, "");
    drop((known, stranger));
    let world = world.restarted();
    demand_limited(&world.ask(&login("new@example.org", PASSWORD)), 50);
    world.check(&login(USER, PASSWORD), 200, "");
    // Its own allowance is bounded too.
    let (tries, refused) = tried(&mut world.server.connect(), USER);
    assert_eq!(tries, 10);
    demand_limited(&refused, 10);
    world.server.end();
}

#[test]
fn parallel_tries_are_no_more_than_others() {
    let world = World::new();
    make_user(&world.server, "second@example.org", "viewer");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..40)
            .map(|_| scope.spawn(|| world.ask(&login("second@example.org", "wrong")).status))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 30);
    world.server.end();
}
