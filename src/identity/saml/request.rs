//! What is asked of an identity provider.

use super::settings::{SamlError, Settings};
use super::tree::{ASSERTION, PROTOCOL};
use crate::identity::opaque::random_secret;
use crate::model::time::format_rfc3339;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write;
use storage::row::TimeMs;
use uppsala::XmlWriter;

/// Longest relay state (Bindings §3.4.3).
const RELAY_STATE_BYTES_MAX: usize = 80;

/// How answers are to come.
pub(super) const POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";

/// A new id of a request: 256 random bits. An id must not begin with a digit (XML Schema, `xs:ID`).
pub fn new_request_id() -> Result<String, SamlError> {
    Ok(format!("_{}", random_secret()?))
}

/// Where to send the browser, so that the provider in `settings` signs somebody in: the URL of
/// HTTP-Redirect (Bindings §3.4). The answer will say that it is one to `request_id`, and bring
/// `relay_state` back, 80 bytes at most.
pub fn authn_request(
    settings: &Settings,
    request_id: &str,
    relay_state: Option<&str>,
    now_ms: TimeMs,
) -> Result<String, SamlError> {
    if let Some(bytes) = relay_state.map(str::len).filter(|bytes| *bytes > RELAY_STATE_BYTES_MAX) {
        return Err(SamlError::RelayState { bytes });
    }
    let message = STANDARD.encode(deflate(&message(settings, request_id, now_ms))?);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("SAMLRequest", &message);
    if let Some(relay_state) = relay_state {
        query.append_pair("RelayState", relay_state);
    }
    let (url, query) = (&settings.idp_sso_url, query.finish());
    let joint = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{joint}{query}"))
}

fn message(settings: &Settings, request_id: &str, now_ms: TimeMs) -> String {
    let mut xml = XmlWriter::new();
    let instant = format_rfc3339(now_ms);
    xml.start_element(
        "samlp:AuthnRequest",
        &[
            ("xmlns:samlp", PROTOCOL),
            ("xmlns:saml", ASSERTION),
            ("ID", request_id),
            ("Version", "2.0"),
            ("IssueInstant", &instant),
            ("Destination", &settings.idp_sso_url),
            ("AssertionConsumerServiceURL", &settings.acs_url),
            ("ProtocolBinding", POST),
        ],
    );
    xml.start_element("saml:Issuer", &[]);
    xml.text(&settings.sp_entity_id);
    xml.end_element("saml:Issuer");
    // Which format is the provider's choice, so that none refuses.
    xml.empty_element("samlp:NameIDPolicy", &[("AllowCreate", "true")]);
    xml.end_element("samlp:AuthnRequest");
    xml.into_string()
}

fn deflate(message: &str) -> Result<Vec<u8>, SamlError> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(message.as_bytes()).and_then(|()| encoder.finish());
    written.map_err(|_| SamlError::Deflate)
}
