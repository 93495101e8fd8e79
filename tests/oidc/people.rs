//! Who somebody is: subject, e-mail address, groups, and what user information adds.

use crate::world::{NOW_MS, World};
use emx::identity::oidc::OidcError;
use serde_json::{Value, json};

#[tokio::test]
async fn an_address_is_verified_only_where_its_own_source_says_so() {
    let world = World::new().await;
    let with =
        |email: Value, verified: Value| json!({ "email": email, "email_verified": verified });
    let address = || json!("you@example.org");
    for (id_token, userinfo, email, is_verified) in [
        (with(address(), json!(true)), json!({}), Some("you@example.org"), true),
        (with(address(), json!("true")), json!({}), Some("you@example.org"), true),
        (with(address(), json!(false)), json!({}), Some("you@example.org"), false),
        (with(address(), json!("false")), json!({}), Some("you@example.org"), false),
        (with(address(), json!(1)), json!({}), Some("you@example.org"), false),
        (with(address(), Value::Null), json!({}), Some("you@example.org"), false),
        (with(Value::Null, json!(true)), json!({}), None, false),
        (with(json!("no address"), json!(true)), json!({}), None, false),
        (with(json!("a@b\r\nc"), json!(true)), json!({}), None, false),
        // One source's word for another's address is nobody's.
        (with(Value::Null, json!(true)), with(json!("b@c"), json!(false)), Some("b@c"), false),
        (with(Value::Null, json!(true)), json!({ "email": "b@c" }), Some("b@c"), false),
        (with(Value::Null, Value::Null), with(json!("b@c"), json!(true)), Some("b@c"), true),
        (
            with(address(), Value::Null),
            with(json!("b@c"), json!(true)),
            Some("you@example.org"),
            false,
        ),
    ] {
        let mut told = userinfo.clone();
        told["sub"] = json!("person-1");
        world.provider().claims = id_token.clone();
        world.provider().userinfo = told;
        let person = world.sign_in().await.unwrap();
        let found = (person.email.as_deref(), person.email_verified);
        assert_eq!(found, (email, is_verified), "{id_token} {userinfo}");
        assert_eq!(person.subject, "person-1");
    }
    world.provider().claims = json!({ "email": ["a@b"] });
    assert_eq!(world.verdict().await, "id_token_claims");
}

#[tokio::test]
async fn groups_are_those_of_the_claim_that_is_named() {
    let mut world = World::new().await;
    for (claim, claims, expected) in [
        (Some("groups"), json!({}), &["staff", "builders"][..]),
        (Some("groups"), json!({ "groups": [] }), &[]),
        (Some("groups"), json!({ "groups": "one" }), &["one"]),
        (Some("groups"), json!({ "groups": ["a", "", "b\u{7}", "c"] }), &["a", "c"]),
        (Some("roles"), json!({ "roles": ["admin"] }), &["admin"]),
        (
            Some("https://example.org/groups"),
            json!({ "https://example.org/groups": ["x"] }),
            &["x"],
        ),
        (Some("roles"), json!({}), &[]),
        (None, json!({}), &[]),
    ] {
        world.settings.groups_claim = claim.map(str::to_owned);
        world.provider().claims = claims.clone();
        assert_eq!(world.sign_in().await.unwrap().groups, expected, "{claim:?} {claims}");
    }
    world.settings.groups_claim = Some("groups".to_owned());
    for groups in [json!([1]), json!({ "a": 1 }), json!(true)] {
        world.provider().claims = json!({ "groups": groups });
        assert_eq!(world.verdict().await, "id_token_claims");
    }
    // Groups that are told elsewhere are unknown, and not none.
    for claims in [
        json!({ "groups": null, "_claim_names": { "groups": "src1" } }),
        json!({ "groups": null, "hasgroups": true }),
    ] {
        world.provider().claims = claims;
        assert_eq!(world.sign_in().await.unwrap_err(), OidcError::Groups);
    }
}

#[tokio::test]
async fn user_information_is_asked_for_where_something_is_missing() {
    let mut world = World::new().await;
    for (claims, groups_claim, expected) in [
        (json!({}), Some("groups"), 0),
        (json!({ "email": null }), Some("groups"), 1),
        (json!({ "groups": null }), Some("groups"), 1),
        (json!({ "groups": null }), None, 0),
        (json!({}), Some("roles"), 1),
    ] {
        world.settings.groups_claim = groups_claim.map(str::to_owned);
        world.provider().claims = claims.clone();
        world.provider().userinfo = json!({ "sub": "person-1", "groups": ["g"], "email": "e@f" });
        let person = world.sign_in().await.unwrap();
        assert_eq!(world.provider().asked("/userinfo"), expected, "{claims} {groups_claim:?}");
        assert!(person.email.is_some());
        if claims["groups"].is_null() && claims.get("groups").is_some() && expected == 1 {
            assert_eq!(person.groups, ["g"]);
        }
    }
}

#[tokio::test]
async fn user_information_is_about_whom_the_id_token_is_about() {
    let world = World::new().await;
    world.provider().claims = json!({ "groups": null });
    for userinfo in [
        json!({ "sub": "admin", "groups": ["admins"] }),
        json!({ "sub": "person-1 ", "groups": ["admins"] }),
        json!({ "sub": "PERSON-1", "groups": ["admins"] }),
        json!({ "sub": "", "groups": ["admins"] }),
        json!({ "sub": null, "groups": ["admins"] }),
        json!({ "sub": ["person-1"], "groups": ["admins"] }),
        json!({ "groups": ["admins"] }),
    ] {
        world.provider().userinfo = userinfo.clone();
        assert_eq!(world.sign_in().await, Err(OidcError::Userinfo), "{userinfo}");
    }
    // A name that is said twice is no name.
    let twice = r#"{"sub":"admin","sub":"person-1","groups":[]}"#;
    let reply = crate::site::Reply::new(200, &[("Content-Type", "application/json")], twice);
    world.provider().instead.insert("/userinfo", reply);
    assert_eq!(world.verdict().await, "provider_answer_invalid");
}

#[tokio::test]
async fn a_session_ends_when_the_provider_says_so() {
    let world = World::new().await;
    world.provider().claims = json!({ "session_expiry": NOW_MS / 1000 + 3_600 });
    assert_eq!(world.sign_in().await.unwrap().until_ms, Some(NOW_MS + 3_600_000));
}
