//! What can be wrong with a certificate, its key, or the files they lie in.

use crate::model::time::format_rfc3339;
use std::io;
use std::path::PathBuf;
use storage::row::TimeMs;

/// Why there is no certificate to serve, or why a new one was not taken up.
///
/// Every message names the file or the setting and says what to do with it. None holds any part
/// of a private key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("cannot {doing} `{path}`: {source}: see to its owner, mode and free space", path = path.display())]
    Io {
        /// The verb: `read`, `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is larger than anything of its kind.
    #[error("`{path}` has more than {bytes_max} bytes: is it really a PEM file?", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        bytes_max: u64,
    },
    /// A file is not PEM (RFC 7468), or cut off.
    #[error("`{path}` is not whole PEM ({reason}): write the file anew", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No certificate is in the file.
    #[error("`{path}` holds no certificate: it needs a `BEGIN CERTIFICATE` section, the server's own first", path = path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The chain is longer than any real one.
    #[error("`{path}` holds more than {certificates_max} certificates: give the server's own and those between it and a root", path = path.display())]
    LongChain {
        /// The file.
        path: PathBuf,
        /// The bound.
        certificates_max: usize,
    },
    /// A certificate is not X.509.
    #[error("certificate {position} in `{path}` cannot be read ({reason}): have it issued anew", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        position: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The chain does not lead upwards.
    #[error("certificate {position} in `{path}` issued none of those before it: put the server's own first, then its issuer, then the issuer's", path = path.display())]
    ChainOrder {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        position: usize,
    },
    /// No private key is in the file.
    #[error("`{path}` holds no private key: it needs a `BEGIN PRIVATE KEY` (PKCS#8), `BEGIN EC PRIVATE KEY` or `BEGIN RSA PRIVATE KEY` section", path = path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The private key is behind a passphrase.
    #[error("the key in `{path}` is encrypted: decrypt it with `openssl pkey -in … -out …` and give the file mode 0600", path = path.display())]
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// The private key is of a kind that cannot be used.
    #[error("the key in `{path}` cannot be used ({reason}): use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more", path = path.display())]
    UnusableKey {
        /// The file.
        path: PathBuf,
        /// What the library said.
        reason: String,
    },
    /// Key and certificate do not belong together.
    #[error("the key in `{key}` does not fit the first certificate in `{certificate}`: give the two that were made together", key = key.display(), certificate = certificate.display())]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate is over.
    #[error("the certificate in `{path}` ended at {at}: have it renewed", path = path.display(), at = format_rfc3339(*not_after_ms))]
    Expired {
        /// The certificate's file.
        path: PathBuf,
        /// Its last instant, Unix milliseconds.
        not_after_ms: TimeMs,
    },
    /// The certificate has not begun.
    #[error("the certificate in `{path}` begins only at {at}: wait until then, or set this machine's clock", path = path.display(), at = format_rfc3339(*not_before_ms))]
    NotYetValid {
        /// The certificate's file.
        path: PathBuf,
        /// Its first instant, Unix milliseconds.
        not_before_ms: TimeMs,
    },
    /// The machine's clock tells a time that no certificate can carry.
    #[error("no certificate can be made for {at}: set this machine's clock", at = format_rfc3339(*now_ms))]
    Clock {
        /// What it says, Unix milliseconds.
        now_ms: TimeMs,
    },
    /// A name cannot stand in a certificate.
    #[error("the server's name `{name}` {reason}")]
    Name {
        /// As given.
        name: String,
        /// What is wrong, and what to write.
        reason: &'static str,
    },
    /// More names than a certificate should carry.
    #[error(
        "the server has {count} names, {names_max} at most: use a wildcard, or a certificate of your own"
    )]
    TooManyNames {
        /// How many were given.
        count: usize,
        /// The bound.
        names_max: usize,
    },
    /// Others on this machine may read the authority's private key.
    #[error("`{path}` has mode {mode:04o}, so everybody on this machine can read the key of your certificate authority: `chmod 600` it; if somebody may have read it, remove it and `ca.pem`, and have your clients trust the new authority", path = path.display())]
    ExposedKey {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The authority's certificate is there without its key.
    #[error("`{path}` is missing, and `ca.pem` beside it is there: restore it from a backup; or remove `ca.pem` too, and have your clients trust the new authority", path = path.display())]
    AuthorityKeyMissing {
        /// The key's file.
        path: PathBuf,
    },
    /// The authority's files are damaged, or do not belong together.
    #[error("the certificate authority in `{path}` is damaged ({reason}): restore `ca.key` and `ca.pem` from one backup; if only `ca.pem` is bad, remove it: it is made anew for the same key", path = path.display())]
    Authority {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate could not be made or put to use.
    #[error("cannot {doing} ({reason}): report this with the version of `emx`")]
    Library {
        /// What was tried.
        doing: &'static str,
        /// What the library said.
        reason: String,
    },
}

impl TlsError {
    /// Turns what the operating system said about `path` into an error.
    pub(super) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// Turns what a library said into an error.
    pub(super) fn library<E: ToString>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Library { doing, reason: error.to_string() }
    }
}
