//! What one tenant may use of what all share, and how much it does use.
//!
//! 1. [`table`] says what is bounded: each [`Limit`] once, with its word, its range and what it counts.
//! 2. [`registry`] has the defaults and, stored with who changed what, the overrides of each tenant.
//! 3. [`meter`] counts for one tenant and refuses what is over; [`latencies`] has how long its requests
//!    took.
//!
//! How processors are shared out is [`turns`](crate::runtime::turns)' business, and what there may be in a
//! second [`rate`](crate::runtime::rate)'s; a meter holds its tenant's part in the one and its buckets of
//! the other.
//!
//! *Invariants*: whether a request passes is decided by atomics of its tenant alone, without a lock, an
//! allocation or a look at a clock. A change of a limit is stored before it counts, and then counts for
//! the next request. Counters are in memory: a restart begins anew.

pub mod latencies;
pub mod meter;
pub mod registry;
pub mod table;

pub use meter::{InFlight, Meter, Over};
pub use registry::{LimitError, Registry};
pub use table::{Limit, Limits, Overrides};
