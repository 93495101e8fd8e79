//! The one way out: whatever is asked of an address that somebody has named (an identity provider, a
//! webhook) is asked by [`Outgoing`].
//!
//! An address that a tenant names must not become a way into the network that this machine stands in.
//! So a request goes where [`Guard`] lets it, and nowhere else:
//!
//! - The URL is read in one narrow way ([`target`]).
//! - Its name is looked up once for each request, *every* address found is checked ([`address`]), and
//!   the connection is made to one of them, while the name stays in `Host` and in the handshake. A name
//!   that leads elsewhere the second time (DNS rebinding) leads nowhere.
//! - No redirect is followed, no proxy is taken from the environment, nothing is decompressed, and no
//!   connection is used a second time.
//! - Whoever stores an address checks it with [`Outgoing::check`]; it is checked again with each request.
//!
//! *Invariants*: everything is bounded, each step by [`Patience`], the answer by what whoever asks says,
//! what is under way by [`places`], for each owner by itself: whoever asks says for whom, a tenant. Nothing here is retried: only whoever asks knows whether that does
//! harm.
//!
//! What is connected *through* is a [`Network`]: the machine's own, unless whoever builds an [`Outgoing`]
//! says otherwise. The guard stands before it, so that it decides the same over any.

pub mod address;
pub mod guard;
pub mod network;
pub mod target;
pub mod trust;

mod error;
mod exchange;
mod places;

pub use error::OutgoingError;
pub use exchange::{Answer, Ask};
pub use guard::Guard;
pub use places::Place;
pub use trust::Trust;

use error::reason;
use network::{Network, SystemNetwork};
use places::Places;
use rustls::pki_types::ServerName;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use target::{Host, Scheme, Target};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Addresses of one name that are tried, one after the other.
const ADDRESSES_TRIED_MAX: usize = 3;

/// How long each step may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Looking a name up.
    pub resolve: Duration,
    /// Connecting to one address.
    pub connect: Duration,
    /// The handshake.
    pub tls: Duration,
    /// Sending the request and reading the answer whole.
    pub answer: Duration,
}

impl Default for Patience {
    /// Long enough for a provider under load on another continent; whoever signs in waits meanwhile.
    fn default() -> Self {
        let step = Duration::from_secs(5);
        Self { resolve: step, connect: step, tls: step, answer: Duration::from_secs(10) }
    }
}

/// Asks whatever is elsewhere. Clones are the same.
#[derive(Clone, Debug)]
pub struct Outgoing {
    guard: Arc<Guard>,
    trust: Trust,
    patience: Patience,
    network: Arc<dyn Network>,
    places: Arc<Places>,
}

impl Outgoing {
    /// Over the machine's network.
    pub fn new(guard: Guard, trust: Trust) -> Self {
        Self::over(Arc::new(SystemNetwork::new()), guard, trust, Patience::default())
    }

    /// Over any network.
    pub fn over(network: Arc<dyn Network>, guard: Guard, trust: Trust, patience: Patience) -> Self {
        Self { guard: Arc::new(guard), trust, patience, network, places: Arc::default() }
    }

    /// What is allowed.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Refuses `url` unless `owner` may ask it just now; nothing is sent. For whoever is about to store it.
    pub async fn check(&self, owner: &str, url: &str) -> Result<Target, OutgoingError> {
        let target = self.guard.check_url(url)?;
        self.addresses(owner, &target).await?;
        Ok(target)
    }

    /// Asks, for `owner`. An answer may have any status but one that points elsewhere.
    pub async fn send(&self, owner: &str, ask: Ask<'_>) -> Result<Answer, OutgoingError> {
        let target = self.guard.check_url(ask.url())?;
        let place = self.places.exchange(owner, &target.authority());
        let _place = place.ok_or_else(|| busy(&target))?;
        let addresses = self.addresses(owner, &target).await?;
        let tcp = self.connect(&target, &addresses).await?;
        match target.scheme() {
            Scheme::Http => {
                self.within_answer(&target, exchange::exchange(tcp, &target, ask)).await
            }
            Scheme::Https => {
                let tls = self.shake_hands(&target, tcp).await?;
                self.within_answer(&target, exchange::exchange(tls, &target, ask)).await
            }
        }
    }

    /// Every address of the host, each of which may be asked.
    async fn addresses(&self, owner: &str, target: &Target) -> Result<Vec<IpAddr>, OutgoingError> {
        let name = match target.host() {
            Host::Address(address) => {
                self.guard.check_address(target, *address)?;
                return Ok(vec![*address]);
            }
            Host::Name(name) => name,
        };
        let unresolved = || OutgoingError::Unresolved { host: name.to_string() };
        let place = self.places.lookup(owner).ok_or_else(|| busy(target))?;
        let found = timeout(self.patience.resolve, self.network.resolve(name, place)).await;
        let found = found.map_err(|_| slow(target, "be found by the resolver"))?;
        let found = found.map_err(|error| {
            tracing::debug!(%name, %error, "a name was not found");
            unresolved()
        })?;
        check_found(&self.guard, target, &found)?;
        Ok(found)
    }

    async fn connect(
        &self,
        target: &Target,
        addresses: &[IpAddr],
    ) -> Result<TcpStream, OutgoingError> {
        let mut failure = OutgoingError::Unresolved { host: target.host().to_string() };
        for address in addresses.iter().take(ADDRESSES_TRIED_MAX) {
            let address = SocketAddr::new(*address, target.port());
            match timeout(self.patience.connect, self.network.connect(address)).await {
                Ok(Ok(tcp)) => {
                    let _only_slower_without = tcp.set_nodelay(true);
                    return Ok(tcp);
                }
                Ok(Err(error)) => {
                    let (host, reason) = (target.host().to_string(), reason(&error));
                    failure = OutgoingError::Connect { host, reason };
                }
                Err(_) => failure = slow(target, "connect"),
            }
        }
        Err(failure)
    }

    async fn shake_hands(
        &self,
        target: &Target,
        tcp: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, OutgoingError> {
        let failed = |error: &dyn std::error::Error| OutgoingError::Tls {
            host: target.host().to_string(),
            reason: reason(error),
        };
        let name = match target.host() {
            Host::Address(address) => ServerName::IpAddress((*address).into()),
            Host::Name(name) => {
                ServerName::try_from(name.to_string()).map_err(|error| failed(&error))?
            }
        };
        let connector = TlsConnector::from(self.trust.config());
        let shaken = timeout(self.patience.tls, connector.connect(name, tcp)).await;
        let shaken = shaken.map_err(|_| slow(target, "prove who it is"))?;
        shaken.map_err(|error| failed(&error))
    }

    async fn within_answer(
        &self,
        target: &Target,
        exchange: impl Future<Output = Result<Answer, OutgoingError>>,
    ) -> Result<Answer, OutgoingError> {
        let answer = timeout(self.patience.answer, exchange).await;
        answer.unwrap_or_else(|_| Err(slow(target, "answer")))
    }
}

/// Refuses `url` unless it may be asked just now, as [`Outgoing::check`] does, for whoever has no network
/// of its own and may wait.
pub fn check_now(guard: &Guard, url: &str) -> Result<Target, OutgoingError> {
    let target = guard.check_url(url)?;
    let name = match target.host() {
        Host::Address(address) => {
            guard.check_address(&target, *address)?;
            return Ok(target);
        }
        Host::Name(name) => name.to_string(),
    };
    let (tell, told) = mpsc::channel();
    // Whoever waits no more leaves the resolver to its own end.
    std::thread::spawn(move || tell.send(network::addresses_of(&name)));
    let found = told.recv_timeout(Patience::default().resolve);
    let found = found.map_err(|_| slow(&target, "be found by the resolver"))?;
    let unresolved = |_| OutgoingError::Unresolved { host: target.host().to_string() };
    check_found(guard, &target, &found.map_err(unresolved)?)?;
    Ok(target)
}

/// Fails unless there are addresses of `target`'s name, each of which may be asked.
fn check_found(guard: &Guard, target: &Target, found: &[IpAddr]) -> Result<(), OutgoingError> {
    let host = target.host();
    for address in found {
        guard.check_address(target, *address).inspect_err(|error| {
            tracing::info!(%host, %address, code = error.code(), "an address was refused");
        })?;
    }
    match found.is_empty() {
        true => Err(OutgoingError::Unresolved { host: host.to_string() }),
        false => Ok(()),
    }
}

fn busy(target: &Target) -> OutgoingError {
    OutgoingError::Busy { host: target.host().to_string() }
}

fn slow(target: &Target, doing: &'static str) -> OutgoingError {
    OutgoingError::Slow { host: target.host().to_string(), doing }
}
