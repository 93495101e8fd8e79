//! Providers over tables in memory.

use super::*;
use crate::tenancy::id::{TenantId, random_word};

/// A SAML provider of a tenant of its own.
pub(in crate::identity::sso) fn saml_provider() -> Provider {
    Provider {
        id: random_word(),
        tenant_id: TenantId::random(),
        name: "Corporate".into(),
        preset: None,
        way: Way::Saml(Saml {
            idp_entity_id: "https://idp.example.org".into(),
            idp_sso_url: "https://idp.example.org/sso".into(),
            idp_certificates: Vec::new(),
            sp_entity_id: None,
            acs_url: None,
            attributes: saml::Attributes::default(),
        }),
        roles: BTreeMap::new(),
        teams: BTreeMap::new(),
        default_role: None,
        domains: Vec::new(),
        created_ms: 0,
    }
}
