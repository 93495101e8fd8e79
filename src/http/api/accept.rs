//! Taking an invitation or a way back: the first password, or another (contract §5).

use super::auth::SIGN_IN_BYTES_MAX;
use crate::http::call::Call;
use crate::http::guard;
use crate::http::openapi::{Operation, schema};
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

pub(in crate::http) const ROUTES: &[Route] = &[Route {
    method: Method::POST,
    path: "/api/v1/auth/accept",
    access: Access::Public,
    handler: handler!(accept),
    remembers: false,
    summary: "Takes the token of a link for a password of one's own choice, once",
    describe: |operation: Operation| {
        let mut body =
            schema::object(json!({ "token": schema::text(), "password": schema::text() }));
        body["additionalProperties"] = false.into();
        let who = schema::object(json!({ "tenant": schema::text(), "email": schema::text() }));
        operation
            .body(&["application/json"], body)
            .answer(200, "Who can sign in now, and where", who)
            .refuses(&[401, 403, 413, 415, 422, 507])
    },
}];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accept {
    token: String,
    password: String,
}

async fn accept(mut call: Call) -> Answer {
    let Accept { token, password } = call.request.json_within(SIGN_IN_BYTES_MAX).await?;
    let named = guard::tenant_by_name(&call.server, &call.request)?.map(str::to_owned);
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let source = call.source();
    let accepted = call.server.passwords.run(move || {
        let named = named.as_deref();
        server.identity.accept(&server.tenancy, &token, &password, named, &source, now_ms)
    });
    let (user, tenant) = accepted.await??;
    let who = json!({ "tenant": tenant.slug, "email": user.email });
    Ok(reply::json(StatusCode::OK, &who))
}
