//! How large a response may be: as large where it lets somebody in as where it is only judged.

use crate::browser::{Browser, is_failure, sent_to};
use crate::peer::Ask;
use crate::saml::{Assertion, Provider, begin, posted};
use crate::server::TENANT;
use crate::world::{PROVIDERS, World};
use serde_json::{Value, json};

/// So many groups, each of some 60 characters.
fn groups(count: usize) -> &'static [&'static str] {
    let filler = "x".repeat(48);
    let names = (0..count).map(|n| &*format!("group-{n:05}-{filler}").leak());
    names.chain(["builders"]).collect::<Vec<_>>().leak()
}

/// What the diagnosis makes of a response.
fn judged(world: &World, provider: &Provider, xml: &str) -> Value {
    let path = format!("{PROVIDERS}/{}/check", provider.body["id"].as_str().unwrap());
    let body = json!({ "response": xml }).to_string();
    let answer = world.ask(TENANT, Ask::post(&path).json(&body));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn what_is_judged_to_let_somebody_in_does_and_what_is_too_large_does_neither() {
    let world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let mut browser = Browser::default();
    let begun = begin(&world, &mut browser, &provider, "");
    let asserted = Assertion { groups: groups(1_000), ..Assertion::default() };
    let large = provider.answer(&begun.request_id, &asserted);
    assert!(large.len() > 100_000, "{}", large.len());
    assert_eq!(judged(&world, &provider, &large)["verdict"], "accept");
    sent_to(&browser.ask(world.server(), posted(&provider, &begun, &large)));

    let begun = begin(&world, &mut browser, &provider, "");
    let asserted = Assertion { groups: groups(1_300), ..Assertion::default() };
    let larger = provider.answer(&begun.request_id, &asserted);
    assert_eq!(judged(&world, &provider, &larger)["reason"], "too_large");
    let answer = browser.ask(world.server(), posted(&provider, &begun, &larger));
    is_failure(&answer, 403, "too_large");
}
