//! Creation and its recovery, killed at every call of the engine.

use super::*;
use crate::tenancy::fake::{Death, FakeEngine};
use crate::tenancy::life::TenantChange;
use crate::tenancy::permission::Role;
use crate::tenancy::row_policy::RowPolicy;
use std::sync::mpsc;
use std::time::Duration;

fn new(slug: &str) -> NewTenant {
    NewTenant { slug: Slug::parse(slug).unwrap(), time_zone: "UTC".into() }
}

fn create(tenancy: &Tenancy, slug: &str) -> Result<Tenant, TenancyError> {
    tenancy.create(new(slug), &By::operator(), 1_000, |_| Ok(Completion::default()))
}

fn slugs(tenancy: &Tenancy) -> Vec<String> {
    tenancy.list().unwrap().into_iter().map(|tenant| tenant.slug.into()).collect()
}

#[test]
fn a_created_tenant_is_listed_and_can_be_entered() {
    let engine = FakeEngine::default();
    let tenancy = Tenancy::start(engine.shared()).unwrap();
    create(&tenancy, "zebra").unwrap();
    let acme = create(&tenancy, "acme").unwrap();
    assert_eq!(slugs(&tenancy), ["acme", "zebra"]);
    let scope = tenancy.enter(&Principal::LocalOperator, "acme").unwrap();
    assert_eq!((scope.id(), scope.slug().as_str()), (&acme.id, "acme"));
    assert_eq!(tenancy.orphans().unwrap(), Vec::<String>::new());

    let again = Tenancy::start(engine.shared()).unwrap();
    assert_eq!(again.list().unwrap(), tenancy.list().unwrap());
}

#[test]
fn a_name_is_taken_once_and_an_unknown_one_is_not_found() {
    let tenancy = Tenancy::start(FakeEngine::default().shared()).unwrap();
    create(&tenancy, "acme").unwrap();
    assert!(matches!(create(&tenancy, "acme"), Err(TenancyError::SlugTaken { .. })));
    for slug in ["other", "", "../acme", "ACME"] {
        let outcome = tenancy.enter(&Principal::LocalOperator, slug);
        assert!(matches!(outcome, Err(TenancyError::NotFound { .. })), "{slug}");
    }
}

#[test]
fn the_zone_decides_the_grain_and_an_unknown_one_makes_nothing() {
    let engine = FakeEngine::default();
    let tenancy = Tenancy::start(engine.shared()).unwrap();
    let kolkata = NewTenant { time_zone: "Asia/Kolkata".into(), ..new("in") };
    let tenant =
        tenancy.create(kolkata, &By::operator(), 0, |_| Ok(Completion::default())).unwrap();
    assert_eq!(engine.settings(tenant.id.as_str()).unwrap().grain_minutes, 30);
    let nowhere = NewTenant { time_zone: "Nowhere".into(), ..new("no") };
    let outcome = tenancy.create(nowhere, &By::operator(), 0, |_| Ok(Completion::default()));
    assert!(matches!(outcome, Err(TenancyError::Zone { .. })));
    assert_eq!(engine.keyspaces().len(), 1);
}

#[test]
fn a_completion_that_cannot_be_leaves_nothing() {
    let engine = FakeEngine::default();
    let tenancy = Tenancy::start(engine.shared()).unwrap();
    let impossible = Expect { table: "users".into(), key: b"u".into(), value: Some(vec![1]) };
    let outcome = tenancy.create(new("acme"), &By::operator(), 0, |_| {
        Ok(Completion { expect: vec![impossible], ..Completion::default() })
    });
    assert!(matches!(outcome, Err(TenancyError::Conflict { .. })));
    assert_eq!((engine.keyspaces().len(), engine.platform_len()), (0, 0));
    create(&tenancy, "acme").unwrap();
}

#[test]
fn killed_at_any_call_a_tenant_is_there_whole_or_not_at_all() {
    let engine = FakeEngine::default();
    create(&Tenancy::start(engine.shared()).unwrap(), "acme").unwrap();
    let calls = engine.calls();
    assert!(calls >= 3, "creation takes at least three changing calls, not {calls}");
    for call in 0..=calls {
        for (takes_effect, recovers) in [(false, false), (true, false), (false, true), (true, true)]
        {
            check_death(Death { call, takes_effect, recovers });
        }
    }
}

/// Creates a tenant with an administrator, dying at `death`, starts again and dies at each call
/// of that recovery too; then everything or nothing must be there, and the name usable.
fn check_death(death: Death) {
    let world = || {
        let engine = FakeEngine::default();
        let tenancy = Tenancy::start(engine.shared()).unwrap();
        engine.die_at(Some(death));
        let outcome = tenancy.create(new("acme"), &By::operator(), 0, |tenant| {
            let user = put("users", tenant.id.as_str().as_bytes(), b"admin".to_vec());
            Ok(Completion { writes: vec![user], ..Completion::default() })
        });
        (engine, outcome.is_ok())
    };
    for second_call in 0..4 {
        let (engine, acknowledged) = world();
        engine.die_at(Some(Death { call: second_call, ..death }));
        let _killed_too = Tenancy::start(engine.shared());
        engine.die_at(None);
        let tenancy = Tenancy::start(engine.shared()).unwrap();
        let tenants = tenancy.list().unwrap();
        assert_eq!(tenancy.orphans().unwrap(), Vec::<String>::new(), "{death:?}");
        assert_eq!(engine.keyspaces().len(), tenants.len(), "{death:?}");
        assert_eq!(engine.platform_len(), 3 * tenants.len(), "{death:?}"); // record, slug, user
        if tenants.is_empty() {
            assert!(!acknowledged, "{death:?}: an acknowledged tenant is gone");
            create(&tenancy, "acme").unwrap();
        }
        tenancy.enter(&Principal::LocalOperator, "acme").unwrap();
    }
}

#[test]
fn a_step_that_fails_once_is_taken_again() {
    for takes_effect in [false, true] {
        let engine = FakeEngine::default();
        let tenancy = Tenancy::start(engine.shared()).unwrap();
        // The first call takes the name, the second makes the keyspace.
        engine.die_at(Some(Death { call: 1, takes_effect, recovers: true }));
        let made = create(&tenancy, "acme").unwrap();
        assert_eq!(engine.keyspaces(), BTreeSet::from([made.id.as_str().to_owned()]));
    }
}

#[test]
fn while_a_tenant_is_made_its_name_is_taken_and_others_are_changed() {
    let engine = FakeEngine::default();
    let tenancy = Tenancy::start(engine.shared()).unwrap();
    let other = create(&tenancy, "other").unwrap();
    let (go, gate) = mpsc::channel();
    engine.hold_creation(gate);
    std::thread::scope(|threads| {
        let making = threads.spawn(|| create(&tenancy, "acme"));
        while engine.platform_len() < 4 {
            std::thread::yield_now(); // until its record and its name are there
        }
        let (tell, told) = mpsc::channel();
        let (tenancy, other) = (&tenancy, &other);
        threads.spawn(move || {
            let change = TenantChange::to(TenantState::Suspended);
            let changed = tenancy.change(&other.slug, &change, |_| true, &By::operator(), 1);
            let again = create(tenancy, "acme");
            tell.send((changed.is_ok(), matches!(again, Err(TenancyError::SlugTaken { .. }))))
        });
        let told = told.recv_timeout(Duration::from_secs(10));
        go.send(()).unwrap();
        making.join().unwrap().unwrap();
        assert_eq!(told, Ok((true, true)));
    });
    assert_eq!(slugs(&tenancy), ["acme", "other"]);
    tenancy.enter(&Principal::LocalOperator, "acme").unwrap();
}

fn user(tenant: &Tenant, platform: bool) -> Principal {
    Principal::User {
        user_id: "someone".into(),
        tenant_id: tenant.id.clone(),
        role: Role::Owner,
        platform,
        family: "session".into(),
        token_id: "token".into(),
        issued_ms: 0,
    }
}

#[test]
fn a_principal_enters_its_own_tenant_and_sees_no_other() {
    let tenancy = Tenancy::start(FakeEngine::default().shared()).unwrap();
    let (acme, other) = (create(&tenancy, "acme").unwrap(), create(&tenancy, "other").unwrap());
    let tenant_id = acme.id.clone();
    let key = Principal::ApiKey { key_id: "key".into(), tenant_id, role: Role::Owner };
    for principal in [user(&acme, false), key] {
        assert_eq!(tenancy.enter_own(&principal).unwrap().id(), &acme.id);
        let scope = tenancy.enter(&principal, "acme").unwrap();
        assert_eq!((scope.principal(), scope.policy()), (&principal, &RowPolicy::all_rows()));
        let there = tenancy.enter(&principal, "other").unwrap_err();
        let nowhere = tenancy.enter(&principal, "nowhere").unwrap_err();
        assert_eq!(there.to_string().replace("other", "nowhere"), nowhere.to_string());
        assert_eq!(there.code(), nowhere.code());
    }
    assert_eq!(tenancy.enter(&user(&acme, true), "other").unwrap().id(), &other.id);
    let homeless = tenancy.enter_own(&Principal::LocalOperator);
    assert!(matches!(homeless, Err(TenancyError::Unnamed)));
}

#[test]
fn whoever_belongs_to_a_tenant_that_is_gone_enters_nothing() {
    let engine = FakeEngine::default();
    let tenancy = Tenancy::start(engine.shared()).unwrap();
    let acme = create(&tenancy, "acme").unwrap();
    let elsewhere = Tenancy::start(FakeEngine::default().shared()).unwrap();
    create(&elsewhere, "acme").unwrap();
    for outcome in
        [elsewhere.enter_own(&user(&acme, false)), elsewhere.enter(&user(&acme, false), "acme")]
    {
        assert!(matches!(outcome, Err(TenancyError::NotFound { .. })));
    }
}

#[test]
fn a_tenant_whose_last_commit_was_in_doubt_can_be_entered_once_it_is_known() {
    let engine = FakeEngine::default();
    let tenancy = Tenancy::start(engine.shared()).unwrap();
    let last = {
        engine.die_at(None);
        create(&tenancy, "first").unwrap();
        engine.calls() - 1
    };
    engine.die_at(Some(Death { call: last, takes_effect: true, recovers: false }));
    assert!(create(&tenancy, "acme").is_err());
    engine.die_at(None);
    assert!(matches!(create(&tenancy, "acme"), Err(TenancyError::SlugTaken { .. })));
    tenancy.enter(&Principal::LocalOperator, "acme").unwrap();
}
