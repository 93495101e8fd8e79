//! The keys that access tokens are signed with, in the hands of who operates the appliance (contract
//! §8).

use crate::http::call::Call;
use crate::http::openapi::schema;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::signing::SigningError;
use crate::tenancy::permission::Permission;
use hyper::{Method, StatusCode};
use serde_json::json;
use std::sync::Arc;

pub(in crate::http) const ROUTES: &[Route] = &[Route {
    method: Method::POST,
    path: "/api/v1/admin/signing-keys/rotate",
    access: Access::With(Permission::PlatformOperate),
    handler: handler!(rotate),
    remembers: false,
    summary: "Has the next key sign access tokens from now on",
    describe: |operation| {
        operation
            .param(
                "revoke",
                schema::boolean(),
                "Drop all keys at once, for somebody else may have them: every access token ends, and \
                 has to be refreshed",
            )
            .answer(200, "The id of the key that signs", schema::object(json!({ "kid": schema::text() })))
            .refuses(&[409, 422, 507])
    },
}];

async fn rotate(call: Call) -> Answer {
    let mut revoke = false;
    for (name, value) in call.request.params()? {
        revoke = match (name.as_str(), value.as_str()) {
            ("revoke", "true") => true,
            ("revoke", "false") => false,
            ("revoke", _) => {
                return Err(Problem::invalid("/revoke", "wrong_type", "must be true or false"));
            }
            (name, _) => return Err(Problem::unknown_param(name)),
        };
    }
    let by = call.by()?;
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let rotate = move || match revoke {
        true => server.identity.drop_signing_keys(&by, now_ms),
        false => server.identity.rotate_signing_keys(&by, now_ms),
    };
    let kid = call.on_disk(rotate).await?.map_err(problem)?;
    Ok(reply::json(StatusCode::OK, &json!({ "kid": kid })))
}

fn problem(error: SigningError) -> Problem {
    let (code, detail) = (error.code(), error.to_string());
    let conflict = || Problem::new(StatusCode::CONFLICT, code, detail.as_str());
    match &error {
        SigningError::TooSoon { retry_after_s } => conflict().retry_after(*retry_after_s),
        SigningError::Conflict => conflict(),
        SigningError::Store(store) => Problem::of_store(store),
        SigningError::Crypto { .. } | SigningError::Secret(_) => Problem::internal(&error),
    }
}
