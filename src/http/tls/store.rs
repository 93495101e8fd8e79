//! What is served now, and how another takes its place.
//!
//! *Invariants*: readers never wait: a handshake takes what is there. Whoever replaces it has
//! checked the new one whole; after an error the old one is still served. One replacement at a time.

use super::authority::LocalAuthority;
use super::certificate::{CertificateInfo, Served, Text, check};
use super::error::TlsError;
use super::files::{self, Stamp};
use super::names;
use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::row::TimeMs;
use storage::volume::OsVolume;

/// Whose certificate is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// One from the installation's own authority, made and renewed without anybody's doing.
    LocalAuthority,
    /// The customer's own.
    Files {
        /// The setting `server.certificate`: PEM, the server's certificate first, then those
        /// between it and a root.
        certificate: PathBuf,
        /// The setting `server.key`: PEM, PKCS#8, SEC1 or PKCS#1, not encrypted. May be the same
        /// file.
        key: PathBuf,
    },
}

/// The certificate that is served, and where another comes from.
#[derive(Debug)]
pub struct Certificates {
    origin: Origin,
    served: ArcSwap<Served>,
    /// Held by whoever replaces it.
    seen: Mutex<Seen>,
}

#[derive(Debug)]
enum Origin {
    Local(LocalAuthority),
    Files { certificate: PathBuf, key: PathBuf },
}

/// What was found when files were last looked at.
#[derive(Debug)]
struct Seen {
    stamps: Vec<Stamp>,
    /// When what is there, and was refused for that, begins to hold.
    begins_ms: Option<TimeMs>,
}

impl Certificates {
    /// The certificate to serve at `now_ms` (Unix milliseconds). With
    /// [`CertificateSource::LocalAuthority`] what is missing is made in `tls/` of `data_dir`, for
    /// this machine's host name, `localhost`, the loopback addresses and `names`: DNS names and
    /// addresses as in `server.names`, and the address listened on. `data_dir` must exist.
    ///
    /// With [`CertificateSource::Files`] neither `data_dir` nor `names` is used.
    pub fn open(
        data_dir: &Path,
        source: CertificateSource,
        names: &[String],
        now_ms: TimeMs,
    ) -> Result<Arc<Self>, TlsError> {
        let origin = match source {
            CertificateSource::Files { certificate, key } => Origin::Files { certificate, key },
            CertificateSource::LocalAuthority => {
                let names = names::wanted(names::machine_name().as_deref(), names)?;
                let volume = OsVolume::shared(data_dir);
                Origin::Local(LocalAuthority::new(volume, data_dir, names))
            }
        };
        let before = origin.stamps();
        let served = origin.load(now_ms)?;
        let seen = Seen { stamps: origin.stamps_after(before), begins_ms: None };
        Ok(Arc::new(Self { origin, served: ArcSwap::from_pointee(served), seen: Mutex::new(seen) }))
    }

    /// Reads the files anew and serves what they hold from the next handshake on, connections that
    /// are open go on. On an error the old certificate is still served. Returns whether another one
    /// is served than before.
    pub fn reload(&self, now_ms: TimeMs) -> Result<bool, TlsError> {
        let mut seen = self.seen();
        let before = self.origin.stamps();
        let loaded = self.origin.load(now_ms);
        seen.stamps = self.origin.stamps_after(before);
        seen.begins_ms = match &loaded {
            Err(TlsError::NotYetValid { not_before_ms, .. }) => Some(*not_before_ms),
            _ => None,
        };
        let served = loaded?;
        let old = self.served.swap(Arc::new(served.clone()));
        Ok(old.info.sha256 != served.info.sha256)
    }

    /// Issues a new certificate, and serves it, if that of the local authority is due at `now_ms`
    /// (Unix milliseconds); takes up the customer's if it was refused before because it had not
    /// begun. Costs next to nothing otherwise: call it every few minutes. Returns whether another
    /// one is served than before; on an error the old one is.
    pub fn renew_if_due(&self, now_ms: TimeMs) -> Result<bool, TlsError> {
        let due = match &self.origin {
            Origin::Local(authority) => authority.is_due(&self.served.load(), now_ms),
            Origin::Files { .. } => self.seen().begins_ms.is_some_and(|begins| begins <= now_ms),
        };
        if due { self.reload(now_ms) } else { Ok(false) }
    }

    /// Whether a file is another than when [`reload`](Self::reload) last looked, with or without
    /// success: what was refused is not tried again until it changes. Asks the file system for four
    /// files at most and reads none.
    pub fn changed_on_disk(&self) -> bool {
        self.seen().stamps != self.origin.stamps()
    }

    /// What one shows of the certificate that is served.
    pub fn info(&self) -> CertificateInfo {
        self.served.load().info.clone()
    }

    /// The local authority's certificate for `GET /ca.pem`; none with the customer's own.
    pub fn ca_pem(&self) -> Option<Arc<str>> {
        self.served.load().ca_pem.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Origin {
    fn load(&self, now_ms: TimeMs) -> Result<Served, TlsError> {
        let (certificate, key) = match self {
            Self::Local(authority) => return authority.serve(now_ms),
            Self::Files { certificate, key } => (certificate, key),
        };
        let (certificate_bytes, key_bytes) = (files::read(certificate)?, files::read(key)?);
        let certificate = Text { path: certificate, bytes: &certificate_bytes };
        let mut served = check(certificate, Text { path: key, bytes: &key_bytes }, now_ms)?;
        served.info.key_exposed = files::exposed_mode(key).is_some();
        Ok(served)
    }

    fn stamps(&self) -> Vec<Stamp> {
        match self {
            Self::Local(authority) => authority.paths().iter().map(|p| Stamp::of(p)).collect(),
            Self::Files { certificate, key } => vec![Stamp::of(certificate), Stamp::of(key)],
        }
    }

    /// What to compare with after loading. Of the customer's files that is the state `before` it:
    /// what came while they were read is seen at the next look. The authority writes its own files.
    fn stamps_after(&self, before: Vec<Stamp>) -> Vec<Stamp> {
        match self {
            Self::Local(_) => self.stamps(),
            Self::Files { .. } => before,
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.served.load().key.clone())
    }
}
