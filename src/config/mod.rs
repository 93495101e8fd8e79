//! Settings: what they are, where they come from, and which source wins.
//!
//! The commented `config.toml` at the top of the repository *is* the default: it is built in and
//! read like any other file. Over it lie a file of the user's, the environment and the command's
//! flags, in this order. Nothing unknown is ever skipped.

pub mod amount;

mod catalogue;
mod file;
pub mod load;
pub mod settings;
