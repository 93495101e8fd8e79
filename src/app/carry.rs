//! One tenant carried to another installation, or another name, as one file.

use super::act::{Acts, tenant_as_json};
use crate::audit::{Outcome, PLATFORM};
use crate::backup::{self, Arrived, Source};
use crate::identity::carry::Arrival;
use crate::tenancy::by::By;
use crate::tenancy::registry::{Beginning, Completion, NewTenant, TenancyError};
use crate::tenancy::slug::Slug;
use crate::tenancy::tenant::{Tenant, TenantState};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::Path;

impl Acts {
    /// Makes the file `to` of the tenant called `slug` and says what is in it.
    pub(super) fn export_tenant(&self, slug: &str, to: &Path, by: &By) -> Result<Value> {
        let tenant = self.tenancy.find(slug)?;
        if tenant.state == TenantState::Deleting {
            return Err(TenancyError::State { slug: tenant.slug, is: "deleting" }.into());
        }
        let event = by.did("tenant.export", format!("file:{}", to.display()));
        let tell = |outcome| {
            let told = by.told(&tenant.id, event.clone().ended(outcome));
            self.tenancy.log().tell_now_or_later(told, self.clock.now_ms())
        };
        tell(Outcome::Begun)?;
        let made = self.write_tenant(&tenant, to);
        tell(if made.is_ok() { Outcome::Done } else { Outcome::Failed })?;
        made
    }

    fn write_tenant(&self, tenant: &Tenant, to: &Path) -> Result<Value> {
        let source = Source {
            engine: &self.engine,
            data_dir: &self.data_dir,
            installation_id: Some(self.identity.installation_id()),
            now_ms: self.clock.now_ms(),
        };
        let people = self.identity.people_of(&self.tenancy, &tenant.id)?;
        let (users, keys) = (people.users(), people.keys());
        let log = self.tenancy.log();
        let made = backup::export(&source, log, (tenant, people), to, &mut |_| {})?;
        Ok(json!({
            "path": made.path.display().to_string(), "tenant": tenant_as_json(tenant),
            "users": users, "api_keys": keys, "created_at": made.manifest.created_at,
            "bytes": made.manifest.bytes(), "files": made.manifest.files,
        }))
    }

    /// Makes a new tenant of the file `from`, called `slug` or as it was called. Everything in the file is
    /// verified before anything is made.
    pub(super) fn import_tenant(&self, from: &Path, slug: Option<&str>, by: &By) -> Result<Value> {
        let slug = slug.map(Slug::parse).transpose()?;
        let event = by.did("tenant.import", format!("file:{}", from.display()));
        let tell = |outcome| {
            let told = vec![event.clone().ended(outcome).in_chain(PLATFORM)];
            self.tenancy.log().tell(told, self.clock.now_ms())
        };
        tell(Outcome::Begun)?;
        let arrived = backup::unpack(from, &mut |_| {}).map_err(anyhow::Error::from);
        let made = arrived.and_then(|arrived| self.take_in(&arrived, slug, by));
        if made.is_err() {
            tell(Outcome::Failed)?; // that it is done is told with what is done
        }
        made
    }

    fn take_in(&self, arrived: &Arrived, slug: Option<Slug>, by: &By) -> Result<Value> {
        let was = &arrived.records.tenant;
        let slug = slug.unwrap_or_else(|| was.slug.clone());
        let new = NewTenant { slug, time_zone: was.time_zone.clone() };
        let beginning = Beginning {
            display_name: was.display_name.clone(),
            audit_queries: was.audit_queries,
            keyspace: Some(arrived.keyspace()),
        };
        let mut arrival = None;
        let now_ms = self.clock.now_ms();
        let made = self.tenancy.begin(new, beginning, by, now_ms, |tenant| {
            let people = self.identity.arrival(&arrived.records.people, &tenant.id)?;
            let act = told_arrival(by, tenant, arrived, &people);
            arrival = Some(people);
            Ok(act)
        })?;
        let mut answer = tenant_as_json(&made);
        answer["rows"] = arrived.report.rows.into();
        answer["was"] = json!({ "id": was.id, "slug": was.slug });
        if let Some(arrival) = arrival {
            answer["users"] = arrival.users.into();
            answer["api_keys"] = arrival.keys().into();
            answer["api_keys_left_out"] = json!(arrival.keys_left_out);
            answer["require_sso_left_out"] = arrival.sso_left_out.into();
            self.identity.arrived(arrival)?;
        }
        Ok(answer)
    }
}

/// What brings the people, and tells where the tenant is from.
fn told_arrival(by: &By, tenant: &Tenant, arrived: &Arrived, people: &Arrival) -> Completion {
    let was = &arrived.records.tenant;
    let event = by.did("tenant.import", format!("tenant:{}", tenant.id)).after(json!({
        "was": was.id, "was_called": was.slug, "log": arrived.records.log,
        "installation": arrived.manifest.installation_id,
        "exported_at": arrived.manifest.created_at, "rows": arrived.report.rows,
        "users": people.users, "api_keys": people.keys(),
    }));
    people.completion.clone().telling(by.told(&tenant.id, event))
}
