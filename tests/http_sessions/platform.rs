//! Somebody administers the platform, and then not any more.

use crate::peer::Ask;
use crate::world::{Session, World, me};
use serde_json::json;

fn of_user(user_id: &str) -> String {
    format!("/api/v1/users/{user_id}")
}

#[test]
fn another_administrator_of_the_platform_and_never_none() {
    let world = World::new();
    let (administrator, user) = (world.administrator(), world.sign_in());
    let patch =
        |target: &Session, body: &str| Ask::new("PATCH", &of_user(&target.user_id)).json(body);
    let (grant, revoke) = (r#"{"platform":true}"#, r#"{"platform":false}"#);
    let key = r#"{"name":"k","role":"owner"}"#;
    let key = Ask::post("/api/v1/api-keys").bearer(&administrator.access).json(key);
    let key = world.check(&key, 201, "").json()["key"].as_str().unwrap().to_owned();

    world.check(&patch(&user, grant).bearer(&key), 403, "forbidden");
    world.check(&patch(&user, grant).bearer(&user.access), 403, "forbidden");
    world.check(&patch(&user, revoke).bearer(&key), 200, "");
    let by = |ask: Ask| ask.bearer(&administrator.access);
    world.check(&by(patch(&user, r#"{"platform":"yes"}"#)), 422, "wrong_type");
    let alone = world.check(&by(patch(&administrator, revoke)), 409, "last_platform_administrator");
    let detail = alone.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("emx user platform --grant"), "{detail}");

    let granted = world.check(&by(patch(&user, grant)), 200, "").json();
    assert_eq!((&granted["platform"], &granted["role"]), (&json!(true), &json!("viewer")));
    world.check(&me(&user.access), 401, "session_ended");
    let user = world.sign_in();
    let told = world.check(&me(&user.access), 200, "").json();
    assert_eq!(told["user"]["platform"], true);
    world.check(&patch(&user, revoke).bearer(&key), 403, "role_too_high");
    world.check(&patch(&administrator, revoke).bearer(&user.access), 200, "");
    world.check(&by(patch(&user, revoke)), 401, "session_ended");

    // Now that one is the last, whatever is tried and by whom.
    let own = of_user(&user.user_id);
    for body in [revoke, r#"{"disabled":true}"#] {
        let refused = patch(&user, body).bearer(&user.access);
        world.check(&refused, 409, "last_platform_administrator");
    }
    let remove = Ask::new("DELETE", &own).bearer(&user.access);
    world.check(&remove, 409, "last_platform_administrator");
    world.check(&me(&user.access), 200, "");
    let told = world.told("chain=platform&action=user.grant_platform", &user);
    let (by, target) = (&administrator.user_id, &user.user_id);
    assert_eq!(told, [(format!("user:{by}"), format!("user:{target}"))]);
    world.server.end();
}
