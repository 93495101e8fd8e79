//! The server's certificate, whose it is, and what may be spoken under it.
//!
//! Without any setting an installation has a certificate authority of its own, made at the first
//! start in `tls/` of the data directory, and a certificate from it that is renewed in time
//! ([`authority`]). A customer with certificates of their own names two files instead. Either way
//! [`Certificates`] hands out the present one and takes up another without losing a connection.
//!
//! *Invariants*: what is served has been checked whole (it parses, its key fits, it holds now);
//! what fails a check never takes the place of what is served. No private key of the authority
//! stays in memory. No clock is read here.

pub mod authority;
pub mod names;

mod certificate;
mod error;
mod files;
mod offer;
mod store;

pub use certificate::{AuthorityInfo, CertificateInfo};
pub use error::TlsError;
pub use offer::server_config;
pub use store::{CertificateSource, Certificates};
