//! Answers that are rightly signed and must not count: for somebody else, at another time, to another
//! question, or without what there must be.

use crate::idp::{
    ACS, IDP, KEY, Places, REQUEST, RESPONSE_SIGNATURE, SP, assertion, at, draft, genuine, part,
    replaced, settings,
};
use crate::refused::{Attack, signed};
use emx::identity::saml::{ASSERTION_LIFE_MAX_MS, Attributes, CLOCK_SKEW_MS, Settings};

pub(crate) fn attacks() -> Vec<Attack> {
    [parties(), confirmations(), questions(), times(), contents(), persons()]
        .into_iter()
        .flatten()
        .collect()
}

/// For whom it is, and by whom.
fn parties() -> Vec<Attack> {
    let restriction = format!(
        "<saml:AudienceRestriction><saml:Audience>{SP}</saml:Audience></saml:AudienceRestriction>"
    );
    let restricted = |to: &str| restriction.replace(SP, to);
    let response_issuer = format!("<saml:Issuer>{IDP}</saml:Issuer>{RESPONSE_SIGNATURE}");
    let subject = "</saml:Issuer>@ASSERTION-SIGNATURE@";
    let assertion_issuer = format!("<saml:Issuer>{IDP}{subject}");
    let destination = format!(" Destination=\"{ACS}\"");
    let mut attacks = Vec::new();
    for (name, other) in [
        ("another audience", "https://other.example.org/saml".to_owned()),
        ("an audience that goes on", format!("{SP}/x")),
        ("a part of the audience", SP[..SP.len() - 1].to_owned()),
        ("the audience in capitals", SP.to_uppercase()),
        ("an audience with white space", format!(" {SP}")),
        ("no word for the audience", String::new()),
    ] {
        attacks.extend(signed(name, "audience", &restriction, &restricted(&other)));
    }
    let both = format!("{restriction}{}", restricted("https://other.example.org/saml"));
    attacks.extend(signed("two audiences that must both hold", "audience", &restriction, &both));
    attacks.extend(signed(
        "an empty audience",
        "audience",
        &restriction,
        "<saml:AudienceRestriction/>",
    ));
    attacks.extend(signed("no audience", "audience_missing", &restriction, ""));
    let once = "<saml:OneTimeUse/>";
    attacks.extend(signed("no audience but once", "audience_missing", &restriction, once));
    let evil = "https://evil.example.org/saml/metadata";
    attacks.extend(signed(
        "the response's issuer",
        "issuer",
        &response_issuer,
        &response_issuer.replace(IDP, evil),
    ));
    attacks.extend(signed(
        "the assertion's issuer",
        "issuer",
        &assertion_issuer,
        &assertion_issuer.replace(IDP, evil),
    ));
    attacks.extend(signed(
        "no issuer of the assertion",
        "issuer_missing",
        &assertion_issuer,
        "@ASSERTION-SIGNATURE@",
    ));
    attacks.extend(signed(
        "an issuer that is no entity",
        "issuer_format",
        &assertion_issuer,
        &assertion_issuer.replace(
            "<saml:Issuer>",
            "<saml:Issuer Format=\"urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress\">",
        ),
    ));
    attacks.extend(signed(
        "sent elsewhere",
        "destination",
        &destination,
        " Destination=\"https://other.example.org/acs\"",
    ));
    attacks.extend(signed("sent nowhere", "destination", &destination, " Destination=\"\""));
    attacks.extend(signed(
        "sent to a part of the address",
        "destination",
        &destination,
        &format!(" Destination=\"{}\"", &ACS[..ACS.len() - 1]),
    ));
    for places in [Places::Response, Places::Both] {
        let nowhere = replaced(&draft(), &destination, "");
        attacks.push(Attack::new(
            format!("signed and sent nobody knows where, {places:?}"),
            "destination_missing",
            KEY.sign(&nowhere, places),
        ));
        let anonymous = replaced(&draft(), &response_issuer, RESPONSE_SIGNATURE);
        attacks.push(Attack::new(
            format!("signed by nobody knows whom, {places:?}"),
            "issuer_missing",
            KEY.sign(&anonymous, places),
        ));
    }
    let moved =
        |settings: Settings, name: &str, code| Attack::new(name, code, genuine()).with(settings);
    attacks.push(moved(
        Settings { acs_url: format!("{ACS}2"), ..settings() },
        "posted to another provider's address",
        "destination",
    ));
    attacks.push(moved(
        Settings { idp_entity_id: evil.into(), ..settings() },
        "another provider's with the same key",
        "issuer",
    ));
    attacks.push(moved(
        Settings { sp_entity_id: format!("{SP}2"), ..settings() },
        "another tenant's",
        "audience",
    ));
    attacks
}

/// By whom it may be brought.
fn confirmations() -> Vec<Attack> {
    let draft = draft();
    let whole =
        part(&draft, "<saml:SubjectConfirmation ", "</saml:SubjectConfirmation>").to_owned();
    let data = part(&whole, "<saml:SubjectConfirmationData ", "/>").to_owned();
    let bearer = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
    let by =
        |method: &str| whole.replace(bearer, &format!("urn:oasis:names:tc:SAML:2.0:cm:{method}"));
    let recipient = format!("Recipient=\"{ACS}\"");
    let end = format!("NotOnOrAfter=\"{}\" Recipient", at(300));
    let key = "<ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:KeyName>x</ds:KeyName></ds:KeyInfo>";
    let keyed = data.replace("/>", &format!(">{key}</saml:SubjectConfirmationData>"));
    [
        signed("by the holder of a key", "confirmation_method", &whole, &by("holder-of-key")),
        signed("by sender-vouches", "confirmation_method", &whole, &by("sender-vouches")),
        signed("by no method", "confirmation_method", &whole, &whole.replace(bearer, "")),
        signed("by bearer who holds a key", "confirmation_method", &data, &keyed),
        signed("no confirmation", "no_confirmation", &whole, ""),
        signed("a confirmation without data", "no_confirmation", &data, ""),
        signed("two confirmations", "several_confirmations", &whole, &format!("{whole}{whole}")),
        signed(
            "a bearer or a key",
            "several_confirmations",
            &whole,
            &format!("{}{whole}", by("holder-of-key")),
        ),
        signed("two data", "repeated_element", &data, &format!("{data}{data}")),
        signed(
            "another recipient",
            "recipient",
            &recipient,
            "Recipient=\"https://other.example.org/acs\"",
        ),
        signed("no recipient", "recipient", &recipient, ""),
        signed(
            "a recipient that goes on",
            "recipient",
            &recipient,
            &format!("Recipient=\"{ACS}?x\""),
        ),
        signed(
            "a bearer's beginning",
            "confirmation_not_before",
            &recipient,
            &format!("NotBefore=\"{}\" {recipient}", at(-300)),
        ),
        signed("a bearer without end", "confirmation_endless", &end, "Recipient"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// To which question it is the answer.
fn questions() -> Vec<Attack> {
    let outer = format!("Destination=\"{ACS}\" InResponseTo=\"{REQUEST}\"");
    let inner = format!("Recipient=\"{ACS}\" InResponseTo=\"{REQUEST}\"");
    let (no_outer, no_inner) = (format!("Destination=\"{ACS}\""), format!("Recipient=\"{ACS}\""));
    let other = |text: &str| text.replace(REQUEST, "_other");
    let mut attacks: Vec<Attack> = [
        signed(
            "the response answers another request",
            "in_response_to_split",
            &outer,
            &other(&outer),
        ),
        signed(
            "the assertion answers another request",
            "in_response_to_split",
            &inner,
            &other(&inner),
        ),
        signed("the response answers none", "in_response_to_split", &outer, &no_outer),
        signed("the assertion answers none", "in_response_to_split", &inner, &no_inner),
    ]
    .into_iter()
    .flatten()
    .collect();
    let unasked = replaced(&replaced(&draft(), &outer, &no_outer), &inner, &no_inner);
    for places in Places::ALL {
        let xml = KEY.sign(&unasked, places);
        attacks.push(Attack::new(
            format!("begun at the provider, signed: {places:?}"),
            "in_response_to_missing",
            xml,
        ));
        let xml = KEY.sign(&draft(), places);
        attacks.push(
            Attack::new(format!("to another login, signed: {places:?}"), "in_response_to", xml)
                .asked("_request-2"),
        );
    }
    attacks.push(Attack::new("to a login without an id", "in_response_to", genuine()).asked(""));
    attacks
}

/// When it counts.
fn times() -> Vec<Attack> {
    let past = at(-CLOCK_SKEW_MS / 1000);
    let future = at(CLOCK_SKEW_MS / 1000 + 1);
    let now = at(0);
    let confirmed = format!("NotOnOrAfter=\"{}\" Recipient", at(300));
    let conditions = format!("NotBefore=\"{}\" NotOnOrAfter=\"{}\"", at(-300), at(300));
    let authenticated = format!("AuthnInstant=\"{now}\"");
    let session = format!("SessionNotOnOrAfter=\"{}\"", at(28_800));
    let issued = format!("ID=\"_assertion\" Version=\"2.0\" IssueInstant=\"{now}\"");
    let sent = format!("ID=\"_response\" Version=\"2.0\" IssueInstant=\"{now}\"");
    let old = at(-(ASSERTION_LIFE_MAX_MS + CLOCK_SKEW_MS) / 1000);
    let form = |name: &str, text: &str| {
        signed(name, "time_form", &authenticated, &format!("AuthnInstant=\"{text}\""))
    };
    [
        signed(
            "the confirmation is over",
            "expired",
            &confirmed,
            &confirmed.replace(&at(300), &past),
        ),
        signed(
            "the conditions are over",
            "expired",
            &conditions,
            &conditions.replace(&at(300), &past),
        ),
        signed(
            "issued a day ago, to last for ever",
            "expired",
            &issued,
            &issued.replace(&now, &old),
        ),
        signed(
            "conditions that begin later",
            "not_yet",
            &conditions,
            &conditions.replace(&at(-300), &future),
        ),
        signed("an assertion of the future", "not_yet", &issued, &issued.replace(&now, &future)),
        signed("a response of the future", "not_yet", &sent, &sent.replace(&now, &future)),
        signed(
            "authenticated in the future",
            "not_yet",
            &authenticated,
            &authenticated.replace(&now, &future),
        ),
        signed(
            "the provider's session is over",
            "session_over",
            &session,
            &session.replace(&at(28_800), &now),
        ),
        signed(
            "no instant of the assertion",
            "time_missing",
            &issued,
            "ID=\"_assertion\" Version=\"2.0\"",
        ),
        signed(
            "no instant of the response",
            "time_missing",
            &sent,
            "ID=\"_response\" Version=\"2.0\"",
        ),
        signed("no instant of the login", "time_missing", &authenticated, ""),
        form("a time without a zone", "2026-11-18T11:06:40"),
        form("a date", "2026-11-18"),
        form("no time", "now"),
        form("an empty time", ""),
        form("a day that does not exist", "2026-02-30T00:00:00Z"),
        form("a year that does not exist", "99999-01-01T00:00:00Z"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What there must be, once, and nothing else.
fn contents() -> Vec<Attack> {
    let draft = draft();
    let piece = |begin: &str, end: &str| part(&draft, begin, end).to_owned();
    let conditions = piece("<saml:Conditions ", "</saml:Conditions>");
    let statement = piece("<saml:AuthnStatement ", "</saml:AuthnStatement>");
    let status = piece("<samlp:Status>", "</samlp:Status>");
    let subject = piece("<saml:Subject>", "</saml:Subject>");
    let success = "urn:oasis:names:tc:SAML:2.0:status:Success";
    let failed =
        |code: &str| status.replace(success, &format!("urn:oasis:names:tc:SAML:2.0:status:{code}"));
    let nested = status.replace(
        "/></samlp:Status>",
        &format!("><samlp:StatusCode Value=\"{success}\"/></samlp:StatusCode></samlp:Status>"),
    );
    let nested = nested.replacen(success, "urn:oasis:names:tc:SAML:2.0:status:Responder", 1);
    let audience = "<saml:AudienceRestriction>";
    let conditioned = |xml: &str| {
        let name = format!("the condition `{xml}`");
        signed(&name, "unknown_condition", audience, &format!("{xml}{audience}"))
    };
    let versioned = |id: &str, version: &str| {
        let from = format!("ID=\"{id}\" Version=\"2.0\"");
        signed(
            &format!("{id} of version `{version}`"),
            "version",
            &from,
            &from.replace("2.0", version),
        )
    };
    let no_version = "ID=\"_assertion\"".to_owned();
    let encrypted = "<saml:EncryptedID><x:EncryptedData xmlns:x=\"http://www.w3.org/2001/04/xmlenc#\"/></saml:EncryptedID>";
    let name_id = piece("<saml:NameID ", "</saml:NameID>");
    let mut attacks: Vec<Attack> = [
        signed("the provider refused", "status", &status, &failed("Responder")),
        signed("the person was not known", "status", &status, &failed("AuthnFailed")),
        signed("a status that is no more than Success", "status", &status, &failed("success")),
        signed("Success within a failure", "status", &status, &nested),
        signed("a status without a code", "no_status", &status, "<samlp:Status/>"),
        signed("no status", "no_status", &status, ""),
        signed("two statuses", "repeated_element", &status, &format!("{status}{status}")),
        signed("no conditions", "no_conditions", &conditions, ""),
        signed("two conditions", "repeated_element", &conditions, &format!("{conditions}{conditions}")),
        conditioned("<saml:Condition xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"x\"/>"),
        conditioned("<x xmlns=\"urn:x\"/>"),
        conditioned("<samlp:OneTimeUse/>"),
        signed("nobody authenticated", "no_authn_statement", &statement, ""),
        signed("no subject", "no_subject", &subject, ""),
        signed("two subjects", "repeated_element", &subject, &format!("{subject}{subject}")),
        signed("an element that is not known", "unexpected_element", &statement, &format!("<saml:Statement/>{statement}")),
        signed("an element of another namespace", "unexpected_element", &statement, &format!("<x xmlns=\"urn:x\"/>{statement}")),
        signed("an encrypted name", "encrypted_content", &name_id, encrypted),
        signed("an encrypted attribute", "encrypted_content", "<saml:AttributeStatement>", "<saml:AttributeStatement><saml:EncryptedAttribute/>"),
        signed("something encrypted in the advice", "encrypted_content", &statement, &format!("<saml:Advice><x:EncryptedData xmlns:x=\"http://www.w3.org/2001/04/xmlenc#\"/></saml:Advice>{statement}")),
        versioned("_response", "1.1"),
        versioned("_assertion", "1.1"),
        versioned("_assertion", "2"),
        versioned("_response", ""),
        signed("_assertion of no version", "version", "ID=\"_assertion\" Version=\"2.0\"", &no_version),
    ]
    .into_iter()
    .flatten()
    .collect();
    let whole = genuine();
    let inner = assertion(&whole);
    attacks.push(Attack::new("the assertion is encrypted", "encrypted_assertion", {
        let data = "<x:EncryptedData xmlns:x=\"http://www.w3.org/2001/04/xmlenc#\"/>";
        let slot = format!("<saml:EncryptedAssertion>{data}</saml:EncryptedAssertion>");
        replaced(&whole, inner, &slot)
    }));
    attacks
}

/// Whom it is about.
fn persons() -> Vec<Attack> {
    let persistent = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
    let draft = draft();
    let name_id = part(&draft, "<saml:NameID ", "</saml:NameID>").to_owned();
    let named = |name: &str, code, text: &str| {
        signed(name, code, &name_id, &replaced(&name_id, ">alice<", &format!(">{text}<")))
    };
    let qualified = |name: &str, attribute: &str| {
        signed(name, "name_qualifier", "<saml:NameID ", &format!("<saml:NameID {attribute} "))
    };
    let mut attacks: Vec<Attack> = [
        signed("no name", "no_name_id", &name_id, ""),
        signed("a base id", "no_name_id", &name_id, "<saml:BaseID/>"),
        signed("two names", "repeated_element", &name_id, &format!("{name_id}{name_id}")),
        named("an empty name", "value_form", ""),
        named("a name of two lines", "value_form", "ali\nce"),
        named("a name with an escape", "value_form", "alice\u{85}"),
        named("a long name", "value_form", &"x".repeat(1025)),
        named("a name that is an element", "markup_in_text", "<x>alice</x>"),
        named("a name with an element in it", "markup_in_text", "admin<x/>.evil"),
        signed(
            "a transient name",
            "transient_name_id",
            persistent,
            &persistent.replace("persistent", "transient"),
        ),
        qualified(
            "a name that another provider gave",
            "NameQualifier=\"https://other.example.org\"",
        ),
        qualified("a name for another service", "SPNameQualifier=\"https://other.example.org\""),
        signed("an element in a group", "markup_in_text", ">builders<", ">build<x/>ers<"),
        signed(
            "an element in the address",
            "markup_in_text",
            ">alice@example.org<",
            "><x>alice@example.org</x><",
        ),
        signed(
            "an element in the audience",
            "markup_in_text",
            &format!("<saml:Audience>{SP}"),
            &format!("<saml:Audience>{SP}<x/>"),
        ),
        signed(
            "an element in the issuer",
            "markup_in_text",
            &format!("{IDP}</saml:Issuer>@ASSERTION"),
            &format!("{IDP}<x/></saml:Issuer>@ASSERTION"),
        ),
        signed("a group of two lines", "value_form", ">builders<", ">build\ners<"),
        signed("a long group", "value_form", ">builders<", &format!(">{}<", "x".repeat(1025))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let keyed = |attribute: &str| Settings {
        attributes: Attributes { name_id: Some(attribute.into()), ..Attributes::default() },
        ..settings()
    };
    attacks.push(
        Attack::new("no attribute that identifies", "attribute_missing", genuine())
            .with(keyed("oid")),
    );
    attacks.push(
        Attack::new("an attribute that identifies by its other name", "attribute_missing", {
            let friendly =
                replaced(&draft, "Name=\"mail\"", "Name=\"urn:oid:0.9\" FriendlyName=\"mail\"");
            KEY.sign(&friendly, Places::Assertion)
        })
        .with(keyed("mail")),
    );
    attacks.push(
        Attack::new("several values that identify", "attribute_ambiguous", genuine())
            .with(keyed("groups")),
    );
    attacks
}
