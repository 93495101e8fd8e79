//! What the server refuses, and how: every row of these tables is one bad request with the exact
//! status, code and pointers of its answer. Nothing that is refused is stored, nothing fails with
//! 500, and the connection goes on or ends as it must.
//!
//! hyper answers by itself what it cannot read as a request: such an answer has no body and no
//! request id, and ends the connection. In the tables its code is `""`.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/authenticator.rs"]
mod authenticator;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;
#[path = "http_refusals/world.rs"]
mod world;

#[path = "http_refusals/bodies.rs"]
mod bodies;
#[path = "http_refusals/callers.rs"]
mod callers;
#[path = "http_refusals/framing.rs"]
mod framing;
#[path = "http_refusals/http2.rs"]
mod http2;
#[path = "http_refusals/idempotency.rs"]
mod idempotency;
#[path = "http_refusals/links.rs"]
mod links;
#[path = "http_refusals/people.rs"]
mod people;
#[path = "http_refusals/questions.rs"]
mod questions;
#[path = "http_refusals/rows.rs"]
mod rows;
#[path = "http_refusals/second_factors.rs"]
mod second_factors;
#[path = "http_refusals/targets.rs"]
mod targets;
