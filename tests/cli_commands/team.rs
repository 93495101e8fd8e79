//! Teams.

use crate::emx::Emx;
use serde_json::json;

#[test]
fn teams_are_made_filled_listed_and_removed() {
    let emx = Emx::initialised();
    let team = |act: &str, rest: &[&str]| {
        emx.json(&[&["team", act, "--tenant", "demo", "Platform"][..], rest].concat())
    };
    let made = team("create", &["--reported-as", "plat"]);
    assert_eq!((&made["name"], &made["reported_as"]), (&"Platform".into(), &json!(["plat"])));
    let member = team("add", &["you@example.org"]);
    assert_eq!(member["teams"], json!([made["id"]]));
    let list = emx.json(&["team", "list", "--tenant", "demo"]);
    assert_eq!(list["items"][0]["members"], json!(["you@example.org"]));
    let table = emx.ok(&["team", "list", "--tenant", "demo"]);
    assert!(table.contains("Platform") && table.contains("you@example.org"), "{table}");
    assert_eq!(team("remove", &["you@example.org"])["teams"], json!([]));
    assert_eq!(team("delete", &[])["id"], made["id"]);
    assert_eq!(emx.json(&["team", "list", "--tenant", "demo"])["items"], json!([]));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let emx = Emx::initialised();
    let team = |act, name| ["team", act, "--tenant", "demo", name];
    emx.ok(&team("create", "Platform"));
    emx.fails(&team("create", "PLATFORM"), 1, "name_taken");
    emx.fails(&team("create", " "), 1, "invalid_name");
    emx.fails(&team("delete", "Apps"), 1, "team_not_found");
    let add = |team, email| ["team", "add", "--tenant", "demo", team, email];
    emx.fails(&add("Apps", "you@example.org"), 1, "team_not_found");
    emx.fails(&add("Platform", "x@example.org"), 1, "user_not_found");
    emx.fails(&["team", "list", "--tenant", "nowhere"], 1, "tenant_not_found");
    emx.fails(&["team", "list"], 2, "usage");
}
