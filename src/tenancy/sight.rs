//! Who sees what at this moment: the rules of tenants and the names of people, read when they are first
//! needed and forgotten as soon as something they come from is written.
//!
//! *Invariants*: nothing that is known here is older than the last write that was answered: whatever
//! writes to the tables that it comes from passes through [`Watched`], which forgets before the write
//! is answered, and what was read before a write is not kept after it. Whoever watches is looked at
//! again before the write is answered, too.

use super::by::By;
use super::id::TenantId;
use super::record::{self, put};
use super::registry::{Completion, Tenancy, TenancyError};
use super::row_policy::{Names, RowRules, Seen, Sight};
use super::scope::{Principal, TenantScope};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use storage::engine::{Expect, TableEntry, TableWrite, Tables};
use storage::error::StoreError;
use storage::row::TimeMs;

/// Row policies by tenant.
pub(super) const ROW_POLICIES: &str = "row_policies";

/// Most people whose names are kept: some megabytes. Beyond, all are read anew.
const PEOPLE_MAX: usize = 20_000;

/// Most tenants whose rules are kept.
const TENANTS_MAX: usize = 20_000;

/// Knows how executions name people.
pub trait People: fmt::Debug + Send + Sync {
    /// The tables of the platform that this comes from.
    fn tables(&self) -> &'static [&'static str];

    /// The tenant that a record in one of those is of; `None`: it does not say. It is never another one's.
    fn tenant_of(&self, record: &[u8]) -> Option<TenantId>;

    /// How executions name a user, and the teams that the user is in: nothing where there is no such
    /// user.
    fn names(&self, tenant_id: &TenantId, user_id: &str) -> Result<Names, StoreError>;
}

/// Told that somebody may see something else than before: in one of these tenants, or in any if it is
/// not known in which.
pub type Listener = Arc<dyn Fn(&Sights, Option<&BTreeSet<TenantId>>) + Send + Sync>;

/// Who sees what.
pub struct Sights {
    platform: Arc<dyn Tables>,
    people: OnceLock<Arc<dyn People>>,
    listener: OnceLock<Listener>,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// How often something was forgotten.
    age: u64,
    rules: HashMap<TenantId, RowRules>,
    names: HashMap<(TenantId, Arc<str>), Arc<Names>>,
}

impl fmt::Debug for Sights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sights").field("people", &self.people).finish_non_exhaustive()
    }
}

impl Sights {
    pub(super) fn new(platform: Arc<dyn Tables>) -> Self {
        let (people, listener, known) = Default::default();
        Self { platform, people, listener, known }
    }

    /// Has `people` asked for names, from now on. Without, nobody has any. The first one counts.
    pub(super) fn ask(&self, people: Arc<dyn People>) {
        if self.people.set(people).is_ok() {
            self.forget(None);
        }
    }

    /// Has `listener` told of changes, from now on. The first one counts.
    pub(super) fn listen(&self, listener: Listener) {
        let _one_is_there = self.listener.set(listener);
    }

    /// What `principal`, who may enter it, sees in a tenant, if that is known. Waits for nothing.
    pub(super) fn known(&self, principal: &Principal, tenant_id: &TenantId) -> Option<Seen> {
        if let Some(seen) = fixed(principal) {
            return Some(seen);
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let sight = known.rules.get(tenant_id)?.of(principal.role());
        let Some(user_id) = whose(principal, sight.rows) else {
            return Some(Seen::by(sight, &Names::default()));
        };
        let names = known.names.get(&(tenant_id.clone(), Arc::clone(user_id)))?;
        Some(Seen::by(sight, names))
    }

    /// What `principal`, who may enter it, sees in a tenant. Reads what is not known.
    pub fn of(&self, principal: &Principal, tenant_id: &TenantId) -> Result<Seen, StoreError> {
        if let Some(seen) = self.known(principal, tenant_id) {
            return Ok(seen);
        }
        let age = self.age();
        let (rules, _) = self.rules(tenant_id)?;
        let sight = rules.of(principal.role());
        let user_id = whose(principal, sight.rows);
        let names = match (user_id, self.people.get()) {
            (Some(user_id), Some(people)) => Arc::new(people.names(tenant_id, user_id)?),
            _ => Arc::default(),
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.age == age {
            known.keep(tenant_id, rules, user_id.map(|id| (id, &names)));
        }
        drop(known);
        Ok(Seen::by(sight, &names))
    }

    /// The rules of a tenant, and the record they lie in if there is one. Reads the store.
    pub(super) fn rules(
        &self,
        tenant_id: &TenantId,
    ) -> Result<(RowRules, Option<Vec<u8>>), StoreError> {
        let bytes = self.platform.get(ROW_POLICIES, tenant_id.as_str().as_bytes())?;
        let what = || format!("{ROW_POLICIES}/{tenant_id}");
        let rules = bytes.as_deref().map(|bytes| record::decode(&what(), bytes)).transpose()?;
        Ok((rules.unwrap_or_default(), bytes))
    }

    fn age(&self) -> u64 {
        self.known.read().unwrap_or_else(PoisonError::into_inner).age
    }

    fn is_from(&self, table: &str) -> bool {
        let people = self.people.get();
        table == ROW_POLICIES || people.is_some_and(|people| people.tables().contains(&table))
    }

    /// The tenants that something is seen otherwise in when `writes`, which are yet to be done, are; `None`:
    /// that cannot be told.
    fn tenants_of(&self, writes: &[TableWrite]) -> Option<BTreeSet<TenantId>> {
        let writes = writes.iter().filter(|write| self.is_from(&write.table));
        writes.map(|write| self.tenant_of(write)).collect()
    }

    fn tenant_of(&self, write: &TableWrite) -> Option<TenantId> {
        if write.table == ROW_POLICIES {
            return TenantId::parse(std::str::from_utf8(&write.key).ok()?);
        }
        let people = self.people.get()?;
        match &write.value {
            Some(record) => people.tenant_of(record),
            None => people.tenant_of(&self.platform.get(&write.table, &write.key).ok()??),
        }
    }

    /// Forgets what is known of these tenants, or of all.
    fn forget(&self, tenants: Option<&BTreeSet<TenantId>>) {
        let is_kept = |id: &TenantId| tenants.is_some_and(|tenants| !tenants.contains(id));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.age += 1;
        known.rules.retain(|id, _| is_kept(id));
        known.names.retain(|(id, _), _| is_kept(id));
        drop(known);
        if let Some(listener) = self.listener.get() {
            listener(self, tenants);
        }
    }
}

impl Known {
    fn keep(
        &mut self,
        tenant_id: &TenantId,
        rules: RowRules,
        names: Option<(&Arc<str>, &Arc<Names>)>,
    ) {
        if self.rules.len() >= TENANTS_MAX {
            self.rules.clear();
        }
        self.rules.insert(tenant_id.clone(), rules);
        let Some((user_id, names)) = names else { return };
        if self.names.len() >= PEOPLE_MAX {
            self.names.clear();
        }
        self.names.insert((tenant_id.clone(), Arc::clone(user_id)), Arc::clone(names));
    }
}

/// What `principal` sees, where no rule is about it.
fn fixed(principal: &Principal) -> Option<Seen> {
    use super::permission::Role::{Admin, Ingest, Manager, Member, Owner, Viewer};
    match principal.role() {
        _ if principal.is_platform() => Some(Seen::everything()),
        Admin | Owner => Some(Seen::everything()),
        Ingest => Some(Seen::nothing()),
        Viewer | Member | Manager => None,
    }
}

/// The user whose names decide what `principal` sees. A key is nobody's: no row is its own.
fn whose(principal: &Principal, sight: Sight) -> Option<&Arc<str>> {
    match (principal, sight) {
        (Principal::User { user_id, .. }, Sight::Own | Sight::Teams) => Some(user_id),
        _ => None,
    }
}

/// The platform's tables, of whose writes [`Sights`] are told before they are answered.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) platform: Arc<dyn Tables>,
    pub(super) sights: Arc<Sights>,
}

impl Tables for Watched {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.platform.get(table, key)
    }

    fn list(
        &self,
        table: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<TableEntry>, StoreError> {
        self.platform.list(table, prefix, after, limit)
    }

    fn write(&self, expect: &[Expect], writes: &[TableWrite]) -> Result<bool, StoreError> {
        let tenants = self.sights.tenants_of(writes);
        let outcome = self.platform.write(expect, writes);
        // Also where nobody knows whether it is stored.
        if !matches!(outcome, Ok(false)) && tenants.as_ref().is_none_or(|some| !some.is_empty()) {
            self.sights.forget(tenants.as_ref());
        }
        outcome
    }
}

/// What lets the roles of a tenant that is being made see what `rules` say.
pub fn row_rules_creation(id: &TenantId, rules: &RowRules) -> Result<TableWrite, StoreError> {
    Ok(put(ROW_POLICIES, id.as_str().as_bytes(), record::encode(rules)?))
}

impl Tenancy {
    /// Whether the principal of `scope` still sees there what it saw when it entered. Where that
    /// cannot be read, it does not.
    pub fn sees_the_same(&self, scope: &TenantScope) -> bool {
        let seen = self.sights().of(scope.principal(), scope.id());
        seen.is_ok_and(|seen| seen == *scope.seen())
    }

    /// How often somebody may have come to see something else than before.
    pub fn sight_age(&self) -> u64 {
        self.sights().age()
    }

    /// Has `people` asked how executions name whoever enters. Without, no row is anybody's own.
    pub fn know(&self, people: Arc<dyn People>) {
        self.sights().ask(people);
    }

    /// Calls `listener` whenever somebody may see something else than before, from now on.
    pub fn on_sight_changed(&self, listener: Listener) {
        self.sights().listen(listener);
    }

    /// What the tenant with this id lets each role see.
    pub fn row_rules(&self, id: &TenantId) -> Result<RowRules, TenancyError> {
        Ok(self.sights().rules(id)?.0)
    }

    /// Has the tenant let each role see what `rules` say, if those of now pass `current`.
    pub fn set_row_rules(
        &self,
        id: &TenantId,
        rules: RowRules,
        by: &By,
        current: impl FnOnce(&RowRules) -> bool,
        now_ms: TimeMs,
    ) -> Result<RowRules, TenancyError> {
        let (before, bytes) = self.sights().rules(id)?;
        if !current(&before) {
            return Err(TenancyError::Stale);
        }
        let event = by.did("row_policy.change", format!("tenant:{id}"));
        let event = event.before(json!(before)).after(json!(rules));
        let (table, key) = (ROW_POLICIES, id.as_str().as_bytes());
        let change = Completion {
            expect: vec![
                Self::still_there(&*self.platform(), id)?,
                Expect { table: table.into(), key: key.into(), value: bytes },
            ],
            writes: vec![row_rules_creation(id, &rules)?],
            told: by.told(id, event),
        };
        match change.commit(self.log(), now_ms)? {
            true => Ok(rules),
            false => Err(TenancyError::Stale),
        }
    }
}

#[cfg(test)]
#[path = "sight_tests.rs"]
mod tests;
