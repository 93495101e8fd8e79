//! A key that comes from its networks alone, whoever has it and whatever that one says.

use crate::elsewhere::connect_from;
use crate::peer::Ask;
use crate::world::{World, check_at};
use serde_json::json;

const KEYS: &str = "/api/v1/api-keys";
const AT: &str = "127.0.7.0/24";

#[test]
fn a_stolen_key_opens_nothing_and_is_told_nothing_but_the_log_is() {
    let world = World::new();
    let administrator = world.administrator();
    let make = |by: &str, role: &str, networks: &[&str]| {
        let body = json!({ "name": "ci", "role": role, "networks": networks });
        Ask::post(KEYS).bearer(by).json(&body.to_string())
    };
    let made = world.check(&make(&administrator.access, "admin", &[AT]), 201, "").json();
    assert_eq!(made["networks"], json!([AT]));
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let get = |key: &str| Ask::get(KEYS).bearer(key);

    let mut inside = connect_from(&world.server, "127.0.7.9");
    check_at(&mut inside, &get(key), 200, "");
    check_at(&mut inside, &Ask::get(KEYS).header("X-Api-Key", key), 200, "");
    let wider = check_at(&mut inside, &make(key, "viewer", &[]), 403, "networks_too_wide");
    assert!(wider.json()["detail"].as_str().unwrap().contains("networks"), "{wider:?}");
    check_at(&mut inside, &make(key, "viewer", &[AT]), 201, "");

    let made_up = format!("emx_{}_{}", "a".repeat(16), &key[21..]);
    for address in ["127.0.0.1", "127.0.6.255", "127.0.8.0"] {
        let mut outside = connect_from(&world.server, address);
        let stolen = check_at(&mut outside, &get(key), 401, "invalid_api_key");
        let unknown = check_at(&mut outside, &get(&made_up), 401, "invalid_api_key");
        assert_eq!(stolen.json()["detail"], unknown.json()["detail"]);
        assert_eq!(stolen.header("www-authenticate"), unknown.header("www-authenticate"));
        let said = get(key).header("X-Forwarded-For", "127.0.7.9");
        check_at(&mut outside, &said, 401, "invalid_api_key");
    }
    check_at(&mut inside, &get(key), 200, "");
    let listed = world.check(&get(&administrator.access), 200, "").json();
    assert_eq!(listed["items"][0]["networks"], json!([AT]));
    drop(inside);

    // It is counted, and written at an orderly end.
    let world = world.restarted();
    let administrator = world.administrator();
    let told = world.told("action=api_key.use", &administrator);
    let expected = (format!("key:{id}"), format!("api_key:{id}"));
    assert_eq!(told, vec![expected; 3], "one for each address");
    let query = "/api/v1/audit?action=api_key.use";
    let told = world.check(&Ask::get(query).bearer(&administrator.access), 200, "").json();
    for entry in told["items"].as_array().unwrap() {
        let said = (&entry["after"], &entry["outcome"], &entry["count"]);
        assert_eq!(said, (&json!("key_not_from_here"), &json!("refused"), &json!(2)), "{entry}");
    }
    // It keeps to them after a restart.
    let mut outside = connect_from(&world.server, "127.0.8.0");
    check_at(&mut outside, &get(key), 401, "invalid_api_key");
    drop(outside);
    world.server.end();
}
