//! Who is refused when, who is not, and what a restart remembers.

use super::*;
use crate::tenancy::fake::{Death, FakeEngine};

const ME: &str = "you@example.org";

struct World {
    engine: FakeEngine,
    throttle: Throttle,
}

impl World {
    fn new() -> Self {
        Self::over(FakeEngine::default(), 0)
    }

    fn over(engine: FakeEngine, now_ms: TimeMs) -> Self {
        let throttle = Throttle::load(Arc::new(engine.clone()), now_ms).unwrap();
        Self { engine, throttle }
    }

    fn restarted(&self, now_ms: TimeMs) -> Self {
        Self::over(self.engine.clone(), now_ms)
    }

    fn begin(&self, email: &str, from: &str, now_ms: TimeMs) -> Result<Attempt, Refused> {
        self.throttle.begin("acme", email, from.parse().ok(), now_ms)
    }

    /// Fails once; `false` if that is refused.
    fn fail(&self, email: &str, from: &str, now_ms: TimeMs) -> bool {
        self.begin(email, from, now_ms).is_ok_and(|attempt| {
            self.throttle.failed(&attempt);
            true
        })
    }

    fn succeed(&self, email: &str, from: &str, now_ms: TimeMs) {
        let attempt = self.throttle.begin("acme", email, from.parse().ok(), now_ms).unwrap();
        let writes = self.throttle.known_by(&attempt, now_ms).unwrap();
        self.engine.write(&[], &writes).unwrap();
        self.throttle.succeeded(&attempt);
    }

    /// How many further failures there may be.
    fn left(&self, email: &str, from: &str, now_ms: TimeMs) -> usize {
        (0..100_000).take_while(|_| self.fail(email, from, now_ms)).count()
    }
}

#[test]
fn the_kinds_stand_in_their_order_and_their_names_can_be_read() {
    for (n, (kind, ..)) in KINDS.into_iter().enumerate() {
        assert_eq!(kind as usize, n);
        let counted = (kind, key(&["x"]));
        assert_eq!(read_name(name_of(kind, &counted.1).as_bytes()), Some(counted));
    }
    for bad in [&b"login_account"[..], b"login/AAAA", b"login_account/AAAA", b"\xff/"] {
        assert_eq!(read_name(bad), None);
    }
}

#[test]
fn an_account_has_ten_failures_in_five_minutes_in_whatever_case_it_is_typed() {
    let world = World::new();
    for n in 0..FAILURES_PER_ACCOUNT_MAX {
        let email = if n % 2 == 0 { ME } else { " YOU@example.org" };
        assert!(world.fail(email, "", 1_000), "{n}");
    }
    let refused = world.throttle.begin("ACME", ME, "::1".parse().ok(), 2_000).unwrap_err();
    assert_eq!(refused, Refused { limit: FAILURES_PER_ACCOUNT_MAX, retry_after_s: 299 });
    assert!(world.fail("me@example.org", "", 2_000));
    assert!(world.throttle.begin("other", ME, None, 2_000).is_ok());
    assert!(!world.fail(ME, "", 1_000 + WINDOW_MS - 1));
    assert!(world.fail(ME, "", 1_000 + WINDOW_MS));
}

#[test]
fn a_success_forgets_the_account_and_what_is_abandoned_does_not_count() {
    let world = World::new();
    for _ in 0..3 {
        for _ in 1..FAILURES_PER_ACCOUNT_MAX {
            assert!(world.fail(ME, "", 0));
        }
        world.succeed(ME, "", 0);
    }
    for _ in 0..100 {
        let attempt = world.throttle.begin("acme", ME, "::1".parse().ok(), 0).unwrap();
        world.throttle.abandoned(&attempt);
    }
}

#[test]
fn also_whoever_is_let_in_signs_in_so_often_and_failures_are_none_of_that() {
    let world = World::new();
    let refusal =
        |email: &str, from: &str| world.begin(email, from, 0).err().map(|refused| refused.limit);
    for n in 0..SIGN_INS_PER_ACCOUNT_MAX {
        world.fail(ME, "203.0.113.9", 0);
        // Whoever knows the password and goes no further has cost as much.
        match n % 2 {
            0 => world.succeed(ME, "192.0.2.1", 0),
            _ => world.throttle.abandoned(&world.begin(ME, "192.0.2.1", 0).unwrap()),
        }
    }
    assert_eq!(refusal(ME, "192.0.2.1"), Some(SIGN_INS_PER_ACCOUNT_MAX));
    // Others do, until they are too many of one network, and then of one tenant.
    let others = SIGN_INS_PER_ADDRESS_MAX - SIGN_INS_PER_ACCOUNT_MAX;
    for n in 0..others {
        world.succeed(&format!("{n}@example.org"), "192.0.2.1", 0);
    }
    assert_eq!(refusal("x@example.org", "192.0.2.1"), Some(SIGN_INS_PER_ADDRESS_MAX));
    assert_eq!(refusal("x@example.org", "198.51.100.1"), Some(SIGN_INS_PER_TENANT_MAX));
    assert!(world.throttle.begin("other", ME, "198.51.100.1".parse().ok(), 0).is_ok());
    let crowded = world.throttle.begin("other", ME, "192.0.2.1".parse().ok(), 0).unwrap_err();
    assert_eq!(crowded.limit, SIGN_INS_PER_ADDRESS_MAX);
    // It is over with the window, and a restart remembers it until then.
    world.throttle.store(0).unwrap();
    let again = world.restarted(1);
    assert!(!again.fail("x@example.org", "198.51.100.1", 1));
    assert!(again.fail("x@example.org", "198.51.100.1", WINDOW_MS));
}

#[test]
fn a_network_and_a_tenant_have_their_failures_whatever_the_accounts() {
    let world = World::new();
    for n in 0..FAILURES_PER_ADDRESS_MAX {
        assert!(world.fail(&format!("{n}@example.org"), &format!("2001:db8::{n:x}"), 0), "{n}");
    }
    assert!(!world.fail("x@example.org", "2001:db8::ffff:1", 0));
    assert!(world.fail("x@example.org", "2001:db8:0:1::1", 0));

    let world = World::new();
    for n in 0..FAILURES_PER_TENANT_MAX {
        let from = format!("198.51.{}.{}", n / 200, n % 200);
        assert!(world.fail(&format!("{n}@example.org"), &from, 0), "{n}");
    }
    let refused = world.throttle.begin("acme", ME, "192.0.2.1".parse().ok(), 0).unwrap_err();
    assert_eq!(refused.limit, FAILURES_PER_TENANT_MAX);
    assert!(world.throttle.begin("other", ME, "192.0.2.1".parse().ok(), 0).is_ok());
}

#[test]
fn strangers_keep_nobody_out_who_comes_from_a_known_place() {
    let world = World::new();
    world.succeed(ME, "192.0.2.1", 0);
    // A flood: on the account, from the office's own address on others, and on the whole tenant.
    assert_eq!(world.left(ME, "203.0.113.9", 1), FAILURES_PER_ACCOUNT_MAX as usize);
    for n in 0..2_000 {
        world.fail(&format!("{n}@example.org"), "192.0.2.1", 1);
        world.fail(&format!("{n}@example.org"), &format!("198.51.{}.{}", n / 200, n % 200), 1);
    }
    assert!(!world.fail(ME, "203.0.113.10", 2) && !world.fail("new@example.org", "192.0.2.1", 2));
    // Its own allowance is there, whole, and bounded.
    world.succeed(ME, "192.0.2.1", 2);
    assert_eq!(world.left(ME, "192.0.2.1", 3), FAILURES_PER_ACCOUNT_MAX as usize);
    // A success there forgets nothing of what the strangers did.
    let later_ms = 3 + WINDOW_MS;
    for _ in 0..FAILURES_PER_ACCOUNT_MAX {
        assert!(world.fail(ME, "203.0.113.9", later_ms));
    }
    world.succeed(ME, "192.0.2.1", later_ms);
    assert!(!world.fail(ME, "203.0.113.9", later_ms));
    assert!(world.restarted(later_ms).fail(ME, "192.0.2.1", later_ms));
}

#[test]
fn a_place_that_many_accounts_know_has_its_failures_too() {
    let world = World::new();
    let email = |n: u32| format!("{n}@example.org");
    let all = 0..FAILURES_FROM_KNOWN_MAX / FAILURES_PER_ACCOUNT_MAX;
    (0..=all.end).for_each(|n| world.succeed(&email(n), "192.0.2.1", 0));
    for n in all.clone() {
        assert_eq!(world.left(&email(n), "192.0.2.1", 1), FAILURES_PER_ACCOUNT_MAX as usize);
    }
    let address = "192.0.2.1".parse().ok();
    let refused = world.throttle.begin("acme", &email(all.end), address, 1).unwrap_err();
    assert_eq!(refused.limit, FAILURES_FROM_KNOWN_MAX);
    world.fail(&email(all.end), "192.0.2.2", 1);
    world.succeed(&email(all.end), "192.0.2.1", 1 + WINDOW_MS);
}

#[test]
fn what_is_used_up_is_stored_at_once_and_the_rest_every_few_seconds() {
    let world = World::new();
    assert_eq!(world.left(ME, "", 0), 10);
    assert!(!world.restarted(1).fail(ME, "", 1), "after a kill");
    assert!(world.restarted(WINDOW_MS).fail(ME, "", WINDOW_MS));

    // Many at once are no flood of transactions.
    world.engine.die_at(None);
    for n in 0..50 {
        world.left(&format!("{n}@example.org"), "", 2_000);
    }
    assert_eq!(world.engine.calls(), 1);
    // What had to wait is stored with the next try, be it a refused one.
    assert!(!world.fail("0@example.org", "", 3_000));
    assert_eq!(world.engine.calls(), 2);
    world.throttle.store(7_000).unwrap();
    assert_eq!(world.engine.calls(), 2, "nothing has changed");
    world.throttle.store(12_000).unwrap();
    assert_eq!(world.engine.calls(), 2, "nothing has changed");
    let restarted = world.restarted(13_000);
    assert!((0..50).all(|n| !restarted.fail(&format!("{n}@example.org"), "", 13_000)));

    // A count below half of its limit is not worth an entry; one that is taken back loses its own.
    let entries = || record::all(&world.engine, COUNTS, b"login_account/").unwrap().len();
    assert_eq!(entries(), 51);
    for _ in 0..4 {
        world.fail("few@example.org", "", 13_000);
    }
    world.throttle.store(13_001).unwrap();
    assert_eq!(entries(), 51);
    for _ in 0..4 {
        world.fail("few@example.org", "", 13_002);
    }
    world.throttle.store(13_003).unwrap();
    assert_eq!(entries(), 52);
    world.succeed("few@example.org", "", 13_004);
    world.throttle.store(13_005).unwrap();
    assert_eq!(entries(), 51);
    world.throttle.sweep(13_000 + WINDOW_MS).unwrap();
    assert_eq!(world.engine.platform_len(), 0);
}

#[test]
fn what_cannot_be_stored_now_is_stored_later() {
    let world = World::new();
    world.engine.die_at(Some(Death { call: 0, takes_effect: false, recovers: true }));
    assert_eq!(world.left(ME, "", 0), 10, "nobody is refused for that");
    assert!(world.restarted(1).fail(ME, "", 1));
    world.throttle.store(1).unwrap();
    assert!(!world.restarted(2).fail(ME, "", 2));
}

#[test]
fn refreshes_are_counted_by_network_user_and_tenant() {
    let world = World::new();
    let refresh = |world: &World, n: u32, tenant: &str, from: &str, now_ms| {
        let user = format!("user{n}");
        let outcome = world.throttle.refreshing(&user, tenant, from.parse().ok(), now_ms);
        outcome.map_err(|refused| refused.limit)
    };
    for n in 0..REFRESHES_PER_ADDRESS_MAX {
        refresh(&world, n, "one", &format!("2001:db8::{n:x}"), 0).unwrap();
    }
    let limit = REFRESHES_PER_ADDRESS_MAX;
    assert_eq!(refresh(&world, 0, "one", "2001:db8::ffff", 0), Err(limit));
    refresh(&world, 0, "one", "192.0.2.1", 0).unwrap();
    for _ in 0..REFRESHES_PER_ACCOUNT_MAX {
        refresh(&world, 0, "acme", "", 0).unwrap_or_default();
    }
    assert_eq!(refresh(&world, 0, "acme", "", 0), Err(REFRESHES_PER_ACCOUNT_MAX));
    let others = 4_000..;
    let taken = others.take_while(|n| refresh(&world, *n, "acme", "", 0).is_ok()).count();
    assert_eq!(taken as u32, REFRESHES_PER_TENANT_MAX - (REFRESHES_PER_ACCOUNT_MAX - 2));
    assert_eq!(refresh(&world, 1, "acme", "", 0), Err(REFRESHES_PER_TENANT_MAX));
    refresh(&world, 1, "other", "", 0).unwrap();
    world.throttle.store(1).unwrap();
    let restarted = world.restarted(1);
    assert_eq!(refresh(&restarted, 9, "one", "2001:db8::1", 1), Err(limit));
    assert_eq!(refresh(&restarted, 9, "acme", "", 1), Err(REFRESHES_PER_TENANT_MAX));
}

#[test]
fn who_has_a_token_is_not_kept_out_by_those_who_make_some_up() {
    let world = World::new();
    let address = "192.0.2.1".parse().ok();
    for _ in 0..UNKNOWN_PER_ADDRESS_MAX {
        world.throttle.refreshed_nothing(address, 0).unwrap();
    }
    let refused = world.throttle.refreshed_nothing(address, 0).unwrap_err();
    assert_eq!(refused, Refused { limit: UNKNOWN_PER_ADDRESS_MAX, retry_after_s: 300 });
    world.throttle.refreshed_nothing("192.0.2.2".parse().ok(), 0).unwrap();
    world.throttle.refreshed_nothing(None, 0).unwrap();
    world.throttle.refreshing("me", "acme", address, 0).unwrap();
}

#[test]
fn what_is_damaged_is_cleared_away_and_keeps_nothing_else_there() {
    let world = World::new();
    world.succeed(ME, "192.0.2.1", 0);
    assert_eq!(world.left("x@example.org", "", 0), FAILURES_PER_ACCOUNT_MAX as usize);
    let damaged = || vec![b'{'];
    let writes =
        [put(COUNTS, b"login_account/AAAA", damaged()), put("known_networks", b"!", damaged())];
    world.engine.write(&[], &writes).unwrap();
    world.throttle.sweep(known::KNOWN_MS).unwrap();
    assert_eq!(world.engine.platform_len(), 0);
}
