//! Whose certificates are believed: the authorities that this machine trusts, and those that an
//! administrator names besides.
//!
//! The machine's, and not a list built into the program: companies put their own authorities there, and
//! take others away.

use rustls::client::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{RootCertStore, version};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest file of authorities: a whole distribution's has a quarter of a megabyte.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The one protocol that is spoken (RFC 7301).
const PROTOCOL: &[u8] = b"http/1.1";

/// Why the authorities that were named are not believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("cannot read `{path}` of `outgoing.authorities`: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("`{path}` of `outgoing.authorities` is not a PEM file of authorities' certificates: {reason}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set TLS up ({reason}): report this with the version of `emx`")]
    Library {
        /// What the library said.
        reason: String,
    },
}

/// How other ends prove who they are. Clones are the same.
#[derive(Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust(…)")
    }
}

impl Trust {
    /// The authorities of this machine, and those in `ca_file`. A machine that trusts nobody is no
    /// error: there may be nobody outside to ask.
    pub fn of_machine(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (taken, unusable) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(taken, unusable, errors = found.errors.len(), "authorities of the machine");
        Self::with(roots, ca_file)
    }

    /// Those in `ca_file` alone.
    pub fn of_file(ca_file: &Path) -> Result<Self, TrustError> {
        Self::with(RootCertStore::empty(), Some(ca_file))
    }

    /// The provider is named: a second one in the binary would make the choice fail at run time.
    fn with(mut roots: RootCertStore, ca_file: Option<&Path>) -> Result<Self, TrustError> {
        if let Some(path) = ca_file {
            add_file(&mut roots, path)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| TrustError::Library { reason: error.to_string() })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    /// What handshakes are made with.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TrustError> {
    let failed = |source| TrustError::File { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let one_more = FILE_BYTES_MAX + 1; // shows that it is too long
    File::open(path).map_err(failed)?.take(one_more).read_to_end(&mut bytes).map_err(failed)?;
    let wrong = |reason: String| TrustError::Content { path: path.to_owned(), reason };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    match roots.len() > before {
        true => Ok(()),
        false => Err(wrong("it holds no `BEGIN CERTIFICATE` section".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_authority_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let trouble = |path: &Path| Trust::of_file(path).unwrap_err().to_string();
        assert!(trouble(&path).starts_with("cannot read"), "{}", trouble(&path));
        let key = rcgen::KeyPair::generate().unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in ["", "certificate", &key.serialize_pem(), broken] {
            std::fs::write(&path, text).unwrap();
            let said = trouble(&path);
            assert!(said.contains("ca.pem` of `outgoing.authorities` is not a PEM file"), "{said}");
        }
        assert!(trouble(Path::new("/dev/zero")).contains("more than"));
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
        Trust::of_file(&path).unwrap();
        Trust::of_machine(Some(&path)).unwrap();
    }
}
