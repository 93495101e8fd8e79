//! Metadata: what a provider is told of this service, and what this service takes from a provider's.
//!
//! *Invariant*: a provider's metadata is as good as whoever brings it: an administrator uploads it, so
//! its own signature, if any, is not asked for. What is taken from it is shown before it is saved.

use super::certificate::{self, CERTIFICATES_MAX};
use super::refusal::{Refusal, refuse, shown};
use super::request::POST;
use super::scan::Rules;
use super::settings::{SamlError, Settings, check_url};
use super::tree::{self, METADATA, Node, PROTOCOL, SIGNATURE};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uppsala::{Document, XmlWriter};

/// Largest metadata document, bytes: those of Entra ID and AD FS have 30 to 100 KiB, for they describe
/// more than SAML.
pub const METADATA_BYTES_MAX: usize = 192 << 10;

/// A description of one provider; comments in it are common, and mean nothing.
const RULES: Rules = Rules { elements_max: 20_000, comments: true };

const REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";

/// Which kinds of `NameID` are understood, the best first.
const NAME_ID_FORMATS: [&str; 3] = [
    "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
    "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
];

/// What a provider's metadata says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idp {
    /// Its name for itself.
    pub entity_id: String,
    /// Where requests are sent, by HTTP-Redirect.
    pub sso_url: String,
    /// The certificates of the keys that it signs with, PEM, one in each.
    pub certificates: Vec<String>,
}

/// The metadata of this service, for a provider to be configured with (Metadata §2.4.4).
pub fn metadata(settings: &Settings) -> String {
    let mut xml = XmlWriter::new();
    xml.write_declaration();
    let entity = [("xmlns:md", METADATA), ("entityID", settings.sp_entity_id.as_str())];
    xml.start_element("md:EntityDescriptor", &entity);
    xml.start_element(
        "md:SPSSODescriptor",
        &[
            ("AuthnRequestsSigned", "false"),
            ("WantAssertionsSigned", "true"),
            ("protocolSupportEnumeration", PROTOCOL),
        ],
    );
    for format in NAME_ID_FORMATS {
        xml.start_element("md:NameIDFormat", &[]);
        xml.text(format);
        xml.end_element("md:NameIDFormat");
    }
    xml.empty_element(
        "md:AssertionConsumerService",
        &[
            ("Binding", POST),
            ("Location", &settings.acs_url),
            ("index", "0"),
            ("isDefault", "true"),
        ],
    );
    xml.end_element("md:SPSSODescriptor");
    xml.end_element("md:EntityDescriptor");
    xml.into_string()
}

/// What the metadata document `xml` says of the one identity provider in it.
pub fn idp_from_metadata(xml: &[u8]) -> Result<Idp, SamlError> {
    let xml = xml.strip_prefix(b"\xef\xbb\xbf").unwrap_or(xml).trim_ascii();
    if xml.len() > METADATA_BYTES_MAX {
        let detail = format!("it has more than {METADATA_BYTES_MAX} bytes");
        return Err(SamlError::Metadata(refuse("too_large", detail)));
    }
    let not_text = |_| SamlError::Metadata(refuse("not_utf8", "it is not UTF-8"));
    let xml = std::str::from_utf8(xml).map_err(not_text)?;
    let document = tree::parse(xml, RULES).map_err(SamlError::Metadata)?;
    let (entity, role) = identity_provider(&document).map_err(SamlError::Metadata)?;
    let entity_id = entity.attribute("entityID").unwrap_or_default().to_owned();
    let sso_url = sso_url(role).map_err(SamlError::Metadata)?;
    check_url("idp_sso_url", &sso_url)?;
    let certificates = certificates(role)?;
    Ok(Idp { entity_id, sso_url, certificates })
}

/// The one entity that is an identity provider for SAML 2.0, and its description as such.
fn identity_provider<'t>(document: &'t Document<'t>) -> Result<(Node<'t>, Node<'t>), Refusal> {
    let root = tree::root(document)?;
    let mut found = Vec::new();
    for entity in std::iter::once(root).chain(root.below()) {
        if !entity.is(METADATA, "EntityDescriptor") {
            continue;
        }
        let roles = entity.named(METADATA, "IDPSSODescriptor").filter(|role| {
            let protocols = role.attribute("protocolSupportEnumeration").unwrap_or_default();
            protocols.split_ascii_whitespace().any(|protocol| protocol == PROTOCOL)
        });
        found.extend(roles.map(|role| (entity, role)));
    }
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(refuse("no_identity_provider", "it describes no identity provider for SAML 2.0")),
        _ => Err(refuse(
            "several_identity_providers",
            "it describes more than one identity provider: give the metadata of one",
        )),
    }
}

fn sso_url(role: Node<'_>) -> Result<String, Refusal> {
    let mut services = role.named(METADATA, "SingleSignOnService");
    let service = services.find(|service| service.attribute("Binding") == Some(REDIRECT));
    let location = service.and_then(|service| service.attribute("Location"));
    location.map(str::to_owned).ok_or_else(|| {
        refuse(
            "no_redirect",
            "the provider takes no request by HTTP-Redirect, the one way it is sent",
        )
    })
}

/// The certificates of the keys that sign, each once.
fn certificates(role: Node<'_>) -> Result<Vec<String>, SamlError> {
    let mut found = Vec::new();
    for key in role.named(METADATA, "KeyDescriptor") {
        if key.attribute("use").is_some_and(|purpose| purpose != "signing") {
            continue;
        }
        let pem = certificate_of(key).map_err(SamlError::Metadata)?;
        found.extend(pem.filter(|pem| !found.contains(pem)));
    }
    if found.is_empty() {
        return Err(SamlError::NoCertificate);
    }
    if found.len() > CERTIFICATES_MAX {
        return Err(SamlError::TooManyCertificates);
    }
    for (n, pem) in found.iter().enumerate() {
        certificate::read(pem, n + 1)?;
    }
    Ok(found)
}

/// The certificate in `key`. Of several it is not told which one's key it is, and a key that issues
/// certificates must not be taken for one that signs answers.
fn certificate_of(key: Node<'_>) -> Result<Option<String>, Refusal> {
    let data = key
        .named(SIGNATURE, "KeyInfo")
        .flat_map(|info| info.named(SIGNATURE, "X509Data"))
        .flat_map(|data| data.named(SIGNATURE, "X509Certificate"));
    let found: Vec<Node<'_>> = data.collect();
    match found.as_slice() {
        [] => Ok(None),
        [only] => pem(only.text()?).map(Some),
        _ => Err(refuse(
            "certificate_chain",
            "a key in it has several certificates: give the one that signs as a file of its own",
        )),
    }
}

fn pem(base64: &str) -> Result<String, Refusal> {
    const LINE_CHARS: usize = 64; // RFC 7468 §2
    let text: String = base64.split_ascii_whitespace().collect();
    let der = STANDARD.decode(&text).map_err(|_| {
        refuse("not_base64", format!("a certificate in it is not base64: `{}`", shown(&text)))
    })?;
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(LINE_CHARS) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    Ok(pem)
}
