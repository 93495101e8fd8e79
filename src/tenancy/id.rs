//! Ids that are drawn at random, never told by anybody, and never used again.

use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Digits of an id: 16 of 5 bits are 80 random bits, so that a million ids meet with a chance of
/// 1 in 2·10^12; and each is taken only where there is none, so that even then nothing is shared.
const DIGITS: usize = 16;

/// The alphabet of RFC 4648 §6 in lower case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A tenant's id: the name of its keyspace, and `org` in tokens. Its slug may change; this does
/// not.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// A new id.
    pub fn random() -> Self {
        Self(random_word().into())
    }

    /// Takes `text` as an id if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|b| ALPHABET.contains(&b));
        (text.len() == DIGITS && digits).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_arc(&self) -> &Arc<str> {
        &self.0
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is not a tenant's id"))
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.0.as_ref().into()
    }
}

/// 80 random bits as 16 letters and digits, from the operating system's entropy.
pub fn random_word() -> String {
    let mut rng = rand::rng();
    (0..DIGITS).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_differ_and_parse() {
        let ids: std::collections::BTreeSet<TenantId> =
            (0..1000).map(|_| TenantId::random()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| TenantId::parse(id.as_str()).as_ref() == Some(id)));
    }

    #[test]
    fn only_sixteen_digits_of_the_alphabet_are_an_id() {
        for text in ["", "abc", "../../etc/passwd", "ABCDEFGHIJKLMNOP", "abcdefghijklmno1"] {
            assert_eq!(TenantId::parse(text), None, "{text}");
        }
    }
}
