//! What single sign-on decides beside roles: teams, whom it never lets in, whom strangers who fail do not
//! keep out, and where it is the only way in.

use crate::authenticator::Authenticator;
use crate::sso::{add, admit, draft, person};
use crate::world::{EMAIL, NOW_MS, NOWHERE, PASSWORD, World, client, credentials};
use emx::identity::SignedIn;
use emx::identity::account::AccountError;
use emx::identity::email::Email;
use emx::identity::login::Credentials;
use emx::identity::rules::{RulesChange, RulesError};
use emx::identity::sso::provider::Provider;
use emx::identity::sso::{ProviderError, SignInError};
use emx::identity::token::TokenError;
use emx::tenancy::by::By;
use emx::tenancy::id::TenantId;
use emx::tenancy::permission::Role;
use serde_json::json;

#[test]
fn the_groups_decide_about_the_teams_that_they_give_at_each_sign_in() {
    let world = World::new();
    let (identity, acme, operator) = (&world.identity, &world.acme.id, By::operator());
    let team = |name: &str| identity.create_team(acme, name, &[], &operator, NOW_MS).unwrap().id;
    let [platform, oncall, chess] = ["Platform", "On call", "Chess"].map(team);
    let missing = draft(&world.acme, &json!({ "teams": { "dev": "Nowhere" } })).unwrap();
    match identity.add_sso_provider(acme, missing, &operator, NOW_MS) {
        Err(ProviderError::Invalid(faults)) => {
            assert_eq!((&*faults[0].pointer, faults[0].code), ("/teams/dev", "team_not_found"));
        }
        other => panic!("{other:?}"),
    }
    let teams = json!({ "dev": "PLATFORM", "sre": oncall, "ops": oncall });
    let known = add(&world, &world.acme, &json!({ "teams": teams }));
    assert_eq!(known.provider.teams["dev"], platform, "by id, for names change");
    let sorted = |mut teams: Vec<&String>| {
        teams.sort();
        teams.into_iter().cloned().collect::<Vec<_>>()
    };
    let first = admit(&world, &known, person("ada", &["dev", "ops", "sre"])).unwrap();
    assert_eq!(first.user.teams, sorted(vec![&platform, &oncall]));
    let ada = &first.user.id;
    identity.set_member(acme, &chess, ada, true, &operator, NOW_MS).unwrap();
    identity.set_member(acme, &platform, ada, false, &operator, NOW_MS).unwrap();
    let again = admit(&world, &known, person("ada", &["dev", "ops"])).unwrap();
    assert_eq!(again.user.teams, sorted(vec![&platform, &oncall, &chess]));
    identity.verify(&first.access_token, NOW_MS).unwrap(); // another team ends nothing
    let less = admit(&world, &known, person("ada", &["boss"])).unwrap();
    assert_eq!((less.user.role, less.user.teams), (Role::Owner, vec![chess.clone()]));

    // A team that has gone keeps nobody out, nor the provider from being changed.
    identity.remove_team(acme, &platform, &operator, |_| true, NOW_MS).unwrap();
    let after = admit(&world, &known, person("ada", &["dev", "ops"])).unwrap();
    assert_eq!(after.user.teams, sorted(vec![&oncall, &chess]));
    let id = &known.provider.id;
    let change = |before: &Provider| {
        let teams = json!({ "teams": before.teams });
        draft(&world.acme, &teams)
    };
    let changed = identity.change_sso_provider(acme, id, change, &operator, NOW_MS).unwrap();
    assert_eq!(changed.teams.keys().collect::<Vec<_>>(), ["ops", "sre"]);
    // Names of another tenant's teams are nobody's here.
    let theirs = identity.create_team(&world.other.id, "Theirs", &[], &operator, NOW_MS).unwrap();
    for foreign in [&*theirs.id, "Theirs"] {
        let drafted = draft(&world.acme, &json!({ "name": "x", "teams": { "dev": foreign } }));
        let added = identity.add_sso_provider(acme, drafted.unwrap(), &operator, NOW_MS);
        assert!(matches!(added, Err(ProviderError::Invalid(_))), "{foreign}");
    }
}

#[test]
fn no_provider_vouches_for_whoever_administers_the_platform() {
    let world = World::new();
    let (identity, acme, operator) = (&world.identity, &world.acme.id, By::operator());
    let known = add(&world, &world.acme, &json!({}));
    let ada = admit(&world, &known, person("ada", &["dev"])).unwrap().user.id;
    let grant = |id: &str| identity.set_platform(acme, id, true, &operator, NOW_MS);
    let refused = |outcome: Result<_, AccountError>| outcome.unwrap_err().code();
    assert_eq!(refused(grant(&ada)), "sso_user");
    // Nor once she has a password as well: whoever changes the provider still comes in as her.
    let link = identity.reset_link(acme, &ada, &operator, NOW_MS).unwrap();
    identity.accept(&world.tenancy, &link.token, PASSWORD, None, &NOWHERE, NOW_MS).unwrap();
    assert_eq!(refused(grant(&ada)), "sso_user");
    grant(&world.user("bob@example.org", Role::Viewer).id).unwrap();

    // One who was both before this was refused is let in by a password alone.
    let key = ada.as_bytes();
    let stored = world.platform.get("users", key).unwrap().unwrap();
    let mut both: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    both["platform"] = true.into();
    let write = emx::tenancy::record::put("users", key, both.to_string().into_bytes());
    assert!(world.platform.write(&[], &[write]).unwrap());
    let error = admit(&world, &known, person("ada", &["dev"])).unwrap_err();
    assert_eq!(error.code(), "platform_administrator");
    let by_password = world.try_sign_in("ada@corp.example", PASSWORD, None, NOW_MS).unwrap();
    assert!(by_password.user.platform);
}

#[test]
fn whoever_the_groups_give_more_comes_in_by_no_older_link() {
    let world = World::new();
    let (identity, acme, operator) = (&world.identity, &world.acme.id, By::operator());
    let known = add(&world, &world.acme, &json!({}));
    let ada = admit(&world, &known, person("ada", &["ops"])).unwrap().user.id;
    let link = || identity.reset_link(acme, &ada, &operator, NOW_MS).unwrap().token;
    let take = |token: &str| {
        identity.accept(&world.tenancy, token, PASSWORD, None, &NOWHERE, NOW_MS).map(drop)
    };
    // Less, or as much, leaves it.
    let older = link();
    admit(&world, &known, person("ada", &["dev"])).unwrap();
    take(&older).unwrap();
    let older = link();
    admit(&world, &known, person("ada", &["boss"])).unwrap();
    assert_eq!(take(&older).unwrap_err().code(), "invalid_link");
}

#[test]
fn a_provider_that_was_changed_meanwhile_changes_nobody() {
    let world = World::new();
    let stale = add(&world, &world.acme, &json!({}));
    let change = |_: &Provider| draft(&world.acme, &json!({ "roles": { "dev": "viewer" } }));
    let (id, by) = (&stale.provider.id, By::operator());
    world.identity.change_sso_provider(&world.acme.id, id, change, &by, NOW_MS).unwrap();
    let current = world.identity.sso_provider(&world.acme.id, id).unwrap();
    let ada = admit(&world, &current, person("ada", &["dev"])).unwrap();
    let error = admit(&world, &stale, person("ada", &["dev"])).unwrap_err();
    assert_eq!(error.code(), "session_contended");
    let user = world.identity.user(&world.acme.id, &ada.user.id).unwrap();
    assert_eq!(user.role, Role::Viewer);
    world.identity.verify(&ada.access_token, NOW_MS).unwrap();
}

#[test]
fn strangers_who_fail_keep_their_own_address_out_and_no_tenant() {
    let world = World::new();
    let identity = &world.identity;
    let fail = |address: &str, error: &SignInError| -> Result<(), SignInError> {
        let attempt = identity.begin_attempt(client(address, "a browser"), NOW_MS)?;
        identity.end_attempt(&attempt, Some(error));
        Ok(())
    };
    for n in 0..1_200 {
        fail(&format!("10.0.{}.{}", n / 250, n % 250), &SignInError::Replayed).unwrap();
    }
    let denied = SignInError::Denied { detail: "access_denied".into() };
    for _ in 0..100 {
        fail("192.0.2.1", &denied).unwrap(); // somebody who thinks better of it
    }
    for _ in 0..50 {
        fail("192.0.2.2", &SignInError::Replayed).unwrap();
    }
    assert_eq!(fail("192.0.2.2", &denied).unwrap_err().code(), "too_many_attempts");
    fail("192.0.2.3", &SignInError::Replayed).unwrap();
    world.sign_in_as(client("192.0.2.4", "a browser"), NOW_MS);
}

#[track_caller]
fn set_rules(world: &World, require_otp: bool, require_sso: bool) -> Result<(), RulesError> {
    let change = RulesChange { require_otp: Some(require_otp), require_sso: Some(require_sso) };
    let operator = By::operator();
    world.identity.set_sign_in_rules(&world.acme.id, change, &operator, |_| true, NOW_MS).map(drop)
}

#[test]
fn where_single_sign_on_is_demanded_only_owners_come_in_with_a_password() {
    let world = World::new();
    assert!(matches!(set_rules(&world, false, true), Err(RulesError::NoProvider)));
    let known = add(&world, &world.acme, &json!({}));
    world.user("admin@example.org", Role::Admin);
    let try_sign_in = |email: &str, password: &str| {
        world.try_sign_in(email, password, None, NOW_MS).map_err(|error| error.code())
    };
    let by_password = try_sign_in("admin@example.org", PASSWORD).unwrap();
    let by_provider = admit(&world, &known, person("ada", &["ops"])).unwrap();
    let owner = world.sign_in(NOW_MS);
    set_rules(&world, false, true).unwrap();

    let verify =
        |signed_in: &SignedIn| world.identity.verify(&signed_in.access_token, NOW_MS).map(drop);
    assert_eq!(verify(&by_password), Err(TokenError::Revoked));
    assert!(world.refresh(&by_password.refresh_token, NOW_MS).is_err());
    assert_eq!((verify(&by_provider), verify(&owner)), (Ok(()), Ok(())));
    assert_eq!(try_sign_in("admin@example.org", PASSWORD).unwrap_err(), "sso_required");
    // Nobody learns by the rule that a password is right, or that there is such a user.
    for (email, password) in [("admin@example.org", "wrong horse"), ("x@example.org", PASSWORD)] {
        assert_eq!(try_sign_in(email, password).unwrap_err(), "invalid_credentials");
    }
    try_sign_in(EMAIL, PASSWORD).unwrap();
    admit(&world, &known, person("ada", &["ops"])).unwrap();
    world.identity.login(&world.tenancy, &credentials("other", EMAIL, PASSWORD), NOW_MS).unwrap();

    // The last provider and the last owner with a password stay.
    let (identity, acme, operator) = (&world.identity, &world.acme.id, By::operator());
    let remove = |id: &str| identity.remove_sso_provider(acme, id, &operator, NOW_MS);
    assert_eq!(remove(&known.provider.id).unwrap_err().code(), "sso_demanded");
    let second = add(&world, &world.acme, &json!({ "name": "Second" }));
    remove(&second.provider.id).unwrap();
    let local = identity.user_by_email(acme, &Email::parse(EMAIL).unwrap()).unwrap();
    let disabled = identity.disable_user(acme, &local.id, &operator, NOW_MS);
    assert_eq!(disabled.unwrap_err().code(), "last_owner");
    set_rules(&world, false, false).unwrap();
    try_sign_in("admin@example.org", PASSWORD).unwrap();
    remove(&known.provider.id).unwrap();
}

#[test]
fn a_second_factor_is_asked_of_owners_with_a_password_and_not_of_whoever_comes_by_a_provider() {
    let world = World::new();
    let known = add(&world, &world.acme, &json!({}));
    let ada = admit(&world, &known, person("ada", &["boss"])).unwrap();
    world.user("member@example.org", Role::Member);
    set_rules(&world, true, true).unwrap();
    world.identity.verify(&ada.access_token, NOW_MS).unwrap();
    let again = admit(&world, &known, person("ada", &["boss"])).unwrap();
    let state = world.identity.otp_state(&world.who(&again, NOW_MS).principal).unwrap();
    assert!(!state.is_demanded && !state.is_set_up);
    // Nor does a provider's owner have to have one to demand it, or not, of others.
    let by = world.who(&again, NOW_MS);
    let change = RulesChange { require_otp: Some(true), require_sso: None };
    world.identity.set_sign_in_rules(&world.acme.id, change, &by, |_| true, NOW_MS).unwrap();

    let refused = world.try_sign_in(EMAIL, PASSWORD, None, NOW_MS).unwrap_err();
    assert_eq!(refused.code(), "otp_enrolment_required");
    let enrol = |email: &str, otp: Option<&str>| {
        let typed = Credentials { otp, ..credentials("acme", email, PASSWORD) };
        match otp {
            None => world
                .identity
                .begin_enrolment(&world.tenancy, &typed, NOW_MS)
                .map(|begun| Authenticator::scanned(&begun.uri, &begun.secret).code(NOW_MS)),
            Some(_) => world.identity.enrol(&world.tenancy, &typed, NOW_MS).map(|_| String::new()),
        }
    };
    // Whoever may not come in by a password does not by setting a factor up either.
    assert_eq!(enrol("member@example.org", None).unwrap_err().code(), "sso_required");
    let code = enrol(EMAIL, None).unwrap();
    set_rules(&world, true, true).unwrap();
    enrol(EMAIL, Some(&code)).unwrap();
    let asked = world.try_sign_in(EMAIL, PASSWORD, None, NOW_MS).unwrap_err();
    assert_eq!(asked.code(), "otp_required");
}

#[test]
fn who_is_carried_without_the_providers_comes_in_with_a_password() {
    let world = World::new();
    add(&world, &world.acme, &json!({}));
    set_rules(&world, true, true).unwrap();
    let people = world.identity.people_of(&world.tenancy, &world.acme.id).unwrap();
    let there = TenantId::random();
    let arrival = world.identity.arrival(&people, &there).unwrap();
    assert!(arrival.sso_left_out);
    assert!(world.platform.write(&[], &arrival.completion.writes).unwrap());
    let rules = world.identity.sign_in_rules(&there).unwrap();
    assert!(rules.require_otp && !rules.require_sso);
}
