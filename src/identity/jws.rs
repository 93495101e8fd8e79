//! The compact form of a signed token (RFC 7515 §7.1), read as narrowly as it is written here.
//!
//! *Invariants*: exactly three parts in canonical base64url; a header of exactly `alg`, `typ` and
//! `kid`, each once. So whatever extends or redirects the meaning of a header (`crit`, `jku`,
//! `jwk`, `x5u`, `x5c`, `b64`, …) is refused, and one signature fits one text only. Nothing read
//! here is to be believed before the signature is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The one algorithm (RFC 7518 §3.3).
const ALG: &str = "RS256";

/// The type of access tokens (RFC 9068 §2.1).
pub(super) const TYP: &str = "at+jwt";

/// Largest header in base64 characters: those written here have 120, with a `kid` of 43.
const HEADER_CHARS_MAX: usize = 512;

/// Size of a signature by an RSA key of 2048 bits.
const SIGNATURE_BYTES: usize = 256;

/// A token taken apart; nothing in it is verified but its form.
pub(super) struct Parts<'a> {
    /// Which key is said to have signed.
    pub(super) kid: String,
    /// What was signed: header and claims with the dot between.
    pub(super) signed: &'a str,
    /// The claims in base64url.
    claims: &'a str,
    /// The signature in base64url, which is known to be canonical and of the right length.
    pub(super) signature: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

impl<'a> Parts<'a> {
    /// Takes `text` apart; nothing if it is not of the form that is written here.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        if claims.contains('.') || header.len() > HEADER_CHARS_MAX {
            return None;
        }
        let Header { alg, typ, kid } = object(header)?;
        let canonical = URL_SAFE_NO_PAD.decode(signature).ok()?.len() == SIGNATURE_BYTES;
        (alg == ALG && typ == TYP && canonical).then_some(Self { kid, signed, claims, signature })
    }

    /// The claims, once the signature is known to be good. `T` names every claim there may be and
    /// denies unknown ones, which refuses repeated ones too.
    pub(super) fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        object(self.claims)
    }
}

/// The JSON object in `base64`. A struct could also be read from an array, so that is ruled out.
fn object<T: DeserializeOwned>(base64: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(base64).ok()?;
    if json.first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(json: &str) -> bool {
        let signature = URL_SAFE_NO_PAD.encode([0; SIGNATURE_BYTES]);
        let text = format!("{}.e30.{signature}", URL_SAFE_NO_PAD.encode(json));
        Parts::of(&text).is_some()
    }

    #[test]
    fn only_the_header_that_is_written_here_is_read() {
        assert!(header(r#"{"alg":"RS256","typ":"at+jwt","kid":"k"}"#));
        for bad in [
            r#"{"alg":"RS256","typ":"at+jwt"}"#,
            r#"{"alg":"RS256","kid":"k"}"#,
            r#"{"alg":"RS256","alg":"RS256","typ":"at+jwt","kid":"k"}"#,
            r#"{"alg":"RS256","typ":"at+jwt","kid":"k","kid":"k"}"#,
            r#"{"alg":"RS256","typ":"at+jwt","kid":"k","crit":["exp"]}"#,
            r#"{"alg":"RS256","typ":"at+jwt","kid":{"k":1}}"#,
            r#"{"alg":["RS256"],"typ":"at+jwt","kid":"k"}"#,
            r#"["RS256","at+jwt","k"]"#,
            r#" ["RS256","at+jwt","k"]"#,
            r#"{"alg":"RS256","typ":"at+jwt","kid":"k"}x"#,
            "\u{feff}{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"k\"}",
            "null",
            "",
        ] {
            assert!(!header(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_or_refused(text in "[A-Za-z0-9_.=+/-]{0,80}", any: String) {
            let _refused_or_not = (Parts::of(&text).is_some(), Parts::of(&any).is_some());
        }
    }
}
