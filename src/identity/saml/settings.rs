//! What is configured for a provider, and what can be wrong with it.

use super::certificate::{self, CERTIFICATES_MAX, Certificate};
use super::refusal::{Refusal, shown};
use crate::identity::opaque::NoRandomness;
use serde::{Deserialize, Serialize};

/// Longest entity id (Metadata §2.2.1), and the longest of everything else here.
const FIELD_BYTES_MAX: usize = 1024;

/// What identity provider is trusted, and who is the service provider it speaks to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The provider's name for itself: the issuer of its answers.
    pub idp_entity_id: String,
    /// Where requests are sent, by HTTP-Redirect.
    pub idp_sso_url: String,
    /// The certificates of the keys that may have signed, PEM, one in each. During a rollover
    /// there are two.
    pub idp_certificates: Vec<String>,
    /// This service's name: the audience of assertions for it.
    pub sp_entity_id: String,
    /// Where answers are posted to.
    pub acs_url: String,
    /// Which attributes are read.
    #[serde(default)]
    pub attributes: Attributes,
}

/// Which attributes of an assertion are read, by their full names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attributes {
    /// Identifies the person; without it, the `NameID` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_id: Option<String>,
    /// The e-mail address; without it, the `NameID` is one if its format says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The groups; without it there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<String>,
}

/// Why settings, a request or metadata are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamlError {
    /// Nobody's signature would count.
    #[error("there is no certificate of the identity provider: add the one that it signs with")]
    NoCertificate,
    /// There are too many certificates.
    #[error("there are more than {CERTIFICATES_MAX} certificates: remove those that are not used")]
    TooManyCertificates,
    /// A certificate cannot be used.
    #[error("certificate {position} cannot be used: {reason}")]
    Certificate {
        /// Which one, from 1 on.
        position: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key is too short to be safe, or too long to be computed with.
    #[error(
        "the RSA key of certificate {position} has {bits} bits: let the provider sign with one of \
         2048 to 8192"
    )]
    KeySize {
        /// Which certificate, from 1 on.
        position: usize,
        /// The length of its key.
        bits: usize,
    },
    /// A field is empty, too long, or has something in it that does not belong there.
    #[error("`{field}` must have 1 to {FIELD_BYTES_MAX} printable characters")]
    Field {
        /// Its name.
        field: &'static str,
    },
    /// A URL is none, or is not `https`.
    #[error("`{field}` is `{text}`: use a URL that begins with `https://`")]
    Url {
        /// Its name.
        field: &'static str,
        /// What it is.
        text: String,
    },
    /// The relay state is longer than providers take.
    #[error("the relay state has {bytes} bytes, 80 at most: use a shorter handle")]
    RelayState {
        /// Its length.
        bytes: usize,
    },
    /// The request could not be written.
    #[error("the request could not be compressed: try again")]
    Deflate,
    /// There is no randomness for an id.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// A metadata document is not that of one identity provider.
    #[error("the metadata cannot be used: {0}")]
    Metadata(Refusal),
}

impl SamlError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::TooManyCertificates => "too_many_certificates",
            Self::Certificate { .. } => "bad_certificate",
            Self::KeySize { .. } => "key_size",
            Self::Field { .. } => "bad_field",
            Self::Url { .. } => "bad_url",
            Self::RelayState { .. } => "relay_state_too_long",
            Self::Deflate => "deflate_failed",
            Self::Randomness(_) => "no_randomness",
            Self::Metadata(refusal) => refusal.code,
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Deflate | Self::Randomness(_))
    }
}

impl Settings {
    /// Passes settings with which a login can work, before they are saved.
    pub fn check(&self) -> Result<(), SamlError> {
        self.faults().into_iter().next().map_or(Ok(()), Err)
    }

    /// Everything in the settings that a login would fail by.
    pub fn faults(&self) -> Vec<SamlError> {
        let Attributes { name_id, email, groups } = &self.attributes;
        let mut faults = self.certificate_faults();
        for (field, text) in [
            ("idp_entity_id", Some(&self.idp_entity_id)),
            ("sp_entity_id", Some(&self.sp_entity_id)),
            ("attributes.name_id", name_id.as_ref()),
            ("attributes.email", email.as_ref()),
            ("attributes.groups", groups.as_ref()),
        ] {
            faults.extend(text.and_then(|text| check_field(field, text).err()));
        }
        for (field, text) in [("idp_sso_url", &self.idp_sso_url), ("acs_url", &self.acs_url)] {
            faults.extend(check_url(field, text).err());
        }
        faults
    }

    fn certificate_faults(&self) -> Vec<SamlError> {
        match self.certificates() {
            Ok(_) => Vec::new(),
            Err(error @ (SamlError::NoCertificate | SamlError::TooManyCertificates)) => vec![error],
            Err(_) => {
                let read = self.idp_certificates.iter().enumerate();
                read.filter_map(|(n, pem)| certificate::read(pem, n + 1).err()).collect()
            }
        }
    }

    /// The certificates, at least one.
    pub(super) fn certificates(&self) -> Result<Vec<Certificate>, SamlError> {
        match self.idp_certificates.len() {
            0 => return Err(SamlError::NoCertificate),
            1..=CERTIFICATES_MAX => {}
            _ => return Err(SamlError::TooManyCertificates),
        }
        let certificates = self.idp_certificates.iter().enumerate();
        certificates.map(|(n, pem)| certificate::read(pem, n + 1)).collect()
    }
}

fn check_field(field: &'static str, text: &str) -> Result<(), SamlError> {
    let printable = !text.chars().any(char::is_control) && text.trim() == text;
    if printable && !text.is_empty() && text.len() <= FIELD_BYTES_MAX {
        Ok(())
    } else {
        Err(SamlError::Field { field })
    }
}

/// Passes an `https` URL with a host, without credentials and fragment. Nothing here connects to it:
/// a browser does.
pub(super) fn check_url(field: &'static str, text: &str) -> Result<(), SamlError> {
    const NEVER: &[u8] = b"\"<>\\^`{|}#";
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !NEVER.contains(&byte));
    let authority = text.strip_prefix("https://").and_then(|rest| rest.split(['/', '?']).next());
    let has_host = authority
        .is_some_and(|host| !host.is_empty() && !host.starts_with(':') && !host.contains('@'));
    if plain && has_host && text.len() <= FIELD_BYTES_MAX {
        Ok(())
    } else {
        Err(SamlError::Url { field, text: shown(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_urls_are_taken() {
        for good in
            ["https://idp.example.org", "https://[::1]:8443/sso?tenant=a%20b", "https://a?b"]
        {
            assert_eq!(check_url("acs_url", good), Ok(()), "{good}");
        }
        let long = format!("https://a/{}", "b".repeat(FIELD_BYTES_MAX));
        for bad in [
            "",
            "http://idp.example.org",
            "HTTPS://idp.example.org",
            "https://",
            "https:///x",
            "https://:443",
            "https://user@idp.example.org",
            "https://user:password@idp.example.org/",
            "https://idp.example.org/#x",
            "https://idp.example.org/ x",
            "https://idp.example.org/\n",
            "https://idp.example.org/ä",
            "https://idp.example.org\\@evil.example",
            "javascript:alert(1)",
            &long,
        ] {
            assert_eq!(check_url("acs_url", bad).unwrap_err().code(), "bad_url", "{bad}");
        }
    }
}
