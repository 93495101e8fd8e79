//! What can be configured, what a provider is told of this service, and the other way round.

use crate::idp::{ACS, CURVE, IDP, KEY, NOW_MS, SP, STRANGER, replaced, settings, settings_of};
use crate::signatures::WEAK;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emx::identity::saml::{
    Attributes, SamlError, Settings, authn_request, idp_from_metadata, metadata, new_request_id,
};
use flate2::read::DeflateDecoder;
use std::collections::BTreeSet;
use std::io::Read;
use uppsala::Document;

const SSO: &str = "https://idp.example.org/saml/sso";

#[test]
fn only_settings_with_which_a_login_can_work_are_saved() {
    let long = "x".repeat(1025);
    let certificates = |list: &[&str]| Settings {
        idp_certificates: list.iter().map(|pem| (*pem).to_owned()).collect(),
        ..settings()
    };
    let attribute = |name: &str| Settings {
        attributes: Attributes { groups: Some(name.into()), ..Attributes::default() },
        ..settings()
    };
    let known = KEY.certificate_pem.as_str();
    let twice = known.repeat(2);
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let huge = format!("{known}{}", "\n".repeat(20_000));
    for (settings, expected) in [
        (settings(), Ok(())),
        (settings_of(&[&KEY, &CURVE, &STRANGER]), Ok(())),
        (certificates(&[]), Err("no_certificate")),
        (certificates(&[known; 9]), Err("too_many_certificates")),
        (certificates(&["x"]), Err("bad_certificate")),
        (certificates(&[""]), Err("bad_certificate")),
        (certificates(&[key]), Err("bad_certificate")),
        (certificates(&[garbage]), Err("bad_certificate")),
        (certificates(&[&twice]), Err("bad_certificate")),
        (certificates(&[&huge]), Err("bad_certificate")),
        (certificates(&[WEAK]), Err("key_size")),
        (certificates(&[known, WEAK]), Err("key_size")),
        (Settings { idp_sso_url: "http://idp.example.org/".into(), ..settings() }, Err("bad_url")),
        (Settings { acs_url: "http://metrics.example.org/".into(), ..settings() }, Err("bad_url")),
        (Settings { idp_entity_id: String::new(), ..settings() }, Err("bad_field")),
        (Settings { idp_entity_id: long.clone(), ..settings() }, Err("bad_field")),
        (Settings { idp_entity_id: format!("{IDP}\n"), ..settings() }, Err("bad_field")),
        (Settings { sp_entity_id: format!(" {SP}"), ..settings() }, Err("bad_field")),
        (attribute("http://schemas.example.org/claims/groups"), Ok(())),
        (attribute(""), Err("bad_field")),
        (attribute(&long), Err("bad_field")),
    ] {
        let found = settings.check().map_err(|error| error.code());
        assert_eq!(found, expected, "{settings:?}");
    }
}

#[test]
fn settings_are_stored_as_they_are() {
    let stored = serde_json::to_string(&settings()).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&stored).unwrap(), settings());
    let bare = serde_json::json!({
        "idp_entity_id": IDP, "idp_sso_url": SSO, "idp_certificates": [], "sp_entity_id": SP, "acs_url": ACS,
    });
    let read: Settings = serde_json::from_value(bare.clone()).unwrap();
    assert_eq!(read.attributes, Attributes::default());
    let mut unknown = bare;
    unknown["trust_key_info"] = true.into();
    assert!(serde_json::from_value::<Settings>(unknown).is_err());
}

/// The message in a URL of HTTP-Redirect, and the relay state beside it.
fn message_in(url: &str) -> (String, Option<String>) {
    let query = url.split_once('?').unwrap().1;
    let mut message = None;
    let mut relay_state = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "SAMLRequest" => message = Some(STANDARD.decode(value.as_bytes()).unwrap()),
            "RelayState" => relay_state = Some(value.into_owned()),
            other => assert_eq!(other, "tenant"),
        }
    }
    let mut text = String::new();
    DeflateDecoder::new(&message.unwrap()[..]).read_to_string(&mut text).unwrap();
    (text, relay_state)
}

#[test]
fn a_request_says_what_is_asked() {
    let url = authn_request(&settings(), "_1", Some("a&b=ä"), NOW_MS).unwrap();
    assert!(url.starts_with(&format!("{SSO}?SAMLRequest=")), "{url}");
    let (text, relay_state) = message_in(&url);
    assert_eq!(relay_state.as_deref(), Some("a&b=ä"));
    let document = uppsala::parse(&text).unwrap();
    let root = document.document_element().unwrap();
    let element = document.element(root).unwrap();
    assert!(element.matches_name_ns("urn:oasis:names:tc:SAML:2.0:protocol", "AuthnRequest"));
    for (name, value) in [
        ("ID", "_1"),
        ("Version", "2.0"),
        ("IssueInstant", &crate::idp::at(0)),
        ("Destination", SSO),
        ("AssertionConsumerServiceURL", ACS),
        ("ProtocolBinding", "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"),
    ] {
        assert_eq!(element.get_attribute(name), Some(value), "{text}");
    }
    assert_eq!(texts(&document, "Issuer"), [SP]);

    let queried = Settings { idp_sso_url: format!("{SSO}?tenant=1"), ..settings() };
    let url = authn_request(&queried, "_1", None, NOW_MS).unwrap();
    assert!(url.starts_with(&format!("{SSO}?tenant=1&SAMLRequest=")), "{url}");
    assert_eq!(message_in(&url).1, None);
    let hostile = Settings { sp_entity_id: "a\"<&>".into(), ..settings() };
    let (text, _) = message_in(&authn_request(&hostile, "_1", None, NOW_MS).unwrap());
    assert_eq!(texts(&uppsala::parse(&text).unwrap(), "Issuer"), ["a\"<&>"]);

    let (fits, too_long) = ("x".repeat(80), "x".repeat(81));
    assert!(authn_request(&settings(), "_1", Some(&fits), NOW_MS).is_ok());
    let refused = authn_request(&settings(), "_1", Some(&too_long), NOW_MS).unwrap_err();
    assert_eq!((refused.code(), refused.is_transient()), ("relay_state_too_long", false));
}

fn texts(document: &Document<'_>, name: &str) -> Vec<String> {
    let found = document.get_elements_by_tag_name(name);
    found.into_iter().map(|node| document.text_content_deep(node)).collect()
}

#[test]
fn ids_of_requests_are_names_and_differ() {
    let ids: BTreeSet<String> = (0..100).map(|_| new_request_id().unwrap()).collect();
    assert_eq!(ids.len(), 100);
    for id in ids {
        assert!(id.starts_with('_') && id.len() == 44, "{id}");
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)), "{id}");
    }
}

#[test]
fn the_service_describes_itself() {
    let hostile = Settings { acs_url: format!("{ACS}?a=1&b='2'"), ..settings() };
    for settings in [settings(), hostile] {
        let text = metadata(&settings);
        let document = uppsala::parse(&text).unwrap();
        let root = document.document_element().unwrap();
        assert_eq!(document.get_attribute(root, "entityID"), Some(SP));
        let [service] = document.get_elements_by_tag_name("AssertionConsumerService")[..] else {
            panic!("{text}");
        };
        assert_eq!(document.get_attribute(service, "Location"), Some(settings.acs_url.as_str()));
        let binding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
        assert_eq!(document.get_attribute(service, "Binding"), Some(binding));
        assert_eq!(texts(&document, "NameIDFormat").len(), 3);
        // It is no identity provider.
        assert_eq!(refused(text.as_bytes()), "no_identity_provider");
    }
}

/// The metadata of a provider that signs with these keys.
fn described(certificates: &[&str]) -> String {
    let keys: String = certificates
        .iter()
        .map(|certificate| {
            format!(
                "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data><ds:X509Certificate>\n{certificate}\n</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
            )
        })
        .collect();
    format!(
        "<?xml version=\"1.0\"?><!-- made by hand --><md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"{IDP}\" ID=\"_m\"><md:IDPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:1.1:protocol urn:oasis:names:tc:SAML:2.0:protocol\">{keys}<md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" Location=\"https://idp.example.org/post\"/><md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"{SSO}\"/></md:IDPSSODescriptor></md:EntityDescriptor>"
    )
}

#[test]
fn a_provider_is_read_from_its_metadata() {
    let (key, next) = (KEY.certificate.as_str(), CURVE.certificate.as_str());
    let both = described(&[key, next]);
    let idp = idp_from_metadata(both.as_bytes()).unwrap();
    assert_eq!((idp.entity_id.as_str(), idp.sso_url.as_str()), (IDP, SSO));
    let read = Settings { idp_certificates: idp.certificates.clone(), ..settings() };
    assert_eq!(read.check(), Ok(()));
    let xml = CURVE.sign(&crate::idp::draft(), crate::idp::Places::Both);
    assert_eq!(crate::idp::verdict(&read, &xml), Ok("alice".into()));

    let any = described(&[key]).replace(" use=\"signing\"", "");
    let other = both.replacen("use=\"signing\"", "use=\"encryption\"", 1);
    let root = "<md:EntityDescriptor ";
    let grouped = both.replace(
        root,
        &format!("<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\">{root}"),
    );
    let grouped = format!("{grouped}</md:EntitiesDescriptor>");
    for (xml, certificates) in [
        (described(&[key]), 1),
        (described(&[key, key]), 1),
        (any, 1),
        (other, 1),
        (grouped, 2),
        (format!("\u{feff}\n{both}\n"), 2),
    ] {
        // A declaration stands first or nowhere.
        let xml =
            if xml.starts_with('<') { xml } else { xml.replace("<?xml version=\"1.0\"?>", "") };
        let idp =
            idp_from_metadata(xml.as_bytes()).unwrap_or_else(|error| panic!("{error}: {xml}"));
        assert_eq!((idp.entity_id.as_str(), idp.certificates.len()), (IDP, certificates));
    }
}

fn refused(xml: &[u8]) -> &'static str {
    match idp_from_metadata(xml) {
        Ok(idp) => panic!("{idp:?}"),
        Err(error) => {
            assert!(!error.is_transient());
            error.code()
        }
    }
}

/// Metadata that is not taken, and why.
fn bad_metadata() -> Vec<(Vec<u8>, &'static str)> {
    let key = KEY.certificate.as_str();
    let good = described(&[key]);
    let weak: String = WEAK.lines().filter(|line| !line.starts_with("-----")).collect();
    let data = "<ds:X509Certificate>";
    let chain =
        good.replace("</ds:X509Data>", &format!("{data}{key}</ds:X509Certificate></ds:X509Data>"));
    let entity = "<md:EntityDescriptor ";
    let two = format!(
        "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\">{}{}</md:EntitiesDescriptor>",
        &good[good.find(entity).unwrap()..],
        &good[good.find(entity).unwrap()..].replace("ID=\"_m\"", "ID=\"_n\""),
    );
    let protocol = "urn:oasis:names:tc:SAML:2.0:protocol";
    let redirect = "bindings:HTTP-Redirect";
    let keys: Vec<String> = (0..9).map(|_| crate::idp::KEY.certificate.clone()).collect();
    let distinct: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(n, base64)| {
            // Something after a certificate makes it another text.
            let mut der = STANDARD.decode(base64).unwrap();
            der.extend(vec![0; n]);
            STANDARD.encode(der)
        })
        .collect();
    let distinct: Vec<&str> = distinct.iter().map(String::as_str).collect();
    [
        (good.replace(redirect, "bindings:HTTP-Artifact"), "no_redirect"),
        (replaced(&good, &format!("Location=\"{SSO}\""), ""), "no_redirect"),
        (good.replace(SSO, "http://idp.example.org/"), "bad_url"),
        (good.replace(SSO, "javascript:alert(1)"), "bad_url"),
        (good.replace(protocol, "urn:x"), "no_identity_provider"),
        (good.replace("md:EntityDescriptor", "md:Other"), "no_identity_provider"),
        (good.replace("SAML:2.0:metadata", "SAML:2.0:other"), "no_identity_provider"),
        (two, "several_identity_providers"),
        (described(&[]), "no_certificate"),
        (good.replace("use=\"signing\"", "use=\"encryption\""), "no_certificate"),
        (described(&distinct), "too_many_certificates"),
        (described(&[&weak]), "key_size"),
        (described(&["AAAA"]), "bad_certificate"),
        (described(&["not base64!"]), "not_base64"),
        (described(&["AA<!-- -->AA"]), "markup_in_text"),
        (chain, "certificate_chain"),
        (format!("<!DOCTYPE x>{}", good.replace("<?xml version=\"1.0\"?>", "")), "dtd"),
        (good.replace("<md:KeyDescriptor", "<?x?><md:KeyDescriptor"), "processing_instruction"),
        (good[..good.len() - 9].to_owned(), "not_well_formed"),
        (String::new(), "not_well_formed"),
        (" ".repeat(10) + "x" + &" ".repeat(10), "not_well_formed"),
        (format!("{good}{}x", " ".repeat(1 << 20)), "too_large"),
    ]
    .into_iter()
    .map(|(xml, code)| (xml.into_bytes(), code))
    .chain([(b"<a>\xff</a>".to_vec(), "not_utf8")])
    .collect()
}

#[test]
fn metadata_of_other_things_is_refused() {
    for (xml, code) in bad_metadata() {
        assert_eq!(refused(&xml), code, "{:.300}", String::from_utf8_lossy(&xml));
    }
}

/// The codes that are tried here.
pub(crate) fn codes() -> Vec<&'static str> {
    bad_metadata().into_iter().map(|(_, code)| code).collect()
}

#[test]
fn errors_say_what_to_do() {
    let told = SamlError::KeySize { position: 2, bits: 1024 }.to_string();
    assert!(told.contains("certificate 2 has 1024 bits"), "{told}");
    let told = SamlError::Url { field: "acs_url", text: "http://x".into() }.to_string();
    assert!(told.contains("`acs_url` is `http://x`"), "{told}");
}
