//! What lies between a name and a connection: the machine's resolver and its sockets.

use super::places::Place;
use crate::runtime::pool::Pool;
use futures_util::future::BoxFuture;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use tokio::net::TcpStream;

/// Names that are looked up at a time, and how many more may wait for their turn. The system's resolver
/// takes a thread for as long as it takes, whether somebody still waits or not.
const LOOKUPS_MAX: usize = 16;
const LOOKUPS_WAITING_MAX: usize = 256;

/// Finds addresses and connects to them. What may be connected to is decided elsewhere, so that an
/// implementation that leads elsewhere changes nothing about that.
pub trait Network: fmt::Debug + Send + Sync {
    /// All addresses of `name`. The place is kept until the lookup has come to its end, be it that nobody
    /// waits for it any more.
    fn resolve<'a>(&'a self, name: &'a str, place: Place)
    -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;

    /// A connection to `address`.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>>;
}

/// The machine's own.
#[derive(Debug)]
pub(super) struct SystemNetwork {
    lookups: Pool,
}

impl SystemNetwork {
    pub(super) fn new() -> Self {
        Self { lookups: Pool::of_threads(LOOKUPS_MAX, LOOKUPS_WAITING_MAX) }
    }
}

impl Network for SystemNetwork {
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        place: Place,
    ) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let name = name.to_owned();
        let look = move || {
            let found = addresses_of(&name);
            drop(place);
            found
        };
        Box::pin(async move { self.lookups.run(look).await.map_err(io::Error::other)? })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(address))
    }
}

/// All addresses of `name`. Waits for the system's resolver.
pub(super) fn addresses_of(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::places::Places;
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn the_machine_knows_itself() {
        let (network, places) = (SystemNetwork::new(), Arc::new(Places::default()));
        let place = || places.lookup("acme").unwrap();
        let found = network.resolve("localhost", place()).await.unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
        assert!(network.resolve("no.such.name.invalid", place()).await.is_err());
        assert!(places.are_all_free());
    }
}
