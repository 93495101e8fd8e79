//! A tenant's identity providers (contract §5).

use super::PageParams;
use super::sso::provider_problem;
use crate::http::call::Call;
use crate::http::openapi::{Operation, schema};
use crate::http::precondition::IfMatch;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::sso::draft::{Draft, NAME_BYTES_MAX, Place};
use crate::identity::sso::provider::{Preset, Provider};
use crate::identity::sso::{PROVIDERS_PER_TENANT_MAX, ProviderError};
use crate::model::strict::Strict;
use crate::tenancy::id::TenantId;
use crate::tenancy::permission::{Permission, Role};
use crate::tenancy::slug::Slug;
use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const PATH: &str = "/api/v1/sso-providers";
const ONE: &str = "/api/v1/sso-providers/{id}";

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: PATH,
        access: Access::With(Permission::SsoManage),
        handler: handler!(list),
        remembers: false,
        summary: "The tenant's providers of single sign-on, oldest first",
        describe: |operation| {
            operation
                .page(PAGE_MAX)
                .answer(200, "A page of providers", schema::page(described()))
                .refuses(&[422])
        },
    },
    Route {
        method: Method::POST,
        path: PATH,
        access: Access::With(Permission::SsoManage),
        handler: handler!(create),
        remembers: false,
        summary: "Adds a provider of single sign-on",
        describe: |operation: Operation| {
            let mut body = body();
            body["required"] = json!(["name", "kind"]);
            operation
                .body(&["application/json"], body)
                .answer(201, "The provider", described())
                .refuses(&[409, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::GET,
        path: ONE,
        access: Access::With(Permission::SsoManage),
        handler: handler!(get),
        remembers: false,
        summary: "One provider of single sign-on",
        describe: |operation| operation.answer(200, "The provider", described()).refuses(&[404]),
    },
    Route {
        method: Method::PATCH,
        path: ONE,
        access: Access::With(Permission::SsoManage),
        handler: handler!(change),
        remembers: false,
        summary: "Changes a provider: what is absent stays, what is `null` goes",
        describe: |operation: Operation| {
            operation
                .if_match()
                .body(&["application/json"], body())
                .answer(200, "The provider", described())
                .refuses(&[404, 409, 412, 413, 415, 422, 507])
        },
    },
    Route {
        method: Method::DELETE,
        path: ONE,
        access: Access::With(Permission::SsoManage),
        handler: handler!(remove),
        remembers: false,
        summary: "Removes a provider, and ends the sessions that began with it",
        describe: |operation: Operation| {
            operation.if_match().nothing(204, "It is gone").refuses(&[404, 409, 412, 507])
        },
    },
];

const PAGE_MAX: usize = PROVIDERS_PER_TENANT_MAX;

/// What is said of a provider.
fn body() -> Value {
    let texts = || json!({ "type": "array", "items": schema::text() });
    let roles: Vec<&str> =
        Role::ALL.iter().filter(|role| **role != Role::Ingest).map(|r| r.as_str()).collect();
    let roles = json!({ "enum": roles });
    let presets = Preset::WORDS.map(|(word, _)| word);
    let attributes = json!({
        "type": "object",
        "properties": {
            "name_id": schema::nullable(schema::text()),
            "email": schema::nullable(schema::text()),
            "groups": schema::nullable(schema::text()),
        },
        "additionalProperties": false,
    });
    let mut members = json!({
        "name": { "type": "string", "minLength": 1, "maxLength": NAME_BYTES_MAX },
        "kind": { "enum": ["oidc", "saml"] },
        "preset": schema::nullable(json!({ "enum": presets })),
        "roles": schema::nullable(json!({ "type": "object", "additionalProperties": roles })),
        "teams": schema::nullable(json!({
            "type": "object", "additionalProperties": schema::text(),
            "description": "Ids or names of teams by group",
        })),
        "default_role": schema::nullable(roles),
        "domains": schema::nullable(texts()),
        "attributes": schema::nullable(attributes),
        "scopes": schema::nullable(texts()),
        "idp_certificates": schema::nullable(texts()),
    });
    for name in [
        "issuer",
        "client_id",
        "client_secret",
        "domain",
        "tenant",
        "groups_claim",
        "idp_entity_id",
        "idp_sso_url",
        "idp_metadata",
        "sp_entity_id",
        "acs_url",
    ] {
        members[name] = schema::nullable(schema::text());
    }
    json!({ "type": "object", "properties": members, "additionalProperties": false })
}

/// A provider as it is answered.
fn described() -> Value {
    json!({
        "type": "object",
        "description": "What was said of it but for its secret, and what it is to be told: \
            `redirect_uri`, or `acs_url`, `sp_entity_id` and `metadata_url`",
        "properties": {
            "id": schema::text(),
            "name": schema::text(),
            "kind": { "enum": ["oidc", "saml"] },
            "preset": schema::nullable(schema::text()),
            "roles": { "type": "object", "additionalProperties": schema::text() },
            "teams": { "type": "object", "additionalProperties": schema::text() },
            "default_role": schema::nullable(schema::text()),
            "domains": { "type": "array", "items": schema::text() },
            "start": schema::text(),
            "created_at": schema::time_out(),
        },
        "required":
            ["id", "name", "kind", "preset", "roles", "teams", "default_role", "domains", "start", "created_at"],
    })
}

async fn list(call: Call) -> Answer {
    let params = PageParams::of(&call.request, PAGE_MAX)?;
    let scope = call.scope().await?;
    let (server, id) = (Arc::clone(&call.server), scope.id().clone());
    let providers = call.on_disk(move || server.identity.sso_providers(&id));
    let providers = providers.await?.map_err(provider_problem)?;
    let after = params.after(|id| providers.iter().position(|known| known.id == id))?;
    let start = after.map_or(0, |at| at + 1);
    let page: Vec<&Provider> = providers[start..].iter().take(params.limit).collect();
    let more = start + page.len() < providers.len();
    let next_cursor = page.last().filter(|_| more).map(|provider| provider.id.clone());
    let items: Vec<Value> = page
        .into_iter()
        .map(|provider| provider.described(&call.server.site, scope.slug()).into())
        .collect();
    Ok(reply::json(StatusCode::OK, &json!({ "items": items, "next_cursor": next_cursor })))
}

async fn get(call: Call) -> Answer {
    let (scope, id) = (call.scope().await?, call.param("id").to_owned());
    let (server, tenant_id) = (Arc::clone(&call.server), scope.id().clone());
    let found = call.on_disk(move || server.identity.sso_provider(&tenant_id, &id));
    let found = found.await?.map_err(provider_problem)?;
    let shown = found.provider.described(&call.server.site, scope.slug());
    Ok(reply::json_known(call.request.headers(), &shown))
}

async fn create(mut call: Call) -> Answer {
    let body = members(&mut call).await?;
    let (scope, by) = (call.scope().await?, call.by()?);
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let (tenant_id, slug) = (scope.id().clone(), scope.slug().clone());
    // Reads certificates: some hundred microseconds.
    let draft = call.on_disk(move || Draft::read(&body, place(&server, &slug)));
    let draft = draft.await?.map_err(provider_problem)?;
    check_issuer(&call, &tenant_id, &draft).await?;
    let server = Arc::clone(&call.server);
    let add = move || server.identity.add_sso_provider(&tenant_id, draft, &by, now_ms);
    let made = call.on_disk(add).await?.map_err(provider_problem)?;
    let shown = made.described(&call.server.site, scope.slug());
    Ok(reply::json_tagged(StatusCode::CREATED, &shown))
}

async fn change(mut call: Call) -> Answer {
    let patch = Arc::new(members(&mut call).await?);
    let (scope, by) = (call.scope().await?, call.by()?);
    let seen = IfMatch::of(&call.request)?;
    let change = {
        let (server, patch, slug) =
            (Arc::clone(&call.server), Arc::clone(&patch), scope.slug().clone());
        move |before: &Provider| match seen.holds(&before.described(&server.site, &slug).into()) {
            true => Draft::change(before, &patch, place(&server, &slug)),
            false => Err(ProviderError::Stale),
        }
    };
    let (id, tenant_id) = (call.param("id").to_owned(), scope.id().clone());
    let (server, asked, judge) = (Arc::clone(&call.server), id.clone(), change.clone());
    let of = tenant_id.clone();
    let drafted = call.on_disk(move || {
        let known = server.identity.sso_provider(&of, &asked)?;
        judge(&known.provider)
    });
    let drafted = drafted.await?.map_err(provider_problem)?;
    check_issuer(&call, &tenant_id, &drafted).await?;
    let server = Arc::clone(&call.server);
    let now_ms = server.clock.now_ms();
    let act = move || server.identity.change_sso_provider(&tenant_id, &id, change, &by, now_ms);
    let changed = call.on_disk(act).await?.map_err(provider_problem)?;
    let shown = changed.described(&call.server.site, scope.slug());
    Ok(reply::json_tagged(StatusCode::OK, &shown))
}

async fn remove(call: Call) -> Answer {
    let (scope, by, id) = (call.scope().await?, call.by()?, call.param("id").to_owned());
    let (server, seen) = (Arc::clone(&call.server), IfMatch::of(&call.request)?);
    let now_ms = call.server.clock.now_ms();
    let removed = call.on_disk(move || {
        let known = server.identity.sso_provider(scope.id(), &id)?;
        match seen.holds(&known.provider.described(&server.site, scope.slug()).into()) {
            true => server.identity.remove_sso_provider(scope.id(), &id, &by, now_ms),
            false => Err(ProviderError::Stale),
        }
    });
    removed.await?.map_err(provider_problem)?;
    Ok(reply::no_content())
}

/// The members of the body, each of which is there once.
async fn members(call: &mut Call) -> Result<Map<String, Value>, Problem> {
    match call.request.json::<Strict>().await? {
        Strict(Value::Object(members)) => Ok(members),
        Strict(_) => Err(Problem::invalid("", "wrong_type", "must be an object")),
    }
}

fn place<'a>(server: &'a crate::http::server::Server, tenant: &'a Slug) -> Place<'a> {
    Place { site: &server.site, tenant, guard: server.outgoing.guard() }
}

/// Fails where the issuer's name leads to where nothing is asked.
async fn check_issuer(call: &Call, tenant_id: &TenantId, draft: &Draft) -> Result<(), Problem> {
    let Some(issuer) = draft.issuer() else { return Ok(()) };
    let found = call.server.outgoing.check(tenant_id.as_str(), issuer).await;
    draft.check_found(found).map_err(provider_problem)
}
