//! A tenant's row policy by every way in: whoever asks sees exactly the rows that the policy lets them
//! see, at once after a change of the policy, of a team or of a name, and what may not be seen is told
//! from what is not there by nothing.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "row_policies/cast.rs"]
mod cast;
#[path = "row_policies/changes.rs"]
mod changes;
#[path = "support/peer.rs"]
mod peer;
#[path = "row_policies/scenario.rs"]
mod scenario;
#[path = "support/server.rs"]
mod server;
#[path = "row_policies/walls.rs"]
mod walls;
#[path = "row_policies/watch.rs"]
mod watch;
#[path = "row_policies/ways.rs"]
mod ways;

use cast::Cast;
use emx::tenancy::row_policy::RowRules;
use proptest::test_runner::{Config, TestRunner};
use scenario::{Scenario, any_scenario};
use std::cell::Cell;

/// Random scenarios of an ordinary run; each asks some two hundred times.
const CASES: u32 = 12;

#[test]
fn a_manager_and_a_member_see_their_rows_by_every_way_in() {
    let cast = Cast::new();
    ways::check(&cast, 0, &Scenario::company(RowRules::STRICT)).unwrap();
    ways::check(&cast, 1, &Scenario::company(RowRules::OPEN)).unwrap();
    cast.server.end();
}

#[test]
fn everybody_sees_what_the_policy_says_by_every_way_in() {
    let cast = Cast::new();
    let cases = if server::is_soak() { 20 * CASES } else { CASES };
    let config =
        Config { cases, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let number = Cell::new(0);
    let outcome = TestRunner::new(config).run(&any_scenario(), |scenario| {
        number.set(number.get() + 1);
        ways::check(&cast, number.get(), &scenario)
    });
    outcome.unwrap_or_else(|fault| panic!("{fault}"));
    cast.server.end();
}
