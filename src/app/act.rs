//! Acts of administration. A command performs one on the data itself or, where a server has the
//! data open, has the server perform it: the same act, with the same answer.

use super::commands::{AuditAct, KeyAct, TeamAct, UserAct, tenant_named};
use super::problem::Problem;
use super::table::instant;
use crate::audit::{self, Outcome};
use crate::backup::{self, Manifest, OnProgress, Source};
use crate::identity::Identity;
use crate::identity::rules::SignInRules;
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
use std::time::Duration;
use storage::embedded::EmbeddedEngine;

/// How often it is tried to delete what is still in use, and how long is waited in between: together
/// ten seconds.
const IN_USE_ATTEMPTS: usize = 100;
const IN_USE_PAUSE: Duration = Duration::from_millis(100);

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
    /// Keeps everybody out of a tenant.
    TenantSuspend {
        /// Its name.
        slug: String,
    },
    /// Lets everybody in again.
    TenantResume {
        /// Its name.
        slug: String,
    },
    /// Deletes a tenant and everything in it.
    TenantDelete {
        /// Its name.
        slug: String,
    },
    /// Says how people sign in, or has them sign in otherwise.
    SignInRules {
        /// The tenant's name.
        slug: String,
        /// Whether a password alone is not enough; `None` leaves that as it is.
        require_otp: Option<bool>,
    },
    /// Makes a backup.
    BackupCreate {
        /// The file, or a directory; absolute, for the server is somewhere else.
        to: PathBuf,
    },
    /// Something to be done with users.
    User(UserAct),
    /// Something to be done with teams.
    Team(TeamAct),
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
            Act::Team(act) => act.perform(identity, tenancy, &by, self.clock.now_ms()),
            Act::Key(act) => act.perform(identity, tenancy, &by, self.clock.now_ms()),
            Act::SignInRules { slug, require_otp } => self.sign_in_rules(&slug, require_otp, &by),
            Act::Audit(act) => act.perform(tenancy, &by, self.clock.now_ms()),
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
            Act::TenantSuspend { slug } => {
                let now_ms = self.clock.now_ms();
                let slug = Slug::parse(&slug)?;
                Ok(tenant_as_json(&identity.suspend_tenant(tenancy, &slug, &by, now_ms)?))
            }
            Act::TenantResume { slug } => {
                let now_ms = self.clock.now_ms();
                Ok(tenant_as_json(&tenancy.resume(&Slug::parse(&slug)?, &by, now_ms)?))
            }
            Act::TenantDelete { slug } => self.delete_tenant(&Slug::parse(&slug)?, &by),
            Act::BackupCreate { to } => self.back_up(&to, &mut |_| {}),
        }
    }

    /// Deletes a tenant. Where calls that began before use it for longer, it is deleted later, and its
    /// state says so.
    fn delete_tenant(&self, slug: &Slug, by: &By) -> Result<Value> {
        let (identity, tenancy) = (&self.identity, &self.tenancy);
        let tenant = identity.begin_deletion(tenancy, slug, by, self.clock.now_ms())?;
        for _ in 0..IN_USE_ATTEMPTS {
            let now_ms = self.clock.now_ms();
            match self.identity.finish_deletion(&self.tenancy, &tenant, now_ms) {
                Err(error) if error.is_in_use() => self.clock.pause(IN_USE_PAUSE),
                Ok(()) => {
                    let mut gone = tenant_as_json(&tenant);
                    gone["state"] = "deleted".into();
                    return Ok(gone);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(tenant_as_json(&tenant))
    }

    fn sign_in_rules(&self, slug: &str, require_otp: Option<bool>, by: &By) -> Result<Value> {
        let tenant = tenant_named(&self.tenancy, slug)?;
        let rules = match require_otp {
            None => self.identity.sign_in_rules(&tenant.id)?,
            Some(require_otp) => {
                let (rules, now_ms) = (SignInRules { require_otp }, self.clock.now_ms());
                self.identity.set_sign_in_rules(&tenant.id, rules, by, |_| true, now_ms)?
            }
        };
        Ok(json!({ "tenant": tenant.slug, "require_otp": rules.require_otp }))
    }

    /// Makes the backup `to` and says what is in it.
    pub(super) fn back_up(&self, to: &Path, tell: OnProgress<'_>) -> Result<Value> {
        let by = By::operator();
        let event = by.did("backup.create", format!("file:{}", to.display()));
        let tell_of = |outcome| vec![event.clone().ended(outcome).in_chain(audit::PLATFORM)];
        // On a disk that takes no writes a backup is wanted most.
        let log = self.tenancy.log();
        log.tell_now_or_later(tell_of(Outcome::Begun), self.clock.now_ms())?;
        let made = self.copy(to, tell);
        let outcome = if made.is_ok() { Outcome::Done } else { Outcome::Failed };
        log.tell_now_or_later(tell_of(outcome), self.clock.now_ms())?;
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
