//! Signatures that are not of the one form, or not by the one who is trusted.

use crate::idp::{
    ACS, ASSERTION_SIGNATURE, CURVE, ENVELOPED, EXCLUSIVE_C14N, KEY, Places, RESPONSE_SIGNATURE,
    RSA_SHA256, STRANGER, Template, assertion, draft, genuine, part, replaced, settings,
    settings_of, signature, verdict,
};
use crate::refused::Attack;
use emx::identity::saml::Settings;

/// A certificate with a key of 1024 bits, made with `openssl req -x509 -newkey rsa:1024 -nodes`.
pub(crate) const WEAK: &str = include_str!("weak.pem");

const DECOY_XSLT: &str = r#"<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="/"><xsl:value-of select="document('/etc/passwd')"/></xsl:template></xsl:stylesheet></ds:Transform>"#;

const DECOY_XPATH: &str = r#"<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>count(//. | //@* | //namespace::*) &gt; 0</ds:XPath></ds:Transform>"#;

pub(crate) fn attacks() -> Vec<Attack> {
    [methods(), references(), transforms(), forms(), keys(), decoys()]
        .into_iter()
        .flatten()
        .collect()
}

/// A rightly signed answer whose assertion has the signature that `change` makes of the usual one.
fn templated(change: impl FnOnce(&mut Template)) -> String {
    let mut template = KEY.template("_assertion");
    change(&mut template);
    KEY.sign_with(&draft(), Places::Assertion, &template.to_string(), "")
}

/// A genuine answer whose signature says something else afterwards.
fn changed(from: &str, to: &str) -> String {
    replaced(&genuine(), from, to)
}

fn methods() -> Vec<Attack> {
    let said = |uri: &str| changed(RSA_SHA256, uri);
    let more = "http://www.w3.org/2001/04/xmldsig-more";
    let xmldsig = "http://www.w3.org/2000/09/xmldsig";
    let mut attacks: Vec<Attack> = [
        ("RSA with SHA-1", format!("{xmldsig}#rsa-sha1")),
        ("RSA with MD5", format!("{more}#rsa-md5")),
        ("RSA with SHA-224", format!("{more}#rsa-sha224")),
        ("RSA-PSS", "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1".into()),
        ("DSA", format!("{xmldsig}#dsa-sha1")),
        ("ECDSA with SHA-1", format!("{more}#ecdsa-sha1")),
        ("HMAC, keyed with the public key", format!("{more}#hmac-sha256")),
        ("HMAC with SHA-1", format!("{xmldsig}#hmac-sha1")),
        ("no algorithm", String::new()),
        ("an algorithm in capitals", RSA_SHA256.to_uppercase()),
    ]
    .map(|(name, uri)| Attack::new(name, "signature_algorithm", said(&uri)))
    .into();
    attacks.extend(
        [
            ("the digest SHA-1", format!("{xmldsig}#sha1")),
            ("the digest SHA-224", format!("{more}#sha224")),
            ("the digest SHA3-256", "http://www.w3.org/2007/05/xmldsig-more#sha3-256".into()),
        ]
        .map(|(name, uri)| {
            // These are rightly computed: only that they are not allowed refuses them.
            Attack::new(name, "digest_algorithm", templated(|template| template.digest = uri))
        }),
    );
    attacks.push(Attack::new(
        "the digest MD5",
        "digest_algorithm",
        changed(crate::idp::SHA256, &format!("{more}#md5")),
    ));
    attacks.push(Attack::new("a truncated signature", "signature_form", {
        let length = "<ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>";
        changed("</ds:SignatureMethod>", length)
    }));
    attacks
}

fn references() -> Vec<Attack> {
    let mut attacks: Vec<Attack> = [
        ("the whole document", ""),
        ("the whole document, by XPointer", "#xpointer(/)"),
        ("the assertion by XPointer", "#xpointer(id('_assertion'))"),
        ("the response", "#_response"),
        ("nothing", "#"),
        ("an element that is not there", "#_other"),
        ("a file beside this process", "Cargo.toml"),
        ("a file by its path", "/etc/passwd"),
        ("a file by its URL", "file:///etc/passwd"),
        ("a file above", "../../etc/passwd"),
        ("a server", "http://127.0.0.1:9/x"),
        ("an attachment", "cid:x"),
        ("the assertion in another document", "x.xml#_assertion"),
    ]
    .map(|(name, uri)| {
        let xml = changed("URI=\"#_assertion\"", &format!("URI=\"{uri}\""));
        Attack::new(format!("a reference to {name}"), "signature_reference", xml)
    })
    .into();
    attacks.push(Attack::new(
        "no reference is named",
        "signature_reference",
        changed(" URI=\"#_assertion\"", ""),
    ));
    let genuine = genuine();
    let reference = part(&genuine, "<ds:Reference ", "</ds:Reference>");
    let again = reference.replace("#_assertion", "Cargo.toml");
    attacks.extend([
        Attack::new("no reference", "signature_references", replaced(&genuine, reference, "")),
        Attack::new(
            "two references",
            "signature_references",
            replaced(&genuine, reference, &format!("{reference}{again}")),
        ),
        Attack::new(
            "an id that is an XPointer",
            "id_form",
            // Rightly signed, and the reference names the id: the whole document, to a library.
            genuine
                .replace("\"_assertion\"", "\"xpointer(/)\"")
                .replace("#_assertion", "#xpointer(/)"),
        ),
    ]);
    attacks
}

fn transforms() -> Vec<Attack> {
    let xmldsig = "http://www.w3.org/2000/09/xmldsig";
    let lists: [(&str, Vec<&str>); 12] = [
        ("no transform", vec![]),
        ("only the signature taken out", vec![ENVELOPED]),
        ("the signature not taken out", vec![EXCLUSIVE_C14N]),
        ("in the other order", vec![EXCLUSIVE_C14N, ENVELOPED]),
        ("a transform twice", vec![ENVELOPED, ENVELOPED, EXCLUSIVE_C14N]),
        ("canonicalised twice", vec![ENVELOPED, EXCLUSIVE_C14N, EXCLUSIVE_C14N]),
        (
            "canonicalised inclusively",
            vec![ENVELOPED, "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"],
        ),
        ("canonicalised by version 1.1", vec![ENVELOPED, "http://www.w3.org/2006/12/xml-c14n11"]),
        (
            "canonicalised with comments",
            vec![ENVELOPED, "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"],
        ),
        ("decoded", vec![ENVELOPED, "http://www.w3.org/2000/09/xmldsig#base64"]),
        ("filtered", vec![ENVELOPED, "http://www.w3.org/2002/06/xmldsig-filter2"]),
        ("an unknown transform", vec![ENVELOPED, "urn:x"]),
    ];
    let transform = format!("<ds:Transform Algorithm=\"{EXCLUSIVE_C14N}\"></ds:Transform>");
    let genuine = genuine();
    let given = part(&genuine, "<ds:Transforms>", "</ds:Transforms>");
    let mut attacks: Vec<Attack> = lists
        .map(|(name, list)| {
            let list: String = list
                .iter()
                .map(|uri| format!("<ds:Transform Algorithm=\"{uri}\"></ds:Transform>"))
                .collect();
            let list = format!("<ds:Transforms>{list}</ds:Transforms>");
            Attack::new(name, "transforms", replaced(&genuine, given, &list))
        })
        .into();
    attacks.extend([
        Attack::new(
            "transformed by XSLT",
            "transforms",
            replaced(&genuine, &transform, DECOY_XSLT),
        ),
        Attack::new(
            "transformed by XPath",
            "transforms",
            replaced(&genuine, &transform, DECOY_XPATH),
        ),
        Attack::new("no list of transforms", "signature_form", replaced(&genuine, given, "")),
        Attack::new("a parameter of taking out", "signature_form", {
            let enveloped = format!("<ds:Transform Algorithm=\"{ENVELOPED}\">");
            replaced(&genuine, &enveloped, &format!("{enveloped}<x/>"))
        }),
        Attack::new("a parameter of canonicalising", "signature_form", {
            replaced(&genuine, &transform, &transform.replace("></", "><x/></"))
        }),
    ]);
    attacks.extend(
        [
            ("inclusive", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
            ("version 1.1", "http://www.w3.org/2006/12/xml-c14n11"),
            ("with comments", "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"),
        ]
        .map(|(name, uri)| {
            let xml = templated(|template| template.canonicalization = uri.into());
            Attack::new(
                format!("canonicalisation of what is signed: {name}"),
                "canonicalization",
                xml,
            )
        }),
    );
    attacks.push(Attack::new(
        "canonicalisation of what is signed: unknown",
        "canonicalization",
        changed(
            &format!("<ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE_C14N}\">"),
            &format!("<ds:CanonicalizationMethod Algorithm=\"{xmldsig}#base64\">"),
        ),
    ));
    for (element, space) in
        [("CanonicalizationMethod", " "), ("Transform", " "), ("Transform", "\u{2003}")]
    {
        let begin = format!("<ds:{element} Algorithm=\"{EXCLUSIVE_C14N}\">");
        let prefixes: String = (0..17).map(|n| format!("p{n}{space}")).collect();
        let list = format!(
            "<c:InclusiveNamespaces xmlns:c=\"{EXCLUSIVE_C14N}\" PrefixList=\"{prefixes}\"/>"
        );
        let xml = replaced(&genuine, &begin, &format!("{begin}{list}"));
        let name = format!("a long list of prefixes in `{element}`, with {space:?} between");
        attacks.push(Attack::new(name, "prefix_list", xml));
    }
    attacks
}

fn forms() -> Vec<Attack> {
    let genuine = genuine();
    let cut = |begin: &str, end: &str| part(&genuine, begin, end).to_owned();
    let info = cut("<ds:SignedInfo>", "</ds:SignedInfo>");
    let value = cut("<ds:SignatureValue>", "</ds:SignatureValue>");
    let key = cut("<ds:KeyInfo>", "</ds:KeyInfo>");
    let digest = cut("<ds:DigestMethod", "</ds:DigestMethod>");
    let signature = signature(&genuine).to_owned();
    let instead = |from: &str, to: String| replaced(&genuine, from, &to);
    let in_key = |xml: &str| instead("<ds:X509Data>", format!("{xml}<ds:X509Data>"));
    let forms = [
        ("two things that are signed", instead(&info, format!("{info}{info}"))),
        ("another thing that is signed, first", {
            let other = info.replace("#_assertion", "#_forged");
            instead(&info, format!("{other}{info}"))
        }),
        ("nothing that is signed", instead(&info, String::new())),
        ("no value", instead(&value, String::new())),
        ("two values", instead(&value, format!("{value}{value}"))),
        ("the value first", instead(&format!("{info}{value}"), format!("{value}{info}"))),
        ("two keys", instead(&key, format!("{key}{key}"))),
        ("an object", instead(&key, format!("{key}<ds:Object/>"))),
        ("a manifest", instead(&key, format!("{key}<ds:Manifest/>"))),
        ("text between", instead(&info, format!("{info}x"))),
        ("no digest", instead(&digest, String::new())),
        ("another element in the place of the reference", {
            genuine
                .replace("<ds:Reference ", "<ds:Other ")
                .replace("</ds:Reference>", "</ds:Other>")
        }),
        ("what is signed in another namespace", {
            instead("<ds:SignedInfo>", "<ds:SignedInfo xmlns:ds=\"urn:x\">".into())
        }),
    ];
    let polluted = [
        ("<ds:Reference ", "URI=\"Cargo.toml\""),
        ("<ds:CanonicalizationMethod ", "Algorithm=\"urn:x\""),
        ("<ds:SignatureMethod ", "Algorithm=\"urn:x\""),
        ("<ds:DigestMethod ", "Algorithm=\"urn:x\""),
        (
            "<ds:Transforms><ds:Transform ",
            "Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"",
        ),
    ]
    .map(|(tag, attribute)| {
        // First, so that whoever asks for the local name gets it.
        let xml = instead(tag, format!("{tag}xmlns:x=\"urn:x\" x:{attribute} "));
        Attack::new(format!("`{attribute}` of a namespace in `{tag}`"), "signature_form", xml)
    });
    let mut attacks: Vec<Attack> =
        forms.map(|(name, xml)| Attack::new(name, "signature_form", xml)).into();
    attacks.extend(polluted);
    attacks.push(Attack::new("a list of prefixes of a namespace", "signature_form", {
        let method = format!("<ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE_C14N}\">");
        let prefixes = "p ".repeat(20_000);
        let list = format!(
            "<c:InclusiveNamespaces xmlns:c=\"{EXCLUSIVE_C14N}\" c:PrefixList=\"{prefixes}\"/>"
        );
        instead(&method, format!("{method}{list}"))
    }));
    attacks.extend([
        Attack::new(
            "two signatures",
            "repeated_element",
            instead(&signature, format!("{signature}{signature}")),
        ),
        Attack::new(
            "a key in a file",
            "key_info",
            in_key("<ds:RetrievalMethod URI=\"Cargo.toml\"/>"),
        ),
        Attack::new(
            "a key at a server",
            "key_info",
            in_key("<ds:RetrievalMethod URI=\"http://127.0.0.1:9/\"/>"),
        ),
        Attack::new("a key elsewhere in the document", "key_info", {
            in_key(
                "<k:KeyInfoReference xmlns:k=\"http://www.w3.org/2009/xmldsig11#\" URI=\"#_x\"/>",
            )
        }),
        Attack::new("a wrapped key", "encrypted_content", {
            in_key("<x:EncryptedKey xmlns:x=\"http://www.w3.org/2001/04/xmlenc#\"/>")
        }),
        Attack::new(
            "a token as a key",
            "key_info",
            in_key("<w:SecurityTokenReference xmlns:w=\"urn:w\"/>"),
        ),
    ]);
    attacks
}

fn keys() -> Vec<Attack> {
    let draft = draft();
    let genuine = genuine();
    let both = KEY.sign(&draft, Places::Both);
    let of = |certificates: &[&str]| Settings {
        idp_certificates: certificates.iter().map(|pem| (*pem).to_owned()).collect(),
        ..settings()
    };
    let known = KEY.certificate_pem.as_str();
    let cut = genuine.replace(signature(&genuine), "");
    let value = part(&genuine, "<ds:SignatureValue>", "</ds:SignatureValue>");
    let valued = |text: &str| {
        replaced(&genuine, value, &format!("<ds:SignatureValue>{text}</ds:SignatureValue>"))
    };
    let strange = STRANGER.sign(&draft, Places::Assertion);
    let bad_inside = {
        // The provider signs a response around an assertion whose signature is not good.
        let inside =
            KEY.sign_with(&draft, Places::Assertion, &KEY.template("_assertion").to_string(), "");
        let outside = replaced(
            &inside,
            "</saml:Issuer><samlp:Status>",
            &format!("</saml:Issuer>{RESPONSE_SIGNATURE}<samlp:Status>"),
        );
        let changed = outside.replace(">alice<", ">admin<");
        KEY.fill(&replaced(&changed, RESPONSE_SIGNATURE, &KEY.template("_response").to_string()))
    };
    let mut attacks: Vec<Attack> = Places::ALL
        .map(|places| {
            let name = format!("by somebody else, with the certificate, signed: {places:?}");
            Attack::new(name, "signature", STRANGER.sign(&draft, places))
        })
        .into();
    attacks.extend([
        Attack::new("by somebody else, showing the known certificate", "signature", {
            replaced(&strange, &STRANGER.certificate, &KEY.certificate)
        }),
        Attack::new("by somebody else, with the bare key", "signature", {
            let data = part(&strange, "<ds:X509Data>", "</ds:X509Data>");
            let key = "<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>AQAB</ds:Modulus><ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>";
            replaced(&strange, data, key)
        }),
        Attack::new("by a key of another kind", "signature", CURVE.sign(&draft, Places::Assertion)),
        Attack::new("for a service that knows keys of another kind", "signature", genuine.clone())
            .with(settings_of(&[&CURVE])),
        Attack::new("for a service that knows another key", "signature", genuine.clone())
            .with(settings_of(&[&STRANGER])),
        Attack::new("no signature", "unsigned", cut.clone()),
        Attack::new("no signature where both are usual", "unsigned", {
            let outer = both.replacen(signature(&both), "", 1);
            outer.replace(signature(&outer), "")
        }),
        Attack::new("a name changed", "signature", genuine.replace(">alice<", ">admin<")),
        Attack::new("a group changed", "signature", genuine.replace(">builders<", ">owners<")),
        Attack::new("an attribute added", "signature", {
            replaced(&genuine, "</saml:AttributeStatement>", "<saml:Attribute Name=\"x\"/></saml:AttributeStatement>")
        }),
        Attack::new("white space added", "signature", replaced(&genuine, "<saml:Subject>", " <saml:Subject>")),
        Attack::new("an end changed", "signature", {
            let end = format!("NotOnOrAfter=\"{}\" Recipient=\"{ACS}\"", crate::idp::at(300));
            let later = format!("NotOnOrAfter=\"{}\" Recipient=\"{ACS}\"", crate::idp::at(3000));
            replaced(&genuine, &end, &later)
        }),
        Attack::new("the response changed around a good assertion", "signature", {
            replaced(&KEY.sign(&draft, Places::Response), "<samlp:Status>", "<samlp:Extensions/><samlp:Status>")
        }),
        Attack::new("a good assertion in a response changed since", "signature", {
            replaced(&both, "<samlp:Status>", "<samlp:Extensions/><samlp:Status>")
        }),
        Attack::new("a bad assertion in a good response", "signature", bad_inside),
        Attack::new("an empty value", "signature", valued("")),
        Attack::new("a value of zeros", "signature", valued(&"A".repeat(344))),
        Attack::new("a value that is not base64", "signature", valued("!")),
        Attack::new("the value of another answer", "signature", {
            let other = KEY.sign(&replaced(&draft, ">alice<", ">bob<"), Places::Assertion);
            replaced(&genuine, value, part(&other, "<ds:SignatureValue>", "</ds:SignatureValue>"))
        }),
        Attack::new("no certificate is configured", "no_certificate", genuine.clone()).with(of(&[])),
        Attack::new("no certificate is configured and nothing is signed", "unsigned", cut).with(of(&[])),
        Attack::new("a key of 1024 bits is configured", "key_size", genuine.clone()).with(of(&[WEAK])),
        Attack::new("a weak key is configured beside a good one", "key_size", genuine.clone())
            .with(of(&[known, WEAK])),
        Attack::new("what is configured is no certificate", "bad_certificate", genuine.clone())
            .with(of(&[known, "x"])),
        Attack::new("too many certificates", "too_many_certificates", genuine.clone())
            .with(of(&[known; 9])),
    ]);
    attacks
}

/// Signatures that a library would evaluate along with the right one.
fn decoys() -> Vec<Attack> {
    let genuine = genuine();
    let own = signature(&genuine).to_owned();
    let transform = format!("<ds:Transform Algorithm=\"{EXCLUSIVE_C14N}\"></ds:Transform>");
    let decoy = |uri: &str, to: &str| replaced(&replaced(&own, "#_assertion", uri), &transform, to);
    let extended = |xml: &str| {
        let extensions = format!("<samlp:Extensions>{xml}</samlp:Extensions><samlp:Status>");
        replaced(&genuine, "<samlp:Status>", &extensions)
    };
    let beside = |xml: &str| replaced(&genuine, "<samlp:Status>", &format!("{xml}<samlp:Status>"));
    let subjected = |xml: &str| {
        let signed = replaced(&draft(), "</saml:Subject>", &format!("{xml}</saml:Subject>"));
        // Signed by the provider itself, so that only the place is wrong.
        let template = KEY.template("_assertion").to_string();
        KEY.sign_with(&signed, Places::Assertion, &template, "")
    };
    let file = decoy("Cargo.toml", &transform);
    vec![
        Attack::new(
            "a decoy that transforms by XSLT",
            "stray_signature",
            extended(&decoy("#_response", DECOY_XSLT)),
        ),
        Attack::new(
            "a decoy that transforms by XPath",
            "stray_signature",
            extended(&decoy("#_response", DECOY_XPATH)),
        ),
        Attack::new("a decoy that signs a file", "stray_signature", extended(&file)),
        Attack::new(
            "a decoy in the place of the response's signature",
            "signature_reference",
            beside(&file),
        ),
        Attack::new(
            "a decoy by XSLT in the place of the response's signature",
            "transforms",
            beside(&decoy("#_response", DECOY_XSLT)),
        ),
        Attack::new("a decoy in the status", "stray_signature", {
            replaced(
                &genuine,
                "</samlp:Status>",
                &format!("<samlp:StatusDetail>{file}</samlp:StatusDetail></samlp:Status>"),
            )
        }),
        Attack::new("a decoy in the key of the signature", "key_info", {
            replaced(&genuine, "<ds:X509Data>", &format!("{file}<ds:X509Data>"))
        }),
        Attack::new("a decoy in the certificate of the signature", "stray_signature", {
            replaced(&genuine, "</ds:X509Data>", &format!("{file}</ds:X509Data>"))
        }),
        Attack::new("a decoy that the provider signed itself", "stray_signature", subjected(&file)),
        Attack::new("an assertion whose own signature is a decoy", "signature_reference", {
            replaced(&genuine, &own, &file)
        }),
        Attack::new("many decoys", "stray_signature", extended(&file.repeat(50))),
    ]
}

/// The tables change signatures that are good: without a change they are accepted.
#[test]
fn templates_are_signed_rightly() {
    let xml = templated(|_| {});
    assert_eq!(verdict(&settings(), &xml), Ok("alice".into()));
    assert!(!xml.contains(ASSERTION_SIGNATURE) && assertion(&xml).contains("<ds:Signature "));
}
