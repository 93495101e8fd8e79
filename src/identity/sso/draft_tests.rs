//! What is said of providers, rightly and wrongly.

use super::*;
use crate::identity::sso::provider::Way;
use crate::identity::sso::provider::tests::saml_provider;
use serde_json::json;

fn certificate() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()
}

fn oidc_body() -> Value {
    json!({
        "name": "Corporate", "kind": "oidc", "issuer": "https://id.example.org",
        "client_id": "emx", "client_secret": "secret", "default_role": "viewer",
    })
}

fn saml_body() -> Value {
    json!({
        "name": "Corporate", "kind": "saml", "default_role": "viewer",
        "idp_entity_id": "https://idp.example.org", "idp_sso_url": "https://idp.example.org/sso",
        "idp_certificates": [certificate()],
    })
}

/// Calls `with` with a place where providers are used.
fn in_place<T>(with: impl FnOnce(Place<'_>) -> T) -> T {
    let (site, tenant) = (Site::at("https://localhost:8443"), Slug::parse("acme").unwrap());
    let guard = Guard { ports: vec![443, 8443], ..Guard::default() };
    with(Place { site: &site, tenant: &tenant, guard: &guard })
}

fn read(body: &Value) -> Result<Draft, ProviderError> {
    in_place(|place| Draft::read(body.as_object().unwrap(), place))
}

/// `body` with members changed; `null` takes one out.
fn changed(mut body: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value.is_null() {
            true => drop(body.as_object_mut().unwrap().remove(name)),
            false => body[name] = value.clone(),
        }
    }
    body
}

fn faults(outcome: Result<Draft, ProviderError>) -> Vec<(String, &'static str)> {
    match outcome {
        Ok(_) => Vec::new(),
        Err(ProviderError::Invalid(faults)) => {
            assert!(faults.iter().all(|fault| !fault.detail.is_empty()), "{faults:?}");
            faults.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
        }
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn check(body: Value, changes: Value, expected: &[(&str, &str)]) {
    let body = changed(body, changes);
    let found = faults(read(&body));
    let found: Vec<(&str, &str)> = found.iter().map(|(p, c)| (p.as_str(), *c)).collect();
    assert_eq!(found, expected, "{body}");
}

#[test]
fn what_is_missing_or_of_another_type_is_told_with_its_place() {
    check(oidc_body(), json!({}), &[]);
    check(json!({}), json!({}), &[("/name", "required"), ("/kind", "required")]);
    check(oidc_body(), json!({ "kind": "ldap" }), &[("/kind", "invalid_value")]);
    check(oidc_body(), json!({ "kind": 1 }), &[("/kind", "invalid_value")]);
    let missing = json!({ "name": null, "issuer": null, "client_id": null, "client_secret": null });
    let expected = ["/name", "/client_id", "/client_secret", "/issuer"].map(|at| (at, "required"));
    check(oidc_body(), missing, &expected);
    check(
        oidc_body(),
        json!({
            "name": 7, "issuer": [], "client_id": {}, "client_secret": true, "scopes": "openid",
            "roles": [], "domains": {}, "default_role": 1, "preset": 2,
        }),
        &[
            ("/name", "wrong_type"),
            ("/preset", "invalid_value"),
            ("/roles", "wrong_type"),
            ("/default_role", "invalid_value"),
            ("/domains", "wrong_type"),
            ("/client_id", "wrong_type"),
            ("/client_secret", "wrong_type"),
            ("/issuer", "wrong_type"),
            ("/scopes", "wrong_type"),
        ],
    );
}

#[test]
fn values_that_cannot_be_are_told_with_their_place() {
    for (changes, pointer, code) in [
        (json!({ "name": " " }), "/name", "too_short"),
        (json!({ "name": "x".repeat(65) }), "/name", "too_long"),
        (json!({ "name": "a\nb" }), "/name", "control_character"),
        (json!({ "issuer_url": "x" }), "/issuer_url", "unknown_field"),
        (json!({ "idp_sso_url": "x" }), "/idp_sso_url", "unknown_field"),
        (json!({ "roles": { "dev": "king" } }), "/roles/dev", "invalid_value"),
        (json!({ "roles": { "a/b": "ingest" } }), "/roles/a~1b", "invalid_value"),
        (json!({ "roles": { "dev": null } }), "/roles/dev", "invalid_value"),
        (json!({ "roles": { "": "viewer" } }), "/roles/", "too_short"),
        (json!({ "default_role": "ingest" }), "/default_role", "invalid_value"),
        (json!({ "domains": ["example.org", "@example.org"] }), "/domains/1", "invalid_value"),
        (json!({ "domains": ["a..b"] }), "/domains/0", "invalid_value"),
        (json!({ "domains": [7] }), "/domains/0", "wrong_type"),
        (json!({ "preset": "keycloak" }), "/preset", "invalid_value"),
        (json!({ "scopes": ["a b"] }), "/scopes", "invalid_value"),
        (json!({ "client_secret": "é" }), "/client_secret", "invalid_value"),
        (json!({ "issuer": "id.example.org" }), "/issuer", "url_invalid"),
        (json!({ "issuer": "http://id.example.org" }), "/issuer", "url_not_https"),
        (json!({ "issuer": "https://id.example.org:9" }), "/issuer", "port_refused"),
        (json!({ "issuer": "https://127.0.0.1" }), "/issuer", "address_refused"),
        (json!({ "issuer": "https://169.254.169.254" }), "/issuer", "address_refused"),
        (json!({ "issuer": "https://[::ffff:10.0.0.1]" }), "/issuer", "address_refused"),
        (json!({ "issuer": "https://accounts.google.com" }), "/issuer", "invalid_value"),
    ] {
        let found = faults(read(&changed(oidc_body(), changes.clone())));
        assert_eq!(found, [(pointer.to_owned(), code)], "{changes}");
    }
}

#[test]
fn a_saml_provider_is_checked_member_by_member() {
    check(saml_body(), json!({}), &[]);
    let missing = json!({ "idp_entity_id": null, "idp_sso_url": null, "idp_certificates": null });
    let names = ["/idp_entity_id", "/idp_sso_url", "/idp_certificates"];
    check(saml_body(), missing, &names.map(|name| (name, "required")));
    check(
        saml_body(),
        json!({
            "idp_sso_url": "http://idp.example.org/sso", "acs_url": "javascript:alert(1)",
            "idp_certificates": [certificate(), "no certificate"], "attributes": { "mail": "x" },
        }),
        &[
            ("/attributes/mail", "unknown_field"),
            ("/idp_certificates/1", "bad_certificate"),
            ("/idp_sso_url", "bad_url"),
            ("/acs_url", "bad_url"),
        ],
    );
    check(
        saml_body(),
        json!({ "idp_certificates": [] }),
        &[("/idp_certificates", "no_certificate")],
    );
    check(saml_body(), json!({ "client_secret": "x" }), &[("/client_secret", "unknown_field")]);
    let weak = include_str!("../../../tests/saml/weak.pem");
    let expected = [("/idp_certificates/0", "key_size")];
    check(saml_body(), json!({ "idp_certificates": [weak] }), &expected);
}

/// What an identity provider says of itself.
fn metadata() -> String {
    let pem = certificate();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    format!(
        r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="urn:idp"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:KeyDescriptor use="signing"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{base64}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example.org/go"/></md:IDPSSODescriptor></md:EntityDescriptor>"#
    )
}

#[test]
fn metadata_says_what_is_not_said_otherwise() {
    let xml = metadata();
    let described = json!({ "name": "x", "kind": "saml", "idp_metadata": xml });
    let DraftWay::Saml(saml) = read(&described).unwrap().way else { panic!() };
    assert_eq!(
        (&*saml.idp_entity_id, &*saml.idp_sso_url),
        ("urn:idp", "https://idp.example.org/go")
    );
    assert_eq!(saml.idp_certificates.len(), 1);
    let other = changed(described.clone(), json!({ "idp_entity_id": "urn:other" }));
    let DraftWay::Saml(saml) = read(&other).unwrap().way else { panic!() };
    assert_eq!(saml.idp_entity_id, "urn:other");
    let broken = changed(described, json!({ "idp_metadata": "<!DOCTYPE x><x/>" }));
    let found = faults(read(&broken));
    assert_eq!(found[0], ("/idp_metadata".to_owned(), "dtd"));
}

#[track_caller]
fn issuer_of(changes: Value) -> (String, oidc::Pins) {
    let body = changed(oidc_body(), changes);
    let DraftWay::Oidc(oidc, _) = read(&body).unwrap().way else { panic!() };
    (oidc.issuer, oidc.pins)
}

#[test]
fn a_preset_needs_no_more_than_who_is_meant() {
    let google = json!({ "preset": "google", "issuer": null, "domain": "example.org" });
    let (issuer, pins) = issuer_of(google);
    assert_eq!(
        (&*issuer, &*pins.hosted_domains),
        ("https://accounts.google.com", &["example.org".into()][..])
    );
    let told = json!({
        "preset": "google", "issuer": "https://accounts.google.com", "domains": ["example.org"],
    });
    assert_eq!(issuer_of(told).1.hosted_domains, ["example.org"]);

    let directory = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    let entra = format!("https://login.microsoftonline.com/{directory}/v2.0");
    for changes in [
        json!({ "preset": "entra", "issuer": null, "tenant": directory }),
        json!({ "preset": "entra", "issuer": entra }),
    ] {
        let (issuer, pins) = issuer_of(changes);
        assert_eq!((issuer, pins.directory.as_deref()), (entra.clone(), Some(directory)));
    }
    let okta = json!({ "preset": "okta", "issuer": null, "domain": "acme.okta.com" });
    assert_eq!(issuer_of(okta).0, "https://acme.okta.com");
    let console = json!({ "preset": "okta", "issuer": null, "domain": "acme-admin.okta.com" });
    check(oidc_body(), console, &[("/domain", "invalid_value")]);
    let own = json!({ "preset": "okta", "issuer": "https://id.example.org/oauth2/x" });
    assert_eq!(issuer_of(own).0, "https://id.example.org/oauth2/x");

    for (preset, field) in [("google", "/domain"), ("entra", "/tenant"), ("okta", "/domain")] {
        let missing = json!({ "preset": preset, "issuer": null });
        check(oidc_body(), missing, &[(field, "required")]);
    }
    let bad = json!({ "preset": "entra", "issuer": null, "tenant": "common" });
    check(oidc_body(), bad, &[("/tenant", "invalid_value")]);
    let both = json!({ "preset": "okta", "domain": "acme.okta.com" });
    check(oidc_body(), both, &[("/issuer", "invalid_value")]);
    check(oidc_body(), json!({ "domain": "example.org" }), &[("/domain", "unknown_field")]);
}

#[test]
fn a_change_keeps_what_it_does_not_name() {
    let saml = |changes: Value| {
        let DraftWay::Saml(saml) = read(&changed(saml_body(), changes)).unwrap().way else {
            panic!()
        };
        saml
    };
    let way = Way::Saml(saml(json!({ "preset": "entra", "acs_url": "https://a.example/acs" })));
    let before = Provider { way, domains: vec!["example.org".into()], ..saml_provider() };
    let change =
        |patch: Value| in_place(|place| Draft::change(&before, patch.as_object().unwrap(), place));
    let after = change(json!({ "name": "Other", "acs_url": null })).unwrap();
    let DraftWay::Saml(after_saml) = &after.way else { panic!() };
    let Way::Saml(before_saml) = &before.way else { panic!() };
    assert_eq!(after.name, "Other");
    assert_eq!(after.domains, ["example.org"]);
    assert_eq!(after_saml.acs_url, None);
    assert_eq!(after_saml.attributes, before_saml.attributes);
    assert_eq!(after_saml.idp_certificates, before_saml.idp_certificates);
    assert!(change(json!({ "domains": null })).unwrap().domains.is_empty());
    assert_eq!(faults(change(json!({ "name": null }))), [("/name".to_owned(), "required")]);
    assert_eq!(faults(change(json!({ "kind": "oidc" }))), [("/kind".to_owned(), "invalid_value")]);
    let moved = change(json!({ "idp_metadata": metadata() })).unwrap();
    let DraftWay::Saml(moved) = moved.way else { panic!() };
    assert_eq!(moved.idp_entity_id, "urn:idp");
    assert_ne!(moved.idp_certificates, before_saml.idp_certificates);
    let same = change(json!({ "kind": "saml", "idp_certificates": [certificate()] })).unwrap();
    let DraftWay::Saml(same) = same.way else { panic!() };
    assert_ne!(same.idp_certificates, before_saml.idp_certificates);
}

#[test]
fn a_change_of_the_preset_or_the_issuer_leaves_nothing_of_the_one_before() {
    let okta = json!({ "preset": "okta", "issuer": null, "domain": "acme.okta.com" });
    let draft = read(&changed(oidc_body(), okta)).unwrap();
    let DraftWay::Oidc(oidc, _) = draft.way else { panic!() };
    let before = Provider { way: Way::Oidc(oidc), preset: draft.preset, ..saml_provider() };
    let change = |patch: Value| {
        let draft =
            in_place(|place| Draft::change(&before, patch.as_object().unwrap(), place)).unwrap();
        let DraftWay::Oidc(oidc, _) = draft.way else { panic!() };
        (draft.preset, oidc.issuer)
    };
    let okta = "https://acme.okta.com".to_owned();
    assert_eq!(change(json!({ "name": "x" })), (Some(Preset::Okta), okta.clone()));
    assert_eq!(change(json!({ "preset": null })), (None, okta));
    let other = || "https://other.okta.com".to_owned();
    assert_eq!(change(json!({ "domain": "other.okta.com" })), (Some(Preset::Okta), other()));
    assert_eq!(change(json!({ "issuer": other() })), (Some(Preset::Okta), other()));
    let google = json!({ "preset": "google", "issuer": null, "domain": "example.org" });
    assert_eq!(change(google), (Some(Preset::Google), "https://accounts.google.com".to_owned()));
}
