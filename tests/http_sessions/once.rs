//! People and keys that are made, once however often that is asked, and keys that are called otherwise.

use crate::peer::Ask;
use crate::world::{Session, World};
use serde_json::{Value, json};
use std::process::Command;

fn count(world: &World, target: &str, administrator: &Session) -> usize {
    let listed = world.check(&Ask::get(target).bearer(&administrator.access), 200, "");
    listed.json()["items"].as_array().unwrap().len()
}

#[test]
fn what_is_asked_for_twice_by_one_key_is_made_once_and_answered_alike() {
    let world = World::new();
    let administrator = world.administrator();
    let places = [
        ("/api/v1/users", "/api/v1/users", r#"{"email":"one@example.org","role":"viewer"}"#),
        ("/api/v1/users/invite", "/api/v1/users", r#"{"email":"two@example.org","role":"viewer"}"#),
        ("/api/v1/teams", "/api/v1/teams", r#"{"name":"Platform"}"#),
        ("/api/v1/api-keys", "/api/v1/api-keys", r#"{"name":"ci","role":"viewer"}"#),
    ];
    let ask = |target: &str, body: &str| {
        let ask = Ask::post(target).bearer(&administrator.access).json(body);
        ask.header("Idempotency-Key", target)
    };
    let mut answers: Vec<Value> = Vec::new();
    for (target, list, body) in places {
        let before = count(&world, list, &administrator);
        let first = world.check(&ask(target, body), 201, "").json();
        let again = world.check(&ask(target, body), 201, "").json();
        assert_eq!(first, again, "{target}");
        assert_eq!(count(&world, list, &administrator), before + 1, "{target}");
        let other = body.replace("viewer", "member").replace("Platform", "Other");
        world.check(&ask(target, &other), 409, "idempotency_key_reused");
        answers.push(first);
    }
    // What was shown once is shown again after a kill, and lies nowhere in the clear.
    let secrets = [&answers[1]["token"], &answers[3]["key"]];
    let world = world.killed_and(|data_dir| {
        let platform = std::fs::read(data_dir.join("platform.redb")).unwrap();
        for secret in secrets {
            let secret = secret.as_str().unwrap().as_bytes();
            assert!(!platform.windows(secret.len()).any(|window| window == secret));
        }
    });
    for ((target, _, body), first) in places.iter().zip(&answers) {
        assert_eq!(world.check(&ask(target, body), 201, "").json(), *first, "{target}");
    }
    // Elsewhere the same key stands for something else.
    let made = Command::new(env!("CARGO_BIN_EXE_emx"))
        .args(["tenant", "create", "acme", "--json", "--data-dir"])
        .arg(world.server.data_dir())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let (target, _, body) = places[3];
    let there = world.check(&ask(target, body).header("X-Tenant", "acme"), 201, "").json();
    assert_ne!(there["id"], answers[3]["id"]);
    // What was refused is not remembered.
    let keyed = |body: &str| {
        let ask = Ask::post("/api/v1/teams").bearer(&administrator.access).json(body);
        ask.header("Idempotency-Key", "taken")
    };
    world.check(&keyed(r#"{"name":"Platform"}"#), 409, "name_taken");
    world.check(&keyed(r#"{"name":"Another"}"#), 201, "");
    world.server.end();
}

#[test]
fn a_key_is_called_otherwise_by_who_saw_it_as_it_is() {
    let world = World::new();
    let administrator = world.administrator();
    let mine = |ask: Ask| ask.bearer(&administrator.access);
    let made = mine(Ask::post("/api/v1/api-keys").json(r#"{"name":"ci","role":"viewer"}"#));
    let made = world.check(&made, 201, "").json();
    let target = format!("/api/v1/api-keys/{}", made["id"].as_str().unwrap());
    let rename =
        |name: &str| mine(Ask::new("PATCH", &target).json(&json!({ "name": name }).to_string()));
    let seen = world.check(&mine(Ask::get(&target)), 200, "");
    let tag = seen.header("etag").unwrap().to_owned();
    // That it was used is no change.
    world.check(&Ask::get("/api/v1/auth/me").bearer(made["key"].as_str().unwrap()), 200, "");
    let renamed = world.check(&rename("builds").header("If-Match", &tag), 200, "");
    assert_eq!(renamed.json()["name"], "builds");
    assert_ne!(renamed.header("etag").unwrap(), tag);
    world.check(&rename("late").header("If-Match", &tag), 412, "precondition_failed");
    world.check(&rename(""), 422, "invalid_name");
    world.check(&rename("nightly"), 200, "");
    assert_eq!(world.check(&mine(Ask::get(&target)), 200, "").json()["name"], "nightly");
    let by = (
        format!("user:{}", administrator.user_id),
        format!("api_key:{}", made["id"].as_str().unwrap()),
    );
    assert_eq!(world.told("action=api_key.rename", &administrator), [by.clone(), by]);
    world.server.end();
}
