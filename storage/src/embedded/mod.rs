//! The engine on redb: one file a keyspace. The only module that names redb.
//!
//! In reading order: [`db`] opens a file and runs transactions; [`layout`] says what lies in
//! which table; [`keyspace`] holds what is open; [`commit`] appends; [`tail`] and [`repeats`] are
//! the memory of what is not sealed; [`upkeep`] seals and merges; [`edit`] removes and replaces;
//! [`rows`] and [`ask`] read; [`rewrite`] copies and reclaims; [`shadow`] is a file that
//! is looked into after a failed sync; [`migrate`] takes a file to another version; [`check`] verifies; [`engine`] keeps keyspaces open.

mod adopt;
mod ask;
mod block;
mod cache;
mod check;
mod commit;
mod db;
mod edit;
mod engine;
mod feed;
mod keyspace;
mod layout;
mod load;
mod migrate;
mod open;
mod repeats;
mod rewrite;
mod rows;
mod shadow;
mod tables;
mod tail;
mod upkeep;

pub use engine::{EmbeddedEngine, EngineSettings, KEYSPACE_FILE, PLATFORM_FILE, TENANTS};
pub use rewrite::suspect_path;
