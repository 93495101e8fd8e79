//! Signing in, and what an administrator does to users.

use crate::meddled;
use crate::world::{EMAIL, NOBODY, NOW_MS, PASSWORD, World, by, client, credentials};
use emx::audit::AuditLog;
use emx::identity::Identity;
use emx::identity::account::AccountError;
use emx::identity::email::Email;
use emx::identity::login::{ChangePasswordError, Credentials, LoginError};
use emx::identity::password::Password;
use emx::identity::secret::MasterKey;
use emx::identity::session::SessionError;
use emx::identity::settings::IdentitySettings;
use emx::identity::throttle::Refused;
use emx::identity::token::TokenError;
use emx::tenancy::by::By;
use emx::tenancy::permission::Role;
use emx::tenancy::scope::Principal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use storage::engine::{Expect, TableEntry, TableWrite, Tables};
use storage::error::StoreError;

fn attempt(world: &World, tenant: &str, email: &str, password: &str) -> Result<(), LoginError> {
    let credentials = credentials(tenant, email, password);
    world.identity.login(&world.tenancy, &credentials, NOW_MS).map(|_| ())
}

#[test]
fn every_refusal_is_the_same_and_costs_the_same() {
    let world = World::new();
    let email = Email::parse("gone@example.org").unwrap();
    let password = Password::choose(PASSWORD, &email, "acme").unwrap();
    let gone = world.identity.create_user(
        &world.acme.id,
        &email,
        Role::Viewer,
        &password,
        &By::operator(),
        NOW_MS,
    );
    world
        .identity
        .disable_user(&world.acme.id, &gone.unwrap().id, &By::operator(), NOW_MS)
        .unwrap();
    let mut messages = Vec::new();
    for (tenant, email, password) in [
        ("acme", EMAIL, "wrong horse battery"),
        ("acme", EMAIL, ""),
        ("acme", "nobody@example.org", PASSWORD),
        ("acme", "gone@example.org", PASSWORD),
        ("nowhere", EMAIL, PASSWORD),
        ("No Such Name!", EMAIL, PASSWORD),
        ("acme", "not an address", PASSWORD),
        ("", "", ""),
    ] {
        let before = world.identity.password_hashes();
        let error = attempt(&world, tenant, email, password).unwrap_err();
        assert_eq!(world.identity.password_hashes() - before, 1, "{tenant} {email}");
        assert_eq!(error.code(), "invalid_credentials");
        messages.push(error.to_string());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1);
    let before = world.identity.password_hashes();
    attempt(&world, "acme", &EMAIL.to_uppercase(), PASSWORD).unwrap();
    assert_eq!(world.identity.password_hashes() - before, 1);
}

/// Counts what is read of the platform's tables, and what is written.
#[derive(Debug)]
struct Counting {
    tables: Arc<dyn Tables>,
    counts: Mutex<(usize, usize)>,
}

impl Tables for Counting {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.counts.lock().unwrap().0 += 1;
        self.tables.get(table, key)
    }

    fn list(
        &self,
        table: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<TableEntry>, StoreError> {
        self.counts.lock().unwrap().0 += 1;
        self.tables.list(table, prefix, after, limit)
    }

    fn write(&self, expect: &[Expect], writes: &[TableWrite]) -> Result<bool, StoreError> {
        self.counts.lock().unwrap().1 += 1;
        self.tables.write(expect, writes)
    }
}

#[test]
fn whoever_is_not_there_is_looked_for_as_one_who_is() {
    let world = World::new();
    let tables = Arc::clone(&world.platform);
    let counting = Arc::new(Counting { tables, counts: Mutex::default() });
    let platform: Arc<dyn Tables> = Arc::<Counting>::clone(&counting);
    let master = MasterKey::load_or_make(world.dir.path()).unwrap();
    let log = Arc::new(AuditLog::new(platform));
    let identity = Identity::start(log, master, &IdentitySettings::default(), NOW_MS).unwrap();
    let here = client("192.0.2.1", "curl");
    let mut costs = Vec::new();
    for (tenant, email) in [
        ("acme", EMAIL),
        ("acme", "nobody@example.org"),
        ("acme", "no address"),
        ("other", EMAIL),
        ("nowhere", EMAIL),
        ("No Such Name!", "no address"),
        ("", ""),
    ] {
        let guess = credentials(tenant, email, "wrong horse battery");
        let guess = Credentials { client: here, ..guess };
        let (hashes, counts) = (identity.password_hashes(), *counting.counts.lock().unwrap());
        identity.login(&world.tenancy, &guess, NOW_MS).unwrap_err();
        let (reads, writes) = *counting.counts.lock().unwrap();
        costs.push((identity.password_hashes() - hashes, reads - counts.0, writes - counts.1));
    }
    let first = costs[0];
    assert!(first.0 == 1 && first.1 >= 2 && first.2 == 0, "{costs:?}");
    assert!(costs.iter().all(|cost| *cost == first), "{costs:?}");
}

#[test]
fn after_ten_failures_nothing_is_hashed_and_a_tenant_that_is_not_there_is_no_different() {
    let world = World::new();
    for (tenant, louder) in [("acme", "ACME"), ("nowhere", "NoWhere")] {
        for typed in [tenant, louder].into_iter().cycle().take(10) {
            attempt(&world, typed, EMAIL, "wrong horse battery").unwrap_err();
        }
        let before = world.identity.password_hashes();
        let error = attempt(&world, tenant, EMAIL, PASSWORD).unwrap_err();
        assert!(
            matches!(error, LoginError::TooManyAttempts(Refused { limit: 10, retry_after_s: 300 })),
            "{error}"
        );
        assert_eq!(error.code(), "too_many_attempts");
        assert_eq!(world.identity.password_hashes(), before);
    }
    let later = credentials("acme", EMAIL, PASSWORD);
    world.identity.login(&world.tenancy, &later, NOW_MS + 300_000).unwrap();
}

#[test]
fn parallel_attempts_are_no_more_than_others() {
    let world = World::new();
    let before = world.identity.password_hashes();
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| attempt(&world, "acme", EMAIL, "wrong horse battery").unwrap_err());
        }
    });
    assert_eq!(world.identity.password_hashes() - before, 10);
}

#[test]
fn an_address_has_fifty_failures_whatever_it_tries() {
    let world = World::new();
    let (here, near) = (client("2001:db8::1", "curl"), client("2001:db8::2:1", "curl"));
    for n in 0..50 {
        let email = format!("{n}@example.org");
        let guess = Credentials { client: here, ..credentials("acme", &email, PASSWORD) };
        world.identity.login(&world.tenancy, &guess, NOW_MS).unwrap_err();
    }
    let guess = |client| {
        let right = Credentials { client, ..credentials("acme", EMAIL, PASSWORD) };
        world.identity.login(&world.tenancy, &right, NOW_MS).map(|_| ())
    };
    assert_eq!(guess(near).unwrap_err().code(), "too_many_attempts");
    guess(NOBODY).unwrap();
    guess(client("192.0.2.1", "curl")).unwrap();
}

#[test]
fn what_somebody_tries_who_is_signed_in_counts_for_the_same_account() {
    let world = World::new();
    let me = world.sign_in(NOW_MS);
    let me = world.identity.authenticate_token(&me.access_token, NOBODY, NOW_MS).unwrap();
    let change = || {
        let (present, chosen) = ("wrong horse battery", "another fine day");
        let (identity, tenancy) = (&world.identity, &world.tenancy);
        identity.change_password(tenancy, &by(&me), present, chosen, NOW_MS).unwrap_err()
    };
    for _ in 0..5 {
        assert_eq!(change().code(), "invalid_credentials");
        attempt(&world, "acme", EMAIL, "wrong horse battery").unwrap_err();
    }
    assert_eq!(change().code(), "too_many_attempts");
    let refused = attempt(&world, "acme", EMAIL, PASSWORD).unwrap_err();
    assert_eq!(refused.code(), "too_many_attempts");
    attempt(&world, "other", EMAIL, PASSWORD).unwrap();
}

#[test]
fn a_new_password_is_the_only_one_and_ends_the_other_sessions() {
    let world = World::new();
    let (mine, elsewhere) = (world.sign_in(NOW_MS), world.sign_in(NOW_MS));
    let me = world.identity.authenticate_token(&mine.access_token, NOBODY, NOW_MS).unwrap();
    let change = |principal: &Principal, present: &str, chosen: &str| {
        world.identity.change_password(&world.tenancy, &by(principal), present, chosen, NOW_MS)
    };
    let wrong = change(&me, "wrong horse battery", "another fine day");
    assert_eq!(wrong.unwrap_err().code(), "invalid_credentials");
    for refused in ["short", "acme", "you@example.org", "Example.ORG", "password1234"] {
        let error = change(&me, PASSWORD, refused).unwrap_err();
        assert_eq!(error.code(), "invalid_password", "{refused}");
    }
    let nobody = change(&Principal::LocalOperator, PASSWORD, "another fine day");
    assert!(matches!(nobody, Err(ChangePasswordError::NoUser)));
    attempt(&world, "acme", EMAIL, PASSWORD).unwrap();

    change(&me, PASSWORD, "another fine day").unwrap();
    let world = world.restarted();
    attempt(&world, "acme", EMAIL, PASSWORD).unwrap_err();
    attempt(&world, "acme", EMAIL, "another fine day").unwrap();
    attempt(&world, "other", EMAIL, PASSWORD).unwrap();
    world.identity.verify(&mine.access_token, NOW_MS).unwrap();
    let ended = world.identity.verify(&elsewhere.access_token, NOW_MS);
    assert_eq!(ended, Err(TokenError::Revoked));
    assert!(world.refresh(&elsewhere.refresh_token, NOW_MS).is_err());
    world.refresh(&mine.refresh_token, NOW_MS).unwrap();
}

#[test]
fn whoever_is_kept_out_is_out_at_once_and_can_come_back() {
    let world = World::new();
    let tenant = &world.acme.id;
    let email = Email::parse("second@example.org").unwrap();
    let password = Password::choose(PASSWORD, &email, "acme").unwrap();
    let create = || {
        world.identity.create_user(tenant, &email, Role::Owner, &password, &By::operator(), NOW_MS)
    };
    let second = create().unwrap();
    assert!(matches!(create(), Err(AccountError::EmailTaken { .. })));
    let list = world.identity.list_of(tenant).unwrap();
    assert_eq!(list.iter().map(|u| u.email.as_str()).collect::<Vec<_>>(), [email.as_str(), EMAIL]);

    let signed_in = world.sign_in(NOW_MS);
    let elsewhere =
        world.identity.disable_user(&world.other.id, &signed_in.user.id, &By::operator(), NOW_MS);
    assert!(matches!(elsewhere, Err(AccountError::NotFound { .. })));
    world.identity.disable_user(tenant, &signed_in.user.id, &By::operator(), NOW_MS).unwrap();
    let ended = world.identity.verify(&signed_in.access_token, NOW_MS);
    assert_eq!(ended, Err(TokenError::Revoked));
    attempt(&world, "acme", EMAIL, PASSWORD).unwrap_err();
    let last = world.identity.disable_user(tenant, &second.id, &By::operator(), NOW_MS);
    assert!(matches!(last, Err(AccountError::LastOwner { .. })));

    world.identity.enable_user(tenant, &signed_in.user.id, &By::operator(), NOW_MS).unwrap();
    let again = world.sign_in(NOW_MS);
    let chosen = Password::choose("another fine day", &again.user.email, "acme").unwrap();
    world.identity.set_password(tenant, &again.user.id, &chosen, &By::operator(), NOW_MS).unwrap();
    assert!(world.identity.verify(&again.access_token, NOW_MS).is_err());
    assert!(world.refresh(&again.refresh_token, NOW_MS).is_err());
    let ingest = world.identity.create_user(
        tenant,
        &email,
        Role::Ingest,
        &password,
        &By::operator(),
        NOW_MS,
    );
    assert!(matches!(ingest, Err(AccountError::Role { .. })));
}

#[test]
fn a_password_that_was_hashed_otherwise_is_hashed_anew_when_it_is_typed() {
    let world = World::new();
    let id = world.sign_in(NOW_MS).user.id;
    set(&*world.platform, &id, "password", weak_hash(PASSWORD).into());
    let kept = || {
        let bytes = world.platform.get("users", id.as_bytes()).unwrap().unwrap();
        String::from_utf8(bytes).unwrap()
    };
    attempt(&world, "acme", EMAIL, "wrong horse battery").unwrap_err();
    assert!(kept().contains("m=8192"));
    attempt(&world, "acme", EMAIL, PASSWORD).unwrap();
    assert!(kept().contains("m=19456,t=2,p=1"));
    attempt(&world, "acme", EMAIL, PASSWORD).unwrap();
}

/// The next sign-in may be the one that is to be kept out by what was just done.
#[test]
fn whoever_is_disabled_while_the_password_is_hashed_anew_is_not_let_in() {
    let world = World::new();
    let signed_in = world.sign_in(NOW_MS);
    let id = signed_in.user.id.clone();
    set(&*world.platform, &id, "password", weak_hash(PASSWORD).into());
    let (user, done) = (id.clone(), AtomicBool::new(false));
    let identity = meddled::identity(&world, move |tables, writes| {
        if meddled::is_of(writes, "users") && !done.swap(true, Ordering::Relaxed) {
            set(tables, &user, "disabled", true.into());
        }
        Ok(())
    });
    let sessions = || world.identity.sessions(&id, NOW_MS).unwrap().len();
    let before = sessions();
    let credentials = credentials("acme", EMAIL, PASSWORD);
    let refused = identity.login(&world.tenancy, &credentials, NOW_MS).unwrap_err();
    assert!(matches!(refused, LoginError::Session(SessionError::Contended)), "{refused:?}");
    assert_eq!(sessions(), before);
    assert!(world.identity.user(&world.acme.id, &id).unwrap().disabled);
}

/// Sets a member of a user's record as somebody else would.
fn set(tables: &dyn Tables, id: &str, member: &str, value: serde_json::Value) {
    let stored = tables.get("users", id.as_bytes()).unwrap().unwrap();
    let mut record: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    record[member] = value;
    let write = emx::tenancy::record::put("users", id.as_bytes(), record.to_string().into_bytes());
    assert!(tables.write(&[], &[write]).unwrap());
}

fn weak_hash(password: &str) -> String {
    use argon2::password_hash::PasswordHasher;
    let params = argon2::Params::new(8192, 1, 1, None).unwrap();
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    argon2.hash_password(password.as_bytes()).unwrap().to_string()
}
