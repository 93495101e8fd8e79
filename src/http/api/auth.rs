//! Signing in and out (contract §5).
//!
//! The page keeps its refresh token in a cookie that scripts cannot read and other sites cannot have
//! sent; other clients get it in the answer. *Invariant*: an address that takes the cookie, or gives it for
//! a password, takes JSON only, and from the server's own origin, so that no form of another site can use
//! it. It is given besides where somebody comes back from an identity provider, which other sites send
//! browsers to: there only for what was begun in the same browser (see `sso_return`).

use crate::http::call::Call;
use crate::http::cookie::{self, SameSite};
use crate::http::guard;
use crate::http::openapi::{Operation, schema};
use crate::http::origin;
use crate::http::precondition;
use crate::http::problem::Problem;
use crate::http::reply::{self, Reply};
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::account::{Account, AccountError};
use crate::identity::api_key::ApiKeyError;
use crate::identity::key_networks::KeyNetworksError;
use crate::identity::login::{Credentials, LoginError};
use crate::identity::session::SessionError;
use crate::identity::signing::JWKS_CACHE_MS;
use crate::identity::token::TokenError;
use crate::identity::{RefreshError, SignedIn};
use crate::tenancy::id::TenantId;
use crate::tenancy::permission::{Permission, Role};
use crate::tenancy::scope::Principal;
use crate::tenancy::tenant::Tenant;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// Longest body by which somebody signs in, bytes: whoever sends it is not known yet.
pub(super) const SIGN_IN_BYTES_MAX: usize = 16 << 10;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::POST,
        path: "/api/v1/auth/login",
        access: Access::Public,
        handler: handler!(login),
        remembers: false,
        summary: "Signs in with a password",
        describe: |operation: Operation| {
            let body = schema::object(json!({
                "tenant": schema::text(), "email": schema::text(), "password": schema::text(),
            }));
            let mut body = body;
            body["properties"]["cookie"] = schema::boolean();
            body["properties"]["otp"] = schema::nullable(schema::text());
            operation
                .body(&["application/json"], body)
                .answer(200, "Signed in", schema::session())
                .refuses(&[401, 403, 413, 415, 422, 429, 507])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/auth/refresh",
        access: Access::Public,
        handler: handler!(refresh),
        remembers: false,
        summary: "Takes a refresh token for the next one and another access token",
        describe: |operation| {
            let body = json!({
                "type": "object",
                "properties": { "refresh_token": schema::text() },
            });
            operation
                .body(&["application/json"], body)
                .answer(200, "Goes on", schema::session())
                .refuses(&[401, 403, 413, 415, 422, 429, 507])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/auth/logout",
        access: Access::Leaving,
        handler: handler!(logout),
        remembers: false,
        summary: "Ends the session of the caller, its access tokens included",
        describe: |operation| operation.nothing(204, "It has ended").refuses(&[403, 507]),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/auth/me",
        access: Access::Known,
        handler: handler!(me),
        remembers: false,
        summary: "Who is asking",
        describe: |operation| {
            let me = schema::object(json!({
                "user": schema::nullable(schema::user()),
                "tenant": schema::tenant(),
                "role": schema::text(),
                "permissions": { "type": "array", "items": schema::text() },
            }));
            operation.answer(200, "You", me)
        },
    },
    Route {
        method: Method::GET,
        path: "/.well-known/jwks.json",
        access: Access::Public,
        handler: handler!(jwks),
        remembers: false,
        summary: "The public keys that access tokens are signed with (RFC 7517)",
        describe: |operation| {
            let keys = json!({ "type": "array", "items": { "type": "object" } });
            operation.answer(200, "A JWK set", schema::object(json!({ "keys": keys })))
        },
    },
];

/// The page's refresh token. The name's prefix has browsers refuse it from anybody but this host,
/// over TLS, for every path.
const COOKIE_NAME: &str = "__Host-emx_refresh";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    tenant: String,
    email: String,
    password: String,
    otp: Option<String>,
    #[serde(default)]
    cookie: bool,
}

async fn login(mut call: Call) -> Answer {
    let Login { tenant, email, password, otp, cookie } =
        call.request.json_within(SIGN_IN_BYTES_MAX).await?;
    if cookie {
        origin::demand_own(&call.request)?;
    }
    guard::demand_same_tenant(&call.server, &call.request, &tenant)?;
    let server = Arc::clone(&call.server);
    let (calling, now_ms) = (call.request.calling(), server.clock.now_ms());
    let signed_in = call.server.passwords.run(move || {
        let credentials = Credentials {
            tenant: &tenant,
            email: &email,
            password: &password,
            otp: otp.as_deref(),
            client: calling.client(),
        };
        server.identity.login(&server.tenancy, &credentials, now_ms)
    });
    let signed_in = signed_in.await?.map_err(login_problem)?;
    told(&call, signed_in, cookie, json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    refresh_token: Option<String>,
}

async fn refresh(mut call: Call) -> Answer {
    let Refresh { refresh_token } = call.request.json_within(SIGN_IN_BYTES_MAX).await?;
    let (token, cookie) = match refresh_token {
        Some(token) => (token, false),
        None => {
            let nobody = || Problem::unauthorized("unauthorized", "sign in first");
            let token = cookie::value_of(&call.request, COOKIE_NAME).ok_or_else(nobody)?;
            origin::demand_own(&call.request)?;
            (token.to_owned(), true)
        }
    };
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let calling = call.request.calling();
    let named = guard::tenant_by_name(&call.server, &call.request)?.map(str::to_owned);
    let refresh = move || {
        let (named, client) = (named.as_deref(), calling.client());
        server.identity.refresh(&server.tenancy, &token, named, client, now_ms)
    };
    let refreshed = call.on_disk(refresh).await?;
    told(&call, refreshed.map_err(refresh_problem)?, cookie, json!({}))
}

/// What somebody gets who signed in, added to `answer`.
pub(super) fn told(call: &Call, signed_in: SignedIn, cookie: bool, mut answer: Value) -> Answer {
    let SignedIn { access_token, expires_in_s, refresh_token, user, session } = signed_in;
    let gone = || Problem::unauthorized("session_ended", "the tenant is not here any more");
    let tenant = call.server.tenancy.with_id(&session.tenant_id).ok_or_else(gone)?;
    answer["access_token"] = access_token.into();
    answer["token_type"] = "Bearer".into();
    answer["expires_in"] = expires_in_s.into();
    answer["user"] = user_of(&user);
    answer["tenant"] = json!(OfTenant::of(&tenant));
    if !cookie {
        answer["refresh_token"] = refresh_token.into();
        return Ok(reply::json(StatusCode::OK, &answer));
    }
    let left_s = (session.until_ms - call.server.clock.now_ms()).max(0) / 1000;
    let mut reply = reply::json(StatusCode::OK, &answer);
    set_cookie(&mut reply, &refresh_token, left_s);
    Ok(reply)
}

async fn logout(call: Call) -> Answer {
    let Principal::User { family, .. } = call.principal()?.clone() else {
        let detail = "a key has no session: revoke it instead";
        return Err(Problem::forbidden("no_session", detail));
    };
    let (server, now_ms) = (Arc::clone(&call.server), call.server.clock.now_ms());
    let by = call.by()?;
    let ended = call.on_disk(move || server.identity.logout(&family, &by, now_ms));
    ended.await?.map_err(session_problem)?;
    let mut reply = reply::no_content();
    set_cookie(&mut reply, "", 0);
    Ok(reply)
}

/// Who is asking.
#[derive(Serialize)]
struct Me<'a> {
    user: Value,
    tenant: OfTenant<'a>,
    role: Role,
    permissions: Vec<&'static str>,
}

/// What a client needs of a tenant.
#[derive(Serialize)]
struct OfTenant<'a> {
    id: &'a TenantId,
    slug: &'a str,
    time_zone: &'a str,
}

impl<'a> OfTenant<'a> {
    fn of(tenant: &'a Tenant) -> Self {
        Self { id: &tenant.id, slug: tenant.slug.as_str(), time_zone: &tenant.time_zone }
    }
}

async fn me(call: Call) -> Answer {
    let principal = call.principal()?;
    let scope = call.scope().await?;
    let user = match principal {
        Principal::User { user_id, tenant_id, .. } => {
            let (server, user_id) = (Arc::clone(&call.server), Arc::clone(user_id));
            let tenant_id = tenant_id.clone();
            let user = call.on_disk(move || server.identity.user(&tenant_id, &user_id));
            let user = user.await?.map_err(|error| match error {
                AccountError::Store(store) => Problem::of_store(&store),
                // Who is gone has no session either.
                error => Problem::internal(&error),
            })?;
            user_of(&user)
        }
        _ => Value::Null,
    };
    let permissions = Permission::all().filter(|permission| principal.permits(*permission));
    let me = Me {
        user,
        tenant: OfTenant::of(scope.tenant()),
        role: principal.role(),
        permissions: permissions.map(Permission::as_str).collect(),
    };
    Ok(reply::json(StatusCode::OK, &me))
}

fn user_of(user: &Account) -> Value {
    json!({ "id": user.id, "email": user.email, "role": user.role, "platform": user.platform })
}

async fn jwks(call: Call) -> Answer {
    let keys = call.server.identity.jwks(call.server.clock.now_ms());
    let mut reply = reply::json(StatusCode::OK, &keys);
    let kept = format!("public, max-age={}", JWKS_CACHE_MS / 1000);
    if let Ok(kept) = HeaderValue::from_str(&kept) {
        reply.headers_mut().insert(CACHE_CONTROL, kept);
    }
    Ok(reply)
}

/// Has the browser keep the refresh token `value` for so many seconds; none: forget it.
pub(super) fn set_cookie(reply: &mut Reply, value: &str, age_s: i64) {
    cookie::set(reply, COOKIE_NAME, value, SameSite::Strict, age_s);
}

pub(super) fn login_problem(error: LoginError) -> Problem {
    let (code, detail) = (error.code(), error.to_string());
    match error {
        LoginError::InvalidCredentials
        | LoginError::WrongPassword
        | LoginError::OtpRequired
        | LoginError::InvalidOtp
        | LoginError::OtpLocked
        | LoginError::EnrolmentRequired
        | LoginError::SsoRequired => Problem::unauthorized(code, detail),
        LoginError::Factor(factor) => factor.into(),
        LoginError::TooManyAttempts(refused) => Problem::limited(refused),
        LoginError::Store(store) => Problem::of_store(&store),
        LoginError::Session(session) => session_problem(session),
        LoginError::Signing(signing) => Problem::internal(&signing),
    }
}

fn refresh_problem(error: RefreshError) -> Problem {
    match error {
        RefreshError::Session(session) => session_problem(session),
        RefreshError::Signing(signing) => Problem::internal(&signing),
    }
}

pub(super) fn session_problem(error: SessionError) -> Problem {
    let (code, detail) = (error.code(), error.to_string());
    match error {
        SessionError::Unknown
        | SessionError::Expired
        | SessionError::Reused
        | SessionError::Closed
        | SessionError::Elsewhere => Problem::unauthorized(code, detail),
        SessionError::TenantMismatch => guard::mismatch(),
        SessionError::TooMany(refused) => Problem::limited(refused),
        SessionError::Contended => Problem::unavailable(code, detail),
        SessionError::Store(store) => Problem::of_store(&store),
        SessionError::NoRandomness(_) | SessionError::Secret(_) => Problem::internal(&detail),
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        tracing::debug!(%error, "a token is not believed");
        let detail = match error {
            TokenError::Expired | TokenError::Revoked | TokenError::Elsewhere => error.to_string(),
            // What exactly is wrong with it helps only those who make tokens up.
            _ => "the access token is not valid: sign in again".to_owned(),
        };
        Self::unauthorized(error.code(), detail)
    }
}

impl From<ApiKeyError> for Problem {
    fn from(error: ApiKeyError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            ApiKeyError::Invalid => Self::unauthorized(code, detail),
            ApiKeyError::NotFound { .. } => Self::not_found("an API key with this id"),
            ApiKeyError::Name => Self::invalid("/name", code, detail),
            ApiKeyError::Networks(KeyNetworksError::TooMany) => {
                Self::invalid("/networks", code, detail)
            }
            ApiKeyError::Networks(KeyNetworksError::Invalid { index, .. }) => {
                Self::invalid(&format!("/networks/{index}"), code, detail)
            }
            ApiKeyError::Expiry => Self::invalid("/expires_at", code, detail),
            ApiKeyError::Stale => precondition::failed(code, detail),
            ApiKeyError::Role { .. }
            | ApiKeyError::MayMore { .. }
            | ApiKeyError::ExpiryTooLate
            | ApiKeyError::NetworksTooWide => Self::forbidden(code, detail),
            ApiKeyError::TooMany | ApiKeyError::Conflict => {
                Self::new(StatusCode::CONFLICT, code, detail)
            }
            ApiKeyError::NoRandomness(_) => Self::internal(&detail),
            ApiKeyError::Tenancy(tenancy) => tenancy.into(),
            ApiKeyError::Store(store) => Self::of_store(&store),
        }
    }
}
