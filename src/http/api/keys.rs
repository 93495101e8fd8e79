//! API keys (contract §5).

use super::PageParams;
use crate::http::call::Call;
use crate::http::openapi::{Operation, schema};
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::api_key::{ApiKey, ApiKeyError, NAME_CHARS_MAX, NewApiKey};
use crate::identity::key_networks::{KeyNetworks, NETWORKS_PER_KEY_MAX};
use crate::model::time::{format_rfc3339, parse_rfc3339};
use crate::tenancy::permission::{Permission, Role};
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
        remembers: false,
        summary: "Makes an API key, which is shown only now",
        describe: |operation: Operation| {
            let name = json!({ "type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX });
            let roles: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
            let mut body = schema::object(json!({ "name": name, "role": { "enum": roles } }));
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
    let NewKey { name, role, expires_at, networks } = call.request.json().await?;
    let expires_ms = match expires_at {
        None => None,
        Some(Time::Ms(ms)) => Some(ms),
        Some(Time::Text(text)) => {
            let invalid = |e| Problem::invalid("/expires_at", "invalid_time", format!("{e}"));
            Some(parse_rfc3339(&text).map_err(invalid)?)
        }
    };
    let networks = KeyNetworks::parse(&networks.unwrap_or_default()).map_err(ApiKeyError::from)?;
    let (scope, by) = (call.scope().await?, call.by()?);
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let new = NewApiKey { name, role, expires_ms, networks };
    let make = move || server.identity.api_keys().create(scope.id(), new, &by, now_ms);
    let made = call.server.threads.run(make).await??;
    let mut answer = shown(&made.key);
    answer["key"] = made.text.into();
    Ok(reply::json(StatusCode::CREATED, &answer))
}

async fn get(call: Call) -> Answer {
    let scope = call.scope().await?;
    let key = call.server.identity.api_keys().get(scope.id(), call.param("id"))?;
    Ok(reply::json(StatusCode::OK, &shown(&key)))
}

async fn revoke(call: Call) -> Answer {
    let (scope, by, id) = (call.scope().await?, call.by()?, call.param("id").to_owned());
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let revoke = move || server.identity.api_keys().revoke(scope.id(), &id, &by, now_ms);
    call.server.threads.run(revoke).await??;
    Ok(reply::no_content())
}
