//! What lies in a keyspace file beside the columns of blocks: values to bytes and back.
//!
//! [`key`] binds a value to its place, [`meta`] has what a file says of itself, [`feed`] the
//! entries of the feed, its head and its cursors, [`pieces`] the cutting of long values. Nothing
//! here knows the library below or reads a file: what lies in which table is
//! [`embedded`](crate::embedded)'s business.
//!
//! *Invariant*: every reader is total. Bytes that no writer here makes are
//! [`Corrupt`](crate::error::Corrupt), and what a reader gives can be relied on without looking
//! again. The fuzz targets hold it to that.

pub mod feed;
pub mod key;
pub mod meta;
pub mod pieces;
