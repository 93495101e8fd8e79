//! `emx sso`: the identity providers of a tenant, whether they would do, and why a SAML response is accepted
//! or refused.

use super::user::tenant_named;
use crate::app::act::{Act, Acts, text};
use crate::app::input::read_up_to;
use crate::app::output;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable};
use crate::identity::oidc;
use crate::identity::saml;
use crate::identity::sso::draft::{Draft, Place};
use crate::identity::sso::explain::Explanation;
use crate::identity::sso::provider::Provider;
use crate::model::strict::Strict;
use crate::model::time::parse_rfc3339;
use crate::runtime::outgoing;
use crate::tenancy::by::By;
use crate::tenancy::slug::Slug;
use crate::tenancy::tenant::Tenant;
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt;
use std::path::{Path, PathBuf};
use storage::row::TimeMs;

/// Largest description of a provider, bytes: what reaches a server that runs is bounded.
const PROVIDER_BYTES_MAX: u64 = 200 << 10;

/// How much of a response is looked at, bytes: more than the largest that is read at all, in base64
/// with lines.
const RESPONSE_BYTES_MAX: u64 = 185_000;

/// What to do with single sign-on.
#[derive(Debug, Subcommand)]
pub(in crate::app) enum Command {
    /// Add an identity provider
    Add(AddFlags),
    /// Change an identity provider, such as a secret that runs out: what is not said stays
    Change(ChangeFlags),
    /// List the identity providers of a tenant
    List(TenantFlag),
    /// Remove an identity provider, and end the sessions that began with it
    Remove(RemoveFlags),
    /// Try a provider out, or say why a SAML response of it is accepted or refused, step by step; changes
    /// nothing
    Check(CheckFlags),
}

/// Whose providers.
#[derive(Debug, Args)]
pub(in crate::app) struct TenantFlag {
    /// The tenant
    #[arg(long, value_name = "NAME")]
    tenant: String,
}

/// The provider to be added.
#[derive(Debug, Args)]
pub(in crate::app) struct AddFlags {
    #[command(flatten)]
    tenant: TenantFlag,
    /// What it is, as JSON, `-` for standard input: the body of `POST /api/v1/sso-providers`
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// What is to be changed of a provider.
#[derive(Debug, Args)]
pub(in crate::app) struct ChangeFlags {
    #[command(flatten)]
    tenant: TenantFlag,
    /// The provider's id or name
    provider: String,
    /// What is to be otherwise, as JSON, `-` for standard input: what is absent stays, what is `null` goes
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// The provider to be removed.
#[derive(Debug, Args)]
pub(in crate::app) struct RemoveFlags {
    #[command(flatten)]
    tenant: TenantFlag,
    /// The provider's id or name
    provider: String,
}

/// The provider to be tried out, and the response to be explained.
#[derive(Debug, Args)]
pub(in crate::app) struct CheckFlags {
    #[command(flatten)]
    tenant: TenantFlag,
    /// The provider's id or name
    #[arg(long, value_name = "PROVIDER")]
    provider: String,
    /// The SAML response: XML, or the `SAMLResponse` of the form in base64
    #[arg(long, value_name = "FILE")]
    response: Option<PathBuf>,
    /// The time at which it arrives, such as 2027-01-01T00:00:00Z; now if absent
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    /// The id of the request that it answers; whichever it says if absent
    #[arg(long, value_name = "ID", requires = "response")]
    request_id: Option<String>,
}

/// An act on providers, as it is performed here or where the data is open.
#[derive(Clone, Deserialize, Serialize)]
#[serde(tag = "sso_act", rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::app) enum SsoAct {
    /// Adds a provider.
    Add { tenant: String, provider: Map<String, Value> },
    /// Changes a provider.
    Change { tenant: String, provider: String, patch: Map<String, Value> },
    /// Lists the providers of a tenant.
    List { tenant: String },
    /// Removes a provider.
    Remove { tenant: String, provider: String },
    /// Tries a provider out, or explains a response of it, which is in base64 once more.
    Check {
        tenant: String,
        provider: String,
        response: Option<String>,
        now_ms: Option<TimeMs>,
        request_id: Option<String>,
    },
}

impl fmt::Debug for SsoAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SsoAct(…)") // may have a secret in it
    }
}

impl SsoAct {
    /// Performs the act, and gives what came of it.
    pub(in crate::app) fn perform(&self, acts: &Acts, by: &By) -> Result<Value> {
        let (identity, tenancy) = (&acts.identity, &acts.tenancy);
        let now_ms = acts.clock.now_ms();
        match self {
            Self::Add { tenant, provider } => {
                let tenant = tenant_named(tenancy, tenant)?;
                let place = Place { site: &acts.site, tenant: &tenant.slug, guard: &acts.guard };
                let draft = Draft::read(provider, place)?;
                check_issuer(acts, &draft)?;
                let made = identity.add_sso_provider(&tenant.id, draft, by, now_ms)?;
                Ok(as_json(&made, acts, &tenant))
            }
            Self::Change { tenant, provider, patch } => {
                let tenant = tenant_named(tenancy, tenant)?;
                let known = identity.sso_provider_called(&tenant.id, provider)?.provider;
                let place = Place { site: &acts.site, tenant: &tenant.slug, guard: &acts.guard };
                let change = |before: &Provider| Draft::change(before, patch, place);
                check_issuer(acts, &change(&known)?)?;
                let id = &known.id;
                let changed = identity.change_sso_provider(&tenant.id, id, change, by, now_ms)?;
                Ok(as_json(&changed, acts, &tenant))
            }
            Self::List { tenant } => {
                let tenant = tenant_named(tenancy, tenant)?;
                let providers = identity.sso_providers(&tenant.id)?;
                let items: Vec<Value> =
                    providers.iter().map(|provider| as_json(provider, acts, &tenant)).collect();
                Ok(json!({ "items": items, "next_cursor": null }))
            }
            Self::Remove { tenant, provider } => {
                let tenant = tenant_named(tenancy, tenant)?;
                let known = identity.sso_provider_called(&tenant.id, provider)?;
                let id = &known.provider.id;
                let removed = identity.remove_sso_provider(&tenant.id, id, by, now_ms)?;
                Ok(as_json(&removed, acts, &tenant))
            }
            Self::Check { tenant, provider, response, now_ms: at_ms, request_id } => {
                let tenant = tenant_named(tenancy, tenant)?;
                let known = identity.sso_provider_called(&tenant.id, provider)?;
                let (site, at_ms) = ((&acts.site, &tenant.slug), at_ms.unwrap_or(now_ms));
                let Some(response) = response else {
                    return Ok(json!(reach(acts, &known.provider, &tenant.slug, at_ms)?));
                };
                let response = STANDARD.decode(response).context("the response is damaged")?;
                let request_id = request_id.as_deref();
                let explained =
                    identity.explain_response(&known, site, &response, request_id, at_ms)?;
                Ok(json!(explained))
            }
        }
    }
}

/// Fails where the issuer's name leads to where nothing is asked.
fn check_issuer(acts: &Acts, draft: &Draft) -> Result<()> {
    let Some(issuer) = draft.issuer() else { return Ok(()) };
    Ok(draft.check_found(outgoing::check_now(&acts.guard, issuer))?)
}

/// How far one comes with what is known of a provider.
fn reach(acts: &Acts, provider: &Provider, tenant: &Slug, now_ms: TimeMs) -> Result<Explanation> {
    if let Some(settings) = provider.saml(&acts.site, tenant) {
        return Ok(Explanation::of_look(saml::look(&settings, now_ms)));
    }
    let settings = provider.oidc(&acts.site, tenant, acts.identity.master_key())?;
    let settings = settings.context("a way to sign in without settings")?;
    let client = oidc::Client::new(acts.outgoing()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tried = runtime.context("cannot start a thread")?.block_on(client.probe(&settings));
    Ok(Explanation::of_tried(tried))
}

fn as_json(provider: &Provider, acts: &Acts, tenant: &Tenant) -> Value {
    provider.described(&acts.site, &tenant.slug).into()
}

pub(super) fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::Add(flags) => add(flags, session),
        Command::Change(flags) => change(flags, session),
        Command::List(flags) => list(flags, session),
        Command::Remove(flags) => remove(flags, session),
        Command::Check(flags) => check(flags, session),
    }
}

fn add(flags: &AddFlags, session: &Session) -> Result<()> {
    let provider = description(&flags.file, "POST /api/v1/sso-providers")?;
    let tenant = flags.tenant.tenant.clone();
    let made = session.perform(Act::Sso(SsoAct::Add { tenant, provider }))?;
    if session.json {
        return output::json(&made);
    }
    let mut said = format!("added `{}` ({})\n", text(&made, "name"), text(&made, "id"));
    said += &told_to_provider(&made);
    Ok(output::text(&said)?)
}

fn change(flags: &ChangeFlags, session: &Session) -> Result<()> {
    let (tenant, provider) = (flags.tenant.tenant.clone(), flags.provider.clone());
    let patch = description(&flags.file, "PATCH /api/v1/sso-providers/{id}")?;
    let changed = session.perform(Act::Sso(SsoAct::Change { tenant, provider, patch }))?;
    if session.json {
        return output::json(&changed);
    }
    let mut said = format!("changed `{}` ({})\n", text(&changed, "name"), text(&changed, "id"));
    said += &told_to_provider(&changed);
    Ok(output::text(&said)?)
}

/// What a provider is to be told, for whoever administers it.
fn told_to_provider(known: &Value) -> String {
    let mut said = "tell the provider:\n".to_owned();
    let told = [
        ("redirect_uri", "redirect URI"),
        ("acs_url", "assertion consumer service"),
        ("sp_entity_id", "entity id (audience)"),
        ("metadata_url", "or all of it from"),
    ];
    for (name, says) in told.iter().filter(|(name, _)| known[name].is_string()) {
        said += &format!("  {says}: {}\n", text(known, name));
    }
    said
}

/// What a file, or standard input, says of a provider, as `request` does.
fn description(file: &Path, request: &str) -> Result<Map<String, Value>> {
    let bytes = read_up_to(file, PROVIDER_BYTES_MAX + 1)?;
    if bytes.len() as u64 > PROVIDER_BYTES_MAX {
        let detail = format!("`{}` is over {PROVIDER_BYTES_MAX} bytes", file.display());
        return Err(Failure::new("too_large", detail).into());
    }
    let invalid = |detail: String| {
        Failure::new("invalid_json", format!("`{}`: {detail}", file.display()))
            .help(format!("write one JSON object, as the body of `{request}`"))
    };
    match serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))? {
        Strict(Value::Object(members)) => Ok(members),
        Strict(_) => Err(invalid("it is no JSON object".into()).into()),
    }
}

fn list(flags: &TenantFlag, session: &Session) -> Result<()> {
    let providers = session.perform(Act::Sso(SsoAct::List { tenant: flags.tenant.clone() }))?;
    if session.json {
        return output::json(&providers);
    }
    let headings = ["provider", "kind", "id", "issuer", "created"];
    let mut table = TextTable::new(&headings.map(|heading| (heading, Side::Left)));
    for provider in providers["items"].as_array().into_iter().flatten() {
        let issuer = match text(provider, "kind") {
            "saml" => text(provider, "idp_entity_id"),
            _ => text(provider, "issuer"),
        };
        let [name, kind, id] = ["name", "kind", "id"].map(|column| text(provider, column));
        table.push([name, kind, id, issuer, text(provider, "created_at")]);
    }
    Ok(output::text(&table.render())?)
}

fn remove(flags: &RemoveFlags, session: &Session) -> Result<()> {
    let (tenant, provider) = (flags.tenant.tenant.clone(), flags.provider.clone());
    let removed = session.perform(Act::Sso(SsoAct::Remove { tenant, provider }))?;
    if session.json {
        return output::json(&removed);
    }
    Ok(output::text(&format!("nobody signs in by `{}` any more\n", text(&removed, "name")))?)
}

fn check(flags: &CheckFlags, session: &Session) -> Result<()> {
    let response = flags.response.as_deref().map(|file| read_up_to(file, RESPONSE_BYTES_MAX));
    let response = response.transpose()?;
    let act = SsoAct::Check {
        tenant: flags.tenant.tenant.clone(),
        provider: flags.provider.clone(),
        response: response.as_ref().map(|response| STANDARD.encode(response)),
        now_ms: flags.now.as_deref().map(time_named).transpose()?,
        request_id: flags.request_id.clone(),
    };
    let explained = session.perform(Act::Sso(act))?;
    if session.json {
        output::json(&explained)?;
    } else {
        output::text(&as_text(&explained))?;
    }
    if explained["verdict"] == "accept" {
        return Ok(());
    }
    let reason = text(&explained, "reason");
    let what = match response {
        Some(_) => format!("the response is refused (`{reason}`)"),
        None => format!("nobody could sign in there (`{reason}`)"),
    };
    Err(Failure::new("sso_refused", what).help("the first step that failed says why").into())
}

fn time_named(text: &str) -> Result<TimeMs> {
    let unreadable = |_| {
        Failure::usage(format!("`{text}` is not a time")).help("use one like 2027-01-01T00:00:00Z")
    };
    Ok(parse_rfc3339(text).map_err(unreadable)?)
}

/// The steps, one a line.
fn as_text(explained: &Value) -> String {
    let mut said = String::new();
    for step in explained["steps"].as_array().into_iter().flatten() {
        let went = if step["passed"] == true { "ok    " } else { "FAILED" };
        said += &format!("{went}  {}: {}\n", text(step, "name"), text(step, "detail"));
    }
    if explained["verdict"] == "accept" {
        said += &match explained["name_id"].as_str() {
            Some(name_id) => format!("accepted: `{name_id}`\n"),
            None => {
                "all is well that can be tried without a person who signs in; whether the provider \
                     knows the redirect URI only that tells\n"
                    .to_owned()
            }
        };
    }
    said
}
