//! One request on its way to its answer: who asks, for what, in whose data.

use super::guard;
use super::problem::Problem;
use super::request::Request;
use super::server::Server;
use crate::audit::{self, Outcome, Source, Told};
use crate::limits::{Meter, Over};
use crate::query;
use crate::runtime::pool::{PoolError, Taken};
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::registry::{Tenancy, TenancyError};
use crate::tenancy::scope::{Principal, TenantScope};
use crate::tenancy::tenant::Tenant;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::ask::Budget;

/// What auditors of the tenant `id` must be told now of `action` by `by`; nothing where they were told the
/// same a moment ago, for that is counted.
pub(super) fn first_told(
    tenancy: &Tenancy,
    by: &By,
    id: &TenantId,
    action: &str,
    asked: String,
) -> Vec<Told> {
    let asked = if asked.is_empty() { Value::Null } else { asked.into() };
    let told = by.told(id, by.did(action, String::new()).after(asked));
    told.into_iter().filter_map(|told| tenancy.log().read(told)).collect()
}

/// A request that has passed the guard.
pub(super) struct Call {
    pub(super) server: Arc<Server>,
    pub(super) request: Request,
    pub(super) caller: Option<Caller>,
    pub(super) params: Vec<(&'static str, String)>,
}

/// Whoever asks, and in which tenant.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) principal: Principal,
    /// The tenant that was named, for one who may name another than its own.
    pub(super) tenant: Option<Box<str>>,
}

impl Call {
    /// The part `name` of the address.
    pub(super) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// Whoever asks; the guard let nobody unknown in.
    pub(super) fn principal(&self) -> Result<&Principal, Problem> {
        let nobody = || Problem::unauthorized("unauthorized", "sign in, or send an API key");
        self.caller.as_ref().map(|caller| &caller.principal).ok_or_else(nobody)
    }

    /// Where the request comes from.
    pub(super) fn source(&self) -> Source {
        self.request.source()
    }

    /// Whoever acts, and from where.
    pub(super) fn by(&self) -> Result<By, Problem> {
        Ok(By { principal: self.principal()?.clone(), source: self.source() })
    }

    /// Tells in the audit log of the scope's tenant that the caller reads rows: before the first are
    /// shown in a while, others are counted. Where the tenant wants it, also which ones are `asked` for.
    pub(super) async fn tell_of_reading(
        &self,
        scope: &TenantScope,
        action: &str,
        asked: impl FnOnce() -> String,
    ) -> Result<(), Problem> {
        let asked =
            if scope.tenant().audit_queries { audit::excerpt(asked()) } else { String::new() };
        self.tell_first(scope, action, asked).await
    }

    /// Tells `action` in the audit log unless the same was told a moment ago: it is counted then.
    async fn tell_first(
        &self,
        scope: &TenantScope,
        action: &str,
        asked: String,
    ) -> Result<(), Problem> {
        let first = first_told(&self.server.tenancy, &self.by()?, scope.id(), action, asked);
        if first.is_empty() {
            return Ok(());
        }
        self.tell_now_or_later(first).await
    }

    /// Tells in the audit log of the scope's tenant what is asked, where the tenant wants that: of a
    /// question before its first answer in a while, others are counted.
    pub(super) async fn tell_of_question(
        &self,
        scope: &TenantScope,
        asked: impl FnOnce() -> String,
    ) -> Result<(), Problem> {
        match scope.tenant().audit_queries {
            true => self.tell_first(scope, "query", audit::excerpt(asked())).await,
            false => Ok(()),
        }
    }

    /// Tells something in the audit log, and where nothing can be written has it told later: what only
    /// reads goes on, on a full disk as while syncs fail.
    pub(super) async fn tell_now_or_later(&self, told: Vec<Told>) -> Result<(), Problem> {
        let (tenancy, now_ms) = (Arc::clone(&self.server.tenancy), self.server.clock.now_ms());
        let tell = move || tenancy.log().tell_now_or_later(told, now_ms);
        self.on_disk(tell).await?.map_err(|error| Problem::of_store(&error))
    }

    /// Tells in the audit log of the scope's tenant that `work` is begun, does it, and tells how it
    /// ended, where it may wait for the disk and whether or not anybody still waits for the answer: for
    /// acts whose effect lies outside of the log's own transactions.
    pub(super) async fn told_around<R: Send + 'static>(
        &self,
        scope: &TenantScope,
        (action, target): (&str, String),
        work: impl FnOnce() -> Result<R, Problem> + Send + 'static,
    ) -> Result<R, Problem> {
        let by = self.by()?;
        let told = |outcome| by.told(scope.id(), by.did(action, target.clone()).ended(outcome));
        let [begun, done, failed] = [Outcome::Begun, Outcome::Done, Outcome::Failed].map(told);
        let server = Arc::clone(&self.server);
        let act = move || {
            let (log, clock) = (server.tenancy.log(), &server.clock);
            log.tell(begun, clock.now_ms()).map_err(|error| Problem::of_store(&error))?;
            let outcome = work();
            let ended = if outcome.is_ok() { done } else { failed };
            if let Err(error) = log.tell_now_or_later(ended, clock.now_ms()) {
                tracing::error!(%error, "how an act ended is not in the audit log");
            }
            outcome
        };
        self.on_disk(act).await?
    }

    /// The data that the caller asks about. Waits where its file must be opened first.
    pub(super) async fn scope(&self) -> Result<TenantScope, Problem> {
        let principal = self.principal()?;
        let named = self.caller.as_ref().and_then(|caller| caller.tenant.clone());
        if named.is_none()
            && let Some(scope) = self.server.tenancy.enter_opened(principal)
        {
            return Ok(scope);
        }
        let (server, by) = (Arc::clone(&self.server), self.by()?);
        let entered = self.on_disk(move || match named {
            Some(slug) => server.enter_named(&by, &slug),
            None => server.tenancy.enter_own(&by.principal),
        });
        Ok(entered.await??)
    }

    /// The tenant that the address names, which the caller may look at, whatever its state: its own, or any
    /// for whoever administers the platform. To others a tenant that is there is told from none by
    /// nothing, and that they tried is counted for auditors either way.
    pub(super) async fn addressed(&self) -> Result<Tenant, Problem> {
        let (principal, slug) = (self.principal()?, self.param("slug").to_owned());
        if !principal.is_platform() {
            let own = principal.tenant_id();
            if own.is_some_and(|own| self.server.tenancy.is_suspended(own)) {
                return Err(TenancyError::Suspended.into());
            }
            let own = own.and_then(|own| self.server.tenancy.with_id(own));
            if own.is_none_or(|own| own.slug.as_str() != slug) {
                return Err(Problem::from(TenancyError::NotFound { slug }).hiding_a_refusal());
            }
        }
        let tenancy = Arc::clone(&self.server.tenancy);
        let tenant = self.on_disk(move || tenancy.find(&slug)).await??;
        let entered = self.caller.as_ref().and_then(|caller| caller.tenant.as_deref());
        match entered.is_some_and(|entered| entered != tenant.slug.as_str()) {
            true => Err(guard::mismatch()),
            false => Ok(tenant),
        }
    }

    /// What tells whether the caller would still be let in, and into the tenant with this id where it asks
    /// about one: for answers that take long. Reads memory only.
    pub(super) fn lets_in(
        &self,
        id: Option<TenantId>,
    ) -> Result<impl Fn() -> bool + Send + use<>, Problem> {
        let (server, principal) = (Arc::clone(&self.server), self.principal()?.clone());
        Ok(move || server.still_lets_in(&principal, id.as_ref()))
    }

    /// Runs `work` where it may wait for the disk. Of one tenant only so much is there at a time; of
    /// administrators of the platform as much as there may be of all.
    pub(super) async fn on_disk<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, PoolError> {
        let is_platform = self.caller.as_ref().is_some_and(|c| c.principal.is_platform());
        match self.limited().filter(|_| !is_platform) {
            Some(meter) => self.server.threads.run_within(&meter.disk_places, work).await,
            None => self.server.threads.run(work).await,
        }
    }

    /// Waits for a place among the exports, and among those of the tenant that the caller asks about.
    pub(super) async fn export_place(&self) -> Result<Taken, PoolError> {
        let meter = self.limited();
        self.server.exports.take(meter.as_ref().map(|meter| &meter.export_places)).await
    }

    /// What counts for the tenant that the caller asks about, where it is one whose limits hold: not of
    /// the person at the machine.
    pub(super) fn limited(&self) -> Option<Arc<Meter>> {
        let Caller { principal, tenant } = self.caller.as_ref()?;
        let own = principal.tenant_id()?;
        let named = tenant.as_ref().and_then(|slug| self.server.tenancy.named(slug));
        let id = named.as_ref().map_or(own, |tenant| &tenant.id);
        Some(self.server.limits.meter(id))
    }

    /// Fails where the tenant may send no more executions now, or store no more of them: to be called
    /// before a body is read, and of that what is known then.
    pub(super) async fn demand_intake(&mut self) -> Result<(), Problem> {
        let Some(meter) = self.limited() else { return Ok(()) };
        let now = self.server.clock.instant();
        let Err(over) = meter.look_for_events(now).and_then(|()| meter.look_for_known_room(now))
        else {
            return Ok(());
        };
        self.request.skip_body().await;
        hold_back(&self.server, &meter, &over).await;
        Err(Problem::over(&over))
    }

    /// Counts executions that were read, and fails where the tenant's file has no room for any more.
    pub(super) async fn take_in(&self, scope: &TenantScope, count: usize) -> Result<(), Problem> {
        let Some(meter) = self.limited() else { return Ok(()) };
        let now = self.server.clock.instant();
        meter.count_events(count, now);
        if meter.must_measure(now) {
            let keyspace = Arc::clone(scope.keyspace());
            meter.measured(self.on_disk(move || keyspace.file_bytes()).await??);
        }
        meter.look_for_room().map_err(|over| Problem::over(&over))
    }

    /// Runs `work`, which asks for the tenant of `meter`. It is told to stop where nobody waits for it any
    /// more.
    pub(super) async fn compute<R: Send + 'static>(
        &self,
        meter: &Arc<Meter>,
        work: impl FnOnce(&Budget) -> R + Send + 'static,
    ) -> Result<R, Problem> {
        let clock = self.server.clock.clone();
        let budget = meter.budget(clock.instant());
        let _gone = CancelOnDrop(Arc::clone(&budget.cancelled));
        let counting = Arc::clone(meter);
        let work = move || {
            let started = clock.instant();
            let outcome = work(&budget);
            counting.question_took(clock.instant().saturating_duration_since(started));
            outcome
        };
        Ok(self.server.processors.run_within(&meter.question_places, work).await?)
    }

    /// What counts for the tenant of `scope`.
    pub(super) fn meter(&self, scope: &TenantScope) -> Arc<Meter> {
        self.server.limits.meter(scope.id())
    }
}

/// Waits a moment before somebody is told that its tenant is over a limit: see [`Meter::hold`].
pub(super) async fn hold_back(server: &Server, meter: &Arc<Meter>, over: &Over) {
    let Some(held) = meter.hold(over) else { return };
    tokio::select! {
        () = server.tasks.stopping() => {}
        () = tokio::time::sleep(held.duration) => {}
    }
}

/// Cancels a question when the one who asked has gone.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What questions need to know of a scope.
pub(super) fn asked(scope: &TenantScope) -> query::Scope<'_> {
    query::Scope {
        keyspace: &**scope.keyspace(),
        keyspace_id: scope.id().as_str(),
        organization_id: scope.id().as_str(),
        policy: scope.seen().rows.conditions(),
        aggregates: scope.seen().aggregates.conditions(),
    }
}
