//! The nouns: what the product is about, without any I/O.

pub mod execution;
pub mod limits;
pub mod network;
pub mod problem;
pub mod strict;
pub mod time;
pub mod web_origin;
