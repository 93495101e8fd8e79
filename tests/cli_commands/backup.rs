//! Backups, from the command line.

use crate::emx::Emx;
use std::fs;

#[test]
fn a_backup_is_made_verified_and_put_back() {
    let emx = Emx::with_builds();
    let made = emx.json(&["backup", "create", "--to", "b.tar"]);
    assert_eq!((&made["tenants"], &made["files"][0]["kind"]), (&1.into(), &"platform".into()));
    emx.fails(&["backup", "create", "--to", "b.tar"], 1, "backup_exists");
    let text = emx.ok(&["backup", "create", "--to", "c.tar"]);
    assert!(text.contains(": 1 tenant, "), "{text}");
    let text = emx.ok(&["backup", "verify", "c.tar"]);
    let heading = text.lines().find(|line| line.starts_with("tenant")).unwrap();
    assert!(heading.trim_end().ends_with("state") && text.contains("sound"), "{text}");
    let verified = emx.json(&["backup", "verify", "b.tar"]);
    assert_eq!((&verified["ok"], &verified["tenants"][0]["rows"]), (&true.into(), &8.into()));
    emx.fails(&["backup", "restore", "b.tar"], 1, "not_empty");
    let text = emx.ok(&["backup", "restore", "b.tar", "--data-dir", "restored"]);
    assert!(text.contains("start it with `emx serve --data-dir restored`"), "{text}");
    let question = ["query", "--tenant", "demo", "--group-by", "command", "--csv"];
    let restored = [&question[..], &["--data-dir", "restored"]].concat();
    assert_eq!(emx.ok(&question), emx.ok(&restored));
    fs::write(emx.place.path().join("no.tar"), "no").unwrap();
    emx.fails(&["backup", "verify", "no.tar"], 1, "not_a_backup");
    emx.fails(&["backup", "restore", "no.tar", "--data-dir", "other"], 1, "not_a_backup");
    emx.fails(&["backup", "verify", "absent.tar"], 1, "backup_io");
    assert!(!emx.place.path().join("other").exists());
    emx.fails(&["backup", "create"], 2, "usage");
}

#[test]
fn completions_know_the_flags_of_every_shell() {
    let emx = Emx::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = emx.ok(&["completions", shell]);
        assert!(script.contains("data-dir") && script.contains("backup"), "{shell}");
    }
    emx.fails(&["completions", "tcsh"], 2, "usage");
}
