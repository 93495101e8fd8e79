//! Acts of administration. A command performs one on the data itself or, where a server has the
//! data open, has the server perform it: the same act, with the same answer.

use super::commands::{
    AuditAct, KeyAct, LimitsAct, MigrateAct, RowPolicyAct, SsoAct, TeamAct, TenantToMake, UserAct,
    tenant_named,
};
use super::problem::Problem;
use super::table::instant;
use crate::audit::{self, Outcome};
use crate::backup::{self, Manifest, OnProgress, Source};
use crate::identity::Identity;
use crate::identity::forget::Deletion;
use crate::identity::rules::RulesChange;
use crate::identity::sso::site::Site;
use crate::identity::user::User;
use crate::limits::Registry;
use crate::runtime::clock::Clock;
use crate::runtime::outgoing::{Guard, Outgoing, Trust};
use crate::tenancy::by::By;
use crate::tenancy::display_name::DisplayName;
use crate::tenancy::life::TenantChange;
use crate::tenancy::registry::{Beginning, Completion, NewTenant, Tenancy};
use crate::tenancy::slug::Slug;
use crate::tenancy::tenant::{Tenant, TenantState};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::embedded::EmbeddedEngine;

/// How long it is tried to delete what is still in use.
const IN_USE_MAX: Duration = Duration::from_secs(10);

/// Something to be done.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Act {
    /// Makes a tenant.
    TenantCreate(TenantToMake),
    /// Lists all tenants.
    TenantList,
    /// Calls a tenant otherwise, or has its log tell more or less.
    TenantChange {
        /// Its name.
        slug: String,
        /// How people read it; empty: by its name. `None` leaves that as it is.
        display_name: Option<String>,
        /// Whether questions are told; `None` leaves that as it is.
        audit_queries: Option<bool>,
    },
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
        /// Whether a password is not enough at all; `None` leaves that as it is.
        #[serde(default)]
        require_sso: Option<bool>,
    },
    /// Puts a tenant into a file.
    TenantExport {
        /// Its name.
        slug: String,
        /// The file, or a directory; absolute, for the server is somewhere else.
        to: PathBuf,
    },
    /// Makes a new tenant of a file.
    TenantImport {
        /// The file; absolute.
        from: PathBuf,
        /// What to call it; `None`: as it was called.
        slug: Option<String>,
    },
    /// Shows or changes the limits of a tenant.
    TenantLimits(LimitsAct),
    /// Makes a backup.
    BackupCreate {
        /// The file, or a directory; absolute, for the server is somewhere else.
        to: PathBuf,
    },
    /// Something to be done with users.
    User(UserAct),
    /// Something to be done with teams.
    Team(TeamAct),
    /// A look at a row policy, or a change of it.
    RowPolicy(RowPolicyAct),
    /// Something to be done with API keys.
    Key(KeyAct),
    /// A look at the audit log.
    Audit(AuditAct),
    /// Something to be done with identity providers.
    Sso(SsoAct),
    /// Something to be done with the version of tenants' data.
    Migrate(MigrateAct),
}

/// What acts are performed on.
#[derive(Clone, Debug)]
pub(super) struct Acts {
    pub(super) engine: Arc<EmbeddedEngine>,
    pub(super) data_dir: PathBuf,
    pub(super) tenancy: Arc<Tenancy>,
    pub(super) identity: Arc<Identity>,
    pub(super) limits: Arc<Registry>,
    pub(super) clock: Clock,
    /// Where browsers reach the installation.
    pub(super) site: Site,
    /// What may be asked where a tenant names the address.
    pub(super) guard: Guard,
    /// A file with more authorities that vouch for other machines; none if empty.
    pub(super) authorities: String,
}

impl Acts {
    /// The way to other machines. Reads whom this one believes.
    pub(super) fn outgoing(&self) -> Result<Outgoing> {
        let more = (!self.authorities.is_empty()).then(|| Path::new(&self.authorities));
        Ok(Outgoing::new(self.guard.clone(), Trust::of_machine(more)?))
    }

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
            Act::User(act) => act.perform(self, &by),
            Act::Team(act) => act.perform(identity, tenancy, &by, self.clock.now_ms()),
            Act::Key(act) => act.perform(identity, tenancy, &by, self.clock.now_ms()),
            Act::SignInRules { slug, require_otp, require_sso } => {
                self.sign_in_rules(&slug, RulesChange { require_otp, require_sso }, &by)
            }
            Act::RowPolicy(act) => act.perform(tenancy, &by, self.clock.now_ms()),
            Act::Audit(act) => act.perform(tenancy, &by, self.clock.now_ms()),
            Act::Sso(act) => act.perform(self, &by),
            Act::Migrate(act) => act.perform(tenancy, &by, &self.clock),
            Act::TenantCreate(new) => self.create_tenant(new, &by),
            Act::TenantList => {
                let tenants = self.tenancy.list()?;
                let items: Vec<Value> = tenants.iter().map(tenant_as_json).collect();
                Ok(json!({ "items": items, "next_cursor": null }))
            }
            Act::TenantChange { slug, display_name, audit_queries } => {
                let parse = |text: String| match text.is_empty() {
                    true => Ok(None),
                    false => DisplayName::parse(&text).map(Some),
                };
                let display_name = display_name.map(parse).transpose()?;
                let change = TenantChange { display_name, audit_queries, state: None };
                self.change_tenant(&slug, &change, &by)
            }
            Act::TenantSuspend { slug } => self.turn_tenant(&slug, TenantState::Suspended, &by),
            Act::TenantResume { slug } => self.turn_tenant(&slug, TenantState::Active, &by),
            Act::TenantLimits(act) => act.perform(&self.limits, tenancy, &by, self.clock.now_ms()),
            Act::TenantDelete { slug } => self.delete_tenant(&Slug::parse(&slug)?, &by),
            Act::TenantExport { slug, to } => self.export_tenant(&slug, &to, &by),
            Act::TenantImport { from, slug } => self.import_tenant(&from, slug.as_deref(), &by),
            Act::BackupCreate { to } => self.back_up(&to, &mut |_| {}),
        }
    }

    /// Makes a tenant, with its first administrator if there is to be one.
    fn create_tenant(&self, new: TenantToMake, by: &By) -> Result<Value> {
        let TenantToMake { slug, time_zone, display_name, admin } = new;
        let new = NewTenant { slug: Slug::parse(&slug)?, time_zone };
        let display_name = display_name.as_deref().map(DisplayName::parse).transpose()?;
        let beginning = Beginning { display_name, ..Beginning::default() };
        let owner = admin.map(|admin| admin.owner(&slug)).transpose()?;
        let now_ms = self.clock.now_ms();
        let made = self.tenancy.begin(new, beginning, by, now_ms, |tenant| match owner {
            None => Ok(Completion::default()),
            Some(owner) => User::owner(tenant.id.clone(), owner, now_ms).creation_by(by),
        });
        Ok(tenant_as_json(&made?))
    }

    /// Suspends or resumes a tenant.
    fn turn_tenant(&self, slug: &str, state: TenantState, by: &By) -> Result<Value> {
        let change = TenantChange { state: Some(state), ..TenantChange::default() };
        self.change_tenant(slug, &change, by)
    }

    fn change_tenant(&self, slug: &str, change: &TenantChange, by: &By) -> Result<Value> {
        let (slug, now_ms) = (Slug::parse(slug)?, self.clock.now_ms());
        let (identity, any) = (&self.identity, |_: &Tenant| true);
        let changed = identity.change_tenant(&self.tenancy, &slug, change, any, by, now_ms)?;
        Ok(tenant_as_json(&changed))
    }

    /// Deletes a tenant. Where calls that began before use it for longer, it is deleted later, and its
    /// state says so.
    fn delete_tenant(&self, slug: &Slug, by: &By) -> Result<Value> {
        let (identity, waiting) = (&self.identity, (&self.clock, IN_USE_MAX));
        match identity.delete_tenant(&self.tenancy, slug, |_| true, by, waiting)? {
            Deletion::Done(tenant) => {
                let mut gone = tenant_as_json(&tenant);
                gone["state"] = "deleted".into();
                Ok(gone)
            }
            Deletion::Begun(tenant) => Ok(tenant_as_json(&tenant)),
        }
    }

    fn sign_in_rules(&self, slug: &str, change: RulesChange, by: &By) -> Result<Value> {
        let tenant = tenant_named(&self.tenancy, slug)?;
        let rules = match change.require_otp.or(change.require_sso) {
            None => self.identity.sign_in_rules(&tenant.id)?,
            Some(_) => {
                let now_ms = self.clock.now_ms();
                self.identity.set_sign_in_rules(&tenant.id, change, by, |_| true, now_ms)?
            }
        };
        Ok(json!({
            "tenant": tenant.slug,
            "require_otp": rules.require_otp,
            "require_sso": rules.require_sso,
        }))
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

pub(super) fn tenant_as_json(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id, "slug": tenant.slug, "display_name": tenant.display_name,
        "state": tenant.state, "time_zone": tenant.time_zone,
        "audit_queries": tenant.audit_queries, "created_at": instant(tenant.created_ms),
    })
}

/// The text that an act's answer has under `key`; none where it has none.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}
