//! What the audit log tells of those who are not let in.

use crate::browser::{Browser, is_failure};
use crate::peer::Ask;
use crate::saml::{Assertion, Provider, begin, posted};
use crate::server::TENANT;
use crate::world::{OTHER, World};
use serde_json::{Value, json};

/// Who did what to what, and what the refusal says, in a chain; newest first.
fn refused(world: &World, chain: &[&str]) -> Vec<(String, String, String)> {
    let all = [&["audit", "list", "--json", "--limit", "500"], chain].concat();
    let (status, told, errors) = world.emx(&all);
    assert_eq!(status, 0, "{errors}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let items = told["items"].as_array().unwrap().iter();
    let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    items
        .filter(|item| item["outcome"] == "refused")
        .map(|item| (text(item, "action"), text(item, "target"), text(item, "after")))
        .collect()
}

#[test]
fn a_refusal_on_a_page_is_told_like_any_other() {
    let mut world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let framed = Ask::get(provider.start()).header("Sec-Fetch-Dest", "iframe");
    is_failure(&world.server().ask(&framed), 403, "not_a_navigation");
    let mut browser = Browser::default();
    let elsewhere = Ask::get(provider.start()).header("X-Tenant", OTHER);
    is_failure(&browser.ask(world.server(), elsewhere), 403, "tenant_mismatch");
    let begun = begin(&world, &mut browser, &provider, "");
    let xml = provider.answer(&begun.request_id, &Assertion::default());
    let stranger = Browser::default().ask(world.server(), posted(&provider, &begun, &xml));
    is_failure(&stranger, 400, "sso_flow_unknown");
    let mut other = Browser::default();
    begin(&world, &mut other, &provider, "");
    let reused = other.ask(world.server(), posted(&provider, &begun, &xml));
    is_failure(&reused, 400, "sso_flow_unknown");
    world.end();

    let of_platform = refused(&world, &[]);
    let start = "GET /api/v1/auth/saml/{tenant}/{provider}/start";
    for code in ["not_a_navigation", "tenant_mismatch"] {
        let expected = (start.to_owned(), String::new(), code.to_owned());
        assert!(of_platform.contains(&expected), "{code}: {of_platform:?}");
    }
    let target = format!("sso_provider:{}", provider.body["id"].as_str().unwrap());
    let expected = ("session.begin".to_owned(), target, "sso_flow_unknown".to_owned());
    let of_tenant = refused(&world, &["--tenant", TENANT]);
    assert!(of_tenant.contains(&expected), "{of_tenant:?}");
}
