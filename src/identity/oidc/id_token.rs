//! ID tokens: what a provider signs to say who somebody is (OpenID Connect Core §2, §3.1.3.7).
//!
//! *Invariants*: no claim is looked at before the signature is known to be good; the key comes from the
//! provider's key set and from nowhere else, whatever the header says; the algorithm is one that the
//! provider has said it uses and that fits the key. What extends or redirects the meaning of a header
//! (`crit`, `b64`, `jku`, `jwk`, `x5u`, `x5c`) is refused, and so is an encrypted token.

use super::claims::{Claims, WrongType};
use super::document::ALGORITHMS;
use super::keys::Keys;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use storage::row::TimeMs;

/// Longest token, bytes: one with two hundred groups, the most that Entra ID writes, has some 12,000.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// How far this machine's clock and the provider's may be apart.
pub const LEEWAY_MS: TimeMs = 60_000;

/// How old a token may be that was fetched a moment ago. Providers make them when they are fetched.
pub const AGE_MS_MAX: TimeMs = 10 * 60_000;

/// Longest `sub`, bytes (Core §2).
const SUBJECT_BYTES_MAX: usize = 255;

/// Why an ID token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// It is no signed token.
    #[error("it is malformed, or encrypted")]
    Malformed,
    /// Its header asks for something else than to be verified.
    #[error("its header has more than a signed ID token needs")]
    Header,
    /// Its algorithm is none that the provider uses and that is accepted.
    #[error("it is signed by an algorithm that is not accepted")]
    Algorithm,
    /// Its key is not in the provider's key set.
    #[error("it is signed by a key that the provider does not publish: try again in a minute")]
    UnknownKey,
    /// The signature does not fit.
    #[error("its signature does not fit")]
    Signature,
    /// A claim that must be there is not, or has another type.
    #[error("a claim is missing, repeated or of another type")]
    Claims,
    /// `iss` is another provider.
    #[error("it is another issuer's")]
    Issuer,
    /// `aud` is not this server, or `azp` is not.
    #[error("it is for another application, or for others too")]
    Audience,
    /// `exp` or `session_expiry` is over.
    #[error("it has expired: see to the clocks")]
    Expired,
    /// `nbf` or `iat` is to come.
    #[error("it is not valid yet: see to the clocks")]
    NotYet,
    /// `iat` is long ago.
    #[error("it was made long ago: see to the clocks")]
    Old,
    /// `nonce` is another sign-in's.
    #[error("it belongs to another sign-in")]
    Nonce,
    /// `at_hash` is another access token's.
    #[error("it came with another access token")]
    AccessToken,
}

impl IdTokenError {
    /// A stable word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "id_token_malformed",
            Self::Header => "id_token_header",
            Self::Algorithm => "id_token_algorithm",
            Self::UnknownKey => "id_token_key",
            Self::Signature => "id_token_signature",
            Self::Claims => "id_token_claims",
            Self::Issuer => "id_token_issuer",
            Self::Audience => "id_token_audience",
            Self::Expired => "id_token_expired",
            Self::NotYet => "id_token_not_yet",
            Self::Old => "id_token_old",
            Self::Nonce => "id_token_nonce",
            Self::AccessToken => "id_token_access_token",
        }
    }

    /// Whether keys that are not known here may make it a good one: providers add keys, and some put
    /// another one under a name that they used before.
    pub(super) fn may_lack_a_key(self) -> bool {
        matches!(self, Self::UnknownKey | Self::Signature)
    }

    /// Whether another sign-in may succeed later without anybody's help.
    pub fn is_transient(self) -> bool {
        self == Self::UnknownKey
    }
}

impl From<WrongType> for IdTokenError {
    fn from(_: WrongType) -> Self {
        Self::Claims
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
    jku: Option<Value>,
    jwk: Option<Value>,
    x5u: Option<Value>,
    x5c: Option<Value>,
}

/// A token taken apart; nothing in it is verified but its form.
pub(super) struct Parts<'a> {
    /// Which key is said to have signed.
    pub(super) kid: Option<String>,
    /// How it is said to be signed: an algorithm that the provider uses.
    pub(super) algorithm: Algorithm,
    signed: &'a str,
    claims: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes `text` apart, whose algorithm must be one of `offered`.
    pub(super) fn of(text: &'a str, offered: &[Algorithm]) -> Result<Self, IdTokenError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(IdTokenError::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(IdTokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(IdTokenError::Malformed)?;
        if claims.contains('.') {
            return Err(IdTokenError::Malformed);
        }
        let header = URL_SAFE_NO_PAD.decode(header).ok().filter(|json| json.starts_with(b"{"));
        let header: Option<Header> = header.and_then(|json| serde_json::from_slice(&json).ok());
        let Header { alg, kid, typ, crit, b64, jku, jwk, x5u, x5c } =
            header.ok_or(IdTokenError::Malformed)?;
        let redirects = [crit, b64, jku, jwk, x5u, x5c].iter().any(Option::is_some);
        if redirects || typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(IdTokenError::Header);
        }
        let known = ALGORITHMS.iter().find(|(name, _)| *name == alg).map(|(_, known)| *known);
        let algorithm = known.filter(|known| offered.contains(known));
        let algorithm = algorithm.ok_or(IdTokenError::Algorithm)?;
        Ok(Self { kid, algorithm, signed, claims, signature })
    }

    /// The claims, if one of `keys` has signed them. They are yet to be checked.
    pub(super) fn verify(&self, keys: &Keys) -> Result<Claims, IdTokenError> {
        let key = keys.find(self.kid.as_deref(), self.algorithm).ok_or(IdTokenError::UnknownKey)?;
        self.verify_by(key)
    }

    fn verify_by(&self, key: &DecodingKey) -> Result<Claims, IdTokenError> {
        let signed = self.signed.as_bytes();
        match jsonwebtoken::crypto::verify(self.signature, signed, key, self.algorithm) {
            Ok(true) => {}
            _ => return Err(IdTokenError::Signature),
        }
        let json = URL_SAFE_NO_PAD.decode(self.claims).map_err(|_| IdTokenError::Malformed)?;
        Claims::read(&json).ok_or(IdTokenError::Claims)
    }
}

/// What an ID token must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) algorithm: Algorithm,
    /// What came with the token.
    pub(super) access_token: Option<&'a str>,
    pub(super) now_ms: TimeMs,
}

impl Expected<'_> {
    /// Whether `claims` are acceptable.
    pub(super) fn check(&self, claims: &Claims) -> Result<(), IdTokenError> {
        self.check_parties(claims)?;
        self.check_times(claims)?;
        let nonce = claims.text("nonce")?.unwrap_or_default();
        if !is_same(nonce, self.nonce) {
            return Err(IdTokenError::Nonce);
        }
        self.check_access_token(claims)?;
        subject(claims).map(|_| ())
    }

    /// Who made it, and for whom. Whoever else it is for could present it here, so that it is for others
    /// only where it says that it was made for this server.
    fn check_parties(&self, claims: &Claims) -> Result<(), IdTokenError> {
        if claims.text("iss")?.ok_or(IdTokenError::Claims)? != self.issuer {
            return Err(IdTokenError::Issuer);
        }
        let audience = claims.texts("aud")?.ok_or(IdTokenError::Claims)?;
        let made_for = claims.text("azp")?;
        let is_alone = audience.iter().all(|one| *one == self.client_id);
        let is_for_us = audience.contains(&self.client_id)
            && made_for.is_none_or(|party| party == self.client_id)
            && (is_alone || made_for.is_some());
        if is_for_us { Ok(()) } else { Err(IdTokenError::Audience) }
    }

    fn check_times(&self, claims: &Claims) -> Result<(), IdTokenError> {
        let (earliest, latest) =
            (self.now_ms.saturating_sub(LEEWAY_MS), self.now_ms.saturating_add(LEEWAY_MS));
        let expires_ms = claims.time_ms("exp")?.ok_or(IdTokenError::Claims)?;
        let made_ms = claims.time_ms("iat")?.ok_or(IdTokenError::Claims)?;
        let from_ms = claims.time_ms("nbf")?.unwrap_or(made_ms);
        let session_ends_ms = session_ends_ms(claims)?.unwrap_or(TimeMs::MAX);
        if expires_ms <= earliest || session_ends_ms <= self.now_ms {
            return Err(IdTokenError::Expired);
        }
        if made_ms > latest || from_ms > latest {
            return Err(IdTokenError::NotYet);
        }
        match made_ms < self.now_ms.saturating_sub(AGE_MS_MAX) {
            true => Err(IdTokenError::Old),
            false => Ok(()),
        }
    }

    /// Core §3.1.3.8: the left half of the hash that the token's own algorithm uses.
    fn check_access_token(&self, claims: &Claims) -> Result<(), IdTokenError> {
        let Some(at_hash) = claims.text("at_hash")? else { return Ok(()) };
        let access_token = self.access_token.ok_or(IdTokenError::AccessToken)?;
        let algorithm = match self.algorithm {
            Algorithm::EdDSA => &SHA512, // Ed25519, RFC 8032 §5.1
            _ => &SHA256,
        };
        let hash = digest(algorithm, access_token.as_bytes());
        let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
        match is_same(&URL_SAFE_NO_PAD.encode(left), at_hash) {
            true => Ok(()),
            false => Err(IdTokenError::AccessToken),
        }
    }
}

/// Whom the token is about: `sub`.
pub(super) fn subject(claims: &Claims) -> Result<&str, IdTokenError> {
    let subject = claims.text("sub")?.unwrap_or_default();
    let is_name =
        (1..=SUBJECT_BYTES_MAX).contains(&subject.len()) && !subject.chars().any(char::is_control);
    is_name.then_some(subject).ok_or(IdTokenError::Claims)
}

/// When a session that begins with the token must end, where the provider says so (OpenID Connect
/// Enterprise Extensions, `session_expiry`).
pub(super) fn session_ends_ms(claims: &Claims) -> Result<Option<TimeMs>, IdTokenError> {
    Ok(claims.time_ms("session_expiry")?)
}

/// Compares texts in a time that does not tell where they differ.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_taken_apart_and_verified_or_refused(
            text in "[A-Za-z0-9_.=+/-]{0,80}",
            any: String,
            header in r#"\{"alg":"(ES256|EdDSA|none)","kid":".{0,4}"\}"#,
        ) {
            let offered = ALGORITHMS.map(|(_, algorithm)| algorithm);
            let key = DecodingKey::from_ed_der(&[7; 32]);
            let headed = format!("{}.{text}", URL_SAFE_NO_PAD.encode(header));
            for text in [text, any, headed] {
                if let Ok(parts) = Parts::of(&text, &offered) {
                    prop_assert!(parts.verify_by(&key).is_err());
                }
            }
        }
    }
}
