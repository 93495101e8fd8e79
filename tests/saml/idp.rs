//! An identity provider that signs whatever it is told to, and the service that trusts it.

use bergshamra::keys::loader::load_pem_auto;
use bergshamra::{DsigContext, KeysManager};
use emx::identity::saml::{self, Attributes, Report, Settings};
use emx::model::time::format_rfc3339;
use rcgen::{CertificateParams, KeyPair, RsaKeySize};
use std::sync::LazyLock;
use storage::row::TimeMs;

/// When everything happens: 2026-11-18.
pub(crate) const NOW_MS: TimeMs = 1_795_000_000_000;

pub(crate) const IDP: &str = "https://idp.example.org/saml/metadata";
pub(crate) const SP: &str = "https://metrics.example.org/saml/acme";
pub(crate) const ACS: &str = "https://metrics.example.org/auth/saml/acme/corp/acs";
pub(crate) const REQUEST: &str = "_request-1";

pub(crate) const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
pub(crate) const ECDSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
pub(crate) const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
pub(crate) const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
pub(crate) const EXCLUSIVE_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// Where the signatures of a draft go: they are text, so that it can be signed piece by piece.
pub(crate) const RESPONSE_SIGNATURE: &str = "@RESPONSE-SIGNATURE@";
pub(crate) const ASSERTION_SIGNATURE: &str = "@ASSERTION-SIGNATURE@";

/// A key and the certificate that shows it.
pub(crate) struct Signer {
    pub(crate) private_pem: String,
    pub(crate) certificate_pem: String,
    /// The certificate in base64.
    pub(crate) certificate: String,
    method: &'static str,
}

impl Signer {
    fn new(key: &KeyPair, method: &'static str) -> Self {
        let certificate = CertificateParams::default().self_signed(key).unwrap();
        let certificate_pem = certificate.pem();
        let lines = certificate_pem.lines().filter(|line| !line.starts_with("-----"));
        let (private_pem, certificate) = (key.serialize_pem(), lines.collect());
        Self { private_pem, certificate, certificate_pem, method }
    }

    fn rsa() -> Self {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        Self::new(&key, RSA_SHA256)
    }

    /// A signature of the element `id` that is still to be computed.
    pub(crate) fn template(&self, id: &str) -> Template {
        Template {
            uri: format!("#{id}"),
            canonicalization: EXCLUSIVE_C14N.into(),
            method: self.method.into(),
            transforms: vec![ENVELOPED.into(), EXCLUSIVE_C14N.into()],
            digest: SHA256.into(),
            certificate: self.certificate.clone(),
        }
    }

    /// Fills in the first signature of `xml`, which is a template.
    pub(crate) fn fill(&self, xml: &str) -> String {
        let mut manager = KeysManager::new();
        manager.add_key(load_pem_auto(self.private_pem.as_bytes(), None).unwrap());
        let signed = bergshamra::sign(&DsigContext::new(manager), xml);
        signed.unwrap_or_else(|error| panic!("{error}: {xml}"))
    }

    /// `draft` with the signatures of `places`.
    pub(crate) fn sign(&self, draft: &str, places: Places) -> String {
        let assertion = self.template("_assertion").to_string();
        let response = self.template("_response").to_string();
        self.sign_with(draft, places, &assertion, &response)
    }

    /// `draft` with the signatures of `places`, made of these templates. The assertion is signed
    /// first, as its signature is part of what the response's signs.
    pub(crate) fn sign_with(
        &self,
        draft: &str,
        places: Places,
        assertion: &str,
        response: &str,
    ) -> String {
        let mut xml = draft.to_owned();
        for (mark, wanted, template) in [
            (ASSERTION_SIGNATURE, places != Places::Response, assertion),
            (RESPONSE_SIGNATURE, places != Places::Assertion, response),
        ] {
            if wanted {
                xml = self.fill(&replaced(&xml, mark, template));
            } else {
                xml = xml.replace(mark, "");
            }
        }
        xml
    }
}

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Places {
    Assertion,
    Response,
    Both,
}

impl Places {
    pub(crate) const ALL: [Self; 3] = [Self::Assertion, Self::Response, Self::Both];
}

/// A signature whose values are still to be computed.
#[derive(Clone)]
pub(crate) struct Template {
    pub(crate) uri: String,
    pub(crate) canonicalization: String,
    pub(crate) method: String,
    pub(crate) transforms: Vec<String>,
    pub(crate) digest: String,
    certificate: String,
}

impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { uri, canonicalization, method, transforms, digest, certificate } = self;
        let transforms: String = transforms
            .iter()
            .map(|transform| format!(r#"<ds:Transform Algorithm="{transform}"></ds:Transform>"#))
            .collect();
        write!(
            f,
            r#"<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{canonicalization}"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="{method}"></ds:SignatureMethod><ds:Reference URI="{uri}"><ds:Transforms>{transforms}</ds:Transforms><ds:DigestMethod Algorithm="{digest}"></ds:DigestMethod><ds:DigestValue></ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue></ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>"#
        )
    }
}

/// The provider's key.
pub(crate) static KEY: LazyLock<Signer> = LazyLock::new(Signer::rsa);

/// A key that the service does not know.
pub(crate) static STRANGER: LazyLock<Signer> = LazyLock::new(Signer::rsa);

/// A key on an elliptic curve.
pub(crate) static CURVE: LazyLock<Signer> =
    LazyLock::new(|| Signer::new(&KeyPair::generate().unwrap(), ECDSA_SHA256));

/// What the service knows of the provider whose keys are those of `signers`.
pub(crate) fn settings_of(signers: &[&Signer]) -> Settings {
    Settings {
        idp_entity_id: IDP.into(),
        idp_sso_url: "https://idp.example.org/saml/sso".into(),
        idp_certificates: signers.iter().map(|signer| signer.certificate_pem.clone()).collect(),
        sp_entity_id: SP.into(),
        acs_url: ACS.into(),
        attributes: Attributes {
            name_id: None,
            email: Some("mail".into()),
            groups: Some("groups".into()),
        },
    }
}

/// What the service knows of the provider.
pub(crate) fn settings() -> Settings {
    settings_of(&[&KEY])
}

/// An instant so many seconds from now.
pub(crate) fn at(seconds: i64) -> String {
    format_rfc3339(NOW_MS + seconds * 1000)
}

/// An answer that says that `alice` signed in, still without signatures.
pub(crate) fn draft() -> String {
    let (now, end, session) = (at(0), at(300), at(28_800));
    let begin = at(-300);
    format!(
        r#"<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_response" Version="2.0" IssueInstant="{now}" Destination="{ACS}" InResponseTo="{REQUEST}"><saml:Issuer>{IDP}</saml:Issuer>{RESPONSE_SIGNATURE}<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status><saml:Assertion ID="_assertion" Version="2.0" IssueInstant="{now}"><saml:Issuer>{IDP}</saml:Issuer>{ASSERTION_SIGNATURE}<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">alice</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="{end}" Recipient="{ACS}" InResponseTo="{REQUEST}"/></saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="{begin}" NotOnOrAfter="{end}"><saml:AudienceRestriction><saml:Audience>{SP}</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="{now}" SessionIndex="_session" SessionNotOnOrAfter="{session}"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement><saml:Attribute Name="mail"><saml:AttributeValue>alice@example.org</saml:AttributeValue></saml:Attribute><saml:Attribute Name="groups"><saml:AttributeValue>builders</saml:AttributeValue><saml:AttributeValue>admins</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion></samlp:Response>"#
    )
}

/// The answer with its assertion signed.
pub(crate) fn genuine() -> String {
    KEY.sign(&draft(), Places::Assertion)
}

/// `text` with `to` in the place of `from`, which stands there once.
#[track_caller]
pub(crate) fn replaced(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "`{from}` in {text}");
    text.replace(from, to)
}

/// What stands in `xml` from the first `begin` to the first `end` after it, both included.
#[track_caller]
pub(crate) fn part<'x>(xml: &'x str, begin: &str, end: &str) -> &'x str {
    let from = xml.find(begin).unwrap_or_else(|| panic!("no {begin} in {xml}"));
    let to = xml[from..].find(end).unwrap_or_else(|| panic!("no {end} in {xml}"));
    &xml[from..from + to + end.len()]
}

/// The assertion in `xml`.
pub(crate) fn assertion(xml: &str) -> &str {
    part(xml, "<saml:Assertion ", "</saml:Assertion>")
}

/// The first signature in `xml`.
pub(crate) fn signature(xml: &str) -> &str {
    part(xml, "<ds:Signature ", "</ds:Signature>")
}

/// What the service makes of `xml`.
pub(crate) fn judged(settings: &Settings, response: impl AsRef<[u8]>) -> Report {
    saml::check(settings, response.as_ref(), Some(REQUEST), NOW_MS)
}

/// Whom the service takes `xml` to name, or why nobody.
pub(crate) fn verdict(settings: &Settings, xml: &str) -> Result<String, &'static str> {
    let report = judged(settings, xml);
    report.outcome.map(|assertion| assertion.subject).map_err(|refusal| refusal.code)
}
