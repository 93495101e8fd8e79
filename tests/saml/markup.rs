//! XML that is not what it seems to be, or not plain.

use crate::idp::{KEY, Places, assertion, draft, genuine, replaced};
use crate::refused::Attack;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub(crate) fn attacks() -> Vec<Attack> {
    [splices(), document_types(), ids(), forms()].into_iter().flatten().collect()
}

/// What canonical XML leaves out, or a reader of text may stumble over.
fn splices() -> Vec<Attack> {
    let genuine = genuine();
    let named = |name_id: &str| {
        replaced(&genuine, ">alice</saml:NameID>", &format!(">{name_id}</saml:NameID>"))
    };
    // The provider lets somebody choose the name `admin<!-- -->.evil`: it signs it without the comment.
    let evil = KEY.sign(&replaced(&draft(), ">alice<", ">admin.evil<"), Places::Assertion);
    let spliced = |by: &str| replaced(&evil, ">admin.evil<", &format!(">admin{by}.evil<"));
    let in_text =
        |tag: &str, by: &str| replaced(&genuine, &format!("</{tag}>"), &format!("{by}</{tag}>"));
    vec![
        Attack::new("a comment in the `NameID`", "comment", spliced("<!-- -->")),
        Attack::new("an empty comment in the `NameID`", "comment", spliced("<!---->")),
        Attack::new("a comment before the `NameID`", "comment", named("<!--admin-->alice")),
        Attack::new(
            "a processing instruction in the `NameID`",
            "processing_instruction",
            spliced("<?x?>"),
        ),
        Attack::new("a CDATA section in the `NameID`", "cdata", named("<![CDATA[alice]]>")),
        Attack::new("an empty CDATA section in the `NameID`", "cdata", spliced("<![CDATA[]]>")),
        Attack::new("a comment in the audience", "comment", in_text("saml:Audience", "<!-- -->")),
        Attack::new(
            "a comment in an attribute",
            "comment",
            replaced(&genuine, ">admins<", ">adm<!-- -->ins<"),
        ),
        Attack::new("a comment in the digest", "comment", in_text("ds:DigestValue", "<!-- x -->")),
        Attack::new(
            "a comment in the signature",
            "comment",
            in_text("ds:SignatureValue", "<!-- x -->"),
        ),
        Attack::new(
            "a processing instruction in the digest",
            "processing_instruction",
            in_text("ds:DigestValue", "<?x?>"),
        ),
        Attack::new("a comment before the response", "comment", format!("<!-- -->{genuine}")),
        Attack::new("a comment after the response", "comment", format!("{genuine}<!-- -->")),
        Attack::new(
            "a stylesheet",
            "processing_instruction",
            format!("<?xml-stylesheet href=\"x\"?>{genuine}"),
        ),
        Attack::new(
            "an element in the digest",
            "markup_in_text",
            in_text("ds:DigestValue", "<x/>"),
        ),
        Attack::new(
            "an element in the signature",
            "markup_in_text",
            in_text("ds:SignatureValue", "<x/>"),
        ),
    ]
}

fn document_types() -> Vec<Attack> {
    let genuine = genuine();
    let typed = |subset: &str, name_id: &str| {
        let named =
            replaced(&genuine, ">alice</saml:NameID>", &format!(">{name_id}</saml:NameID>"));
        format!("<!DOCTYPE samlp:Response {subset}>{named}")
    };
    let laughs: String = (1..10)
        .map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10)))
        .collect();
    let include = "<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"/etc/passwd\" parse=\"text\"/>";
    vec![
        Attack::new("a document type", "dtd", typed("", "alice")),
        Attack::new(
            "a document type from a file",
            "dtd",
            typed("SYSTEM \"file:///etc/passwd\"", "alice"),
        ),
        Attack::new(
            "a document type from a server",
            "dtd",
            typed("SYSTEM \"http://127.0.0.1/x.dtd\"", "alice"),
        ),
        Attack::new("an entity", "dtd", typed("[<!ENTITY x \"admin\">]", "&x;")),
        Attack::new(
            "an entity from a file",
            "dtd",
            typed("[<!ENTITY x SYSTEM \"/etc/passwd\">]", "&x;"),
        ),
        Attack::new(
            "a parameter entity",
            "dtd",
            typed("[<!ENTITY % x SYSTEM \"/etc/passwd\"> %x;]", "alice"),
        ),
        Attack::new(
            "a billion laughs",
            "dtd",
            typed(&format!("[<!ENTITY l0 \"ha\">{laughs}]"), "&l9;"),
        ),
        Attack::new(
            "an id by document type",
            "dtd",
            typed("[<!ATTLIST saml:Subject ID ID \"_assertion\">]", "alice"),
        ),
        Attack::new(
            "an entity that nothing declares",
            "not_well_formed",
            replaced(&genuine, ">alice<", ">&x;<"),
        ),
        Attack::new(
            "a document type within",
            "dtd",
            replaced(&genuine, "<samlp:Status>", "<!DOCTYPE x><samlp:Status>"),
        ),
        Attack::new(
            "another file included in the name",
            "xinclude",
            replaced(&genuine, ">alice<", &format!(">{include}<")),
        ),
        Attack::new(
            "another file included in the extensions",
            "xinclude",
            replaced(
                &genuine,
                "<samlp:Status>",
                &format!("<samlp:Extensions>{include}</samlp:Extensions><samlp:Status>"),
            ),
        ),
    ]
}

/// Ids that could be looked up in more than one way.
fn ids() -> Vec<Attack> {
    let genuine = genuine();
    let extended = |xml: &str| {
        let extensions = format!("<samlp:Extensions>{xml}</samlp:Extensions><samlp:Status>");
        replaced(&genuine, "<samlp:Status>", &extensions)
    };
    let mut attacks: Vec<Attack> = ["ID", "Id", "id", "AssertionID", "iD"]
        .map(|name| {
            let xml = extended(&format!("<x {name}=\"_assertion\"/>"));
            Attack::new(format!("the assertion's id again, as `{name}`"), "duplicate_id", xml)
        })
        .into();
    let own = |attributes: &str| {
        replaced(&genuine, "ID=\"_assertion\"", &format!("{attributes} ID=\"_assertion\""))
    };
    attacks.extend([
        Attack::new("`xml:id`", "namespaced_id", extended("<x xml:id=\"_assertion\"/>")),
        Attack::new(
            "an id of a namespace",
            "namespaced_id",
            extended("<x xmlns:y=\"urn:y\" y:ID=\"_y\"/>"),
        ),
        Attack::new("another id in the assertion", "several_ids", own("Id=\"_other\"")),
        Attack::new(
            "another id of a namespace in the assertion",
            "namespaced_id",
            own("xmlns:y=\"urn:y\" y:ID=\"_y\""),
        ),
        Attack::new(
            "the response's id is the assertion's",
            "duplicate_id",
            replaced(&genuine, "\"_response\"", "\"_assertion\""),
        ),
        Attack::new(
            "no id of the response",
            "id_form",
            replaced(&genuine, " ID=\"_response\"", ""),
        ),
        Attack::new(
            "an id that begins with a digit",
            "id_form",
            replaced(&genuine, "\"_response\"", "\"1\""),
        ),
        Attack::new(
            "an id that is none",
            "id_form",
            replaced(&genuine, "\"_response\"", "\"a b\""),
        ),
        Attack::new(
            "a long id",
            "id_form",
            replaced(&genuine, "\"_response\"", &format!("\"_{}\"", "x".repeat(256))),
        ),
    ]);
    attacks
}

/// Bytes that are no XML of the one form that is read.
fn forms() -> Vec<Attack> {
    let genuine = genuine();
    let utf16: Vec<u8> = genuine.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&b"\xff\xfe"[..], &utf16].concat();
    let latin1: Vec<u8> = replaced(&genuine, ">alice<", ">ali\u{e9}ce<")
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    let relative = |from: &str| replaced(&genuine, from, &format!("{from} xmlns:ns=\"1\""));
    let void = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let digest = crate::idp::part(&genuine, "<ds:DigestValue>", "</ds:DigestValue>");
    let voided = replaced(&genuine, digest, &format!("<ds:DigestValue>{void}</ds:DigestValue>"));
    vec![
        Attack::new("nothing", "empty", ""),
        Attack::new("text", "not_base64", "SAMLResponse=x"),
        Attack::new(
            "base64 for URLs",
            "not_base64",
            STANDARD.encode(&genuine).replace('=', "%3D") + "%3D",
        ),
        Attack::new("compressed", "not_xml", STANDARD.encode(b"\x78\x9c\x03\x00")),
        Attack::new("JSON", "not_xml", STANDARD.encode("{\"a\":1}")),
        Attack::new("UTF-16", "not_xml", STANDARD.encode(&marked)),
        Attack::new("Latin-1", "not_utf8", STANDARD.encode(latin1)),
        Attack::new(
            "UTF-7 by its own word",
            "declaration",
            format!("<?xml version=\"1.0\" encoding=\"UTF-7\"?>{genuine}"),
        ),
        Attack::new("XML 1.1", "declaration", format!("<?xml version=\"1.1\"?>{genuine}")),
        Attack::new("not closed", "not_well_formed", genuine.trim_end_matches("</samlp:Response>")),
        Attack::new("two documents", "not_well_formed", format!("{genuine}{genuine}")),
        Attack::new("something after it", "not_well_formed", format!("{genuine}x")),
        Attack::new("a NUL", "not_well_formed", replaced(&genuine, ">alice<", ">ali\0ce<")),
        Attack::new(
            "a NUL as a reference",
            "not_well_formed",
            replaced(&genuine, ">alice<", ">ali&#0;ce<"),
        ),
        Attack::new(
            "a prefix that nothing declares",
            "not_well_formed",
            replaced(&genuine, ">alice<", "><x:y/><"),
        ),
        Attack::new(
            "an attribute twice",
            "not_well_formed",
            replaced(&genuine, "ID=\"_assertion\"", "ID=\"_assertion\" ID=\"_assertion\""),
        ),
        Attack::new(
            "a relative namespace around",
            "relative_namespace",
            relative("<samlp:Response"),
        ),
        Attack::new(
            "a relative namespace in the assertion",
            "relative_namespace",
            relative("<saml:Assertion"),
        ),
        Attack::new(
            "a relative namespace in what is signed first",
            "relative_namespace",
            relative("<ds:SignedInfo"),
        ),
        Attack::new("the digest of nothing", "signature", voided.clone()),
        Attack::new(
            "the digest of nothing, of a document without canonical form",
            "relative_namespace",
            {
                let evil = replaced(assertion(&voided), ">alice<", ">admin<");
                let evil = replaced(&evil, "<saml:Assertion", "<saml:Assertion xmlns:ns=\"1\"");
                replaced(&voided, assertion(&voided), &evil)
            },
        ),
    ]
}
