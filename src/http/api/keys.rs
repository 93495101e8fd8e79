//! API keys (contract §5).

use super::PageParams;
use crate::http::call::Call;
use crate::http::idempotency::{self, Entered};
use crate::http::openapi::{Operation, schema};
use crate::http::precondition::IfMatch;
use crate::http::problem::Problem;
use crate::http::reply::{self, Reply};
use crate::http::request::read_json;
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::api_key::{ApiKey, ApiKeyError, MadeApiKey, NAME_CHARS_MAX, NewApiKey};
use crate::identity::key_networks::{KeyNetworks, NETWORKS_PER_KEY_MAX};
use crate::model::time::{format_rfc3339, parse_rfc3339};
use crate::tenancy::permission::{Permission, Role};
use hyper::header::ETAG;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use storage::row::TimeMs;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/api-keys",
        access: Access::With(Permission::KeysManage),
        handler: handler!(list),
        remembers: false,
        summary: "The tenant's API keys, oldest first",
        describe: |operation| {
            operation
                .page(PAGE_MAX)
                .answer(200, "A page of keys", schema::page(schema::key()))
                .refuses(&[422])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/api-keys",
        access: Access::With(Permission::KeysManage),
        handler: handler!(create),
        remembers: true,
        summary: "Makes an API key, which is shown only now",
        describe: |operation: Operation| {
            let roles: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
            let mut body =
                schema::object(json!({ "name": name_schema(), "role": { "enum": roles } }));
            body["properties"]["expires_at"] = schema::nullable(schema::time());
            body["properties"]["networks"] = schema::nullable(schema::words(NETWORKS_PER_KEY_MAX));
            body["additionalProperties"] = false.into();
            operation
                .body(&["application/json"], body)
                .answer(201, "The key", schema::new_key())
                .refuses(&[409, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/api-keys/{id}",
        access: Access::With(Permission::KeysManage),
        handler: handler!(get),
        remembers: false,
        summary: "One API key",
        describe: |operation| operation.answer(200, "The key", schema::key()).refuses(&[404]),
    },
    Route {
        method: Method::PATCH,
        path: "/api/v1/api-keys/{id}",
        access: Access::With(Permission::KeysManage),
        handler: handler!(rename),
        remembers: false,
        summary: "Gives an API key another name",
        describe: |operation: Operation| {
            let mut body = schema::object(json!({ "name": name_schema() }));
            body["additionalProperties"] = false.into();
            operation
                .if_match()
                .body(&["application/json"], body)
                .answer(200, "The key", schema::key())
                .refuses(&[404, 412, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/api-keys/{id}",
        access: Access::With(Permission::KeysManage),
        handler: handler!(revoke),
        remembers: false,
        summary: "Revokes an API key at once",
        describe: |operation| operation.nothing(204, "It is revoked").refuses(&[404, 503, 507]),
    },
];

const PAGE_MAX: usize = 1000;

fn name_schema() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX })
}

async fn list(call: Call) -> Answer {
    let params = PageParams::of(&call.request, PAGE_MAX)?;
    let scope = call.scope().await?;
    let keys = call.server.identity.api_keys().list(scope.id());
    let after = params.after(|id| keys.iter().position(|key| key.id == id))?;
    let start = after.map_or(0, |at| at + 1);
    let page: Vec<&ApiKey> = keys[start..].iter().take(params.limit).collect();
    let more = start + page.len() < keys.len();
    let next_cursor = page.last().filter(|_| more).map(|key| key.id.clone());
    let items: Vec<Value> = page.into_iter().map(shown).collect();
    Ok(reply::json(StatusCode::OK, &json!({ "items": items, "next_cursor": next_cursor })))
}

fn shown(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "created_at": format_rfc3339(key.created_ms),
        "expires_at": key.expires_ms.map(format_rfc3339),
        "last_used_at": key.last_used_ms.map(format_rfc3339),
        "revoked_at": key.revoked_ms.map(format_rfc3339),
        "networks": key.networks,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    name: String,
    role: Role,
    #[serde(default)]
    expires_at: Option<Time>,
    networks: Option<Vec<String>>,
}

/// A time as the contract takes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Text(String),
    Ms(TimeMs),
}

async fn create(mut call: Call) -> Answer {
    let body = call.request.json_bytes().await?;
    let scope = call.scope().await?;
    let key = match idempotency::enter_sealed(&call, &scope, &body).await? {
        Entered::Before(answer) => return Ok(answer),
        Entered::Now(key) => key,
    };
    let new = new_key(read_json(&body)?)?;
    let (server, by, now_ms) = (Arc::clone(&call.server), call.by()?, call.server.clock.now_ms());
    let make = move || {
        let remembered =
            |made: &MadeApiKey| idempotency::remembered(key.as_ref(), &shown_whole(made));
        server.identity.api_keys().create_and(scope.id(), new, &by, now_ms, remembered)
    };
    let made = call.on_disk(make).await??;
    Ok(reply::json(StatusCode::CREATED, &shown_whole(&made)))
}

/// A key that was made, with what is shown only then.
fn shown_whole(made: &MadeApiKey) -> Value {
    let mut answer = shown(&made.key);
    answer["key"] = made.text.as_str().into();
    answer
}

fn new_key(body: NewKey) -> Result<NewApiKey, Problem> {
    let NewKey { name, role, expires_at, networks } = body;
    let expires_ms = match expires_at {
        None => None,
        Some(Time::Ms(ms)) => Some(ms),
        Some(Time::Text(text)) => {
            let invalid = |e| Problem::invalid("/expires_at", "invalid_time", format!("{e}"));
            Some(parse_rfc3339(&text).map_err(invalid)?)
        }
    };
    let networks = KeyNetworks::parse(&networks.unwrap_or_default()).map_err(ApiKeyError::from)?;
    Ok(NewApiKey { name, role, expires_ms, networks })
}

async fn get(call: Call) -> Answer {
    let scope = call.scope().await?;
    let key = call.server.identity.api_keys().get(scope.id(), call.param("id"))?;
    Ok(tagged(&key))
}

/// A key as it is answered, with the tag of what can be changed of it: that it was used changes nothing.
fn tagged(key: &ApiKey) -> Reply {
    let mut reply = reply::json(StatusCode::OK, &shown(key));
    if let Ok(text) = serde_json::to_vec(&changeable(key)) {
        reply.headers_mut().insert(ETAG, reply::etag_of(&text));
    }
    reply
}

fn changeable(key: &ApiKey) -> Value {
    shown(&ApiKey { last_used_ms: None, ..key.clone() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    name: String,
}

async fn rename(mut call: Call) -> Answer {
    let Rename { name } = call.request.json().await?;
    let (seen, id) = (IfMatch::of(&call.request)?, call.param("id").to_owned());
    let (scope, by) = (call.scope().await?, call.by()?);
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let rename = move || {
        let current = |key: &ApiKey| seen.holds(&changeable(key));
        server.identity.api_keys().rename(scope.id(), &id, &name, &by, current, now_ms)
    };
    Ok(tagged(&call.on_disk(rename).await??))
}

async fn revoke(call: Call) -> Answer {
    let (scope, by, id) = (call.scope().await?, call.by()?, call.param("id").to_owned());
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let revoke = move || server.identity.api_keys().revoke(scope.id(), &id, &by, now_ms);
    call.on_disk(revoke).await??;
    Ok(reply::no_content())
}
