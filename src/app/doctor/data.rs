//! What is stored: does everything open, and does everything belong to somebody?

use super::{Findings, Server, host};
use crate::app::problem::sentence;
use crate::app::session::{Data, Session, is_in_use};
use crate::app::table::instant;
use crate::model::limits::AHEAD_MS_MAX;
use crate::tenancy::tenant::TenantState;
use std::path::Path;
use storage::embedded::suspect_path;
use storage::row::TimeMs;
use storage::schema::SchemaState;

/// What to do about data that does not open.
const RESTORE: &str =
    "run `emx check`; then put back a copy with `emx backup restore`, and keep what is there";

/// Opens the platform's tables and every keyspace, one after the other, if no server has them.
pub(super) fn examine(session: &Session, server: Server, findings: &mut Findings) {
    let dir = session.data_dir();
    let suspects: Vec<_> =
        host::keyspace_files(dir).filter(|path| suspect_path(path).exists()).collect();
    for path in &suspects {
        let detail = format!("a sync of `{}` has failed", path.display());
        let help = "look at the disk (`dmesg`, SMART); the file is written anew when it is opened";
        findings.warn("suspect", detail, help);
    }
    match server {
        Server::Runs => {
            findings.ok("server", "a server runs; it has the data open, so `/readyz` tells more");
            return;
        }
        Server::Left => findings.warn(
            "server",
            "no server runs, though one has left its socket: it did not end in order",
            "start it again; it replaces the socket",
        ),
        Server::None => findings.ok("server", "no server runs"),
    }
    match session.is_initialised() {
        Ok(true) => {}
        Ok(false) => {
            let help = "begin with `emx init`, or put back a copy with `emx backup restore`";
            let detail = format!("there is no platform.redb in `{}`", dir.display());
            return findings.fail("platform", detail, help);
        }
        Err(error) => return findings.fail("platform", sentence(&error), RESTORE),
    }
    match session.open() {
        Ok(data) => tenants(&data, session.clock.now_ms(), dir, findings),
        Err(error) if is_in_use(&error) => {
            findings.warn("platform", sentence(&error), "look again when that command has ended");
        }
        Err(error) => findings.fail("platform", sentence(&error), RESTORE),
    }
}

fn tenants(data: &Data, now_ms: TimeMs, dir: &Path, findings: &mut Findings) {
    let mut tenants = match data.tenancy.list() {
        Ok(tenants) => tenants,
        Err(error) => return findings.fail("platform", error, RESTORE),
    };
    tenants.retain(|tenant| tenant.state != TenantState::Deleting); // whose file may be gone
    findings.ok("platform", format!("the platform's tables open; tenants: {}", tenants.len()));
    let (mut opened, mut behind) = (0, Vec::new());
    for tenant in &tenants {
        let slug = &tenant.slug;
        let looked = data.tenancy.keyspace_of(tenant).and_then(|keyspace| {
            let SchemaState { version, newest, .. } = keyspace.schema()?;
            Ok((keyspace.stats()?.time_range, version < newest))
        });
        if matches!(looked, Ok((_, true))) {
            behind.push(slug);
        }
        match looked.map(|(time_range, _)| time_range) {
            Err(error) => {
                let told = sentence(&error.into());
                findings.fail("tenant", format!("`{slug}`: {told}"), RESTORE);
            }
            Ok(Some((_, last_ms))) if last_ms > now_ms + AHEAD_MS_MAX => {
                let detail = format!("the last execution of `{slug}` is of {}", instant(last_ms));
                let help = "look at the machine's clock, and at those of whoever sends";
                findings.warn("tenant", detail, help);
            }
            Ok(_) => opened += 1,
        }
    }
    if opened == tenants.len() {
        findings.ok("tenants", "every tenant's keyspace opens");
    }
    if let Some(first) = behind.first() {
        let detail = format!(
            "tenants whose data has an older form: {}, the first is `{first}`; they are served",
            behind.len()
        );
        let help =
            "`emx tenant migrate --all` takes them to the newest, `emx tenant rollback` back";
        findings.warn("versions", detail, help);
    }
    match data.tenancy.orphans() {
        Ok(orphans) if orphans.is_empty() => {}
        Ok(orphans) => {
            let (count, first) = (orphans.len(), orphans.first().cloned().unwrap_or_default());
            let detail =
                format!("keyspaces that belong to no tenant: {count}, the first is `{first}`");
            let help = format!(
                "if platform.redb was lost, put back a copy; if not, move them out of `{}/tenants`",
                dir.display()
            );
            findings.warn("orphans", detail, help);
        }
        Err(error) => findings.fail("orphans", error, RESTORE),
    }
}
