//! Users and teams: whoever may not, whoever is above, what is stale.

use crate::peer::{Answer, Ask};
use crate::server::TENANT;
use crate::world::{World, row};
use serde_json::{Value, json};

pub(crate) const USERS: &str = "/api/v1/users";
pub(crate) const INVITE: &str = "/api/v1/users/invite";
const TEAMS: &str = "/api/v1/teams";
const RULES: &str = "/api/v1/sign-in-rules";
pub(crate) const ACCEPT: &str = "/api/v1/auth/accept";
pub(crate) const CHOSEN: &str = "another fine day";

/// What must be answered with `status`.
#[track_caller]
pub(crate) fn done(world: &World, ask: &Ask, status: u16) -> Answer {
    let answer = world.server.ask(ask);
    assert_eq!(answer.status, status, "{ask:?}\n{answer:?}");
    answer
}

/// A user whom the key `key` makes.
fn make(world: &World, key: &str, email: &str, role: &str) -> Value {
    let body = json!({ "email": email, "role": role }).to_string();
    done(world, &Ask::post(USERS).bearer(key).json(&body), 201).json()
}

/// The address of a user, with what follows.
pub(crate) fn of_user(user: &Value, rest: &str) -> String {
    format!("{USERS}/{}{rest}", user["id"].as_str().unwrap())
}

pub(crate) fn accept(token: &str, password: &str) -> Ask {
    let body = json!({ "token": token, "password": password }).to_string();
    Ask::post(ACCEPT).json(&body)
}

pub(crate) fn login(email: &str, password: &str, otp: Option<&str>) -> Ask {
    let body = json!({ "tenant": TENANT, "email": email, "password": password, "otp": otp });
    Ask::post("/api/v1/auth/login").json(&body.to_string())
}

/// Somebody of that role in the first tenant who signed in, and the access token.
pub(crate) fn somebody(world: &World, email: &str, role: &str) -> (Value, String) {
    let body = json!({ "email": email, "role": role }).to_string();
    let link = done(world, &world.post(INVITE).json(&body), 201).json();
    done(world, &accept(link["token"].as_str().unwrap(), CHOSEN), 200);
    let signed_in = done(world, &login(email, CHOSEN, None), 200).json();
    (link["user"].clone(), signed_in["access_token"].as_str().unwrap().to_owned())
}

#[test]
fn users() {
    let mut world = World::new();
    let (owner_key, other_key) = (world.key("owner").to_owned(), world.other_key.clone());
    let kim = make(&world, &owner_key, "kim@example.org", "member");
    let theirs = make(&world, &other_key, "kim@example.org", "member");
    let list = done(&world, &world.get(USERS), 200).json();
    let admin = list["items"].as_array().unwrap().iter().find(|user| user["platform"] == true);
    let admin = admin.unwrap().clone();
    let to = |role: &str, method: &str, target: &str, body: &str| {
        let ask = Ask::new(method, target).bearer(world.key(role));
        if body.is_empty() { ask } else { ask.json(body) }
    };
    let new = |body: &str| to("admin", "POST", INVITE, body);
    let patch = |body: &str| to("admin", "PATCH", &of_user(&kim, ""), body);
    let owner = |method: &str, target: &str| Ask::new(method, target).bearer(&world.owner);
    let one = r#"{"email":"x@example.org","role":"viewer"}"#;
    let rows = [
        row("a member reads", to("member", "GET", USERS, ""), 403, "forbidden"),
        row("a manager makes", to("manager", "POST", USERS, one), 403, "forbidden"),
        row("a manager invites", to("manager", "POST", INVITE, one), 403, "forbidden"),
        row(
            "a manager changes",
            to("manager", "PATCH", &of_user(&kim, ""), "{}"),
            403,
            "forbidden",
        ),
        row(
            "a manager resets",
            to("manager", "POST", &of_user(&kim, "/reset"), ""),
            403,
            "forbidden",
        ),
        row(
            "an admin makes an owner",
            new(r#"{"email":"x@example.org","role":"owner"}"#),
            403,
            "role_too_high",
        ),
        row("an admin raises to owner", patch(r#"{"role":"owner"}"#), 403, "role_too_high"),
        row(
            "an admin lowers an owner",
            to("admin", "PATCH", &of_user(&admin, ""), r#"{"role":"viewer"}"#),
            403,
            "role_too_high",
        ),
        row(
            "an admin removes an owner",
            to("admin", "DELETE", &of_user(&admin, ""), ""),
            403,
            "role_too_high",
        ),
        row(
            "an admin resets an owner",
            to("admin", "POST", &of_user(&admin, "/reset"), ""),
            403,
            "role_too_high",
        ),
        row(
            "an owner resets who administers the platform",
            to("owner", "POST", &of_user(&admin, "/reset"), ""),
            403,
            "role_too_high",
        ),
        row(
            "an owner takes that one's second factor",
            to("owner", "DELETE", &of_user(&admin, "/otp"), ""),
            403,
            "role_too_high",
        ),
        row("the last owner goes", owner("DELETE", &of_user(&admin, "")), 409, "last_owner"),
        row(
            "the last owner steps down",
            owner("PATCH", &of_user(&admin, "")).json(r#"{"role":"admin"}"#),
            409,
            "last_owner",
        ),
        row(
            "the last owner locks the door",
            owner("PATCH", &of_user(&admin, "")).json(r#"{"disabled":true}"#),
            409,
            "last_owner",
        ),
        row("no address", new(r#"{"role":"viewer"}"#), 422, "required").at(&["/email"]),
        row("no such address", new(r#"{"email":"kim","role":"viewer"}"#), 422, "invalid_email")
            .at(&["/email"]),
        row(
            "no such role",
            new(r#"{"email":"x@example.org","role":"king"}"#),
            422,
            "invalid_value",
        )
        .at(&["/role"]),
        row(
            "a key's role",
            new(r#"{"email":"x@example.org","role":"ingest"}"#),
            422,
            "invalid_role",
        )
        .at(&["/role"]),
        row(
            "a password for somebody else",
            new(r#"{"email":"x@example.org","role":"viewer","password":"correct horse battery"}"#),
            422,
            "unknown_field",
        )
        .at(&["/password"]),
        row(
            "another password",
            patch(r#"{"password":"correct horse battery"}"#),
            422,
            "unknown_field",
        )
        .at(&["/password"]),
        row("another address", patch(r#"{"email":"x@example.org"}"#), 422, "unknown_field")
            .at(&["/email"]),
        row("to administer the platform", patch(r#"{"platform":true}"#), 403, "forbidden"),
        row("an empty name", patch(r#"{"reported_as":[""]}"#), 422, "invalid_reported_as")
            .at(&["/reported_as"]),
        row("a number for a name", patch(r#"{"reported_as":[1]}"#), 422, "wrong_type")
            .at(&["/reported_as/0"]),
        row("no such team", patch(r#"{"teams":["x"]}"#), 422, "team_not_found").at(&["/teams"]),
        row(
            "the address again",
            new(r#"{"email":"KIM@example.org","role":"viewer"}"#),
            409,
            "email_taken",
        ),
        row(
            "what was not seen",
            patch(r#"{"role":"viewer"}"#).header("If-Match", "\"x\""),
            412,
            "precondition_failed",
        ),
        row(
            "what was not seen goes",
            to("admin", "DELETE", &of_user(&kim, ""), "").header("If-Match", "W/\"x\""),
            412,
            "precondition_failed",
        ),
        row(
            "an invitation is made, not looked at",
            to("admin", "GET", INVITE, ""),
            405,
            "method_not_allowed",
        ),
        row(
            "the same again",
            patch("{}").header("Idempotency-Key", "x"),
            400,
            "idempotency_not_supported",
        ),
        row(
            "a place of no list",
            to("admin", "GET", "/api/v1/users?cursor=!", ""),
            422,
            "invalid_cursor",
        )
        .at(&["/cursor"]),
        row("no tag", patch("{}").header("If-Match", "x"), 400, "invalid_if_match"),
        row("nobody", world.get("/api/v1/users/nobody"), 404, "not_found"),
        row("their user", world.get(&of_user(&theirs, "")), 404, "not_found"),
        row(
            "their user changed",
            to("owner", "PATCH", &of_user(&theirs, ""), "{}"),
            404,
            "not_found",
        ),
        row(
            "their user removed",
            to("owner", "DELETE", &of_user(&theirs, ""), ""),
            404,
            "not_found",
        ),
        row(
            "their user's way back",
            to("owner", "POST", &of_user(&theirs, "/reset"), ""),
            404,
            "not_found",
        ),
        row(
            "their user's second factor",
            to("owner", "DELETE", &of_user(&theirs, "/otp"), ""),
            404,
            "not_found",
        ),
    ];
    world.check(rows);
    // What was seen can be changed, once.
    let seen = done(&world, &world.get(&of_user(&kim, "")), 200);
    let tag = seen.header("etag").unwrap();
    let patch = |body: &str| {
        Ask::new("PATCH", &of_user(&kim, "")).bearer(&owner_key).header("If-Match", tag).json(body)
    };
    let known = world.get(&of_user(&kim, "")).header("If-None-Match", tag);
    done(&world, &known, 304);
    let changed = done(&world, &patch(r#"{"reported_as":["kim"],"role":"viewer"}"#), 200);
    assert_ne!(changed.header("etag").unwrap(), tag);
    let now = done(&world, &world.get(&of_user(&kim, "")), 200);
    assert_eq!((now.header("etag"), now.json()), (changed.header("etag"), changed.json()));
    world.check([row("seen before", patch(r#"{"role":"viewer"}"#), 412, "precondition_failed")]);
    // Out at once.
    let (lou, token) = somebody(&world, "lou@example.org", "manager");
    done(&world, &Ask::get(USERS).bearer(&token), 200);
    let disable = Ask::new("PATCH", &of_user(&lou, "")).bearer(&owner_key);
    done(&world, &disable.json(r#"{"disabled":true}"#), 200);
    let rows = [
        row("who is disabled", Ask::get(USERS).bearer(&token), 401, "session_ended"),
        row(
            "who is disabled comes back",
            login("lou@example.org", CHOSEN, None),
            401,
            "invalid_credentials",
        ),
        row(
            "who is disabled is helped",
            world.post(&of_user(&lou, "/reset")),
            409,
            "user_disabled",
        ),
    ];
    world.check(rows);
    done(&world, &Ask::new("DELETE", &of_user(&lou, "")).bearer(&owner_key), 204);
    world.check([row("who is gone", world.get(&of_user(&lou, "")), 404, "not_found")]);
    world.finish();
}

#[test]
fn teams() {
    let mut world = World::new();
    let (owner_key, other_key) = (world.key("owner").to_owned(), world.other_key.clone());
    let make_team = |key: &str, body: &str| {
        let made = done(&world, &Ask::post(TEAMS).bearer(key).json(body), 201).json();
        format!("{TEAMS}/{}", made["id"].as_str().unwrap())
    };
    let team = make_team(&owner_key, r#"{"name":"Platform","reported_as":["plat"]}"#);
    make_team(&owner_key, r#"{"name":"Apps"}"#);
    let theirs = make_team(&other_key, r#"{"name":"Platform"}"#);
    let kim = make(&world, &owner_key, "kim@example.org", "member");
    let their_user = make(&world, &other_key, "kim@example.org", "member");
    let member =
        |team: &str, user: &Value| format!("{team}/members/{}", user["id"].as_str().unwrap());
    let to = |role: &str, method: &str, target: &str, body: &str| {
        let ask = Ask::new(method, target).bearer(world.key(role));
        if body.is_empty() { ask } else { ask.json(body) }
    };
    let rows = [
        row("a member reads", to("member", "GET", TEAMS, ""), 403, "forbidden"),
        row("a manager makes", to("manager", "POST", TEAMS, r#"{"name":"x"}"#), 403, "forbidden"),
        row("a manager changes", to("manager", "PATCH", &team, "{}"), 403, "forbidden"),
        row("a manager removes", to("manager", "DELETE", &team, ""), 403, "forbidden"),
        row("a manager adds", to("manager", "PUT", &member(&team, &kim), ""), 403, "forbidden"),
        row("no name", to("admin", "POST", TEAMS, "{}"), 422, "required").at(&["/name"]),
        row("an empty name", to("admin", "POST", TEAMS, r#"{"name":" "}"#), 422, "invalid_name")
            .at(&["/name"]),
        row(
            "the name again",
            to("admin", "POST", TEAMS, r#"{"name":"PLATFORM"}"#),
            409,
            "name_taken",
        ),
        row(
            "the other's name",
            to("admin", "PATCH", &team, r#"{"name":"apps"}"#),
            409,
            "name_taken",
        ),
        row(
            "an empty alias",
            to("admin", "PATCH", &team, r#"{"reported_as":[""]}"#),
            422,
            "invalid_reported_as",
        )
        .at(&["/reported_as"]),
        row(
            "what was not seen",
            to("admin", "PATCH", &team, r#"{"name":"x"}"#).header("If-Match", "\"x\""),
            412,
            "precondition_failed",
        ),
        row(
            "what was not seen goes",
            to("admin", "DELETE", &team, "").header("If-Match", "\"x\""),
            412,
            "precondition_failed",
        ),
        row("no team", to("admin", "GET", &format!("{TEAMS}/x"), ""), 404, "not_found"),
        row("their team", to("owner", "GET", &theirs, ""), 404, "not_found"),
        row("their team changed", to("owner", "PATCH", &theirs, "{}"), 404, "not_found"),
        row("their team removed", to("owner", "DELETE", &theirs, ""), 404, "not_found"),
        row(
            "their members",
            to("owner", "GET", &format!("{theirs}/members"), ""),
            404,
            "not_found",
        ),
        row("into their team", to("owner", "PUT", &member(&theirs, &kim), ""), 404, "not_found"),
        row(
            "their user into ours",
            to("owner", "PUT", &member(&team, &their_user), ""),
            404,
            "not_found",
        ),
        row(
            "their user out of theirs",
            to("owner", "DELETE", &member(&theirs, &their_user), ""),
            404,
            "not_found",
        ),
    ];
    world.check(rows);
    let to = |method: &str, target: &str| Ask::new(method, target).bearer(&owner_key);
    done(&world, &to("PUT", &member(&team, &kim)), 200);
    let members = done(&world, &to("GET", &format!("{team}/members")), 200).json();
    assert_eq!(members["items"][0]["id"], kim["id"], "{members}");
    let first = done(&world, &to("GET", "/api/v1/teams?limit=1"), 200).json();
    let next = format!("/api/v1/teams?cursor={}", first["next_cursor"].as_str().unwrap());
    let second = done(&world, &to("GET", &next), 200).json();
    assert_eq!(
        (&first["items"][0]["name"], &second["items"][0]["name"]),
        (&"Apps".into(), &"Platform".into())
    );
    assert!(second["next_cursor"].is_null(), "{second}");
    done(&world, &to("DELETE", &member(&team, &kim)), 204);
    done(&world, &to("DELETE", &team), 204);
    world.finish();
}

#[test]
fn rules() {
    let mut world = World::new();
    let to = |role: &str, method: &str, body: &str| {
        let ask = Ask::new(method, RULES).bearer(world.key(role));
        if body.is_empty() { ask } else { ask.json(body) }
    };
    let demand = r#"{"require_otp":true}"#;
    let rows = [
        row("a member reads", to("member", "GET", ""), 403, "forbidden"),
        row("an admin changes", to("admin", "PATCH", demand), 403, "forbidden"),
        row("nothing", to("owner", "PATCH", "{}"), 422, "required").at(&[""]),
        row("no truth", to("owner", "PATCH", r#"{"require_otp":1}"#), 422, "wrong_type")
            .at(&["/require_otp"]),
        row("no truth", to("owner", "PATCH", r#"{"require_sso":"yes"}"#), 422, "wrong_type")
            .at(&["/require_sso"]),
        row(
            "without a provider",
            to("owner", "PATCH", r#"{"require_sso":true}"#),
            409,
            "no_sso_provider",
        ),
        row("more", to("owner", "PATCH", r#"{"require_otp":true,"x":1}"#), 422, "unknown_field")
            .at(&["/x"]),
        row(
            "what was not seen",
            to("owner", "PATCH", demand).header("If-Match", "\"x\""),
            412,
            "precondition_failed",
        ),
        row(
            "by somebody who has none",
            Ask::new("PATCH", RULES).bearer(&world.owner).json(demand),
            409,
            "otp_not_set_up",
        ),
    ];
    world.check(rows);
    let rules = done(&world, &world.get(RULES), 200).json();
    assert_eq!(rules, json!({ "require_otp": false, "require_sso": false }));
    world.finish();
}
