//! Whoever acts, and from where: what the audit log tells of an act.

use super::id::TenantId;
use super::scope::Principal;
use crate::audit::{Event, PLATFORM, Source, Told};

/// Whoever acts, and from where.
#[derive(Clone, Debug)]
pub struct By {
    /// Who.
    pub principal: Principal,
    /// From where.
    pub source: Source,
}

impl By {
    /// The person at the machine.
    pub fn operator() -> Self {
        Self { principal: Principal::LocalOperator, source: Source::default() }
    }

    /// That this one did `action` to `target`.
    pub fn did(&self, action: &str, target: String) -> Event {
        Event::new(self.principal.subject(), action, target, self.source.clone())
    }

    /// Where `event`, which concerns `tenant_id`, is told: there, and in the platform's chain where
    /// somebody acts who does not belong there.
    pub fn told(&self, tenant_id: &TenantId, event: Event) -> Vec<Told> {
        let mut told = Vec::with_capacity(2);
        if self.principal.tenant_id() != Some(tenant_id) {
            let tenant = format!("tenant:{tenant_id}");
            let target = match &*event.target {
                "" => tenant,
                target if target == tenant => tenant,
                target => format!("{tenant} {target}"),
            };
            told.push(Event { target, ..event.clone() }.in_chain(PLATFORM));
        }
        told.push(event.in_chain(tenant_id.as_str()));
        told
    }

    /// What tells that this one, who belongs elsewhere, enters `tenant_id`: there, where it belongs, and
    /// in the platform's chain. Nothing of whoever belongs there, or nowhere.
    pub fn entering(&self, tenant_id: &TenantId) -> Vec<Told> {
        let Some(home) = self.principal.tenant_id().filter(|home| *home != tenant_id) else {
            return Vec::new();
        };
        let event = self.did("tenant.enter", format!("tenant:{tenant_id}"));
        // Of several tenants, each is counted apart.
        let event = event.after(tenant_id.as_str().into());
        let mut told = self.told(tenant_id, event.clone());
        told.push(event.in_chain(home.as_str()));
        told
    }

    /// What tells that this one did `action` to the log `chain`.
    pub fn told_of_chain(&self, chain: &str, action: &str) -> Vec<Told> {
        let event = self.did(action, format!("audit:{chain}"));
        match TenantId::parse(chain) {
            Some(tenant_id) => self.told(&tenant_id, event),
            None => vec![event.in_chain(chain)],
        }
    }
}
