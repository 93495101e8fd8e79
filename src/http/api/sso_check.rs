//! Trying an identity provider out (contract §5), as a button beside its settings does. Nobody is let in
//! by it, and nothing changes.

use super::sso::provider_problem;
use crate::http::call::Call;
use crate::http::openapi::{Operation, schema};
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::saml;
use crate::identity::sso::explain::Explanation;
use crate::identity::sso::provider::{StoredProvider, Way};
use crate::tenancy::permission::Permission;
use crate::tenancy::scope::TenantScope;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Longest body, bytes: the largest response in base64, or with what JSON puts before its quotes.
const BODY_BYTES_MAX: usize = 384 << 10;

pub(in crate::http) const ROUTES: &[Route] = &[Route {
    method: Method::POST,
    path: "/api/v1/sso-providers/{id}/check",
    access: Access::With(Permission::SsoManage),
    handler: handler!(check),
    remembers: false,
    summary: "Reaches for a provider, and judges a response of it, step by step; changes nothing",
    describe: |operation: Operation| {
        let mut body = schema::object(json!({
            "response": schema::nullable(schema::text()),
            "request_id": schema::nullable(schema::text()),
        }));
        body["required"] = json!([]);
        body["additionalProperties"] = false.into();
        let step = schema::object(json!({
            "name": schema::text(), "passed": schema::boolean(), "detail": schema::text(),
        }));
        let explained = schema::object(json!({
            "verdict": { "enum": ["accept", "refuse"] },
            "reason": schema::nullable(schema::text()),
            "name_id": schema::nullable(schema::text()),
            "groups": { "type": "array", "items": schema::text() },
            "steps": { "type": "array", "items": step },
        }));
        operation
            .body(&["application/json"], body)
            .answer(200, "How each step went", explained)
            .refuses(&[404, 409, 413, 415, 422])
    },
}];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    /// What a SAML provider had a browser post: XML, or base64.
    response: Option<String>,
    /// The request that it answers; whichever it says if absent.
    request_id: Option<String>,
}

async fn check(mut call: Call) -> Answer {
    let Check { response, request_id } = call.request.json_within(BODY_BYTES_MAX).await?;
    let (scope, id) = (Arc::new(call.scope().await?), call.param("id").to_owned());
    let (server, tenant_id) = (Arc::clone(&call.server), scope.id().clone());
    let find = move || server.identity.sso_provider(&tenant_id, &id);
    let known = Arc::new(call.on_disk(find).await?.map_err(provider_problem)?);
    let judged = match response {
        None => None,
        Some(response) => {
            let (server, known, scope) =
                (Arc::clone(&call.server), Arc::clone(&known), Arc::clone(&scope));
            let now_ms = call.server.clock.now_ms();
            let explain = move || {
                let (site, request_id) = ((&server.site, scope.slug()), request_id.as_deref());
                let response = response.as_bytes();
                server.identity.explain_response(&known, site, response, request_id, now_ms)
            };
            Some(call.server.decoders.run(explain).await?.map_err(provider_problem)?)
        }
    };
    let reached = reach(&call, &known, &scope).await?;
    let explained = match judged {
        Some(judged) => reached.then(judged),
        None => reached,
    };
    Ok(reply::json(StatusCode::OK, &explained))
}

/// How far one comes with what is known of the provider.
async fn reach(
    call: &Call,
    known: &Arc<StoredProvider>,
    scope: &Arc<TenantScope>,
) -> Result<Explanation, Problem> {
    let (server, provider) = (&call.server, &known.provider);
    match &provider.way {
        Way::Oidc(_) => {
            let settings = provider.oidc(&server.site, scope.slug(), server.identity.master_key());
            let settings = settings.map_err(provider_problem)?;
            let settings = settings.ok_or_else(|| Problem::internal(&"a way without settings"))?;
            Ok(Explanation::of_tried(server.oidc.probe(&settings).await))
        }
        Way::Saml(_) => {
            let (held, known, scope) = (Arc::clone(server), Arc::clone(known), Arc::clone(scope));
            let now_ms = server.clock.now_ms();
            let look = move || {
                let settings = known.provider.saml(&held.site, scope.slug());
                settings.map(|settings| saml::look(&settings, now_ms))
            };
            let looked = server.decoders.run(look).await?;
            let looked = looked.ok_or_else(|| Problem::internal(&"a way without settings"))?;
            Ok(Explanation::of_look(looked))
        }
    }
}
