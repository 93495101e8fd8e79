//! Whom identity providers vouch for, over the real store: who they become here, and who not.

use crate::world::{EMAIL, NOBODY, NOW_MS, PASSWORD, World, credentials};
use emx::identity::SignedIn;
use emx::identity::account::Account;
use emx::identity::email::Email;
use emx::identity::oidc::External;
use emx::identity::password::Password;
use emx::identity::saml::Assertion;
use emx::identity::sso::draft::{Draft, Place};
use emx::identity::sso::flow::{Flow, FlowWay};
use emx::identity::sso::provider::{Provider, StoredProvider};
use emx::identity::sso::site::Site;
use emx::identity::sso::{ProviderError, SignInError};
use emx::identity::token::TokenError;
use emx::runtime::outgoing::Guard;
use emx::tenancy::by::By;
use emx::tenancy::permission::Role;
use emx::tenancy::scope::Principal;
use emx::tenancy::tenant::Tenant;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::sync::Barrier;

const ISSUER: &str = "https://id.example.org";
const SECRET: &str = "a-client-secret-that-nobody-sees";

fn body(changes: &Value) -> Map<String, Value> {
    let mut body = json!({
        "name": "Corporate", "kind": "oidc", "issuer": ISSUER, "client_id": "emx",
        "client_secret": SECRET, "roles": { "dev": "member", "ops": "admin", "boss": "owner" },
    });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.as_object().unwrap().clone()
}

pub(crate) fn draft(tenant: &Tenant, changes: &Value) -> Result<Draft, ProviderError> {
    let (site, guard) =
        (Site::at("https://localhost:8443"), Guard { ports: vec![443], ..Guard::default() });
    let place = Place { site: &site, tenant: &tenant.slug, guard: &guard };
    Draft::read(&body(changes), place)
}

pub(crate) fn add(world: &World, tenant: &Tenant, changes: &Value) -> StoredProvider {
    let (draft, by) = (draft(tenant, changes).unwrap(), By::operator());
    let made = world.identity.add_sso_provider(&tenant.id, draft, &by, NOW_MS).unwrap();
    world.identity.sso_provider(&tenant.id, &made.id).unwrap()
}

pub(crate) fn person(subject: &str, groups: &[&str]) -> External {
    External {
        issuer: ISSUER.into(),
        subject: subject.into(),
        email: Some(format!("{subject}@corp.example")),
        email_verified: true,
        groups: groups.iter().map(ToString::to_string).collect(),
        until_ms: None,
    }
}

pub(crate) fn admit(
    world: &World,
    known: &StoredProvider,
    person: External,
) -> Result<SignedIn, SignInError> {
    world.identity.admit_external(known, person, NOBODY, NOW_MS)
}

#[track_caller]
fn refused(world: &World, known: &StoredProvider, person: External, code: &str) {
    assert_eq!(admit(world, known, person).unwrap_err().code(), code);
}

#[test]
fn a_person_becomes_a_user_with_the_first_sign_in_and_stays_the_same_one() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    let first = admit(&world, &known, person("ada", &["dev", "others"])).unwrap();
    assert_eq!((first.user.email.as_str(), first.user.role), ("ada@corp.example", Role::Member));
    assert!(!first.user.platform && first.session.tenant_id == world.acme.id);
    let world = world.restarted();
    let known = world.identity.sso_provider(&world.acme.id, &known.provider.id).unwrap();
    // Another address of the same person, and another person.
    let moved = External { email: Some("lovelace@corp.example".into()), ..person("ada", &["dev"]) };
    assert_eq!(admit(&world, &known, moved).unwrap().user, first.user);
    let other = admit(&world, &known, person("bob", &["dev"])).unwrap();
    assert_ne!(other.user.id, first.user.id);
    assert_eq!(world.identity.list_of(&world.acme.id).unwrap().len(), 3);
    assert_eq!(world.identity.list_of(&world.other.id).unwrap().len(), 1);
}

#[test]
fn whoever_has_no_password_is_refused_like_everybody_and_costs_the_same() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    admit(&world, &known, person("ada", &["dev"])).unwrap();
    let mut messages = HashSet::new();
    for (email, password) in [
        ("ada@corp.example", ""),
        ("ada@corp.example", PASSWORD),
        ("ADA@corp.example", "any other password"),
        ("nobody@corp.example", PASSWORD),
    ] {
        let before = world.identity.password_hashes();
        let typed = credentials("acme", email, password);
        let error = world.identity.login(&world.tenancy, &typed, NOW_MS).unwrap_err();
        assert_eq!(error.code(), "invalid_credentials", "{email}");
        assert_eq!(world.identity.password_hashes() - before, 1, "{email}");
        messages.insert(error.to_string());
    }
    assert_eq!(messages.len(), 1);
}

#[test]
fn an_address_links_nobody_to_anybody() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    let with = |email: &str, subject: &str| External {
        email: Some(email.into()),
        ..person(subject, &["boss"])
    };
    refused(&world, &known, with(EMAIL, "you"), "account_exists");
    refused(&world, &known, with(&EMAIL.to_uppercase(), "you"), "account_exists");
    let ada = admit(&world, &known, person("ada", &["dev"])).unwrap();
    refused(&world, &known, with("ada@corp.example", "somebody else"), "account_exists");
    // Another provider of the tenant that says the same of the same person, with the same issuer too.
    for changes in
        [json!({ "name": "Second" }), json!({ "name": "Third", "issuer": "https://x.example" })]
    {
        let second = add(&world, &world.acme, &changes);
        let issuer = changes["issuer"].as_str().unwrap_or(ISSUER).into();
        let same = External { issuer, ..person("ada", &["boss"]) };
        refused(&world, &second, same, "account_exists");
    }
    // The same provider in another tenant knows nobody of this one.
    let elsewhere = add(&world, &world.other, &json!({}));
    let there = admit(&world, &elsewhere, person("ada", &["dev"])).unwrap();
    assert!(there.user.id != ada.user.id && there.session.tenant_id == world.other.id);
    world.identity.login(&world.tenancy, &credentials("acme", EMAIL, PASSWORD), NOW_MS).unwrap();
}

#[test]
fn without_an_address_one_is_made_up_that_is_nobodys() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    let nameless = |subject: &str| External { email: None, ..person(subject, &["dev"]) };
    let mut addresses = HashSet::new();
    for subject in ["ada", "Ada", "ada lovelace", "a@b", "é", &"x".repeat(300)] {
        let signed_in = admit(&world, &known, nameless(subject)).unwrap();
        let email = signed_in.user.email.to_string();
        assert!(email.ends_with(&format!("@{}.sso.invalid", known.provider.id)), "{email}");
        assert_eq!(admit(&world, &known, nameless(subject)).unwrap().user.email.as_str(), email);
        assert!(addresses.insert(email.to_lowercase()), "{email}");
    }
    assert!(addresses.iter().any(|email| email.starts_with("ada@")));
}

#[test]
fn domains_count_only_where_the_address_is_verified() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({ "domains": ["Corp.Example"] }));
    admit(&world, &known, person("ada", &["dev"])).unwrap();
    let mut other = person("eve", &["dev"]);
    other.email_verified = false;
    refused(&world, &known, other.clone(), "email_not_verified");
    other.email = None;
    refused(&world, &known, other.clone(), "email_missing");
    other = External { email: Some("eve@evil.example".into()), ..person("eve", &["dev"]) };
    refused(&world, &known, other, "domain_not_allowed");
    // Also for whoever was let in before.
    let moved = External { email: Some("ada@evil.example".into()), ..person("ada", &["dev"]) };
    refused(&world, &known, moved, "domain_not_allowed");
    assert_eq!(world.identity.list_of(&world.acme.id).unwrap().len(), 2);
}

#[test]
fn the_groups_decide_the_role_at_each_sign_in_and_a_change_ends_what_was_begun() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    refused(&world, &known, person("ada", &["sales"]), "no_role");
    assert_eq!(world.identity.list_of(&world.acme.id).unwrap().len(), 1, "nobody was made");
    let member = admit(&world, &known, person("ada", &["dev"])).unwrap();
    let again = admit(&world, &known, person("ada", &["dev"])).unwrap();
    world.identity.verify(&member.access_token, NOW_MS).unwrap();
    let admin = admit(&world, &known, person("ada", &["dev", "ops"])).unwrap();
    assert_eq!((admin.user.role, &admin.user.id), (Role::Admin, &member.user.id));
    for ended in [&member, &again] {
        assert_eq!(world.identity.verify(&ended.access_token, NOW_MS), Err(TokenError::Revoked));
        assert!(world.refresh(&ended.refresh_token, NOW_MS).is_err());
    }
    let principal = world.identity.authenticate_token(&admin.access_token, NOBODY, NOW_MS).unwrap();
    assert_eq!(principal.role(), Role::Admin);
    refused(&world, &known, person("ada", &[]), "no_role");
    let anybody =
        add(&world, &world.acme, &json!({ "name": "Any", "default_role": "viewer", "roles": {} }));
    assert_eq!(admit(&world, &anybody, person("bob", &["dev"])).unwrap().user.role, Role::Viewer);
}

#[test]
fn whoever_is_kept_out_stays_out() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    let ada = admit(&world, &known, person("ada", &["dev"])).unwrap();
    world.identity.disable_user(&world.acme.id, &ada.user.id, &By::operator(), NOW_MS).unwrap();
    assert_eq!(world.identity.verify(&ada.access_token, NOW_MS), Err(TokenError::Revoked));
    refused(&world, &known, person("ada", &["boss"]), "account_disabled");
    world.identity.enable_user(&world.acme.id, &ada.user.id, &By::operator(), NOW_MS).unwrap();
    assert_eq!(admit(&world, &known, person("ada", &["dev"])).unwrap().user.id, ada.user.id);
}

#[test]
fn a_tenant_keeps_an_owner_who_needs_no_provider() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    let boss = admit(&world, &known, person("ada", &["boss"])).unwrap();
    assert_eq!(boss.user.role, Role::Owner);
    let (identity, acme, operator) = (&world.identity, &world.acme.id, By::operator());
    let local = identity.user_by_email(acme, &Email::parse(EMAIL).unwrap()).unwrap();
    let disable = || identity.disable_user(acme, &local.id, &operator, NOW_MS);
    assert_eq!(disable().unwrap_err().code(), "last_owner");
    let member = admit(&world, &known, person("ada", &["dev"])).unwrap();
    assert_eq!(member.user.role, Role::Member);

    // Once she has a password too, she is the owner who stays.
    admit(&world, &known, person("ada", &["boss"])).unwrap();
    let link = identity.reset_link(acme, &boss.user.id, &operator, NOW_MS).unwrap();
    let (token, nowhere) = (&link.token, &crate::world::NOWHERE);
    identity.accept(&world.tenancy, token, PASSWORD, None, nowhere, NOW_MS).unwrap();
    disable().unwrap();
    refused(&world, &known, person("ada", &["dev"]), "last_owner");
    admit(&world, &known, person("ada", &["boss"])).unwrap();
    identity.enable_user(acme, &local.id, &operator, NOW_MS).unwrap();
    admit(&world, &known, person("ada", &["dev"])).unwrap();
}

#[test]
fn many_first_sign_ins_at_once_make_one_user() {
    const THREADS: usize = 16;
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    let together = Barrier::new(THREADS);
    let users: HashSet<String> = std::thread::scope(|scope| {
        let begun: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    together.wait();
                    admit(&world, &known, person("ada", &["dev"]))
                        .map(|signed_in| signed_in.user.id)
                })
            })
            .collect();
        begun.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    assert_eq!(users.len(), 1);
    assert_eq!(world.identity.list_of(&world.acme.id).unwrap().len(), 2);
}

#[test]
fn a_session_ends_with_the_providers() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    let until = |until_ms| External { until_ms: Some(until_ms), ..person("ada", &["dev"]) };
    let short = admit(&world, &known, until(NOW_MS + 60_000)).unwrap();
    assert_eq!((short.session.until_ms, short.expires_in_s), (NOW_MS + 60_000, 60));
    let next = world.refresh(&short.refresh_token, NOW_MS + 59_000).unwrap();
    assert_eq!(next.expires_in_s, 1);
    assert!(world.refresh(&next.refresh_token, NOW_MS + 60_000).is_err());
    let long = admit(&world, &known, until(i64::MAX)).unwrap();
    assert_eq!(long.session.until_ms, NOW_MS + emx::identity::family::ABSOLUTE_MS);
    refused(&world, &known, until(NOW_MS), "provider_session_over");
}

#[test]
fn a_provider_that_is_gone_or_changed_lets_nobody_in_any_more() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    let signed_in = admit(&world, &known, person("ada", &["dev"])).unwrap();
    let by = By::operator();
    let change = |_: &Provider| draft(&world.acme, &json!({ "roles": { "dev": "viewer" } }));
    world
        .identity
        .change_sso_provider(&world.acme.id, &known.provider.id, change, &by, NOW_MS)
        .unwrap();
    refused(&world, &known, person("ada", &["dev"]), "session_contended");
    refused(&world, &known, person("bob", &["dev"]), "session_contended");
    let changed = world.identity.sso_provider(&world.acme.id, &known.provider.id).unwrap();
    assert_eq!(admit(&world, &changed, person("ada", &["dev"])).unwrap().user.role, Role::Viewer);
    let last = admit(&world, &changed, person("ada", &["dev"])).unwrap();

    let elsewhere =
        world.identity.remove_sso_provider(&world.other.id, &known.provider.id, &by, NOW_MS);
    assert!(matches!(elsewhere, Err(ProviderError::NotFound { .. })));
    world.identity.remove_sso_provider(&world.acme.id, &known.provider.id, &by, NOW_MS).unwrap();
    for ended in [&signed_in, &last] {
        assert_eq!(world.identity.verify(&ended.access_token, NOW_MS), Err(TokenError::Revoked));
        assert!(world.refresh(&ended.refresh_token, NOW_MS).is_err());
    }
    refused(&world, &changed, person("ada", &["dev"]), "account_exists"); // nobody's now
    refused(&world, &changed, person("bob", &["dev"]), "session_contended");
    let users = world.identity.list_of(&world.acme.id).unwrap();
    let emails: Vec<&str> = users.iter().map(|user: &Account| user.email.as_str()).collect();
    assert_eq!(emails, ["ada@corp.example", EMAIL], "nobody was made meanwhile");
}

#[test]
fn a_client_secret_lies_sealed_and_goes_to_its_issuer_alone() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    assert!(!world.is_on_disk(SECRET));
    assert!(world.is_on_disk(&known.provider.id), "the search finds what is there");
    let (by, site) = (By::operator(), Site::at("https://localhost:8443"));
    let secret = |provider: &Provider| {
        let settings = provider.oidc(&site, &world.acme.slug, world.identity.master_key());
        settings.unwrap().unwrap().client_secret.unwrap()
    };
    assert_eq!(secret(&known.provider), SECRET);
    let guard = Guard { ports: vec![443], ..Guard::default() };
    let patch = |changes: Value| {
        let place = Place { site: &site, tenant: &world.acme.slug, guard: &guard };
        let patch = changes.as_object().unwrap().clone();
        let change = move |before: &Provider| Draft::change(before, &patch, place);
        world.identity.change_sso_provider(&world.acme.id, &known.provider.id, change, &by, NOW_MS)
    };
    assert_eq!(secret(&patch(json!({ "name": "Other" })).unwrap()), SECRET);
    let Err(ProviderError::Invalid(faults)) = patch(json!({ "issuer": "https://thief.example" }))
    else {
        panic!("the secret would be sent to another issuer")
    };
    assert_eq!(
        (faults.len(), &*faults[0].pointer, faults[0].code),
        (1, "/client_secret", "required")
    );
    let moved = json!({ "issuer": "https://new.example", "client_secret": "another" });
    assert_eq!(secret(&patch(moved).unwrap()), "another");
    assert_eq!(secret(&patch(json!({ "client_secret": "a third" })).unwrap()), "a third");
}

#[test]
fn nobody_has_a_provider_give_more_than_they_may_give() {
    let world = World::new();
    let signed_in = world.sign_in(NOW_MS);
    let admin = Email::parse("admin@example.org").unwrap();
    let password = Password::choose(PASSWORD, &admin, "acme").unwrap();
    let made = world.identity.create_user(
        &world.acme.id,
        &admin,
        Role::Admin,
        &password,
        &By::operator(),
        NOW_MS,
    );
    made.unwrap();
    let typed = credentials("acme", "admin@example.org", PASSWORD);
    let admin = world.identity.login(&world.tenancy, &typed, NOW_MS).unwrap();
    let [owner, admin] = [signed_in, admin].map(|signed_in| {
        world.identity.authenticate_token(&signed_in.access_token, NOBODY, NOW_MS).unwrap()
    });
    let add = |by: &Principal, changes: Value| {
        let draft = draft(&world.acme, &changes).unwrap();
        world.identity.add_sso_provider(&world.acme.id, draft, &crate::world::by(by), NOW_MS)
    };
    let lesser = json!({ "name": "Lesser", "roles": { "ops": "admin" } });
    let lesser = add(&admin, lesser).unwrap();
    for too_much in [json!({}), json!({ "roles": {}, "default_role": "owner" })] {
        assert!(matches!(add(&admin, too_much), Err(ProviderError::Role { role: Role::Owner })));
    }
    let greater = add(&owner, json!({ "name": "Greater" })).unwrap();
    let change = |by: &Principal, id: &str, changes: Value| {
        let change = |_: &Provider| draft(&world.acme, &changes);
        world.identity.change_sso_provider(
            &world.acme.id,
            id,
            change,
            &crate::world::by(by),
            NOW_MS,
        )
    };
    let raised = change(&admin, &lesser.id, json!({ "name": "Lesser" }));
    assert!(matches!(raised, Err(ProviderError::Role { .. })));
    // Not even to something less: whoever may not give the role may not touch who is asked for it.
    let touched = change(&admin, &greater.id, json!({ "name": "Greater", "roles": {} }));
    assert!(matches!(touched, Err(ProviderError::Role { .. })));
    let remove = |by: &Principal, id: &str| {
        let by = crate::world::by(by);
        world.identity.remove_sso_provider(&world.acme.id, id, &by, NOW_MS).map(drop)
    };
    assert!(matches!(remove(&admin, &greater.id), Err(ProviderError::Role { role: Role::Owner })));
    remove(&admin, &lesser.id).unwrap();
    change(&owner, &greater.id, json!({ "name": "Greater", "roles": {} })).unwrap();
    let twice = add(&owner, json!({ "name": "gREATER" }));
    assert!(matches!(twice, Err(ProviderError::NameTaken { .. })));
}

#[test]
fn auditors_are_told_who_came_by_whom_and_never_a_secret() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    let (id, chain) = (&known.provider.id, world.acme.id.as_str());
    let ada = admit(&world, &known, person("ada", &["dev"])).unwrap();
    admit(&world, &known, person("ada", &["ops"])).unwrap();
    let change = |_: &Provider| draft(&world.acme, &json!({ "client_secret": "another secret" }));
    let by = By::operator();
    world.identity.change_sso_provider(&world.acme.id, id, change, &by, NOW_MS).unwrap();
    let error = admit(&world, &known, person("eve", &["sales"])).unwrap_err();
    world.identity.count_sso_refused(&known, &error, NOBODY);
    world.identity.remove_sso_provider(&world.acme.id, id, &by, NOW_MS).unwrap();
    world.tenancy.log().flush(NOW_MS).unwrap();
    let entries = world.tenancy.log().page(chain, None, 20).unwrap();
    let told: Vec<(&str, &str, &str)> = entries
        .iter()
        .map(|entry| &entry.event)
        .map(|event| (event.actor.as_str(), event.action.as_str(), event.target.as_str()))
        .collect();
    let (provider, user) = (format!("sso_provider:{id}"), format!("user:{}", ada.user.id));
    let expected = [
        ("anonymous", "session.begin", &*provider),
        ("operator", "sso_provider.remove", &provider),
        ("operator", "sso_provider.change", &provider),
        (&user, "session.begin", told[3].2),
        (&provider, "user.change", &user),
        (&user, "session.begin", told[5].2),
        (&provider, "user.create", &user),
        ("operator", "sso_provider.create", &provider),
    ];
    assert_eq!(told[..expected.len()], expected);
    assert_eq!(entries[0].event.after, "no_role");
    assert_eq!(entries[3].event.after, json!({ "provider": id }));
    let text = format!("{entries:?}");
    assert!(!text.contains(SECRET) && !text.contains("another secret"), "{text}");
    let of_secrets = |value: &Value| value["client_secret_sealed"].clone();
    let changed = &entries[2].event;
    assert_ne!(of_secrets(&changed.before), of_secrets(&changed.after), "that it changed is told");
}

#[test]
fn a_tenant_that_goes_takes_along_all_that_is_known_of_its_providers() {
    let world = World::new();
    let known = add(&world, &world.other, &json!({}));
    let kept = add(&world, &world.acme, &json!({}));
    for (known, expected) in [(&known, &world.other), (&kept, &world.acme)] {
        let signed_in = admit(&world, known, person("ada", &["dev"])).unwrap();
        assert_eq!(signed_in.session.tenant_id, expected.id);
        let asserted = assert_once(&world, known, "_a").unwrap();
        assert_eq!(asserted.session.tenant_id, expected.id);
    }
    let count = |table: &str| {
        let entries = emx::tenancy::record::all(&*world.platform, table, b"").unwrap();
        let names = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(world.other.id.as_str());
        let of_other = entries.iter().filter(|(key, value)| names(key) || names(value)).count();
        (entries.len(), of_other)
    };
    let tables = [
        ("sso_providers", 1),
        ("sso_links", 2),
        ("sso_finished_flows", 1),
        ("saml_assertions", 1),
        ("saml_assertion_ends", 1),
    ];
    for (table, each) in tables {
        assert_eq!(count(table), (2 * each, each), "{table}");
    }
    let gone = world.begin_deletion(&world.other);
    world.identity.finish_deletion(&world.tenancy, &gone, NOW_MS).unwrap();
    for (table, each) in tables {
        assert_eq!(count(table), (each, 0), "{table}");
    }
    assert!(admit(&world, &known, person("bob", &["dev"])).is_err());
    assert_eq!(assert_once(&world, &kept, "_a").unwrap_err().code(), "assertion_replayed");
}

/// Lets in whom the assertion `id` names, in answer to a flow of its own.
fn assert_once(world: &World, known: &StoredProvider, id: &str) -> Result<SignedIn, SignInError> {
    let way = FlowWay::Saml("_request".into());
    let flow = Flow::begin(&known.provider, way, "/".into(), NOW_MS);
    let assertion = Assertion {
        id: id.into(),
        issuer: ISSUER.into(),
        name_id: "bob".into(),
        subject: "bob".into(),
        email: Some("bob@corp.example".into()),
        groups: vec!["dev".into()],
        replay_until_ms: NOW_MS + 60_000,
        session_until_ms: None,
    };
    world.identity.admit_assertion(known, &flow, assertion, NOBODY, NOW_MS)
}
