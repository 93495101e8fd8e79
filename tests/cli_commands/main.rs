//! The command line from outside: the real binary on a data directory of its own.

mod emx;

mod config;
mod init;
mod query;
mod sample;
mod stored;
mod tenant;
