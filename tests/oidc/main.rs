//! Signing in at OpenID providers: a good one, every bad one, and a real one.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "../support/site.rs"]
mod site;
#[path = "../support/wire.rs"]
mod wire;

mod answers;
mod flow;
mod id_token;
mod people;
mod presets;
mod provider;
mod real;
mod signer;
mod world;
