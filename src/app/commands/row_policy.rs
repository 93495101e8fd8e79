//! `emx tenant row-policy`: which rows each role of a tenant sees.

use super::user::tenant_named;
use crate::app::act::{Act, text};
use crate::app::output;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable};
use crate::tenancy::by::By;
use crate::tenancy::registry::Tenancy;
use crate::tenancy::row_policy::{RoleSight, RowRules};
use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::row::TimeMs;

/// What each role sees. What is not said stays.
#[derive(Debug, Args)]
pub(in crate::app) struct Flags {
    /// The tenant
    name: String,
    /// `open`: everybody sees everything; `strict`: managers their teams, members their own rows and
    /// all aggregates, viewers aggregates alone
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// What viewers see: `all`, `teams`, `own` or `none`; `:same` behind it has their aggregates over
    /// the same rows, `:all` over all
    #[arg(long, value_name = "SIGHT")]
    viewer: Option<RoleSight>,
    /// What members see
    #[arg(long, value_name = "SIGHT")]
    member: Option<RoleSight>,
    /// What managers see
    #[arg(long, value_name = "SIGHT")]
    manager: Option<RoleSight>,
}

/// A look at a row policy, or a change of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::app) struct RowPolicyAct {
    tenant: String,
    preset: Option<String>,
    viewer: Option<RoleSight>,
    member: Option<RoleSight>,
    manager: Option<RoleSight>,
}

impl RowPolicyAct {
    /// Performs the act, and gives what the policy is then.
    pub(in crate::app) fn perform(
        &self,
        tenancy: &Tenancy,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Value> {
        let tenant = tenant_named(tenancy, &self.tenant)?;
        let before = tenancy.row_rules(&tenant.id)?;
        let base = match &self.preset {
            None => before,
            Some(name) => RowRules::preset(name).ok_or_else(|| {
                Failure::usage(format!("there is no row policy called `{name}`"))
                    .help("use `open` or `strict`, or say what each role sees")
            })?,
        };
        let wanted = RowRules {
            viewer: self.viewer.unwrap_or(base.viewer),
            member: self.member.unwrap_or(base.member),
            manager: self.manager.unwrap_or(base.manager),
        };
        let rules = match wanted == before {
            true => before,
            false => {
                let unchanged = |now: &RowRules| *now == before;
                tenancy.set_row_rules(&tenant.id, wanted, by, unchanged, now_ms)?
            }
        };
        let RowRules { viewer, member, manager } = rules;
        Ok(json!({
            "tenant": tenant.slug, "preset": rules.preset_name(),
            "viewer": viewer, "member": member, "manager": manager,
        }))
    }
}

pub(super) fn run(flags: &Flags, session: &Session) -> Result<()> {
    let Flags { name, preset, viewer, member, manager } = flags;
    let (tenant, preset) = (name.clone(), preset.clone());
    let (viewer, member, manager) = (*viewer, *member, *manager);
    let act = RowPolicyAct { tenant, preset, viewer, member, manager };
    let policy = session.perform(Act::RowPolicy(act))?;
    if session.json {
        return output::json(&policy);
    }
    let headings = ["role", "rows", "aggregates"];
    let mut table = TextTable::new(&headings.map(|heading| (heading, Side::Left)));
    for role in ["viewer", "member", "manager"] {
        table.push([role, text(&policy[role], "rows"), text(&policy[role], "aggregates")]);
    }
    table.push(["admin, owner", "all", "all"]);
    Ok(output::text(&table.render())?)
}
