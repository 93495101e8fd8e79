//! API keys.

use crate::emx::Emx;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_key_is_made_shown_once_listed_and_revoked() {
    let emx = Emx::initialised();
    let make = ["key", "create", "--tenant", "demo", "--name", "ci", "--role", "ingest"];
    let made = emx.json(&make);
    let members: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(members, ["id", "key"]);
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with(&format!("emx_{id}_")), "{key}");
    assert!(emx.ok(&make).contains("(shown only now)"));

    let list = emx.json(&["key", "list", "--tenant", "demo"])["items"].clone();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (2, &made["id"]));
    assert!(!list.to_string().contains(&key[21..]), "{list}");
    let revoked = emx.json(&["key", "revoke", "--tenant", "demo", id]);
    assert!(revoked["revoked_at"].is_string(), "{revoked}");
    let table = emx.ok(&["key", "list", "--tenant", "demo"]);
    assert!(table.contains("ci") && table.contains("revoked"), "{table}");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let emx = Emx::initialised();
    let make = |more: &[&'static str]| {
        [&["key", "create", "--tenant", "demo", "--name", "ci"][..], more].concat()
    };
    emx.fails(&make(&["--role", "king"]), 2, "usage");
    emx.fails(&make(&["--expires-at", "tomorrow"]), 2, "usage");
    emx.fails(&make(&["--network", "10.0.0.1/8"]), 1, "invalid_network");
    emx.fails(&make(&["--network", "everywhere"]), 1, "invalid_network");
    emx.fails(&make(&["--expires-at", "2020-01-01T00:00:00Z"]), 1, "invalid_expiry");
    emx.fails(&["key", "create", "--tenant", "demo", "--name", ""], 1, "invalid_name");
    emx.fails(&["key", "create", "--tenant", "no", "--name", "ci"], 1, "tenant_not_found");
    emx.fails(&["key", "revoke", "--tenant", "demo", "nothing"], 1, "api_key_not_found");
    let made = emx.json(&make(&["--expires-at", "2099-01-01T00:00:00+01:00"]));
    let list = emx.json(&["key", "list", "--tenant", "demo"])["items"].clone();
    assert_eq!(list[0]["id"], made["id"]);
    assert_eq!(list[0]["expires_at"], "2098-12-31T23:00:00.000Z");
}

#[test]
fn a_key_is_called_otherwise() {
    let emx = Emx::initialised();
    let made = emx.json(&["key", "create", "--tenant", "demo", "--name", "ci"]);
    let id = made["id"].as_str().unwrap();
    let rename = ["key", "rename", "--tenant", "demo", id, "--name"];
    assert_eq!(emx.json(&[&rename[..], &["builds"]].concat())["name"], "builds");
    let list = emx.json(&["key", "list", "--tenant", "demo"])["items"].clone();
    assert_eq!(list[0]["name"], "builds");
    emx.fails(&[&rename[..], &[" "]].concat(), 1, "invalid_name");
    let nobody = ["key", "rename", "--tenant", "demo", "nothing", "--name", "x"];
    emx.fails(&nobody, 1, "api_key_not_found");
}

#[test]
fn a_key_has_networks_that_the_list_shows() {
    let emx = Emx::initialised();
    let make = ["key", "create", "--tenant", "demo", "--name", "ci"];
    let networks = ["--network", "192.0.2.0/24", "--network", "2001:db8::/32"];
    let made = emx.json(&[&make[..], &networks].concat());
    emx.ok(&make);
    let list = emx.json(&["key", "list", "--tenant", "demo"])["items"].clone();
    assert_eq!(list.as_array().unwrap().len(), 2);
    for key in list.as_array().unwrap() {
        let expected = match key["id"] == made["id"] {
            true => serde_json::json!(["192.0.2.0/24", "2001:db8::/32"]),
            false => serde_json::json!([]),
        };
        assert_eq!(key["networks"], expected, "{key}");
    }
    let table = emx.ok(&["key", "list", "--tenant", "demo"]);
    assert!(table.contains("192.0.2.0/24 2001:db8::/32"), "{table}");
}

#[test]
fn the_master_key_is_made_at_the_beginning_and_its_loss_or_exposure_is_told() {
    let emx = Emx::initialised();
    let path = emx.data_dir().join("secret.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let list = ["key", "list", "--tenant", "demo"];
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = emx.fails(&list, 1, "secret_exposed");
    assert!(ran.err.contains("chmod 600"), "{ran:?}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let key = fs::read(&path).unwrap();
    fs::write(&path, [7; 32]).unwrap();
    emx.fails(&list, 1, "secret_mismatch");
    fs::write(&path, b"short").unwrap();
    emx.fails(&list, 1, "secret_invalid");
    fs::write(&path, key).unwrap();
    emx.ok(&list);
}
