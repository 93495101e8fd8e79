//! The way in: bytes to rows, rows to the writers, and what is told to the sender.
//!
//! [`decode`] makes rows of a body, [`batch`] says what the sender is told about each,
//! [`quarantine`] keeps what could not be accepted, [`writer`] queues appends and commits them
//! together, in the lane that `lanes` finds for a tenant.

pub mod batch;
pub mod decode;
pub mod quarantine;
pub mod writer;

mod lanes;
