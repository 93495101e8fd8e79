//! What could not be accepted: seen, tried again, thrown away (contract §3).

use super::PageParams;
use crate::http::call::Call;
use crate::http::openapi::{Operation, schema};
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::intake::batch::RowError;
use crate::intake::quarantine::{self, EntryId, Listed, Place, Retried};
use crate::model::time::format_rfc3339;
use crate::process::admit::Arrival;
use crate::process::quarantine::{Form, Quarantined};
use crate::query::QueryError;
use crate::tenancy::permission::Permission;
use crate::tenancy::row_policy::RowPolicy;
use crate::tenancy::scope::TenantScope;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use storage::ask::Budget;
use storage::engine::RowOutcome;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/quarantine",
        access: Access::With(Permission::QuarantineRead),
        handler: handler!(list),
        remembers: false,
        summary: "What could not be accepted, newest first, whole, with the reason",
        describe: |operation| {
            operation
                .page(PAGE_MAX)
                .answer(200, "A page of entries", schema::page(schema::quarantined()))
                .refuses(&[400, 422, 503])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/quarantine/{id}/retry",
        access: Access::With(Permission::QuarantineManage),
        handler: handler!(retry),
        remembers: false,
        summary: "Judges an entry again and stores it if it can be true by now",
        describe: |operation: Operation| {
            operation
                .answer(200, "It is stored and no longer in quarantine", schema::retried())
                .refuses(&[400, 404, 422, 503, 507])
        },
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/quarantine/{id}",
        access: Access::With(Permission::QuarantineManage),
        handler: handler!(delete),
        remembers: false,
        summary: "Throws an entry away",
        describe: |operation| operation.nothing(204, "It is gone").refuses(&[404, 503, 507]),
    },
];

const PAGE_MAX: usize = 1000;

async fn list(call: Call) -> Answer {
    let params = PageParams::of(&call.request, PAGE_MAX)?;
    let (limit, after) = (params.limit, params.after(Place::parse)?);
    let scope = call.scope().await?;
    call.tell_of_reading(&scope, "quarantine.read", String::new).await?;
    let meter = call.meter(&scope);
    let list = move |budget: &Budget| page(&scope, after, limit, budget);
    // Of an order that is gone with a rollback since.
    let gone = || Problem::invalid("/cursor", "invalid_cursor", "begin the list anew");
    let page = call.compute(&meter, list).await??.ok_or_else(gone)?;
    Ok(reply::json(StatusCode::OK, &page))
}

/// Up to `limit` entries after `after` as they are answered; `None` where the list must be begun anew.
fn page(
    scope: &TenantScope,
    after: Option<Place>,
    limit: usize,
    budget: &Budget,
) -> Result<Option<Value>, QueryError> {
    let Some(mut entries) = listed(scope, after, limit + 1, budget)? else { return Ok(None) };
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next_cursor = entries.last().filter(|_| more).map(|last| last.place.to_string());
    let items: Vec<Value> = budget.turn(1)?.run(|| entries.iter().map(shown).collect());
    Ok(Some(json!({ "items": items, "next_cursor": next_cursor })))
}

/// Entries read at once where not all of them may be seen.
const LOOKED_AT: usize = 1000;

/// Up to `limit` entries after `after` that may be seen; `None` where the list must be begun anew.
fn listed(
    scope: &TenantScope,
    mut after: Option<Place>,
    limit: usize,
    budget: &Budget,
) -> Result<Option<Vec<Listed>>, QueryError> {
    let (keyspace, policy) = (&**scope.keyspace(), scope.policy());
    if policy.is_all_rows() {
        let list = || quarantine::list(keyspace, after.as_ref(), limit);
        return Ok(budget.turn(1)?.run(list)?);
    }
    let mut found = Vec::new();
    loop {
        let list = || quarantine::list(keyspace, after.as_ref(), LOOKED_AT);
        let Some(page) = budget.turn(1)?.run(list)? else { return Ok(None) };
        let is_last = page.len() < LOOKED_AT;
        after = page.last().map(|last| last.place.clone());
        found.extend(page.into_iter().filter(|listed| is_in_sight(policy, &listed.entry)));
        if is_last || found.len() >= limit {
            found.truncate(limit);
            return Ok(Some(found));
        }
    }
}

/// Whether an entry may be seen under `policy`. Whose a text is that is no execution, nobody knows.
fn is_in_sight(policy: &RowPolicy, entry: &Quarantined) -> bool {
    if policy.is_all_rows() {
        return true;
    }
    let row = match entry.form {
        Form::Execution => serde_json::from_str(&entry.raw).unwrap_or(Value::Null),
        Form::Text => return false,
    };
    let name = |field: &str| row[field].as_str().unwrap_or_default();
    policy.admits(name("user_id"), name("team_id"))
}

/// Fails as if there were no such entry where it may not be seen.
fn demand_in_sight(scope: &TenantScope, id: EntryId) -> Result<(), Problem> {
    let entry = quarantine::get(&**scope.keyspace(), id)?;
    match entry.is_none_or(|entry| is_in_sight(scope.policy(), &entry)) {
        true => Ok(()), // whoever looks for it finds that it is not there
        false => Err(Problem::not_found("an entry with this id")),
    }
}

fn shown(Listed { id, entry, .. }: &Listed) -> Value {
    let raw = match entry.form {
        Form::Execution => serde_json::from_str(&entry.raw).unwrap_or(Value::Null),
        Form::Text => Value::String(entry.raw.clone()),
    };
    json!({
        "id": id.to_string(),
        "received_at": format_rfc3339(entry.received_ms),
        "origin": entry.origin,
        "code": entry.code,
        "pointer": entry.pointer,
        "detail": entry.detail,
        "raw": raw,
    })
}

fn id_of(call: &Call) -> Result<EntryId, Problem> {
    EntryId::parse(call.param("id")).ok_or_else(|| Problem::not_found("an entry with this id"))
}

/// How the audit log calls an entry.
fn target(id: EntryId) -> String {
    format!("quarantined:{id}")
}

async fn retry(mut call: Call) -> Answer {
    let id = id_of(&call)?;
    // It is an execution that comes in, whether or not it is stored then.
    call.demand_intake().await?;
    let scope = call.scope().await?;
    call.take_in(&scope, 1).await?;
    let (acting, received_ms) = (scope.clone(), call.server.clock.now_ms());
    let retry = move || {
        demand_in_sight(&acting, id)?;
        let arrival = Arrival { received_ms, origin: "quarantine", retention_ms: None };
        match quarantine::retry(&**acting.keyspace(), id, arrival)? {
            Retried::Missing => Err(Problem::not_found("an entry with this id")),
            Retried::NotAnExecution => {
                let detail =
                    "the entry is text that could not be read: correct it, send it, delete this";
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not_an_execution", detail))
            }
            Retried::Refused(refusals) => {
                let errors = refusals.into_iter().map(|refusal| RowError::of(0, refusal)).collect();
                Err(Problem::row_refused(errors))
            }
            Retried::Stored(outcome) => Ok(outcome),
        }
    };
    let outcome = match call.told_around(&scope, ("quarantine.retry", target(id)), retry).await? {
        RowOutcome::Duplicate => "duplicate",
        _ => "accepted",
    };
    Ok(reply::json(StatusCode::OK, &json!({ "id": id.to_string(), "outcome": outcome })))
}

async fn delete(call: Call) -> Answer {
    let (id, scope) = (id_of(&call)?, call.scope().await?);
    let acting = scope.clone();
    let delete = move || {
        demand_in_sight(&acting, id)?;
        match quarantine::delete(&**acting.keyspace(), id)? {
            true => Ok(()),
            false => Err(Problem::not_found("an entry with this id")),
        }
    };
    call.told_around(&scope, ("quarantine.delete", target(id)), delete).await?;
    Ok(reply::no_content())
}
