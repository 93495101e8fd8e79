//! Everybody who watches: by tenant, so that each tenant's feed is read once, and by what they came
//! in with, so that whoever may not watch any more stops.
//!
//! *Invariants*: a tenant's feed is followed, and its keyspace held, exactly while somebody watches.
//! Whoever has a [`Watcher`] is counted until it is dropped. What the store's and the identity's
//! threads call hands over and returns.

use super::channel::{Channel, Means};
use super::outbox::{Closing, Outbox, Registration};
use super::tickets::Tickets;
use crate::identity::revocation::{self, Revoked};
use crate::tenancy::id::TenantId;
use crate::tenancy::row_policy::RowPolicy;
use crate::tenancy::scope::{Principal, TenantScope};
use crate::tenancy::sight::{self, Sights};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use storage::engine::Listener;
use tokio::sync::{Notify, Semaphore};

/// Most subscriptions that read the feed on their own at a time, to catch up. The others wait, and
/// nobody who is live does.
const CATCHING_UP_MAX: usize = 4;

/// Everybody who watches.
pub struct Hub {
    inner: Mutex<Inner>,
    /// Whom to ring when a keyspace has news, by its name.
    bells: Arc<RwLock<HashMap<Box<str>, Arc<Notify>>>>,
    pub(super) tickets: Tickets,
    pub(super) catching_up: Semaphore,
    next_registration: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    watched: HashMap<TenantId, Watched>,
    by_credential: HashMap<Credential, Vec<Arc<Outbox>>>,
    /// By the place of the outbox in memory.
    looking: HashMap<usize, Looking>,
    count: usize,
}

/// Who watches under which row policy.
#[derive(Clone, Debug)]
struct Looking {
    outbox: Arc<Outbox>,
    principal: Principal,
    tenant_id: TenantId,
    policy: RowPolicy,
}

#[derive(Debug)]
struct Watched {
    channel: Arc<Channel>,
    watchers: usize,
}

/// What somebody came in with, and what may be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A session, as its family of refresh tokens.
    Session(Arc<str>),
    /// An access token, by its id.
    Token(Arc<str>),
    /// A user, by its id.
    User(Arc<str>),
    /// An API key, by its id.
    Key(Arc<str>),
}

impl Credential {
    /// All that `principal` came in with, first what is most its own. Nobody revokes what the machine's
    /// operator has.
    pub(super) fn of(principal: &Principal) -> Vec<Self> {
        match principal {
            Principal::User { user_id, family, token_id, .. } => vec![
                Self::Session(Arc::clone(family)),
                Self::Token(Arc::clone(token_id)),
                Self::User(Arc::clone(user_id)),
            ],
            Principal::ApiKey { key_id, .. } => vec![Self::Key(Arc::clone(key_id))],
            Principal::LocalOperator => Vec::new(),
        }
    }
}

/// There are as many watchers of one tenant as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("as many connections watch as may: close some")]
pub(super) struct TooManyWatchers;

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl Hub {
    /// Nobody watches yet.
    pub fn new() -> Self {
        Self {
            inner: Mutex::default(),
            bells: Arc::default(),
            tickets: Tickets::default(),
            catching_up: Semaphore::new(CATCHING_UP_MAX),
            next_registration: AtomicU64::new(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the engine has to call whenever a keyspace has news.
    pub fn listener(&self) -> Listener {
        let bells = Arc::clone(&self.bells);
        Listener(Arc::new(move |keyspace| {
            let bells = bells.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(bell) = bells.get(keyspace) {
                bell.notify_one();
            }
        }))
    }

    /// What the identity has to call with everything that is ended before its time.
    pub fn revoker(self: &Arc<Self>) -> revocation::Listener {
        let hub = Arc::clone(self);
        Arc::new(move |revoked| {
            hub.revoke(&match revoked {
                Revoked::Session { family } => Credential::Session(Arc::clone(family)),
                Revoked::Token { token_id } => Credential::Token(Arc::clone(token_id)),
                Revoked::User { user_id } => Credential::User(Arc::clone(user_id)),
                Revoked::ApiKey { key_id } => Credential::Key(Arc::clone(key_id)),
                Revoked::AllTokens => return hub.revoke_tokens(),
            });
        })
    }

    /// What the tenancy has to call when somebody may see something else than before.
    pub fn looker(self: &Arc<Self>) -> sight::Listener {
        let hub = Arc::clone(self);
        Arc::new(move |sights, tenants| hub.look_again(sights, tenants))
    }

    /// Closes, with 4403, whoever may see other rows of these tenants, or of any, than when it came, or may do
    /// so.
    fn look_again(&self, sights: &Sights, tenants: Option<&BTreeSet<TenantId>>) {
        let is_asked =
            |looking: &&Looking| tenants.is_none_or(|tenants| tenants.contains(&looking.tenant_id));
        let looking: Vec<Looking> =
            self.lock().looking.values().filter(is_asked).cloned().collect();
        for Looking { outbox, principal, tenant_id, policy } in looking {
            let seen = sights.of(&principal, &tenant_id);
            if !seen.is_ok_and(|seen| seen.rows == policy) {
                outbox.close(Closing::SightChanged);
            }
        }
    }

    /// How many connections watch.
    pub fn len(&self) -> usize {
        self.lock().count
    }

    /// Whether nobody watches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes, with 4401, whoever came in with `credential`, and takes back its tickets. To be called
    /// when that has been revoked.
    pub fn revoke(&self, credential: &Credential) {
        self.tickets.revoke(credential);
        if let Some(outboxes) = self.lock().by_credential.get(credential) {
            outboxes.iter().for_each(|outbox| outbox.close(Closing::Revoked));
        }
    }

    /// The same for whoever came in with an access token.
    fn revoke_tokens(&self) {
        let is_token = |credential: &Credential| matches!(credential, Credential::Session(_));
        self.tickets.revoke_where(is_token);
        let inner = self.lock();
        let closed = inner.by_credential.iter().filter(|(credential, _)| is_token(credential));
        closed.flat_map(|(_, outboxes)| outboxes).for_each(|o| o.close(Closing::Revoked));
    }

    /// A number for a subscription that goes live.
    pub(super) fn next_registration(&self) -> Registration {
        self.next_registration.fetch_add(1, Ordering::Relaxed)
    }

    /// How many connections watch a tenant.
    pub fn watchers_of(&self, tenant_id: &TenantId) -> usize {
        self.lock().watched.get(tenant_id).map_or(0, |watched| watched.watchers)
    }

    /// Counts a connection of `scope`'s principal in, unless `watchers_max` watch the tenant, and has its
    /// feed followed if it is not.
    pub(super) fn watch(
        self: &Arc<Self>,
        scope: &TenantScope,
        means: &Means,
        watchers_max: usize,
    ) -> Result<Watcher, TooManyWatchers> {
        let credentials = Credential::of(scope.principal());
        let outbox = Arc::new(Outbox::default());
        let mut inner = self.lock();
        let watched = match inner.watched.get_mut(scope.id()) {
            Some(watched) => watched,
            None => {
                let channel = self.follow(scope, means).ok_or(TooManyWatchers)?;
                let watched = Watched { channel, watchers: 0 };
                inner.watched.entry(scope.id().clone()).or_insert(watched)
            }
        };
        if watched.watchers >= watchers_max {
            return Err(TooManyWatchers);
        }
        watched.watchers += 1;
        let channel = Arc::clone(&watched.channel);
        inner.count += 1;
        for credential in &credentials {
            let outboxes = inner.by_credential.entry(credential.clone()).or_default();
            outboxes.push(Arc::clone(&outbox));
        }
        let looking = Looking {
            outbox: Arc::clone(&outbox),
            principal: scope.principal().clone(),
            tenant_id: scope.id().clone(),
            policy: scope.policy().clone(),
        };
        inner.looking.insert(place(&outbox), looking);
        Ok(Watcher { hub: Arc::clone(self), channel, outbox, credentials })
    }

    /// Begins to follow a tenant's feed.
    fn follow(self: &Arc<Self>, scope: &TenantScope, means: &Means) -> Option<Arc<Channel>> {
        let (channel, reader) = Channel::new(scope.id().clone(), Arc::clone(scope.keyspace()))?;
        let mut bells = self.bells.write().unwrap_or_else(PoisonError::into_inner);
        bells.insert(scope.id().as_str().into(), Arc::clone(&channel.news));
        let (hub, followed) = (Arc::clone(self), Arc::clone(&channel));
        let (reading, tasks) = (means.clone(), means.tasks.clone());
        tasks.spawn(async move {
            reader.run(reading, || hub.is_over(&followed)).await;
            hub.end(&followed);
        });
        Some(channel)
    }

    /// Whether nobody watches `channel` any more; from then on nobody will.
    fn is_over(&self, channel: &Arc<Channel>) -> bool {
        let mut inner = self.lock();
        let watched = inner.watched.get(&channel.tenant_id);
        match watched {
            Some(watched) if Arc::ptr_eq(&watched.channel, channel) && watched.watchers > 0 => {
                false
            }
            _ => {
                self.remove(&mut inner, channel);
                true
            }
        }
    }

    /// Has the next watcher begin anew: this channel is not followed any more.
    fn end(&self, channel: &Arc<Channel>) {
        self.remove(&mut self.lock(), channel);
    }

    fn remove(&self, inner: &mut Inner, channel: &Arc<Channel>) {
        let known = inner.watched.get(&channel.tenant_id);
        if known.is_some_and(|watched| Arc::ptr_eq(&watched.channel, channel)) {
            inner.watched.remove(&channel.tenant_id);
            let mut bells = self.bells.write().unwrap_or_else(PoisonError::into_inner);
            bells.remove(channel.tenant_id.as_str());
        }
    }
}

fn place(outbox: &Arc<Outbox>) -> usize {
    Arc::as_ptr(outbox) as usize
}

/// A connection that watches, counted while this is there.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) hub: Arc<Hub>,
    pub(super) channel: Arc<Channel>,
    pub(super) outbox: Arc<Outbox>,
    credentials: Vec<Credential>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        inner.count -= 1;
        inner.looking.remove(&place(&self.outbox));
        for credential in &self.credentials {
            if let Some(outboxes) = inner.by_credential.get_mut(credential) {
                outboxes.retain(|outbox| !Arc::ptr_eq(outbox, &self.outbox));
                if outboxes.is_empty() {
                    inner.by_credential.remove(credential);
                }
            }
        }
        let known = inner.watched.get_mut(&self.channel.tenant_id);
        if let Some(watched) = known.filter(|known| Arc::ptr_eq(&known.channel, &self.channel)) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                self.channel.news.notify_one();
            }
        }
    }
}
