//! Watching a real keyspace over sockets in memory.

#[path = "tests/connection.rs"]
mod connection;
#[path = "tests/feed.rs"]
mod feed;
#[path = "tests/slow.rs"]
mod slow;
#[path = "tests/support.rs"]
mod support;
