//! Where the response, its assertion and their signatures stand, before any signature is looked into.
//!
//! *Invariants*: there is one response, the outermost element, and one assertion, directly in it;
//! another assertion may stand only in that one's own advice, where nobody reads it. A signature
//! stands directly in what it signs, and only the response and the assertion are signed. It has the
//! form of Core §5.4 and no other: so evaluating it reads the element around it and nothing else.

use super::refusal::{Passed, Refusal, refuse, shown};
use super::tree::{self, ASSERTION, ENCRYPTION, EXCLUSIVE_C14N, Node, PROTOCOL, SIGNATURE};
use uppsala::Document;

/// Most prefixes in a list for exclusive canonical XML: every element is compared with every one.
const PREFIXES_MAX: usize = 16;

/// Longest id. Providers use up to 60 characters.
const ID_BYTES_MAX: usize = 256;

/// How far foreign certificates and names of keys may go: they are only ever shown.
const KEY_INFO: [&str; 3] = ["X509Data", "KeyName", "KeyValue"];

const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// Signatures with SHA-1, with a secret key or with parameters of their own are not among them.
const SIGNATURE_ALGORITHMS: [&str; 6] = [
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
];

const DIGEST_ALGORITHMS: [&str; 3] = [
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512",
];

const STATUS_SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";

/// What may stand in a response, and whether more than once.
const IN_RESPONSE: &[(&str, &str, bool)] = &[
    (ASSERTION, "Issuer", false),
    (SIGNATURE, "Signature", false),
    (PROTOCOL, "Extensions", false),
    (PROTOCOL, "Status", false),
    (ASSERTION, "Assertion", false),
];

/// What may stand in an assertion, and whether more than once.
const IN_ASSERTION: &[(&str, &str, bool)] = &[
    (ASSERTION, "Issuer", false),
    (SIGNATURE, "Signature", false),
    (ASSERTION, "Subject", false),
    (ASSERTION, "Conditions", false),
    (ASSERTION, "Advice", false),
    (ASSERTION, "AuthnStatement", true),
    (ASSERTION, "AttributeStatement", true),
    (ASSERTION, "AuthzDecisionStatement", true),
];

/// A signature that has the right form and stands in the right place; nothing of it is verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'t> {
    /// The signature.
    pub(super) node: Node<'t>,
    /// What it says to sign, which it stands in.
    pub(super) signs: Node<'t>,
    /// The algorithm, for messages.
    pub(super) algorithm: &'t str,
}

/// Where everything stands.
#[derive(Clone, Debug)]
pub(super) struct Shape<'t> {
    pub(super) response: Node<'t>,
    pub(super) assertion: Node<'t>,
    /// In the order of the document, one at least.
    pub(super) claims: Vec<Claim<'t>>,
}

/// The response that `document` is.
pub(super) fn response<'t>(document: &'t Document<'t>) -> Passed<Node<'t>> {
    let node = tree::root(document)?;
    if !node.is(PROTOCOL, "Response") {
        let name = node.shown_name();
        return Err(refuse("not_a_response", format!("it is a `{name}`, not a SAML 2.0 response")));
    }
    check_version(node)?;
    Ok((node, "it is a SAML 2.0 response".into()))
}

fn check_version(node: Node<'_>) -> Result<(), Refusal> {
    match node.attribute("Version") {
        Some("2.0") => Ok(()),
        found => {
            let (name, found) = (node.shown_name(), shown(found.unwrap_or("none")));
            Err(refuse("version", format!("the version of `{name}` is `{found}`, not `2.0`")))
        }
    }
}

/// Passes a response to a request that the provider granted. What it says otherwise is told, though
/// nobody signed it: it lets nobody in.
pub(super) fn status(response: Node<'_>) -> Passed<()> {
    let missing = || refuse("no_status", "the response has no status");
    let status = response.only(PROTOCOL, "Status")?.ok_or_else(missing)?;
    let code = status.only(PROTOCOL, "StatusCode")?.ok_or_else(missing)?;
    if code.attribute("Value") == Some(STATUS_SUCCESS) {
        return Ok(((), "the provider says that it signed somebody in".into()));
    }
    let mut told = shown(code.attribute("Value").unwrap_or("none"));
    if let Some(inner) = code.only(PROTOCOL, "StatusCode")? {
        told = format!("{told}, {}", shown(inner.attribute("Value").unwrap_or("none")));
    }
    if let Some(message) = status.only(PROTOCOL, "StatusMessage")? {
        told = format!("{told}: {}", shown(message.text()?));
    }
    Err(refuse("status", format!("the provider signed nobody in: `{told}`; its own log says why")))
}

/// Where everything stands in `response`.
pub(super) fn of(response: Node<'_>) -> Passed<Shape<'_>> {
    check_not_encrypted(response)?;
    let assertion = assertion(response)?;
    check_version(assertion)?;
    check_children(response, IN_RESPONSE)?;
    check_children(assertion, IN_ASSERTION)?;
    let mut claims = Vec::new();
    for signed in [response, assertion] {
        let id = signed.attribute("ID").unwrap_or_default();
        check_id(signed, id)?;
        if let Some(node) = signed.only(SIGNATURE, "Signature")? {
            let algorithm = check_signature(node, id)?;
            claims.push(Claim { node, signs: signed, algorithm });
        }
    }
    check_strays(response, assertion, &claims)?;
    // The response's own signature comes first in the document unless it is written after the
    // assertion, where the schema does not have it.
    claims.sort_by_key(|claim| claim.node.id().index());
    if claims.is_empty() {
        return Err(refuse(
            "unsigned",
            "neither the response nor the assertion is signed: let the provider sign the assertion",
        ));
    }
    let names: Vec<&str> = claims.iter().map(|claim| claim.signs.local_name()).collect();
    let told = format!("one assertion; signed: {}", names.join(" and "));
    Ok((Shape { response, assertion, claims }, told))
}

fn check_not_encrypted(response: Node<'_>) -> Result<(), Refusal> {
    for node in response.below() {
        if node.is(ASSERTION, "EncryptedAssertion") {
            return Err(refuse(
                "encrypted_assertion",
                "the assertion is encrypted, and this service has no key to decrypt one: switch the \
                 encryption of assertions off at the provider; TLS already keeps it secret",
            ));
        }
        let encrypted = ["EncryptedID", "EncryptedAttribute", "NewEncryptedID"];
        if node.is_of(ENCRYPTION) || encrypted.contains(&node.local_name()) {
            let name = node.shown_name();
            return Err(refuse(
                "encrypted_content",
                format!("there is a `{name}` in it: switch encryption off at the provider"),
            ));
        }
    }
    Ok(())
}

fn assertion(response: Node<'_>) -> Result<Node<'_>, Refusal> {
    let mut found = response.named(ASSERTION, "Assertion");
    match (found.next(), found.next()) {
        (Some(assertion), None) => Ok(assertion),
        (None, _) => Err(refuse("no_assertion", "there is no assertion in the response")),
        (Some(_), Some(_)) => {
            Err(refuse("several_assertions", "there is more than one assertion in the response"))
        }
    }
}

fn check_children(parent: Node<'_>, known: &[(&str, &str, bool)]) -> Result<(), Refusal> {
    for child in parent.elements() {
        let found = known.iter().find(|(namespace, name, _)| child.is(namespace, name));
        let Some((namespace, name, repeats)) = found else {
            let (parent, child) = (parent.shown_name(), child.shown_name());
            return Err(refuse(
                "unexpected_element",
                format!("`{child}` is not known in `{parent}`"),
            ));
        };
        if !repeats {
            parent.only(namespace, name)?;
        }
    }
    Ok(())
}

/// An id is a name of ASCII letters and digits: so none of them can be taken for an XPointer.
fn check_id(node: Node<'_>, id: &str) -> Result<(), Refusal> {
    let begins = id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let goes_on = id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if begins && goes_on && id.len() <= ID_BYTES_MAX {
        return Ok(());
    }
    let (name, id) = (node.shown_name(), shown(id));
    Err(refuse("id_form", format!("`{id}` is no id for `{name}`")))
}

/// Nothing that could be taken for what is read, and no signature that would be evaluated with the
/// expected ones, stands anywhere else.
fn check_strays(
    response: Node<'_>,
    assertion: Node<'_>,
    claims: &[Claim<'_>],
) -> Result<(), Refusal> {
    for node in response.below() {
        if node.is(SIGNATURE, "Signature") && !claims.iter().any(|claim| claim.node == node) {
            let around = node.around().next().map_or_else(String::new, Node::shown_name);
            return Err(refuse(
                "stray_signature",
                format!("there is a signature in `{around}`, where none belongs"),
            ));
        }
        if node.is(PROTOCOL, "Response") {
            return Err(refuse("nested_response", "there is another response in the response"));
        }
        if node.is(ASSERTION, "Assertion") && node != assertion && !is_advice(node, assertion) {
            let around = node.around().next().map_or_else(String::new, Node::shown_name);
            return Err(refuse(
                "stray_assertion",
                format!("there is an assertion in `{around}`, where none belongs"),
            ));
        }
    }
    Ok(())
}

/// Whether `node` stands in the advice of `assertion`.
fn is_advice(node: Node<'_>, assertion: Node<'_>) -> bool {
    let mut inner = node;
    for outer in node.around() {
        if outer == assertion {
            return inner.is(ASSERTION, "Advice");
        }
        inner = outer;
    }
    false
}

/// Passes a signature that signs the element around it, whose id is `id`, in the one way that SAML
/// has (Core §5.4). Gives the algorithm.
fn check_signature<'t>(node: Node<'t>, id: &str) -> Result<&'t str, Refusal> {
    let (info, value) = match children(node)?.as_slice() {
        [info, value] => (*info, *value),
        [info, value, key] if key.is(SIGNATURE, "KeyInfo") => {
            check_key_info(*key)?;
            (*info, *value)
        }
        _ => return Err(odd_signature(node)),
    };
    if !info.is(SIGNATURE, "SignedInfo") || !value.is(SIGNATURE, "SignatureValue") {
        return Err(odd_signature(node));
    }
    value.text()?;
    let foreign =
        std::iter::once(info).chain(info.below()).find(|part| part.has_foreign_attribute());
    if let Some(part) = foreign {
        return Err(odd_signature(part));
    }
    let inner = children(info)?;
    let [method, algorithm, reference] = inner.as_slice() else {
        return Err(refuse(
            "signature_references",
            "a signature must have one reference, to the element around it",
        ));
    };
    check_canonicalization(*method)?;
    let algorithm = check_algorithm(
        *algorithm,
        ("SignatureMethod", "signature_algorithm"),
        &SIGNATURE_ALGORITHMS,
    )?;
    check_reference(*reference, id)?;
    Ok(algorithm)
}

/// The elements in a part of a signature, between which there is no text.
fn children(node: Node<'_>) -> Result<Vec<Node<'_>>, Refusal> {
    if node.has_no_text() { Ok(node.elements().collect()) } else { Err(odd_signature(node)) }
}

fn odd_signature(node: Node<'_>) -> Refusal {
    let name = node.shown_name();
    refuse("signature_form", format!("`{name}` has not the form that SAML gives it (Core §5.4)"))
}

fn check_key_info(node: Node<'_>) -> Result<(), Refusal> {
    let odd = node.elements().find(|child| !KEY_INFO.iter().any(|name| child.is(SIGNATURE, name)));
    match odd {
        None => Ok(()),
        Some(odd) => {
            let name = odd.shown_name();
            Err(refuse("key_info", format!("a signature refers to its key by `{name}`")))
        }
    }
}

fn check_canonicalization(node: Node<'_>) -> Result<(), Refusal> {
    let algorithm = node.attribute("Algorithm").unwrap_or_default();
    if !node.is(SIGNATURE, "CanonicalizationMethod") || algorithm != EXCLUSIVE_C14N {
        let algorithm = shown(algorithm);
        return Err(refuse(
            "canonicalization",
            format!("a signature is canonicalised by `{algorithm}`, not by `{EXCLUSIVE_C14N}`"),
        ));
    }
    check_prefixes(node)
}

/// Exclusive canonical XML has one parameter: a list of prefixes, which only makes more be signed.
fn check_prefixes(node: Node<'_>) -> Result<(), Refusal> {
    match children(node)?.as_slice() {
        [] => Ok(()),
        [list] if list.is(EXCLUSIVE_C14N, "InclusiveNamespaces") => {
            let prefixes = list.attribute("PrefixList").unwrap_or_default();
            let empty = children(*list)?.is_empty();
            // At every kind of white space, as the library that verifies does.
            if empty && prefixes.split_whitespace().count() <= PREFIXES_MAX {
                return Ok(());
            }
            Err(refuse(
                "prefix_list",
                format!("a signature lists more than {PREFIXES_MAX} prefixes of namespaces"),
            ))
        }
        _ => Err(odd_signature(node)),
    }
}

/// Passes an algorithm without parameters that is among `allowed`.
fn check_algorithm<'t>(
    node: Node<'t>,
    (name, code): (&str, &'static str),
    allowed: &[&str],
) -> Result<&'t str, Refusal> {
    if !node.is(SIGNATURE, name) || !children(node)?.is_empty() {
        return Err(odd_signature(node));
    }
    let algorithm = node.attribute("Algorithm").unwrap_or_default();
    if allowed.contains(&algorithm) {
        return Ok(algorithm);
    }
    let algorithm = shown(algorithm);
    Err(refuse(
        code,
        format!("`{algorithm}` is not accepted: let the provider sign with RSA and SHA-256"),
    ))
}

fn check_reference(node: Node<'_>, id: &str) -> Result<(), Refusal> {
    if !node.is(SIGNATURE, "Reference") {
        return Err(odd_signature(node));
    }
    let uri = node.attribute("URI");
    if uri.and_then(|uri| uri.strip_prefix('#')) != Some(id) {
        let uri = shown(uri.unwrap_or("none"));
        return Err(refuse(
            "signature_reference",
            format!("a signature refers to `{uri}`, not to the element around it"),
        ));
    }
    let inner = children(node)?;
    let [transforms, method, value] = inner.as_slice() else { return Err(odd_signature(node)) };
    if !transforms.is(SIGNATURE, "Transforms") || !value.is(SIGNATURE, "DigestValue") {
        return Err(odd_signature(node));
    }
    check_transforms(*transforms)?;
    check_algorithm(*method, ("DigestMethod", "digest_algorithm"), &DIGEST_ALGORITHMS)?;
    value.text()?;
    Ok(())
}

/// The signature is taken out, and the rest canonicalised exclusively. Core §5.4.4 would have the
/// second left out; then the result depends on everything around the element, and takes a time that
/// whoever sent it chooses.
fn check_transforms(node: Node<'_>) -> Result<(), Refusal> {
    let other = || {
        refuse(
            "transforms",
            "a signature must take itself out of what it signs, canonicalise the rest exclusively, and \
             transform it in no other way",
        )
    };
    let inner = children(node)?;
    let [enveloped, canonical] = inner.as_slice() else { return Err(other()) };
    for (transform, algorithm) in [(enveloped, ENVELOPED), (canonical, EXCLUSIVE_C14N)] {
        if !transform.is(SIGNATURE, "Transform")
            || transform.attribute("Algorithm") != Some(algorithm)
        {
            return Err(other());
        }
    }
    if !children(*enveloped)?.is_empty() {
        return Err(odd_signature(*enveloped));
    }
    check_prefixes(*canonical)
}
