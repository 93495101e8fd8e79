//! An identity provider of a tenant: what is known of it, how it lies in the platform's tables, and
//! how it is spoken to.
//!
//! *Invariant*: its client secret is sealed for this one provider.

use super::ProviderError;
use super::draft::preset_field;
use super::site::{Kind, Site, start_path};
use crate::identity::secret::MasterKey;
use crate::identity::{oidc, saml};
use crate::model::time::format_rfc3339;
use crate::tenancy::id::TenantId;
use crate::tenancy::permission::Role;
use crate::tenancy::record;
use crate::tenancy::scope::Principal;
use crate::tenancy::slug::Slug;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use storage::engine::Expect;
use storage::error::{Corrupt, StoreError};
use storage::row::TimeMs;

/// Providers by `<tenant>/<provider>`.
pub(super) const PROVIDERS: &str = "sso_providers";

/// Whose service a provider is, where that decides what need not be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Google Workspace.
    Google,
    /// Microsoft Entra ID.
    Entra,
    /// Okta.
    Okta,
}

impl Preset {
    /// Every preset by its word.
    pub const WORDS: [(&'static str, Self); 3] =
        [("google", Self::Google), ("entra", Self::Entra), ("okta", Self::Okta)];
}

/// An identity provider of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Random, never reused.
    pub id: String,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What the button says.
    pub name: String,
    /// Whose service it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// How it is spoken to.
    #[serde(flatten)]
    pub way: Way,
    /// What members of a group are here.
    pub roles: BTreeMap<String, Role>,
    /// The ids of the teams that members of a group are in. One of them may have gone meanwhile.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub teams: BTreeMap<String, String>,
    /// What everybody else is; nothing: they are refused.
    pub default_role: Option<Role>,
    /// The domains of addresses that may sign in, in lower case; none: all.
    pub domains: Vec<String>,
    /// When it was made, Unix milliseconds.
    pub created_ms: TimeMs,
}

/// How a provider is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Way {
    /// OpenID Connect.
    Oidc(Oidc),
    /// SAML 2.0.
    Saml(Saml),
}

/// An OpenID provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oidc {
    /// Who it is, and where it describes itself.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// What it proves that with, sealed, in base64.
    pub sealed_secret: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The claim that lists the person's groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// Whom else an ID token must name.
    #[serde(default)]
    pub pins: oidc::Pins,
    /// The organisation at a preset's provider, from which the issuer follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
}

/// A SAML identity provider. What is absent follows from the server's public address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saml {
    /// What it is called.
    pub idp_entity_id: String,
    /// Where people sign in there.
    pub idp_sso_url: String,
    /// What it signs with, as PEM.
    pub idp_certificates: Vec<String>,
    /// What this server is called there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sp_entity_id: Option<String>,
    /// Where it sends assertions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acs_url: Option<String>,
    /// Which attributes say what.
    pub attributes: saml::Attributes,
}

impl Saml {
    /// How the provider called `id` of the tenant called `tenant` is spoken to from `site`.
    pub(super) fn settings(&self, site: &Site, tenant: &Slug, id: &str) -> saml::Settings {
        let entity_id = self.sp_entity_id.clone();
        let acs_url = self.acs_url.clone();
        saml::Settings {
            idp_entity_id: self.idp_entity_id.clone(),
            idp_sso_url: self.idp_sso_url.clone(),
            idp_certificates: self.idp_certificates.clone(),
            sp_entity_id: entity_id.unwrap_or_else(|| site.metadata_url(tenant, id)),
            acs_url: acs_url.unwrap_or_else(|| site.acs_url(tenant, id)),
            attributes: self.attributes.clone(),
        }
    }
}

/// A provider as it was read.
#[derive(Clone, Debug)]
pub struct StoredProvider {
    /// The provider.
    pub provider: Provider,
    bytes: Vec<u8>,
}

impl StoredProvider {
    /// The condition that nobody changed or removed it since.
    pub(in crate::identity) fn unchanged(&self) -> Expect {
        let (table, key) = (PROVIDERS.into(), self.provider.key());
        Expect { table, key, value: Some(self.bytes.clone()) }
    }
}

impl Provider {
    /// Its protocol.
    pub fn kind(&self) -> Kind {
        match self.way {
            Way::Oidc(_) => Kind::Oidc,
            Way::Saml(_) => Kind::Saml,
        }
    }

    /// What was said of it, as it would be said again, but for the secret.
    pub fn body(&self) -> Map<String, Value> {
        let mut body = match &self.way {
            Way::Oidc(oidc) => {
                let (field, organisation) = match (self.preset, &oidc.realm) {
                    (Some(preset), Some(realm)) => (preset_field(preset), realm),
                    _ => ("issuer", &oidc.issuer),
                };
                json!({
                    field: organisation,
                    "client_id": oidc.client_id,
                    "scopes": oidc.scopes,
                    "groups_claim": oidc.groups_claim,
                })
            }
            Way::Saml(saml) => json!({
                "idp_entity_id": saml.idp_entity_id,
                "idp_sso_url": saml.idp_sso_url,
                "idp_certificates": saml.idp_certificates,
                "sp_entity_id": saml.sp_entity_id,
                "acs_url": saml.acs_url,
                "attributes": saml.attributes,
            }),
        };
        body["name"] = json!(self.name);
        body["kind"] = self.kind().as_str().into();
        body["preset"] = json!(self.preset);
        body["roles"] = json!(self.roles);
        body["teams"] = json!(self.teams);
        body["default_role"] = json!(self.default_role);
        body["domains"] = json!(self.domains);
        let mut body = match body {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        body.retain(|_, value| !value.is_null());
        body
    }

    /// What of it is shown: all but its secret, with what it is to be told of the installation at
    /// `site`, where its tenant is called `tenant`.
    pub fn described(&self, site: &Site, tenant: &Slug) -> Map<String, Value> {
        let mut shown = self.body();
        match &self.way {
            Way::Oidc(oidc) => {
                shown.insert("issuer".into(), json!(oidc.issuer));
                shown.insert("redirect_uri".into(), site.redirect_uri(tenant, &self.id).into());
            }
            Way::Saml(saml) => {
                let settings = saml.settings(site, tenant, &self.id);
                shown.insert("sp_entity_id".into(), settings.sp_entity_id.into());
                shown.insert("acs_url".into(), settings.acs_url.into());
                shown.insert("metadata_url".into(), site.metadata_url(tenant, &self.id).into());
            }
        }
        shown.insert("id".into(), json!(self.id));
        shown.insert("preset".into(), json!(self.preset));
        shown.insert("default_role".into(), json!(self.default_role));
        shown.insert("start".into(), start_path(self.kind(), tenant, &self.id).into());
        shown.insert("created_at".into(), format_rfc3339(self.created_ms).into());
        shown
    }

    /// How the SAML provider is spoken to, from `site` and for the tenant called `tenant`.
    pub fn saml(&self, site: &Site, tenant: &Slug) -> Option<saml::Settings> {
        match &self.way {
            Way::Saml(saml) => Some(saml.settings(site, tenant, &self.id)),
            Way::Oidc(_) => None,
        }
    }

    /// How the OpenID provider is spoken to, from `site` and for the tenant called `tenant`, with the
    /// secret opened by `master`.
    pub fn oidc(
        &self,
        site: &Site,
        tenant: &Slug,
        master: &MasterKey,
    ) -> Result<Option<oidc::Settings>, ProviderError> {
        let Way::Oidc(oidc) = &self.way else { return Ok(None) };
        let damaged = || Corrupt::new(format!("{PROVIDERS}/{}: the client secret", self.id));
        let sealed = STANDARD.decode(&oidc.sealed_secret);
        let sealed = sealed.map_err(|_| StoreError::from(damaged()))?;
        let secret = String::from_utf8(master.open(&self.secret_context(), &sealed)?);
        Ok(Some(oidc::Settings {
            issuer: oidc.issuer.clone(),
            client_id: oidc.client_id.clone(),
            client_secret: Some(secret.map_err(|_| StoreError::from(damaged()))?),
            scopes: oidc.scopes.clone(),
            redirect_uri: site.redirect_uri(tenant, &self.id),
            groups_claim: oidc.groups_claim.clone(),
            pins: oidc.pins.clone(),
            owner: self.tenant_id.to_string(),
        }))
    }

    /// What a client secret is sealed for.
    pub(super) fn secret_context(&self) -> String {
        format!("sso_client_secret/{}/{}", self.tenant_id, self.id)
    }

    pub(super) fn key(&self) -> Vec<u8> {
        key(&self.tenant_id, &self.id)
    }

    /// The role that is too high for `by` to give.
    pub(super) fn role_above(&self, by: &Principal) -> Option<Role> {
        let may_all = by.is_platform();
        let mut given = self.roles.values().chain(&self.default_role);
        given.find(|role| !may_all && !by.role().covers(**role)).copied()
    }
}

/// Neither has a slash.
pub(super) fn key(tenant_id: &TenantId, id: &str) -> Vec<u8> {
    format!("{tenant_id}/{id}").into_bytes()
}

/// The provider that lies under `key`.
pub(super) fn decode(key: &[u8], bytes: Vec<u8>) -> Result<StoredProvider, StoreError> {
    let what = format!("{PROVIDERS}/{}", String::from_utf8_lossy(key));
    Ok(StoredProvider { provider: record::decode(&what, &bytes)?, bytes })
}

#[cfg(test)]
#[path = "provider_tests.rs"]
pub(super) mod tests;
