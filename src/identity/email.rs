//! E-mail addresses, as names of users. Nothing is ever sent to them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest address, RFC 5321 §4.5.3.1.3 less its angle brackets.
const EMAIL_BYTES_MAX: usize = 254;

/// An e-mail address as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(Box<str>);

/// Why a text is not an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an e-mail address: use one like `you@example.org`")]
pub struct EmailError {
    /// What was given, cut to a readable length.
    pub text: String,
}

impl Email {
    /// Takes `text` as an address if it has the shape of one: something, `@`, something, and no
    /// white space. More cannot be known without sending a message.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let visible = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        let parts = text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
        if visible && parts && text.len() <= EMAIL_BYTES_MAX {
            Ok(Self(text.into()))
        } else {
            Err(EmailError { text: text.chars().filter(|c| !c.is_control()).take(80).collect() })
        }
    }

    /// The address as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What two spellings of one address have in common: its lower case. Addresses that differ
    /// only in case are one user here.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Email {
    type Error = EmailError;

    fn try_from(text: String) -> Result<Self, EmailError> {
        Self::parse(&text)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_two_parts_and_no_white_space() {
        for good in ["you@example.org", "a@b", "Ä.Ö+x@exämple.org"] {
            assert_eq!(Email::parse(good).unwrap().as_str(), good);
        }
        let long = format!("{}@example.org", "x".repeat(EMAIL_BYTES_MAX));
        for bad in ["", "you", "@example.org", "you@", "a@b@c", "a b@c", "a@b\n", "a\0@b", &long] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Email::parse("You@Example.ORG").unwrap().folded(), "you@example.org");
    }
}
