//! Users.

use crate::emx::Emx;

const CREATE: [&str; 7] =
    ["user", "create", "--tenant", "demo", "second@example.org", "--role", "viewer"];

#[test]
fn users_are_made_listed_changed_and_kept_out() {
    let emx = Emx::initialised();
    let made = emx.json(&CREATE);
    assert_eq!((&made["role"], &made["disabled"]), (&"viewer".into(), &false.into()));
    assert!(made["password"].as_str().unwrap().len() >= 20, "{made}");
    let list = emx.json(&["user", "list", "--tenant", "demo"])["items"].clone();
    let emails: Vec<&str> =
        list.as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect();
    assert_eq!(emails, ["second@example.org", "you@example.org"]);
    assert!(!list.to_string().contains("argon2"), "{list}");

    let passwd = ["user", "passwd", "--tenant", "demo", "SECOND@example.org", "--password-stdin"];
    let ran = emx.run_with_stdin(&passwd, "correct horse battery\n");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(!ran.out.contains("correct horse"), "{ran:?}");
    let gone = emx.json(&["user", "disable", "--tenant", "demo", "second@example.org"]);
    assert_eq!((&gone["id"], &gone["disabled"]), (&made["id"], &true.into()));
    let table = emx.ok(&["user", "list", "--tenant", "demo"]);
    assert!(table.contains("disabled") && table.contains("owner"), "{table}");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let emx = Emx::initialised();
    emx.ok(&CREATE);
    emx.fails(&CREATE, 1, "email_taken");
    let create = |email, role| ["user", "create", "--tenant", "demo", email, "--role", role];
    emx.fails(&create("nobody", "viewer"), 2, "invalid_email");
    emx.fails(&create("x@example.org", "king"), 2, "usage");
    emx.fails(&create("x@example.org", "ingest"), 1, "invalid_role");
    emx.fails(&["user", "list", "--tenant", "nowhere"], 1, "tenant_not_found");
    emx.fails(&["user", "disable", "--tenant", "demo", "x@example.org"], 1, "user_not_found");
    emx.fails(&["user", "disable", "--tenant", "demo", "you@example.org"], 1, "last_owner");
    emx.fails(&["user", "list"], 2, "usage");
}

#[test]
fn links_are_handed_over_and_shown_once() {
    let emx = Emx::initialised();
    let invite = ["user", "invite", "--tenant", "demo", "kim@example.org", "--role", "manager"];
    let link =
        emx.json(&[&invite[..], &["--reported-as", "kim", "--reported-as", "k.im"]].concat());
    let user = &link["user"];
    assert_eq!((&user["role"], &user["has_password"]), (&"manager".into(), &false.into()));
    assert_eq!(user["reported_as"], serde_json::json!(["k.im", "kim"]));
    let token = link["token"].as_str().unwrap();
    let expected = format!("https://localhost:8443/accept#token={token}");
    assert_eq!((&link["purpose"], &link["link"]), (&"invitation".into(), &expected.into()));
    let reset = ["user", "reset", "--tenant", "demo", "you@example.org"];
    let mut elsewhere = emx.command(&reset);
    let said = elsewhere.env("EMX_SERVER__PUBLIC_URL", "https://metrics.example.org").output();
    let said = String::from_utf8(said.unwrap().stdout).unwrap();
    assert!(said.contains("\nhttps://metrics.example.org/accept#token=eml_"), "{said}");
    let table = emx.ok(&["user", "list", "--tenant", "demo"]);
    assert!(table.contains("no password") && !table.contains(token), "{table}");
    emx.fails(&invite, 1, "email_taken");

    let reset = emx.json(&["user", "reset", "--tenant", "demo", "you@example.org"]);
    assert_eq!(reset["purpose"], "reset");
    let said = emx.ok(&["user", "reset", "--tenant", "demo", "you@example.org"]);
    assert!(said.contains("/accept#token=eml_") && said.contains("you@example.org"), "{said}");
    emx.ok(&["user", "disable", "--tenant", "demo", "kim@example.org"]);
    emx.fails(&["user", "reset", "--tenant", "demo", "kim@example.org"], 1, "user_disabled");
    let back = emx.json(&["user", "enable", "--tenant", "demo", "kim@example.org"]);
    assert_eq!(back["disabled"], false);
    let reset = emx.json(&["user", "reset-otp", "--tenant", "demo", "kim@example.org"]);
    assert_eq!(reset["has_otp"], false);
    emx.fails(&["user", "reset", "--tenant", "demo", "x@example.org"], 1, "user_not_found");
}

#[test]
fn a_password_that_is_easy_to_guess_is_refused() {
    let emx = Emx::initialised();
    for bad in ["password123", "you@example.org", "qwertyuiop", "short"] {
        let passwd = ["user", "passwd", "--tenant", "demo", "you@example.org", "--password-stdin"];
        let ran = emx.run_with_stdin(&passwd, &format!("{bad}\n"));
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{bad}: {ran:?}");
        assert!(ran.err.contains("the password"), "{ran:?}");
    }
}

#[test]
fn another_administers_the_platform_before_the_first_goes() {
    let emx = Emx::initialised();
    let platform = |email, how| ["user", "platform", "--tenant", "demo", email, how];
    let (first, second, last) =
        ("you@example.org", "second@example.org", "last_platform_administrator");
    emx.fails(&platform(first, "--revoke"), 1, last);
    emx.fails(&["tenant", "suspend", "demo"], 1, last);
    emx.ok(&CREATE);
    let said = emx.ok(&platform(second, "--grant"));
    assert_eq!(said, "`second@example.org` administers the platform\n");
    assert_eq!(emx.json(&platform(first, "--revoke"))["platform"], false);
    emx.fails(&platform(second, "--revoke"), 1, last);
    emx.fails(&["user", "disable", "--tenant", "demo", second], 1, last);
    let table = emx.ok(&["user", "list", "--tenant", "demo"]);
    assert_eq!(table.matches("administers").count(), 1, "{table}");
    let third = ["user", "create", "--tenant", "demo", "third@example.org", "--platform"];
    assert_eq!(emx.json(&third)["platform"], true);
    emx.json(&platform(second, "--revoke"));
    for how in [&[][..], &["--grant", "--revoke"]] {
        emx.fails(&[&platform(first, "--grant")[..5], how].concat(), 2, "usage");
    }
    emx.fails(&platform("x@example.org", "--grant"), 1, "user_not_found");
    let told = emx.ok(&["audit", "list"]);
    assert!(
        told.contains("user.grant_platform") && told.contains("user.revoke_platform"),
        "{told}"
    );
}
