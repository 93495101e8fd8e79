//! The certificate authority of one installation, and the certificate it issues to the server.
//!
//! Four files in `tls/` of the data directory, each with mode 0600: `ca.key` and `ca.pem`, written
//! once in this order and meant to be trusted for ten years; `server.key` and `server.pem`, which
//! are replaced whenever the server's names change or a third of their time is left.
//!
//! *Invariants*: after a crash at any point the next start goes on with what is there. `ca.key` is
//! never overwritten, so whoever trusts `ca.pem` does so until it ends: when `ca.pem` is missing or
//! nearly over it is made anew for the same key and with the same name, and both versions vouch for
//! the same servers. The server's own pair is worth nothing by itself: whatever is wrong with it, it
//! is made anew. Before a certificate is used it is verified as a client would.
//!
//! The authority has no name constraints (RFC 5280 §4.2.1.10). They would have to list the names
//! known at the first start, and a name added a year later would fail with every client that had
//! already been told to trust it. What bounds the harm of a stolen key is the path length of 0 and
//! that each installation has an authority of its own.
//!
//! `server.pem` holds the server's certificate alone. The authority is a root: a client has it or
//! must not believe it, so sending it would only make handshakes longer (RFC 8446 §4.4.2).

use super::certificate::{AuthorityInfo, Facts, Served, Text, check, fingerprint, read_chain};
use super::error::TlsError;
use super::files::{Folder, exposed_mode};
use super::names::SubjectName;
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::{RootCertStore, crypto};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::row::TimeMs;
use storage::volume::Volume;
use time::OffsetDateTime;

/// The folder in the data directory.
pub const FOLDER: &str = "tls";
/// The authority's private key, PKCS#8 in PEM.
pub const CA_KEY: &str = "ca.key";
/// The authority's certificate, PEM.
pub const CA_PEM: &str = "ca.pem";
/// The server's private key, PKCS#8 in PEM.
pub const SERVER_KEY: &str = "server.key";
/// The server's certificate, PEM.
pub const SERVER_PEM: &str = "server.pem";

const DAY_MS: i64 = 86_400_000;

/// How long the authority is trusted: longer than the machine it is made on is kept.
const CA_LIFE_MS: i64 = 3650 * DAY_MS;

/// The authority's certificate is made anew when less is left: no certificate it issues has to end
/// earlier for it, and clients have two years to fetch the new one.
const CA_LEFT_MS: i64 = 2 * LEAF_LIFE_MS;

/// How long the server's certificate is valid. Browsers refuse more than 398 days of public
/// authorities (CA/Browser Forum Baseline Requirements 6.3.2), and Mozilla's recommended server
/// configuration asks for 366 at most of any.
const LEAF_LIFE_MS: i64 = 365 * DAY_MS;

/// It is renewed when one part in so many of its life is left: four months, in which somebody sees
/// that renewing fails.
const LEAF_PARTS_LEFT: i64 = 3;

/// So much before now a certificate begins: clocks of clients are behind.
const CLOCK_SKEW_MS: i64 = DAY_MS;

/// The last time at which certificates are made, 1 January 9980: X.509 can write years up to 9999.
const CLOCK_MS_MAX: TimeMs = 252_771_148_800_000;

/// Random bytes in a serial number: hard to foresee, and never given twice, not even to two
/// versions of one authority (RFC 5280 §4.1.2.2 allows 20 bytes).
const SERIAL_BYTES: usize = 16;

/// Longest common name in characters (RFC 5280, ub-common-name).
const COMMON_NAME_CHARS_MAX: usize = 64;

/// The authority's files, and the names its server is to have.
#[derive(Debug)]
pub struct LocalAuthority {
    folder: Folder,
    names: BTreeSet<SubjectName>,
}

/// The authority itself, while it is needed.
struct Authority {
    key: KeyPair,
    der: CertificateDer<'static>,
    pem: String,
    info: AuthorityInfo,
}

impl LocalAuthority {
    /// The authority in `tls/` of `volume`, which is the directory `root`, with a server called
    /// `names`. Nothing is read or written yet.
    pub fn new(volume: Arc<dyn Volume>, root: &Path, names: BTreeSet<SubjectName>) -> Self {
        Self { folder: Folder::new(volume, root, FOLDER), names }
    }

    /// The server's certificate for `now_ms` (Unix milliseconds): the one that is there, or a new
    /// one if there is none, if it is for other names, or if it is due.
    pub fn serve(&self, now_ms: TimeMs) -> Result<Served, TlsError> {
        if !(0..CLOCK_MS_MAX).contains(&now_ms) {
            return Err(TlsError::Clock { now_ms });
        }
        self.folder.prepare(&[CA_KEY, CA_PEM, SERVER_KEY, SERVER_PEM])?;
        let authority = self.authority(now_ms)?;
        if let Some(served) = self.present(&authority, now_ms)? {
            return Ok(served);
        }
        self.issue(&authority, now_ms)
    }

    /// Whether `served` should be replaced by what [`serve`](Self::serve) gives at `now_ms`.
    pub fn is_due(&self, served: &Served, now_ms: TimeMs) -> bool {
        let (info, authority) = (&served.info, served.info.authority.as_ref());
        let life_ms = info.not_after_ms.saturating_sub(info.not_before_ms);
        is_due(info.not_before_ms, info.not_after_ms, life_ms / LEAF_PARTS_LEFT, now_ms)
            || authority.is_none_or(|ca| ca.not_after_ms.saturating_sub(now_ms) < CA_LEFT_MS)
    }

    /// The files whose change from outside matters.
    pub(super) fn paths(&self) -> [std::path::PathBuf; 4] {
        [CA_KEY, CA_PEM, SERVER_KEY, SERVER_PEM].map(|name| self.folder.path(name))
    }

    /// The authority, made at the first start. Its key comes first: a key without a certificate has
    /// been given to nobody, a certificate without a key is worth nothing.
    fn authority(&self, now_ms: TimeMs) -> Result<Authority, TlsError> {
        let key = match (self.folder.read(CA_KEY)?, self.folder.read(CA_PEM)?) {
            (Some(key), Some(pem)) => {
                let key = self.read_ca_key(&key)?;
                return match self.read_ca(key, &pem, now_ms)? {
                    (authority, false) => Ok(authority),
                    (authority, true) => self.certify_ca(authority.key, now_ms),
                };
            }
            (Some(key), None) => self.read_ca_key(&key)?,
            (None, Some(_)) => {
                return Err(TlsError::AuthorityKeyMissing { path: self.folder.path(CA_KEY) });
            }
            (None, None) => {
                let key = KeyPair::generate().map_err(TlsError::library("make a key"))?;
                self.folder.replace(CA_KEY, key.serialize_pem().as_bytes())?;
                self.refuse_exposed_key()?;
                key
            }
        };
        self.certify_ca(key, now_ms)
    }

    fn read_ca_key(&self, pem: &[u8]) -> Result<KeyPair, TlsError> {
        self.refuse_exposed_key()?;
        std::str::from_utf8(pem)
            .map_err(|error| error.to_string())
            .and_then(|pem| KeyPair::from_pem(pem).map_err(|error| error.to_string()))
            .map_err(|reason| self.damaged(CA_KEY, reason))
    }

    fn refuse_exposed_key(&self) -> Result<(), TlsError> {
        let path = self.folder.path(CA_KEY);
        exposed_mode(&path).map_or(Ok(()), |mode| Err(TlsError::ExposedKey { path, mode }))
    }

    fn damaged(&self, name: &str, reason: impl Into<String>) -> TlsError {
        TlsError::Authority { path: self.folder.path(name), reason: reason.into() }
    }

    /// The authority of `key` and `pem`, and whether its certificate is due.
    fn read_ca(
        &self,
        key: KeyPair,
        pem: &[u8],
        now_ms: TimeMs,
    ) -> Result<(Authority, bool), TlsError> {
        let path = self.folder.path(CA_PEM);
        let chain = read_chain(Text { path: &path, bytes: pem })
            .map_err(|error| self.damaged(CA_PEM, error.to_string()))?;
        let [der] = <[CertificateDer<'static>; 1]>::try_from(chain)
            .map_err(|_| self.damaged(CA_PEM, "more than one certificate is in it"))?;
        let facts = Facts::read(&der).map_err(|reason| self.damaged(CA_PEM, reason))?;
        if facts.public_key != key.subject_public_key_info() {
            return Err(self.damaged(CA_PEM, "it is for another key than `ca.key`"));
        }
        if !facts.is_authority {
            return Err(self.damaged(CA_PEM, "it is not the certificate of an authority"));
        }
        let due = is_due(facts.not_before_ms, facts.not_after_ms, CA_LEFT_MS, now_ms);
        let pem =
            String::from_utf8(pem.to_vec()).map_err(|_| self.damaged(CA_PEM, "it is not text"))?;
        Ok((Authority::new(key, der, pem, facts), due))
    }

    /// Makes and stores the certificate of the authority whose key is `key`.
    fn certify_ca(&self, key: KeyPair, now_ms: TimeMs) -> Result<Authority, TlsError> {
        const DOING: &str = "make the authority's certificate";
        let mut params = params(now_ms, CA_LIFE_MS, &authority_name(&key))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(TlsError::library(DOING))?;
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        let facts = Facts::read(&der).map_err(TlsError::library(DOING))?;
        self.folder.replace(CA_PEM, pem.as_bytes())?;
        Ok(Authority::new(key, der, pem, facts))
    }

    /// The server's certificate that is there, if it will do.
    fn present(&self, authority: &Authority, now_ms: TimeMs) -> Result<Option<Served>, TlsError> {
        let (Some(key), Some(pem)) = (self.folder.read(SERVER_KEY)?, self.folder.read(SERVER_PEM)?)
        else {
            return Ok(None);
        };
        if exposed_mode(&self.folder.path(SERVER_KEY)).is_some() {
            return Ok(None);
        }
        let served = self.verified(authority, &key, &pem, now_ms);
        Ok(served.ok().filter(|served| {
            let names: BTreeSet<String> = served.info.names.iter().cloned().collect();
            names == self.names.iter().map(ToString::to_string).collect()
                && !self.is_due(served, now_ms)
        }))
    }

    /// Issues and stores a certificate for a new key. The key is stored first; a crash in between
    /// leaves two files that do not fit, and the next start comes here again.
    fn issue(&self, authority: &Authority, now_ms: TimeMs) -> Result<Served, TlsError> {
        const DOING: &str = "issue the server's certificate";
        let mut params = params(now_ms, LEAF_LIFE_MS, self.common_name())?;
        params.subject_alt_names =
            self.names.iter().map(alternative_name).collect::<Result<_, _>>()?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(TlsError::library("make a key"))?;
        let issuer = Issuer::from_ca_cert_der(&authority.der, &authority.key)
            .map_err(TlsError::library(DOING))?;
        let pem = params.signed_by(&key, &issuer).map_err(TlsError::library(DOING))?.pem();
        let key = key.serialize_pem();
        let served = self.verified(authority, key.as_bytes(), pem.as_bytes(), now_ms)?;
        self.folder.replace(SERVER_KEY, key.as_bytes())?;
        self.folder.replace(SERVER_PEM, pem.as_bytes())?;
        Ok(served)
    }

    /// Checks a pair as any other, and then as a client that trusts the authority does.
    fn verified(
        &self,
        authority: &Authority,
        key: &[u8],
        pem: &[u8],
        now_ms: TimeMs,
    ) -> Result<Served, TlsError> {
        let (pem_path, key_path) = (self.folder.path(SERVER_PEM), self.folder.path(SERVER_KEY));
        let pem = Text { path: &pem_path, bytes: pem };
        let mut served = check(pem, Text { path: &key_path, bytes: key }, now_ms)?;
        verify(&authority.der, &served, now_ms)
            .map_err(TlsError::library("verify the server's certificate"))?;
        served.info.authority = Some(authority.info.clone());
        served.ca_pem = Some(authority.pem.as_str().into());
        Ok(served)
    }

    /// The name that old tools show: the first that only this server has.
    fn common_name(&self) -> &str {
        let names = self.names.iter().filter_map(|name| match name {
            SubjectName::Dns(name) => Some(name.as_str()),
            SubjectName::Ip(_) => None,
        });
        let mut fit =
            names.filter(|name| *name != "localhost" && name.len() <= COMMON_NAME_CHARS_MAX);
        fit.next().unwrap_or("localhost")
    }
}

impl Authority {
    fn new(key: KeyPair, der: CertificateDer<'static>, pem: String, facts: Facts) -> Self {
        let info = AuthorityInfo {
            subject: facts.subject,
            not_after_ms: facts.not_after_ms,
            sha256: fingerprint(&der),
        };
        Self { key, der, pem, info }
    }
}

/// Whether less than `left_ms` are left at `now_ms`, or the beginning is still to come, as after a
/// clock was wrong for a while.
fn is_due(not_before_ms: TimeMs, not_after_ms: TimeMs, left_ms: i64, now_ms: TimeMs) -> bool {
    now_ms < not_before_ms || not_after_ms.saturating_sub(now_ms) < left_ms
}

/// A name that tells installations apart in a list of trusted authorities. It is derived from the
/// key, so that an authority whose certificate is made anew keeps it.
fn authority_name(key: &KeyPair) -> String {
    let hash = digest(&SHA256, &key.subject_public_key_info());
    let short: String = hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("External Metrics local CA {short}")
}

/// What all certificates have: a serial number, a name, and `life_ms` from a day before `now_ms`.
fn params(now_ms: TimeMs, life_ms: i64, name: &str) -> Result<CertificateParams, TlsError> {
    let begin_ms = (now_ms - CLOCK_SKEW_MS).max(0); // some clients read no year before 1970
    let at = |ms: TimeMs| {
        OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000))
            .map_err(|_| TlsError::Clock { now_ms })
    };
    let mut serial = rand::random::<[u8; SERIAL_BYTES]>();
    serial[0] = serial[0] & 0x7f | 0x40; // positive, and always of the same length
    let mut params = CertificateParams::default();
    params.not_before = at(begin_ms)?;
    params.not_after = at(begin_ms + life_ms)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn alternative_name(name: &SubjectName) -> Result<SanType, TlsError> {
    Ok(match name {
        SubjectName::Ip(address) => SanType::IpAddress(*address),
        SubjectName::Dns(name) => {
            let text = name.as_str().try_into();
            SanType::DnsName(text.map_err(TlsError::library("write a name"))?)
        }
    })
}

/// Whether a client that trusts the authority `ca` believes `served` at `now_ms`: signature, dates,
/// usage, and a name.
fn verify(
    ca: &CertificateDer<'static>,
    served: &Served,
    now_ms: TimeMs,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let localhost = ServerName::try_from("localhost")
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let now = UnixTime::since_unix_epoch(Duration::from_millis(now_ms.unsigned_abs()));
    let leaf = served.key.end_entity_cert()?;
    verifier.verify_server_cert(leaf, &[], &localhost, &[], now).map(|_| ())
}
