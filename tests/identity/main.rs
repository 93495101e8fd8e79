//! Who is let in and who is not, over the store as it lies on disk.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

mod api_key;
mod hostile;
mod login;
mod rotation;
mod session;
mod token;
mod world;
