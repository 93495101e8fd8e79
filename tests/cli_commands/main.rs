//! The command line from outside: the real binary on a data directory of its own.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

mod emx;
#[path = "../support/forged.rs"]
mod forged;

mod backup;
mod config;
mod doctor;
mod export;
mod import;
mod init;
mod key;
mod query;
mod sample;
mod serve;
mod stored;
mod team;
mod tenant;
mod tenant_file;
mod user;
