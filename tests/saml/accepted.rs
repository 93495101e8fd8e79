//! What is accepted: answers as providers send them, and nothing that is read in them but what is
//! signed.

use crate::idp::{
    ACS, ASSERTION_SIGNATURE, CURVE, EXCLUSIVE_C14N, IDP, KEY, NOW_MS, Places, REQUEST,
    RESPONSE_SIGNATURE, SP, STRANGER, at, draft, genuine, judged, part, replaced, settings,
    settings_of, signature, verdict,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emx::identity::saml::{self, Assertion, Attributes, CLOCK_SKEW_MS, Settings};

#[track_caller]
fn accepts(xml: &str) -> Assertion {
    let report = judged(&settings(), xml);
    let told: Vec<_> = report.steps.iter().filter(|step| !step.passed).collect();
    let assertion = report.outcome.unwrap_or_else(|refusal| panic!("{refusal:?}\n{told:?}\n{xml}"));
    assert!(told.is_empty(), "{told:?}");
    assertion
}

/// A draft with `to` in the place of `from` is accepted in each of the three ways to sign it.
#[track_caller]
fn accepts_edited(from: &str, to: &str) -> Assertion {
    let draft = replaced(&draft(), from, to);
    let [one, two, three] = Places::ALL.map(|places| accepts(&KEY.sign(&draft, places)));
    assert_eq!((&one, &one), (&two, &three));
    one
}

#[test]
fn an_answer_says_who_signed_in() {
    for places in Places::ALL {
        let found = accepts(&KEY.sign(&draft(), places));
        let expected = Assertion {
            id: "_assertion".into(),
            issuer: IDP.into(),
            name_id: "alice".into(),
            subject: "alice".into(),
            email: Some("alice@example.org".into()),
            groups: vec!["builders".into(), "admins".into()],
            replay_until_ms: NOW_MS + 300_000 + CLOCK_SKEW_MS,
            session_until_ms: Some(NOW_MS + 28_800_000),
        };
        assert_eq!(found, expected, "{places:?}");
    }
}

#[test]
fn it_may_come_as_xml_or_base64() {
    let xml = genuine();
    let encoded = STANDARD.encode(&xml);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    for form in [
        xml.clone(),
        format!("\n{xml}\n"),
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{xml}"),
        format!("\u{feff}{xml}"),
        encoded.clone(),
        lines.join("\r\n"),
        format!("{encoded}\n"),
    ] {
        assert_eq!(verdict(&settings(), &form), Ok("alice".into()), "{form:.100}");
    }
}

#[test]
fn either_certificate_counts_during_a_rollover() {
    let drafts = [KEY.sign(&draft(), Places::Both), STRANGER.sign(&draft(), Places::Both)];
    for settings in [settings_of(&[&KEY, &STRANGER]), settings_of(&[&STRANGER, &KEY])] {
        for xml in &drafts {
            assert_eq!(verdict(&settings, xml), Ok("alice".into()));
        }
        let other = CURVE.sign(&draft(), Places::Both);
        assert_eq!(verdict(&settings, &other), Err("signature"));
    }
    // Once the old one is gone from the settings, its key counts no more.
    assert_eq!(verdict(&settings_of(&[&STRANGER]), &drafts[0]), Err("signature"));
    // The response by one, the assertion by the other.
    let template = STRANGER.template("_assertion").to_string();
    let inner = replaced(&draft(), ASSERTION_SIGNATURE, &template);
    let inner = STRANGER.fill(&inner);
    let outer =
        KEY.fill(&replaced(&inner, RESPONSE_SIGNATURE, &KEY.template("_response").to_string()));
    assert_eq!(verdict(&settings_of(&[&KEY, &STRANGER]), &outer), Ok("alice".into()));
    assert_eq!(verdict(&settings(), &outer), Err("signature"));
}

#[test]
fn keys_on_curves_and_longer_digests_count() {
    let xml = CURVE.sign(&draft(), Places::Both);
    assert_eq!(verdict(&settings_of(&[&KEY, &CURVE]), &xml), Ok("alice".into()));
    let more = "http://www.w3.org/2001/04/xmldsig-more";
    for (method, digest) in [
        (format!("{more}#rsa-sha384"), format!("{more}#sha384")),
        (format!("{more}#rsa-sha512"), "http://www.w3.org/2001/04/xmlenc#sha512".into()),
    ] {
        let mut template = KEY.template("_assertion");
        (template.method, template.digest) = (method, digest);
        accepts(&KEY.sign_with(&draft(), Places::Assertion, &template.to_string(), ""));
    }
}

/// Which key a signature says it was made with decides nothing.
#[test]
fn key_info_picks_no_key() {
    let xml = genuine();
    let info = part(&xml, "<ds:KeyInfo>", "</ds:KeyInfo>");
    for other in [
        "",
        "<ds:KeyInfo><ds:KeyName>other</ds:KeyName></ds:KeyInfo>",
        &info.replace(&KEY.certificate, &STRANGER.certificate),
        &info.replace(&KEY.certificate, "not a certificate"),
    ] {
        accepts(&replaced(&xml, info, other));
    }
}

/// Prefixes that are to be signed though they are not used, as OpenSAML lists them.
#[test]
fn lists_of_prefixes_are_understood() {
    let transform = format!("<ds:Transform Algorithm=\"{EXCLUSIVE_C14N}\"></ds:Transform>");
    let list = "<ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" \
                PrefixList=\"xs saml #default\"/>";
    let template = KEY.template("_assertion").to_string();
    let template =
        replaced(&template, &transform, &transform.replace("></", &format!(">{list}</")));
    let typed = replaced(
        &draft(),
        "<saml:AttributeValue>builders",
        "<saml:AttributeValue xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xsi:type=\"xs:string\">builders",
    );
    let xml = KEY.sign_with(&typed, Places::Assertion, &template, "");
    accepts(&xml);
    // What the list has signed is signed.
    let rebound = xml.replace("\"http://www.w3.org/2001/XMLSchema\"", "\"urn:x\"");
    assert_eq!(verdict(&settings(), &rebound), Err("signature"));
}

/// Entra ID writes its assertions without a prefix.
#[test]
fn prefixes_do_not_matter() {
    let declared = " xmlns=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_response\"";
    let bare = draft().replace("<saml:", "<").replace("</saml:", "</");
    let bare = replaced(&bare, " ID=\"_response\"", declared);
    accepts(&KEY.sign(&bare, Places::Both));
    let other =
        draft().replace("samlp:", "p:").replace("saml:", "samlp:").replace(":samlp=", ":p=");
    let other = other.replace(":saml=", ":samlp=");
    accepts(&KEY.sign(&other, Places::Both));
}

#[test]
fn what_may_be_left_out_may_be() {
    let (destination, issuer) = (
        format!(" Destination=\"{ACS}\""),
        format!("<saml:Issuer>{IDP}</saml:Issuer>{RESPONSE_SIGNATURE}"),
    );
    let unsaid = replaced(&replaced(&draft(), &destination, ""), &issuer, RESPONSE_SIGNATURE);
    accepts(&KEY.sign(&unsaid, Places::Assertion));
    let conditions =
        format!("<saml:Conditions NotBefore=\"{}\" NotOnOrAfter=\"{}\"", at(-300), at(300));
    accepts_edited(&conditions, "<saml:Conditions");
    let session = format!(" SessionNotOnOrAfter=\"{}\"", at(28_800));
    assert_eq!(accepts_edited(&session, "").session_until_ms, None);
    let all = draft();
    let attributes = part(&all, "<saml:AttributeStatement>", "</saml:AttributeStatement>");
    let bare = accepts_edited(attributes, "");
    assert_eq!((bare.email, bare.groups), (None, vec![]));
}

#[test]
fn what_may_be_more_may_be() {
    let audience = format!("<saml:Audience>{SP}</saml:Audience>");
    let more = "<saml:Audience>https://other.example.org</saml:Audience>";
    accepts_edited(&audience, &format!("{more}{audience}"));
    let restriction = "</saml:AudienceRestriction>";
    let again = format!("{restriction}<saml:AudienceRestriction>{audience}{restriction}");
    accepts_edited(restriction, &again);
    let known = format!("{restriction}<saml:OneTimeUse/><saml:ProxyRestriction Count=\"0\"/>");
    accepts_edited(restriction, &known);
    let statement = format!("<saml:AuthnStatement AuthnInstant=\"{}\"", at(0));
    let earlier = format!(
        "<saml:AuthnStatement AuthnInstant=\"{}\" SessionNotOnOrAfter=\"{}\"/>{statement}",
        at(-60),
        at(600)
    );
    assert_eq!(accepts_edited(&statement, &earlier).session_until_ms, Some(NOW_MS + 600_000));
    let entity = "<saml:Issuer Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:entity\">";
    let issuer = format!("<saml:Issuer>{IDP}</saml:Issuer>{ASSERTION_SIGNATURE}");
    accepts_edited(&issuer, &issuer.replace("<saml:Issuer>", entity));
    let name = "<saml:NameID ";
    let qualified = format!("{name}NameQualifier=\"{IDP}\" SPNameQualifier=\"{SP}\" ");
    accepts_edited(name, &qualified);
    accepts_edited(
        "<samlp:Status>",
        "<samlp:Extensions><x xmlns=\"urn:x\"/></samlp:Extensions><samlp:Status>",
    );
    let code = "status:Success\"/>";
    accepts_edited(code, &format!("{code}<samlp:StatusMessage>done</samlp:StatusMessage>"));
}

/// An assertion in the advice of the signed one, and something that only looks like an assertion, stand
/// where nobody reads them.
#[test]
fn what_is_not_read_decides_nothing() {
    let inner = "<saml:Advice><saml:Assertion ID=\"_advice\" Version=\"2.0\"><saml:Subject><saml:NameID>\
                 admin</saml:NameID></saml:Subject></saml:Assertion></saml:Advice><saml:AuthnStatement";
    assert_eq!(accepts_edited("<saml:AuthnStatement", inner).subject, "alice");
    let lookalike = "<samlp:Extensions xmlns:saml=\"urn:x\"><saml:Assertion ID=\"_x\"><saml:Subject>\
                     <saml:NameID>admin</saml:NameID></saml:Subject></saml:Assertion></samlp:Extensions>";
    let xml = replaced(&genuine(), "<samlp:Status>", &format!("{lookalike}<samlp:Status>"));
    assert_eq!(accepts(&xml).subject, "alice");
    let nested = "<saml:Attribute Name=\"eduPersonTargetedID\"><saml:AttributeValue><saml:NameID>x\
                  </saml:NameID></saml:AttributeValue></saml:Attribute></saml:AttributeStatement>";
    assert_eq!(accepts_edited("</saml:AttributeStatement>", nested).subject, "alice");
}

#[test]
fn a_person_may_be_known_by_an_attribute() {
    let keyed = Settings {
        attributes: Attributes { name_id: Some("oid".into()), ..Attributes::default() },
        ..settings()
    };
    let attribute = "<saml:Attribute Name=\"oid\"><saml:AttributeValue>0f3c</saml:AttributeValue>\
                     </saml:Attribute><saml:Attribute Name=\"mail\">";
    let xml = replaced(&draft(), "<saml:Attribute Name=\"mail\">", attribute);
    let transient = xml.replace("nameid-format:persistent", "nameid-format:transient");
    for draft in [xml, transient] {
        let report = judged(&keyed, KEY.sign(&draft, Places::Assertion));
        let found = report.outcome.unwrap();
        assert_eq!((found.subject.as_str(), found.name_id.as_str()), ("0f3c", "alice"));
        assert_eq!((found.email, found.groups), (None, vec![]));
    }
}

#[test]
fn an_address_may_be_the_name_or_an_attribute() {
    let persistent = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
    let email = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
    let named = Settings { attributes: Attributes::default(), ..settings() };
    for (format, expected) in [(persistent, None), (email, Some("alice"))] {
        let xml = KEY.sign(&replaced(&draft(), persistent, format), Places::Assertion);
        assert_eq!(judged(&named, &xml).outcome.unwrap().email.as_deref(), expected);
    }
    let second = "<saml:AttributeValue>alice@example.org</saml:AttributeValue><saml:AttributeValue>a@x</saml:AttributeValue>";
    let first = "<saml:AttributeValue>alice@example.org</saml:AttributeValue>";
    assert_eq!(accepts_edited(first, second).email.as_deref(), Some("alice@example.org"));
}

#[test]
fn groups_are_gathered_once_each() {
    let more = "<saml:AttributeValue>admins</saml:AttributeValue><saml:AttributeValue/></saml:Attribute>\
                </saml:AttributeStatement><saml:AttributeStatement><saml:Attribute Name=\"groups\">\
                <saml:AttributeValue>admins</saml:AttributeValue><saml:AttributeValue>a &amp; b\
                </saml:AttributeValue>";
    let found = accepts_edited("<saml:AttributeValue>admins</saml:AttributeValue>", more);
    assert_eq!(found.groups, ["builders", "admins", "a & b"]);
}

/// Without a request there is only a diagnosis, which says so.
#[test]
fn a_diagnosis_needs_no_request() {
    let judged = |xml: &str| saml::check(&settings(), xml.as_bytes(), None, NOW_MS);
    let report = judged(&genuine());
    assert_eq!(report.outcome.unwrap().subject, "alice");
    let step = report.steps.into_iter().find(|step| step.name == "request").unwrap();
    assert!(step.detail.contains(REQUEST), "{step:?}");
    // What answers none lets nobody in, whichever request one might ask for.
    let unasked = draft().replace(&format!(" InResponseTo=\"{REQUEST}\""), "");
    let report = judged(&KEY.sign(&unasked, Places::Both));
    assert_eq!(report.outcome.unwrap_err().code, "in_response_to_missing");
}

/// Nothing of the signature itself is left where a reader of the assertion looks.
#[test]
fn the_signature_is_no_part_of_what_is_read() {
    let xml = genuine();
    assert!(signature(&xml).contains("#_assertion"));
    let steps = judged(&settings(), &xml).steps;
    assert!(steps.iter().all(|step| step.passed && !step.detail.is_empty()), "{steps:?}");
}
