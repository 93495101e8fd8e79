//! Acts of administration. A command performs one on the data itself or, where a server has the
//! data open, has the server perform it: the same act, with the same answer.

use super::commands::{AuditAct, KeyAct, UserAct};
use super::problem::Problem;
use super::table::instant;
use crate::audit::{self, Outcome};
use crate::backup::{self, Manifest, OnProgress, Source};
use crate::identity::Identity;
use crate::runtime::clock::Clock;
use crate::tenancy::by::By;
use crate::tenancy::registry::{Completion, NewTenant, Tenancy};
use crate::tenancy::slug::Slug;
use crate::tenancy::tenant::Tenant;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::embedded::EmbeddedEngine;

/// Something to be done.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Act {
    /// Makes a tenant.
    TenantCreate {
        /// Its name.
        slug: String,
        /// Its time zone.
        time_zone: String,
    },
    /// Lists all tenants.
    TenantList,
    /// Makes a backup.
    BackupCreate {
        /// The file, or a directory; absolute, for the server is somewhere else.
        to: PathBuf,
    },
    /// Something to be done with users.
    User(UserAct),
    /// Something to be done with API keys.
    Key(KeyAct),
    /// A look at the audit log.
    Audit(AuditAct),
}

/// What acts are performed on.
#[derive(Clone, Debug)]
pub(super) struct Acts {
    pub(super) engine: Arc<EmbeddedEngine>,
    pub(super) data_dir: PathBuf,
    pub(super) tenancy: Arc<Tenancy>,
    pub(super) identity: Arc<Identity>,
    pub(super) clock: Clock,
}

impl Acts {
    /// Performs an act that is written as JSON, and gives what came of it, or the problem, as JSON.
    pub(super) fn perform_text(&self, act: &[u8]) -> Result<Value, Value> {
        let act = serde_json::from_slice(act).context("the server does not know this act");
        let told = |error: anyhow::Error| json!(Problem::of(&error));
        act.map_err(told)
            .and_then(|act| self.perform(act).map_err(|error| json!(Problem::of(&error))))
    }

    /// Performs `act`.
    pub(super) fn perform(&self, act: Act) -> Result<Value> {
        let (identity, tenancy, by) = (&*self.identity, &*self.tenancy, By::operator());
        match act {
            Act::User(act) => act.perform(identity, tenancy, &by, self.clock.now_ms()),
            Act::Key(act) => act.perform(identity, tenancy, &by, self.clock.now_ms()),
            Act::Audit(act) => act.perform(tenancy),
            Act::TenantCreate { slug, time_zone } => {
                let new = NewTenant { slug: Slug::parse(&slug)?, time_zone };
                let now_ms = self.clock.now_ms();
                let made = tenancy.create(new, &by, now_ms, |_| Ok(Completion::default()))?;
                Ok(tenant_as_json(&made))
            }
            Act::TenantList => {
                let tenants = self.tenancy.list()?;
                let items: Vec<Value> = tenants.iter().map(tenant_as_json).collect();
                Ok(json!({ "items": items, "next_cursor": null }))
            }
            Act::BackupCreate { to } => self.back_up(&to, &mut |_| {}),
        }
    }

    /// Makes the backup `to` and says what is in it.
    pub(super) fn back_up(&self, to: &Path, tell: OnProgress<'_>) -> Result<Value> {
        let by = By::operator();
        let event = by.did("backup.create", format!("file:{}", to.display()));
        let tell_of = |outcome| {
            let told = event.clone().ended(outcome).in_chain(audit::PLATFORM);
            self.tenancy.log().tell(vec![told], self.clock.now_ms())
        };
        tell_of(Outcome::Begun)?;
        let made = self.copy(to, tell);
        tell_of(if made.is_ok() { Outcome::Done } else { Outcome::Failed })?;
        made
    }

    fn copy(&self, to: &Path, tell: OnProgress<'_>) -> Result<Value> {
        let source = Source {
            engine: &self.engine,
            data_dir: &self.data_dir,
            installation_id: Some(self.identity.installation_id()),
            now_ms: self.clock.now_ms(),
        };
        let made = backup::create(&source, to, tell)?;
        Ok(backup_as_json(&made.path, &made.manifest))
    }
}

/// What a backup says of itself.
pub(super) fn backup_as_json(path: &Path, manifest: &Manifest) -> Value {
    json!({
        "path": path.display().to_string(), "created_at": manifest.created_at,
        "emx": manifest.emx, "installation_id": manifest.installation_id,
        "tenants": manifest.tenants().count(), "bytes": manifest.bytes(),
        "has_secrets": manifest.has_secrets(), "files": manifest.files,
    })
}

fn tenant_as_json(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id, "slug": tenant.slug, "state": tenant.state,
        "time_zone": tenant.time_zone, "created_at": instant(tenant.created_ms),
    })
}

/// The text that an act's answer has under `key`; none where it has none.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}
