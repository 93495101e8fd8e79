//! `emx key`: what programs present.

use super::user::{role_named, tenant_named};
use crate::app::act::{Act, text};
use crate::app::output;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable, instant};
use crate::identity::Identity;
use crate::identity::api_key::{ApiKey, ApiKeyError, NewApiKey};
use crate::identity::key_networks::KeyNetworks;
use crate::model::time::parse_rfc3339;
use crate::tenancy::by::By;
use crate::tenancy::registry::Tenancy;
use anyhow::Result;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::row::TimeMs;

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub(in crate::app) enum Command {
    /// Make an API key; it is shown only once
    Create(CreateFlags),
    /// List the API keys of a tenant
    List(TenantFlag),
    /// Give an API key another name
    Rename(RenameFlags),
    /// End an API key at once
    Revoke(RevokeFlags),
}

/// Whose keys.
#[derive(Clone, Debug, Args)]
pub(in crate::app) struct TenantFlag {
    /// The tenant
    #[arg(long, value_name = "NAME")]
    tenant: String,
}

/// The key to be made.
#[derive(Debug, Args)]
pub(in crate::app) struct CreateFlags {
    #[command(flatten)]
    tenant: TenantFlag,
    /// What to call it
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// What it is: ingest, viewer, member, manager, admin or owner
    #[arg(long, value_name = "ROLE", default_value = "ingest")]
    role: String,
    /// When it ends, such as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// A network from which it is let in, such as 10.0.0.0/8; can be repeated. None: from everywhere
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<String>,
}

/// The key to be called otherwise.
#[derive(Clone, Debug, Args)]
pub(in crate::app) struct RenameFlags {
    #[command(flatten)]
    tenant: TenantFlag,
    /// The key's id
    id: String,
    /// What to call it
    #[arg(long, value_name = "TEXT")]
    name: String,
}

/// The key to be ended.
#[derive(Debug, Args)]
pub(in crate::app) struct RevokeFlags {
    #[command(flatten)]
    tenant: TenantFlag,
    /// The key's id
    id: String,
}

/// An act on API keys, as it is performed here or where the data is open.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "key_act", rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::app) enum KeyAct {
    /// Makes a key. What comes of it holds the key itself.
    Create {
        tenant: String,
        name: String,
        role: String,
        expires_at: Option<String>,
        #[serde(default)]
        networks: Vec<String>,
    },
    /// Lists the keys of a tenant.
    List { tenant: String },
    /// Gives a key another name.
    Rename { tenant: String, id: String, name: String },
    /// Ends a key.
    Revoke { tenant: String, id: String },
}

impl KeyAct {
    /// Performs the act, and gives what came of it.
    pub(in crate::app) fn perform(
        &self,
        identity: &Identity,
        tenancy: &Tenancy,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Value> {
        let keys = identity.api_keys();
        match self {
            Self::Create { tenant, name, role, expires_at, networks } => {
                let tenant = tenant_named(tenancy, tenant)?;
                let expires_ms = expires_at.as_deref().map(time_named).transpose()?;
                let networks = KeyNetworks::parse(networks).map_err(ApiKeyError::from)?;
                let (name, role) = (name.clone(), role_named(role)?);
                let new = NewApiKey { name, role, expires_ms, networks };
                let made = keys.create(&tenant.id, new, by, now_ms)?;
                let mut value = as_json(&made.key);
                value["key"] = made.text.into();
                Ok(value)
            }
            Self::List { tenant } => {
                let keys = keys.list(&tenant_named(tenancy, tenant)?.id);
                let items: Vec<Value> = keys.iter().map(as_json).collect();
                Ok(json!({ "items": items, "next_cursor": null }))
            }
            Self::Rename { tenant, id, name } => {
                let tenant = tenant_named(tenancy, tenant)?;
                Ok(as_json(&keys.rename(&tenant.id, id, name, by, |_| true, now_ms)?))
            }
            Self::Revoke { tenant, id } => {
                let tenant = tenant_named(tenancy, tenant)?;
                Ok(as_json(&keys.revoke(&tenant.id, id, by, now_ms)?))
            }
        }
    }
}

fn time_named(text: &str) -> Result<TimeMs> {
    let unreadable = |_| {
        Failure::usage(format!("`{text}` is not a time")).help("use one like 2027-01-01T00:00:00Z")
    };
    Ok(parse_rfc3339(text).map_err(unreadable)?)
}

fn as_json(key: &ApiKey) -> Value {
    json!({
        "id": key.id, "name": key.name, "role": key.role, "created_at": instant(key.created_ms),
        "created_by": key.created_by, "expires_at": key.expires_ms.map(instant),
        "revoked_at": key.revoked_ms.map(instant), "last_used_at": key.last_used_ms.map(instant),
        "networks": key.networks,
    })
}

pub(super) fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::Create(flags) => create(flags, session),
        Command::List(flags) => list(flags, session),
        Command::Rename(flags) => rename(flags, session),
        Command::Revoke(flags) => revoke(flags, session),
    }
}

fn create(flags: &CreateFlags, session: &Session) -> Result<()> {
    let CreateFlags { tenant, name, role, expires_at, networks } = flags;
    let (tenant, name) = (tenant.tenant.clone(), name.clone());
    let (role, expires_at, networks) = (role.clone(), expires_at.clone(), networks.clone());
    let act = KeyAct::Create { tenant, name, role, expires_at, networks };
    let made = session.perform(Act::Key(act))?;
    if session.json {
        return output::json(&json!({ "id": made["id"], "key": made["key"] }));
    }
    let (id, key) = (text(&made, "id"), text(&made, "key"));
    Ok(output::text(&format!("made key `{id}`\nkey: {key} (shown only now)\n"))?)
}

fn rename(flags: &RenameFlags, session: &Session) -> Result<()> {
    let RenameFlags { tenant: TenantFlag { tenant }, id, name } = flags.clone();
    let key = session.perform(Act::Key(KeyAct::Rename { tenant, id, name }))?;
    if session.json {
        return output::json(&key);
    }
    Ok(output::text(&format!("key `{}` is called `{}`\n", text(&key, "id"), text(&key, "name")))?)
}

fn revoke(flags: &RevokeFlags, session: &Session) -> Result<()> {
    let (tenant, id) = (flags.tenant.tenant.clone(), flags.id.clone());
    let key = session.perform(Act::Key(KeyAct::Revoke { tenant, id }))?;
    if session.json {
        return output::json(&key);
    }
    Ok(output::text(&format!("key `{}` is revoked\n", text(&key, "id")))?)
}

fn list(flags: &TenantFlag, session: &Session) -> Result<()> {
    let keys = session.perform(Act::Key(KeyAct::List { tenant: flags.tenant.clone() }))?;
    if session.json {
        return output::json(&keys);
    }
    let headings = ["id", "name", "role", "created", "expires", "revoked", "last used", "networks"];
    let mut table = TextTable::new(&headings.map(|heading| (heading, Side::Left)));
    for key in keys["items"].as_array().into_iter().flatten() {
        let columns =
            ["id", "name", "role", "created_at", "expires_at", "revoked_at", "last_used_at"];
        let networks = key["networks"].as_array().into_iter().flatten();
        let networks = networks.filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
        let [id, name, role, created, expires, revoked, used] =
            columns.map(|column| text(key, column));
        table.push([id, name, role, created, expires, revoked, used, &networks]);
    }
    Ok(output::text(&table.render())?)
}
