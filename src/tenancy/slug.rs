//! The name that people call a tenant by.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Shortest slug, in characters: one letter is a slip of the finger more often than a name.
pub const SLUG_CHARS_MIN: usize = 2;

/// Longest slug, in characters: it is a label of a host name (63 at most, RFC 1035 §2.3.4), with
/// room for a prefix.
pub const SLUG_CHARS_MAX: usize = 40;

/// A tenant's name: `a-z`, `0-9` and `-`, so that it can be part of a host name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(Box<str>);

/// Why a text is not a slug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` cannot be a tenant's name: use {SLUG_CHARS_MIN} to {SLUG_CHARS_MAX} of a-z, 0-9 and \
     `-`, beginning and ending with a letter or digit"
)]
pub struct SlugError {
    /// What was given, cut to a readable length.
    pub text: String,
}

impl Slug {
    /// Takes `text` as a slug if it is one.
    pub fn parse(text: &str) -> Result<Self, SlugError> {
        let length = (SLUG_CHARS_MIN..=SLUG_CHARS_MAX).contains(&text.len());
        let alphabet =
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let ends = !text.starts_with('-') && !text.ends_with('-');
        if length && alphabet && ends {
            Ok(Self(text.into()))
        } else {
            Err(SlugError { text: text.chars().take(2 * SLUG_CHARS_MAX).collect() })
        }
    }

    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Slug {
    type Error = SlugError;

    fn try_from(text: String) -> Result<Self, SlugError> {
        Self::parse(&text)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_labels_of_host_names() {
        let longest = "x".repeat(SLUG_CHARS_MAX);
        for good in ["ab", "acme", "a-1", "42", longest.as_str()] {
            assert_eq!(Slug::parse(good).map(|s| s.as_str().to_owned()), Ok(good.to_owned()));
        }
        let too_long = "x".repeat(SLUG_CHARS_MAX + 1);
        for bad in ["", "a", "Acme", "a_b", "-ab", "ab-", "a.b", "..", "a/b", "ä-ö", "a\0b", "a b"]
        {
            assert!(Slug::parse(bad).is_err(), "{bad}");
        }
        assert!(Slug::parse(&too_long).is_err());
    }
}
