//! A network of a test's own: names lead where the test says, and connections to whatever address end
//! at servers on this machine. What is asked of it is written down.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use emx::runtime::outgoing::Place;
use emx::runtime::outgoing::network::Network;
use futures_util::future::BoxFuture;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;

/// An address of the internet. No packet goes there.
pub(crate) const PUBLIC: &str = "198.41.0.4";

#[derive(Debug, Default)]
pub(crate) struct Wire(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// What a name is answered, one time after the other; the last answer stays.
    names: HashMap<String, VecDeque<Vec<IpAddr>>>,
    /// Where connections end, by the address that is meant.
    lines: HashMap<SocketAddr, SocketAddr>,
    /// Names that are looked up without an end, and those lookups.
    hangs: HashSet<String>,
    hanging: Vec<Place>,
    looked_up: Vec<String>,
    connected: Vec<SocketAddr>,
}

impl Wire {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Has `name` lead to `answers`, one time after the other.
    pub(crate) fn name(&self, name: &str, answers: &[&[&str]]) {
        let read = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let answers = answers.iter().map(read).collect();
        self.0.lock().unwrap().names.insert(name.to_owned(), answers);
    }

    /// Has lookups of `name` hang, whether somebody waits for them or not.
    pub(crate) fn hang(&self, name: &str) {
        self.0.lock().unwrap().hangs.insert(name.to_owned());
    }

    /// Ends the lookups that hang.
    pub(crate) fn end_lookups(&self) {
        self.0.lock().unwrap().hanging.clear();
    }

    /// Has connections to `meant` end at `real`.
    pub(crate) fn line(&self, meant: &str, real: SocketAddr) {
        self.0.lock().unwrap().lines.insert(meant.parse().unwrap(), real);
    }

    /// The names that were looked up since the last time.
    pub(crate) fn looked_up(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().looked_up)
    }

    /// The addresses that were connected to since the last time.
    pub(crate) fn connected(&self) -> Vec<String> {
        let connected = std::mem::take(&mut self.0.lock().unwrap().connected);
        connected.iter().map(SocketAddr::to_string).collect()
    }

    /// How many connections were asked for since the last time.
    pub(crate) fn connections(&self) -> usize {
        self.0.lock().unwrap().connected.len()
    }
}

impl Network for Wire {
    fn resolve<'a>(
        &'a self,
        name: &'a str,
        place: Place,
    ) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let mut inner = self.0.lock().unwrap();
        inner.looked_up.push(name.to_owned());
        if inner.hangs.contains(name) {
            inner.hanging.push(place);
            return Box::pin(std::future::pending());
        }
        let answer = inner.names.get_mut(name).and_then(|answers| match answers.len() {
            0 | 1 => answers.front().cloned(),
            _ => answers.pop_front(),
        });
        Box::pin(async { answer.ok_or_else(|| ErrorKind::NotFound.into()) })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        let mut inner = self.0.lock().unwrap();
        inner.connected.push(address);
        let real = inner.lines.get(&address).copied();
        Box::pin(async move {
            match real {
                Some(real) => TcpStream::connect(real).await,
                None => Err(ErrorKind::ConnectionRefused.into()),
            }
        })
    }
}
