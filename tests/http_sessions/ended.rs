//! Who sees which sessions, and what is left of one that is ended.

use crate::peer::Ask;
use crate::world::{PASSWORD, Session, USER, World, login, me, refresh};
use serde_json::{Value, json};
use std::process::Command;

const OWN: &str = "/api/v1/auth/sessions";

fn of_user(user_id: &str) -> String {
    format!("/api/v1/users/{user_id}/sessions")
}

fn delete(target: &str) -> Ask {
    Ask::new("DELETE", target)
}

fn items(world: &World, target: &str, token: &str) -> Vec<Value> {
    let answer = world.check(&Ask::get(target).bearer(token), 200, "");
    answer.json()["items"].as_array().unwrap().clone()
}

/// Neither of its tokens gets anything any more.
#[track_caller]
fn demand_ended(world: &World, session: &Session) {
    world.check(&me(&session.access), 401, "session_ended");
    world.check(&refresh(&session.refresh), 401, "invalid_refresh_token");
}

#[test]
fn one_sees_and_ends_own_sessions() {
    let world = World::new();
    let here = Session::of(&world.ask(&login(USER, PASSWORD).header("User-Agent", "Firefox")));
    let there = Session::of(&world.ask(&login(USER, PASSWORD).header("User-Agent", "curl/8")));
    let there = Session::of(&world.ask(&refresh(&there.refresh).header("User-Agent", "curl/9")));
    let administrator = world.administrator();

    let listed = items(&world, OWN, &here.access);
    let told: Vec<(&Value, &Value, &Value)> = listed
        .iter()
        .map(|item| (&item["user_agent"], &item["address"], &item["current"]))
        .collect();
    let (curl, firefox, address) = (json!("curl/9"), json!("Firefox"), json!("127.0.0.1"));
    let expected = [(&curl, &address, &json!(false)), (&firefox, &address, &json!(true))];
    assert_eq!(told, expected);
    for item in &listed {
        let times = ["created_at", "last_used_at", "expires_at"].map(|name| item[name].as_str());
        assert!(times.is_sorted() && times[0] < times[2], "{item}");
    }
    // Page by page it is the same.
    let first = world.ask(&Ask::get(&format!("{OWN}?limit=1")).bearer(&here.access)).json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = items(&world, &format!("{OWN}?limit=1&cursor={cursor}"), &here.access);
    assert_eq!([first["items"][0].clone(), second[0].clone()], listed[..]);
    world.check(&Ask::get(&format!("{OWN}?cursor=x")).bearer(&here.access), 422, "invalid_cursor");
    world.check(&Ask::get(OWN), 401, "unauthorized");

    let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
    let theirs = id(&items(&world, OWN, &administrator.access)[0]);
    for foreign in [theirs.as_str(), "nobody", "..", "%2E%2E%2F"] {
        let end = delete(&format!("{OWN}/{foreign}")).bearer(&here.access);
        world.check(&end, 404, "not_found");
    }
    world.check(&me(&administrator.access), 200, "");
    let end = delete(&format!("{OWN}/{}", id(&listed[0]))).bearer(&here.access);
    world.check(&end, 204, "");
    world.check(&end, 404, "not_found");
    demand_ended(&world, &there);
    world.check(&me(&here.access), 200, "");

    // A key has no sessions of its own.
    let body = r#"{"name":"k","role":"owner"}"#;
    let made = world.ask(&Ask::post("/api/v1/api-keys").bearer(&administrator.access).json(body));
    let key = made.json()["key"].as_str().unwrap().to_owned();
    world.check(&Ask::get(OWN).bearer(&key), 403, "no_session");
    world.check(&delete(&format!("{OWN}/x")).bearer(&key), 403, "no_session");

    // What has ended stays so, and what has not, after a kill.
    let world = world.killed();
    demand_ended(&world, &there);
    world.check(&me(&here.access), 200, "");
    let end = delete(&format!("{OWN}/{}", id(&listed[1]))).bearer(&here.access);
    world.check(&end, 204, "");
    demand_ended(&world, &here);
    world.server.end();
}

#[test]
fn who_administers_users_ends_theirs_and_nobody_elses() {
    let world = World::new();
    let (one, two) = (world.sign_in(), world.sign_in());
    let administrator = world.administrator();
    let target = of_user(&one.user_id);
    let list = Ask::get(&target).bearer(&administrator.access);
    let listed = world.check(&list, 200, "").json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert!(listed["items"].as_array().unwrap().iter().all(|item| item["current"] == false));
    let own = items(&world, &of_user(&administrator.user_id), &administrator.access);
    assert_eq!((own.len(), &own[0]["current"]), (1, &json!(true)));

    let oldest = listed["items"][1]["id"].as_str().unwrap();
    let (end_one, end_all) = (delete(&format!("{target}/{oldest}")), delete(&target));
    for ask in [Ask::get(&target), end_one.clone(), end_all.clone()] {
        world.check(&ask, 401, "unauthorized");
        world.check(&ask.bearer(&two.access), 403, "forbidden");
    }
    let nobody = of_user("nobody");
    for ask in [Ask::get(&nobody), delete(&nobody), delete(&format!("{nobody}/x"))] {
        world.check(&ask.bearer(&administrator.access), 404, "not_found");
    }
    // An administrator of another tenant does not find them.
    let made = Command::new(env!("CARGO_BIN_EXE_emx"))
        .args(["tenant", "create", "acme", "--json", "--data-dir"])
        .arg(world.server.data_dir())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let body = r#"{"name":"k","role":"owner"}"#;
    let ask = Ask::post("/api/v1/api-keys").bearer(&administrator.access);
    let made = world.ask(&ask.header("X-Tenant", "acme").json(body)).json();
    let foreign = made["key"].as_str().unwrap();
    for ask in [Ask::get(&target), end_one.clone(), end_all.clone()] {
        world.check(&ask.bearer(foreign), 404, "not_found");
    }
    world.check(&me(&one.access), 200, "");

    world.check(&end_one.clone().bearer(&administrator.access), 204, "");
    world.check(&end_one.bearer(&administrator.access), 404, "not_found");
    demand_ended(&world, &one);
    world.check(&me(&two.access), 200, "");
    world.check(&end_all.clone().bearer(&administrator.access), 204, "");
    world.check(&end_all.bearer(&administrator.access), 204, "");
    demand_ended(&world, &two);
    let (by, user) = (format!("user:{}", administrator.user_id), format!("user:{}", one.user_id));
    let ended = world.told("action=session.end", &administrator);
    assert_eq!(ended, [(by.clone(), format!("session:{oldest}"))]);
    let all = world.told("action=user.end_sessions", &administrator);
    assert_eq!(all, [(by.clone(), user.clone()), (by, user)]);
    let again = world.sign_in();
    world.check(&me(&again.access), 200, "");
    let world = world.killed();
    demand_ended(&world, &two);
    world.check(&me(&again.access), 200, "");
    world.server.end();
}

#[test]
fn a_new_password_ends_the_other_sessions() {
    let world = World::new();
    let (mine, elsewhere) = (world.sign_in(), world.sign_in());
    let change = |current: &str, new: &str| {
        let body = json!({ "current": current, "new": new }).to_string();
        Ask::post("/api/v1/auth/password").json(&body).bearer(&mine.access)
    };
    let wrong = world.check(&change("wrong", "another fine day"), 401, "invalid_credentials");
    assert_eq!(wrong.json()["detail"], "your present password is not right");
    let short = world.check(&change(PASSWORD, "short"), 422, "invalid_password");
    assert_eq!(short.json()["errors"][0]["pointer"], "/new");
    let body = json!({ "current": PASSWORD }).to_string();
    let ask = Ask::post("/api/v1/auth/password").json(&body);
    world.check(&ask.clone().bearer(&mine.access), 422, "required");
    world.check(&ask, 401, "unauthorized");
    world.check(&me(&elsewhere.access), 200, "");

    world.check(&change(PASSWORD, "another fine day"), 204, "");
    demand_ended(&world, &elsewhere);
    world.check(&me(&mine.access), 200, "");
    world.check(&refresh(&mine.refresh), 200, "");
    world.check(&login(USER, PASSWORD), 401, "invalid_credentials");
    world.check(&login(USER, "another fine day"), 200, "");
    world.server.end();
}

#[test]
fn whoever_has_a_token_can_give_it_back() {
    let world = World::new();
    let session = world.sign_in();
    let next = Session::of(&world.ask(&refresh(&session.refresh)));
    let revoke = |token: &str| {
        let body = json!({ "token": token }).to_string();
        Ask::post("/api/v1/auth/revoke").json(&body)
    };
    for nothing in ["", "x", "a.b.c", "emx_0000000000000000000000000000000000000000"] {
        world.check(&revoke(nothing), 204, "");
    }
    world.check(&Ask::post("/api/v1/auth/revoke").json("{}"), 422, "required");
    world.check(&revoke(&session.access), 204, "");
    world.check(&revoke(&session.access), 204, "");
    world.check(&me(&session.access), 401, "session_ended");
    world.check(&me(&next.access), 200, "");
    let world = world.killed();
    world.check(&me(&session.access), 401, "session_ended");
    world.check(&me(&next.access), 200, "");
    world.check(&revoke(&next.refresh), 204, "");
    demand_ended(&world, &next);
    let administrator = world.administrator();
    let by = format!("user:{}", session.user_id);
    for action in ["token.revoke", "session.end"] {
        let told = world.told(&format!("action={action}"), &administrator);
        assert_eq!((told.len(), &told[0].0), (1, &by), "{action}: {told:?}");
    }
    world.server.end();
}
