//! The local authority: what is made at the first start, kept at the next, and made anew in time.

use crate::support::{DAY_MS, NOW_MS, greet, open_local};
use emx::http::tls::TlsError;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::X509Certificate;

const FILES: [&str; 4] = ["ca.key", "ca.pem", "server.key", "server.pem"];

/// The bytes of everything in `tls/`.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir.join("tls")).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

/// The files that differ.
fn changed(before: &BTreeMap<String, Vec<u8>>, dir: &Path) -> Vec<String> {
    let after = contents(dir);
    assert!(after.keys().eq(FILES.iter()), "{:?}", after.keys());
    after.into_iter().filter(|(k, v)| before.get(k) != Some(v)).map(|(k, _)| k).collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Lets `look` see the certificate in the file `name`.
fn with_certificate<T>(dir: &Path, name: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    let bytes = fs::read(dir.join("tls").join(name)).unwrap();
    let (rest, pem) = parse_x509_pem(&bytes).unwrap();
    assert!(rest.trim_ascii().is_empty(), "`{name}` holds one certificate");
    look(&pem.parse_x509().unwrap())
}

#[test]
fn the_first_start_makes_four_private_files() {
    let dir = tempfile::tempdir().unwrap();
    let certificates =
        open_local(dir.path(), &["metrics.example.org", "10.0.0.7"], NOW_MS).unwrap();
    assert!(contents(dir.path()).keys().eq(FILES.iter()));
    for name in FILES {
        let mode = fs::metadata(dir.path().join("tls").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let root = certificates.ca_pem().unwrap();
    assert_eq!(root.as_bytes(), fs::read(dir.path().join("tls/ca.pem")).unwrap());
    for name in ["localhost", "127.0.0.1", "::1", "metrics.example.org", "10.0.0.7"] {
        greet(&certificates, &root, name, NOW_MS).unwrap();
    }
    assert!(greet(&certificates, &root, "other.example.org", NOW_MS).is_err());
    let info = certificates.info();
    let authority = info.authority.unwrap();
    assert_eq!(info.subject, "CN=metrics.example.org");
    assert!(info.names.contains(&"10.0.0.7".into()), "{:?}", info.names);
    assert!(authority.subject.starts_with("CN=External Metrics local CA "), "{authority:?}");
    assert_eq!((info.sha256.len(), authority.sha256.len()), (95, 95));
    assert!(!info.key_exposed);
}

#[test]
fn certificates_say_what_they_are_for() {
    let dir = tempfile::tempdir().unwrap();
    open_local(dir.path(), &[], NOW_MS).unwrap();
    let days = |of: &X509Certificate<'_>| {
        let validity = of.validity();
        (validity.not_after.timestamp() - validity.not_before.timestamp()) * 1000 / DAY_MS
    };
    with_certificate(dir.path(), "ca.pem", |ca| {
        let basic = ca.basic_constraints().unwrap().unwrap();
        assert!(basic.critical && basic.value.ca && basic.value.path_len_constraint == Some(0));
        let usage = ca.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.flags == 0b110_0000, "{:b}", usage.value.flags);
        assert_eq!(days(ca), 3650);
        assert!(ca.name_constraints().unwrap().is_none());
    });
    with_certificate(dir.path(), "server.pem", |leaf| {
        assert!(!leaf.is_ca());
        assert_eq!(leaf.key_usage().unwrap().unwrap().value.flags, 1);
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth && !usage.any);
        assert_eq!(days(leaf), 365);
        assert!(leaf.raw_serial().len() == 16 && leaf.raw_serial()[0] < 0x80);
    });
}

#[test]
fn the_second_start_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let first = open_local(dir.path(), &["a.example", "b.example"], NOW_MS).unwrap();
    let before = contents(dir.path());
    let next = open_local(dir.path(), &["b.example", "A.example."], NOW_MS + DAY_MS).unwrap();
    assert!(changed(&before, dir.path()).is_empty());
    assert_eq!(first.info(), next.info());
    assert!(!next.changed_on_disk() && !next.reload(NOW_MS).unwrap());
    let other = tempfile::tempdir().unwrap();
    let other = open_local(other.path(), &[], NOW_MS).unwrap().info().authority.unwrap();
    assert_ne!(other.subject, first.info().authority.unwrap().subject);
}

#[test]
fn other_names_mean_another_certificate_from_the_same_authority() {
    let dir = tempfile::tempdir().unwrap();
    let root = open_local(dir.path(), &["old.example"], NOW_MS).unwrap().ca_pem().unwrap();
    for names in [&["old.example", "new.example"][..], &["new.example"], &[]] {
        let before = contents(dir.path());
        let certificates = open_local(dir.path(), names, NOW_MS).unwrap();
        assert_eq!(changed(&before, dir.path()), ["server.key", "server.pem"]);
        assert_eq!(certificates.ca_pem().unwrap(), root);
        for name in ["old.example", "new.example"] {
            let greeted = greet(&certificates, &root, name, NOW_MS);
            assert_eq!(greeted.is_ok(), names.contains(&name), "{name} of {names:?}");
        }
    }
}

#[test]
fn a_certificate_is_renewed_when_a_third_of_its_life_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = open_local(dir.path(), &[], NOW_MS).unwrap();
    let (root, first, before) =
        (certificates.ca_pem().unwrap(), certificates.info(), contents(dir.path()));
    let due_ms = first.not_after_ms - 365 * DAY_MS / 3;
    assert!(!certificates.renew_if_due(due_ms).unwrap());
    assert!(changed(&before, dir.path()).is_empty());
    let config = emx::http::tls::server_config(&certificates).unwrap();
    assert!(certificates.renew_if_due(due_ms + 1).unwrap());
    assert!(!certificates.renew_if_due(due_ms + 1).unwrap(), "once is enough");
    assert_eq!(changed(&before, dir.path()), ["server.key", "server.pem"]);
    assert!(certificates.info().not_after_ms > first.not_after_ms);
    assert!(!certificates.changed_on_disk(), "it knows what it wrote itself");
    // A configuration made before serves it, at a time when the first has long ended.
    let late_ms = first.not_after_ms + DAY_MS;
    let client = crate::support::client(&root, &rustls::version::TLS13, &[], late_ms);
    crate::support::connect(&client, &config, "localhost").unwrap();
    // The next start does the same.
    let before = contents(dir.path());
    open_local(dir.path(), &[], late_ms + 365 * DAY_MS).unwrap();
    assert_eq!(changed(&before, dir.path()), ["server.key", "server.pem"]);
}

#[test]
fn an_authority_is_made_anew_for_its_key_before_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = open_local(dir.path(), &[], NOW_MS).unwrap();
    let (old, subject) = (certificates.ca_pem().unwrap(), certificates.info().authority.unwrap());
    let before = contents(dir.path());
    let late_ms = NOW_MS + (3650 - 700) * DAY_MS;
    assert!(certificates.renew_if_due(late_ms).unwrap());
    assert_eq!(changed(&before, dir.path()), ["ca.pem", "server.key", "server.pem"]);
    let new = certificates.ca_pem().unwrap();
    assert_eq!(certificates.info().authority.unwrap().subject, subject.subject);
    assert!(certificates.info().authority.unwrap().not_after_ms > subject.not_after_ms);
    greet(&certificates, &old, "localhost", late_ms).unwrap();
    greet(&certificates, &new, "localhost", late_ms).unwrap();
    let serial = |dir: &Path| with_certificate(dir, "ca.pem", |ca| ca.raw_serial().to_vec());
    let renewed = serial(dir.path());
    fs::remove_file(dir.path().join("tls/ca.pem")).unwrap();
    open_local(dir.path(), &[], late_ms).unwrap();
    assert_ne!(renewed, serial(dir.path()), "no two certificates have one serial number");
}

#[test]
fn a_wrong_clock_is_got_over() {
    let dir = tempfile::tempdir().unwrap();
    // A machine without a battery starts in 1970, and is set later; or ran ahead, and is set back.
    for now_ms in [0, NOW_MS, NOW_MS + 20_000 * DAY_MS, NOW_MS] {
        let certificates = open_local(dir.path(), &[], now_ms).unwrap();
        greet(&certificates, &certificates.ca_pem().unwrap(), "localhost", now_ms).unwrap();
    }
    for now_ms in [i64::MIN, -1, i64::MAX] {
        let error = open_local(dir.path(), &[], now_ms).unwrap_err();
        assert!(matches!(error, TlsError::Clock { .. }), "{error}");
    }
}

#[test]
fn a_key_that_everybody_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open_local(dir.path(), &[], NOW_MS).unwrap();
    let (ca, server) = (dir.path().join("tls/ca.key"), dir.path().join("tls/server.key"));
    for mode in [0o644, 0o604, 0o602] {
        set_mode(&ca, mode);
        let error = open_local(dir.path(), &[], NOW_MS).unwrap_err();
        assert!(matches!(error, TlsError::ExposedKey { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("mode 0{mode:o}")) && text.contains("ca.key"), "{text}");
    }
    set_mode(&ca, 0o660); // as a container platform gives a volume to a group
    let before = contents(dir.path());
    open_local(dir.path(), &[], NOW_MS).unwrap();
    assert!(changed(&before, dir.path()).is_empty());
    set_mode(&server, 0o644); // the server's own key is simply replaced
    open_local(dir.path(), &[], NOW_MS).unwrap();
    assert_eq!(changed(&before, dir.path()), ["server.key", "server.pem"]);
    assert_eq!(fs::metadata(&server).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Damages an installation, and expects the next start to make these files anew, or to be refused
/// with an error that has these words, leaving all as it is.
#[track_caller]
fn check_damage(damage: impl FnOnce(&Path), expected: Result<&[&str], &str>) {
    let dir = tempfile::tempdir().unwrap();
    let root = open_local(dir.path(), &[], NOW_MS).unwrap().ca_pem().unwrap();
    let before = contents(dir.path());
    damage(&dir.path().join("tls"));
    let damaged = contents(dir.path());
    match (open_local(dir.path(), &[], NOW_MS), expected) {
        (Ok(certificates), Ok(files)) => {
            assert_eq!(changed(&before, dir.path()), files);
            greet(&certificates, &root, "localhost", NOW_MS)
                .expect("the old root is still trusted");
        }
        (Err(error), Err(words)) => {
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(contents(dir.path()), damaged);
        }
        (result, _) => panic!("{:?} instead of {expected:?}", result.map(|c| c.info())),
    }
}

#[test]
fn damage_is_repaired_where_nobody_loses_trust_by_it() {
    let pair = ["server.key", "server.pem"];
    let remove = |name: &'static str| move |dir: &Path| fs::remove_file(dir.join(name)).unwrap();
    let write = |name: &'static str, text: &'static str| {
        move |dir: &Path| fs::write(dir.join(name), text).unwrap()
    };
    let cut = |name: &'static str| {
        move |dir: &Path| {
            let bytes = fs::read(dir.join(name)).unwrap();
            fs::write(dir.join(name), &bytes[..bytes.len() / 2]).unwrap();
        }
    };
    check_damage(|_| (), Ok(&[]));
    check_damage(remove("server.key"), Ok(&pair));
    check_damage(remove("server.pem"), Ok(&pair));
    check_damage(cut("server.key"), Ok(&pair));
    check_damage(cut("server.pem"), Ok(&pair));
    check_damage(write("server.pem", ""), Ok(&pair));
    check_damage(remove("ca.pem"), Ok(&["ca.pem"]));
    for name in FILES {
        check_damage(|dir| fs::write(dir.join(format!("{name}.part")), "half a").unwrap(), Ok(&[]));
    }
    check_damage(remove("ca.key"), Err("`ca.pem` beside it is there"));
    check_damage(write("ca.key", "not a key"), Err("is damaged"));
    check_damage(cut("ca.key"), Err("is damaged"));
    check_damage(cut("ca.pem"), Err("ca.pem` is damaged"));
    let swap = |one: &'static str, other: &'static str| {
        move |dir: &Path| fs::write(dir.join(one), fs::read(dir.join(other)).unwrap()).unwrap()
    };
    check_damage(swap("server.pem", "ca.pem"), Ok(&pair));
    check_damage(swap("server.key", "ca.key"), Ok(&pair));
    check_damage(swap("ca.key", "server.key"), Err("for another key"));
    check_damage(swap("ca.pem", "server.pem"), Err("for another key"));
}

#[test]
fn a_certificate_of_another_authority_is_not_served() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = open_local(dir.path(), &[], NOW_MS).unwrap().ca_pem().unwrap();
    open_local(other.path(), &[], NOW_MS).unwrap();
    for name in ["server.key", "server.pem"] {
        fs::copy(other.path().join("tls").join(name), dir.path().join("tls").join(name)).unwrap();
    }
    let certificates = open_local(dir.path(), &[], NOW_MS).unwrap();
    greet(&certificates, &root, "localhost", NOW_MS).unwrap();
}
