//! The API keys of this installation, and who is let in by them.
//!
//! *Invariants*: every key is in memory, so that letting one in reads no store; a change is stored
//! before it counts, and counts for every call that begins after it returns. Only the hash of a
//! secret is kept, and it is compared in constant time. A key is never more than whoever made it, nor
//! comes from elsewhere or lasts longer; nobody changes or revokes one that may more. Who presents one from elsewhere than its networks learns no more than who presents none; the audit log
//! of its tenant tells of it.

use super::api_key::{
    ApiKey, ApiKeyError, FLUSH_EVERY_MS, ID_CHARS, KEYS_PER_TENANT_MAX, MadeApiKey, NewApiKey,
    PREFIX, check_name, parts,
};
use super::client::Client;
use super::key_networks::KeyNetworks;
use super::opaque::{self, SecretHash};
use super::revocation::{Revocations, Revoked};
use crate::audit::{AuditLog, Event, Outcome};
use crate::tenancy::by::By;
use crate::tenancy::id::{TenantId, random_word};
use crate::tenancy::record::{self, absent, delete, put};
use crate::tenancy::registry::{Completion, Tenancy};
use crate::tenancy::scope::Principal;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use storage::engine::{Expect, TableWrite, Tables};
use storage::error::{Corrupt, StoreError};
use storage::row::TimeMs;

/// Keys by id.
const API_KEYS: &str = "api_keys";

/// How many last uses are stored in one transaction.
const FLUSH_MAX: usize = 256;

/// What the audit log says of a key that is presented where it is not let in.
const NOT_FROM_HERE: &str = "key_not_from_here";

/// Of a key that was never used, or whose use was never stored.
const NEVER: TimeMs = TimeMs::MIN;

/// A key as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    pub(super) key: ApiKey,
    /// The secret's SHA-256 in base64url.
    hash: String,
}

impl Record {
    /// Whether it is one that could be let in.
    pub(super) fn is_readable(&self) -> bool {
        let id = &self.key.id;
        let plain = id.len() == ID_CHARS && id.bytes().all(|b| b.is_ascii_alphanumeric());
        plain && opaque::read_hash(&self.hash).is_some()
    }

    /// What stores it, if nothing has its id.
    pub(super) fn creation(&self) -> Result<(Expect, TableWrite), StoreError> {
        let id = self.key.id.as_bytes();
        Ok((absent(API_KEYS, id), put(API_KEYS, id, record::encode(self)?)))
    }
}

/// A key in memory.
struct Known {
    record: Record,
    hash: SecretHash,
    principal: Principal,
    last_used_ms: AtomicI64,
}

impl Known {
    fn of(record: Record) -> Result<Self, StoreError> {
        let hash = opaque::read_hash(&record.hash)
            .ok_or_else(|| Corrupt::new(format!("{API_KEYS}/{}", record.key.id)))?;
        let principal = Principal::ApiKey {
            key_id: record.key.id.as_str().into(),
            tenant_id: record.key.tenant_id.clone(),
            role: record.key.role,
        };
        let last_used_ms = AtomicI64::new(record.key.last_used_ms.unwrap_or(NEVER));
        Ok(Self { record, hash, principal, last_used_ms })
    }

    fn last_used_ms(&self) -> Option<TimeMs> {
        Some(self.last_used_ms.load(Ordering::Relaxed)).filter(|ms| *ms != NEVER)
    }

    /// The key with its last use as it is known in memory.
    fn key(&self) -> ApiKey {
        ApiKey { last_used_ms: self.last_used_ms(), ..self.record.key.clone() }
    }

    fn is_over(&self, now_ms: TimeMs) -> bool {
        let key = &self.record.key;
        key.revoked_ms.is_some() || key.expires_ms.is_some_and(|expires_ms| now_ms >= expires_ms)
    }

    fn is_to_flush(&self, now_ms: TimeMs) -> bool {
        let stored_ms = self.record.key.last_used_ms;
        let due = stored_ms.is_none_or(|ms| now_ms >= ms.saturating_add(FLUSH_EVERY_MS));
        due && self.last_used_ms() > stored_ms
    }
}

/// The API keys of this installation.
pub struct ApiKeys {
    platform: Arc<dyn Tables>,
    log: Arc<AuditLog>,
    revocations: Arc<Revocations>,
    known: RwLock<HashMap<Box<str>, Arc<Known>>>,
    /// Held while a key is changed.
    change: Mutex<()>,
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys").finish_non_exhaustive()
    }
}

impl ApiKeys {
    pub(super) fn load(
        log: Arc<AuditLog>,
        revocations: Arc<Revocations>,
    ) -> Result<Self, StoreError> {
        let platform = Arc::clone(log.platform());
        let mut known = HashMap::new();
        for (key, bytes) in record::all(&*platform, API_KEYS, b"")? {
            let what = format!("{API_KEYS}/{}", String::from_utf8_lossy(&key));
            let record: Record = record::decode(&what, &bytes)?;
            if record.key.id.as_bytes() != key {
                return Err(Corrupt::new(what).into());
            }
            known.insert(record.key.id.as_str().into(), Arc::new(Known::of(record)?));
        }
        Ok(Self { platform, log, revocations, known: RwLock::new(known), change: Mutex::new(()) })
    }

    /// Who presents the key `text`, as `client` does. Reads memory only, some 130 ns.
    pub fn authenticate(
        &self,
        text: &str,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<Principal, ApiKeyError> {
        let (id, secret) = parts(text).ok_or(ApiKeyError::Invalid)?;
        let presented = opaque::hash(secret);
        let known = self.find(id).ok_or(ApiKeyError::Invalid)?;
        let fits = verify_slices_are_equal(&presented, &known.hash).is_ok();
        if !fits || known.is_over(now_ms) {
            return Err(ApiKeyError::Invalid);
        }
        if !known.record.key.networks.admit(client.address) {
            self.count_elsewhere(&known, client);
            return Err(ApiKeyError::Invalid);
        }
        known.last_used_ms.fetch_max(now_ms, Ordering::Relaxed);
        Ok(known.principal.clone())
    }

    /// Whether what came in with `principal` may go on as `client`: a key keeps to its networks. Reads
    /// memory only.
    pub fn may_come_as(&self, principal: &Principal, client: Client<'_>) -> bool {
        let Principal::ApiKey { key_id, .. } = principal else { return true };
        self.find(key_id).is_some_and(|known| known.record.key.networks.admit(client.address))
    }

    /// Whether `maker` may come itself from where a key with `networks` may.
    fn may_come_from(&self, maker: &Principal, networks: &KeyNetworks) -> bool {
        let Principal::ApiKey { key_id, .. } = maker else { return true };
        self.find(key_id).is_some_and(|known| known.record.key.networks.cover(networks))
    }

    /// Whether `maker` lasts itself as long as a key that expires at `expires_ms`.
    fn may_last(&self, maker: &Principal, expires_ms: Option<TimeMs>) -> bool {
        let Principal::ApiKey { key_id, .. } = maker else { return true };
        self.find(key_id).is_some_and(|known| match known.record.key.expires_ms {
            None => true,
            Some(own_ms) => expires_ms.is_some_and(|expires_ms| expires_ms <= own_ms),
        })
    }

    /// Whether `principal` is a key that keeps to networks or expires: no way in that it made would.
    pub(super) fn is_bound(&self, principal: &Principal) -> bool {
        let Principal::ApiKey { key_id, .. } = principal else { return false };
        let is_free = |key: &ApiKey| key.expires_ms.is_none() && key.networks.is_everywhere();
        !self.find(key_id).is_some_and(|known| is_free(&known.record.key))
    }

    /// Counts for the auditors of its tenant that a key was presented where it is not let in: it may
    /// have been stolen.
    fn count_elsewhere(&self, known: &Known, client: Client<'_>) {
        let (actor, key) = (known.principal.subject(), &known.record.key);
        let event = Event::new(actor, "api_key.use", target(&key.id), client.source());
        let event = event.ended(Outcome::Refused).after(NOT_FROM_HERE.into());
        self.log.count(event.in_chain(key.tenant_id.as_str()));
    }

    /// Makes a key of `tenant_id` in the name of `by`.
    pub fn create(
        &self,
        tenant_id: &TenantId,
        new: NewApiKey,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<MadeApiKey, ApiKeyError> {
        self.create_and(tenant_id, new, by, now_ms, |_| Ok(Vec::new()))
    }

    /// The same, together with what `also` wants written.
    pub fn create_and(
        &self,
        tenant_id: &TenantId,
        new: NewApiKey,
        by: &By,
        now_ms: TimeMs,
        also: impl FnOnce(&MadeApiKey) -> Result<Vec<TableWrite>, StoreError>,
    ) -> Result<MadeApiKey, ApiKeyError> {
        self.demand_makeable(tenant_id, &new, &by.principal, now_ms)?;
        let NewApiKey { name, role, expires_ms, networks } = new;
        let secret = opaque::random_secret()?;
        let key = ApiKey {
            id: random_word(),
            tenant_id: tenant_id.clone(),
            name,
            role,
            created_ms: now_ms,
            created_by: by.principal.subject(),
            expires_ms,
            revoked_ms: None,
            last_used_ms: None,
            networks,
        };
        let text = format!("{PREFIX}{}_{secret}", key.id);
        let hash = opaque::hash_text(&opaque::hash(&secret));
        let record = Record { key: key.clone(), hash };
        let made = MadeApiKey { key: key.clone(), text };
        let _alone = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = self.room(tenant_id, now_ms)?;
        let mut writes = vec![put(API_KEYS, key.id.as_bytes(), record::encode(&record)?)];
        writes.extend(replaced.iter().map(|id| delete(API_KEYS, id.as_bytes())));
        writes.extend(also(&made)?);
        let there = Tenancy::still_there(&*self.platform, tenant_id)?;
        let expect = vec![absent(API_KEYS, key.id.as_bytes()), there];
        let event = by.did("api_key.create", target(&key.id)).after(told(&key));
        let told = by.told(tenant_id, event);
        if !(Completion { expect, writes, told }).commit(&self.log, now_ms)? {
            return Err(ApiKeyError::Conflict);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(replaced) = replaced {
            known.remove(replaced.as_str());
        }
        known.insert(key.id.as_str().into(), Arc::new(Known::of(record)?));
        Ok(made)
    }

    /// The keys of a tenant, oldest first.
    pub fn list(&self, tenant_id: &TenantId) -> Vec<ApiKey> {
        let mut keys: Vec<ApiKey> = self.of_tenant(tenant_id).iter().map(|k| k.key()).collect();
        keys.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        keys
    }

    /// The key of `tenant_id` called `id`.
    pub fn get(&self, tenant_id: &TenantId, id: &str) -> Result<ApiKey, ApiKeyError> {
        Ok(self.of(tenant_id, id)?.key())
    }

    /// Gives a key another name, if the key of now passes `current`.
    pub fn rename(
        &self,
        tenant_id: &TenantId,
        id: &str,
        name: &str,
        by: &By,
        current: impl FnOnce(&ApiKey) -> bool,
        now_ms: TimeMs,
    ) -> Result<ApiKey, ApiKeyError> {
        check_name(name)?;
        let rename = |key: &mut ApiKey| match current(key) {
            true => {
                key.name = name.into();
                Ok(())
            }
            false => Err(ApiKeyError::Stale),
        };
        self.change(tenant_id, id, rename, by.did("api_key.rename", target(id)), by, now_ms)
    }

    /// Ends a key at once. One that was revoked before keeps its time.
    pub fn revoke(
        &self,
        tenant_id: &TenantId,
        id: &str,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<ApiKey, ApiKeyError> {
        let revoke = |key: &mut ApiKey| {
            key.revoked_ms.get_or_insert(now_ms);
            Ok(())
        };
        let event = by.did("api_key.revoke", target(id));
        let outcome = self.change(tenant_id, id, revoke, event, by, now_ms);
        if let Err(ApiKeyError::Store(_)) = outcome {
            // Where it may or may not be stored, refusing is the safe side.
            let _alone = self.change.lock().unwrap_or_else(PoisonError::into_inner);
            let mut record = self.of(tenant_id, id)?.record.clone();
            revoke(&mut record.key)?;
            self.replace(record)?;
        }
        if matches!(outcome, Ok(_) | Err(ApiKeyError::Store(_))) {
            self.revocations.tell(&Revoked::ApiKey { key_id: id.into() });
        }
        outcome
    }

    /// Fails where `maker` may not make the key that `new` describes, or nobody may.
    fn demand_makeable(
        &self,
        tenant_id: &TenantId,
        new: &NewApiKey,
        maker: &Principal,
        now_ms: TimeMs,
    ) -> Result<(), ApiKeyError> {
        check_name(&new.name)?;
        if !maker.may_enter(tenant_id) || !(maker.is_platform() || maker.role().covers(new.role)) {
            return Err(ApiKeyError::Role { role: new.role });
        }
        if !self.may_come_from(maker, &new.networks) {
            return Err(ApiKeyError::NetworksTooWide);
        }
        if !self.may_last(maker, new.expires_ms) {
            return Err(ApiKeyError::ExpiryTooLate);
        }
        if new.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
            return Err(ApiKeyError::Expiry);
        }
        Ok(())
    }

    /// The keys of a tenant as they are stored, oldest first.
    pub(super) fn records_of(&self, tenant_id: &TenantId) -> Vec<Record> {
        let known = self.of_tenant(tenant_id);
        let mut records: Vec<Record> = known
            .iter()
            .map(|known| Record { key: known.key(), hash: known.record.hash.clone() })
            .collect();
        records.sort_by(|a, b| (a.key.created_ms, &a.key.id).cmp(&(b.key.created_ms, &b.key.id)));
        records
    }

    /// Whether a key has the id `id`, of whatever tenant.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    /// Lets keys count that were stored elsewhere.
    pub(super) fn admit(&self, records: Vec<Record>) -> Result<(), ApiKeyError> {
        let _alone = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            let id = record.key.id.as_str().into();
            let record = Arc::new(Known::of(record)?);
            self.known.write().unwrap_or_else(PoisonError::into_inner).insert(id, record);
        }
        Ok(())
    }

    /// Forgets the keys of a tenant, which end at once.
    pub(super) fn forget(&self, tenant_id: &TenantId) -> Result<(), ApiKeyError> {
        let _alone = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = self.of_tenant(tenant_id);
        for some in gone.chunks(FLUSH_MAX) {
            let writes = some.iter().map(|known| delete(API_KEYS, known.record.key.id.as_bytes()));
            self.platform.write(&[], &writes.collect::<Vec<_>>())?;
            for known in some {
                let key_id: Arc<str> = known.record.key.id.as_str().into();
                let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
                all.remove(&*key_id);
                drop(all);
                self.revocations.tell(&Revoked::ApiKey { key_id });
            }
        }
        Ok(())
    }

    /// Stores when keys were used last, where that is a minute newer than what is stored. To be
    /// called now and then, and at the end. Gives how many were stored.
    pub fn flush_used(&self, now_ms: TimeMs) -> Result<usize, ApiKeyError> {
        let _alone = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let due: Vec<Arc<Known>> = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.values().filter(|known| known.is_to_flush(now_ms)).cloned().collect()
        };
        for some in due.chunks(FLUSH_MAX) {
            let records =
                some.iter().map(|known| Record { key: known.key(), ..known.record.clone() });
            let records: Vec<Record> = records.collect();
            let mut writes = Vec::new();
            for record in &records {
                writes.push(put(API_KEYS, record.key.id.as_bytes(), record::encode(record)?));
            }
            self.platform.write(&[], &writes)?;
            for record in records {
                self.replace(record)?;
            }
        }
        Ok(due.len())
    }

    fn change(
        &self,
        tenant_id: &TenantId,
        id: &str,
        change: impl FnOnce(&mut ApiKey) -> Result<(), ApiKeyError>,
        event: Event,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<ApiKey, ApiKeyError> {
        let _alone = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.of(tenant_id, id)?;
        let role = known.record.key.role;
        if !(by.principal.is_platform() || by.principal.role().covers(role)) {
            return Err(ApiKeyError::MayMore { role });
        }
        let mut record = Record { key: known.key(), ..known.record.clone() };
        let before = told(&record.key);
        change(&mut record.key)?;
        let event = event.before(before).after(told(&record.key));
        let writes = vec![put(API_KEYS, id.as_bytes(), record::encode(&record)?)];
        let told = by.told(tenant_id, event);
        Completion { expect: Vec::new(), writes, told }.commit(&self.log, now_ms)?;
        let key = record.key.clone();
        self.replace(record)?;
        Ok(key)
    }

    /// Puts `record` in the place of what was known of the key, whose uses meanwhile are kept.
    fn replace(&self, record: Record) -> Result<(), StoreError> {
        let changed = Known::of(record)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = known.get(changed.record.key.id.as_str()) {
            let used_ms = before.last_used_ms.load(Ordering::Relaxed);
            changed.last_used_ms.fetch_max(used_ms, Ordering::Relaxed);
        }
        known.insert(changed.record.key.id.as_str().into(), Arc::new(changed));
        Ok(())
    }

    /// Which key has to go so that there can be another: nothing while there is room.
    fn room(&self, tenant_id: &TenantId, now_ms: TimeMs) -> Result<Option<String>, ApiKeyError> {
        let keys = self.of_tenant(tenant_id);
        if keys.len() < KEYS_PER_TENANT_MAX {
            return Ok(None);
        }
        let over = keys.iter().filter(|known| known.is_over(now_ms)).map(|known| &known.record.key);
        let oldest = over.min_by_key(|key| (key.created_ms, key.id.clone()));
        oldest.map(|key| Some(key.id.clone())).ok_or(ApiKeyError::TooMany)
    }

    fn find(&self, id: &str) -> Option<Arc<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn of(&self, tenant_id: &TenantId, id: &str) -> Result<Arc<Known>, ApiKeyError> {
        self.find(id)
            .filter(|known| known.record.key.tenant_id == *tenant_id)
            .ok_or_else(|| ApiKeyError::NotFound { id: id.chars().take(2 * ID_CHARS).collect() })
    }

    fn of_tenant(&self, tenant_id: &TenantId) -> Vec<Arc<Known>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().filter(|known| known.record.key.tenant_id == *tenant_id).cloned().collect()
    }
}

/// How the audit log calls a key.
fn target(id: &str) -> String {
    format!("api_key:{id}")
}

/// What the audit log tells of a key.
fn told(key: &ApiKey) -> Value {
    json!({
        "name": key.name, "role": key.role, "expires_ms": key.expires_ms,
        "revoked_ms": key.revoked_ms, "networks": key.networks,
    })
}

#[cfg(test)]
#[path = "key_ring_tests.rs"]
mod tests;
