//! Tenants.

use crate::emx::Emx;

#[test]
fn tenants_are_made_and_listed() {
    let emx = Emx::initialised();
    let made = emx.json(&["tenant", "create", "acme", "--time-zone", "Asia/Kolkata"]);
    assert_eq!(made["slug"], "acme");
    let items = emx.json(&["tenant", "list"])["items"].clone();
    let slugs: Vec<&str> =
        items.as_array().unwrap().iter().map(|item| item["slug"].as_str().unwrap()).collect();
    assert_eq!(slugs, ["acme", "demo"]);
    assert_eq!(items[0], made);
    assert_ne!(items[0]["id"], items[1]["id"]);
    let table = emx.ok(&["tenant", "list"]);
    assert!(table.contains("acme") && table.contains("Asia/Kolkata"), "{table}");
}

#[test]
fn a_name_is_taken_once_and_keeps_the_rules() {
    let emx = Emx::initialised();
    emx.fails(&["tenant", "create", "demo"], 1, "slug_taken");
    emx.fails(&["tenant", "create", "Ö"], 2, "invalid_slug");
    emx.fails(&["tenant", "create", "ok", "--time-zone", "x"], 2, "unknown_time_zone");
    emx.fails(&["tenant", "create"], 2, "usage");
    emx.fails(&["tenant", "destroy"], 2, "usage");
    assert_eq!(emx.json(&["tenant", "list"])["items"].as_array().unwrap().len(), 1);
}
