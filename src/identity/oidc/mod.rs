//! Signing in at an OpenID provider: the code flow (OpenID Connect Core §3.1) with PKCE (RFC 7636),
//! `state`, `nonce` and the issuer in the answer (RFC 9207), for any provider.
//!
//! [`Client::start`] says where to send the browser, [`Client::finish`] who came back. What lies in
//! between, [`Started`], is kept by whoever called, bound to the browser; single use of an answer is
//! theirs too, and so is who the person is *here*.
//!
//! The protocol is written out here, over `jsonwebtoken` for signatures and [`Outgoing`] for requests.
//! The crate `openidconnect` depends on `rsa`, for which RUSTSEC-2023-0071 has no mended version; what
//! `oauth2` would bring is two requests with a form each, around an HTTP client that would have to be
//! replaced to keep the guard.
//!
//! *Invariants*: nothing is fetched before somebody signs in, and a provider that is down fails that
//! sign-in and nothing else; no answer is waited for without a bound; what a provider or a browser says
//! is not quoted. An answer is accepted only with the `state` it was asked with, an ID token only with
//! the `nonce`, and a code is exchanged only with the verifier whose hash the provider has seen.

pub mod settings;

mod claims;
mod document;
mod error;
mod id_token;
mod keys;
mod known;
mod person;
mod probe;

pub use error::OidcError;
pub use id_token::{AGE_MS_MAX, IdTokenError, LEEWAY_MS};
pub use person::External;
pub use probe::Tried;
pub use settings::{Pins, Preset, Settings};

use super::opaque::random_secret;
use crate::runtime::clock::Clock;
use crate::runtime::outgoing::{Answer, Ask, Outgoing};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use claims::Claims;
use document::{Document, Proof};
use id_token::{Expected, Parts, is_same};
use known::Known;
use moka::sync::Cache;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Issuers that are remembered; each has a document and some keys, 20 KB in all.
const ISSUERS_MAX: u64 = 1_024;

/// Largest answer of a provider, bytes. The largest are tokens with hundreds of groups.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Longest code, bytes: those of Entra ID have up to 2,000.
const CODE_BYTES_MAX: usize = 4_096;

const JSON: &str = "application/json";

/// A sign-in that has begun. Serialized it is what must be kept until the browser comes back, where
/// nobody else can read it: all but the address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Where the browser is sent.
    #[serde(skip)]
    pub url: String,
    /// What the browser must bring back.
    pub state: String,
    /// What the ID token must say.
    pub nonce: String,
    /// What proves to the provider that the code comes from whoever began.
    pub verifier: String,
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Started(…)")
    }
}

/// Signs people in at providers. One for a process: it remembers what providers say of themselves.
pub struct Client {
    outgoing: Outgoing,
    issuers: Cache<Box<str>, Arc<Known>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("outgoing", &self.outgoing).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that asks providers by `outgoing`.
    pub fn new(outgoing: Outgoing) -> Self {
        Self { outgoing, issuers: Cache::new(ISSUERS_MAX) }
    }

    /// Refuses settings that cannot work, before they are stored. The issuer's name is looked up, and
    /// nothing is asked of the provider: it may be down.
    pub async fn check(&self, settings: &Settings) -> Result<(), OidcError> {
        settings.check(self.outgoing.guard())?;
        let checked = self.outgoing.check(&settings.owner, &settings.issuer).await;
        checked.map(|_| ()).map_err(outgoing("take the issuer"))
    }

    /// Begins a sign-in.
    pub async fn start(&self, settings: &Settings, clock: &Clock) -> Result<Started, OidcError> {
        let document = self.document(settings, clock).await?;
        let secret = || random_secret().map_err(|_| OidcError::Randomness);
        let (state, nonce, verifier) = (secret()?, secret()?, secret()?);
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &settings.redirect_uri)
            .append_pair("scope", &settings.scope())
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        // A hint that spares people accounts which would be refused.
        if let [domain, others @ ..] = &*settings.pins.hosted_domains {
            query.append_pair("hd", if others.is_empty() { domain } else { "*" });
        }
        let endpoint = &document.authorization_endpoint;
        let joint = if endpoint.contains('?') { '&' } else { '?' }; // RFC 6749 §3.1
        let url = format!("{endpoint}{joint}{}", query.finish());
        Ok(Started { url, state, nonce, verifier })
    }

    /// Ends the sign-in `started` with what the browser brought back: `code`, `state` and, if it did,
    /// `iss`. Where it brought an `error` instead, see [`OidcError::denied`].
    pub async fn finish(
        &self,
        settings: &Settings,
        started: &Started,
        code: &str,
        state: &str,
        iss: Option<&str>,
        clock: &Clock,
    ) -> Result<External, OidcError> {
        if !is_same(state, &started.state) {
            return Err(OidcError::State);
        }
        let document = self.document(settings, clock).await?;
        match iss {
            Some(iss) if iss != settings.issuer => return Err(OidcError::Issuer),
            None if document.brings_issuer => return Err(OidcError::Issuer),
            _ => {}
        }
        let tokens = self.exchange(settings, &document, started, code).await?;
        let claims = self.verify(settings, &document, started, &tokens, clock).await?;
        let userinfo = match (&document.userinfo_endpoint, &tokens.access_token) {
            (Some(endpoint), Some(token)) if person::is_incomplete(settings, &claims) => {
                Some(self.userinfo(settings, endpoint, token, &claims).await?)
            }
            _ => None,
        };
        person::person(settings, &claims, userinfo.as_ref())
    }

    fn known(&self, issuer: &str) -> Arc<Known> {
        self.issuers.get_with(issuer.into(), Arc::default)
    }

    /// What the provider says of itself.
    async fn document(
        &self,
        settings: &Settings,
        clock: &Clock,
    ) -> Result<Arc<Document>, OidcError> {
        let known = self.known(&settings.issuer);
        // Whoever had to wait reads the clock then: what came of it meanwhile is new.
        let mut slot = known.document.lock().await;
        if let Some(known) = slot.get(clock.now_ms()) {
            return known;
        }
        let discovered = self.discover(settings).await;
        slot.put(discovered, clock.now_ms())
    }

    /// The same, asked for.
    async fn discover(&self, settings: &Settings) -> Result<Document, OidcError> {
        const DOING: &str = "read the provider's discovery document";
        let address = document::address(&settings.issuer);
        let written = self.fetch::<document::Written>(settings, DOING, &address).await?;
        written.check(&settings.issuer, self.outgoing.guard())
    }

    /// The tokens that the provider gives for `code`.
    async fn exchange(
        &self,
        settings: &Settings,
        document: &Document,
        started: &Started,
        code: &str,
    ) -> Result<Tokens, OidcError> {
        const DOING: &str = "exchange the code";
        if !(1..=CODE_BYTES_MAX).contains(&code.len()) {
            return Err(OidcError::Exchange { reason: "invalid_grant" });
        }
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &settings.redirect_uri),
            ("code_verifier", &started.verifier),
        ];
        let mut authorization = None;
        match (&settings.client_secret, document.proof) {
            (None, _) => form.push(("client_id", &settings.client_id)),
            (Some(secret), Some(Proof::Basic)) => {
                authorization = Some(basic(&settings.client_id, secret));
            }
            (Some(secret), Some(Proof::Post)) => {
                form.extend([("client_id", &*settings.client_id), ("client_secret", &**secret)]);
            }
            (Some(_), None) => {
                let why = "the provider takes no client's secret, or in no way that is known here";
                return Err(OidcError::Discovery { why });
            }
        }
        let ask = Ask::post_form(&document.token_endpoint, &form, ANSWER_BYTES_MAX).accept(JSON);
        let ask = match authorization {
            Some(credentials) => ask.authorization(credentials),
            None => ask,
        };
        let answer = self.outgoing.send(&settings.owner, ask).await.map_err(outgoing(DOING))?;
        if (400..500).contains(&answer.status)
            && let Ok(Refused { error }) = json(DOING, &answer)
        {
            return Err(OidcError::Exchange { reason: error::known(&error) });
        }
        read(DOING, &answer)
    }

    /// What the ID token among `tokens` claims, if it is to be believed.
    async fn verify(
        &self,
        settings: &Settings,
        document: &Document,
        started: &Started,
        tokens: &Tokens,
        clock: &Clock,
    ) -> Result<Claims, OidcError> {
        let parts = Parts::of(&tokens.id_token, &document.algorithms)?;
        let claims = self.signed(settings, document, &parts, clock).await?;
        let expected = Expected {
            issuer: &settings.issuer,
            client_id: &settings.client_id,
            nonce: &started.nonce,
            algorithm: parts.algorithm,
            access_token: tokens.access_token.as_deref(),
            now_ms: clock.now_ms(),
        };
        expected.check(&claims)?;
        Ok(claims)
    }

    /// What `parts` claim, signed by one of the provider's keys. Where none is known that fits, be it by
    /// its name or by the signature, they are fetched anew, once a minute.
    async fn signed(
        &self,
        settings: &Settings,
        document: &Document,
        parts: &Parts<'_>,
        clock: &Clock,
    ) -> Result<Claims, OidcError> {
        const DOING: &str = "read the provider's keys";
        let known = self.known(&settings.issuer);
        let mut slot = known.keys.lock().await;
        let now_ms = clock.now_ms();
        if let Some(known) = slot.get(now_ms) {
            let keys = known?;
            let claims = parts.verify(&keys);
            let is_unfit = claims.as_ref().is_err_and(|error| error.may_lack_a_key());
            if !is_unfit || slot.was_tried_lately(now_ms) {
                return Ok(claims?);
            }
        }
        let written = self.fetch::<keys::Written>(settings, DOING, &document.jwks_uri).await;
        let keys = slot.put(written.map(keys::Written::usable), clock.now_ms())?;
        Ok(parts.verify(&keys)?)
    }

    /// What the provider tells of the person beside the ID token (Core §5.3).
    async fn userinfo(
        &self,
        settings: &Settings,
        endpoint: &str,
        token: &str,
        id_token: &Claims,
    ) -> Result<Claims, OidcError> {
        const DOING: &str = "read the user information";
        let ask = Ask::get(endpoint, ANSWER_BYTES_MAX).accept(JSON);
        let ask = ask.authorization(format!("Bearer {token}"));
        let answer = self.outgoing.send(&settings.owner, ask).await.map_err(outgoing(DOING))?;
        let userinfo: Claims = read(DOING, &answer)?;
        // Core §5.3.2: it may be about anybody otherwise.
        let subject = userinfo.text("sub").map_err(|_| OidcError::Userinfo)?;
        match subject == Some(id_token::subject(id_token)?) {
            true => Ok(userinfo),
            false => Err(OidcError::Userinfo),
        }
    }

    async fn fetch<T: DeserializeOwned>(
        &self,
        settings: &Settings,
        doing: &'static str,
        url: &str,
    ) -> Result<T, OidcError> {
        let ask = Ask::get(url, ANSWER_BYTES_MAX).accept(JSON);
        let answer = self.outgoing.send(&settings.owner, ask).await.map_err(outgoing(doing))?;
        read(doing, &answer)
    }
}

/// What the provider gives for a code (Core §3.1.3.3).
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

/// What it says instead (RFC 6749 §5.2).
#[derive(Deserialize)]
struct Refused {
    error: String,
}

fn outgoing(
    doing: &'static str,
) -> impl FnOnce(crate::runtime::outgoing::OutgoingError) -> OidcError {
    move |source| OidcError::Outgoing { doing, source }
}

/// What a good answer says.
fn read<T: DeserializeOwned>(doing: &'static str, answer: &Answer) -> Result<T, OidcError> {
    match answer.status {
        200 => json(doing, answer),
        status => Err(OidcError::Status { doing, status }),
    }
}

/// What any answer says. A struct could also be read from an array, so that is ruled out.
fn json<T: DeserializeOwned>(doing: &'static str, answer: &Answer) -> Result<T, OidcError> {
    let wrong = |why| OidcError::Answer { doing, why };
    if !answer.is_json() {
        return Err(wrong("does not call itself JSON"));
    }
    if !answer.body.trim_ascii_start().starts_with(b"{") {
        return Err(wrong("is not a JSON object"));
    }
    let read = serde_json::from_slice(&answer.body);
    read.map_err(|_| wrong("lacks something, or has something of another type"))
}

/// RFC 6749 §2.3.1: each part as in a form, and then in base64.
fn basic(client_id: &str, secret: &str) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret));
    format!("Basic {}", STANDARD.encode(pair))
}
