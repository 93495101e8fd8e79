//! What `docs/single-sign-on.md` has a new administrator type, typed: from nothing to a sign-in at a
//! provider that stands in for Okta's, with an authorisation server of the organisation's own.

use crate::browser::{Browser, sent_to};
use crate::oidc::{Provider, begin, path};
use crate::server::TENANT;
use crate::world::World;
use serde_json::{Value, json};
use std::path::Path;

/// Where Okta has the authorisation server that organisations begin with.
const SERVER: &str = "/oauth2/default";

const CLIENT: &str = "0oa1";

/// The first lines to be typed below the heading `title`, as they stand there.
fn typed_below(title: &str) -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/single-sign-on.md");
    let text = std::fs::read_to_string(document).unwrap();
    let (_, below) = text.split_once(&format!("## {title}\n")).unwrap();
    let block = below.split("```\n").nth(1).unwrap();
    let lines = block.lines().map(|line| line.strip_prefix("   ").unwrap_or(line));
    lines.map(|line| format!("{line}\n")).collect()
}

/// `text` with what the administrator has to fill in.
fn filled(text: &str, blanks: &[(&str, &str)]) -> String {
    blanks.iter().fold(text.to_owned(), |text, (blank, value)| {
        assert_eq!(text.matches(blank).count(), 1, "{blank}: {text}");
        text.replace(blank, value)
    })
}

#[test]
fn a_new_administrator_comes_from_nothing_to_a_sign_in() {
    let mut provider = match Provider::start(SERVER) {
        Ok(provider) => provider,
        Err(why) => return println!("skipped: what the document has people type, for {why}"),
    };
    let world = World::with(&provider.settings());
    let issuer = format!("\"issuer\": \"{}\"", provider.issuer());
    let secret = format!("\"client_secret\": \"secret of {CLIENT}\"");
    let typed = filled(
        &typed_below("From nothing to a sign-in: Okta"),
        &[
            // The domain is another one, for Okta is not here.
            ("\"domain\": \"acme.okta.com\"", &issuer),
            ("0oa…", CLIENT),
            ("\"client_secret\": \"…\"", &secret),
        ],
    );
    let (status, said, errors) = world.shell(&typed);
    assert_eq!((status, &*errors), (0, ""), "{typed}");
    let printed = said.lines().find_map(|line| line.trim().strip_prefix("redirect URI: "));
    let redirect_uri = printed.unwrap_or_else(|| panic!("{said}"));
    let tried = ["sso", "check", "--tenant", TENANT, "--provider", "Okta"];
    let (status, said, _) = world.emx(&tried); // it has no client yet, and so answers nobody
    assert_eq!((status, said.contains("FAILED  discovery")), (1, true), "{said}");
    provider.enter(CLIENT, redirect_uri);
    let (status, said, errors) = world.emx(&tried);
    assert_eq!((status, &*errors, said.contains("FAILED")), (0, "", false), "{said}");

    // A secret that ran out, and the next one.
    for (secret, fails) in [("another".to_owned(), true), (format!("secret of {CLIENT}"), false)] {
        let change = format!(
            "emx sso change --tenant {TENANT} Okta --file - <<'END'\n{}\nEND\n",
            json!({ "client_secret": secret })
        );
        let (status, said, errors) = world.shell(&change);
        assert_eq!((status, &*errors, said.contains(&secret)), (0, "", false), "{said}");
        let (_, said, _) = world.emx(&tried);
        assert_eq!(said.contains("FAILED"), fails, "{said}");
    }
    let (_, listed, _) = world.emx(&["sso", "list", "--tenant", TENANT, "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let made = &listed["items"][0];
    assert_eq!(made["redirect_uri"], redirect_uri);
    assert_eq!((&made["name"], &made["preset"]), (&json!("Okta"), &json!("okta")));
    for (login, role) in [("ada.platform-team", "admin"), ("bob.sales", "viewer")] {
        let mut browser = Browser::default();
        let url = begin(&world, &mut browser, made, "");
        assert!(url.starts_with(&provider.issuer()), "{url}");
        let back = provider.sign_in(&url, login);
        assert_eq!(sent_to(&browser.go(world.server(), path(&back))), "/");
        let (user, _) = browser.session(world.server()).unwrap();
        assert_eq!((&user["role"], login), (&json!(role), login));
    }
}
