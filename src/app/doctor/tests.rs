//! Certificates and directories made for the purpose.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const DAY_MS: i64 = 24 * 3_600_000;

/// The level of the findings on `check`, the gravest of them.
fn level(findings: &Findings, check: &str) -> Option<Level> {
    findings.0.iter().filter(|finding| finding.check == check).map(|finding| finding.level).max()
}

fn certificate(path: &Path, not_after_ms: i64) {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = time::OffsetDateTime::from_unix_timestamp(0).unwrap();
    params.not_after = time::OffsetDateTime::from_unix_timestamp(not_after_ms / 1000).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(path, params.self_signed(&key).unwrap().pem()).unwrap();
}

#[test]
fn certificates_are_told_by_when_they_end() {
    const NOW_MS: i64 = 1_790_000_000_000;
    let check = |not_after_ms: i64| {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tls")).unwrap();
        certificate(&dir.path().join("tls/server.pem"), not_after_ms);
        let mut findings = Findings::default();
        certificates::examine(dir.path(), NOW_MS, &mut findings);
        level(&findings, "tls")
    };
    assert_eq!(check(NOW_MS + 300 * DAY_MS), Some(Level::Ok));
    assert_eq!(check(NOW_MS + 10 * DAY_MS), Some(Level::Warn));
    assert_eq!(check(NOW_MS - 1_000), Some(Level::Fail));
}

#[test]
fn what_is_no_certificate_fails_and_none_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    let mut findings = Findings::default();
    certificates::examine(dir.path(), 0, &mut findings);
    assert!(findings.0.is_empty());
    fs::create_dir(dir.path().join("tls")).unwrap();
    for text in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(dir.path().join("tls/server.pem"), text).unwrap();
        let mut findings = Findings::default();
        certificates::examine(dir.path(), 0, &mut findings);
        assert_eq!(level(&findings, "tls"), Some(Level::Fail), "{text}");
    }
}

#[test]
fn modes_and_leftovers_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(dir.path(), 0o700);
    let look = || {
        let mut findings = Findings::default();
        assert!(host::directory(dir.path(), &mut findings));
        host::files(dir.path(), &mut findings);
        findings
    };
    assert!(look().0.iter().all(|finding| finding.level == Level::Ok));
    let key = dir.path().join("secret.key");
    fs::write(&key, "x").unwrap();
    set_mode(&key, 0o644);
    assert_eq!(level(&look(), "modes"), Some(Level::Fail));
    set_mode(&key, 0o600);
    set_mode(dir.path(), 0o755);
    fs::write(dir.path().join("first-password.txt"), "x").unwrap();
    set_mode(&dir.path().join("first-password.txt"), 0o600);
    let findings = look();
    assert_eq!(level(&findings, "data_dir"), Some(Level::Warn));
    assert_eq!(level(&findings, "first_password"), Some(Level::Warn));
    assert_eq!(level(&findings, "modes"), None);
    let mut findings = Findings::default();
    assert!(!host::directory(&dir.path().join("no"), &mut findings));
    assert!(!host::directory(&key, &mut findings));
    assert_eq!(level(&findings, "data_dir"), Some(Level::Fail));
}

#[test]
fn a_clock_that_cannot_be_right_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let check = |now_ms| {
        let mut findings = Findings::default();
        host::clock(now_ms, dir.path(), &mut findings);
        level(&findings, "clock")
    };
    assert_eq!(check(0), Some(Level::Fail));
    assert_eq!(check(1_790_000_000_000), Some(Level::Ok));
    assert_eq!(check(9_000_000_000_000), Some(Level::Fail));
    fs::write(dir.path().join("platform.redb"), "x").unwrap();
    let written_ms = {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(dir.path().join("platform.redb")).unwrap().mtime() * 1000
    };
    assert_eq!(check(written_ms.max(1_767_225_600_000)), Some(Level::Ok));
    if written_ms - 2 * DAY_MS > 1_767_225_600_000 {
        assert_eq!(check(written_ms - 2 * DAY_MS), Some(Level::Warn));
    }
}
