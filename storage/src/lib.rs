//! The storage engine of External Metrics.
//!
//! A *keyspace* holds one tenant's executions and is one file. Rows arrive in batches, are
//! committed as small columnar blocks (which are the feed), and are sealed in the background into
//! large blocks with their partial aggregates. [`engine`] has the public words, [`ask`] the
//! questions.

pub mod aggregate;
pub mod ask;
pub mod batch;
pub mod block;
pub mod codec;
pub mod embedded;
pub mod engine;
pub mod error;
pub mod gather;
pub mod row;
pub mod schema;
pub mod stored;
pub mod turns;
pub mod volume;
pub mod words;

/// How long a repeat of a row that came without `ts` is recognised: 24 hours.
pub const REPEAT_WINDOW_MS: i64 = 24 * 3600 * 1000;

/// Longest duration, 10^12 ms, in microseconds.
pub const DURATION_US_MAX: u64 = 1_000_000_000_000_000;

/// Most different label keys, and most different value keys, that a tenant may have.
pub const KEYS_MAX: usize = 1024;

/// Most views a keyspace may have.
pub const VIEWS_MAX: usize = 16;
