//! Answers that would be expensive to judge, for somebody who need not be known to send them.

use crate::idp::{
    EXCLUSIVE_C14N, KEY, Places, STRANGER, assertion, draft, genuine, replaced, settings,
    settings_of,
};
use crate::refused::Attack;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emx::identity::saml::XML_BYTES_MAX;

/// So many pieces, one after the other.
fn many(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect()
}

/// The genuine answer with `xml` in its extensions.
fn extended(xml: &str) -> String {
    let extensions = format!("<samlp:Extensions>{xml}</samlp:Extensions><samlp:Status>");
    replaced(&genuine(), "<samlp:Status>", &extensions)
}

pub(crate) fn attacks() -> Vec<Attack> {
    let mut attacks = vec![
        Attack::new("20,000 attributes", "too_large", {
            extended(&format!("<x {}/>", many(20_000, |n| format!("a{n}=\"\" "))))
        }),
        Attack::new("as many attributes as fit", "too_many_attributes", {
            extended(&format!("<x {}/>", many(11_000, |n| format!("a{n}=\"\" "))))
        }),
        Attack::new("as many namespaces as fit", "too_many_attributes", {
            extended(&format!("<x {}/>", many(5_000, |n| format!("xmlns:a{n}=\"u:\" "))))
        }),
        Attack::new("one attribute too many", "too_many_attributes", {
            extended(&format!("<x {}/>", many(33, |n| format!("a{n}='>' "))))
        }),
        Attack::new("as deep as fits", "too_deep", {
            extended(&format!("{}{}", "<x>".repeat(15_000), "</x>".repeat(15_000)))
        }),
        Attack::new("as deep as fits and never closed", "too_deep", "<x>".repeat(40_000)),
        Attack::new(
            "as many elements as fit",
            "too_many_elements",
            extended(&"<x/>".repeat(30_000)),
        ),
        Attack::new(
            "a value that never ends",
            "not_well_formed",
            format!("<x a='{}", "x".repeat(100_000)),
        ),
        Attack::new(
            "as many tags as fit, none closed",
            "not_well_formed",
            "<".repeat(XML_BYTES_MAX),
        ),
        Attack::new(
            "as many quotes as fit",
            "too_many_attributes",
            "<x ".to_owned() + &"''".repeat(60_000),
        ),
        Attack::new("larger than is read", "too_large", vec![b'<'; XML_BYTES_MAX + 1]),
        Attack::new("larger than is decoded", "too_large", "A".repeat(4 << 20)),
        Attack::new("larger than is read, decoded", "too_large", {
            STANDARD.encode(format!("<x>{}", "x".repeat(XML_BYTES_MAX - 2)))
        }),
    ];
    attacks.extend(signed());
    attacks
}

/// Answers within all bounds, all of whose signatures are right but for the key: so all there is to
/// be computed is computed.
fn signed() -> Vec<Attack> {
    let prefixes: Vec<String> = (0..16).map(|n| format!("p{n}x0")).collect();
    let prefixes = prefixes.join(" ");
    let transform = format!("<ds:Transform Algorithm=\"{EXCLUSIVE_C14N}\"></ds:Transform>");
    let list =
        format!("<c:InclusiveNamespaces xmlns:c=\"{EXCLUSIVE_C14N}\" PrefixList=\"{prefixes}\"/>");
    let listed = |id: &str| {
        let template = STRANGER.template(id).to_string();
        replaced(&template, &transform, &transform.replace("></", &format!(">{list}</")))
    };
    let heavy = |extensions: &str| {
        let draft = draft();
        let extended = format!("<samlp:Extensions>{extensions}</samlp:Extensions><samlp:Status>");
        let draft = replaced(&draft, "<samlp:Status>", &extended);
        STRANGER.sign_with(&draft, Places::Both, &listed("_assertion"), &listed("_response"))
    };
    // As many namespaces in scope as there can be, looked up from the innermost.
    let open = many(28, |depth| {
        let declared = many(31, |n| format!(" xmlns:p{n}x{depth}=\"u:\""));
        format!("<e{declared}>")
    });
    let looked_up = many(31, |n| format!(" p0x0:a{n}=\"\""));
    let inner = format!("<p0x0:e{looked_up}/>").repeat(190);
    let nested = format!("{open}{inner}{}", "</e>".repeat(28));
    let wide = "<e xmlns:p0x0=\"u:\"/>".repeat(4000);
    let serial = "<ds:X509IssuerSerial><ds:X509IssuerName>x</ds:X509IssuerName><ds:X509SerialNumber>1\
                  </ds:X509SerialNumber></ds:X509IssuerSerial>";
    let strange = STRANGER.sign(&draft(), Places::Assertion);
    let shown = |xml: &str| replaced(&strange, "<ds:X509Data>", &format!("<ds:X509Data>{xml}"));
    let many_keys = [&*KEY; 8];
    vec![
        Attack::new("as many namespaces in scope as can be", "signature", heavy(&nested)),
        Attack::new(
            "as many elements as can be, each with a list of prefixes",
            "signature",
            heavy(&wide),
        ),
        Attack::new("many serial numbers of certificates", "signature", shown(&serial.repeat(800)))
            .with(settings_of(&many_keys)),
        Attack::new("a certificate as large as fits", "signature", {
            shown(&format!("<ds:X509Certificate>{}</ds:X509Certificate>", "A".repeat(100_000)))
        }),
        Attack::new("a name as large as fits", "signature", {
            strange.replace(">alice<", &format!(">{}<", "&#65;".repeat(20_000)))
        }),
    ]
}

/// What is refused by its size is not refused too early: a person in a thousand groups signs in.
#[test]
fn a_thousand_groups_are_accepted() {
    let groups = many(1000, |n| format!("<saml:AttributeValue>team-{n:04}</saml:AttributeValue>"));
    let only = "<saml:AttributeValue>builders</saml:AttributeValue>";
    let xml = KEY.sign(&replaced(&draft(), only, &groups), Places::Both);
    assert!(
        xml.len() < XML_BYTES_MAX && assertion(&xml).len() > XML_BYTES_MAX / 3,
        "{}",
        xml.len()
    );
    let found = crate::idp::judged(&settings(), &xml).outcome.unwrap().groups;
    assert_eq!(found.len(), 1001);
    assert_eq!((found[0].as_str(), found[1000].as_str()), ("team-0000", "admins"));
}
