//! What an administrator says of a provider, read member by member: everything that is wrong with it
//! is told at once, each with where it is.
//!
//! *Invariant*: a [`Draft`] is sound. What its protocol demands of settings is asked of the protocol
//! itself, with the addresses that this server has; no provider is asked anything, for it may be down.

use super::fields::Fields;
use super::provider::{Oidc, Preset, Provider, Saml, Way};
use super::site::{Kind, Site};
use super::{Fault, ProviderError};
use crate::identity::oidc::{self, OidcError};
use crate::identity::saml::{self, SamlError};
use crate::identity::team::NAME_CHARS_MAX as TEAM_CHARS_MAX;
use crate::model::problem::{pointer, row};
use crate::runtime::outgoing::target::{Target, URL_BYTES_MAX};
use crate::runtime::outgoing::{Guard, OutgoingError};
use crate::tenancy::permission::Role;
use crate::tenancy::slug::Slug;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Longest name, bytes: it stands on a button.
pub const NAME_BYTES_MAX: usize = 64;

/// Groups that can have a role or a team, and bytes of a name of one and of a team's.
const GROUPS_MAX: usize = 500;
const GROUP_BYTES_MAX: usize = 512;
const TEAM_BYTES_MAX: usize = 4 * TEAM_CHARS_MAX;

/// Domains that may sign in, and bytes of one (RFC 1035 §2.3.4).
const DOMAINS_MAX: usize = 100;
const DOMAIN_BYTES_MAX: usize = 253;

/// Bytes of a client's id and secret, and of an attribute's or claim's name; the protocols are
/// stricter.
const WORD_BYTES_MAX: usize = 1_024;

/// Scopes, and certificates: the protocols are stricter.
const LIST_MAX: usize = 32;
const PEM_BYTES_MAX: usize = 16 << 10;

/// How often settings are looked at anew without what was wrong with them: they have fewer members.
const LOOKS_MAX: usize = 16;

/// What a provider is to be. Its secret, if one was given, is not sealed yet.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(super) name: String,
    pub(super) preset: Option<Preset>,
    pub(super) way: DraftWay,
    pub(super) roles: BTreeMap<String, Role>,
    /// Ids or names.
    pub(super) teams: BTreeMap<String, String>,
    pub(super) default_role: Option<Role>,
    pub(super) domains: Vec<String>,
}

/// How it is to be spoken to.
#[derive(Clone)]
pub(super) enum DraftWay {
    Oidc(Oidc, Option<String>),
    Saml(Saml),
}

impl std::fmt::Debug for DraftWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Oidc(..) => "Oidc(…)",
            Self::Saml(_) => "Saml(…)",
        })
    }
}

/// Where a provider is to be used.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The installation.
    pub site: &'a Site,
    /// The tenant's name.
    pub tenant: &'a Slug,
    /// What may be asked from here.
    pub guard: &'a Guard,
}

impl Draft {
    /// Reads what is said of a new provider.
    pub fn read(body: &Map<String, Value>, place: Place<'_>) -> Result<Self, ProviderError> {
        Self::of(body, place, None)
    }

    /// Reads what is to be said otherwise of a provider: a member that is absent stays, one that is
    /// `null` goes (RFC 7396, one level deep).
    pub fn change(
        before: &Provider,
        patch: &Map<String, Value>,
        place: Place<'_>,
    ) -> Result<Self, ProviderError> {
        let mut body = before.body();
        let names = |name: &str| patch.get(name).is_some_and(|value| !value.is_null());
        // What is said in another way is not also said as before.
        let otherwise: &[&str] = match &before.way {
            Way::Oidc(_) if names("issuer") => &["domain", "tenant"],
            Way::Oidc(oidc) if patch.contains_key("preset") => {
                body.insert("issuer".into(), oidc.issuer.clone().into());
                &["domain", "tenant"]
            }
            Way::Saml(_) if names("idp_metadata") => {
                &["idp_entity_id", "idp_sso_url", "idp_certificates"]
            }
            _ => &[],
        };
        for name in otherwise {
            body.remove(*name);
        }
        for (name, value) in patch {
            body.insert(name.clone(), value.clone());
        }
        Self::of(&body, place, Some(before))
    }

    /// Fails where the issuer's name was found to lead to where nothing is asked. That it leads nowhere
    /// just now says nothing: a provider may be set up before it is there.
    pub fn check_found(&self, found: Result<Target, OutgoingError>) -> Result<(), ProviderError> {
        use OutgoingError as E;
        match found {
            Err(error @ (E::Url(_) | E::Plain | E::Port { .. } | E::Address { .. })) => {
                let (pointer, detail) = ("/issuer".to_owned(), error.to_string());
                Err(ProviderError::Invalid(vec![Fault { pointer, code: error.code(), detail }]))
            }
            _ => Ok(()),
        }
    }

    /// The issuer, which will be asked.
    pub fn issuer(&self) -> Option<&str> {
        match &self.way {
            DraftWay::Oidc(oidc, _) => Some(&oidc.issuer),
            DraftWay::Saml(_) => None,
        }
    }

    fn of(
        body: &Map<String, Value>,
        place: Place<'_>,
        before: Option<&Provider>,
    ) -> Result<Self, ProviderError> {
        let mut fields = Fields::of(body, "");
        let name = fields.required("name", NAME_BYTES_MAX);
        let preset = fields.choice("preset", &Preset::WORDS);
        let roles = fields.roles("roles", GROUPS_MAX, GROUP_BYTES_MAX);
        let teams = fields.named("teams", GROUPS_MAX, GROUP_BYTES_MAX, TEAM_BYTES_MAX);
        let default_role = fields.role("default_role");
        let domains = domains(&mut fields);
        let way = match kind(&mut fields, before) {
            Some(Kind::Oidc) => Some(oidc(&mut fields, preset, &domains, place, before)),
            Some(Kind::Saml) => Some(saml(&mut fields, preset, place)),
            // What else there may be depends on it.
            None => return Err(ProviderError::Invalid(fields.faults)),
        };
        let faults = fields.end();
        match way {
            Some(way) if faults.is_empty() => {
                Ok(Self { name, preset, way, roles, teams, default_role, domains })
            }
            _ => Err(ProviderError::Invalid(faults)),
        }
    }
}

/// The protocol, which cannot be another one later.
fn kind(fields: &mut Fields<'_>, before: Option<&Provider>) -> Option<Kind> {
    if !fields.has("kind") {
        fields.fault("kind", row::REQUIRED, "must be `oidc` or `saml`");
        return None;
    }
    let kind = fields.choice("kind", &[Kind::Oidc, Kind::Saml].map(|k| (k.as_str(), k)))?;
    if before.is_some_and(|before| before.kind() != kind) {
        fields.fault("kind", row::INVALID_VALUE, "cannot change: make another provider");
        return None;
    }
    Some(kind)
}

/// The domains that may sign in, in lower case.
fn domains(fields: &mut Fields<'_>) -> Vec<String> {
    let given = fields.texts("domains", DOMAINS_MAX, DOMAIN_BYTES_MAX).unwrap_or_default();
    let lower: Vec<String> = given.iter().map(|domain| domain.trim().to_lowercase()).collect();
    for (index, domain) in lower.iter().enumerate() {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.');
        let labels = domain.split('.').all(|label| !label.is_empty());
        let is_sound = domain.chars().all(plain) && labels;
        if !is_sound && !domain.is_empty() {
            let detail = "must be a domain like `example.org`, which is compared as a whole";
            let pointer = pointer("/domains", &index.to_string());
            fields.faults.push(Fault { pointer, code: row::INVALID_VALUE, detail: detail.into() });
        }
    }
    lower
}

fn oidc(
    fields: &mut Fields<'_>,
    preset: Option<Preset>,
    domains: &[String],
    place: Place<'_>,
    before: Option<&Provider>,
) -> DraftWay {
    let client_id = fields.required("client_id", WORD_BYTES_MAX);
    let secret = match before {
        Some(_) => fields.text("client_secret", WORD_BYTES_MAX),
        None => Some(fields.required("client_secret", WORD_BYTES_MAX)),
    };
    let issuer = fields.text("issuer", URL_BYTES_MAX);
    let scopes = fields.texts("scopes", LIST_MAX, WORD_BYTES_MAX);
    let groups_claim = fields.text("groups_claim", WORD_BYTES_MAX);
    let realm = realm(fields, preset);
    let realm = realm.or_else(|| realm_of(preset, issuer.as_deref()?, domains));
    // For every provider the same, so that the length of one's id decides nothing.
    let redirect_uri = place.site.redirect_uri(place.tenant, "provider");
    let settings = match (preset, &realm, &issuer) {
        (Some(preset), Some(realm), _) => {
            let secret = secret.clone().unwrap_or_default();
            let made = protocol(preset).settings(realm, client_id.clone(), secret, redirect_uri);
            made.inspect_err(|error| oidc_fault(fields, preset_field(preset), error)).ok()
        }
        (_, _, Some(issuer)) => {
            let (issuer, client_id) = (issuer.clone(), client_id.clone());
            Some(oidc::Settings::generic(issuer, client_id, secret.clone(), redirect_uri))
        }
        (preset, _, None) => {
            let (field, detail) = match preset {
                Some(preset) => (preset_field(preset), "must be there, or the issuer"),
                None => ("issuer", "must be there"),
            };
            if !fields.has(field) && !fields.has("issuer") {
                fields.fault(field, row::REQUIRED, detail);
            }
            None
        }
    };
    let mut oidc = Oidc {
        issuer: String::new(),
        client_id,
        sealed_secret: String::new(),
        scopes: Vec::new(),
        groups_claim: None,
        pins: oidc::Pins::default(),
        realm,
    };
    if let Some(mut settings) = settings {
        if issuer.is_some_and(|issuer| issuer != settings.issuer) {
            fields.fault(
                "issuer",
                row::INVALID_VALUE,
                "is not the preset's: leave one of both out",
            );
        }
        settings.client_secret = secret.clone(); // none where the one before stays
        settings.scopes = scopes.unwrap_or(settings.scopes);
        settings.groups_claim = groups_claim.or(settings.groups_claim);
        oidc.issuer.clone_from(&settings.issuer);
        oidc.scopes.clone_from(&settings.scopes);
        oidc.groups_claim.clone_from(&settings.groups_claim);
        oidc.pins.clone_from(&settings.pins);
        check_oidc(fields, settings, place.guard);
    }
    DraftWay::Oidc(oidc, secret)
}

fn protocol(preset: Preset) -> oidc::Preset {
    match preset {
        Preset::Google => oidc::Preset::Google,
        Preset::Entra => oidc::Preset::Entra,
        Preset::Okta => oidc::Preset::Okta,
    }
}

/// The member that says which organisation is meant at a provider that has many.
pub(super) const fn preset_field(preset: Preset) -> &'static str {
    match preset {
        Preset::Google | Preset::Okta => "domain",
        Preset::Entra => "tenant",
    }
}

/// The organisation that is meant. Without a preset there is no such member.
fn realm(fields: &mut Fields<'_>, preset: Option<Preset>) -> Option<String> {
    fields.text(preset_field(preset?), WORD_BYTES_MAX)
}

/// The organisation of an issuer that is one of the preset's own.
fn realm_of(preset: Option<Preset>, issuer: &str, domains: &[String]) -> Option<String> {
    let rest = issuer.strip_prefix("https://")?;
    match preset? {
        Preset::Google => {
            (rest == "accounts.google.com" && !domains.is_empty()).then(|| domains.join(","))
        }
        Preset::Entra => {
            let directory = rest.strip_prefix("login.microsoftonline.com/")?;
            directory.strip_suffix("/v2.0").map(str::to_owned)
        }
        Preset::Okta => rest.ends_with(".okta.com").then(|| rest.to_owned()),
    }
}

/// Finds all that is wrong with the settings: each look finds one thing, and the next look is without
/// it.
fn check_oidc(fields: &mut Fields<'_>, mut settings: oidc::Settings, guard: &Guard) {
    let mut told = Vec::new();
    for _ in 0..LOOKS_MAX {
        let Err(error) = settings.check(guard) else { return };
        let field = match &error {
            OidcError::Settings { field, .. } => *field,
            _ => "issuer",
        };
        if told.contains(&field) {
            return;
        }
        told.push(field);
        if !fields.has_fault(field) {
            oidc_fault(fields, field, &error);
        }
        match field {
            "client_id" => settings.client_id = "x".into(),
            "client_secret" => settings.client_secret = None,
            "scopes" => settings.scopes.clear(),
            "groups_claim" => settings.groups_claim = None,
            // Nothing is left to compare the rest with.
            _ => return,
        }
    }
}

fn oidc_fault(fields: &mut Fields<'_>, field: &str, error: &OidcError) {
    let (code, detail) = match error {
        OidcError::Settings { why, .. } => (row::INVALID_VALUE, (*why).to_owned()),
        OidcError::Outgoing { source, .. } => (source.code(), source.to_string()),
        error => (error.code(), error.to_string()),
    };
    fields.fault(field, code, detail);
}

fn saml(fields: &mut Fields<'_>, preset: Option<Preset>, place: Place<'_>) -> DraftWay {
    let described = described(fields);
    let is_described = described.is_some();
    let mut take = |name, found: Option<String>| match (fields.has(name), found) {
        (false, Some(found)) => found,
        _ => fields.required(name, URL_BYTES_MAX),
    };
    let (entity_id, sso_url, certificates) = match described {
        Some(idp) => (Some(idp.entity_id), Some(idp.sso_url), Some(idp.certificates)),
        None => (None, None, None),
    };
    let idp_entity_id = take("idp_entity_id", entity_id);
    let idp_sso_url = take("idp_sso_url", sso_url);
    let given = fields.texts("idp_certificates", LIST_MAX, PEM_BYTES_MAX);
    if given.is_none() && !is_described && !fields.has("idp_certificates") {
        fields.fault("idp_certificates", row::REQUIRED, "must be there");
    }
    let has_certificates = given.is_some() || is_described;
    let sp_entity_id = fields.text("sp_entity_id", URL_BYTES_MAX);
    let acs_url = fields.text("acs_url", URL_BYTES_MAX);
    let attributes = attributes(fields, preset);
    let saml = Saml {
        idp_entity_id,
        idp_sso_url,
        idp_certificates: given.or(certificates).unwrap_or_default(),
        sp_entity_id,
        acs_url,
        attributes,
    };
    let settings = saml.settings(place.site, place.tenant, "provider");
    for error in settings.faults() {
        saml_fault(fields, &error, has_certificates);
    }
    DraftWay::Saml(saml)
}

/// What a metadata document says of the provider, where there is one.
fn described(fields: &mut Fields<'_>) -> Option<saml::Idp> {
    const NAME: &str = "idp_metadata";
    let xml = fields.document(NAME, saml::METADATA_BYTES_MAX)?;
    match saml::idp_from_metadata(xml.as_bytes()) {
        Ok(idp) => Some(idp),
        Err(error) => {
            fields.fault(NAME, error.code(), error.to_string());
            None
        }
    }
}

/// Which attributes say what: what is not told follows from whose service it is.
fn attributes(fields: &mut Fields<'_>, preset: Option<Preset>) -> saml::Attributes {
    let usual = |name: &str| Some(name.to_owned());
    let mut attributes = match preset {
        Some(Preset::Entra) => saml::Attributes {
            name_id: usual("http://schemas.microsoft.com/identity/claims/objectidentifier"),
            email: usual("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"),
            groups: usual("http://schemas.microsoft.com/ws/2008/06/identity/claims/groups"),
        },
        Some(Preset::Okta) => {
            saml::Attributes { name_id: None, email: usual("email"), groups: usual("groups") }
        }
        Some(Preset::Google) | None => saml::Attributes::default(),
    };
    let Some(members) = fields.object("attributes") else { return attributes };
    let mut given = Fields::of(members, "/attributes");
    let mut take = |name, attribute: &mut Option<String>| {
        if let Some(text) = given.text(name, WORD_BYTES_MAX) {
            *attribute = Some(text);
        }
    };
    take("name_id", &mut attributes.name_id);
    take("email", &mut attributes.email);
    take("groups", &mut attributes.groups);
    fields.faults.extend(given.end());
    attributes
}

/// `has_certificates` says that some were given, however bad.
fn saml_fault(fields: &mut Fields<'_>, error: &SamlError, has_certificates: bool) {
    const CERTIFICATES: &str = "idp_certificates";
    let place = match error {
        // That there are none has been said.
        SamlError::NoCertificate if !has_certificates => return,
        SamlError::Certificate { position, .. } | SamlError::KeySize { position, .. } => {
            format!("/{CERTIFICATES}/{}", position.saturating_sub(1))
        }
        SamlError::Field { field } | SamlError::Url { field, .. } => {
            format!("/{}", field.replace('.', "/"))
        }
        _ => format!("/{CERTIFICATES}"),
    };
    // Of a member that is absent, or too long to be looked at, enough was said.
    let is_told = fields.faults.iter().any(|fault| fault.pointer == place);
    if !is_told {
        let (code, detail) = (error.code(), error.to_string());
        fields.faults.push(Fault { pointer: place, code, detail });
    }
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
