//! Signature wrapping (Somorovsky et al., "On Breaking SAML: Be Whoever You Want to Be", 2012, and
//! what came after): what was rightly signed is kept somewhere in the document, and what is to be read
//! is forged.

use crate::idp::{KEY, Places, assertion, draft, genuine, part, replaced, signature};
use crate::refused::Attack;

/// The genuine assertion, and the same forged to name `admin` under another id, without a signature.
struct Scene {
    genuine: String,
    assertion: String,
    forged: String,
    signature: String,
}

impl Scene {
    fn new() -> Self {
        let genuine = genuine();
        let assertion = assertion(&genuine).to_owned();
        let signature = signature(&assertion).to_owned();
        let forged = replaced(&assertion, &signature, "");
        let forged = replaced(&forged, "ID=\"_assertion\"", "ID=\"_forged\"");
        let forged = replaced(&forged, ">alice</saml:NameID>", ">admin</saml:NameID>");
        Self { genuine, assertion, forged, signature }
    }

    /// The genuine assertion without its signature.
    fn bare(&self) -> String {
        replaced(&self.assertion, &self.signature, "")
    }

    /// The forged assertion with `xml` where its signature belongs.
    fn forged_with(&self, xml: &str) -> String {
        replaced(&self.forged, "</saml:Issuer>", &format!("</saml:Issuer>{xml}"))
    }

    /// The response with `xml` in the place of its assertion.
    fn holding(&self, xml: &str) -> String {
        replaced(&self.genuine, &self.assertion, xml)
    }

    /// The response with `assertion` in the place of its assertion, and `inner` before its status.
    fn extended(&self, assertion: &str, inner: &str) -> String {
        let inner = format!("<samlp:Extensions>{inner}</samlp:Extensions><samlp:Status>");
        replaced(&self.holding(assertion), "<samlp:Status>", &inner)
    }

    /// The genuine signature with `xml` in it.
    fn signature_with(&self, xml: &str) -> String {
        replaced(&self.signature, "</ds:Signature>", &format!("{xml}</ds:Signature>"))
    }
}

/// The parts of a scene that the tables name often.
struct Parts<'s> {
    assertion: &'s str,
    forged: &'s str,
    bare: String,
}

impl<'s> From<&'s Scene> for Parts<'s> {
    fn from(scene: &'s Scene) -> Self {
        Self { assertion: &scene.assertion, forged: &scene.forged, bare: scene.bare() }
    }
}

fn object(xml: &str) -> String {
    format!("<ds:Object>{xml}</ds:Object>")
}

pub(crate) fn attacks() -> Vec<Attack> {
    [of_assertions(), of_responses(), of_places(), of_names()].into_iter().flatten().collect()
}

/// XSW3 to XSW8 of SAML Raider.
fn of_assertions() -> Vec<Attack> {
    let scene = Scene::new();
    let Parts { assertion, forged, bare } = Parts::from(&scene);
    vec![
        Attack::new(
            "XSW3: the forged assertion before the genuine one",
            "several_assertions",
            scene.holding(&format!("{forged}{assertion}")),
        ),
        Attack::new(
            "XSW3 reversed: the forged assertion after the genuine one",
            "several_assertions",
            scene.holding(&format!("{assertion}{forged}")),
        ),
        Attack::new(
            "XSW4: the genuine assertion in the forged one",
            "unexpected_element",
            scene.holding(&replaced(
                forged,
                "</saml:Assertion>",
                &format!("{assertion}</saml:Assertion>"),
            )),
        ),
        Attack::new(
            "XSW5: the signature in the forged assertion, the bare genuine one after it",
            "several_assertions",
            scene.holding(&format!("{}{bare}", scene.forged_with(&scene.signature))),
        ),
        Attack::new(
            "XSW6: the bare genuine assertion in the signature in the forged one",
            "signature_form",
            scene.holding(&scene.forged_with(&scene.signature_with(&bare))),
        ),
        Attack::new(
            "XSW7: the forged assertion in the extensions",
            "stray_assertion",
            scene.extended(assertion, forged),
        ),
        Attack::new(
            "XSW7 with the same id",
            "duplicate_id",
            scene.extended(assertion, &replaced(forged, "_forged", "_assertion")),
        ),
        Attack::new(
            "XSW8: the bare genuine assertion in an object of the signature in the forged one",
            "signature_form",
            scene.holding(&scene.forged_with(&scene.signature_with(&object(&bare)))),
        ),
        Attack::new(
            "the signature moved to a forged assertion",
            "signature_reference",
            scene.holding(&scene.forged_with(&scene.signature)),
        ),
        Attack::new(
            "the signature and the id moved to a forged assertion",
            "signature",
            scene.holding(&replaced(
                &scene.forged_with(&scene.signature),
                "ID=\"_forged\"",
                "ID=\"_assertion\"",
            )),
        ),
    ]
}

/// XSW1 and XSW2: the same with a response that is signed.
fn of_responses() -> Vec<Attack> {
    let genuine = KEY.sign(&draft(), Places::Response);
    let signature = signature(&genuine).to_owned();
    let bare = replaced(&genuine, &signature, "");
    let forged = replaced(&bare, "ID=\"_response\"", "ID=\"_forged\"");
    let forged = replaced(&forged, "ID=\"_assertion\"", "ID=\"_forged-assertion\"");
    let forged = replaced(&forged, ">alice<", ">admin<");
    let with = |xml: &str| replaced(&forged, "<samlp:Status>", &format!("{xml}<samlp:Status>"));
    let holding =
        |xml: &str| replaced(&signature, "</ds:Signature>", &format!("{xml}</ds:Signature>"));
    let after = replaced(&forged, "</samlp:Response>", &format!("{genuine}</samlp:Response>"));
    let other_assertion = replaced(
        &genuine,
        assertion(&genuine),
        &replaced(assertion(&genuine), ">alice<", ">admin<"),
    );
    vec![
        Attack::new(
            "XSW1: the genuine response in the signature of the forged one",
            "signature_form",
            with(&holding(&bare)),
        ),
        Attack::new("XSW1 with an object", "signature_form", with(&holding(&object(&bare)))),
        Attack::new(
            "XSW2: the genuine response beside its signature in the forged one",
            "unexpected_element",
            with(&format!("{bare}{signature}")),
        ),
        Attack::new(
            "the genuine response at the end of the forged one",
            "unexpected_element",
            after,
        ),
        Attack::new(
            "the genuine response in the extensions of the forged one",
            "nested_response",
            with(&format!("<samlp:Extensions>{genuine}</samlp:Extensions>")),
        ),
        Attack::new(
            "a bare response in the extensions",
            "nested_response",
            replaced(
                &genuine,
                "<samlp:Status>",
                &format!("<samlp:Extensions>{}</samlp:Extensions><samlp:Status>", {
                    let inner = replaced(&bare, "ID=\"_response\"", "ID=\"_inner\"");
                    replaced(&inner, "ID=\"_assertion\"", "ID=\"_inner-assertion\"")
                }),
            ),
        ),
        Attack::new("the assertion changed in a signed response", "signature", other_assertion),
        Attack::new(
            "the signed response in an envelope",
            "not_a_response",
            format!(
                "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>{genuine}\
                 </s:Body></s:Envelope>"
            ),
        ),
    ]
}

/// Every other place where the genuine assertion, or the forged one, could be put away.
fn of_places() -> Vec<Attack> {
    let scene = Scene::new();
    let Parts { assertion, forged, bare } = Parts::from(&scene);
    let in_detail = |assertion: &str, inner: &str| {
        let detail = format!("<samlp:StatusDetail>{inner}</samlp:StatusDetail></samlp:Status>");
        replaced(&scene.holding(assertion), "</samlp:Status>", &detail)
    };
    let advised = |outer: &str, inner: &str| {
        let advice = format!("<saml:Advice>{inner}</saml:Advice><saml:AuthnStatement");
        scene.holding(&replaced(outer, "<saml:AuthnStatement", &advice))
    };
    let valued = replaced(forged, ">builders<", &format!(">{assertion}<"));
    vec![
        Attack::new(
            "the genuine assertion in the extensions",
            "stray_assertion",
            scene.extended(forged, assertion),
        ),
        Attack::new(
            "the bare genuine assertion in the extensions, its signature in the forged one",
            "signature_reference",
            scene.extended(&scene.forged_with(&scene.signature), &bare),
        ),
        Attack::new(
            "the genuine assertion in the detail of the status",
            "stray_assertion",
            in_detail(forged, assertion),
        ),
        Attack::new(
            "the forged assertion in the detail of the status",
            "stray_assertion",
            in_detail(assertion, forged),
        ),
        Attack::new(
            "the genuine assertion in the advice of the forged one",
            "stray_signature",
            advised(forged, assertion),
        ),
        Attack::new(
            "the bare genuine assertion in the advice of the forged one, its signature with it",
            "signature_reference",
            advised(&scene.forged_with(&scene.signature), &bare),
        ),
        Attack::new(
            "the forged assertion in the advice of the genuine one",
            "signature",
            advised(assertion, forged),
        ),
        Attack::new(
            "the genuine assertion in the slot of an encrypted one, the forged one beside it",
            "encrypted_assertion",
            scene.holding(&format!(
                "<saml:EncryptedAssertion>{assertion}</saml:EncryptedAssertion>{forged}"
            )),
        ),
        Attack::new(
            "the forged assertion in the slot of an encrypted one",
            "encrypted_assertion",
            scene.holding(&format!(
                "{assertion}<saml:EncryptedAssertion>{forged}</saml:EncryptedAssertion>"
            )),
        ),
        Attack::new(
            "the genuine assertion in an attribute of the forged one",
            "stray_assertion",
            scene.holding(&valued),
        ),
    ]
}

/// The same by names that look alike.
fn of_names() -> Vec<Attack> {
    let scene = Scene::new();
    let Parts { assertion, forged, .. } = Parts::from(&scene);
    let unprefixed = forged
        .replace("<saml:", "<")
        .replace("</saml:", "</")
        .replace("<Assertion ", "<Assertion xmlns=\"urn:oasis:names:tc:SAML:2.0:assertion\" ");
    let rebound = |xml: &str, prefix: &str| {
        let declared = format!(
            "<{prefix}:Assertion xmlns:{prefix}=\"urn:oasis:names:tc:SAML:2.0:assertion\" "
        );
        xml.replace("<saml:", &format!("<{prefix}:"))
            .replace("</saml:", &format!("</{prefix}:"))
            .replace(&format!("<{prefix}:Assertion "), &declared)
    };
    let foreign = forged.replace("<saml:Assertion ", "<saml:Assertion xmlns:saml=\"urn:x\" ");
    vec![
        Attack::new(
            "the forged assertion in the default namespace",
            "several_assertions",
            scene.holding(&format!("{unprefixed}{assertion}")),
        ),
        Attack::new(
            "the forged assertion under another prefix",
            "several_assertions",
            scene.holding(&format!("{assertion}{}", rebound(forged, "a"))),
        ),
        Attack::new(
            "the forged assertion under the prefix of protocol messages",
            "several_assertions",
            scene.holding(&format!("{}{assertion}", rebound(forged, "samlp"))),
        ),
        Attack::new(
            "a forged assertion whose prefix means something else",
            "unexpected_element",
            scene.holding(&format!("{foreign}{assertion}")),
        ),
        Attack::new(
            "the genuine assertion under a prefix that means something else",
            "no_assertion",
            scene.holding(
                &assertion.replace("<saml:Assertion ", "<saml:Assertion xmlns:saml=\"urn:x\" "),
            ),
        ),
        Attack::new(
            "the genuine assertion in a wrapper that is not known",
            "no_assertion",
            scene.holding(&format!("<saml:Wrapper>{assertion}</saml:Wrapper>")),
        ),
        Attack::new("the assertion alone", "not_a_response", {
            let declared = "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ";
            assertion.replace("<saml:Assertion ", declared)
        }),
        Attack::new(
            "a response of SAML 1.1",
            "not_a_response",
            scene.genuine.replace("SAML:2.0:protocol", "SAML:1.0:protocol"),
        ),
        Attack::new("a response to another kind of request", "not_a_response", {
            let renamed = scene.genuine.replace("samlp:Response", "samlp:LogoutResponse");
            assert!(part(&renamed, "<samlp:LogoutResponse", ">").len() > 100);
            renamed
        }),
        Attack::new("no assertion", "no_assertion", scene.holding("")),
    ]
}
