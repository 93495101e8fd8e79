//! Opaque secrets: random texts that are handed out once and kept only as their hash.
//!
//! *Invariant*: a secret has 256 random bits, so that a plain SHA-256 of it gives nothing away.

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Length of a secret as text: 32 bytes in base64url.
pub(super) const SECRET_CHARS: usize = 43;

/// A hash of a secret.
pub(super) type SecretHash = [u8; SHA256_OUTPUT_LEN];

/// The operating system has no randomness to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no randomness to make a secret of: try again")]
pub struct NoRandomness;

/// A new secret, 43 characters of base64url.
pub(super) fn random_secret() -> Result<String, NoRandomness> {
    let mut bytes = [0; SECRET_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The hash that is kept of `secret`.
pub(super) fn hash(secret: &str) -> SecretHash {
    let mut hash = SecretHash::default();
    hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    hash
}

/// `hash` as text, for records and keys.
pub(super) fn hash_text(hash: &SecretHash) -> String {
    URL_SAFE_NO_PAD.encode(hash)
}

/// The hash that `text` stands for.
pub(super) fn read_hash(text: &str) -> Option<SecretHash> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_their_hashes_can_be_written_down() {
        let (one, two) = (random_secret().unwrap(), random_secret().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), SECRET_CHARS);
        assert_eq!(read_hash(&hash_text(&hash(&one))), Some(hash(&one)));
        assert_ne!(hash(&one), hash(&two));
        for bad in ["", "x", &one[..42], &format!("{one}A")] {
            assert_eq!(read_hash(bad), None, "{bad}");
        }
    }
}
