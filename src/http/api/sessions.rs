//! Sessions as whoever they are of has them, and as who administers users does: listed and ended; and
//! what ends them beside that, a token that is given back and a new password (contract §5).

use super::PageParams;
use super::auth::{login_problem, session_problem};
use crate::http::call::Call;
use crate::http::guard;
use crate::http::openapi::{Operation, schema};
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::Identity;
use crate::identity::account::AccountError;
use crate::identity::family::Family;
use crate::identity::login::ChangePasswordError;
use crate::identity::password::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, PasswordError};
use crate::identity::session::FAMILIES_PER_USER_MAX;
use crate::model::time::format_rfc3339;
use crate::tenancy::permission::Permission;
use crate::tenancy::scope::Principal;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use storage::row::TimeMs;

/// Longest body with a token or two passwords in it, bytes.
const BODY_BYTES_MAX: usize = 16 << 10;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/auth/sessions",
        access: Access::Known,
        handler: handler!(list_own),
        remembers: false,
        summary: "The caller's own sessions, newest first",
        describe: |operation| listed(operation).refuses(&[403, 422]),
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/auth/sessions/{family}",
        access: Access::Known,
        handler: handler!(end_own),
        remembers: false,
        summary: "Ends one of the caller's own sessions at once",
        describe: |operation| ended(operation).refuses(&[403]),
    },
    Route {
        method: Method::POST,
        path: "/api/v1/auth/revoke",
        access: Access::Public,
        handler: handler!(revoke),
        remembers: false,
        summary: "Gives a token back: an access token ends, a refresh token ends its session (after RFC 7009)",
        describe: |operation| {
            let mut body = schema::object(json!({ "token": schema::text() }));
            body["additionalProperties"] = false.into();
            operation
                .body(&["application/json"], body)
                .nothing(204, "It has ended, or was nothing that could")
                .refuses(&[403, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/auth/password",
        access: Access::Known,
        handler: handler!(change_password),
        remembers: false,
        summary: "Changes the caller's password, and ends the caller's other sessions",
        describe: |operation| {
            let new = json!({
                "type": "string", "minLength": PASSWORD_CHARS_MIN, "maxLength": PASSWORD_BYTES_MAX,
            });
            let mut body = schema::object(json!({ "current": schema::text(), "new": new }));
            body["additionalProperties"] = false.into();
            operation
                .body(&["application/json"], body)
                .nothing(204, "It is changed")
                .refuses(&[401, 403, 413, 415, 422, 429, 507])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/users/{id}/sessions",
        access: Access::With(Permission::UsersManage),
        handler: handler!(list_of_user),
        remembers: false,
        summary: "A user's sessions, newest first",
        describe: |operation| listed(operation).refuses(&[404, 422]),
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/users/{id}/sessions",
        access: Access::With(Permission::UsersManage),
        handler: handler!(end_all_of_user),
        remembers: false,
        summary: "Ends everything that a user holds at once: sessions and access tokens",
        describe: ended,
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/users/{id}/sessions/{family}",
        access: Access::With(Permission::UsersManage),
        handler: handler!(end_of_user),
        remembers: false,
        summary: "Ends one of a user's sessions at once",
        describe: ended,
    },
];

fn listed(operation: Operation) -> Operation {
    let session = schema::object(json!({
        "id": schema::text(),
        "created_at": schema::time_out(),
        "last_used_at": schema::time_out(),
        "expires_at": schema::time_out(),
        "address": schema::nullable(schema::text()),
        "user_agent": schema::nullable(schema::text()),
        "current": schema::boolean(),
    }));
    operation.page(FAMILIES_PER_USER_MAX).answer(200, "A page of sessions", schema::page(session))
}

fn ended(operation: Operation) -> Operation {
    operation.nothing(204, "It has ended").refuses(&[404, 503, 507])
}

/// A user who signed in; keys and the operator of the machine have no sessions of their own.
struct Own {
    user_id: Arc<str>,
    family: Arc<str>,
}

impl Own {
    fn of(call: &Call) -> Result<Self, Problem> {
        match call.principal()? {
            Principal::User { user_id, family, .. } => {
                Ok(Self { user_id: Arc::clone(user_id), family: Arc::clone(family) })
            }
            _ => {
                let detail = "only a user who signed in has sessions and a password: sign in first";
                Err(Problem::forbidden("no_session", detail))
            }
        }
    }
}

async fn list_own(call: Call) -> Answer {
    let params = PageParams::of(&call.request, FAMILIES_PER_USER_MAX)?;
    let Own { user_id, family } = Own::of(&call)?;
    let sessions = on_disk(&call, move |identity, now_ms| identity.sessions(&user_id, now_ms));
    let sessions = sessions.await?.map_err(session_problem)?;
    page(&call, &params, &sessions, Some(&family))
}

async fn end_own(call: Call) -> Answer {
    let (Own { user_id, .. }, family) = (Own::of(&call)?, call.param("family").to_owned());
    let by = call.by()?;
    let end =
        move |identity: &Identity, now_ms| identity.end_session(&user_id, &family, &by, now_ms);
    told(on_disk(&call, end).await?.map_err(session_problem)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    token: String,
}

/// Whoever has a token may end it. Whether there was something to end is told to nobody.
async fn revoke(mut call: Call) -> Answer {
    let Revoke { token } = call.request.json_within(BODY_BYTES_MAX).await?;
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let calling = call.request.calling();
    let named = guard::tenant_by_name(&call.server, &call.request)?.map(str::to_owned);
    let revoke = move || {
        let (named, client) = (named.as_deref(), calling.client());
        server.identity.revoke_token(&server.tenancy, &token, named, client, now_ms)
    };
    call.on_disk(revoke).await?.map_err(session_problem)?;
    Ok(reply::no_content())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    current: String,
    new: String,
}

async fn change_password(mut call: Call) -> Answer {
    Own::of(&call)?;
    let NewPassword { current, new } = call.request.json_within(BODY_BYTES_MAX).await?;
    let (server, by) = (Arc::clone(&call.server), call.by()?);
    let now_ms = server.clock.now_ms();
    let change =
        move || server.identity.change_password(&server.tenancy, &by, &current, &new, now_ms);
    call.server.passwords.run(change).await?.map_err(password_problem)?;
    Ok(reply::no_content())
}

async fn list_of_user(call: Call) -> Answer {
    let params = PageParams::of(&call.request, FAMILIES_PER_USER_MAX)?;
    let (scope, user_id) = (call.scope().await?, call.param("id").to_owned());
    let (current, by) = (Own::of(&call).ok().map(|own| own.family), call.principal()?.clone());
    let list =
        move |identity: &Identity, now_ms| identity.sessions_of(scope.id(), &user_id, &by, now_ms);
    let sessions = on_disk(&call, list).await??;
    page(&call, &params, &sessions, current.as_deref())
}

async fn end_all_of_user(call: Call) -> Answer {
    let (scope, user_id) = (call.scope().await?, call.param("id").to_owned());
    let by = call.by()?;
    let end = move |identity: &Identity, now_ms| {
        identity.end_sessions_of(scope.id(), &user_id, &by, now_ms)
    };
    on_disk(&call, end).await??;
    Ok(reply::no_content())
}

async fn end_of_user(call: Call) -> Answer {
    let (scope, user_id) = (call.scope().await?, call.param("id").to_owned());
    let (family, by) = (call.param("family").to_owned(), call.by()?);
    let end = move |identity: &Identity, now_ms| {
        identity.end_session_of(scope.id(), &user_id, &family, &by, now_ms)
    };
    told(on_disk(&call, end).await??)
}

/// Runs what waits for the disk.
async fn on_disk<R: Send + 'static>(
    call: &Call,
    work: impl FnOnce(&Identity, TimeMs) -> R + Send + 'static,
) -> Result<R, Problem> {
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    Ok(call.on_disk(move || work(&server.identity, now_ms)).await?)
}

fn told(has_ended: bool) -> Answer {
    match has_ended {
        true => Ok(reply::no_content()),
        false => Err(Problem::not_found("a session with this id")),
    }
}

/// The page of `sessions` that is asked for. `current` is that of the caller.
fn page(call: &Call, params: &PageParams, sessions: &[Family], current: Option<&str>) -> Answer {
    let after = params.after(|id| sessions.iter().position(|session| session.id == id))?;
    let start = after.map_or(0, |at| at + 1);
    let page: Vec<&Family> = sessions[start..].iter().take(params.limit).collect();
    let more = start + page.len() < sessions.len();
    let next_cursor = page.last().filter(|_| more).map(|session| session.id.clone());
    let shown = page.into_iter().map(|session| shown(&call.server.identity, session, current));
    let items: Vec<Value> = shown.collect();
    Ok(reply::json(StatusCode::OK, &json!({ "items": items, "next_cursor": next_cursor })))
}

fn shown(identity: &Identity, session: &Family, current: Option<&str>) -> Value {
    json!({
        "id": session.id,
        "created_at": format_rfc3339(session.created_ms),
        "last_used_at": format_rfc3339(session.used_ms),
        "expires_at": format_rfc3339(identity.rests_until_ms(session)),
        "address": session.address,
        "user_agent": session.agent,
        "current": current == Some(&session.id),
    })
}

fn password_problem(error: ChangePasswordError) -> Problem {
    match error {
        ChangePasswordError::Login(login) => login_problem(login),
        ChangePasswordError::Account(AccountError::Password(PasswordError::Hash { .. })) => {
            Problem::internal(&error)
        }
        ChangePasswordError::Account(bad @ AccountError::Password(_)) => {
            Problem::invalid("/new", bad.code(), bad.to_string())
        }
        ChangePasswordError::Account(account) => account.into(),
        ChangePasswordError::NoUser => Problem::forbidden("no_session", error.to_string()),
    }
}
