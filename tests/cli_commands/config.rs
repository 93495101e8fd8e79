//! Settings from all their sources.

use crate::emx::Emx;
use serde_json::Value;
use std::fs;

fn setting(shown: &Value, key: &str) -> (String, String) {
    let items = shown["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["key"] == key).unwrap();
    (item["value"].as_str().unwrap().to_owned(), item["origin"].as_str().unwrap().to_owned())
}

#[test]
fn every_setting_tells_where_it_came_from() {
    let emx = Emx::new();
    fs::create_dir(emx.data_dir()).unwrap();
    let text = "[storage]\ncache_bytes = \"64 MiB\"\nseal_rows = 4096\n";
    fs::write(emx.data_dir().join("config.toml"), text).unwrap();
    let mut command = emx.command(&["config", "show", "--json", "--data-dir", "data"]);
    let output = command.env("EMX_STORAGE__SEAL_ROWS", "2048").output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expect = |key: &str, value: &str, origin: &str| {
        assert_eq!(setting(&shown, key), (value.to_owned(), origin.to_owned()));
    };
    expect("storage.data_dir", "data", "--data-dir");
    expect("storage.cache_bytes", "64 MiB", "data/config.toml:2");
    expect("storage.seal_rows", "2048", "EMX_STORAGE__SEAL_ROWS");
    expect("log.level", "warn", "default");
}

#[test]
fn the_printed_defaults_are_a_settings_file() {
    let emx = Emx::new();
    fs::write(emx.place.path().join("all.toml"), emx.ok(&["config", "show", "--defaults"]))
        .unwrap();
    let defaults = emx.json(&["config", "show", "--defaults"]);
    assert_eq!(setting(&defaults, "log.level"), ("warn".to_owned(), "default".to_owned()));
    assert_eq!(emx.ok(&["config", "check", "--config", "all.toml"]), "the settings are right\n");
}

#[test]
fn the_unknown_and_the_wrong_keep_every_command_from_starting() {
    let emx = Emx::new();
    let path = emx.place.path().join("my.toml");
    fs::write(&path, "[storage]\nchache_bytes = 1\n[log]\nlevel = 3\n").unwrap();
    for command in [&["config", "check"][..], &["tenant", "list"]] {
        let ran = emx.fails(&[command, &["--config", "my.toml"]].concat(), 1, "invalid_settings");
        let expected = "error: my.toml:2: unknown setting `storage.chache_bytes`: did you mean \
                        `storage.cache_bytes`?\n\
                        error: my.toml:4: `log.level`: it must be one of ";
        assert!(ran.err.starts_with(expected), "{ran:?}");
    }
    emx.fails(&["config", "check", "--config", "none.toml"], 1, "unreadable_settings");
}
