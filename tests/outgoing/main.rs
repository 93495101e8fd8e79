//! Where requests of the server go, and where they never go.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "../support/site.rs"]
mod site;
#[path = "../support/wire.rs"]
mod wire;

mod addresses;
mod answers;
mod forms;
mod names;
mod world;
