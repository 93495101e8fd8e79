//! How the people of a tenant sign in (contract §5).

use crate::http::call::Call;
use crate::http::openapi::{Operation, schema};
use crate::http::precondition::IfMatch;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::rules::{RulesChange, SignInRules};
use crate::tenancy::permission::Permission;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/sign-in-rules",
        access: Access::With(Permission::TenantRead),
        handler: handler!(get),
        remembers: false,
        summary: "What the tenant demands of whoever signs in with a password",
        describe: |operation| operation.answer(200, "The rules", schema::sign_in_rules()),
    },
    Route {
        method: Method::PATCH,
        path: "/api/v1/sign-in-rules",
        access: Access::With(Permission::TenantManage),
        handler: handler!(change),
        remembers: false,
        summary: "Changes the rules; whoever does not keep to new ones has to sign in again",
        describe: |operation: Operation| {
            let mut body = schema::sign_in_rules();
            body["required"] = json!([]);
            body["minProperties"] = 1.into();
            body["additionalProperties"] = false.into();
            operation
                .if_match()
                .body(&["application/json"], body)
                .answer(200, "The rules", schema::sign_in_rules())
                .refuses(&[409, 412, 413, 415, 422, 507])
        },
    },
];

fn shown(rules: &SignInRules) -> Value {
    json!({ "require_otp": rules.require_otp, "require_sso": rules.require_sso })
}

async fn get(call: Call) -> Answer {
    let (scope, server) = (call.scope().await?, Arc::clone(&call.server));
    let rules = call.on_disk(move || server.identity.sign_in_rules(scope.id()));
    Ok(reply::json_known(call.request.headers(), &shown(&rules.await??)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    require_otp: Option<bool>,
    require_sso: Option<bool>,
}

async fn change(mut call: Call) -> Answer {
    let Change { require_otp, require_sso } = call.request.json().await?;
    if require_otp.or(require_sso).is_none() {
        return Err(Problem::invalid("", "required", "must say what is to change"));
    }
    let (seen, by) = (IfMatch::of(&call.request)?, call.by()?);
    let (scope, server) = (call.scope().await?, Arc::clone(&call.server));
    let now_ms = server.clock.now_ms();
    let changed = call.on_disk(move || {
        let current = |rules: &SignInRules| seen.holds(&shown(rules));
        let change = RulesChange { require_otp, require_sso };
        server.identity.set_sign_in_rules(scope.id(), change, &by, current, now_ms)
    });
    Ok(reply::json_tagged(StatusCode::OK, &shown(&changed.await??)))
}
