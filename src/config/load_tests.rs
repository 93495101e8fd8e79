//! Which source wins, and what is refused where.

use super::*;
use crate::config::amount::Size;
use crate::config::settings::LogFormat;

/// Settings of a file with `text`, an environment and a data directory of the flag.
fn load_from(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my.toml");
    std::fs::write(&path, text).unwrap();
    let environment = environment.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    let sources = Sources { file: Some(path), environment, ..Sources::default() };
    let shorten = |e: ConfigError| e.to_string().replace(&format!("{}/", dir.path().display()), "");
    load(&sources).map_err(shorten)
}

fn check_refused(text: &str, environment: &[(&str, &str)], expected: &[&str]) {
    let message = load_from(text, environment).unwrap_err();
    assert_eq!(message.lines().collect::<Vec<_>>(), expected, "{text}");
}

#[test]
fn the_embedded_file_gives_every_setting_and_nothing_else() {
    let (entries, bad) = file::read(DEFAULT_FILE);
    assert_eq!(bad, []);
    let given: Vec<String> = entries.iter().map(|e| format!("{}.{}", e.section, e.name)).collect();
    let known: Vec<String> = KEYS.iter().map(Key::path).collect();
    assert_eq!(given, known);
    let loaded = load_from("", &[]).unwrap();
    assert!(loaded.shown().iter().all(|s| s.origin == Origin::Default));
}

#[test]
fn what_is_shown_can_be_written_again() {
    for shown in load_from("", &[]).unwrap().shown() {
        let variable = format!("EMX_{}", shown.key.replace('.', "__").to_uppercase());
        let again = load_from("", &[(&variable, &shown.value)]).unwrap();
        let again = again.shown().into_iter().find(|s| s.key == shown.key).unwrap();
        assert_eq!(again.value, shown.value);
        assert_eq!(again.origin, Origin::Environment { variable });
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let text =
        "[storage]\ncache_bytes = \"16 MiB\"\nseal_rows = 2048\n\n[log]\nformat = \"json\"\n";
    let environment =
        [("EMX_STORAGE__CACHE_BYTES", "32 MiB"), ("EMX_URL", "https://x"), ("HOME", "/")];
    let loaded = load_from(text, &environment).unwrap();
    assert_eq!(loaded.settings.storage.cache_bytes, Size(32 << 20));
    assert_eq!(loaded.settings.storage.seal_rows, 2048);
    assert_eq!(loaded.settings.log.format, LogFormat::Json);
    let origins: Vec<String> = loaded.shown().iter().map(|s| s.origin.to_string()).collect();
    let find = |key: &str| KEYS.iter().position(|k| k.path() == key).unwrap();
    assert_eq!(origins[find("storage.cache_bytes")], "EMX_STORAGE__CACHE_BYTES");
    assert!(origins[find("storage.seal_rows")].ends_with("my.toml:3"));
    assert_eq!(origins[find("log.level")], "default");
}

#[test]
fn the_unknown_is_refused_with_its_line_and_the_nearest_name() {
    check_refused(
        "[storage]\ncache_byte = 1\n\n[storag]\nx = 1\n[log]\nverbosity = 3\n",
        &[],
        &[
            "my.toml:2: unknown setting `storage.cache_byte`: did you mean `storage.cache_bytes`?",
            "my.toml:4: unknown section `storag`: did you mean `storage`?",
            "my.toml:7: unknown setting `log.verbosity`: `emx config show` lists all there are",
        ],
    );
    check_refused("data_dir = \"x\"", &[], &["my.toml:1: `data_dir` stands outside of a section"]);
    check_refused(
        "",
        &[("EMX_STORAGE__CACHE_BYTE", "1 GiB")],
        &["EMX_STORAGE__CACHE_BYTE: no setting belongs to this variable: did you mean \
           `EMX_STORAGE__CACHE_BYTES`?"],
    );
}

#[test]
fn a_variable_that_is_nearly_a_setting_is_refused() {
    for (variable, hint) in [
        ("EMX_DATA_DIR", "did you mean `EMX_STORAGE__DATA_DIR`?"),
        ("EMX_STORAGE_DATA_DIR", "did you mean `EMX_STORAGE__DATA_DIR`?"),
        ("EMX_LOG_LEVEL", "did you mean `EMX_LOG__LEVEL`?"),
        ("EMX_CACHE_BYTES", "did you mean `EMX_STORAGE__CACHE_BYTES`?"),
        ("EMX_storage__data_dir", "did you mean `EMX_STORAGE__DATA_DIR`?"),
        ("EMX_STORAGE", "`emx config show` lists all there are"),
        ("EMX_IMPORT_SPEED", "`emx config show` lists all there are"),
    ] {
        let wanted = format!("{variable}: no setting belongs to this variable: {hint}");
        check_refused("", &[(variable, "1")], &[&wanted]);
    }
    let others = ["EMX_URL", "EMX_API_KEY", "EMX_CA_FILE", "EMX_SOAK", "EMX_BENCH_DIR", "EMX_LOGO"];
    load_from("", &others.map(|name| (name, "1"))).unwrap();
}

#[test]
fn a_bad_value_is_refused_with_its_line() {
    check_refused(
        "[storage]\ncache_bytes = \"64 parsecs\"\nseal_rows = 12\nopen_keyspaces_max = \"x\"\n\
         data_dir = 7\nfeed_window_bytes = true\n[limits]\nquery_time_max = 30\n\
         [log]\nlevel = \"loud\"\n",
        &[
            ("EMX_LOG__FORMAT", "xml"),
            ("EMX_IMPORT__BATCH_ROWS", "-1"),
            ("EMX_SERVER__BASE_DOMAIN", "https://a.example:8443"),
        ],
        &[
            "my.toml:2: `storage.cache_bytes`: `64 parsecs` is not a size: write it like \"64 MiB\"",
            "my.toml:3: `storage.seal_rows`: it must be between 1024 and 65536",
            "my.toml:4: `storage.open_keyspaces_max`: it must be a whole number",
            "my.toml:5: `storage.data_dir`: it must be a path in quotes",
            "my.toml:6: `storage.feed_window_bytes`: true or false is not a size: write it like \
             \"64 MiB\"",
            "my.toml:8: `limits.query_time_max`: `30` is not a duration: write it like \"30s\" \
             or \"5 min\"",
            "my.toml:10: `log.level`: it must be one of \"error\", \"warn\", \"info\", \"debug\", \
             \"trace\"",
            "EMX_LOG__FORMAT: `log.format`: it must be one of \"text\", \"json\"",
            "EMX_IMPORT__BATCH_ROWS: `import.batch_rows`: it must be between 1 and 100000",
            "EMX_SERVER__BASE_DOMAIN: `server.base_domain`: it must be a domain without scheme, port \
             and path, like \"metrics.example.org\"",
        ],
    );
    check_refused(
        "[outgoing]\nnetworks = \"10.0.0.0/8, 127.0.0.0/8\"\nplain_networks = \"169.254.169.254:80\"\n\
         ports = \"443, https\"\n",
        &[],
        &[
            "my.toml:2: `outgoing.networks`: `127.0.0.0/8` is this machine: open one service by its \
             address and port, like `127.0.0.1:9443`",
            "my.toml:3: `outgoing.plain_networks`: `169.254.169.254:80` is a cloud's metadata and is \
             never opened",
            "my.toml:4: `outgoing.ports`: it must be ports, like \"443, 8443\"",
        ],
    );
    let opened = "[outgoing]\nnetworks = \"10.0.0.0/8, [::1]:9443\"\nports = 8443\n";
    let guard = load_from(opened, &[]).unwrap().settings.outgoing.guard();
    assert!(guard.check_url("https://[::1]:9443/").is_ok());
    assert!(guard.check_url("https://10.1.2.3:8443/").is_ok());
    assert!(guard.check_url("https://10.1.2.3/").is_err());
    check_refused(
        "[server]\norigins = \"https://a.example, *\"\ncors_origins = \"https://a.example/\"\n\
         trusted_proxies = \"10.0.0.0/8, 10.1.2.3/8\"\n",
        &[("EMX_SERVER__TRUSTED_PROXIES", "0.0.0.0/0")],
        &[
            "my.toml:2: `server.origins`: `*` is not an origin: write it like \
             `https://metrics.example.org:8443`, and nothing after it",
            "my.toml:3: `server.cors_origins`: `https://a.example/` is not an origin: write it like \
             `https://metrics.example.org:8443`, and nothing after it",
            "my.toml:4: `server.trusted_proxies`: `10.1.2.3/8` is an address in a network: the network \
             is `10.0.0.0/8`",
            "EMX_SERVER__TRUSTED_PROXIES: `server.trusted_proxies`: `0.0.0.0/0` is every address: name \
             the networks that are meant",
        ],
    );
    let message = load_from("[storage]\n\ncache_bytes = = 3\n", &[]).unwrap_err();
    assert!(message.starts_with("my.toml:3: this is not TOML: "), "{message}");
}

#[test]
fn the_data_directory_may_hold_the_file_but_not_send_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let sources = Sources { data_dir: Some(dir.path().into()), ..Sources::default() };
    assert_eq!(load(&sources).unwrap().settings.storage.data_dir, dir.path());

    let path = dir.path().join(FILE_NAME);
    std::fs::write(&path, "[import]\nbatch_rows = 7\n").unwrap();
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings.import.batch_rows, 7);
    let shown = loaded.shown().into_iter().find(|s| s.key == "storage.data_dir").unwrap();
    assert_eq!(shown.origin, Origin::Flag { flag: "--data-dir" });

    std::fs::write(&path, "\n[storage]\ndata_dir = \"elsewhere\"\n").unwrap();
    let message = load(&sources).unwrap_err().to_string();
    assert!(message.contains("config.toml:3: `storage.data_dir` cannot be set"), "{message}");
}

#[test]
fn a_named_file_must_be_there() {
    let sources = Sources { file: Some("/nowhere/emx.toml".into()), ..Sources::default() };
    let message = load(&sources).unwrap_err().to_string();
    assert!(
        message.starts_with("cannot read the settings file `/nowhere/emx.toml`: "),
        "{message}"
    );
}
