//! A SAML 2.0 service provider: whom an identity provider's answer names, or why it is not believed.
//!
//! The profile is Web Browser SSO (SAML Profiles §4.1): the request leaves by HTTP-Redirect
//! ([`authn_request`]), the answer arrives by HTTP-POST ([`check`]). Everything here is a function
//! of its arguments: no I/O, no clock, no store. Remembering which request is open and which
//! assertion was used is the caller's.
//!
//! *Invariants*:
//! - **One tree.** What is verified and what is read is the same [`uppsala::Document`], parsed here
//!   with document types forbidden and every size bounded before anything is allocated for it.
//! - **Nothing is read but what a good signature covers**, and only the keys in [`Settings`] make one
//!   good. Whatever `KeyInfo` says picks no key.
//! - **Shape before cryptography.** A document with a signature anywhere but on its response and its
//!   one assertion, or with one that refers to anything but its own parent, is refused before any of
//!   them is evaluated: an evaluated signature may open files and run XSLT.
//! - **Two elements never share an id, and text has no markup in it**, so that no reader can
//!   take another element or another text than the one that was signed.
//! - **Any bytes give a [`Report`]**, never a panic, in bounded time and memory.

mod certificate;
mod encoding;
mod metadata;
mod person;
mod protocol;
mod refusal;
mod request;
mod scan;
mod settings;
mod shape;
mod signature;
mod tree;

pub use encoding::{BASE64_BYTES_MAX, XML_BYTES_MAX};
pub use metadata::{Idp, METADATA_BYTES_MAX, idp_from_metadata, metadata};
pub use protocol::{ASSERTION_LIFE_MAX_MS, CLOCK_SKEW_MS};
pub use refusal::{Refusal, Step};
pub use request::{authn_request, new_request_id};
pub use settings::{Attributes, SamlError, Settings};

use protocol::Facts;
use refusal::{Steps, refuse, shown};
use storage::row::TimeMs;

/// What was found in an answer, step by step, and what follows from it.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was looked at, in order. After a step that failed there are only those that do not
    /// build on it.
    pub steps: Vec<Step>,
    /// Whom it names, or the first reason not to believe it.
    pub outcome: Result<Assertion, Refusal>,
}

/// What an identity provider asserts, all of it under a good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// The assertion's own id. It is good once: whoever lets somebody in remembers it, together
    /// with the issuer, until [`replay_until_ms`](Self::replay_until_ms).
    pub id: String,
    /// The identity provider: always the one in the settings.
    pub issuer: String,
    /// The subject's `NameID`.
    pub name_id: String,
    /// What identifies the person at this provider: the chosen attribute, or the `NameID`.
    pub subject: String,
    /// The e-mail address, if there is one. Not what a person is known by.
    pub email: Option<String>,
    /// The groups, each once, in the provider's order.
    pub groups: Vec<String>,
    /// Until when the assertion would be accepted again, Unix milliseconds.
    pub replay_until_ms: TimeMs,
    /// When the provider wants the session to end, Unix milliseconds.
    pub session_until_ms: Option<TimeMs>,
}

/// Whom `response` names: an answer of the provider in `settings` to the request `request_id`, as
/// XML or in the base64 of HTTP-POST. Whoever lets somebody in always says which request; without
/// one it is only told what the answer says to have been asked, for a diagnosis.
///
/// Takes some 200 µs, and up to some 15 ms for a hostile answer: it belongs on a thread that may
/// compute.
pub fn check(
    settings: &Settings,
    response: &[u8],
    request_id: Option<&str>,
    now_ms: TimeMs,
) -> Report {
    let mut steps = Steps::default();
    let outcome = judge(&mut steps, settings, response, request_id, now_ms);
    Report { steps: steps.into_vec(), outcome }
}

/// What can be said of a provider before it has answered anything.
#[derive(Clone, Debug)]
pub struct Look {
    /// What was looked at, in order; after a step that failed there are none.
    pub steps: Vec<Step>,
    /// What is wrong.
    pub fault: Option<Refusal>,
}

/// Whether `settings` hold together, which keys may have signed and how long their certificates last, and
/// what is asked where. Asks nobody: only a browser comes to where people sign in.
pub fn look(settings: &Settings, now_ms: TimeMs) -> Look {
    let mut steps = Steps::default();
    let fault = take_look(&mut steps, settings, now_ms).err();
    Look { steps: steps.into_vec(), fault }
}

fn take_look(steps: &mut Steps, settings: &Settings, now_ms: TimeMs) -> Result<(), Refusal> {
    let refused = |error: SamlError| refuse(error.code(), error.to_string());
    let sound = settings.check().map(|()| ((), "the settings hold together".to_owned()));
    steps.take("configuration", sound.map_err(refused))?;
    steps.take("certificate dates", certificate::keys(settings, now_ms))?;
    let Settings { idp_sso_url, sp_entity_id, acs_url, .. } = settings;
    let request = new_request_id().and_then(|id| authn_request(settings, &id, None, now_ms));
    let told = format!(
        "people go to `{}`, and come back to `{}` with an answer for `{}`",
        shown(idp_sso_url),
        shown(acs_url),
        shown(sp_entity_id)
    );
    steps.take("request", request.map(|_| ((), told)).map_err(refused))
}

fn judge(
    steps: &mut Steps,
    settings: &Settings,
    response: &[u8],
    request_id: Option<&str>,
    now_ms: TimeMs,
) -> Result<Assertion, Refusal> {
    let xml = steps.take("encoding", encoding::decode(response))?;
    let document = steps.take("markup", tree::response(&xml))?;
    let response = steps.take("response", shape::response(&document))?;
    steps.take("status", shape::status(response))?;
    let shape = steps.take("structure", shape::of(response))?;
    let keys = steps.take("certificates", certificate::keys(settings, now_ms))?;
    let signed = steps.take("signature", signature::verify(&document, shape, keys))?;
    protocol::check(steps, &Facts { settings, signed, request_id, now_ms })
}
