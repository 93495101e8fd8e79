//! The identity providers of tenants: added, changed, removed.
//!
//! *Invariants*: a provider is stored only whole and sound; its id is never used again. What it gives
//! is no more than the administrator who set it up may give. Its client secret is sent to the issuer
//! that it was given for, to no other. A provider that is removed lets nobody in whose sign-in is under
//! way, and ends the sessions of those it let in before.

use super::draft::{Draft, DraftWay};
use super::provider::{Oidc, PROVIDERS, Provider, StoredProvider, Way, decode, key};
use super::{Fault, PROVIDERS_PER_TENANT_MAX, ProviderError};
use super::{flow, person, replay};
use crate::identity::team::TeamError;
use crate::identity::{Identity, opaque, rules};
use crate::model::problem::{excerpt, pointer, row};
use crate::tenancy::by::By;
use crate::tenancy::id::{TenantId, random_word};
use crate::tenancy::record::{self, absent, delete, put};
use crate::tenancy::registry::Completion;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use storage::engine::Tables;
use storage::error::StoreError;
use storage::row::TimeMs;

/// How many links of a removed provider go in one transaction.
pub(super) const LINKS_AT_ONCE: usize = 1_000;

fn of_tenant(
    platform: &dyn Tables,
    tenant_id: &TenantId,
) -> Result<Vec<StoredProvider>, StoreError> {
    let entries = record::all(platform, PROVIDERS, format!("{tenant_id}/").as_bytes())?;
    entries.into_iter().map(|(key, bytes)| decode(&key, bytes)).collect()
}

/// A provider of a tenant, if it has one.
pub(in crate::identity) fn any(
    platform: &dyn Tables,
    tenant_id: &TenantId,
) -> Result<Option<StoredProvider>, StoreError> {
    Ok(of_tenant(platform, tenant_id)?.into_iter().next())
}

impl Identity {
    /// The providers of a tenant, oldest first.
    pub fn sso_providers(&self, tenant_id: &TenantId) -> Result<Vec<Provider>, ProviderError> {
        let stored = of_tenant(&*self.platform, tenant_id)?;
        let mut providers: Vec<Provider> = stored.into_iter().map(|s| s.provider).collect();
        providers.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        Ok(providers)
    }

    /// The provider of `tenant_id` called `id`.
    pub fn sso_provider(
        &self,
        tenant_id: &TenantId,
        id: &str,
    ) -> Result<StoredProvider, ProviderError> {
        let not_found = || ProviderError::NotFound { id: id.chars().take(64).collect() };
        if id.contains('/') {
            return Err(not_found());
        }
        let key = key(tenant_id, id);
        let bytes = self.platform.get(PROVIDERS, &key)?.ok_or_else(not_found)?;
        Ok(decode(&key, bytes)?)
    }

    /// The provider of `tenant_id` whose id or name is `called`, as people type it.
    pub fn sso_provider_called(
        &self,
        tenant_id: &TenantId,
        called: &str,
    ) -> Result<StoredProvider, ProviderError> {
        let providers = of_tenant(&*self.platform, tenant_id)?;
        let mut found = providers.into_iter();
        found
            .find(|s| s.provider.id == called || same_name(&s.provider.name, called))
            .ok_or_else(|| ProviderError::NotFound { id: called.chars().take(64).collect() })
    }

    /// Fails for a key that keeps to networks or expires: whom a provider lets in does neither.
    fn demand_unbound_to_provide(&self, by: &By) -> Result<(), ProviderError> {
        match self.api_keys.is_bound(&by.principal) {
            true => Err(ProviderError::BoundKey),
            false => Ok(()),
        }
    }

    /// Makes a provider of `tenant_id` in the name of `by`.
    pub fn add_sso_provider(
        &self,
        tenant_id: &TenantId,
        draft: Draft,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Provider, ProviderError> {
        self.demand_unbound_to_provide(by)?;
        let _alone = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        let others = of_tenant(&*self.platform, tenant_id)?;
        if others.len() >= PROVIDERS_PER_TENANT_MAX {
            return Err(ProviderError::TooMany);
        }
        check_name(&others, &draft.name, "")?;
        let made = self.drafted(tenant_id, random_word(), draft, None, now_ms)?;
        check_role(&made, by)?;
        let event = by.did("sso_provider.create", target(&made.id)).after(told(&made));
        let act = Completion {
            expect: vec![absent(PROVIDERS, &made.key())],
            writes: vec![put(PROVIDERS, &made.key(), record::encode(&made)?)],
            told: by.told(tenant_id, event),
        };
        match act.commit(&self.log, now_ms)? {
            true => Ok(made),
            false => Err(ProviderError::Stale),
        }
    }

    /// Makes the provider `id` of `tenant_id` what `change` makes of it, in the name of `by`.
    pub fn change_sso_provider(
        &self,
        tenant_id: &TenantId,
        id: &str,
        change: impl FnOnce(&Provider) -> Result<Draft, ProviderError>,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Provider, ProviderError> {
        self.demand_unbound_to_provide(by)?;
        let _alone = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.sso_provider(tenant_id, id)?;
        let before = &stored.provider;
        // Whoever may not give what it gives may not touch what it is given by either.
        check_role(before, by)?;
        let draft = change(before)?;
        let others = of_tenant(&*self.platform, tenant_id)?;
        check_name(&others, &draft.name, &before.id)?;
        let id = before.id.clone();
        let changed = self.drafted(tenant_id, id, draft, Some(before), before.created_ms)?;
        check_role(&changed, by)?;
        let event = by.did("sso_provider.change", target(&changed.id));
        let act = Completion {
            expect: vec![stored.unchanged()],
            writes: vec![put(PROVIDERS, &changed.key(), record::encode(&changed)?)],
            told: by.told(tenant_id, event.before(told(before)).after(told(&changed))),
        };
        match act.commit(&self.log, now_ms)? {
            true => Ok(changed),
            false => Err(ProviderError::Stale),
        }
    }

    /// Removes a provider. Whoever signed in by it is out; where that fails, the provider is gone and
    /// [`finish_removals`](Self::finish_removals) goes on. The last one stays where people can come in by
    /// nothing else.
    pub fn remove_sso_provider(
        &self,
        tenant_id: &TenantId,
        id: &str,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Provider, ProviderError> {
        let _alone = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.sso_provider(tenant_id, id)?;
        let gone = &stored.provider;
        check_role(gone, by)?;
        let rules = rules::get(&*self.platform, tenant_id)?;
        if rules.rules.require_sso && of_tenant(&*self.platform, tenant_id)?.len() == 1 {
            return Err(ProviderError::Demanded { name: gone.name.clone() });
        }
        let event = by.did("sso_provider.remove", target(&gone.id)).before(told(gone));
        let act = Completion {
            expect: vec![stored.unchanged(), rules.unchanged()],
            writes: vec![delete(PROVIDERS, &gone.key())],
            told: by.told(tenant_id, event),
        };
        if !act.commit(&self.log, now_ms)? {
            return Err(ProviderError::Stale);
        }
        self.end_of_provider(&person::links_of(&stored.provider), now_ms)?;
        Ok(stored.provider)
    }

    /// The ids of the teams that are called by id or name. One that has gone since the provider was as
    /// `before` is left out.
    fn teams_called(
        &self,
        tenant_id: &TenantId,
        called: BTreeMap<String, String>,
        before: Option<&Provider>,
    ) -> Result<BTreeMap<String, String>, ProviderError> {
        let (mut teams, mut faults) = (BTreeMap::new(), Vec::new());
        for (group, team) in called {
            let found = match self.team(tenant_id, &team) {
                Err(TeamError::NotFound { .. }) => self.team_by_name(tenant_id, &team),
                found => found,
            };
            match found {
                Ok(found) => drop(teams.insert(group, found.id)),
                Err(TeamError::Store(store)) => return Err(store.into()),
                Err(_) if before.is_some_and(|b| b.teams.get(&group) == Some(&team)) => {}
                Err(error) => {
                    let pointer = pointer("/teams", &excerpt(&group));
                    let (code, detail) = (error.code(), "is no team of this tenant".into());
                    faults.push(Fault { pointer, code, detail });
                }
            }
        }
        if faults.is_empty() { Ok(teams) } else { Err(ProviderError::Invalid(faults)) }
    }

    /// The provider that `draft` describes. The secret of the one `before` stays where none is given.
    fn drafted(
        &self,
        tenant_id: &TenantId,
        id: String,
        draft: Draft,
        before: Option<&Provider>,
        created_ms: TimeMs,
    ) -> Result<Provider, ProviderError> {
        let Draft { name, preset, way, roles, teams, default_role, domains } = draft;
        let teams = self.teams_called(tenant_id, teams, before)?;
        let (way, secret) = match way {
            DraftWay::Saml(saml) => (Way::Saml(saml), None),
            DraftWay::Oidc(oidc, secret) => (Way::Oidc(oidc), secret),
        };
        let tenant_id = tenant_id.clone();
        let mut provider = Provider {
            id,
            tenant_id,
            name,
            preset,
            way,
            roles,
            teams,
            default_role,
            domains,
            created_ms,
        };
        let context = provider.secret_context();
        if let Way::Oidc(oidc) = &mut provider.way {
            oidc.sealed_secret = match secret {
                Some(secret) => STANDARD.encode(self.master.seal(&context, secret.as_bytes())?),
                None => kept_secret(oidc, before)?,
            };
        }
        Ok(provider)
    }
}

/// Forgets the providers of a tenant that goes, whom they let in, and what was used for that.
pub(in crate::identity) fn forget(
    platform: &dyn Tables,
    tenant_id: &TenantId,
) -> Result<(), StoreError> {
    let prefix = format!("{tenant_id}/");
    for table in [PROVIDERS, person::LINKS] {
        let keys = record::all(platform, table, prefix.as_bytes())?;
        for some in keys.chunks(LINKS_AT_ONCE) {
            let writes: Vec<_> = some.iter().map(|(key, _)| delete(table, key)).collect();
            platform.write(&[], &writes)?;
        }
    }
    replay::forget_tenant(platform, tenant_id)?;
    flow::forget_tenant(platform, tenant_id)
}

/// How the audit log calls a provider.
pub(super) fn target(id: &str) -> String {
    format!("sso_provider:{id}")
}

/// What the audit log tells of a provider: all but its secret, of which it tells whether it is another
/// one, and of certificates their hashes.
fn told(provider: &Provider) -> Value {
    let mut told = provider.body();
    let hash = |text: &str| opaque::hash_text(&opaque::hash(text));
    match &provider.way {
        Way::Oidc(oidc) => {
            told.insert("client_secret_sealed".into(), hash(&oidc.sealed_secret).into());
        }
        Way::Saml(saml) => {
            let hashes: Vec<String> = saml.idp_certificates.iter().map(|pem| hash(pem)).collect();
            told.insert("idp_certificates".into(), hashes.into());
        }
    }
    told.into()
}

/// The secret that is kept. It was given for one issuer: another one is not told it.
fn kept_secret(oidc: &Oidc, before: Option<&Provider>) -> Result<String, ProviderError> {
    let detail = match before.map(|before| &before.way) {
        Some(Way::Oidc(before)) if before.issuer == oidc.issuer => {
            return Ok(before.sealed_secret.clone());
        }
        Some(_) => "must be given again where the issuer changes",
        None => "must be there",
    };
    let (pointer, detail) = ("/client_secret".to_owned(), detail.to_owned());
    Err(ProviderError::Invalid(vec![Fault { pointer, code: row::REQUIRED, detail }]))
}

fn same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Fails where another provider than the one called `id` has the name.
fn check_name(others: &[StoredProvider], name: &str, id: &str) -> Result<(), ProviderError> {
    let mut others = others.iter().map(|stored| &stored.provider).filter(|other| other.id != id);
    match others.any(|other| same_name(other.name.trim(), name.trim())) {
        true => Err(ProviderError::NameTaken { name: name.into() }),
        false => Ok(()),
    }
}

fn check_role(provider: &Provider, by: &By) -> Result<(), ProviderError> {
    match provider.role_above(&by.principal) {
        Some(role) => Err(ProviderError::Role { role }),
        None => Ok(()),
    }
}
