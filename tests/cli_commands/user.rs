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
