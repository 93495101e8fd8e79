//! One tenant in one file.

use crate::emx::Emx;
use crate::forged;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// With eight executions, a second user, a key, and the file `acme.tar` of all that.
fn exported() -> (Emx, PathBuf) {
    let emx = Emx::with_builds();
    emx.json(&["user", "create", "--tenant", "demo", "me@example.org", "--role", "viewer"]);
    emx.json(&["key", "create", "--tenant", "demo", "--name", "ci"]);
    emx.json(&["team", "create", "--tenant", "demo", "compilers"]);
    emx.json(&["team", "add", "--tenant", "demo", "compilers", "me@example.org"]);
    emx.json(&["tenant", "sign-in", "demo", "--require-otp", "true"]);
    emx.json(&["tenant", "row-policy", "demo", "--preset", "strict"]);
    let told = emx.json(&["tenant", "export", "demo", "demo.tar"]);
    assert_eq!((&told["users"], &told["api_keys"]), (&json!(2), &json!(1)), "{told}");
    let file = emx.place.path().join("demo.tar");
    assert_eq!(told["path"], file.to_str().unwrap());
    (emx, file)
}

fn rows(emx: &Emx, tenant: &str) -> String {
    emx.ok(&["export", "--tenant", tenant, "--format", "ndjson"])
}

fn tenants(emx: &Emx) -> usize {
    emx.json(&["tenant", "list"])["items"].as_array().unwrap().len()
}

#[test]
fn a_tenant_is_taken_in_as_a_new_one() {
    let (emx, file) = exported();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let was = emx.json(&["tenant", "list"])["items"][0].clone();
    let file = file.to_str().unwrap();
    // In the same installation under another name, with what is another's left out.
    emx.fails(&["tenant", "import", file], 1, "slug_taken");
    assert_eq!(tenants(&emx), 1);
    let copy = emx.json(&["tenant", "import", file, "--as", "copy"]);
    assert_ne!(copy["id"], was["id"]);
    assert_eq!(copy["was"], json!({ "id": was["id"], "slug": "demo" }));
    assert_eq!(
        (&copy["rows"], &copy["users"], &copy["api_keys"]),
        (&json!(8), &json!(2), &json!(0))
    );
    assert_eq!(copy["api_keys_left_out"].as_array().unwrap().len(), 1);
    // In another one, with its key.
    let other = Emx::new();
    other.ok(&["init", "--tenant", "first", "--admin", "root@example.org"]);
    let moved = other.json(&["tenant", "import", file]);
    assert_eq!((&moved["slug"], &moved["api_keys"]), (&json!("demo"), &json!(1)));
    for (emx, slug, id) in [(&emx, "copy", &copy["id"]), (&other, "demo", &moved["id"])] {
        assert_eq!(rows(emx, slug), rows(&emx_of(file), "demo"));
        let users = emx.json(&["user", "list", "--tenant", slug])["items"].clone();
        let told: Vec<(&Value, &Value)> = users
            .as_array()
            .unwrap()
            .iter()
            .map(|user| (&user["role"], &user["platform"]))
            .collect();
        // The owner administered the platform there, and does not here.
        assert_eq!(told, [(&json!("viewer"), &json!(false)), (&json!("owner"), &json!(false))]);
        let teams = emx.json(&["team", "list", "--tenant", slug])["items"].clone();
        assert_eq!(teams[0]["name"], "compilers");
        assert_eq!(users[0]["teams"], json!([teams[0]["id"]]), "{users}");
        assert_eq!(emx.json(&["tenant", "sign-in", slug])["require_otp"], true);
        assert_eq!(emx.json(&["tenant", "row-policy", slug])["preset"], "strict");
        assert!(emx.ok(&["check"]).contains(&format!("{slug}: sound")));
        assert!(emx.ok(&["audit", "verify"]).contains("sound"));
        let log = emx.json(&["audit", "list", "--tenant", slug])["items"].clone();
        let actions: Vec<&str> =
            log.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
        assert!(actions.contains(&"tenant.import") && actions.contains(&"tenant.create"));
        let import =
            log.as_array().unwrap().iter().find(|e| e["action"] == "tenant.import").unwrap();
        assert_eq!(import["after"]["was"], was["id"]);
        assert_eq!(import["target"], format!("tenant:{}", id.as_str().unwrap()));
        // It goes on like any other.
        let builds = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/builds.csv");
        let map = ["--map", "took_s=duration_ms", "--map", "branch=labels.branch"];
        let again = [&["import", builds, "--tenant", slug][..], &map].concat();
        assert_eq!(emx.json(&again)["duplicates"], 8, "the same rows are repeats");
    }
    // What was read for that is not left anywhere.
    let left = fs::read_dir(emx.place.path()).unwrap().count();
    assert_eq!(left, 2, "the data and the file");
    // The log that came with it is what it was, as an auditor finds it.
    let unpacked = emx.place.path().join("unpacked");
    let (entries, _) = forged::read(file.as_ref());
    let log = entries.iter().find(|entry| entry.name == "audit.ndjson").unwrap();
    fs::write(&unpacked, &log.content).unwrap();
    let id = was["id"].as_str().unwrap();
    let verified = ["audit", "verify", "--file", unpacked.to_str().unwrap(), "--chain", id];
    assert!(emx.ok(&verified).contains("sound"));
    // What holds no entry proves nothing.
    fs::write(&unpacked, "no entry\n").unwrap();
    let ran = emx.run(&verified);
    assert!(ran.code == 1 && ran.out.contains("entry 1 was altered"), "{ran:?}");
    fs::write(&unpacked, "").unwrap();
    emx.fails(&verified, 2, "usage");
}

/// A new installation with the tenant of `file`.
fn emx_of(file: &str) -> Emx {
    let emx = Emx::new();
    emx.ok(&["init", "--tenant", "first", "--admin", "root@example.org"]);
    emx.ok(&["tenant", "import", file]);
    emx
}

#[test]
fn a_file_that_is_harmed_or_another_is_refused_and_makes_nothing() {
    let (emx, file) = exported();
    let (whole, harmed) = (fs::read(&file).unwrap(), emx.place.path().join("harmed.tar"));
    let keyspaces = || fs::read_dir(emx.data_dir().join("tenants")).unwrap().count();
    let refused = |content: &[u8], code: &str| {
        fs::write(&harmed, content).unwrap();
        let before = fs::read_dir(emx.place.path()).unwrap().count();
        emx.fails(&["tenant", "import", harmed.to_str().unwrap(), "--as", "new"], 1, code);
        assert_eq!((tenants(&emx), keyspaces()), (1, 1), "{code}");
        assert_eq!(fs::read_dir(emx.place.path()).unwrap().count(), before, "{code}");
    };
    for part in [0, 1, 2, 3] {
        refused(&whole[..whole.len() * part / 4], "not_a_backup");
    }
    refused(&whole[..whole.len() - 1], "not_a_backup");
    for at in [100, whole.len() / 3, whole.len() / 2, whole.len() - 4000] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        refused(&flipped, "backup_altered");
    }
    emx.json(&["backup", "create", "--to", "all.tar"]);
    let all = fs::read(emx.place.path().join("all.tar")).unwrap();
    refused(&all, "backup_of_another");
    emx.fails(&["backup", "verify", "demo.tar"], 1, "backup_of_another");
    let restore = ["backup", "restore", "demo.tar", "--data-dir", "elsewhere"];
    emx.fails(&restore, 1, "backup_of_another");
    emx.fails(&["tenant", "import", "nowhere.tar"], 1, "backup_io");
    emx.fails(&["tenant", "export", "nobody", "x.tar"], 1, "tenant_not_found");
    emx.fails(&["tenant", "export", "demo", "demo.tar"], 1, "backup_exists");
    emx.fails(&["tenant", "import", "demo.tar", "--as", "Ö"], 2, "invalid_slug");
    // What was tried is in the log.
    let log = emx.json(&["audit", "list", "--action", "tenant.import", "--limit", "100"]);
    let log = log["items"].as_array().unwrap().clone();
    let count = |outcome: &str| log.iter().filter(|entry| entry["outcome"] == outcome).count();
    assert_eq!(count("begun"), count("failed"));
    assert!(count("begun") > 10 && count("done") == 0, "{log:?}");
}

#[test]
fn what_somebody_has_made_up_is_refused_although_its_digests_are_right() {
    let (emx, file) = exported();
    let forged_file = emx.place.path().join("forged.tar");
    let import = ["tenant", "import", forged_file.to_str().unwrap(), "--as", "new"];
    let forge = |change: &dyn Fn(&mut Value, &mut Value)| {
        let (mut entries, mut manifest) = forged::read(&file);
        let mut records: Value = serde_json::from_slice(&entries[0].content).unwrap();
        change(&mut records, &mut manifest);
        entries[0].content = serde_json::to_vec(&records).unwrap();
        forged::agree(&entries, &mut manifest);
        forged::write(&forged_file, &entries, &manifest);
    };
    type Forgery<'a> = &'a dyn Fn(&mut Value, &mut Value);
    let other_id = |records: &mut Value, _: &mut Value| {
        records["tenant"]["id"] = "abcdefghijklmnop".into();
    };
    let twice = |records: &mut Value, _: &mut Value| {
        let mut second = records["people"]["users"][0].clone();
        second["email"] = second["email"].as_str().unwrap().to_uppercase().into();
        records["people"]["users"].as_array_mut().unwrap().push(second);
    };
    let only_for_keys = |records: &mut Value, _: &mut Value| {
        records["people"]["users"][0]["role"] = "ingest".into();
    };
    let no_hash = |records: &mut Value, _: &mut Value| {
        records["people"]["api_keys"][0]["hash"] = "x".into();
    };
    let nothing = |records: &mut Value, _: &mut Value| *records = json!({});
    let installation =
        |_: &mut Value, manifest: &mut Value| manifest["holds"] = "installation".into();
    let no_team = |records: &mut Value, _: &mut Value| {
        records["people"]["users"][0]["teams"] = json!(["abcdefghijklmnop"]);
    };
    let same_team = |records: &mut Value, _: &mut Value| {
        let mut second = records["people"]["teams"][0].clone();
        second["name"] = "Compilers".into();
        records["people"]["teams"].as_array_mut().unwrap().push(second);
    };
    let dear = |records: &mut Value, _: &mut Value| {
        let mut users = records["people"]["users"].as_array_mut().unwrap().iter_mut();
        let hash = users.find_map(|user| user.get_mut("password")).unwrap();
        *hash = hash.as_str().unwrap().replace("m=19456", "m=8000000").into();
        assert!(hash.as_str().unwrap().contains("m=8000000"));
    };
    let another_log = |records: &mut Value, _: &mut Value| {
        records["log"]["hash"] = "5".repeat(64).into();
    };
    let longer_log = |records: &mut Value, _: &mut Value| {
        records["log"]["seq"] = (records["log"]["seq"].as_u64().unwrap() + 1).into();
    };
    let shorter_log = |records: &mut Value, _: &mut Value| {
        let none = json!({ "seq": 0, "hash": "0".repeat(64) });
        records["log"] = none;
    };
    let forgeries: [Forgery<'_>; 12] = [
        &other_id,
        &twice,
        &only_for_keys,
        &no_hash,
        &nothing,
        &installation,
        &no_team,
        &same_team,
        &dear,
        &another_log,
        &longer_log,
        &shorter_log,
    ];
    for (n, forgery) in forgeries.into_iter().enumerate() {
        forge(forgery);
        let ran = emx.fails(&import, 1, "backup_altered");
        assert!(ran.err.contains("forged.tar"), "{n}: {ran:?}");
        assert_eq!(tenants(&emx), 1, "{n}");
    }
    // A log in which an entry was changed.
    let (mut entries, mut manifest) = forged::read(&file);
    let log = entries.iter_mut().find(|entry| entry.name == "audit.ndjson").unwrap();
    let text = String::from_utf8(log.content.clone()).unwrap();
    log.content = text.replace("compilers", "commuters").into_bytes();
    assert_ne!(log.content, text.as_bytes());
    forged::agree(&entries, &mut manifest);
    forged::write(&forged_file, &entries, &manifest);
    assert!(emx.fails(&import, 1, "backup_altered").err.contains("log"));
    assert_eq!(tenants(&emx), 1);
    // A zone of another grain than the keyspace has is found when that is taken in.
    forge(&|records: &mut Value, _: &mut Value| {
        records["tenant"]["time_zone"] = "Asia/Kolkata".into();
    });
    emx.fails(&import, 1, "data_damaged");
    assert_eq!(tenants(&emx), 1);
    // Rights are not brought along, whatever the file says.
    forge(&|records: &mut Value, _: &mut Value| {
        for user in records["people"]["users"].as_array_mut().unwrap() {
            user["platform"] = true.into();
        }
    });
    emx.json(&import);
    let users = emx.json(&["user", "list", "--tenant", "new"])["items"].clone();
    assert!(users.as_array().unwrap().iter().all(|user| user["platform"] == false), "{users}");
}
