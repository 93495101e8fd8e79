//! What a tenant may use, and uses (contract §5).

use crate::http::call::Call;
use crate::http::openapi::{Operation, schema};
use crate::http::precondition::IfMatch;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::limits::{Limit, LimitError, Limits, Meter, Overrides};
use crate::tenancy::permission::Permission;
use crate::tenancy::registry::TenancyError;
use crate::tenancy::tenant::{Tenant, TenantState};
use hyper::{Method, StatusCode};
use serde_json::{Map, Number, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/tenants/{slug}/limits",
        access: Access::With(Permission::TenantRead),
        handler: handler!(get),
        remembers: false,
        summary: "What a tenant may use",
        describe: |operation| {
            operation.answer(200, "The limits that hold", limits_schema()).refuses(&[404])
        },
    },
    Route {
        method: Method::PUT,
        path: "/api/v1/tenants/{slug}/limits",
        access: Access::With(Permission::PlatformTenants),
        handler: handler!(put),
        remembers: false,
        summary: "Gives a tenant limits of its own; of those left out, or null, the defaults hold",
        describe: |operation: Operation| {
            operation
                .if_match()
                .body(&["application/json"], overrides_schema())
                .answer(200, "The limits that hold from now on", limits_schema())
                .refuses(&[404, 412, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/tenants/{slug}/usage",
        access: Access::With(Permission::TenantRead),
        handler: handler!(usage),
        remembers: false,
        summary: "How much of its limits a tenant uses",
        describe: |operation| {
            operation.answer(200, "Since the server's start", usage_schema()).refuses(&[404])
        },
    },
];

/// A value of a limit.
fn value_schema(limit: Limit) -> Value {
    let (least, greatest, may_be_none) = limit.range();
    let kind = if limit == Limit::CpuShare { "number" } else { "integer" };
    let least = if may_be_none { 0 } else { least };
    json!({ "type": kind, "minimum": limit.shown(least), "maximum": limit.shown(greatest) })
}

fn limits_schema() -> Value {
    let mut properties: Map<String, Value> =
        Limit::all().map(|limit| (limit.as_str().to_owned(), value_schema(limit))).collect();
    let words = json!({ "type": "array", "items": schema::text() });
    properties.insert("overridden".to_owned(), words);
    schema::object(properties.into())
}

fn overrides_schema() -> Value {
    let value = |limit: Limit| schema::nullable(value_schema(limit));
    let properties: Map<String, Value> =
        Limit::all().map(|limit| (limit.as_str().to_owned(), value(limit))).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn usage_schema() -> Value {
    let number = json!({ "type": "number", "minimum": 0 });
    let entry = schema::object(json!({
        "used": schema::nullable(number.clone()), "limit": number.clone(), "refused": schema::seq(),
    }));
    let entries = Limit::all().map(|limit| (limit.as_str().to_owned(), entry.clone()));
    let mut properties: Map<String, Value> = entries.collect();
    let answers = schema::object(json!({
        "count": schema::seq(),
        "p50_ms": schema::nullable(number.clone()),
        "p99_ms": schema::nullable(number.clone()),
    }));
    properties.insert("answers".to_owned(), answers);
    properties.insert("cpu_ms".to_owned(), number);
    schema::object(properties.into())
}

/// The tenant that the address names, unless it is on its way out: nothing more is set or measured of it.
async fn tenant(call: &Call) -> Result<Tenant, Problem> {
    let tenant = call.addressed().await?;
    match tenant.state {
        TenantState::Deleting => {
            Err(TenancyError::NotFound { slug: tenant.slug.as_str().into() }.into())
        }
        _ => Ok(tenant),
    }
}

/// Limits as they are told: what holds, and which of it was set for the tenant.
fn shown(overrides: &Overrides, defaults: &Limits) -> Value {
    let mut limits = overrides.over(defaults).shown();
    let overridden: Vec<&str> =
        Limit::all().filter(|l| overrides.of(*l).is_some()).map(Limit::as_str).collect();
    limits.insert("overridden".to_owned(), json!(overridden));
    limits.into()
}

async fn get(call: Call) -> Answer {
    let (tenant, limits) = (tenant(&call).await?, &call.server.limits);
    let shown = shown(&limits.overrides(&tenant.id), limits.defaults());
    Ok(reply::json_known(call.request.headers(), &shown))
}

async fn put(mut call: Call) -> Answer {
    let wanted = overrides(call.request.json().await?)?;
    let seen = IfMatch::of(&call.request)?;
    let tenant = tenant(&call).await?;
    let (server, by, now_ms) = (Arc::clone(&call.server), call.by()?, call.server.clock.now_ms());
    let change = move || {
        let limits = &server.limits;
        let check = |before: &Overrides| match seen.holds(&shown(before, limits.defaults())) {
            true => Ok(wanted),
            false => Err(LimitError::Stale),
        };
        let after = limits.change(&tenant, check, &by, now_ms)?;
        Ok::<_, LimitError>(shown(&after, limits.defaults()))
    };
    let shown = call.on_disk(change).await??;
    Ok(reply::json_tagged(StatusCode::OK, &shown))
}

/// The limits that a body gives.
fn overrides(body: BTreeMap<String, Option<Number>>) -> Result<Overrides, Problem> {
    let mut overrides = Overrides::default();
    for (word, number) in body {
        let pointer = crate::model::problem::pointer("", &word);
        let Some(limit) = Limit::parse(&word) else {
            return Err(Problem::invalid(&pointer, "unknown_field", "is not a limit"));
        };
        let value = number.map(|number| limit.read(&number)).transpose();
        let value = value.map_err(|detail| Problem::invalid(&pointer, "out_of_range", detail))?;
        overrides.set(limit, value);
    }
    Ok(overrides)
}

async fn usage(call: Call) -> Answer {
    let (tenant, server) = (tenant(&call).await?, Arc::clone(&call.server));
    let (tenancy, keyspace_of) = (Arc::clone(&server.tenancy), tenant.clone());
    let measure = move || tenancy.keyspace_of(&keyspace_of)?.file_bytes();
    let file_bytes = call.on_disk(measure).await??;
    let (meter, now) = (server.limits.meter(&tenant.id), server.clock.instant());
    let mut usage = Map::new();
    for limit in Limit::all() {
        let used = match limit {
            Limit::WebsocketConnections => Some(server.live.watchers_of(&tenant.id) as u64),
            Limit::Storage => Some(file_bytes),
            limit => meter.used(limit, now),
        };
        let entry = json!({
            "used": used.map(|used| limit.shown(used)),
            "limit": limit.shown(meter.limit(limit)),
            "refused": meter.refused(limit),
        });
        usage.insert(limit.as_str().to_owned(), entry);
    }
    usage.insert("answers".to_owned(), answers(&meter));
    usage.insert("cpu_ms".to_owned(), json!(ms(meter.processor_time())));
    Ok(reply::json(StatusCode::OK, &usage))
}

fn answers(meter: &Meter) -> Value {
    let counted = meter.latencies.counted();
    let quantile = |permille| counted.quantile(permille).map(ms);
    json!({ "count": counted.len(), "p50_ms": quantile(500), "p99_ms": quantile(990) })
}

fn ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
