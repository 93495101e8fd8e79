//! What is on the disk: in use, damaged, lost.

use crate::emx::Emx;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Stdio;

/// The file of the tenant `slug`.
fn keyspace_file(emx: &Emx, slug: &str) -> PathBuf {
    let tenants = emx.json(&["tenant", "list"])["items"].clone();
    let tenant = tenants.as_array().unwrap().iter().find(|t| t["slug"] == slug).unwrap();
    let id = tenant["id"].as_str().unwrap();
    emx.data_dir().join("tenants").join(id).join("metrics.redb")
}

#[test]
fn sound_data_is_said_to_be_sound() {
    let emx = Emx::initialised();
    assert_eq!(emx.ok(&["check"]), "demo: sound, 0 rows\n");
    assert_eq!(emx.json(&["check", "--tenant", "demo"])["ok"], true);
    emx.fails(&["check", "--tenant", "nobody"], 1, "tenant_not_found");
}

#[test]
fn damage_in_one_tenant_is_told_and_costs_no_other() {
    let emx = Emx::initialised();
    emx.ok(&["tenant", "create", "other"]);
    let path = keyspace_file(&emx, "demo");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let garbage = vec![0xa5; fs::metadata(&path).unwrap().len() as usize];
    file.write_all_at(&garbage, 0).unwrap();
    let ran = emx.run(&["check"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("demo: DAMAGED, unknown rows\n"), "{ran:?}");
    assert!(ran.out.contains("other: sound, 0 rows\n"), "{ran:?}");
    assert!(ran.err.contains("help: restore "), "{ran:?}");
    assert!(!ran.err.contains("panicked at"), "{ran:?}");
    let one = emx.run(&["check", "--tenant", "demo", "--json"]);
    assert_eq!(one.code, 1, "{one:?}");
    let report: serde_json::Value = serde_json::from_str(&one.out).unwrap();
    let finding = report["tenants"][0]["findings"][0].as_str().unwrap();
    assert_eq!(finding.matches("opening a keyspace").count(), 1, "{finding}");
    assert_eq!(one.err.lines().count(), 1, "{one:?}");
    emx.ok(&["query", "--tenant", "other"]);
    assert_eq!(emx.run(&["query", "--tenant", "demo"]).code, 1);
}

#[test]
fn a_panic_of_the_storage_library_is_damage_and_no_panic() {
    const PAGE_BYTES: u64 = 4096;
    let emx = Emx::with_builds();
    let path = keyspace_file(&emx, "demo");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for page in 1..file.metadata().unwrap().len() / PAGE_BYTES {
        file.write_all_at(&[0xee], page * PAGE_BYTES).unwrap(); // pages of a kind that is none
    }
    let ran = emx.run(&["check"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("demo: DAMAGED, unknown rows\n  "), "{ran:?}");
    assert!(!ran.err.contains("panicked at"), "{ran:?}");
    let ran = emx.run(&["query", "--tenant", "demo", "--json"]);
    let problem: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((ran.code, &problem["code"]), (1, &"data_damaged".into()));
    let log = emx.command(&["check", "--json"]).env("EMX_LOG__LEVEL", "debug").output().unwrap();
    let log = String::from_utf8(log.stderr).unwrap();
    assert!(log.contains("panicked at"), "this damage is of another kind now: {log}");
}

#[test]
fn a_keyspace_of_nobody_is_no_defect_of_a_tenant() {
    let emx = Emx::initialised();
    let file = keyspace_file(&emx, "demo");
    let orphan = emx.data_dir().join("tenants").join("t_00000000000000000000000000");
    fs::create_dir(&orphan).unwrap();
    fs::copy(file, orphan.join("metrics.redb")).unwrap();
    assert_eq!(emx.ok(&["check", "--tenant", "demo"]), "demo: sound, 0 rows\n");
    assert_eq!(emx.run(&["check"]).code, 1);
}

#[test]
fn a_lost_platform_file_is_not_taken_for_a_beginning() {
    let emx = Emx::initialised();
    let platform = emx.data_dir().join("platform.redb");
    fs::remove_file(&platform).unwrap();
    emx.fails(&["tenant", "list"], 1, "platform_lost");
    emx.fails(&["init", "--tenant", "demo", "--admin", "you@example.org"], 1, "not_empty");
}

#[test]
fn a_second_process_is_told_that_the_first_is_at_work() {
    let emx = Emx::initialised();
    let platform = fs::File::open(emx.data_dir().join("platform.redb")).unwrap();
    platform.try_lock().unwrap();
    // Once for programs, for it takes the seconds that it waits.
    let ran = emx.run(&["tenant", "list", "--json"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
    let problem: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(problem["code"], "data_in_use");
    // For people, until the first has ended.
    let mut command = emx.command(&["tenant", "list"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "waiting for another `emx` that uses the data\n");
    drop(platform);
    assert!(child.wait().unwrap().success());
}
