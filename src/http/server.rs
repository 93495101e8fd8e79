//! Everything that answers share.

use super::body_room::BodyRoom;
use super::forwarded::Proxies;
use super::idempotency::InFlight;
use super::listener::{ConnectionCaps, Connections};
use super::live::Hub;
use super::measures::Measures;
use super::tls::Certificates;
use crate::identity::sso::site::Site;
use crate::identity::{Identity, oidc};
use crate::intake::writer::Writers;
use crate::limits::Registry;
use crate::model::network::Network;
use crate::model::web_origin::WebOrigin;
use crate::query::AnswerCache;
use crate::runtime::breath::Awaited;
use crate::runtime::clock::Clock;
use crate::runtime::outgoing::Outgoing;
use crate::runtime::pool::Pool;
use crate::runtime::tasks::Tasks;
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::registry::{Tenancy, TenancyError};
use crate::tenancy::scope::{Principal, TenantScope};
use hyper::header::HeaderValue;
use serde_json::Value;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// Does what the person at the machine asks for, and gives what came of it, or the error as it is
/// told. Waits for the disk.
pub type Control = Arc<dyn Fn(&[u8]) -> Result<Value, Value> + Send + Sync>;

/// What a server is made of.
pub struct Parts {
    /// What commands on this machine have the server do.
    pub control: Control,
    /// The tenants.
    pub tenancy: Arc<Tenancy>,
    /// Users, sessions and keys.
    pub identity: Arc<Identity>,
    /// What asks others, where a tenant names the address.
    pub outgoing: Outgoing,
    /// Signs people in at OpenID providers.
    pub oidc: oidc::Client,
    /// Where browsers reach the server.
    pub site: Site,
    /// The way of rows to the store.
    pub writers: Arc<Writers>,
    /// Answers kept.
    pub answers: AnswerCache,
    /// What each tenant may use, and uses.
    pub limits: Arc<Registry>,
    /// The time.
    pub clock: Clock,
    /// For questions, which take turns with the processors.
    pub processors: Pool,
    /// For the decoding of large bodies, in turns too: rows do not wait behind questions.
    pub decoders: Pool,
    /// For what waits for a disk.
    pub threads: Pool,
    /// For exports, which wait for their peers.
    pub exports: Pool,
    /// For the hashes of passwords, which take memory and time on purpose: in the background.
    pub passwords: Pool,
    /// Tasks that live as long as the server.
    pub tasks: Tasks,
    /// The same, on the threads that serve whoever watches.
    pub watching: Tasks,
    /// The certificate in use.
    pub certificates: Arc<Certificates>,
    /// `<slug>.<base_domain>` names a tenant; empty: no host does.
    pub base_domain: String,
    /// Pages of others that may watch.
    pub origins: Vec<WebOrigin>,
    /// Pages of others that may read answers.
    pub cors_origins: Vec<WebOrigin>,
    /// Proxies that are believed when they say whom they ask for.
    pub trusted_proxies: Vec<Network>,
    /// For how long browsers ask by TLS alone; zero: they are not told.
    pub hsts_time: Duration,
    /// Whoever watches.
    pub live: Arc<Hub>,
    /// Counters.
    pub measures: Measures,
    /// How many connections there may be.
    pub caps: ConnectionCaps,
}

/// Everything that answers share.
#[derive(Debug)]
pub struct Server {
    parts: Parts,
    /// Connections that are open.
    pub(super) connections: Connections,
    /// Keys of requests that are being done.
    pub(super) in_flight: InFlight,
    /// Those who ask.
    pub(super) awaited: Awaited,
    /// Memory for bodies that are on their way.
    pub(super) bodies: BodyRoom,
    /// What browsers are told of asking by TLS alone (RFC 6797).
    pub(super) hsts: Option<HeaderValue>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl Deref for Server {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Server {
    /// A server of these parts, that nobody is connected to.
    pub fn new(parts: Parts) -> Self {
        let connections = Connections::new(parts.caps, Proxies::new(parts.trusted_proxies.clone()));
        let hsts_s = parts.hsts_time.as_secs();
        let hsts = (hsts_s > 0).then(|| HeaderValue::from_str(&format!("max-age={hsts_s}")).ok());
        let (in_flight, bodies) = (InFlight::default(), BodyRoom::default());
        let awaited = Awaited::default();
        Self { parts, connections, in_flight, awaited, bodies, hsts: hsts.flatten() }
    }

    /// The tenant that a host names: whatever stands before the base domain, so that a host below that
    /// which is no tenant's names one that there is not, rather than none.
    pub(super) fn tenant_of_host<'h>(&self, host: &'h str) -> Option<&'h str> {
        if self.base_domain.is_empty() {
            return None;
        }
        let host = host.trim_end_matches('.'); // the root of all names, which may be written
        host.strip_suffix(&*self.base_domain)?.strip_suffix('.')
    }

    /// Whether `principal`, who was let in before, would still be: with what it came in with, and into the
    /// tenant with this id, where it is about one. Reads memory only.
    pub(super) fn still_lets_in(&self, principal: &Principal, id: Option<&TenantId>) -> bool {
        id.is_none_or(|id| self.tenancy.with_id(id).is_some())
            && self.identity.stands(principal, self.clock.now_ms())
    }

    /// Lets whoever administers the platform, and so may name it, into the tenant called `slug`. Where
    /// it is another than its own, that is told first; of the times within a minute, once.
    pub(super) fn enter_named(&self, by: &By, slug: &str) -> Result<TenantScope, TenancyError> {
        let scope = self.tenancy.enter(&by.principal, slug)?;
        let log = self.tenancy.log();
        let told = by.entering(scope.id()).into_iter().filter_map(|told| log.read(told));
        let first: Vec<_> = told.collect();
        if !first.is_empty() {
            log.tell_now_or_later(first, self.clock.now_ms())?;
        }
        Ok(scope)
    }
}
