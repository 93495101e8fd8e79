//! Teams of a tenant, and who is in them (contract §5).

use super::PageParams;
use super::users::{self, PAGE_MAX};
use crate::http::call::Call;
use crate::http::idempotency::{self, Entered};
use crate::http::openapi::{Operation, schema};
use crate::http::precondition::IfMatch;
use crate::http::reply;
use crate::http::request::read_json;
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::names::REPORTED_AS_MAX;
use crate::identity::team::{NAME_CHARS_MAX, Team, TeamChange};
use crate::model::time::format_rfc3339;
use crate::tenancy::permission::Permission;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/teams",
        access: Access::With(Permission::UsersRead),
        handler: handler!(list),
        remembers: false,
        summary: "The tenant's teams, in order of their names",
        describe: |operation| {
            operation
                .page(PAGE_MAX)
                .answer(200, "A page of teams", schema::page(schema::team()))
                .refuses(&[422])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/teams",
        access: Access::With(Permission::UsersManage),
        handler: handler!(create),
        remembers: true,
        summary: "Makes a team without members",
        describe: |operation: Operation| {
            let mut body = team_schema();
            body["required"] = json!(["name"]);
            body["properties"]["name"] = name_schema();
            operation
                .body(&["application/json"], body)
                .answer(201, "The team", schema::team())
                .refuses(&[409, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/teams/{id}",
        access: Access::With(Permission::UsersRead),
        handler: handler!(get),
        remembers: false,
        summary: "One team",
        describe: |operation| operation.answer(200, "The team", schema::team()).refuses(&[404]),
    },
    Route {
        method: Method::PATCH,
        path: "/api/v1/teams/{id}",
        access: Access::With(Permission::UsersManage),
        handler: handler!(change),
        remembers: false,
        summary: "Changes a team's name, or how executions name it",
        describe: |operation: Operation| {
            operation
                .if_match()
                .body(&["application/json"], team_schema())
                .answer(200, "The team", schema::team())
                .refuses(&[404, 409, 412, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/teams/{id}",
        access: Access::With(Permission::UsersManage),
        handler: handler!(remove),
        remembers: false,
        summary: "Removes a team; its members stay",
        describe: |operation| {
            operation
                .if_match()
                .nothing(204, "The team is not there any more")
                .refuses(&[404, 412, 507])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/teams/{id}/members",
        access: Access::With(Permission::UsersRead),
        handler: handler!(members),
        remembers: false,
        summary: "The users in a team, in order of their addresses",
        describe: |operation| {
            operation
                .page(PAGE_MAX)
                .answer(200, "A page of users", schema::page(schema::account()))
                .refuses(&[404, 422])
        },
    },
    Route {
        method: Method::PUT,
        path: "/api/v1/teams/{id}/members/{user_id}",
        access: Access::With(Permission::UsersManage),
        handler: handler!(add),
        remembers: false,
        summary: "Puts a user into a team",
        describe: |operation| {
            operation.answer(200, "The user", schema::account()).refuses(&[404, 422, 507])
        },
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/teams/{id}/members/{user_id}",
        access: Access::With(Permission::UsersManage),
        handler: handler!(take_out),
        remembers: false,
        summary: "Takes a user out of a team",
        describe: |operation| {
            operation.nothing(204, "The user is not in the team").refuses(&[404, 422, 507])
        },
    },
];

fn name_schema() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX })
}

fn team_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": schema::nullable(name_schema()),
            "reported_as": schema::nullable(schema::words(REPORTED_AS_MAX)),
        },
        "additionalProperties": false,
    })
}

fn shown(team: &Team) -> Value {
    json!({
        "id": team.id,
        "name": team.name,
        "reported_as": team.reported_as,
        "created_at": format_rfc3339(team.created_ms),
    })
}

async fn list(call: Call) -> Answer {
    let params = PageParams::of(&call.request, PAGE_MAX)?;
    let after = params.after_text()?;
    let (scope, server) = (call.scope().await?, Arc::clone(&call.server));
    let teams = call.on_disk(move || server.identity.teams(scope.id()));
    let mut teams = teams.await??;
    teams.retain(|team| after.as_ref().is_none_or(|after| team.folded_name() > *after));
    Ok(reply::json(StatusCode::OK, &params.page_of(&teams, Team::folded_name, shown)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    reported_as: Option<Vec<String>>,
}

async fn create(mut call: Call) -> Answer {
    let body = call.request.json_bytes().await?;
    let scope = call.scope().await?;
    let key = match idempotency::enter_sealed(&call, &scope, &body).await? {
        Entered::Before(answer) => return Ok(answer),
        Entered::Now(key) => key,
    };
    let (New { name, reported_as }, by) = (read_json(&body)?, call.by()?);
    let reported_as = reported_as.unwrap_or_default();
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let make = move || {
        let new = (&*name, &*reported_as);
        let remembered = |made: &Team| idempotency::remembered(key.as_ref(), &shown(made));
        server.identity.create_team_and(scope.id(), new, &by, now_ms, remembered)
    };
    let made = call.on_disk(make).await??;
    Ok(reply::json_tagged(StatusCode::CREATED, &shown(&made)))
}

async fn get(call: Call) -> Answer {
    let (scope, server) = (call.scope().await?, Arc::clone(&call.server));
    let id = call.param("id").to_owned();
    let found = call.on_disk(move || server.identity.team(scope.id(), &id));
    Ok(reply::json_known(call.request.headers(), &shown(&found.await??)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    name: Option<String>,
    reported_as: Option<Vec<String>>,
}

async fn change(mut call: Call) -> Answer {
    let Change { name, reported_as } = call.request.json().await?;
    let change = TeamChange { name, reported_as };
    let (seen, id) = (IfMatch::of(&call.request)?, call.param("id").to_owned());
    let (scope, by) = (call.scope().await?, call.by()?);
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let changed = call.on_disk(move || {
        let current = |team: &Team| seen.holds(&shown(team));
        server.identity.change_team(scope.id(), &id, &change, &by, current, now_ms)
    });
    Ok(reply::json_tagged(StatusCode::OK, &shown(&changed.await??)))
}

async fn remove(call: Call) -> Answer {
    let (seen, id) = (IfMatch::of(&call.request)?, call.param("id").to_owned());
    let (scope, by) = (call.scope().await?, call.by()?);
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let removed = call.on_disk(move || {
        let current = |team: &Team| seen.holds(&shown(team));
        server.identity.remove_team(scope.id(), &id, &by, current, now_ms)
    });
    removed.await??;
    Ok(reply::no_content())
}

async fn members(call: Call) -> Answer {
    let params = PageParams::of(&call.request, PAGE_MAX)?;
    let (after, id) = (params.after_text()?, call.param("id").to_owned());
    let (scope, server) = (call.scope().await?, Arc::clone(&call.server));
    let members = call.on_disk(move || server.identity.members(scope.id(), &id));
    let mut members = members.await??;
    members.retain(|user| after.as_ref().is_none_or(|after| user.email.folded() > *after));
    let page = params.page_of(&members, |user| user.email.folded(), users::shown);
    Ok(reply::json(StatusCode::OK, &page))
}

async fn add(call: Call) -> Answer {
    set_member(call, true).await
}

async fn take_out(call: Call) -> Answer {
    set_member(call, false).await
}

async fn set_member(call: Call, is_member: bool) -> Answer {
    let (team_id, user_id) = (call.param("id").to_owned(), call.param("user_id").to_owned());
    let (scope, by) = (call.scope().await?, call.by()?);
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let set =
        move || server.identity.set_member(scope.id(), &team_id, &user_id, is_member, &by, now_ms);
    let user = call.on_disk(set).await??;
    match is_member {
        true => Ok(reply::json_tagged(StatusCode::OK, &users::shown(&user))),
        false => Ok(reply::no_content()),
    }
}
