//! The live channel (contract §6, `docs/live.md`): what happens in a tenant, pushed to whoever watches.
//!
//! Follow an execution out:
//!
//! 1. The engine calls [`hub`]'s listener when a keyspace's newest seq has moved; that rings the
//!    tenant's [`channel`], if somebody watches.
//! 2. The channel's reader reads the feed and has [`update`] make one text for each different view (row
//!    policy and filter); it puts that text into the [`outbox`] of every connection that has it.
//! 3. A connection's [`session`] takes out what its [`wire`] can send. Where it cannot, the outbox
//!    drops, and the subscription goes on by itself: [`catch_up`] reads the feed for it alone until it
//!    is where the others are. A `from_seq` begins in the same way.
//!
//! And a client in: [`mod@upgrade`] knows who it is, by a header or by one of [`tickets`], and from which
//! [`origin`](super::origin); [`protocol`] reads what it says, and [`desk`] does it.
//!
//! *Invariants*: nobody who is slow slows anybody else. A subscription's ranges of seqs join, without a
//! gap and without a repeat, whatever happens between. What a connection and a tenant's watchers cost
//! has bounds with names.

mod catch_up;
mod channel;
mod desk;
mod hub;
mod outbox;
mod protocol;
mod session;
mod tickets;
mod update;
mod upgrade;
mod wire;

#[cfg(test)]
mod tests;

pub use hub::{Credential, Hub};
pub(super) use upgrade::{ROUTES, upgrade};
