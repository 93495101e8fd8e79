//! What lies between a name and a connection: the machine's resolver and its sockets.

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
    /// All addresses of `name`.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;

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
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let name = name.to_owned();
        Box::pin(async move {
            self.lookups.run(move || addresses_of(&name)).await.map_err(io::Error::other)?
        })
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
    use super::*;

    #[tokio::test]
    async fn the_machine_knows_itself() {
        let network = SystemNetwork::new();
        let found = network.resolve("localhost").await.unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
        assert!(network.resolve("no.such.name.invalid").await.is_err());
    }
}
