//! Who is let in and who is not, over the store as it lies on disk.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

mod administration;
mod api_key;
#[path = "../support/authenticator.rs"]
mod authenticator;
mod forget;
mod hostile;
mod link;
mod login;
mod meddled;
mod platform;
mod rotation;
mod second_factor;
mod session;
mod sso;
mod sso_rules;
mod team;
mod token;
mod world;
