//! What the server offers to speak: versions, suites, groups, protocols.
//!
//! *Invariant*: what is offered is listed here, one by one, so that a new version of the library
//! changes nothing unseen. TLS 1.2 and 1.3, each suite with an ephemeral key exchange and
//! authenticated encryption (RFC 9325 §4.2, RFC 9113 appendix A): no CBC, no static RSA, no
//! renegotiation, no compression, no early data.

use super::error::TlsError;
use super::store::Certificates;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, Ticketer, cipher_suite, kx_group};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::{SupportedCipherSuite, crypto::SupportedKxGroup, version};
use std::sync::Arc;

/// The suites; a client's order decides, for it knows whether it has AES in hardware.
static SUITES: [SupportedCipherSuite; 9] = [
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The groups, the hybrid with ML-KEM among them: what is recorded today stays closed to a quantum
/// computer for every client that offers it. Again the client's order decides.
static GROUPS: [&dyn SupportedKxGroup; 4] =
    [kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];

/// The protocols by ALPN (RFC 7301), the preferred first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What every connection is accepted with; it takes the certificate from `certificates` anew in
/// each handshake.
///
/// Sessions are resumed by tickets alone. Their keys are made in memory, never stored, replaced
/// every 6 hours and forgotten after 12, so that neither a backup nor a stolen disk opens a recorded
/// connection (RFC 9325 §3.4); the server keeps no list of sessions, which clients could fill.
///
/// The extended master secret (RFC 7627) is used by whoever has it and not demanded: OpenSSL 1.0.2
/// has not, and machines that live on it run builds. What it prevents needs client certificates or
/// renegotiation, and there is neither.
///
/// The provider is named: a second one in the binary, brought in by another library, would
/// otherwise make the choice fail at run time.
pub fn server_config(certificates: &Arc<Certificates>) -> Result<Arc<ServerConfig>, TlsError> {
    const DOING: &str = "set TLS up";
    let provider = CryptoProvider {
        cipher_suites: SUITES.to_vec(),
        kx_groups: GROUPS.to_vec(),
        ..aws_lc_rs::default_provider()
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(TlsError::library(DOING))?
        .with_no_client_auth()
        .with_cert_resolver(certificates.clone());
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.ticketer = Ticketer::new().map_err(TlsError::library(DOING))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0; // early data can be replayed (RFC 8446 §8)
    config.send_half_rtt_data = false;
    Ok(Arc::new(config))
}
