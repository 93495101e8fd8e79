//! Asking: from a question's text to the text of its answer.
//!
//! Follow a question through:
//!
//! 1. [`question`] reads it, from JSON or (by way of [`params`]) from the parameters of a `GET`
//!    and the flags of the command line. Both become one tree (`node`), which remembers where
//!    everything stood; [`field`] knows the names of fields and functions, [`filter`] turns
//!    conditions into the engine's predicates, [`when`] reads times. Everything that is wrong is
//!    collected as [`problem::Problem`]s with code and pointer. What comes out, a
//!    [`Question`], can be asked as it is.
//! 2. [`cache`] has the answer already, if nothing has changed since it was given.
//! 3. [`run`] works out the time range, lets [`bucket`] compute where the buckets begin in the
//!    question's zone, and hands one `AggregateRequest` to the keyspace. Which blocks are
//!    answered from partial aggregates and which from columns is the engine's business alone.
//! 4. `order` fills empty buckets, orders the groups and cuts them at the limit; [`answer`] has
//!    the typed columns and exact cells that they become.
//! 5. [`render`] writes the answer as JSON or CSV; [`decimal`] keeps milliseconds exact.
//!
//! [`rows`] gives raw rows instead: by id, newest first, by seq, with `cursor`s.
//!
//! *Invariants.* Nothing here waits or computes without a [`Budget`](storage::ask::Budget). Every
//! row that leaves has passed the caller's row policy ([`run::Scope`]). Time is a parameter.
//!
//! *Absences.* No HTTP status, no terminal, no clock.

pub mod answer;
pub mod bucket;
pub mod cache;
mod cursor;
pub mod decimal;
pub mod field;
pub mod filter;
mod node;
mod order;
pub mod params;
pub mod problem;
pub mod question;
pub mod read;
pub mod render;
pub mod rows;
pub mod run;
pub mod settings;
pub mod when;

pub use answer::{Answer, Table};
pub use cache::{AnswerCache, Freshness};
pub use problem::{Problem, QueryError};
pub use question::Question;
pub use run::{Scope, ask};
pub use settings::QuerySettings;
