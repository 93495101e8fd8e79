//! External Metrics: command metrics per tenant, in one self-contained binary.
//!
//! Modules stand in floors; each imports only from lower ones (`tests/architecture.rs`).

pub mod app;
pub mod audit;
pub mod backup;
pub mod config;
pub mod http;
pub mod identity;
pub mod intake;
pub mod limits;
pub mod model;
pub mod process;
pub mod query;
pub mod runtime;
pub mod sample;
pub mod tenancy;
pub mod transfer;
