//! Signing keys in the hands of whoever operates the appliance.

use crate::peer::Ask;
use crate::world::{Session, World, me, refresh};
use serde_json::Value;

const ROTATE: &str = "/api/v1/admin/signing-keys/rotate";

fn published(world: &World) -> Vec<String> {
    let answer = world.ask(&Ask::get("/.well-known/jwks.json"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    keys.iter().map(|key: &Value| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn keys_are_rotated_by_hand_no_sooner_than_caches_know_the_next_and_dropped_at_once() {
    let world = World::new();
    let (user, administrator) = (world.sign_in(), world.administrator());
    let before = published(&world);
    assert_eq!(before.len(), 2);
    let by = |target: &str, session: &Session| Ask::post(target).bearer(&session.access);
    world.check(&Ask::post(ROTATE), 401, "unauthorized");
    world.check(&by(ROTATE, &user), 403, "forbidden");
    world.check(&by(&format!("{ROTATE}?revoke=perhaps"), &administrator), 422, "wrong_type");
    world.check(&by(&format!("{ROTATE}?drop=true"), &administrator), 422, "unknown_field");
    let soon = world.check(&by(ROTATE, &administrator), 409, "rotation_too_soon");
    let wait_s: u64 = soon.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=300).contains(&wait_s));
    assert_eq!(published(&world), before);

    let dropped = world.check(&by(&format!("{ROTATE}?revoke=true"), &administrator), 200, "");
    let after = published(&world);
    assert_eq!((after.len(), dropped.json()["kid"].as_str()), (2, Some(after[0].as_str())));
    assert!(after.iter().all(|kid| !before.contains(kid)));
    for session in [&user, &administrator] {
        world.check(&me(&session.access), 401, "invalid_token");
        let next = Session::of(&world.ask(&refresh(&session.refresh)));
        world.check(&me(&next.access), 200, "");
    }
    let administrator = world.administrator();
    let told = world.told("chain=platform&action=signing_key.drop", &administrator);
    let by = format!("user:{}", administrator.user_id);
    assert_eq!(told, [(by, format!("signing_key:{}", after[0]))]);
    let world = world.killed();
    assert_eq!(published(&world), after);
    world.check(&me(&user.access), 401, "invalid_token");
    world.server.end();
}
