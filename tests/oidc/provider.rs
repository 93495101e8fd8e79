//! A provider that does everything right, and everything else where it is told to.

use crate::signer::Signer;
use crate::site::{Came, Reply};
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use emx::runtime::clock::Clock;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

pub(crate) const CLIENT_ID: &str = "client 1";
pub(crate) const CLIENT_SECRET: &str = "s3cret:with/signs+%";
pub(crate) const REDIRECT_URI: &str = "https://metrics.example.org/api/v1/auth/sso/acme/p/callback";
pub(crate) const ACCESS_TOKEN: &str = "access-token-1";

/// The id of the key that signs at first.
pub(crate) const KID: &str = "k1";

/// What the browser brings back.
#[derive(Clone, Debug)]
pub(crate) struct Callback {
    pub(crate) code: String,
    pub(crate) state: String,
    pub(crate) iss: Option<String>,
}

/// What was asked for when a code was made.
struct Asked {
    challenge: String,
    nonce: String,
}

/// Makes a token of the claims that are right.
type Forging = Box<dyn Fn(&Provider, Value) -> String + Send>;

pub(crate) struct Provider {
    pub(crate) issuer: String,
    /// Unix seconds.
    pub(crate) now_s: i64,
    /// What it says of itself.
    pub(crate) document: Value,
    pub(crate) jwks: Value,
    pub(crate) userinfo: Value,
    pub(crate) signer: Signer,
    pub(crate) header: Value,
    /// Claims that differ from what is right; `null` for one that is missing.
    pub(crate) claims: Value,
    /// What else the answer to a code says; `null` for what is missing.
    pub(crate) tokens: Value,
    pub(crate) forging: Option<Forging>,
    /// Answers that are given instead, by path.
    pub(crate) instead: HashMap<&'static str, Reply>,
    /// A path for which it takes its time, by that clock.
    pub(crate) slow: Option<(&'static str, Clock, Duration)>,
    /// What came since the last time it was asked.
    pub(crate) came: Vec<Came>,
    codes: HashMap<String, Asked>,
    made: usize,
}

impl Provider {
    pub(crate) fn new(issuer: &str, now_ms: i64) -> Self {
        let signer = Signer::ec();
        let at = |path: &str| format!("{issuer}{path}");
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/jwks"),
            "userinfo_endpoint": at("/userinfo"),
            "response_types_supported": ["code", "id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["HS256", "ES256", "RS256", "PS256", "EdDSA", "none"],
            "code_challenge_methods_supported": ["plain", "S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        Self {
            issuer: issuer.to_owned(),
            now_s: now_ms / 1000,
            document,
            jwks: json!({ "keys": [signer.jwk(KID)] }),
            userinfo: json!({ "sub": "person-1" }),
            signer,
            header: json!({ "alg": "ES256", "kid": KID, "typ": "JWT" }),
            claims: json!({}),
            tokens: json!({}),
            forging: None,
            instead: HashMap::new(),
            slow: None,
            came: Vec::new(),
            codes: HashMap::new(),
            made: 0,
        }
    }

    /// Signs by another algorithm from now on, with another key.
    pub(crate) fn sign_with(&mut self, algorithm: &str, signer: Signer) {
        self.signer = signer;
        self.header["alg"] = json!(algorithm);
        self.jwks = json!({ "keys": [self.signer.jwk(KID)] });
    }

    /// The person signs in where `url` leads, and is sent back.
    pub(crate) fn authorize(&mut self, url: &str) -> Callback {
        let (endpoint, query) = url.split_once('?').unwrap();
        assert_eq!(endpoint, self.document["authorization_endpoint"].as_str().unwrap());
        let query: HashMap<String, String> =
            form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], CLIENT_ID);
        assert_eq!(query["redirect_uri"], REDIRECT_URI);
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["code_challenge"].len(), 43);
        assert!(query["scope"].starts_with("openid "), "{}", query["scope"]);
        assert!(query["state"].len() >= 43 && query["nonce"].len() >= 43);
        self.made += 1;
        let code = format!("code {}", self.made);
        let [challenge, nonce] = ["code_challenge", "nonce"].map(|name| query[name].clone());
        self.codes.insert(code.clone(), Asked { challenge, nonce });
        let iss = self.document["authorization_response_iss_parameter_supported"] == true;
        Callback { code, state: query["state"].clone(), iss: iss.then(|| self.issuer.clone()) }
    }

    pub(crate) fn answer(&mut self, came: Came) -> Reply {
        self.came.push(came.clone());
        let path = self.issuer.split_once("://").unwrap().1;
        let path = path.find('/').map_or("", |at| &path[at..]);
        let asked = came.target.strip_prefix(path).unwrap().to_owned();
        if let Some((_, clock, takes)) = self.slow.as_ref().filter(|(path, ..)| *path == asked) {
            clock.advance(*takes);
            self.now_s = clock.now_ms() / 1000;
        }
        if let Some((_, reply)) = self.instead.iter().find(|(path, _)| **path == asked) {
            return reply.clone();
        }
        match (&*came.method, &*asked) {
            ("GET", "/.well-known/openid-configuration") => Reply::json(200, &self.document),
            ("GET", "/jwks") => Reply::json(200, &self.jwks),
            ("GET", "/userinfo") => {
                assert_eq!(came.header("authorization"), Some("Bearer access-token-1"));
                Reply::json(200, &self.userinfo)
            }
            ("POST", "/token") => self.give_tokens(&came),
            _ => Reply::json(404, &json!({ "error": "not_found" })),
        }
    }

    /// How often `path` was asked for since the last time.
    pub(crate) fn asked(&mut self, path: &str) -> usize {
        let count = self.came.iter().filter(|came| came.target.ends_with(path)).count();
        self.came.retain(|came| !came.target.ends_with(path));
        count
    }

    fn give_tokens(&mut self, came: &Came) -> Reply {
        let refused = |error: &str| Reply::json(400, &json!({ "error": error }));
        if !self.knows_client(came) {
            return Reply::json(401, &json!({ "error": "invalid_client" }));
        }
        if came.field("grant_type").as_deref() != Some("authorization_code") {
            return refused("unsupported_grant_type");
        }
        // A code is good for one time.
        let asked = came.field("code").and_then(|code| self.codes.remove(&code));
        let Some(asked) = asked else { return refused("invalid_grant") };
        // A client that does without PKCE is none of ours.
        let verifier = came.field("code_verifier");
        let verifier = verifier.expect("each code is exchanged with a verifier");
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        if challenge != asked.challenge
            || came.field("redirect_uri").as_deref() != Some(REDIRECT_URI)
        {
            return refused("invalid_grant");
        }
        let right = json!({
            "iss": self.issuer,
            "sub": "person-1",
            "aud": CLIENT_ID,
            "exp": self.now_s + 300,
            "iat": self.now_s,
            "nonce": asked.nonce,
            "email": "you@example.org",
            "email_verified": true,
            "groups": ["staff", "builders"],
            "at_hash": self.at_hash(),
        });
        let claims = differing(right, &self.claims);
        let id_token = match &self.forging {
            Some(forging) => forging(self, claims),
            None => self.sign(&self.header.to_string(), &claims.to_string()),
        };
        let tokens = json!({
            "id_token": id_token,
            "access_token": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": 300,
        });
        Reply::json(200, &differing(tokens, &self.tokens))
    }

    /// RFC 6749 §2.3.1, by the way that the document names first.
    fn knows_client(&self, came: &Came) -> bool {
        let ways = &self.document["token_endpoint_auth_methods_supported"];
        let basic = "client+1:s3cret%3Awith%2Fsigns%2B%25";
        match ways[0].as_str() {
            None | Some("client_secret_basic") => {
                let expected = format!("Basic {}", STANDARD.encode(basic));
                came.header("authorization") == Some(&expected)
                    && came.field("client_secret").is_none()
            }
            Some("client_secret_post") => {
                came.header("authorization").is_none()
                    && came.field("client_id").as_deref() == Some(CLIENT_ID)
                    && came.field("client_secret").as_deref() == Some(CLIENT_SECRET)
            }
            _ => {
                came.header("authorization").is_none()
                    && came.field("client_id").as_deref() == Some(CLIENT_ID)
                    && came.field("client_secret").is_none()
            }
        }
    }

    fn at_hash(&self) -> String {
        let is_ed = matches!(self.signer, Signer::Ed(_));
        let hash = digest(if is_ed { &SHA512 } else { &SHA256 }, ACCESS_TOKEN.as_bytes());
        URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
    }

    /// A token of these texts, signed as the header says.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let signed = unsigned(header, claims);
        let algorithm = self.header["alg"].as_str().unwrap();
        let signature = self.signer.sign(algorithm, &signed);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Header and claims with the dot between.
pub(crate) fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

/// `right` with what `others` say instead.
fn differing(mut right: Value, others: &Value) -> Value {
    for (name, value) in others.as_object().unwrap() {
        match value {
            Value::Null => drop(right.as_object_mut().unwrap().remove(name)),
            value => right[name] = value.clone(),
        }
    }
    right
}
