//! The provider's certificates: nothing but containers of the keys that may have signed.
//!
//! *Invariants*: no key is shorter than what still counts as safe. A certificate's dates, issuer and
//! extensions decide nothing (SAML Metadata Interoperability Profile §2.6.1): it is the administrator
//! who trusts it, for as long as it stands in the settings.

use super::refusal::{Passed, Refusal, refuse};
use super::settings::{SamlError, Settings};
use crate::model::time::format_rfc3339;
use aws_lc_rs::digest::{SHA256, digest};
use bergshamra::Key;
use bergshamra::keys::loader::load_x509_cert_der;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fmt::Write;
use storage::row::TimeMs;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Most certificates of a provider: the present one, the next one, and some that were forgotten.
pub(super) const CERTIFICATES_MAX: usize = 8;

/// Largest certificate as PEM.
const PEM_BYTES_MAX: usize = 16 * 1024;

/// Shortest RSA key (NIST SP 800-131A), and the longest that is computed with.
const RSA_BITS_MIN: usize = 2048;
const RSA_BITS_MAX: usize = 8192;

const MS_PER_S: i64 = 1000;

/// A certificate that was read.
#[derive(Debug)]
pub(super) struct Certificate {
    /// What verifies.
    pub(super) key: Key,
    /// SHA-256 of its DER form, in hexadecimal.
    pub(super) sha256: String,
    /// What the key is, as in `RSA 2048`.
    kind: String,
    not_after_ms: TimeMs,
}

/// Reads one certificate. `position` says which one it is, from 1 on, for the error.
pub(super) fn read(pem: &str, position: usize) -> Result<Certificate, SamlError> {
    let bad = |reason: &'static str| SamlError::Certificate { position, reason };
    if pem.len() > PEM_BYTES_MAX {
        return Err(bad("it is too long"));
    }
    let mut sections = CertificateDer::pem_slice_iter(pem.as_bytes());
    let der = match (sections.next(), sections.next()) {
        (Some(Ok(der)), None) => der,
        (Some(Ok(_)), Some(_)) => return Err(bad("it is more than one: give each of its own")),
        _ => return Err(bad("it is not PEM: it begins with `-----BEGIN CERTIFICATE-----`")),
    };
    let (rest, parsed) =
        X509Certificate::from_der(&der).map_err(|_| bad("it is not an X.509 certificate"))?;
    if !rest.is_empty() {
        return Err(bad("there is something after it"));
    }
    let kind = kind(&parsed, position)?;
    let key =
        load_x509_cert_der(&der).map_err(|_| bad("its key is of a kind that is not known"))?;
    let not_after_ms = parsed.validity().not_after.timestamp().saturating_mul(MS_PER_S);
    Ok(Certificate { key, sha256: sha256(&der), kind, not_after_ms })
}

/// What kind of key `certificate` has, if it is safe.
fn kind(certificate: &X509Certificate<'_>, position: usize) -> Result<String, SamlError> {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => {
            let bits = bits(key.modulus);
            if (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
                Ok(format!("RSA {bits}"))
            } else {
                Err(SamlError::KeySize { position, bits })
            }
        }
        // The curves that there are have 256 bits at least; which one it is, loading it tells.
        Ok(PublicKey::EC(point)) => Ok(format!("ECDSA {}", point.key_size())),
        _ => Err(SamlError::Certificate { position, reason: "its key is neither RSA nor ECDSA" }),
    }
}

/// The length of a big-endian number.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = &number[zeros..];
    let leading = digits.first().map_or(0, |byte| byte.leading_zeros() as usize);
    digits.len() * 8 - leading
}

/// SHA-256 of a certificate in hexadecimal.
pub(super) fn sha256(der: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest(&SHA256, der).as_ref() {
        let _into_memory = write!(text, "{byte:02x}");
    }
    text
}

/// The certificates in `settings`, all of which must be good.
pub(super) fn keys(settings: &Settings, now_ms: TimeMs) -> Passed<Vec<Certificate>> {
    let certificates = settings.certificates().map_err(refused)?;
    let told: Vec<String> =
        certificates.iter().map(|certificate| tell(certificate, now_ms)).collect();
    Ok((certificates, told.join("; ")))
}

fn refused(error: SamlError) -> Refusal {
    refuse(error.code(), error.to_string())
}

fn tell(certificate: &Certificate, now_ms: TimeMs) -> String {
    let Certificate { kind, sha256, not_after_ms, .. } = certificate;
    let verb = if *not_after_ms < now_ms { "ended" } else { "ends" };
    let end = format_rfc3339(*not_after_ms);
    format!("{kind}, SHA-256 {sha256}, {verb} {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_without_leading_zeros() {
        for (number, expected) in
            [(&[][..], 0), (&[0, 0], 0), (&[0, 0x80], 8), (&[0x7f, 0], 15), (&[1], 1)]
        {
            assert_eq!(bits(number), expected, "{number:?}");
        }
    }
}
