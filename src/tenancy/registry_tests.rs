//! Creation and its recovery, killed at every call of the engine.

use super::*;
use crate::tenancy::fake::{Death, FakeEngine};

fn new(slug: &str) -> NewTenant {
    NewTenant { slug: Slug::parse(slug).unwrap(), time_zone: "UTC".into() }
}

fn create(tenancy: &Tenancy, slug: &str) -> Result<Tenant, TenancyError> {
    tenancy.create(new(slug), 1_000, |_| Ok(Completion::default()))
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
    let tenant = tenancy.create(kolkata, 0, |_| Ok(Completion::default())).unwrap();
    assert_eq!(engine.settings(tenant.id.as_str()).unwrap().grain_minutes, 30);
    let nowhere = NewTenant { time_zone: "Nowhere".into(), ..new("no") };
    let outcome = tenancy.create(nowhere, 0, |_| Ok(Completion::default()));
    assert!(matches!(outcome, Err(TenancyError::Zone { .. })));
    assert_eq!(engine.keyspaces().len(), 1);
}

#[test]
fn a_completion_that_cannot_be_leaves_nothing() {
    let engine = FakeEngine::default();
    let tenancy = Tenancy::start(engine.shared()).unwrap();
    let impossible = Expect { table: "users".into(), key: b"u".into(), value: Some(vec![1]) };
    let outcome = tenancy
        .create(new("acme"), 0, |_| Ok(Completion { expect: vec![impossible], writes: vec![] }));
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
        let outcome = tenancy.create(new("acme"), 0, |tenant| {
            let user = put("users", tenant.id.as_str().as_bytes(), b"admin".to_vec());
            Ok(Completion { expect: vec![], writes: vec![user] })
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
