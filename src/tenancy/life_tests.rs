//! Suspension and deletion, killed at every call of the engine.

use super::*;
use crate::tenancy::fake::{Death, FakeEngine};
use crate::tenancy::registry::NewTenant;
use crate::tenancy::scope::Principal;

fn slug() -> Slug {
    Slug::parse("acme").unwrap()
}

fn with_tenant(engine: &FakeEngine) -> Tenancy {
    let tenancy = Tenancy::start(engine.shared()).unwrap();
    let new = NewTenant { slug: slug(), time_zone: "UTC".into() };
    tenancy.create(new, &By::operator(), 0, |_| Ok(Completion::default())).unwrap();
    tenancy
}

fn turn(tenancy: &Tenancy, to: TenantState, now_ms: TimeMs) -> Result<Tenant, TenancyError> {
    tenancy.change(&slug(), &TenantChange::to(to), |_| true, &By::operator(), now_ms)
}

fn enters(tenancy: &Tenancy) -> bool {
    tenancy.enter(&Principal::LocalOperator, "acme").is_ok()
}

#[test]
fn a_suspended_tenant_is_entered_by_nobody_until_it_is_resumed() {
    let engine = FakeEngine::default();
    let tenancy = with_tenant(&engine);
    assert!(enters(&tenancy));
    turn(&tenancy, TenantState::Deleting, 1).unwrap();
    let refused = turn(&tenancy, TenantState::Active, 2); // what ends does not come back
    assert_eq!(refused.unwrap_err().code(), "invalid_state");
    assert!(!enters(&tenancy));

    let engine = FakeEngine::default();
    let tenancy = with_tenant(&engine);
    for _ in 0..2 {
        let suspended = turn(&tenancy, TenantState::Suspended, 1).unwrap();
        assert_eq!(suspended.state, TenantState::Suspended);
        assert!(!enters(&tenancy) && !enters(&Tenancy::start(engine.shared()).unwrap()));
    }
    let refused = tenancy.enter(&Principal::LocalOperator, "acme").unwrap_err();
    assert_eq!(refused.code(), "tenant_suspended");
    assert_eq!(tenancy.list().unwrap().len(), 1);
    turn(&tenancy, TenantState::Active, 2).unwrap();
    assert!(enters(&tenancy) && enters(&Tenancy::start(engine.shared()).unwrap()));
    let nowhere = Slug::parse("nowhere").unwrap();
    let suspended = TenantChange::to(TenantState::Suspended);
    let refused = tenancy.change(&nowhere, &suspended, |_| true, &By::operator(), 3).unwrap_err();
    assert_eq!(refused.code(), "tenant_not_found");
}

#[test]
fn who_is_let_in_again_is_let_in_although_nobody_knew_whether_it_was_kept_out() {
    for takes_effect in [false, true] {
        let engine = FakeEngine::default();
        let tenancy = with_tenant(&engine);
        engine.die_at(Some(Death { call: 0, takes_effect, recovers: false }));
        let unknown = turn(&tenancy, TenantState::Suspended, 1).unwrap_err();
        assert!(matches!(unknown, TenancyError::Store(StoreError::OutcomeUnknown { .. })));
        engine.die_at(None);
        assert!(!enters(&tenancy), "keeping out is the safe side");
        let resumed = turn(&tenancy, TenantState::Active, 2).unwrap();
        assert_eq!((resumed.state, enters(&tenancy)), (TenantState::Active, true));
    }
}

/// The whole of a deletion, as its caller does it.
fn delete_tenant(tenancy: &Tenancy) -> Result<(), TenancyError> {
    let tenant = turn(tenancy, TenantState::Deleting, 1)?;
    tenancy.finish_deletion(&tenant, 2)
}

#[test]
fn killed_at_any_call_a_deletion_is_not_begun_or_is_finished_later() {
    let engine = FakeEngine::default();
    let tenancy = with_tenant(&engine);
    let before = engine.calls();
    delete_tenant(&tenancy).unwrap();
    assert_eq!((engine.keyspaces().len(), engine.platform_len()), (0, 0));
    let calls = engine.calls() - before;
    assert!(calls >= 3, "{calls}");
    for call in 0..=calls {
        for (takes_effect, recovers) in [(false, false), (true, false), (false, true), (true, true)]
        {
            let engine = FakeEngine::default();
            let tenancy = with_tenant(&engine);
            let death = Death { call, takes_effect, recovers };
            engine.die_at(Some(death));
            let acknowledged = delete_tenant(&tenancy).is_ok();
            engine.die_at(None);
            let tenancy = Tenancy::start(engine.shared()).unwrap();
            let begun = tenancy.deletions().unwrap();
            for tenant in &begun {
                assert!(!enters(&tenancy), "{death:?}");
                tenancy.finish_deletion(tenant, 3).unwrap();
            }
            let left = tenancy.list().unwrap();
            assert_eq!(engine.keyspaces().len(), left.len(), "{death:?}");
            assert_eq!(engine.platform_len(), 2 * left.len(), "{death:?}");
            assert!(left.is_empty() || !acknowledged, "{death:?}");
            assert_eq!(enters(&tenancy), !left.is_empty(), "{death:?}");
            if left.is_empty() {
                let new = NewTenant { slug: slug(), time_zone: "UTC".into() };
                tenancy.create(new, &By::operator(), 4, |_| Ok(Completion::default())).unwrap();
            }
        }
    }
}

#[test]
fn a_tenant_is_changed_by_who_saw_it_as_it_is() {
    let engine = FakeEngine::default();
    let (tenancy, by) = (with_tenant(&engine), By::operator());
    let named = |name: &str| TenantChange {
        display_name: Some(DisplayName::parse(name).ok()),
        ..TenantChange::default()
    };
    let seen = tenancy.find("acme").unwrap();
    let changed = tenancy.change(&slug(), &named("Acme"), |now| *now == seen, &by, 1).unwrap();
    assert_eq!(changed.display_name, DisplayName::parse("Acme").ok());
    let late = tenancy.change(&slug(), &named("Emca"), |now| *now == seen, &by, 2).unwrap_err();
    assert_eq!(late.code(), "precondition_failed");
    assert_eq!(tenancy.named("acme").as_deref(), Some(&changed));
    // Nothing to do tells nothing; all at once is one entry.
    let entries = || tenancy.log().page(changed.id.as_str(), None, 10).unwrap().len();
    let before = entries();
    tenancy.change(&slug(), &named("Acme"), |_| true, &by, 3).unwrap();
    assert_eq!(entries(), before);
    let both =
        TenantChange { display_name: Some(None), ..TenantChange::to(TenantState::Suspended) };
    let both = tenancy.change(&slug(), &both, |_| true, &by, 4).unwrap();
    assert_eq!((both.display_name, entries()), (None, before + 1));
    turn(&tenancy, TenantState::Deleting, 5).unwrap();
    let refused = tenancy.change(&slug(), &named("Acme"), |_| true, &by, 6).unwrap_err();
    assert_eq!(refused.code(), "invalid_state");
}
