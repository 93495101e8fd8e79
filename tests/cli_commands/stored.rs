//! What is on the disk: in use, damaged, lost.

use crate::emx::Emx;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

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
    emx.ok(&["query", "--tenant", "other"]);
    assert_eq!(emx.run(&["query", "--tenant", "demo"]).code, 1);
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
    emx.fails(&["tenant", "list"], 1, "data_in_use");
    drop(platform);
    emx.ok(&["tenant", "list"]);
}
