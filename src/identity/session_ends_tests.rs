//! How many sessions there may be, and what goes with time.

use super::*;
use crate::identity::grace::AWAY_MS_MAX;
use crate::tenancy::record::{absent, put};

#[test]
fn a_user_has_so_many_sessions_and_the_oldest_ends() {
    let world = World::new();
    let first = world.begin(0);
    for now_ms in 1..FAMILIES_PER_USER_MAX as TimeMs {
        world.begin(now_ms);
    }
    assert_eq!(world.live(50), FAMILIES_PER_USER_MAX);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| world.begin(60));
        }
    });
    assert_eq!(world.live(60), FAMILIES_PER_USER_MAX);
    assert!(world.is_denied(&first));
    assert!(world.refresh(&first.refresh_token, 60).is_err());
}

#[test]
fn a_sign_in_that_fails_ends_no_other_session() {
    let world = World::new();
    let first = world.begin(0);
    (1..FAMILIES_PER_USER_MAX as TimeMs).for_each(|now_ms| drop(world.begin(now_ms)));
    let act = Completion {
        expect: vec![absent("users", world.user_id.as_bytes())],
        ..Completion::default()
    };
    let failed = world.sessions.begin(world.user(), Client::default(), act, 60);
    assert!(matches!(failed, Err(SessionError::Contended)));
    assert!(!world.is_denied(&first));
    world.refresh(&first.refresh_token, 61).unwrap();
    world.begin(62);
    assert!(world.is_denied(&first));
    assert_eq!(world.live(62), FAMILIES_PER_USER_MAX);
}

#[test]
fn starts_that_follow_each_other_keep_no_window_open() {
    let mut world = World::new();
    let opened = world.begin(0);
    world.refresh(&opened.refresh_token, 1).unwrap();
    let last_ms = 1 + GRACE_MS + AWAY_MS_MAX;
    for now_ms in (60_000..=last_ms).step_by(60_000).chain([last_ms]) {
        world = world.restarted(now_ms);
    }
    world.refresh(&opened.refresh_token, last_ms).unwrap();
    let world = world.restarted(last_ms + 1);
    let late = world.refresh(&opened.refresh_token, last_ms + 1);
    assert!(matches!(late, Err(SessionError::Reused)));
}

#[test]
fn a_login_clears_away_what_has_run_out() {
    let world = World::new();
    for _ in 0..3 {
        world.begin(0);
    }
    world.sessions.end(&world.begin(0).family.id, Client::default(), 0).unwrap();
    let left = 2 + 4; // a user and its address, a session and its ways to be found
    world.begin(ABSOLUTE_MS);
    assert_eq!(world.engine.platform_len(), left);
}

#[test]
fn a_damaged_session_keeps_no_others_from_being_cleared_away() {
    let world = World::new();
    let (damaged, over) = (world.begin(0), world.begin(1));
    let write = put("families", damaged.family.id.as_bytes(), vec![b'{']);
    world.engine.write(&[], &[write]).unwrap();
    world.sessions.sweep(ABSOLUTE_MS + 1);
    let left = |table: &str| world.engine.list(table, b"", None, 9).unwrap().len();
    assert_eq!((left("families"), left("family_ends")), (0, 0));
    assert!(matches!(world.refresh(&over.refresh_token, 2), Err(SessionError::Unknown)));
}
