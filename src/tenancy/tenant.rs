//! What the platform knows about a tenant.

use super::display_name::DisplayName;
use super::id::TenantId;
use super::record;
use super::slug::Slug;
use serde::{Deserialize, Serialize};
use storage::engine::Tables;
use storage::error::StoreError;
use storage::row::TimeMs;

/// Tenants by id.
pub(super) const TENANTS: &str = "tenants";

/// Ids of tenants by slug.
pub(super) const SLUGS: &str = "tenant_slugs";

/// What tenants may use, by id: those that have limits of their own.
pub const LIMITS: &str = "tenant_limits";

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its never-reused id, the name of its keyspace.
    pub id: TenantId,
    /// What people call it.
    pub slug: Slug,
    /// What people read; none: the slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
    /// How far it got.
    pub state: TenantState,
    /// Its IANA time zone, which decides the grain of its partial aggregates.
    pub time_zone: String,
    /// Whether every question is told in its audit log.
    #[serde(default, skip_serializing_if = "is_false")]
    pub audit_queries: bool,
    /// When it was created, Unix milliseconds.
    pub created_ms: TimeMs,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// How far a tenant got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// Its keyspace is being made. Found at a start, it is left over from a crash and is cleared.
    Creating,
    /// It can be entered.
    Active,
    /// It is kept, and nobody enters it.
    Suspended,
    /// It is being deleted. What a crash left of it is deleted later.
    Deleting,
}

impl TenantState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
        }
    }

    /// Whether there is a way from this state to that one.
    pub(super) fn turns_into(self, state: Self) -> bool {
        matches!(
            (self, state),
            (Self::Creating | Self::Suspended, Self::Active)
                | (Self::Active, Self::Suspended)
                | (Self::Active | Self::Suspended, Self::Deleting)
        )
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

/// Whether there is a tenant with this id that can be entered, as it is stored.
pub fn is_active(platform: &dyn Tables, id: &TenantId) -> Result<bool, StoreError> {
    let key = id.as_str().as_bytes();
    let Some(bytes) = platform.get(TENANTS, key)? else { return Ok(false) };
    Ok(Tenant::decode(key, &bytes)?.state == TenantState::Active)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tenant() -> Tenant {
        Tenant {
            id: TenantId::random(),
            slug: Slug::parse("acme").unwrap(),
            display_name: DisplayName::parse("Acme GmbH").ok(),
            state: TenantState::Active,
            time_zone: "Europe/Berlin".to_owned(),
            audit_queries: true,
            created_ms: 1_700_000_000_000,
        }
    }

    /// What is read is a tenant whose parts are what they should be, and can be written again.
    fn check(bytes: &[u8]) {
        if let Ok(read) = Tenant::decode(b"key", bytes) {
            assert_eq!(TenantId::parse(read.id.as_str()).as_ref(), Some(&read.id));
            assert_eq!(Slug::parse(read.slug.as_str()).as_ref(), Ok(&read.slug));
            assert_eq!(Tenant::decode(b"key", &read.encode().unwrap()).unwrap(), read);
        }
    }

    proptest! {
        #[test]
        fn damaged_records_are_refused_or_tenants(
            noise: Vec<u8>,
            at: prop::sample::Index,
            byte: u8,
        ) {
            check(&noise);
            let mut bytes = tenant().encode().unwrap();
            check(&bytes);
            let at = at.index(bytes.len());
            check(&bytes[..at]);
            bytes[at] = byte;
            check(&bytes);
        }
    }
}
