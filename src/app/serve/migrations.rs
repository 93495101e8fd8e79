//! Takes every tenant's data to the newest version after a start, where the settings say so. Who is
//! served meanwhile is served: every version is.

use crate::config::settings::MigrateWhen;
use crate::http::server::Server;
use crate::tenancy::by::By;
use crate::tenancy::migration::Direction;
use crate::tenancy::registry::TenancyError;
use std::sync::Arc;

/// Tenants between two looks whether the server ends.
const TENANTS_AT_A_TIME: usize = 32;

/// Begins, if that is wanted.
pub(super) fn begin(server: &Arc<Server>, when: MigrateWhen) {
    if when == MigrateWhen::Manual {
        return;
    }
    let server = Arc::clone(server);
    server.tasks.clone().spawn(async move {
        let working = Arc::clone(&server);
        match server.threads.run(move || migrate(&working)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "tenants cannot be migrated"),
            Err(error) => tracing::error!(%error, "tenants were not migrated"),
        }
    });
}

fn migrate(server: &Server) -> Result<(), TenancyError> {
    let (tenancy, clock) = (&server.tenancy, &server.clock);
    let tenants = tenancy.with_data()?;
    let (mut moved, mut failed) = (0_usize, 0_usize);
    for some in tenants.chunks(TENANTS_AT_A_TIME) {
        if server.tasks.is_stopping() {
            return Ok(()); // the next start goes on
        }
        let by = By::operator();
        for outcome in tenancy.migrate_each(some, Direction::Newest, &by, &|| clock.now_ms()) {
            match outcome {
                Ok(done) => moved += usize::from(done.from != done.to),
                Err(_) => failed += 1, // told with its tenant's name
            }
        }
    }
    if moved > 0 || failed > 0 {
        tracing::info!(moved, failed, "tenants were taken to the newest version");
    }
    Ok(())
}
