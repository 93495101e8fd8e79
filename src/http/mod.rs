//! The way in and out over the network, and the only module that knows HTTP.
//!
//! Follow a request through:
//!
//! 1. [`listener`] accepts the connection, [`tls`] encrypts it, [`stream`] watches that its peer is
//!    neither silent nor deaf. Whom a trusted proxy asks for, [`forwarded`] reads.
//! 2. [`dispatch`] has warp take the request apart ([`request`]), refuses what no server should
//!    guess at ([`fault`]), finds who answers in the one table of addresses ([`route`]), and asks
//!    [`guard`] who is asking.
//! 3. A function of [`api`] answers: it enters the tenant's data by way of [`call`], hands what
//!    computes or waits to a pool, and gives a [`reply`] or a [`problem`]. [`idempotency`] makes
//!    sending the same again harmless.
//! 4. [`live`] pushes what happens to whoever watches, [`page`] gives the page, [`openapi`] describes
//!    it all, [`measures`] counts it.
//!
//! What browsers may do for which pages: [`origin`] and [`cors`] say it, and the headers that
//! [`dispatch`] and [`page`] give every answer.
//!
//! Long bodies share the memory that [`body_room`] bounds, whoever sends them.
//!
//! *Invariants.* Async code here neither waits for a disk nor computes for more than half a
//! millisecond. Only [`problem`] knows which status an error has. Every body, header, list and wait
//! has a bound with a name.

pub mod listener;
mod stream;
pub mod tls;

mod body_room;
mod cookie;
mod cors;
mod dispatch;
mod fault;
mod forwarded;
mod guard;
mod origin;
mod request;
mod route;

mod api;
mod call;
pub mod idempotency;
mod precondition;
mod problem;
mod reply;

pub mod live;
pub mod measures;
mod openapi;
mod page;

pub mod run;
pub mod server;

pub use listener::ConnectionCaps;
pub use run::{Endpoint, serve};
pub use server::Server;
