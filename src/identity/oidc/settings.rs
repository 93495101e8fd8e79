//! What is known of an OpenID provider before anybody signs in, and short ways to say it for the three
//! that most companies have.

use super::error::OidcError;
use crate::runtime::outgoing::Guard;
use crate::runtime::outgoing::target::{Host, Target};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Longest id and secret of a client, bytes: those of the large providers have some 100.
const CLIENT_ID_BYTES_MAX: usize = 256;
const CLIENT_SECRET_BYTES_MAX: usize = 1024;

/// Scopes at most, and bytes of one.
const SCOPES_MAX: usize = 32;
const SCOPE_BYTES_MAX: usize = 128;

/// Domains of one Google Workspace at most.
const HOSTED_DOMAINS_MAX: usize = 100;

/// Longest name of the claim with the groups, bytes.
const CLAIM_BYTES_MAX: usize = 128;

/// Where groups are, unless the provider's settings say otherwise.
const GROUPS_CLAIM: &str = "groups";

/// Google's issuer. Every Google account there is can sign in at it.
const GOOGLE: &str = "https://accounts.google.com";

/// The host of Entra ID's issuers; a directory's is `https://<host>/<its id>/v2.0`.
const ENTRA_HOST: &str = "login.microsoftonline.com";

/// A provider, and what this server is to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Who signs ID tokens: the exact text of their `iss`.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// What this server proves that with. Never part of a record: whoever stores settings seals it and
    /// stores it beside.
    #[serde(skip)]
    pub client_secret: Option<String>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Where the browser comes back to, one for each provider, exactly as the provider knows it.
    pub redirect_uri: String,
    /// The claim that lists the person's groups, if there is one.
    pub groups_claim: Option<String>,
    /// Whom else an ID token must name.
    #[serde(default)]
    pub pins: Pins,
    /// For whom the provider is asked, as [`Outgoing`](crate::runtime::outgoing::Outgoing) shares places
    /// out: the tenant.
    #[serde(skip)]
    pub owner: String,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({}, {}, …)", self.issuer, self.client_id)
    }
}

/// Whom an ID token must name beside its issuer, where an issuer serves many companies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// Google: the Workspace domains, one of which `hd` must be.
    #[serde(default)]
    pub hosted_domains: Vec<String>,
    /// Entra ID: the directory's id, which `tid` must be. People are known by `oid` then, for `sub`
    /// differs from application to application.
    #[serde(default)]
    pub directory: Option<String>,
}

/// A provider that needs to be told no more than its realm and this server's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Google Workspace. Realm: its domains, with commas in between.
    Google,
    /// Microsoft Entra ID. Realm: the directory's id.
    Entra,
    /// Okta. Realm: the organisation's domain (`acme.okta.com`), or a custom authorisation server there
    /// (`acme.okta.com/oauth2/default`).
    Okta,
}

impl Preset {
    /// The settings for `realm`.
    pub fn settings(
        self,
        realm: &str,
        client_id: String,
        client_secret: String,
        redirect_uri: String,
    ) -> Result<Settings, OidcError> {
        let realm = realm.trim();
        let (issuer, scopes, pins) = match self {
            Self::Google => (GOOGLE.to_owned(), "email profile", google_pins(realm)?),
            Self::Entra => {
                let directory = directory_id(realm)?;
                let pins = Pins { directory: Some(directory.clone()), ..Pins::default() };
                (entra_issuer(&directory), "email profile", pins)
            }
            Self::Okta => {
                let (issuer, scopes) = okta_issuer(realm)?;
                (issuer, scopes, Pins::default())
            }
        };
        // Google tells no groups.
        let groups_claim = (self != Self::Google).then(|| GROUPS_CLAIM.to_owned());
        let scopes = scopes.split(' ').map(str::to_owned).collect();
        let made = Settings::generic(issuer, client_id, Some(client_secret), redirect_uri);
        Ok(Settings { scopes, groups_claim, pins, ..made })
    }
}

impl Settings {
    /// Those of any other provider.
    pub fn generic(
        issuer: String,
        client_id: String,
        client_secret: Option<String>,
        redirect_uri: String,
    ) -> Self {
        let scopes = ["email", "profile"].map(str::to_owned).to_vec();
        let groups_claim = Some(GROUPS_CLAIM.to_owned());
        let pins = Pins::default();
        let owner = String::new();
        Self { issuer, client_id, client_secret, scopes, redirect_uri, groups_claim, pins, owner }
    }

    /// Refuses what cannot work or would let strangers in. Asks nobody.
    pub fn check(&self, guard: &Guard) -> Result<(), OidcError> {
        let issuer = guard
            .check_url(&self.issuer)
            .map_err(|source| OidcError::Outgoing { doing: "take the issuer", source })?;
        if issuer.has_query() {
            return Err(wrong("issuer", "it has a query, which no issuer has"));
        }
        self.check_realm(&issuer)?;
        if Target::parse(&self.redirect_uri).is_err() {
            return Err(wrong("redirect_uri", "it is not a URL"));
        }
        if !is_visible(&self.client_id, CLIENT_ID_BYTES_MAX) {
            return Err(wrong("client_id", "give the one that the provider shows"));
        }
        let secret = self.client_secret.as_ref();
        if secret.is_some_and(|secret| !is_visible(secret, CLIENT_SECRET_BYTES_MAX)) {
            return Err(wrong("client_secret", "give the one that the provider shows"));
        }
        let claim = self.groups_claim.as_ref();
        if claim.is_some_and(|claim| claim.is_empty() || claim.len() > CLAIM_BYTES_MAX) {
            return Err(wrong("groups_claim", "it is empty or too long: name the claim, or none"));
        }
        match self.scopes.len() <= SCOPES_MAX && self.scopes.iter().all(|scope| is_scope(scope)) {
            true => Ok(()),
            false => Err(wrong("scopes", "each is a short word without quotes or white space")),
        }
    }

    /// Where an issuer serves everybody, somebody must have said who is meant.
    fn check_realm(&self, issuer: &Target) -> Result<(), OidcError> {
        if let Some(directory) = &self.pins.directory
            && (directory_id(directory).as_ref() != Ok(directory)
                || self.issuer != entra_issuer(directory))
        {
            return Err(wrong("issuer", "it is not that of the Entra ID directory that is named"));
        }
        if self.issuer == GOOGLE && self.pins.hosted_domains.is_empty() {
            return Err(wrong(
                "issuer",
                "name the Workspace's domain: anybody has a Google account",
            ));
        }
        let is_entra = *issuer.host() == Host::Name(ENTRA_HOST.into());
        let path = issuer.path_and_query();
        let anybody = ["/common/", "/organizations/", "/consumers/"];
        match is_entra && anybody.iter().any(|realm| path.starts_with(realm)) {
            true => {
                Err(wrong("issuer", "name the directory's id: anybody has a Microsoft account"))
            }
            false => Ok(()),
        }
    }

    /// The scopes as they are asked for.
    pub(super) fn scope(&self) -> String {
        let others = self.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
        std::iter::once("openid").chain(others).collect::<Vec<_>>().join(" ")
    }
}

fn wrong(field: &'static str, why: &'static str) -> OidcError {
    OidcError::Settings { field, why }
}

/// RFC 6749 appendices A.1 and A.2.
fn is_visible(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// RFC 6749 §3.3.
fn is_scope(text: &str) -> bool {
    (1..=SCOPE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

fn google_pins(realm: &str) -> Result<Pins, OidcError> {
    let domains = realm.split(',').map(|domain| domain.trim().to_ascii_lowercase());
    let hosted_domains: Vec<String> = domains.collect();
    let is_domain = |domain: &String| {
        let target = Target::parse(&format!("https://{domain}/"));
        domain.contains('.') && target.is_ok_and(|target| target.authority() == *domain)
    };
    match hosted_domains.len() <= HOSTED_DOMAINS_MAX && hosted_domains.iter().all(is_domain) {
        true => Ok(Pins { hosted_domains, ..Pins::default() }),
        false => Err(wrong("domain", "give the Workspace's domain, like `example.org`")),
    }
}

/// A directory's id in the form that `tid` has.
fn directory_id(realm: &str) -> Result<String, OidcError> {
    let id = Uuid::try_parse(realm).ok().filter(|id| !id.is_nil());
    let id = id.map(|id| id.hyphenated().to_string());
    id.ok_or_else(|| wrong("tenant", "give the directory's id, like `72f988bf-86f1-41af-91ab-…`"))
}

fn entra_issuer(directory: &str) -> String {
    format!("https://{ENTRA_HOST}/{directory}/v2.0")
}

/// The issuer of an organisation, or of an authorisation server of its own there, and what each gives:
/// the former knows the scope `groups`, the latter only what its administrators have added.
fn okta_issuer(realm: &str) -> Result<(String, &'static str), OidcError> {
    let bad = || wrong("domain", "give the organisation's domain, like `acme.okta.com`");
    let bare = realm.strip_prefix("https://").unwrap_or(realm).trim_end_matches('/');
    let issuer = format!("https://{bare}");
    let target = Target::parse(&issuer).map_err(|_| bad())?;
    let Host::Name(host) = target.host() else { return Err(bad()) };
    let (host, path) = (host.to_string(), target.path_and_query());
    if host.contains("-admin.okta") {
        return Err(wrong("domain", "is the administrators' console: leave `-admin` out"));
    }
    let server = path.strip_prefix("/oauth2/").filter(|id| !id.contains(['/', '?']));
    match (host.contains('.') && target.authority() == host, path, server) {
        (true, "/", _) => Ok((format!("https://{host}"), "email profile groups")),
        (true, _, Some(id)) => Ok((format!("https://{host}/oauth2/{id}"), "email profile")),
        _ => Err(bad()),
    }
}
