//! Signatures, verified. The only place that knows the library that does it.
//!
//! *Invariant*: what is given as signed was found at its place in the tree by the library itself, in
//! the signature that stands in it, with its digest computed from this tree, under a key of the
//! settings.

use super::certificate::{Certificate, sha256};
use super::refusal::{Passed, Refusal, refuse, shown};
use super::shape::{Claim, Shape};
use super::tree::{Node, SIGNATURE};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bergshamra::dsig::verify::verify_all_document;
use bergshamra::{DsigContext, KeysManager, VerifyResult};
use uppsala::Document;

/// A response and its assertion, of which all is to be believed that stands in a signed one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'t> {
    pub(super) response: Node<'t>,
    /// Always signed: itself, or within its response.
    pub(super) assertion: Node<'t>,
    /// Whether the response itself is signed.
    pub(super) response_is_signed: bool,
}

/// Verifies every signature of `document`, whose shape is known to be `shape`, under any of `keys`.
pub(super) fn verify<'t>(
    document: &'t Document<'t>,
    shape: Shape<'t>,
    keys: Vec<Certificate>,
) -> Passed<Signed<'t>> {
    let known: Vec<String> = keys.iter().map(|certificate| certificate.sha256.clone()).collect();
    let mut manager = KeysManager::new();
    manager.add_keys(keys.into_iter().map(|certificate| certificate.key));
    // Only keys of the manager, ids unique, targets around or beside their signature.
    let context = DsigContext::new(manager);
    let results = verify_all_document(&context, document).map_err(|error| {
        refuse("signature", format!("no signature can be verified: {}", shown(&error.to_string())))
    })?;
    if results.len() != shape.claims.len() {
        return Err(refuse("signature", "there are signatures where none belong"));
    }
    for (claim, result) in shape.claims.iter().zip(&results) {
        check(claim, result, &known)?;
    }
    let Shape { response, assertion, claims } = shape;
    let response_is_signed = claims.iter().any(|claim| claim.signs == response);
    let told: Vec<String> = claims
        .iter()
        .map(|claim| format!("`{}` by {}", claim.signs.shown_name(), shown(claim.algorithm)))
        .collect();
    let told = format!("signed under a known key: {}", told.join(", "));
    Ok((Signed { response, assertion, response_is_signed }, told))
}

/// Passes `result` if it is about `claim` and nothing else.
fn check(claim: &Claim<'_>, result: &VerifyResult, known: &[String]) -> Result<(), Refusal> {
    let (node, references) = match result {
        VerifyResult::Valid { signature_node, references, .. } => (signature_node, references),
        VerifyResult::Invalid { reason } => {
            let (name, reason) = (claim.signs.shown_name(), shown(reason));
            let hint = hint(claim, known);
            return Err(refuse(
                "signature",
                format!("the signature of `{name}` is not good: {reason}{hint}"),
            ));
        }
    };
    match references.as_slice() {
        [only]
            if *node == claim.node.id()
                && only.resolved_node == Some(claim.signs.id())
                && only.digest_verified =>
        {
            Ok(())
        }
        _ => {
            let name = claim.signs.shown_name();
            Err(refuse("signature", format!("the signature in `{name}` signs something else")))
        }
    }
}

/// What an administrator should know when a signature is not good: whether it was made with a key
/// that is not configured. It is the message that says so, so this decides nothing.
fn hint(claim: &Claim<'_>, known: &[String]) -> String {
    let shipped = claim
        .node
        .named(SIGNATURE, "KeyInfo")
        .flat_map(|info| info.named(SIGNATURE, "X509Data"))
        .flat_map(|data| data.named(SIGNATURE, "X509Certificate"))
        .next();
    let Some(text) = shipped.and_then(|shipped| shipped.text().ok()) else { return String::new() };
    let text: String = text.split_ascii_whitespace().collect();
    match STANDARD.decode(text).map(|der| sha256(&der)) {
        Ok(sha256) if known.contains(&sha256) => {
            "; it names a certificate that is known, so what was signed was changed on the way"
                .into()
        }
        Ok(sha256) => format!(
            "; it names a certificate that is not known, SHA-256 {sha256}: if that is the provider's \
             new one, add it"
        ),
        Err(_) => String::new(),
    }
}
