//! Tenants: what they are called, where their keyspaces are, and who may enter.
//!
//! *Invariant*: whoever touches a tenant's data holds a [`TenantScope`](scope::TenantScope), and
//! only this module makes one.

pub mod by;
pub mod display_name;
pub mod id;
pub mod slug;

pub mod permission;
pub mod record;
pub mod registry;
pub mod row_policy;
pub mod scope;
pub mod sight;
pub mod tenant;
pub mod zone;

pub mod migration;
pub mod schema;

mod directory;
pub mod life;
mod steps;

#[cfg(test)]
pub(crate) mod fake;
