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

#[test]
fn a_tenant_comes_with_an_administrator() {
    let emx = Emx::initialised();
    let made = emx.json(&[
        "tenant",
        "create",
        "acme",
        "--display-name",
        "Acme GmbH",
        "--admin",
        "you@example.org",
    ]);
    assert_eq!(made["display_name"], "Acme GmbH");
    assert_eq!(made["admin"]["password"].as_str().map(str::len), Some(24));
    let users = emx.json(&["user", "list", "--tenant", "acme"])["items"].clone();
    assert_eq!(users[0]["role"], "owner");
    assert_eq!(users[0]["platform"], false);
    let ran = emx.run_with_stdin(
        &["tenant", "create", "beta", "--admin", "me@example.org", "--password-stdin"],
        "violet kettle orbit 77\n",
    );
    assert_eq!((ran.code, ran.out.contains("password:")), (0, false), "{ran:?}");
    assert!(ran.out.contains("administrator: me@example.org"), "{ran:?}");
    emx.fails(&["tenant", "create", "ok", "--admin", "x"], 2, "invalid_email");
    emx.fails(&["tenant", "create", "ok", "--password-stdin"], 2, "usage");
    emx.fails(&["tenant", "create", "ok", "--display-name", " "], 2, "invalid_display_name");
    emx.fails(&["tenant", "suspend", "demo"], 1, "last_platform_administrator");
    assert_eq!(emx.json(&["tenant", "list"])["items"].as_array().unwrap().len(), 3);
}

#[test]
fn a_tenant_is_read_otherwise_and_its_questions_are_told() {
    let emx = Emx::initialised();
    let change = |flags: &[&str]| emx.ok(&[&["tenant", "change", "demo"], flags].concat());
    let said = change(&["--display-name", "The Demo", "--audit-queries", "true"]);
    assert_eq!(said, "tenant `demo` is read as `The Demo`; questions are told in its audit log\n");
    let said = change(&["--display-name", ""]);
    assert_eq!(said, "tenant `demo` is read as `demo`; questions are told in its audit log\n");
    emx.json(&["query", "--tenant", "demo", "--metric", "count", "--limit", "7"]);
    let log = emx.json(&["audit", "list", "--tenant", "demo"])["items"].clone();
    assert_eq!(
        [&log[0]["action"], &log[0]["after"]],
        ["query", "limit=7&time_zone=UTC&metric=count"]
    );
    let changed = emx.json(&["tenant", "change", "demo", "--audit-queries", "false"]);
    assert_eq!(changed["audit_queries"], false);
    emx.fails(&["tenant", "change", "demo"], 2, "usage");
    emx.fails(&["tenant", "change", "nowhere", "--audit-queries", "true"], 1, "tenant_not_found");
    emx.fails(&["tenant", "change", "demo", "--display-name", " "], 2, "invalid_display_name");
}

#[test]
fn a_tenant_is_suspended_resumed_and_deleted() {
    let emx = Emx::initialised();
    emx.json(&["tenant", "create", "acme"]);
    let state = || {
        let items = emx.json(&["tenant", "list"])["items"].clone();
        let acme = items.as_array().unwrap().iter().find(|item| item["slug"] == "acme").cloned();
        acme.map(|acme| acme["state"].as_str().unwrap().to_owned())
    };
    let key = ["key", "create", "--tenant", "acme", "--name", "ci"];
    emx.json(&key);
    assert_eq!(emx.json(&["tenant", "suspend", "acme"])["state"], "suspended");
    assert_eq!(state().as_deref(), Some("suspended"));
    emx.fails(&["query", "--tenant", "acme", "--metric", "count"], 1, "tenant_suspended");
    assert!(emx.ok(&["check"]).contains("acme: sound"));
    emx.ok(&["doctor"]);
    assert!(emx.ok(&["audit", "list", "--tenant", "acme"]).contains("tenant.suspend"));
    emx.json(&["tenant", "resume", "acme"]);
    emx.json(&["query", "--tenant", "acme", "--metric", "count"]);

    emx.fails(&["tenant", "suspend", "nowhere"], 1, "tenant_not_found");
    emx.fails(&["tenant", "delete", "acme"], 2, "usage");
    emx.fails(&["tenant", "delete", "acme", "--confirm", "demo"], 2, "usage");
    emx.fails(&["tenant", "delete", "demo", "--confirm", "demo"], 1, "last_platform_administrator");
    assert_eq!(emx.json(&["tenant", "delete", "acme", "--confirm", "acme"])["state"], "deleted");
    assert_eq!(state(), None);
    emx.fails(&["tenant", "delete", "acme", "--confirm", "acme"], 1, "tenant_not_found");
    emx.json(&["tenant", "create", "acme"]);
    let keys = emx.json(&["key", "list", "--tenant", "acme"]);
    assert_eq!(keys["items"].as_array().unwrap().len(), 0, "{keys}");
    assert!(emx.ok(&["audit", "verify"]).contains("sound"));
}

#[test]
fn a_second_factor_is_demanded_and_not_any_more() {
    let emx = Emx::initialised();
    assert_eq!(emx.json(&["tenant", "sign-in", "demo"])["require_otp"], false);
    let said = emx.ok(&["tenant", "sign-in", "demo", "--require-otp", "true"]);
    assert_eq!(said, "`demo`: a password and a second factor\n");
    assert_eq!(emx.json(&["tenant", "sign-in", "demo"])["require_otp"], true);
    let said = emx.ok(&["tenant", "sign-in", "demo", "--require-otp", "false"]);
    assert_eq!(said, "`demo`: a password alone\n");
    emx.fails(&["tenant", "sign-in", "demo", "--require-sso", "true"], 1, "no_sso_provider");
    emx.fails(&["tenant", "sign-in", "nowhere"], 1, "tenant_not_found");
    emx.fails(&["tenant", "sign-in", "demo", "--require-otp", "maybe"], 2, "usage");
}

#[test]
fn a_row_policy_is_shown_and_changed() {
    let emx = Emx::initialised();
    let policy = |more: &[&str]| emx.json(&[&["tenant", "row-policy", "demo"], more].concat());
    assert_eq!(policy(&[])["preset"], "open");
    assert_eq!(policy(&["--preset", "strict"])["manager"]["rows"], "teams");
    let changed = policy(&["--member", "teams:same", "--viewer", "own"]);
    assert_eq!(changed["member"]["aggregates"], "same");
    assert_eq!((&changed["viewer"]["aggregates"], &changed["preset"]), (&"all".into(), &().into()));
    assert_eq!(policy(&[]), changed);
    let said = emx.ok(&["tenant", "row-policy", "demo"]);
    assert!(said.contains("manager") && said.contains("admin, owner"), "{said}");
    assert!(emx.ok(&["audit", "list", "--tenant", "demo"]).contains("row_policy.change"));
    emx.fails(&["tenant", "row-policy", "nowhere"], 1, "tenant_not_found");
    emx.fails(&["tenant", "row-policy", "demo", "--preset", "mild"], 2, "usage");
    emx.fails(&["tenant", "row-policy", "demo", "--member", "mine"], 2, "usage");
}

#[test]
fn limits_are_set_shown_and_taken_back() {
    let emx = Emx::initialised();
    let limits = ["tenant", "limits", "demo"];
    assert_eq!(emx.json(&limits)["overridden"], serde_json::json!([]));
    let set =
        ["--set", "storage_bytes=2 GiB", "--set", "query_time_ms=5s", "--set", "cpu_share=25 %"];
    let told = emx.json(&[&limits[..], &set].concat());
    assert_eq!(told["storage_bytes"], 2_u64 << 30);
    assert_eq!(told["query_time_ms"], 5_000);
    assert_eq!(told["cpu_share"], 0.25);
    assert_eq!(emx.json(&limits), told, "they are stored");
    let table = emx.ok(&[&limits[..], &["--set", "cpu_share=default"]].concat());
    let line = |word: &str| table.lines().find(|line| line.starts_with(word)).unwrap().to_owned();
    assert!(line("storage_bytes").ends_with("demo"), "{table}");
    assert!(line("cpu_share").contains("0.5") && line("cpu_share").ends_with("every tenant"));
    for bad in ["speed=1", "cpu_share", "cpu_share=5", "concurrent_requests=0"] {
        emx.fails(&[&limits[..], &["--set", bad]].concat(), 2, "usage");
    }
    emx.fails(&["tenant", "limits", "nobody"], 1, "tenant_not_found");
    assert!(emx.ok(&["audit", "list", "--tenant", "demo"]).contains("tenant.limits"));
}
