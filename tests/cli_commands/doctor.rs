//! What `emx doctor` says of installations that are well, and of some that are not.

use crate::emx::Emx;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

/// The answer, and whether the exit status fits it.
fn doctor(emx: &Emx) -> Value {
    let ran = emx.run(&["doctor", "--json"]);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(ran.code == 0, answer["ok"] == true, "{ran:?}");
    answer
}

/// The findings of that level, by their checks.
fn of_level(answer: &Value, level: &str) -> Vec<String> {
    let findings = answer["findings"].as_array().unwrap();
    let wanted = findings.iter().filter(|finding| finding["level"] == level);
    wanted.map(|finding| finding["check"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_healthy_installation_is_said_to_be_well() {
    let emx = Emx::with_builds();
    let answer = doctor(&emx);
    assert_eq!(of_level(&answer, "fail"), Vec::<String>::new(), "{answer}");
    // Nobody was told the password yet; and where tests run may be short of space or in memory.
    let warned = of_level(&answer, "warn");
    let machine = ["first_password", "file_system", "free_space", "open_files"];
    assert!(warned.iter().all(|check| machine.contains(&check.as_str())), "{answer}");
    assert!(warned.contains(&"first_password".to_owned()), "{answer}");
    let text = emx.ok(&["doctor"]);
    for line in
        ["ok    every tenant's keyspace opens\n", "ok    the clock says 20", " files may be open"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.contains("read it, then delete the file"), "{text}");
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let emx = Emx::new();
    assert_eq!(of_level(&doctor(&emx), "fail"), ["data_dir"]);
    let emx = Emx::initialised();
    let dir = emx.data_dir();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(dir.join("tenants/abcdefghijklmnop")).unwrap();
    let keyspaces = fs::read_dir(dir.join("tenants")).unwrap();
    let file = keyspaces.map(|entry| entry.unwrap().path().join("metrics.redb"));
    let file = file.into_iter().find(|file| file.exists()).unwrap();
    let orphan = dir.join("tenants/abcdefghijklmnop/metrics.redb");
    fs::copy(&file, orphan).unwrap();
    fs::write(&file, "no keyspace").unwrap();
    let answer = doctor(&emx);
    assert_eq!(of_level(&answer, "fail"), ["tenant"], "{answer}");
    let warned = of_level(&answer, "warn");
    assert!(["data_dir", "orphans"].iter().all(|c| warned.contains(&(*c).to_owned())), "{answer}");
    fs::write(dir.join("config.toml"), "[storage]\ncache = 1\n").unwrap();
    let answer = doctor(&emx);
    assert_eq!(of_level(&answer, "fail"), ["settings"], "{answer}");
}

#[test]
fn a_server_is_seen_by_its_socket() {
    let emx = Emx::initialised();
    let socket = emx.data_dir().join("control.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let text = emx.ok(&["doctor"]);
    assert!(text.contains("ok    a server runs"), "{text}");
    drop(listener);
    let answer = doctor(&emx);
    assert!(of_level(&answer, "warn").contains(&"server".to_owned()), "{answer}");
    assert_eq!(of_level(&answer, "fail"), Vec::<String>::new(), "{answer}");
}
