//! What a provider says of itself (OpenID Connect Discovery 1.0).
//!
//! *Invariants*: a document speaks for the issuer by whose name it was found, to the letter (§4.3), so
//! that nobody hands out another's endpoints; what it points to is asked over TLS wherever the issuer
//! is, and only where the guard lets requests go.

use super::error::OidcError;
use crate::runtime::outgoing::Guard;
use crate::runtime::outgoing::target::{Scheme, Target};
use jsonwebtoken::Algorithm;
use serde::Deserialize;

/// Algorithms by which an ID token may be signed: each with a key of which the provider alone has the
/// private part. `none` and those with a shared secret (`HS256`, …) are not among them and never are.
pub(super) const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("RS256", Algorithm::RS256),
    ("ES256", Algorithm::ES256),
    ("PS256", Algorithm::PS256),
    ("EdDSA", Algorithm::EdDSA),
];

/// Where the document of `issuer` lies (§4).
pub(super) fn address(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// The document as it is written, as far as it is of interest.
#[derive(Deserialize)]
pub(super) struct Written {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    response_types_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// How this server proves who it is where it exchanges a code (Core §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// In the header `Authorization`.
    Basic,
    /// In the form.
    Post,
}

/// A document that is acceptable.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) jwks_uri: String,
    pub(super) userinfo_endpoint: Option<String>,
    /// By which ID tokens are signed.
    pub(super) algorithms: Vec<Algorithm>,
    /// None: by neither way that is known here.
    pub(super) proof: Option<Proof>,
    /// Whether the browser brings the issuer back (RFC 9207 §3).
    pub(super) brings_issuer: bool,
}

impl Written {
    /// Accepts what was found by the name of `issuer`, or refuses it.
    pub(super) fn check(self, issuer: &str, guard: &Guard) -> Result<Document, OidcError> {
        let refused = |why| OidcError::Discovery { why };
        if self.issuer != issuer {
            return Err(refused("it names another issuer: write the issuer exactly as it does"));
        }
        let is_https = |url: &str| Target::parse(url).map(|url| url.scheme() == Scheme::Https);
        let needs_tls = is_https(issuer) != Ok(false);
        let asked = [&self.token_endpoint, &self.jwks_uri];
        for endpoint in asked.into_iter().chain(&self.userinfo_endpoint) {
            guard.check_url(endpoint).map_err(|source| OidcError::Outgoing {
                doing: "take the provider's endpoints",
                source,
            })?;
        }
        // The browser goes there, and perhaps by another port than this server may.
        for endpoint in
            asked.into_iter().chain([&self.authorization_endpoint]).chain(&self.userinfo_endpoint)
        {
            match is_https(endpoint) {
                Ok(https) if https || !needs_tls => {}
                Ok(_) => return Err(refused("an endpoint is not `https`, though the issuer is")),
                Err(_) => return Err(refused("an endpoint is not a URL")),
            }
        }
        if lacks(&self.response_types_supported, "code") {
            return Err(refused("the provider does not know the code flow"));
        }
        if lacks(&self.code_challenge_methods_supported, "S256") {
            return Err(refused("the provider knows PKCE, but not by S256"));
        }
        let algorithms = algorithms(self.id_token_signing_alg_values_supported.as_deref());
        if algorithms.is_empty() {
            return Err(refused("ID tokens are signed by none of RS256, ES256, PS256 and EdDSA"));
        }
        let proofs = self.token_endpoint_auth_methods_supported;
        Ok(Document {
            authorization_endpoint: self.authorization_endpoint,
            token_endpoint: self.token_endpoint,
            jwks_uri: self.jwks_uri,
            userinfo_endpoint: self.userinfo_endpoint,
            algorithms,
            proof: match (lacks(&proofs, "client_secret_basic"), &proofs) {
                (false, _) => Some(Proof::Basic),
                (true, _) if !lacks(&proofs, "client_secret_post") => Some(Proof::Post),
                _ => None,
            },
            brings_issuer: self.authorization_response_iss_parameter_supported,
        })
    }
}

/// Whether there is a list, and `item` is not on it.
fn lacks(list: &Option<Vec<String>>, item: &str) -> bool {
    list.as_ref().is_some_and(|list| list.iter().all(|known| known != item))
}

/// Those of `names` that are known here; RS256, which every provider has, where there are no names.
fn algorithms(names: Option<&[String]>) -> Vec<Algorithm> {
    let Some(names) = names else { return vec![Algorithm::RS256] };
    let offered = ALGORITHMS.iter().filter(|(known, _)| names.iter().any(|name| name == known));
    offered.map(|(_, algorithm)| *algorithm).collect()
}
