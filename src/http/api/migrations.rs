//! The version of a tenant's data: seen, taken to the newest, taken back (contract §5).

use crate::http::call::Call;
use crate::http::openapi::{Operation, schema};
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::tenancy::migration::{Direction, MigrationError};
use crate::tenancy::permission::Permission;
use crate::tenancy::registry::Tenancy;
use crate::tenancy::schema::SCHEMA;
use crate::tenancy::tenant::Tenant;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/tenants/{slug}/migrations",
        access: Access::With(Permission::TenantRead),
        handler: handler!(status),
        remembers: false,
        summary: "The version of a tenant's data, and the steps there are",
        describe: |operation| {
            let status = schema::object(status_members());
            operation
                .answer(200, "The version, and what is under way", status)
                .refuses(&[404, 422, 503])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/tenants/{slug}/migrations/apply",
        access: Access::With(Permission::PlatformTenants),
        handler: handler!(apply),
        remembers: false,
        summary: "Takes a tenant's data to the newest version, by whole steps; what was interrupted goes on",
        describe: changed,
    },
    Route {
        method: Method::POST,
        path: "/api/v1/tenants/{slug}/migrations/rollback",
        access: Access::With(Permission::PlatformTenants),
        handler: handler!(rollback),
        remembers: false,
        summary: "Takes a tenant's data back by a version, what was written since included",
        describe: |operation| changed(operation).refuses(&[409]),
    },
];

fn status_members() -> Value {
    let step = schema::object(json!({
        "from": schema::seq(), "to": schema::seq(), "summary": schema::text(),
        "applied": schema::boolean(),
    }));
    let moving = schema::object(json!({ "to": schema::seq(), "entries": schema::seq() }));
    json!({
        "tenant": schema::text(), "version": schema::seq(), "newest": schema::seq(),
        "steps": { "type": "array", "items": step }, "moving": schema::nullable(moving),
    })
}

fn changed(operation: Operation) -> Operation {
    let mut members = status_members();
    members["from"] = schema::seq();
    members["entries"] = schema::seq();
    operation
        .answer(
            200,
            "The version now, that before, and the entries written",
            schema::object(members),
        )
        .refuses(&[404, 422, 503, 507])
}

async fn status(call: Call) -> Answer {
    demand_no_params(&call)?;
    let (slug, tenancy) = (call.addressed().await?.slug, Arc::clone(&call.server.tenancy));
    let look = move || -> Result<Value, Problem> {
        let tenant = tenancy.named_with_data(slug.as_str())?;
        shown(&tenancy, &tenant)
    };
    Ok(reply::json(StatusCode::OK, &call.on_disk(look).await??))
}

async fn apply(call: Call) -> Answer {
    migrate(call, Direction::Newest).await
}

async fn rollback(call: Call) -> Answer {
    migrate(call, Direction::Back).await
}

/// Migrates to the end, whether or not anybody still waits for the answer.
async fn migrate(call: Call, direction: Direction) -> Answer {
    demand_no_params(&call)?;
    let (slug, by) = (call.addressed().await?.slug, call.by()?);
    let server = Arc::clone(&call.server);
    let act = move || -> Result<Value, Problem> {
        let (tenancy, clock) = (&server.tenancy, &server.clock);
        let tenant = tenancy.named_with_data(slug.as_str())?;
        let moved =
            tenancy.migrate(&tenant, direction, &by, &|| clock.now_ms()).map_err(problem)?;
        let mut now = shown(tenancy, &tenant)?;
        now["from"] = moved.from.into();
        now["entries"] = moved.entries.into();
        Ok(now)
    };
    Ok(reply::json(StatusCode::OK, &call.on_disk(act).await??))
}

fn demand_no_params(call: &Call) -> Result<(), Problem> {
    match call.request.params()?.first() {
        Some((name, _)) => Err(Problem::unknown_param(name)),
        None => Ok(()),
    }
}

fn shown(tenancy: &Tenancy, tenant: &Tenant) -> Result<Value, Problem> {
    let state = tenancy.schema_of(tenant)?;
    let steps = SCHEMA.steps.iter().map(|step| {
        let applied = step.to <= state.version;
        json!({ "from": step.from, "to": step.to, "summary": step.summary, "applied": applied })
    });
    let moving = state.moving.map(|moving| json!({ "to": moving.to, "entries": moving.entries }));
    Ok(json!({
        "tenant": tenant.slug, "version": state.version, "newest": state.newest,
        "steps": steps.collect::<Vec<_>>(), "moving": moving,
    }))
}

fn problem(error: MigrationError) -> Problem {
    let (code, detail) = (error.code(), error.to_string());
    match error {
        MigrationError::Oldest => Problem::new(StatusCode::CONFLICT, code, detail),
        MigrationError::Tenancy(error) => error.into(),
    }
}
