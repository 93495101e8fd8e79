//! The server's certificate from the first start to its replacement under load: the local
//! authority's files, the customer's own, what is offered in a handshake, and power cuts.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "../storage/tests/support/sim_volume.rs"]
#[allow(unused_imports, reason = "every test that includes it uses another part")]
mod sim_volume;
#[path = "http_tls/support.rs"]
mod support;

#[path = "http_tls/files.rs"]
mod tls_files;
#[path = "http_tls/handshake.rs"]
mod tls_handshake;
#[path = "http_tls/local.rs"]
mod tls_local;
#[path = "http_tls/openssl.rs"]
mod tls_openssl;
#[path = "http_tls/power.rs"]
mod tls_power;
