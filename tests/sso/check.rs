//! The button that tries a provider out.

use crate::oidc::installation;
use crate::peer::Ask;
use crate::saml::{Assertion, Provider};
use crate::server::TENANT;
use crate::world::{PROVIDERS, World};
use serde_json::{Value, json};

/// What is answered of the provider `made`, and the names of the steps with whether they passed.
fn check(world: &World, made: &Value, body: &Value) -> (Value, Vec<(String, bool)>) {
    let path = format!("{PROVIDERS}/{}/check", made["id"].as_str().unwrap());
    let answer = world.ask(TENANT, Ask::post(&path).json(&body.to_string()));
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    let steps = told["steps"].as_array().unwrap().iter().map(|step| {
        assert!(step["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{told}");
        (step["name"].as_str().unwrap().to_owned(), step["passed"].as_bool().unwrap())
    });
    let steps: Vec<_> = steps.collect();
    let all = steps.iter().all(|(_, passed)| *passed);
    assert_eq!(told["verdict"] == "accept", all && told["reason"].is_null(), "{told}");
    assert!(!told.to_string().contains("secret of"), "{told}");
    (told, steps)
}

/// Fails unless these steps passed, and then one failed.
#[track_caller]
fn fails_at(found: &(Value, Vec<(String, bool)>), passed: &[&str], failed: &str, reason: &str) {
    let (told, steps) = found;
    let expected = passed.iter().map(|name| ((*name).to_owned(), true));
    let expected: Vec<_> = expected.chain([(failed.to_owned(), false)]).collect();
    assert_eq!((steps, &told["reason"]), (&expected, &reason.into()), "{told}");
}

const REACHED: [&str; 5] = ["issuer", "discovery", "endpoints", "keys", "credentials"];

#[test]
fn a_real_provider_is_reached_and_what_is_wrong_is_named() {
    let Some((mut provider, mut world)) = installation() else { return };
    let made = provider.add(&world, TENANT, "Real", &json!({}));
    let (told, steps) = check(&world, &made, &json!({}));
    let passed: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((passed, &told["verdict"]), (REACHED.to_vec(), &"accept".into()), "{told}");
    assert!(told.to_string().contains("RS256") && told.to_string().contains("1 of them"), "{told}");

    let one = format!("{PROVIDERS}/{}", made["id"].as_str().unwrap());
    let change = |body: Value| {
        let answer = world.ask(TENANT, Ask::get(&one).method("PATCH").json(&body.to_string()));
        assert_eq!(answer.status, 200, "{answer:?}");
        check(&world, &answer.json(), &json!({}))
    };
    let wrong = change(json!({ "client_secret": "another one" }));
    fails_at(&wrong, &REACHED[..4], "credentials", "code_refused");
    assert!(wrong.0.to_string().contains("invalid_client"), "{}", wrong.0);
    let client = change(json!({ "client_id": "nobody" }));
    fails_at(&client, &REACHED[..4], "credentials", "code_refused");
    let issuer = made["issuer"].as_str().unwrap();
    let moved = json!({ "issuer": format!("{issuer}/realm"), "client_secret": "word" });
    fails_at(&change(moved), &REACHED[..1], "discovery", "provider_failed");
    let name = json!({ "issuer": "https://never-heard-of.example.org", "client_secret": "word" });
    fails_at(&change(name), &[], "issuer", "name_unresolved");

    let response = json!({ "response": "<x/>" });
    let answer = world.ask(TENANT, Ask::post(&format!("{one}/check")).json(&response.to_string()));
    assert_eq!((answer.status, &*answer.code()), (409, "not_saml"));
    let back = json!({ "issuer": issuer, "client_secret": "word" });
    change(back);
    provider.stop();
    let down = check(&world, &made, &json!({}));
    fails_at(&down, &REACHED[..1], "discovery", "connect_failed");
    world.end();
}

#[test]
fn a_saml_provider_is_looked_at_and_a_response_is_judged() {
    let world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let (told, steps) = check(&world, &provider.body, &json!({}));
    let names: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["configuration", "certificate dates", "request"], "{told}");
    assert_eq!((&told["verdict"], &told["name_id"]), (&"accept".into(), &Value::Null));
    let text = told.to_string();
    assert!(text.contains("ends ") && text.contains(provider.body["acs_url"].as_str().unwrap()));

    let xml = provider.answer("_r1", &Assertion::default());
    let judge = |response: &str, more: Value| {
        let mut body = more;
        body["response"] = response.into();
        check(&world, &provider.body, &body).0
    };
    let good = judge(&xml, json!({ "request_id": "_r1" }));
    assert_eq!((&good["verdict"], &good["name_id"]), (&"accept".into(), &"alice".into()), "{good}");
    assert!(good["steps"].as_array().unwrap().len() > 10, "{good}");
    assert_eq!(judge(&xml, json!({ "request_id": "_r2" }))["reason"], "in_response_to");
    let altered = judge(&xml.replace(">alice<", ">admin<"), json!({}));
    assert_eq!((&altered["reason"], &altered["name_id"]), (&"signature".into(), &Value::Null));
    let users = world.ask(TENANT, Ask::get("/api/v1/users")).json();
    assert_eq!(users["items"].as_array().unwrap().len(), 1, "nobody was made");

    let path = format!("{PROVIDERS}/{}/check", provider.body["id"].as_str().unwrap());
    for (body, status, code) in [
        ("{\"x\":1}".to_owned(), 422, "unknown_field"),
        ("{\"response\":1}".to_owned(), 422, "wrong_type"),
        (json!({ "response": "x".repeat(500_000) }).to_string(), 413, "body_too_large"),
    ] {
        let answer = world.ask(TENANT, Ask::post(&path).json(&body));
        assert_eq!((answer.status, &*answer.code()), (status, code));
    }
}
