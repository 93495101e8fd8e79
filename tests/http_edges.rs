//! The edges of the server: what its answers tell browsers, what pages of whom may do, and what is
//! believed of proxies, each origin, method and proxy by itself.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/elsewhere.rs"]
mod elsewhere;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;
#[path = "http_sessions/world.rs"]
mod world;

#[path = "http_edges/cookie.rs"]
mod cookie;
#[path = "http_edges/cors.rs"]
mod cors;
#[path = "http_edges/headers.rs"]
mod headers;
#[path = "http_edges/logins.rs"]
mod logins;
#[path = "http_edges/proxies.rs"]
mod proxies;
#[path = "http_edges/watch.rs"]
mod watch;
