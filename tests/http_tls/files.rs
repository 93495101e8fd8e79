//! The customer's own certificate: what is taken, what is refused with which words, and that the
//! old one is served until there is a better one.

use crate::support::{DAY_MS, Foreign, NOW_MS, Pair, files_in, greet};
use emx::http::tls::{Certificates, TlsError};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

fn open(dir: &Path) -> Result<Arc<Certificates>, TlsError> {
    Certificates::open(Path::new("/nowhere"), files_in(dir), &[], NOW_MS)
}

/// The key of a PKCS#8 file alone, which is PKCS#1 or SEC1: the octet string in a sequence after
/// version and algorithm (RFC 5958 §2).
fn unwrapped(pem: &str, label: &str) -> String {
    /// Tag, content and rest of the first element of `der`.
    fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
        let (header, len) = match der[1] {
            short @ 0..0x80 => (2, usize::from(short)),
            long => {
                let digits = usize::from(long & 0x7f);
                let len = der[2..2 + digits].iter().fold(0, |len, d| len << 8 | usize::from(*d));
                (2 + digits, len)
            }
        };
        (der[0], &der[header..header + len], &der[header + len..])
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (_, body, _) = element(key.secret_der());
    let (_, _, rest) = element(body);
    let (_, _, rest) = element(rest);
    let (tag, inner, _) = element(rest);
    assert_eq!(tag, 4);
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, inner);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[test]
fn keys_of_every_usual_kind_are_taken() {
    let foreign = Foreign::new("Customer CA");
    let (ecdsa, rsa) = (KeyPair::generate().unwrap(), KeyPair::generate_for(&PKCS_RSA_SHA256));
    let rsa = rsa.unwrap();
    let sec1 = unwrapped(&ecdsa.serialize_pem(), "EC PRIVATE KEY");
    let with_parameters = format!(
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{sec1}"
    );
    let other = |alg| KeyPair::generate_for(alg).unwrap();
    let (p384, ed25519) = (other(&PKCS_ECDSA_P384_SHA384), other(&PKCS_ED25519));
    let cases = [
        (&ecdsa, ecdsa.serialize_pem()),
        (&ecdsa, sec1),
        (&ecdsa, with_parameters),
        (&rsa, rsa.serialize_pem()),
        (&rsa, unwrapped(&rsa.serialize_pem(), "RSA PRIVATE KEY")),
        (&p384, p384.serialize_pem()),
        (&ed25519, ed25519.serialize_pem()),
    ];
    for (n, (key, pem)) in cases.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let certificate = foreign.certify(key, NOW_MS - DAY_MS, NOW_MS + DAY_MS);
        Pair { certificate, key: pem }.write(dir.path());
        let certificates = open(dir.path()).unwrap_or_else(|e| panic!("case {n}: {e}"));
        greet(&certificates, &foreign.pem, "localhost", NOW_MS).unwrap();
        assert!(certificates.ca_pem().is_none() && certificates.info().authority.is_none());
        assert!(!certificates.renew_if_due(NOW_MS + 400 * DAY_MS).unwrap());
    }
}

#[test]
fn one_file_may_hold_everything() {
    let (dir, foreign) = (tempfile::tempdir().unwrap(), Foreign::new("Customer CA"));
    let good = foreign.good();
    let all = format!("subject=localhost\n{}{}{}", good.key, good.certificate, foreign.pem);
    Pair { certificate: all.clone(), key: all.replace('\n', "\r\n") }.write(dir.path());
    let certificates = open(dir.path()).unwrap();
    greet(&certificates, &foreign.pem, "localhost", NOW_MS).unwrap();
    assert!(certificates.info().key_exposed, "a file has mode 0644 by itself");
    fs::set_permissions(dir.path().join("server.key"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(certificates.changed_on_disk());
    assert!(!certificates.reload(NOW_MS).unwrap(), "it is the same certificate");
    assert!(!certificates.info().key_exposed && !certificates.changed_on_disk());
}

/// What each replacement is, and words of the error it gives.
fn bad_replacements(foreign: &Foreign) -> Vec<(Pair, &'static str)> {
    let good = foreign.good();
    let with =
        |certificate: &str, key: &str| Pair { certificate: certificate.into(), key: key.into() };
    let other = Foreign::new("Other CA");
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----";
    let old_style = good.key.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n", 1);
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let no_base64 = good.certificate.replacen("MII", "!!!", 1);
    vec![
        (with("", &good.key), "holds no certificate"),
        (with("certificate, please", &good.key), "holds no certificate"),
        (with(&good.key, &good.key), "holds no certificate"),
        (with(&half(&good.certificate), &good.key), "no `END` line"),
        (with(&no_base64, &good.key), "not Base64"),
        (with(no_der, &good.key), "certificate 1 in"),
        (with(&format!("{}{no_der}", good.certificate), &good.key), "certificate 2 in"),
        (with(&good.certificate, ""), "holds no private key"),
        (with(&good.certificate, &good.certificate), "holds no private key"),
        (with(&good.certificate, &half(&good.key)), "no `END` line"),
        (with(&good.certificate, no_key), "cannot be used"),
        (with(&good.certificate, encrypted), "is encrypted"),
        (with(&good.certificate, &old_style), "is encrypted"),
        (with(&good.certificate, &foreign.good().key), "does not fit"),
        (with(&format!("{}{}", foreign.pem, good.certificate), &good.key), "does not fit"),
        (with(&format!("{}{}", good.certificate, other.pem), &good.key), "issued none"),
        (with(&good.certificate.repeat(11), &good.key), "more than 10"),
        (with(&"#".repeat(300_000), &good.key), "more than 262144 bytes"),
        (foreign.pair(NOW_MS - 9 * DAY_MS, NOW_MS - DAY_MS), "ended at 2026-02-28T12:00:00"),
        (foreign.pair(NOW_MS + DAY_MS, NOW_MS + 9 * DAY_MS), "begins only at 2026-03-02T12:00:00"),
    ]
}

#[test]
fn a_bad_replacement_is_refused_and_the_old_one_served() {
    let (dir, foreign) = (tempfile::tempdir().unwrap(), Foreign::new("Customer CA"));
    foreign.good().write(dir.path());
    let certificates = open(dir.path()).unwrap();
    let old = certificates.info();
    for (pair, words) in bad_replacements(&foreign) {
        pair.write(dir.path());
        assert!(certificates.changed_on_disk(), "{words}");
        let error = certificates.reload(NOW_MS).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("server."), "{error}");
        assert!(!error.contains("BEGIN PRIVATE KEY-----\nM"), "{error}");
        assert!(!certificates.changed_on_disk(), "it is not tried again until it changes");
        assert_eq!(certificates.info(), old);
        greet(&certificates, &foreign.pem, "localhost", NOW_MS).unwrap();
        assert!(open(dir.path()).is_err(), "nor does a server start with it");
    }
    fs::remove_file(dir.path().join("server.key")).unwrap();
    assert!(certificates.changed_on_disk());
    let error = certificates.reload(NOW_MS).unwrap_err().to_string();
    assert!(error.starts_with("cannot read `"), "{error}");
    foreign.good().write(dir.path());
    assert!(certificates.changed_on_disk() && certificates.reload(NOW_MS).unwrap());
    assert_ne!(certificates.info().sha256, old.sha256);
    greet(&certificates, &foreign.pem, "localhost", NOW_MS).unwrap();
}

#[test]
fn any_cut_of_either_file_is_refused_or_harmless() {
    let (dir, foreign) = (tempfile::tempdir().unwrap(), Foreign::new("Customer CA"));
    let good = foreign.good();
    good.write(dir.path());
    let certificates = open(dir.path()).unwrap();
    let old = certificates.info();
    for name in ["server.pem", "server.key"] {
        let whole = fs::read(dir.path().join(name)).unwrap();
        for len in (0..whole.len()).step_by(7) {
            fs::write(dir.path().join(name), &whole[..len]).unwrap();
            let reloaded = certificates.reload(NOW_MS);
            assert!(reloaded.is_err() || len + 1 == whole.len(), "{len} bytes of {name}");
            assert_eq!(certificates.info().sha256, old.sha256);
        }
        fs::write(dir.path().join(name), whole).unwrap();
    }
}

#[test]
fn what_begins_later_is_taken_up_then() {
    let (dir, foreign) = (tempfile::tempdir().unwrap(), Foreign::new("Customer CA"));
    foreign.good().write(dir.path());
    let certificates = open(dir.path()).unwrap();
    let old = certificates.info();
    foreign.pair(NOW_MS + DAY_MS, NOW_MS + 9 * DAY_MS).write(dir.path());
    assert!(certificates.reload(NOW_MS).is_err());
    assert!(!certificates.renew_if_due(NOW_MS + DAY_MS - 1000).unwrap());
    assert_eq!(certificates.info(), old);
    assert!(certificates.renew_if_due(NOW_MS + DAY_MS).unwrap());
    assert_ne!(certificates.info(), old);
    assert!(!certificates.renew_if_due(NOW_MS + DAY_MS).unwrap());
}

#[test]
fn a_swapped_symbolic_link_is_seen() {
    let (dir, foreign) = (tempfile::tempdir().unwrap(), Foreign::new("Customer CA"));
    let at = |name: &str| dir.path().join(name);
    for version in ["..one", "..two"] {
        fs::create_dir(at(version)).unwrap();
        foreign.good().write(&at(version));
    }
    symlink("..one", at("..data")).unwrap();
    for name in ["server.pem", "server.key"] {
        symlink(format!("..data/{name}"), at(name)).unwrap();
    }
    let certificates = open(dir.path()).unwrap();
    let old = certificates.info();
    assert!(!certificates.changed_on_disk());
    symlink("..two", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    assert!(certificates.changed_on_disk());
    assert!(certificates.reload(NOW_MS).unwrap() && !certificates.changed_on_disk());
    assert_ne!(certificates.info().sha256, old.sha256);
}
