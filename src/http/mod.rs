//! The outer contract: what is served over TLS.

pub mod tls;
