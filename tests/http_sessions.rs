//! Sessions over HTTP: listed and ended by whose they are and by who administers users, bound to their
//! clients, limited, and what a restart remembers of all that.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/elsewhere.rs"]
mod elsewhere;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;
#[path = "http_sessions/world.rs"]
mod world;

#[path = "http_sessions/bound.rs"]
mod bound;
#[path = "http_sessions/ended.rs"]
mod ended;
#[path = "http_sessions/keys.rs"]
mod keys;
#[path = "http_sessions/limits.rs"]
mod limits;
#[path = "http_sessions/networks.rs"]
mod networks;
#[path = "http_sessions/once.rs"]
mod once;
#[path = "http_sessions/platform.rs"]
mod platform;
