//! Many WebSockets to which one thread listens.

use crate::client::Trust;
use crate::measure::now;
use crate::socket::{PATIENCE, Socket};
use anyhow::{Context, Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::Timespec;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::time::Instant;

/// Sockets that have something, asked for at once.
const READY_MAX: usize = 1024;

/// Files of this process beside the sockets: standard streams, the workload, other clients.
const OTHER_FILES: u64 = 256;

/// Sockets, by their number.
pub(crate) struct Crowd {
    epoll: OwnedFd,
    sockets: Vec<Socket>,
}

impl Crowd {
    /// These sockets.
    pub(crate) fn of(sockets: Vec<Socket>) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (n, socket) in sockets.iter().enumerate() {
            epoll::add(&epoll, socket, EventData::new_u64(n as u64), EventFlags::IN)?;
        }
        Ok(Self { epoll, sockets })
    }

    /// How many sockets there are.
    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Lends each message that comes to `hear`, with its socket's number and when it came, until that
    /// says enough. Whatever has come is received before any of it is decrypted, so that nobody's time
    /// is that of others' decryption.
    pub(crate) fn listen(
        &mut self,
        mut hear: impl FnMut(usize, &[u8], Instant) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let patience = Timespec::try_from(PATIENCE)?;
        let mut ready: Vec<Event> = Vec::with_capacity(READY_MAX);
        let mut came = Vec::with_capacity(READY_MAX);
        let mut enough = false;
        while !enough {
            epoll::wait(&self.epoll, spare_capacity(&mut ready), Some(&patience))?;
            ensure!(!ready.is_empty(), "nothing comes any more");
            for event in ready.drain(..) {
                let n = event.data.u64() as usize;
                self.sockets[n].receive()?;
                came.push((n, now()));
            }
            for (n, at) in came.drain(..) {
                self.sockets[n].read(|message| {
                    enough |= hear(n, message, at)?.is_break();
                    Ok(())
                })?;
            }
        }
        Ok(())
    }
}

/// Sockets that watch a tenant, each with one subscription called `a`.
pub(crate) fn watchers(trust: &Trust, key: &str, count: usize) -> Result<Vec<Socket>> {
    (0..count).map(|_| watcher(trust, key, &["a"])).collect()
}

/// A socket that watches a tenant, with these subscriptions.
pub(crate) fn watcher(trust: &Trust, key: &str, ids: &[&str]) -> Result<Socket> {
    let mut socket = Socket::open(trust, "/api/v1/ws", key)?;
    for id in ids {
        let wish = json!({ "type": "subscribe", "id": id, "topics": ["metrics_update"] });
        socket.say(&wish.to_string())?;
    }
    let mut acknowledged = 0;
    while acknowledged < ids.len() {
        socket.listen(|message| {
            let told: Value = serde_json::from_slice(message)?;
            ensure!(told["type"] == "subscribed", "{told}");
            acknowledged += 1;
            Ok(())
        })?;
    }
    Ok(socket)
}

/// Lets this process, and those it starts, have so many sockets.
pub(crate) fn allow_sockets(count: usize) -> Result<()> {
    let (limit, wanted) = (getrlimit(Resource::Nofile), count as u64 + OTHER_FILES);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised)
        .with_context(|| format!("{wanted} open files are needed: raise `ulimit -Hn`"))
}
