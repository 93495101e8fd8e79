//! What the platform knows about a tenant.

use super::id::TenantId;
use super::record;
use super::slug::Slug;
use serde::{Deserialize, Serialize};
use storage::error::StoreError;
use storage::row::TimeMs;

/// Tenants by id.
pub(super) const TENANTS: &str = "tenants";

/// Ids of tenants by slug.
pub(super) const SLUGS: &str = "tenant_slugs";

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its never-reused id, the name of its keyspace.
    pub id: TenantId,
    /// What people call it.
    pub slug: Slug,
    /// How far it got.
    pub state: TenantState,
    /// Its IANA time zone, which decides the grain of its partial aggregates.
    pub time_zone: String,
    /// When it was created, Unix milliseconds.
    pub created_ms: TimeMs,
}

/// How far a tenant got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// Its keyspace is being made. Found at a start, it is left over from a crash and is cleared.
    Creating,
    /// It can be entered.
    Active,
}

impl TenantState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Active => "active",
        }
    }
}

impl Tenant {
    pub(super) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        record::encode(self)
    }

    pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self, StoreError> {
        record::decode(&format!("{TENANTS}/{}", String::from_utf8_lossy(key)), bytes)
    }
}
