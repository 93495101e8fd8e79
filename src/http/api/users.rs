//! Users of a tenant, and the links by which they choose their passwords (contract §5).

use super::PageParams;
use crate::http::call::Call;
use crate::http::idempotency::{self, Entered};
use crate::http::openapi::{Operation, schema};
use crate::http::precondition::IfMatch;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::request::{Arrived, read_json};
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::account::{Account, NewUser};
use crate::identity::administration::AccountChange;
use crate::identity::email::Email;
use crate::identity::link::Link;
use crate::identity::names::REPORTED_AS_MAX;
use crate::identity::team::TEAMS_PER_USER_MAX;
use crate::model::time::format_rfc3339;
use crate::tenancy::permission::{Permission, Role};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Items of a page at most.
pub(super) const PAGE_MAX: usize = 1000;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/users",
        access: Access::With(Permission::UsersRead),
        handler: handler!(list),
        remembers: false,
        summary: "The tenant's users, in order of their addresses",
        describe: |operation| {
            operation
                .page(PAGE_MAX)
                .answer(200, "A page of users", schema::page(schema::account()))
                .refuses(&[422])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/users",
        access: Access::With(Permission::UsersManage),
        handler: handler!(create),
        remembers: true,
        summary: "Makes a user, who has no password yet",
        describe: |operation: Operation| {
            operation
                .body(&["application/json"], new_user_schema())
                .answer(201, "The user", schema::account())
                .refuses(&[409, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/users/invite",
        access: Access::With(Permission::UsersManage),
        handler: handler!(invite),
        remembers: true,
        summary: "Makes a user, and a link to hand over by which the user chooses a password",
        describe: |operation: Operation| {
            operation
                .body(&["application/json"], new_user_schema())
                .answer(201, "The user and the link", schema::link())
                .refuses(&[409, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/users/{id}",
        access: Access::With(Permission::UsersRead),
        handler: handler!(get),
        remembers: false,
        summary: "One user",
        describe: |operation| operation.answer(200, "The user", schema::account()).refuses(&[404]),
    },
    Route {
        method: Method::PATCH,
        path: "/api/v1/users/{id}",
        access: Access::With(Permission::UsersManage),
        handler: handler!(change),
        remembers: false,
        summary: "Changes a user; other rights and being disabled end the user's sessions",
        describe: |operation: Operation| {
            let mut body = new_user_schema();
            body["properties"]["disabled"] = schema::nullable(schema::boolean());
            body["properties"]["platform"] = schema::nullable(schema::boolean());
            body["properties"]["role"] = schema::nullable(body["properties"]["role"].clone());
            if let Some(properties) = body["properties"].as_object_mut() {
                properties.remove("email");
            }
            body["required"] = json!([]);
            operation
                .if_match()
                .body(&["application/json"], body)
                .answer(200, "The user", schema::account())
                .refuses(&[404, 409, 412, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/users/{id}",
        access: Access::With(Permission::UsersManage),
        handler: handler!(remove),
        remembers: false,
        summary: "Removes a user and ends the user's sessions",
        describe: |operation| {
            operation
                .if_match()
                .nothing(204, "The user is not there any more")
                .refuses(&[404, 409, 412, 507])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/users/{id}/reset",
        access: Access::With(Permission::UsersManage),
        handler: handler!(reset),
        remembers: false,
        summary: "Makes a link to hand over by which the user chooses another password",
        describe: |operation| {
            operation.answer(201, "The user and the link", schema::link()).refuses(&[404, 409, 507])
        },
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/users/{id}/otp",
        access: Access::With(Permission::UsersManage),
        handler: handler!(reset_otp),
        remembers: false,
        summary: "Takes away the second factor of a user who lost it, and ends the user's sessions",
        describe: |operation| {
            operation
                .nothing(204, "The user has no second factor any more")
                .refuses(&[404, 409, 507])
        },
    },
];

fn new_user_schema() -> Value {
    let roles: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
    let mut body = schema::object(json!({ "email": schema::text(), "role": { "enum": roles } }));
    body["properties"]["reported_as"] = schema::nullable(schema::words(REPORTED_AS_MAX));
    body["properties"]["teams"] = schema::nullable(schema::words(TEAMS_PER_USER_MAX));
    body["additionalProperties"] = false.into();
    body
}

/// A user as it is answered.
pub(super) fn shown(user: &Account) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "role": user.role,
        "platform": user.platform,
        "disabled": user.disabled,
        "has_password": user.has_password,
        "has_otp": user.has_otp,
        "reported_as": user.reported_as,
        "teams": user.teams,
        "created_at": format_rfc3339(user.created_ms),
    })
}

async fn list(call: Call) -> Answer {
    let params = PageParams::of(&call.request, PAGE_MAX)?;
    let (after, one_more) = (params.after_text()?, params.limit + 1);
    let (scope, server) = (call.scope().await?, Arc::clone(&call.server));
    let page = call
        .server
        .threads
        .run(move || server.identity.page_of(scope.id(), after.as_deref(), one_more));
    let page = params.page_of(&page.await??, |user| user.email.folded(), shown);
    Ok(reply::json(StatusCode::OK, &page))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    email: String,
    role: Role,
    reported_as: Option<Vec<String>>,
    teams: Option<Vec<String>>,
}

impl New {
    fn read(body: &[u8]) -> Result<NewUser, Problem> {
        let Self { email, role, reported_as, teams } = read_json(body)?;
        let invalid = |e| Problem::invalid("/email", "invalid_email", format!("{e}"));
        Ok(NewUser {
            email: Email::parse(&email).map_err(invalid)?,
            role,
            reported_as: reported_as.unwrap_or_default(),
            teams: teams.unwrap_or_default(),
        })
    }
}

async fn create(mut call: Call) -> Answer {
    let body = call.request.json_bytes().await?;
    let scope = call.scope().await?;
    let key = match idempotency::enter_sealed(&call, &scope, &body).await? {
        Entered::Before(answer) => return Ok(answer),
        Entered::Now(key) => key,
    };
    let (new, by) = (New::read(&body)?, call.by()?);
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let make = move || {
        let remembered = |made: &Account| idempotency::remembered(key.as_ref(), &shown(made));
        server.identity.create_account_and(scope.id(), &new, &by, now_ms, remembered)
    };
    let made = call.on_disk(make).await??;
    Ok(reply::json_tagged(StatusCode::CREATED, &shown(&made)))
}

async fn invite(mut call: Call) -> Answer {
    let body = call.request.json_bytes().await?;
    let scope = call.scope().await?;
    let key = match idempotency::enter_sealed(&call, &scope, &body).await? {
        Entered::Before(answer) => return Ok(answer),
        Entered::Now(key) => key,
    };
    let (new, by) = (New::read(&body)?, call.by()?);
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let arrived = Arc::clone(&call.request.arrived);
    let make = move || {
        let remembered =
            |link: &Link| idempotency::remembered(key.as_ref(), &handed_over(&arrived, link));
        server.identity.invite_and(scope.id(), &new, &by, now_ms, remembered)
    };
    let link = call.on_disk(make).await??;
    Ok(reply::json(StatusCode::CREATED, &handed_over(&call.request.arrived, &link)))
}

/// A link as it is answered, at the address by which the caller came.
pub(super) fn handed_over(arrived: &Arrived, link: &Link) -> Value {
    let authority = arrived.authority.as_ref();
    let server = authority.map_or_else(String::new, |authority| format!("https://{authority}"));
    json!({
        "user": shown(&link.user),
        "purpose": link.purpose,
        "token": link.token,
        "link": format!("{server}{}", link.path()),
        "expires_at": format_rfc3339(link.until_ms),
    })
}

async fn reset(call: Call) -> Answer {
    let (scope, by) = (call.scope().await?, call.by()?);
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let id = call.param("id").to_owned();
    let make = move || server.identity.reset_link(scope.id(), &id, &by, now_ms);
    let link = call.on_disk(make).await??;
    Ok(reply::json(StatusCode::CREATED, &handed_over(&call.request.arrived, &link)))
}

async fn reset_otp(call: Call) -> Answer {
    let (scope, by) = (call.scope().await?, call.by()?);
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let id = call.param("id").to_owned();
    let reset = move || server.identity.reset_otp(scope.id(), &id, &by, now_ms);
    call.on_disk(reset).await??;
    Ok(reply::no_content())
}

async fn get(call: Call) -> Answer {
    let (scope, server) = (call.scope().await?, Arc::clone(&call.server));
    let id = call.param("id").to_owned();
    let found = call.on_disk(move || server.identity.user(scope.id(), &id));
    Ok(reply::json_known(call.request.headers(), &shown(&found.await??)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    role: Option<Role>,
    platform: Option<bool>,
    disabled: Option<bool>,
    reported_as: Option<Vec<String>>,
    teams: Option<Vec<String>>,
}

async fn change(mut call: Call) -> Answer {
    let Change { role, platform, disabled, reported_as, teams } = call.request.json().await?;
    let change = AccountChange { role, platform, disabled, reported_as, teams };
    let (scope, by) = (call.scope().await?, call.by()?);
    let (seen, id) = (IfMatch::of(&call.request)?, call.param("id").to_owned());
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let changed = call.on_disk(move || {
        let current = |user: &Account| seen.holds(&shown(user));
        server.identity.change_account(scope.id(), &id, &change, &by, current, now_ms)
    });
    Ok(reply::json_tagged(StatusCode::OK, &shown(&changed.await??)))
}

async fn remove(call: Call) -> Answer {
    let (scope, by) = (call.scope().await?, call.by()?);
    let (seen, id) = (IfMatch::of(&call.request)?, call.param("id").to_owned());
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let removed = call.on_disk(move || {
        let current = |user: &Account| seen.holds(&shown(user));
        server.identity.remove_user(scope.id(), &id, &by, current, now_ms)
    });
    removed.await??;
    Ok(reply::no_content())
}
