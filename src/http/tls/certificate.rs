//! A certificate with its chain and key, read from PEM and checked before anybody is shown it.
//!
//! *Invariant*: a [`Served`] holds at the time it was checked for, its key fits, and its chain
//! leads upwards. Bytes of any kind give an error, never a panic.

use super::error::TlsError;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls::{Error as RustlsError, InconsistentKeys};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use storage::row::TimeMs;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Most certificates in a chain: the server's, and more issuers than any real one has. All of them
/// go over the wire in every full handshake.
pub(super) const CHAIN_MAX: usize = 10;

const MS_PER_S: i64 = 1000;

/// What one shows of the certificate that is served: in the log, in metrics, to `emx doctor`, and
/// in the message at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Its subject, as in `CN=metrics.example.org`.
    pub subject: String,
    /// The DNS names and addresses it is for, in its own order.
    pub names: Vec<String>,
    /// Its first instant, Unix milliseconds.
    pub not_before_ms: TimeMs,
    /// Its last instant, Unix milliseconds.
    pub not_after_ms: TimeMs,
    /// SHA-256 of its DER form: 32 pairs of upper-case hexadecimal digits with colons between.
    pub sha256: String,
    /// Whether everybody on this machine may do something with the file of its key. A container
    /// platform mounts secrets that way, so it is told and not refused.
    pub key_exposed: bool,
    /// The local authority that issued it; none with a certificate of the customer's own.
    pub authority: Option<AuthorityInfo>,
}

/// What one shows of the local authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityInfo {
    /// Its subject, which names the installation.
    pub subject: String,
    /// Its last instant, Unix milliseconds.
    pub not_after_ms: TimeMs,
    /// SHA-256 of its certificate, written as the other one: whoever fetched `ca.pem` over an
    /// untrusted network compares it.
    pub sha256: String,
}

/// A certificate that was checked, ready to be handed out.
#[derive(Clone, Debug)]
pub struct Served {
    /// The chain and the key that signs for it.
    pub key: Arc<CertifiedKey>,
    /// What one shows of it.
    pub info: CertificateInfo,
    /// The local authority's certificate, PEM; none with a certificate of the customer's own.
    pub ca_pem: Option<Arc<str>>,
}

/// A file and what was read from it; the path is only for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) path: &'a Path,
    pub(super) bytes: &'a [u8],
}

/// What is read from one certificate.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) subject: String,
    pub(super) names: Vec<String>,
    pub(super) not_before_ms: TimeMs,
    pub(super) not_after_ms: TimeMs,
    pub(super) is_authority: bool,
    pub(super) public_key: Vec<u8>,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
}

/// Takes the chain in `certificate` and the key in `key`, and checks that they can be served at
/// `now_ms` (Unix milliseconds).
pub(super) fn check(
    certificate: Text<'_>,
    key: Text<'_>,
    now_ms: TimeMs,
) -> Result<Served, TlsError> {
    let chain = read_chain(certificate)?;
    let facts = read_facts(certificate.path, &chain)?;
    let key = fit(certificate.path, &chain, key)?;
    check_order(certificate.path, &facts)?;
    let [leaf, ..] = facts.as_slice() else {
        return Err(TlsError::NoCertificate { path: certificate.path.into() });
    };
    check_dates(certificate.path, leaf, now_ms)?;
    let info = CertificateInfo {
        subject: leaf.subject.clone(),
        names: leaf.names.clone(),
        not_before_ms: leaf.not_before_ms,
        not_after_ms: leaf.not_after_ms,
        sha256: fingerprint(&chain[0]),
        key_exposed: false,
        authority: None,
    };
    Ok(Served { key: Arc::new(CertifiedKey::new(chain, key)), info, ca_pem: None })
}

/// The certificates in `text`, at least one. Other sections, as of a key in the same file, are
/// passed over.
pub(super) fn read_chain(text: Text<'_>) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let path = text.path;
    let chain = CertificateDer::pem_slice_iter(text.bytes)
        .take(CHAIN_MAX + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad_pem(path, &error))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.into() });
    }
    if chain.len() > CHAIN_MAX {
        return Err(TlsError::LongChain { path: path.into(), certificates_max: CHAIN_MAX });
    }
    Ok(chain)
}

/// What the library says of damaged PEM, without the bytes it quotes: they may be of a key.
fn bad_pem(path: &Path, error: &pem::Error) -> TlsError {
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no `END` line",
        pem::Error::IllegalSectionStart { .. } => "a `BEGIN` line is damaged",
        pem::Error::Base64Decode(_) => "a section is not Base64",
        _ => "it cannot be read",
    };
    TlsError::Pem { path: path.into(), reason: reason.into() }
}

fn read_facts(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Vec<Facts>, TlsError> {
    let read = |(n, der): (usize, &CertificateDer<'_>)| {
        Facts::read(der).map_err(|reason| TlsError::Certificate {
            path: path.into(),
            position: n + 1,
            reason,
        })
    };
    chain.iter().enumerate().map(read).collect()
}

impl Facts {
    /// Reads one certificate; the error says what is wrong with it.
    pub(super) fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (rest, read) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        if !rest.is_empty() {
            return Err("bytes follow it".into());
        }
        let names = read.subject_alternative_name().map_err(|error| error.to_string())?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let ms = |seconds: i64| seconds.saturating_mul(MS_PER_S);
        Ok(Self {
            subject: read.subject().to_string(),
            names: names.filter_map(name_text).collect(),
            not_before_ms: ms(read.validity().not_before.timestamp()),
            not_after_ms: ms(read.validity().not_after.timestamp()),
            is_authority: read.is_ca(),
            public_key: read.public_key().raw.to_vec(),
            subject_der: read.subject().as_raw().to_vec(),
            issuer_der: read.issuer().as_raw().to_vec(),
        })
    }
}

/// A name as a client types it; none of the kinds that no client types.
fn name_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
                .ok()
                .map(|address| address.to_string())
        }
        _ => None,
    }
}

/// The key in `text`, if it fits the first certificate of `chain`.
fn fit(
    certificate: &Path,
    chain: &[CertificateDer<'static>],
    text: Text<'_>,
) -> Result<Arc<dyn rustls::sign::SigningKey>, TlsError> {
    let path = text.path;
    let unusable =
        |error: RustlsError| TlsError::UnusableKey { path: path.into(), reason: error.to_string() };
    let key = any_supported_type(&read_key(text)?).map_err(unusable)?;
    match CertifiedKey::new(chain.to_vec(), key.clone()).keys_match() {
        Ok(()) => Ok(key),
        Err(RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::KeyMismatch { certificate: certificate.into(), key: path.into() })
        }
        Err(RustlsError::InvalidCertificate(reason)) => Err(TlsError::Certificate {
            path: certificate.into(),
            position: 1,
            reason: reason.to_string(),
        }),
        Err(error) => Err(unusable(error)),
    }
}

/// The first private key in `text`: PKCS#8 (RFC 5958), SEC1 (RFC 5915) or PKCS#1 (RFC 8017).
fn read_key(text: Text<'_>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let path = text.path;
    let holds = |words: &[u8]| text.bytes.windows(words.len()).any(|window| window == words);
    if holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::EncryptedKey { path: path.into() });
    }
    PrivateKeyDer::from_pem_slice(text.bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey { path: path.into() },
        error => bad_pem(path, &error),
    })
}

/// Whether every certificate issued one of those before it. A strict order (RFC 5246 §7.4.2) would
/// refuse chains with two ways up, which RFC 8446 §4.4.2 asks clients to take.
fn check_order(path: &Path, facts: &[Facts]) -> Result<(), TlsError> {
    for (n, issuer) in facts.iter().enumerate().skip(1) {
        if !facts[..n].iter().any(|below| below.issuer_der == issuer.subject_der) {
            return Err(TlsError::ChainOrder { path: path.into(), position: n + 1 });
        }
    }
    Ok(())
}

/// Both ends are part of the time in which a certificate holds (RFC 5280 §4.1.2.5), in seconds.
fn check_dates(path: &Path, leaf: &Facts, now_ms: TimeMs) -> Result<(), TlsError> {
    let path = path.to_owned();
    if now_ms < leaf.not_before_ms {
        return Err(TlsError::NotYetValid { path, not_before_ms: leaf.not_before_ms });
    }
    if now_ms.div_euclid(MS_PER_S) > leaf.not_after_ms.div_euclid(MS_PER_S) {
        return Err(TlsError::Expired { path, not_after_ms: leaf.not_after_ms });
    }
    Ok(())
}

/// SHA-256 of `der` as browsers and `openssl x509 -fingerprint` write it.
pub(super) fn fingerprint(der: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest(&SHA256, der).as_ref() {
        if !text.is_empty() {
            text.push(':');
        }
        let _ = write!(text, "{byte:02X}"); // a `String` takes everything
    }
    text
}
