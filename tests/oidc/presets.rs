//! Google Workspace, Entra ID and Okta: what is known of them, and whom they must name.

use crate::provider::{CLIENT_ID, CLIENT_SECRET, REDIRECT_URI};
use crate::world::{World, guard};
use emx::identity::oidc::{OidcError, Pins, Preset, Settings};
use serde_json::json;

const DIRECTORY: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

fn preset(preset: Preset, realm: &str) -> Result<Settings, OidcError> {
    let [id, secret, uri] = [CLIENT_ID, CLIENT_SECRET, REDIRECT_URI].map(str::to_owned);
    preset.settings(realm, id, secret, uri)
}

#[test]
fn a_realm_is_all_that_must_be_said() {
    for (name, realm, issuer, scopes) in [
        (Preset::Google, "example.org", "https://accounts.google.com", "email profile"),
        (
            Preset::Google,
            "Example.org, example.com",
            "https://accounts.google.com",
            "email profile",
        ),
        (
            Preset::Entra,
            DIRECTORY,
            "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0",
            "email profile",
        ),
        (
            Preset::Entra,
            " 72F988BF-86F1-41AF-91AB-2D7CD011DB47 ",
            "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0",
            "email profile",
        ),
        (Preset::Okta, "acme.okta.com", "https://acme.okta.com", "email profile groups"),
        (Preset::Okta, "https://acme.okta.com/", "https://acme.okta.com", "email profile groups"),
        (
            Preset::Okta,
            "acme.okta.com/oauth2/default",
            "https://acme.okta.com/oauth2/default",
            "email profile",
        ),
        (
            Preset::Okta,
            "https://dev-1.okta.com/oauth2/aus1x2/",
            "https://dev-1.okta.com/oauth2/aus1x2",
            "email profile",
        ),
    ] {
        let settings = preset(name, realm).unwrap_or_else(|error| panic!("{realm}: {error}"));
        assert_eq!((&*settings.issuer, &*settings.scopes.join(" ")), (issuer, scopes), "{realm}");
        settings.check(&guard()).unwrap();
    }
    for (name, realm) in [
        (Preset::Google, ""),
        (Preset::Google, "example"),
        (Preset::Google, "example.org,"),
        (Preset::Google, "you@example.org"),
        (Preset::Google, "example.org/"),
        (Preset::Entra, ""),
        (Preset::Entra, "common"),
        (Preset::Entra, "organizations"),
        (Preset::Entra, "consumers"),
        (Preset::Entra, "{tenantid}"),
        (Preset::Entra, "contoso.onmicrosoft.com"),
        (Preset::Entra, "00000000-0000-0000-0000-000000000000"),
        (Preset::Entra, "72f988bf-86f1-41af-91ab-2d7cd011db47/../common"),
        (Preset::Okta, ""),
        (Preset::Okta, "acme"),
        (Preset::Okta, "http://acme.okta.com"),
        (Preset::Okta, "acme.okta.com:8443"),
        (Preset::Okta, "acme.okta.com/oauth2"),
        (Preset::Okta, "acme.okta.com/oauth2/a/b"),
        (Preset::Okta, "acme.okta.com/other"),
        (Preset::Okta, "acme.okta.com?x"),
        (Preset::Okta, "u@acme.okta.com"),
        (Preset::Okta, "127.0.0.1"),
    ] {
        let error = preset(name, realm).unwrap_err();
        assert_eq!(error.code(), "oidc_settings_invalid", "{realm}: {error}");
    }
    let words = ["google", "entra", "okta"].map(|word| json!(word));
    let read: Vec<Preset> = serde_json::from_value(json!(words)).unwrap();
    assert_eq!(read, [Preset::Google, Preset::Entra, Preset::Okta]);
}

#[tokio::test]
async fn google_names_a_domain_that_is_pinned() {
    let world = World::of(preset(Preset::Google, "example.org,example.com").unwrap()).await;
    world.provider().claims = json!({ "groups": null });
    for (hd, expected) in [
        (json!("example.org"), "ok"),
        (json!("example.com"), "ok"),
        (json!("EXAMPLE.org"), "ok"),
        (json!("evil.example.org"), "domain_refused"),
        (json!("example.org.evil.com"), "domain_refused"),
        (json!(""), "domain_refused"),
        (json!(null), "domain_refused"), // somebody's own account
        (json!(["example.org"]), "id_token_claims"),
    ] {
        world.provider().claims["hd"] = hd.clone();
        assert_eq!(world.verdict().await, expected, "{hd}");
    }
    assert_eq!(world.provider().asked("/userinfo"), 0, "Google tells no groups anywhere");
    assert!(world.start().await.unwrap().url.contains("&hd=*"));
    let one = World::of(preset(Preset::Google, "example.org").unwrap()).await;
    assert!(one.start().await.unwrap().url.contains("&hd=example.org"));
}

#[tokio::test]
async fn entra_knows_people_by_directory_and_object() {
    let world = World::of(preset(Preset::Entra, DIRECTORY).unwrap()).await;
    let other = "11111111-2222-3333-4444-555555555555";
    for (claims, expected) in [
        (json!({ "tid": DIRECTORY, "oid": "o-1" }), "ok"),
        (json!({ "tid": DIRECTORY, "oid": "o-1", "email": null, "groups": null }), "ok"),
        (json!({ "tid": DIRECTORY }), "id_token_claims"),
        (json!({ "tid": DIRECTORY, "oid": "" }), "id_token_claims"),
        (json!({ "tid": other, "oid": "o-1" }), "directory_refused"),
        (json!({ "tid": "", "oid": "o-1" }), "directory_refused"),
        (json!({ "oid": "o-1" }), "directory_refused"),
        (json!({ "tid": [DIRECTORY], "oid": "o-1" }), "id_token_claims"),
        (
            json!({ "tid": DIRECTORY, "oid": "o-1", "iss": format!("https://login.microsoftonline.com/{other}/v2.0") }),
            "id_token_issuer",
        ),
        (
            json!({ "tid": DIRECTORY, "oid": "o-1", "iss": format!("https://sts.windows.net/{DIRECTORY}/") }),
            "id_token_issuer",
        ),
        (
            json!({ "tid": DIRECTORY, "oid": "o-1", "groups": null, "hasgroups": true }),
            "groups_unknown",
        ),
    ] {
        world.provider().claims = claims.clone();
        assert_eq!(world.verdict().await, expected, "{claims}");
    }
    // The same person, whatever their address and application are.
    let mut subjects = Vec::new();
    for (sub, email) in [("pairwise-1", "a@b.c"), ("pairwise-2", "d@e.f")] {
        world.provider().claims =
            json!({ "tid": DIRECTORY, "oid": "o-1", "sub": sub, "email": email });
        let person = world.sign_in().await.unwrap();
        subjects.push(person.subject);
    }
    assert_eq!(subjects, [format!("{DIRECTORY}/o-1"), format!("{DIRECTORY}/o-1")]);
    assert_eq!(world.provider().asked("/userinfo"), 0, "it would add nothing");
}

#[tokio::test]
async fn the_documents_of_all_directories_are_nobodys() {
    // What Microsoft answers for everybody names no issuer, but a pattern.
    let world = World::of(preset(Preset::Entra, DIRECTORY).unwrap()).await;
    world.provider().document["issuer"] =
        json!("https://login.microsoftonline.com/{tenantid}/v2.0");
    assert_eq!(world.verdict().await, "discovery_invalid");
}

#[tokio::test]
async fn okta_has_an_issuer_for_the_organisation_and_others_for_its_servers() {
    for realm in ["acme.okta.com", "acme.okta.com/oauth2/default", "dev-1.okta.com/oauth2/aus1"] {
        let world = World::of(preset(Preset::Okta, realm).unwrap()).await;
        // Its ID tokens are thin: the rest is in the user information.
        world.provider().claims = json!({ "email": null, "email_verified": null, "groups": null });
        world.provider().userinfo = json!({
            "sub": "person-1", "email": "a@b.c", "email_verified": true, "groups": ["Everyone"],
        });
        let person = world.sign_in().await.unwrap();
        assert_eq!(
            (person.issuer, person.groups),
            (format!("https://{realm}"), vec!["Everyone".to_owned()])
        );
        assert_eq!((person.email.as_deref(), person.email_verified), (Some("a@b.c"), true));
    }
    // One of the two does not speak for the other.
    let world = World::of(preset(Preset::Okta, "acme.okta.com/oauth2/default").unwrap()).await;
    world.provider().document["issuer"] = json!("https://acme.okta.com");
    assert_eq!(world.verdict().await, "discovery_invalid");
}

#[test]
fn settings_that_cannot_work_or_let_everybody_in_are_refused() {
    let [id, secret, uri] = [CLIENT_ID, CLIENT_SECRET, REDIRECT_URI].map(str::to_owned);
    let good = Settings::generic("https://idp.example.org".to_owned(), id, Some(secret), uri);
    good.check(&guard()).unwrap();
    type Change = fn(&mut Settings);
    let changes: [(Change, &str); 27] = [
        (|s| s.client_secret = None, "ok"),
        (|s| s.scopes.clear(), "ok"),
        (|s| s.groups_claim = None, "ok"),
        (|s| s.issuer = "https://idp.example.org/realms/a/".to_owned(), "ok"),
        (|s| s.issuer = "http://idp.example.org".to_owned(), "url_not_https"),
        (|s| s.issuer = "https://10.0.0.1".to_owned(), "address_refused"),
        (|s| s.issuer = "https://127.0.0.1".to_owned(), "address_refused"),
        (|s| s.issuer = "https://2130706433".to_owned(), "url_invalid"),
        (|s| s.issuer = "https://idp.example.org?a=b".to_owned(), "oidc_settings_invalid"),
        (|s| s.issuer = "https://idp.example.org#a".to_owned(), "url_invalid"),
        (|s| s.issuer = String::new(), "url_invalid"),
        (|s| s.issuer = "https://accounts.google.com".to_owned(), "oidc_settings_invalid"),
        (
            |s| s.issuer = "https://login.microsoftonline.com/common/v2.0".to_owned(),
            "oidc_settings_invalid",
        ),
        (
            |s| s.issuer = "https://login.microsoftonline.com/organizations/v2.0".to_owned(),
            "oidc_settings_invalid",
        ),
        (
            |s| s.issuer = "https://LOGIN.microsoftonline.com/consumers/v2.0".to_owned(),
            "oidc_settings_invalid",
        ),
        (
            |s| s.pins = Pins { directory: Some(DIRECTORY.to_owned()), ..Pins::default() },
            "oidc_settings_invalid",
        ),
        (
            |s| s.pins = Pins { directory: Some("common".to_owned()), ..Pins::default() },
            "oidc_settings_invalid",
        ),
        (|s| s.client_id.clear(), "oidc_settings_invalid"),
        (|s| s.client_id = "a\r\nb".to_owned(), "oidc_settings_invalid"),
        (|s| s.client_id = "a".repeat(300), "oidc_settings_invalid"),
        (|s| s.client_secret = Some(String::new()), "oidc_settings_invalid"),
        (|s| s.client_secret = Some("ä".to_owned()), "oidc_settings_invalid"),
        (|s| s.redirect_uri = "metrics.example.org/callback".to_owned(), "oidc_settings_invalid"),
        (|s| s.redirect_uri = "https://metrics.example.org/#a".to_owned(), "oidc_settings_invalid"),
        (|s| s.groups_claim = Some(String::new()), "oidc_settings_invalid"),
        (|s| s.scopes = vec!["a b".to_owned()], "oidc_settings_invalid"),
        (|s| s.scopes = vec!["a".to_owned(); 33], "oidc_settings_invalid"),
    ];
    for (at, (change, expected)) in changes.into_iter().enumerate() {
        let mut settings = good.clone();
        change(&mut settings);
        let verdict = settings.check(&guard()).map_or_else(|error| error.code(), |()| "ok");
        assert_eq!(verdict, expected, "change {at}: {:?}", settings.issuer);
    }
}
