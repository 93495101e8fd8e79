//! One request on its way to its answer: who asks, for what, in whose data.

use super::problem::Problem;
use super::request::Request;
use super::server::Server;
use crate::query;
use crate::tenancy::scope::{Principal, TenantScope};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::ask::Budget;

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

    /// The data that the caller asks about. Waits where its file must be opened first.
    pub(super) async fn scope(&self) -> Result<TenantScope, Problem> {
        let principal = self.principal()?;
        let named = self.caller.as_ref().and_then(|caller| caller.tenant.clone());
        if named.is_none()
            && let Some(scope) = self.server.tenancy.enter_opened(principal)
        {
            return Ok(scope);
        }
        let (tenancy, principal) = (Arc::clone(&self.server.tenancy), principal.clone());
        let entered = self.server.threads.run(move || match named {
            Some(slug) => tenancy.enter(&principal, &slug),
            None => tenancy.enter_own(&principal),
        });
        Ok(entered.await??)
    }

    /// Runs `work` on the processors. It is told to stop where nobody waits for it any more.
    pub(super) async fn compute<R: Send + 'static>(
        &self,
        budget: Budget,
        work: impl FnOnce(&Budget) -> R + Send + 'static,
    ) -> Result<R, Problem> {
        let _gone = CancelOnDrop(Arc::clone(&budget.cancelled));
        Ok(self.server.processors.run(move || work(&budget)).await?)
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
        policy: scope.policy().conditions(),
    }
}
