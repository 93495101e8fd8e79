//! Who may decide about whom, and who always stays.

use crate::sso::{add, draft};
use crate::world::{EMAIL, NOW_MS, NOWHERE, PASSWORD, World, by, client};
use emx::identity::account::{Account, AccountError, NewUser};
use emx::identity::administration::AccountChange;
use emx::identity::api_key::NewApiKey;
use emx::identity::email::Email;
use emx::identity::key_networks::KeyNetworks;
use emx::identity::password::Password;
use emx::identity::token::TokenError;
use emx::identity::user::{Owner, User};
use emx::tenancy::by::By;
use emx::tenancy::permission::Role;
use serde_json::json;

fn role(role: Role) -> AccountChange {
    AccountChange { role: Some(role), ..AccountChange::default() }
}

fn disabled() -> AccountChange {
    AccountChange { disabled: Some(true), ..AccountChange::default() }
}

/// Somebody with that role who signed in at `acme`.
fn as_somebody(world: &World, email: &str, role: Role) -> (Account, By) {
    let account = world.user(email, role);
    let signed_in = world.try_sign_in(email, PASSWORD, None, NOW_MS).unwrap();
    (account, world.who(&signed_in, NOW_MS))
}

fn change(
    world: &World,
    by: &By,
    user: &Account,
    change: &AccountChange,
) -> Result<Account, AccountError> {
    world.identity.change_account(&world.acme.id, &user.id, change, by, |_| true, NOW_MS)
}

fn remove(world: &World, by: &By, user: &Account) -> Result<(), AccountError> {
    world.identity.remove_user(&world.acme.id, &user.id, by, |_| true, NOW_MS)
}

fn owner(world: &World) -> Account {
    let email = Email::parse(EMAIL).unwrap();
    world.identity.user_by_email(&world.acme.id, &email).unwrap()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, AccountError>, code: &str) {
    assert_eq!(outcome.unwrap_err().code(), code);
}

#[test]
fn nobody_decides_about_whoever_may_more_nor_gives_away_more() {
    let world = World::new();
    let identity = &world.identity;
    let (owner, tenant) = (owner(&world), &world.acme.id);
    let (_, admin) = as_somebody(&world, "admin@example.org", Role::Admin);
    let member = world.user("member@example.org", Role::Member);
    refused(change(&world, &admin, &owner, &role(Role::Viewer)), "role_too_high");
    refused(change(&world, &admin, &owner, &disabled()), "role_too_high");
    refused(remove(&world, &admin, &owner), "role_too_high");
    refused(change(&world, &admin, &member, &role(Role::Owner)), "role_too_high");
    refused(change(&world, &admin, &member, &role(Role::Ingest)), "invalid_role");
    let reset = identity.reset_link(tenant, &owner.id, &admin, NOW_MS);
    assert_eq!(reset.unwrap_err().code(), "role_too_high");
    refused(identity.reset_otp(tenant, &owner.id, &admin, NOW_MS), "role_too_high");
    let new = |role| NewUser::plain(Email::parse("new@example.org").unwrap(), role);
    let invited = identity.invite(tenant, &new(Role::Owner), &admin, NOW_MS);
    assert_eq!(invited.unwrap_err().code(), "role_too_high");
    refused(identity.create_account(tenant, &new(Role::Owner), &admin, NOW_MS), "role_too_high");
    refused(identity.create_account(tenant, &new(Role::Ingest), &admin, NOW_MS), "invalid_role");
    // Nor about anybody elsewhere.
    let other = &world.other.id;
    refused(identity.create_account(other, &new(Role::Viewer), &admin, NOW_MS), "role_too_high");
    let foreign = identity.change_account(other, &member.id, &disabled(), &admin, |_| true, NOW_MS);
    refused(foreign, "user_not_found");

    change(&world, &admin, &member, &role(Role::Admin)).unwrap();
    identity.invite(tenant, &new(Role::Admin), &admin, NOW_MS).unwrap();
    assert_eq!(identity.list_of(tenant).unwrap().len(), 4);
}

#[test]
fn who_administers_the_platform_is_the_business_of_those_who_do() {
    let world = World::new();
    let tenant = &world.acme.id;
    let email = Email::parse("platform@example.org").unwrap();
    let password = Password::choose(PASSWORD, &email, "acme").unwrap().hash().unwrap();
    let platform = Owner { email, password, platform: true };
    let platform = User::owner(tenant.clone(), platform, NOW_MS);
    let creation = platform.creation_by(&By::operator()).unwrap();
    assert!(world.platform.write(&creation.expect, &creation.writes).unwrap());
    let platform = Account::from(platform);
    let signed_in = world.sign_in(NOW_MS);
    let owner = world.who(&signed_in, NOW_MS);
    refused(change(&world, &owner, &platform, &disabled()), "role_too_high");
    let reset = world.identity.reset_link(tenant, &platform.id, &owner, NOW_MS);
    assert_eq!(reset.unwrap_err().code(), "role_too_high");

    let operator = By::operator();
    refused(change(&world, &operator, &platform, &disabled()), "last_platform_administrator");
    refused(remove(&world, &operator, &platform), "last_platform_administrator");
    let themselves = world.try_sign_in("platform@example.org", PASSWORD, None, NOW_MS).unwrap();
    let themselves = world.who(&themselves, NOW_MS);
    change(&world, &themselves, &signed_in.user, &disabled()).unwrap();
}

#[test]
fn the_last_owner_who_can_sign_in_stays() {
    let world = World::new();
    let operator = By::operator();
    let (first, tenant) = (owner(&world), &world.acme.id);
    let invited = NewUser::plain(Email::parse("second@example.org").unwrap(), Role::Owner);
    let link = world.identity.invite(tenant, &invited, &operator, NOW_MS).unwrap();
    for by in [&operator, &world.who(&world.sign_in(NOW_MS), NOW_MS)] {
        refused(change(&world, by, &first, &role(Role::Admin)), "last_owner");
        refused(change(&world, by, &first, &disabled()), "last_owner");
        refused(remove(&world, by, &first), "last_owner");
    }
    world.sign_in(NOW_MS);
    world.identity.accept(&world.tenancy, &link.token, PASSWORD, None, &NOWHERE, NOW_MS).unwrap();
    change(&world, &operator, &first, &role(Role::Admin)).unwrap();
    refused(remove(&world, &operator, &link.user), "last_owner");
    change(&world, &operator, &first, &role(Role::Owner)).unwrap();
    change(&world, &operator, &first, &disabled()).unwrap();
    refused(remove(&world, &operator, &link.user), "last_owner");
    remove(&world, &operator, &first).unwrap();
}

#[test]
fn two_owners_do_not_remove_each_other() {
    let world = World::new();
    let second = world.user("second@example.org", Role::Owner);
    let first = owner(&world);
    let removed = std::thread::scope(|scope| {
        let tries = [&first, &second].map(|user| {
            let world = &world;
            scope.spawn(move || remove(world, &By::operator(), user).is_ok())
        });
        tries.map(|tried| tried.join().unwrap())
    });
    assert_eq!(removed.iter().filter(|removed| **removed).count(), 1);
}

#[test]
fn another_role_counts_at_once_and_another_name_ends_nothing() {
    let world = World::new();
    let (member, _) = as_somebody(&world, "member@example.org", Role::Member);
    let operator = By::operator();
    let sign_in = || world.try_sign_in("member@example.org", PASSWORD, None, NOW_MS).unwrap();
    let session = sign_in();
    let names = |names: &[&str]| AccountChange {
        reported_as: Some(names.iter().map(ToString::to_string).collect()),
        ..AccountChange::default()
    };
    let named = change(&world, &operator, &member, &names(&["mk", "m.kraft", "mk"])).unwrap();
    assert_eq!(named.reported_as, ["m.kraft", "mk"]);
    refused(change(&world, &operator, &member, &names(&[""])), "invalid_reported_as");
    let same = change(&world, &operator, &member, &role(Role::Member)).unwrap();
    assert_eq!(same, named);
    world.identity.verify(&session.access_token, NOW_MS).unwrap();

    change(&world, &operator, &member, &role(Role::Viewer)).unwrap();
    let ended = world.identity.verify(&session.access_token, NOW_MS);
    assert_eq!(ended, Err(TokenError::Revoked));
    assert!(world.refresh(&session.refresh_token, NOW_MS).is_err());
    let stale = world.identity.change_account(
        &world.acme.id,
        &member.id,
        &role(Role::Owner),
        &operator,
        |user| user.role == Role::Member,
        NOW_MS,
    );
    assert!(matches!(stale, Err(AccountError::Stale)));
    let world = world.restarted();
    let kept = world.identity.user(&world.acme.id, &member.id).unwrap();
    assert_eq!((kept.role, kept.reported_as), (Role::Viewer, named.reported_as));
}

#[test]
fn whoever_is_removed_is_out_at_once_and_the_address_is_free() {
    let world = World::new();
    let (member, _) = as_somebody(&world, "member@example.org", Role::Member);
    let session = world.try_sign_in("member@example.org", PASSWORD, None, NOW_MS).unwrap();
    let operator = By::operator();
    let stale =
        world.identity.remove_user(&world.acme.id, &member.id, &operator, |_| false, NOW_MS);
    assert!(matches!(stale, Err(AccountError::Stale)));
    remove(&world, &operator, &member).unwrap();
    let ended = world.identity.verify(&session.access_token, NOW_MS);
    assert_eq!(ended, Err(TokenError::Revoked));
    assert!(world.try_sign_in("member@example.org", PASSWORD, None, NOW_MS).is_err());
    refused(remove(&world, &operator, &member), "user_not_found");
    let again = world.user("Member@example.org", Role::Viewer);
    assert_ne!(again.id, member.id);
    assert!(world.identity.user(&world.acme.id, &member.id).is_err());
}

#[test]
fn pages_of_users_are_whole_and_in_order() {
    let world = World::new();
    for n in 0..7 {
        let email = Email::parse(&format!("user{n}@example.org")).unwrap();
        let new = NewUser::plain(email, Role::Viewer);
        let operator = By::operator();
        world.identity.create_account(&world.acme.id, &new, &operator, NOW_MS).unwrap();
    }
    let whole = world.identity.list_of(&world.acme.id).unwrap();
    let mut paged: Vec<Account> = Vec::new();
    loop {
        let after = paged.last().map(|user| user.email.folded());
        let page = world.identity.page_of(&world.acme.id, after.as_deref(), 3).unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, whole);
    assert_eq!(paged.len(), 8);
}

#[test]
fn the_audit_log_tells_every_act_and_no_secret() {
    let world = World::new();
    let (identity, tenant, by) = (&world.identity, &world.acme.id, By::operator());
    let new = NewUser::plain(Email::parse("kim@example.org").unwrap(), Role::Member);
    let link = identity.invite(tenant, &new, &by, NOW_MS).unwrap();
    identity.accept(&world.tenancy, &link.token, PASSWORD, None, &NOWHERE, NOW_MS).unwrap();
    let user = &link.user.id;
    identity.reset_link(tenant, user, &by, NOW_MS).unwrap();
    change(&world, &by, &link.user, &role(Role::Viewer)).unwrap();
    change(&world, &by, &link.user, &disabled()).unwrap();
    identity.reset_otp(tenant, user, &by, NOW_MS).unwrap();
    let team = identity.create_team(tenant, "Platform", &[], &by, NOW_MS).unwrap();
    identity.remove_team(tenant, &team.id, &by, |_| true, NOW_MS).unwrap();
    remove(&world, &by, &link.user).unwrap();
    refused(remove(&world, &by, &link.user), "user_not_found");
    let entries = world.tenancy.log().page(tenant.as_str(), None, 9).unwrap();
    let told: Vec<&str> = entries.iter().rev().map(|entry| &*entry.event.action).collect();
    let expected = [
        "user.invite",
        "user.accept",
        "user.reset",
        "user.change",
        "user.disable",
        "otp.reset",
        "team.create",
        "team.remove",
        "user.remove",
    ];
    assert_eq!(told, expected);
    assert_eq!(entries[7].event.actor, format!("user:{user}"));
    let text = serde_json::to_string(&entries).unwrap();
    assert!(text.contains("kim@example.org"), "{text}");
    for secret in [&link.token[20..], PASSWORD, "argon2"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn nobody_sees_or_ends_sessions_of_whoever_may_more() {
    let world = World::new();
    let (identity, tenant) = (&world.identity, &world.acme.id);
    let (boss, session) = (owner(&world), world.sign_in(NOW_MS));
    let (me, admin) = as_somebody(&world, "admin@example.org", Role::Admin);
    let (member, _) = as_somebody(&world, "member@example.org", Role::Member);
    let of = |user: &Account| identity.sessions_of(tenant, &user.id, &admin.principal, NOW_MS);
    let end = |user: &Account, family: &str| {
        identity.end_session_of(tenant, &user.id, family, &admin, NOW_MS)
    };
    let end_all = |user: &Account| identity.end_sessions_of(tenant, &user.id, &admin, NOW_MS);
    refused(of(&boss), "role_too_high");
    refused(end(&boss, &session.session.id), "role_too_high");
    refused(end_all(&boss), "role_too_high");
    identity.verify(&session.access_token, NOW_MS).unwrap();
    let theirs = of(&member).unwrap();
    assert!(end(&member, &theirs[0].id).unwrap());
    end_all(&member).unwrap();
    assert_eq!(of(&me).unwrap().len(), 1);
    end_all(&me).unwrap();
}

#[test]
fn nobody_resets_oneself() {
    let world = World::new();
    let (identity, tenant) = (&world.identity, &world.acme.id);
    let (me, admin) = as_somebody(&world, "admin@example.org", Role::Admin);
    let link = identity.reset_link(tenant, &me.id, &admin, NOW_MS);
    assert_eq!(link.unwrap_err().code(), "oneself");
    refused(identity.reset_otp(tenant, &me.id, &admin, NOW_MS), "oneself");
    let (other, _) = as_somebody(&world, "other@example.org", Role::Admin);
    identity.reset_link(tenant, &other.id, &admin, NOW_MS).unwrap();
    identity.reset_otp(tenant, &other.id, &admin, NOW_MS).unwrap();
}

#[test]
fn a_key_with_networks_or_an_expiry_makes_no_way_in_without() {
    let world = World::new();
    let (identity, tenant) = (&world.identity, &world.acme.id);
    let member = world.user("member@example.org", Role::Member);
    let provider = add(&world, &world.acme, &json!({}));
    let key = |expires_ms, networks: &[&str]| {
        let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
        let networks = KeyNetworks::parse(&networks).unwrap();
        let new = NewApiKey { name: "k".into(), role: Role::Admin, expires_ms, networks };
        let made = identity.api_keys().create(tenant, new, &By::operator(), NOW_MS).unwrap();
        let here = client("192.0.2.1", "curl");
        by(&identity.authenticate_key(&made.text, here, NOW_MS).unwrap())
    };
    let invite = |by: &By, email: &str| {
        let new = NewUser::plain(Email::parse(email).unwrap(), Role::Viewer);
        identity.invite(tenant, &new, by, NOW_MS).map_err(|error| error.code())
    };
    for bound in [key(Some(NOW_MS + 1), &[]), key(None, &["192.0.2.0/24"])] {
        assert_eq!(invite(&bound, "x@example.org").unwrap_err(), "key_is_bound");
        let link = identity.reset_link(tenant, &member.id, &bound, NOW_MS);
        assert_eq!(link.unwrap_err().code(), "key_is_bound");
        refused(identity.reset_otp(tenant, &member.id, &bound, NOW_MS), "key_is_bound");
        let (email, password) = (Email::parse("x@example.org").unwrap(), Password::random());
        let made = identity.create_user(tenant, &email, Role::Viewer, &password, &bound, NOW_MS);
        refused(made, "key_is_bound");
        let drafted = || draft(&world.acme, &json!({ "name": "Own", "roles": {} }));
        let provided = identity.add_sso_provider(tenant, drafted().unwrap(), &bound, NOW_MS);
        assert_eq!(provided.unwrap_err().code(), "key_is_bound");
        let known = &provider.provider.id;
        let changed = identity.change_sso_provider(tenant, known, |_| drafted(), &bound, NOW_MS);
        assert_eq!(changed.unwrap_err().code(), "key_is_bound");
        // What is no way in it may do.
        change(&world, &bound, &member, &AccountChange::default()).unwrap();
    }
    let free = key(None, &[]);
    invite(&free, "x@example.org").unwrap();
    identity.reset_link(tenant, &member.id, &free, NOW_MS).unwrap();
}
