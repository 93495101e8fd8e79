//! Keys of a provider, which sign whatever they are told by whatever algorithm.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A pair of keys.
pub(crate) enum Signer {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(crate) fn ec() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }

    /// The public part.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "kid": kid, "n": text(&public.n), "e": text(&public.e) })
            }
            Self::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "kid": kid, "crv": "P-256", "x": text(x), "y": text(y) })
            }
            Self::Ed(pair) => {
                let x = text(pair.public_key().as_ref());
                json!({ "kty": "OKP", "kid": kid, "crv": "Ed25519", "x": x })
            }
        }
    }

    /// The public part as others might take it for a secret.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        let Self::Rsa(pair) = self else { panic!("only RSA keys are confused with secrets here") };
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        der.as_ref().to_vec()
    }

    /// Signs `text` as `algorithm` does.
    pub(crate) fn sign(&self, algorithm: &str, text: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        let bytes = text.as_bytes();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                match algorithm {
                    "PS256" => pair.sign(&RSA_PSS_SHA256, &random, bytes, &mut signature),
                    "RS512" => pair.sign(&RSA_PKCS1_SHA512, &random, bytes, &mut signature),
                    _ => pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature),
                }
                .unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(bytes).as_ref().to_vec(),
        }
    }
}

/// What a shared secret makes of `text`.
pub(crate) fn hs256(secret: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}
