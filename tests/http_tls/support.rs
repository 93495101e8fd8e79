//! Certificates made for a test, and a client that believes in one root at a time of its own.

use emx::http::tls::{CertificateSource, Certificates, TlsError, server_config};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::{ClientConfig, ClientConnection};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ServerConfig, ServerConnection};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// 1 March 2026, noon, Unix milliseconds.
pub(crate) const NOW_MS: i64 = 1_772_366_400_000;
pub(crate) const DAY_MS: i64 = 86_400_000;

/// The local authority's certificate in `dir` at `now_ms`.
pub(crate) fn open_local(
    dir: &Path,
    names: &[&str],
    now_ms: i64,
) -> Result<Arc<Certificates>, TlsError> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    Certificates::open(dir, CertificateSource::LocalAuthority, &names, now_ms)
}

/// `server.pem` and `server.key` in `dir` as the customer's own.
pub(crate) fn files_in(dir: &Path) -> CertificateSource {
    CertificateSource::Files { certificate: dir.join("server.pem"), key: dir.join("server.key") }
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    /// Writes it where [`files_in`] looks.
    pub(crate) fn write(&self, dir: &Path) {
        std::fs::write(dir.join("server.pem"), &self.certificate).unwrap();
        std::fs::write(dir.join("server.key"), &self.key).unwrap();
    }
}

/// A foreign authority, as a customer has one.
pub(crate) struct Foreign {
    params: CertificateParams,
    key: KeyPair,
    pub(crate) pem: String,
}

impl Foreign {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    /// A certificate for `localhost` and `key`, valid from `from_ms` to `to_ms`.
    pub(crate) fn certify(&self, key: &KeyPair, from_ms: i64, to_ms: i64) -> String {
        let at = |ms: i64| time::OffsetDateTime::from_unix_timestamp(ms / 1000).unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (at(from_ms), at(to_ms));
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(key, &issuer).unwrap().pem()
    }

    /// A pair valid from `from_ms` to `to_ms`.
    pub(crate) fn pair(&self, from_ms: i64, to_ms: i64) -> Pair {
        let key = KeyPair::generate().unwrap();
        Pair { certificate: self.certify(&key, from_ms, to_ms), key: key.serialize_pem() }
    }

    /// A pair that holds at [`NOW_MS`].
    pub(crate) fn good(&self) -> Pair {
        self.pair(NOW_MS - DAY_MS, NOW_MS + 90 * DAY_MS)
    }
}

/// A clock that stands still.
#[derive(Debug)]
struct Standing(i64);

impl TimeProvider for Standing {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.unsigned_abs())))
    }
}

/// A client that trusts the certificate `root` (PEM) alone and lives at `now_ms`.
pub(crate) fn client(
    root: &str,
    version: &'static SupportedProtocolVersion,
    protocols: &[&str],
    now_ms: i64,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
    let clock = Arc::new(Standing(now_ms));
    let mut config = ClientConfig::builder_with_details(Arc::new(default_provider()), clock)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Both ends of a connection after the handshake, tickets included.
pub(crate) fn connect(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client.clone(), name)?;
    let mut server = ServerConnection::new(server.clone())?;
    const ROUNDS_MAX: usize = 10; // a handshake takes three
    for _ in 0..ROUNDS_MAX {
        let mut sent = Vec::new();
        client.write_tls(&mut sent).unwrap();
        server.read_tls(&mut sent.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut sent = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut sent).unwrap();
        }
        let mut rest = sent.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

/// Shakes hands over TLS 1.3 with whoever is served, as a client that trusts `root` at `now_ms`.
pub(crate) fn greet(
    certificates: &Arc<Certificates>,
    root: &str,
    name: &str,
    now_ms: i64,
) -> Result<(), rustls::Error> {
    let client = client(root, &rustls::version::TLS13, &[], now_ms);
    connect(&client, &server_config(certificates).unwrap(), name).map(|_| ())
}
