//! The tenants of this installation: made whole or not at all, found by name, entered by right.
//!
//! Creation spans two files (the platform's and the new keyspace's), so it goes in steps that a
//! crash may separate: the record says `creating`, the keyspace is made, the record says `active`
//! together with whatever else must exist from the first moment (the first administrator). Only
//! the last step makes the tenant visible, in one transaction. Before it there is nothing to
//! keep, so whatever a crash left is cleared at the next start and the name is free again.

use super::by::By;
use super::directory::Directory;
use super::display_name::DisplayName;
use super::id::TenantId;
use super::migration::Migrating;
use super::record::{self, absent, delete, present, put, write_surely};
use super::scope::{Principal, TenantScope};
use super::sight::{Sights, Watched};
use super::slug::{Slug, SlugError};
use super::steps::{Made, Making, Unborn};
use super::tenant::{SLUGS, TENANTS, Tenant, TenantState};
use super::zone::grain_minutes;
use crate::audit::{AuditLog, Told};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::engine::{Engine, Expect, Keyspace, KeyspaceSettings, TableWrite, Tables};
use storage::error::{Corrupt, StoreError};
use storage::row::TimeMs;

/// Why an act on tenants did not happen.
#[derive(Debug, thiserror::Error)]
pub enum TenancyError {
    /// The name breaks the rules.
    #[error(transparent)]
    Slug(#[from] SlugError),
    /// The name is taken.
    #[error("there is a tenant `{slug}` already: go on with that one, or choose another name")]
    SlugTaken {
        /// The name.
        slug: Slug,
    },
    /// No tenant has this name.
    #[error("there is no tenant `{slug}`: `emx tenant list` shows those there are")]
    NotFound {
        /// What was asked for.
        slug: String,
    },
    /// The time zone is not one.
    #[error("`{zone}` is not a time zone: use a name like `Europe/Berlin`")]
    Zone {
        /// What was given.
        zone: String,
    },
    /// The tenant is suspended.
    #[error("the tenant is suspended: an administrator of the platform can resume it")]
    Suspended,
    /// The tenant cannot get from its state to that.
    #[error("the tenant `{slug}` is {is}: that cannot be done with it now")]
    State {
        /// The tenant's name.
        slug: Slug,
        /// Its state.
        is: &'static str,
    },
    /// It was changed since the caller looked.
    #[error("it was changed since you looked at it: look again")]
    Stale,
    /// The principal belongs to no tenant.
    #[error("no tenant is named, and the operator of the machine belongs to none: name one")]
    Unnamed,
    /// What should come into being with the tenant cannot.
    #[error("the tenant `{slug}` could not be completed because something it needs is taken")]
    Conflict {
        /// The tenant's name.
        slug: Slug,
    },
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TenancyError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Slug(_) => "invalid_slug",
            Self::SlugTaken { .. } => "slug_taken",
            Self::NotFound { .. } => "tenant_not_found",
            Self::Zone { .. } => "unknown_time_zone",
            Self::Suspended => "tenant_suspended",
            Self::State { .. } => "invalid_state",
            Self::Stale => "precondition_failed",
            Self::Unnamed => "tenant_required",
            Self::Conflict { .. } => "conflict",
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(store) if store.is_transient())
    }
}

/// A tenant to be made.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// Its name.
    pub slug: Slug,
    /// Its IANA time zone.
    pub time_zone: String,
}

/// What a tenant is at its beginning.
#[derive(Clone, Debug, Default)]
pub struct Beginning<'a> {
    /// What people read.
    pub display_name: Option<DisplayName>,
    /// Whether every question is told in its audit log.
    pub audit_queries: bool,
    /// The file of a keyspace that becomes the tenant's, as a copy; `None`: an empty one.
    pub keyspace: Option<&'a Path>,
}

/// What one transaction of the platform's tables changes, under which conditions, and what the audit
/// log tells of it; also what comes into being with a tenant.
#[derive(Clone, Debug, Default)]
pub struct Completion {
    /// Conditions.
    pub expect: Vec<Expect>,
    /// Entries of the platform's tables.
    pub writes: Vec<TableWrite>,
    /// What is told of it.
    pub told: Vec<Told>,
}

impl Completion {
    /// With something more that is told of it.
    #[must_use]
    pub fn telling(mut self, told: impl IntoIterator<Item = Told>) -> Self {
        self.told.extend(told);
        self
    }

    /// Does and tells it, all or nothing. Gives whether the conditions held. Of something that nothing is
    /// told of, the first write must set a value that nobody else writes: see [`write_surely`].
    pub fn commit(&self, log: &AuditLog, now_ms: TimeMs) -> Result<bool, StoreError> {
        if self.told.is_empty() {
            return write_surely(&**log.platform(), &self.expect, &self.writes);
        }
        log.write(self.told.clone(), now_ms, &self.expect, &self.writes)
    }
}

/// The tenants of one installation.
#[derive(Debug)]
pub struct Tenancy {
    engine: Arc<dyn Engine>,
    platform: Arc<dyn Tables>,
    log: Arc<AuditLog>,
    directory: Directory,
    sights: Arc<Sights>,
    /// Held while the record of a tenant is made or changed, not while its parts are.
    creation: Mutex<()>,
    /// A record that says `creating`, and is of none of these, is left over.
    making: Making,
    pub(super) migrating: Migrating,
}

impl Tenancy {
    /// Takes over the tenants of `engine`, and clears what a crash left of unfinished ones.
    ///
    /// The engine lets one process in at a time, so nobody else can be at work on them.
    pub fn start(engine: Arc<dyn Engine>) -> Result<Self, TenancyError> {
        let platform = engine.platform()?;
        let sights = Arc::new(Sights::new(Arc::clone(&platform)));
        let platform: Arc<dyn Tables> = Arc::new(Watched { platform, sights: Arc::clone(&sights) });
        let directory = Directory::default();
        let log = Arc::new(AuditLog::new(Arc::clone(&platform)));
        let (creation, making, migrating) = Default::default();
        let tenancy =
            Self { engine, platform, log, directory, sights, creation, making, migrating };
        for tenant in tenancy.records()? {
            tenancy.directory.admit(&tenant);
            if tenant.state == TenantState::Creating {
                tracing::warn!(tenant = %tenant.slug, "clearing a tenant that was half made");
                // It is nobody's and seen by nobody: if it cannot go now, it goes another time.
                if let Err(error) = tenancy.clear(&tenant) {
                    tracing::warn!(tenant = %tenant.slug, %error, "it cannot be cleared yet");
                }
            }
        }
        Ok(tenancy)
    }

    /// Makes a tenant and, in the transaction that makes it visible, what `complete` wants.
    /// Whatever fails, nothing of it stays.
    pub fn create(
        &self,
        new: NewTenant,
        by: &By,
        now_ms: TimeMs,
        complete: impl FnOnce(&Tenant) -> Result<Completion, StoreError>,
    ) -> Result<Tenant, TenancyError> {
        self.begin(new, Beginning::default(), by, now_ms, complete)
    }

    /// The same of a tenant that is more at its beginning than its name and time zone.
    pub fn begin(
        &self,
        new: NewTenant,
        beginning: Beginning<'_>,
        by: &By,
        now_ms: TimeMs,
        complete: impl FnOnce(&Tenant) -> Result<Completion, StoreError>,
    ) -> Result<Tenant, TenancyError> {
        let grain_minutes = grain_minutes(&new.time_zone)
            .ok_or_else(|| TenancyError::Zone { zone: new.time_zone.clone() })?;
        let tenant = Tenant {
            id: TenantId::random(),
            slug: new.slug,
            display_name: beginning.display_name,
            state: TenantState::Creating,
            time_zone: new.time_zone,
            audit_queries: beginning.audit_queries,
            created_ms: now_ms,
        };
        let _made = self.reserve(&tenant)?;
        let complete = |active: &Tenant| {
            let event = by.did("tenant.create", format!("tenant:{}", active.id));
            let event = event.after(json!({
                "slug": active.slug, "display_name": active.display_name,
                "time_zone": active.time_zone,
            }));
            let mut completion = complete(active)?;
            completion.told.splice(0..0, by.told(&active.id, event)); // it is first
            Ok(completion)
        };
        let (settings, from) = (KeyspaceSettings { grain_minutes }, beginning.keyspace);
        let unborn = Unborn { tenant: &tenant, engine: &*self.engine, settings, from };
        // Nobody waits for the copy of another one's file.
        let prepared = unborn.prepare();
        let _alone = self.alone();
        let made = prepared.map_err(TenancyError::from).and_then(|()| self.make(&tenant, complete));
        match &made {
            Ok(active) => self.directory.admit(active),
            Err(_) => {
                if let Err(error) = self.clear(&tenant) {
                    // The next creation of that name, or the next start, tries again.
                    tracing::warn!(tenant = %tenant.slug, %error, "could not clear a half-made tenant");
                }
            }
        }
        made
    }

    /// Takes the name, in the record's first state.
    fn reserve(&self, tenant: &Tenant) -> Result<Made<'_>, TenancyError> {
        let _alone = self.alone();
        let (id, slug) = (tenant.id.as_str().as_bytes(), tenant.slug.as_str().as_bytes());
        if let Some(other) = self.lookup(&tenant.slug)? {
            if other.state != TenantState::Creating {
                self.directory.admit(&other);
                return Err(TenancyError::SlugTaken { slug: tenant.slug.clone() });
            }
            if self.making.has(&other.id) {
                return Err(TenancyError::SlugTaken { slug: tenant.slug.clone() });
            }
            self.clear(&other)?;
        }
        let expect = [absent(TENANTS, id), absent(SLUGS, slug)];
        let writes = [put(TENANTS, id, tenant.encode()?), put(SLUGS, slug, id.to_vec())];
        match write_surely(&*self.platform, &expect, &writes)? {
            true => Ok(self.making.begin(&tenant.id)),
            false => Err(TenancyError::SlugTaken { slug: tenant.slug.clone() }),
        }
    }

    /// Makes the tenant visible, every step of which is taken.
    fn make(
        &self,
        tenant: &Tenant,
        complete: impl FnOnce(&Tenant) -> Result<Completion, StoreError>,
    ) -> Result<Tenant, TenancyError> {
        let active = Tenant { state: TenantState::Active, ..tenant.clone() };
        let mut completion = complete(&active)?;
        let (table, key) = (TENANTS.into(), tenant.id.as_str().as_bytes().to_vec());
        completion.writes.insert(0, put(TENANTS, &key, active.encode()?));
        completion.expect.push(Expect { table, key, value: Some(tenant.encode()?) });
        match completion.commit(&self.log, active.created_ms)? {
            true => Ok(active),
            false => Err(TenancyError::Conflict { slug: active.slug }),
        }
    }

    /// Removes what there is of a tenant that never became visible. Can be repeated: the record
    /// goes last, so a crash in between leaves it to be found. The record is looked at first,
    /// because a commit of unknown outcome may have made the tenant visible after all.
    fn clear(&self, tenant: &Tenant) -> Result<(), StoreError> {
        let id = tenant.id.as_str().as_bytes();
        let Some(bytes) = self.platform.get(TENANTS, id)? else { return Ok(()) };
        let stored = Tenant::decode(id, &bytes)?;
        if stored.state != TenantState::Creating {
            self.directory.admit(&stored);
            return Ok(());
        }
        self.engine.delete(tenant.id.as_str())?;
        let unchanged = Expect { table: TENANTS.into(), key: id.into(), value: Some(bytes) };
        let slug = tenant.slug.as_str().as_bytes();
        self.platform.write(&[unchanged], &[delete(TENANTS, id), delete(SLUGS, slug)])?;
        Ok(())
    }

    /// All tenants, in order of their names.
    pub fn list(&self) -> Result<Vec<Tenant>, TenancyError> {
        let mut tenants = self.records()?;
        tenants.retain(|tenant| tenant.state != TenantState::Creating);
        tenants.sort_by(|a, b| a.slug.cmp(&b.slug));
        Ok(tenants)
    }

    /// The tenant called `slug`, whatever its state, for whoever looks after tenants.
    pub fn find(&self, slug: &str) -> Result<Tenant, TenancyError> {
        let known = Slug::parse(slug).ok().map(|slug| self.lookup(&slug)).transpose()?.flatten();
        known
            .filter(|tenant| tenant.state != TenantState::Creating)
            .ok_or_else(|| TenancyError::NotFound { slug: slug.into() })
    }

    /// The condition that the tenant with this id is there and stays: not being deleted meanwhile. For
    /// whatever is made in it beside its keyspace.
    pub fn still_there(platform: &dyn Tables, id: &TenantId) -> Result<Expect, TenancyError> {
        let key = id.as_str().as_bytes();
        let not_found = || TenancyError::NotFound { slug: id.as_str().into() };
        let bytes = platform.get(TENANTS, key)?.ok_or_else(not_found)?;
        match Tenant::decode(key, &bytes)?.state {
            TenantState::Active | TenantState::Suspended => Ok(present(TENANTS, key, bytes)),
            TenantState::Creating | TenantState::Deleting => Err(not_found()),
        }
    }

    /// Lets `principal` into the tenant called `slug`, and opens its keyspace. A tenant that the
    /// principal may not enter is told from one that is not there by nothing.
    pub fn enter(&self, principal: &Principal, slug: &str) -> Result<TenantScope, TenancyError> {
        let not_found = || TenancyError::NotFound { slug: slug.into() };
        let Some(tenant) = self.named(slug) else {
            // Only who may enter every tenant learns that there is one.
            let named = Slug::parse(slug).ok().filter(|_| principal.is_platform());
            let known = named.map(|slug| self.lookup(&slug)).transpose()?.flatten();
            let suspended = known.is_some_and(|tenant| tenant.state == TenantState::Suspended);
            return Err(if suspended { TenancyError::Suspended } else { not_found() });
        };
        self.admit(tenant, principal)?.ok_or_else(not_found)
    }

    /// Lets `principal` into the tenant where it belongs.
    pub fn enter_own(&self, principal: &Principal) -> Result<TenantScope, TenancyError> {
        let id = principal.tenant_id().ok_or(TenancyError::Unnamed)?;
        let not_found = || match self.directory.is_suspended(id) {
            true => TenancyError::Suspended,
            false => TenancyError::NotFound { slug: id.as_str().into() },
        };
        let tenant = self.with_id(id).ok_or_else(not_found)?;
        self.admit(tenant, principal)?.ok_or_else(not_found)
    }

    /// Lets `principal` into the tenant where it belongs, if its keyspace is open already and what it
    /// sees there is known. Never waits for a disk.
    pub fn enter_opened(&self, principal: &Principal) -> Option<TenantScope> {
        let tenant = self.with_id(principal.tenant_id()?)?;
        let known = |tenant: &Tenant| self.sights.known(principal, &tenant.id).ok_or(());
        let opened = |tenant: &Tenant| self.engine.opened(tenant.id.as_str()).ok_or(());
        TenantScope::grant(tenant, principal, known, opened).ok().flatten()
    }

    /// The keyspace of a tenant, whether or not anybody may enter: for whoever looks after the files.
    pub fn keyspace_of(&self, tenant: &Tenant) -> Result<Arc<dyn Keyspace>, StoreError> {
        // Only here it is known whose file it is.
        self.engine.open(tenant.id.as_str()).inspect_err(|error| {
            if !error.is_transient() {
                tracing::error!(tenant = %tenant.slug, id = %tenant.id, %error, "a tenant's data does not open");
            }
        })
    }

    fn admit(
        &self,
        tenant: Arc<Tenant>,
        principal: &Principal,
    ) -> Result<Option<TenantScope>, StoreError> {
        let look = |tenant: &Tenant| self.sights.of(principal, &tenant.id);
        TenantScope::grant(tenant, principal, look, |tenant| self.keyspace_of(tenant))
    }

    /// What is known of the tenant called `slug`, if it can be entered. Reads no store.
    pub fn named(&self, slug: &str) -> Option<Arc<Tenant>> {
        Slug::parse(slug).ok().and_then(|slug| self.directory.by_slug(&slug))
    }

    /// What is known of the tenant with this id, if it can be entered. Reads no store.
    pub fn with_id(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.directory.by_id(id)
    }

    /// Whether the tenant with this id is suspended. Reads no store.
    pub fn is_suspended(&self, id: &TenantId) -> bool {
        self.directory.is_suspended(id)
    }

    /// The log of who did what.
    pub fn log(&self) -> &Arc<AuditLog> {
        &self.log
    }

    /// The platform's own tables.
    pub fn platform(&self) -> Arc<dyn Tables> {
        Arc::clone(&self.platform)
    }

    /// Fails where the tenants cannot be read, or the disk is too full to write.
    pub fn check_ready(&self) -> Result<(), TenancyError> {
        self.platform.get(TENANTS, b"")?;
        Ok(self.engine.demand_room()?)
    }

    /// Keyspaces on disk that belong to no tenant. Never removed on their own: a restored or
    /// damaged platform file must not cost anybody's data.
    pub fn orphans(&self) -> Result<Vec<String>, TenancyError> {
        let known: BTreeSet<String> =
            self.records()?.into_iter().map(|tenant| tenant.id.into()).collect();
        let mut orphans = self.engine.list()?;
        orphans.retain(|name| !known.contains(name));
        orphans.sort();
        Ok(orphans)
    }

    pub(super) fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Who sees what.
    pub(super) fn sights(&self) -> &Sights {
        &self.sights
    }

    /// Held while the record of a tenant is made or changed.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        self.creation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a tenant is by now.
    pub(super) fn admit_record(&self, tenant: &Tenant) {
        self.directory.admit(tenant);
    }

    pub(super) fn lookup(&self, slug: &Slug) -> Result<Option<Tenant>, StoreError> {
        let Some(id) = self.platform.get(SLUGS, slug.as_str().as_bytes())? else {
            return Ok(None);
        };
        let bytes = self.platform.get(TENANTS, &id)?.ok_or_else(|| {
            Corrupt::new(format!("{SLUGS}/{slug} names a tenant that is not there"))
        })?;
        Ok(Some(Tenant::decode(&id, &bytes)?))
    }

    fn records(&self) -> Result<Vec<Tenant>, StoreError> {
        let entries = record::all(&*self.platform, TENANTS, b"")?;
        entries.iter().map(|(key, bytes)| Tenant::decode(key, bytes)).collect()
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
