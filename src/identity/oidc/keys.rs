//! The public keys that a provider signs with (RFC 7517).
//!
//! *Invariant*: a key is used only with the algorithm that fits its type, and the one it names if it
//! names one; shared secrets, keys for encryption, private parts and RSA of less than 2048 bits are not
//! read. So no text of a token decides how it is verified.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Keys that are read at most: the large providers publish up to ten.
const KEYS_MAX: usize = 64;

/// Size of an RSA modulus, bytes: 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Size of a coordinate on P-256 and of a key on Ed25519, bytes.
const POINT_BYTES: usize = 32;

/// A key set as it is written.
#[derive(Deserialize)]
pub(super) struct Written {
    keys: Vec<Value>,
}

/// A key as it is written (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
#[derive(Deserialize)]
struct WrittenKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A key that verifies.
struct Key {
    kid: Option<String>,
    /// What it may verify.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// The keys of a provider.
pub(super) struct Keys(Vec<Key>);

impl Written {
    /// The keys that can verify an ID token; others may stand among them.
    pub(super) fn usable(self) -> Keys {
        let written = self.keys.into_iter().take(KEYS_MAX);
        let written = written.filter_map(|key| serde_json::from_value::<WrittenKey>(key).ok());
        Keys(written.filter_map(WrittenKey::usable).collect())
    }
}

impl Keys {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The key called `kid` that verifies by `algorithm`. A token need not name a key where only one
    /// can be meant (Core §10.1).
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| {
            key.algorithms.contains(&algorithm) && (kid.is_none() || key.kid.as_deref() == kid)
        });
        let key = fitting.next()?;
        match kid.is_none() && fitting.next().is_some() {
            true => None,
            false => Some(&key.key),
        }
    }
}

impl WrittenKey {
    fn usable(self) -> Option<Key> {
        let signs = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let verifies = self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !signs || !verifies {
            return None;
        }
        let (key, fitting): (_, &[(&str, Algorithm)]) = match (&*self.kty, self.crv.as_deref()) {
            ("RSA", None) => {
                (self.rsa()?, &[("RS256", Algorithm::RS256), ("PS256", Algorithm::PS256)])
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (point(&self.x)?, point(&self.y)?);
                (DecodingKey::from_ec_components(x, y).ok()?, &[("ES256", Algorithm::ES256)])
            }
            ("OKP", Some("Ed25519")) => {
                let x = point(&self.x)?;
                (DecodingKey::from_ed_components(x).ok()?, &[("EdDSA", Algorithm::EdDSA)])
            }
            _ => return None,
        };
        let meant =
            fitting.iter().filter(|(name, _)| self.alg.as_deref().is_none_or(|alg| alg == *name));
        let algorithms: Vec<Algorithm> = meant.map(|(_, algorithm)| *algorithm).collect();
        (!algorithms.is_empty()).then_some(Key { kid: self.kid, algorithms, key })
    }

    fn rsa(&self) -> Option<DecodingKey> {
        let (n, e) = (self.n.as_deref()?, self.e.as_deref()?);
        let bytes = URL_SAFE_NO_PAD.decode(n).ok()?.len();
        MODULUS_BYTES.contains(&bytes).then(|| DecodingKey::from_rsa_components(n, e).ok())?
    }
}

fn point(text: &Option<String>) -> Option<&str> {
    let text = text.as_deref()?;
    (URL_SAFE_NO_PAD.decode(text).ok()?.len() == POINT_BYTES).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(keys: Value) -> Keys {
        serde_json::from_value::<Written>(json!({ "keys": keys })).unwrap().usable()
    }

    #[test]
    fn a_key_is_taken_for_what_it_is() {
        let (n, e) = (URL_SAFE_NO_PAD.encode([0xff; 256]), "AQAB");
        let point = URL_SAFE_NO_PAD.encode([7; 32]);
        let rsa = json!({ "kty": "RSA", "kid": "r", "n": n, "e": e });
        let keys = read(json!([
            rsa,
            { "kty": "RSA", "kid": "p", "n": n, "e": e, "alg": "PS256", "use": "sig" },
            { "kty": "EC", "kid": "e", "crv": "P-256", "x": point, "y": point },
            { "kty": "OKP", "kid": "d", "crv": "Ed25519", "x": point },
        ]));
        for (kid, algorithms) in [
            ("r", &[Algorithm::RS256, Algorithm::PS256][..]),
            ("p", &[Algorithm::PS256]),
            ("e", &[Algorithm::ES256]),
            ("d", &[Algorithm::EdDSA]),
        ] {
            for (_, algorithm) in super::super::document::ALGORITHMS {
                let found = keys.find(Some(kid), algorithm).is_some();
                assert_eq!(found, algorithms.contains(&algorithm), "{kid} {algorithm:?}");
            }
        }
        assert!(keys.find(None, Algorithm::ES256).is_some(), "only one can be meant");
        assert!(keys.find(None, Algorithm::PS256).is_none(), "two can be meant");
        assert!(keys.find(Some("x"), Algorithm::ES256).is_none());
    }

    #[test]
    fn what_does_not_verify_id_tokens_is_left_out() {
        let (n, e) = (URL_SAFE_NO_PAD.encode([0xff; 256]), "AQAB");
        let (short, point) = (URL_SAFE_NO_PAD.encode([0xff; 128]), URL_SAFE_NO_PAD.encode([7; 32]));
        let keys = read(json!([
            { "kty": "oct", "kid": "secret", "k": point, "alg": "HS256" },
            { "kty": "RSA", "n": short, "e": e },
            { "kty": "RSA", "n": n, "e": e, "use": "enc" },
            { "kty": "RSA", "n": n, "e": e, "key_ops": ["sign"] },
            { "kty": "RSA", "n": n, "e": e, "alg": "HS256" },
            { "kty": "RSA", "n": n, "e": e, "alg": "none" },
            { "kty": "RSA", "n": n },
            { "kty": "EC", "crv": "P-384", "x": point, "y": point },
            { "kty": "EC", "crv": "P-256", "x": point },
            { "kty": "EC", "crv": "P-256", "x": "AA", "y": point },
            { "kty": "OKP", "crv": "X25519", "x": point },
            { "kty": "rsa", "n": n, "e": e },
            { "kty": ["RSA"], "n": n, "e": e },
            7,
            null,
        ]));
        assert!(keys.0.is_empty());
        let many =
            read(Value::Array(vec![json!({ "kty": "OKP", "crv": "Ed25519", "x": point }); 500]));
        assert_eq!(many.0.len(), KEYS_MAX);
    }
}
