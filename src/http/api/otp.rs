//! The second factor of oneself (contract §5).
//!
//! `POST /auth/otp` without a code begins, and with one confirms. Who is not let in because the
//! tenant demands a second factor does the same at `/auth/otp/enrol`, with the password each time,
//! and is let in at the end.

use super::auth::{SIGN_IN_BYTES_MAX, told};
use crate::http::call::Call;
use crate::http::guard;
use crate::http::openapi::{Operation, schema};
use crate::http::origin;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::SignedIn;
use crate::identity::enrolment::Proof;
use crate::identity::login::Credentials;
use crate::identity::second_factor::Enrolment;
use crate::model::time::format_rfc3339;
use hyper::{Method, StatusCode};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/auth/otp",
        access: Access::Known,
        handler: handler!(state),
        remembers: false,
        summary: "How it stands with one's second factor",
        describe: |operation| {
            let state = schema::object(json!({
                "is_set_up": schema::boolean(),
                "recovery_codes_left": schema::seq(),
                "is_demanded": schema::boolean(),
            }));
            operation.answer(200, "How it stands", state).refuses(&[403])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/auth/otp",
        access: Access::Known,
        handler: handler!(set_up),
        remembers: false,
        summary: "Begins to set up one's second factor; with a code of the app, confirms it",
        describe: |operation: Operation| {
            operation
                .body(&["application/json"], optional(&["code", "password"]))
                .answer(
                    200,
                    "What the app needs; or, confirmed, the recovery codes",
                    set_up_answer(),
                )
                .refuses(&[401, 403, 409, 413, 415, 422, 429, 507])
        },
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/auth/otp",
        access: Access::Known,
        handler: handler!(remove),
        remembers: false,
        summary: "Takes one's second factor away, with a code or the password",
        describe: |operation: Operation| {
            operation
                .body(&["application/json"], optional(&["code", "password"]))
                .nothing(204, "There is none any more")
                .refuses(&[401, 403, 409, 413, 415, 422, 429, 507])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/auth/otp/enrol",
        access: Access::Public,
        handler: handler!(enrol),
        remembers: false,
        summary: "The same for whoever is not let in without one; with a code, signs in",
        describe: |operation: Operation| {
            let mut body = optional(&["code"]);
            for name in ["tenant", "email", "password"] {
                body["properties"][name] = schema::text();
            }
            body["properties"]["cookie"] = schema::boolean();
            body["required"] = json!(["tenant", "email", "password"]);
            let enrolled = json!({ "anyOf": [
                enrolment(),
                { "allOf": [schema::session(), recovery_codes()] },
            ]});
            operation
                .body(&["application/json"], body)
                .answer(200, "What the app needs; or, signed in, the recovery codes", enrolled)
                .refuses(&[401, 403, 409, 413, 415, 422, 429, 507])
        },
    },
];

/// An object of texts, each of which may be left out.
fn optional(names: &[&str]) -> Value {
    let mut schema = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    for name in names {
        schema["properties"][*name] = schema::nullable(schema::text());
    }
    schema
}

fn enrolment() -> Value {
    schema::object(json!({
        "secret": { "type": "string", "description": "Base32 (RFC 4648)" },
        "uri": { "type": "string", "description": "`otpauth://totp/…`" },
        "qr_svg": { "type": "string", "description": "The same as a QR code, an SVG image" },
        "expires_at": schema::time_out(),
    }))
}

fn recovery_codes() -> Value {
    schema::object(json!({ "recovery_codes": { "type": "array", "items": schema::text() } }))
}

fn set_up_answer() -> Value {
    json!({ "anyOf": [enrolment(), recovery_codes()] })
}

/// Side of the QR code in pixels, at least: what a phone reads from a screen.
const QR_PX_MIN: u32 = 240;

/// What an app needs, as it is answered.
fn shown(enrolment: &Enrolment) -> Result<Value, Problem> {
    let code = QrCode::new(&enrolment.uri).map_err(|error| Problem::internal(&error))?;
    let image = code.render::<svg::Color<'_>>().min_dimensions(QR_PX_MIN, QR_PX_MIN).build();
    Ok(json!({
        "secret": enrolment.secret,
        "uri": enrolment.uri,
        "qr_svg": image,
        "expires_at": format_rfc3339(enrolment.until_ms),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proven {
    code: Option<String>,
    password: Option<String>,
}

async fn state(call: Call) -> Answer {
    let (server, principal) = (Arc::clone(&call.server), call.principal()?.clone());
    let state = call.on_disk(move || server.identity.otp_state(&principal));
    let state = state.await??;
    let state = json!({
        "is_set_up": state.is_set_up,
        "recovery_codes_left": state.recovery_left,
        "is_demanded": state.is_demanded,
    });
    Ok(reply::json(StatusCode::OK, &state))
}

async fn set_up(mut call: Call) -> Answer {
    let Proven { code, password } = call.request.json_within(SIGN_IN_BYTES_MAX).await?;
    let (server, by) = (Arc::clone(&call.server), call.by()?);
    let now_ms = server.clock.now_ms();
    let answer = call.server.passwords.run(move || match code {
        Some(code) => {
            let codes = server.identity.confirm_otp(&by, &code, now_ms)?;
            Ok(json!({ "recovery_codes": codes }))
        }
        None => {
            let proof = Proof { code: None, password: password.as_deref() };
            shown(&server.identity.begin_otp(&server.tenancy, &by, &proof, now_ms)?)
        }
    });
    Ok(reply::json(StatusCode::OK, &answer.await??))
}

async fn remove(mut call: Call) -> Answer {
    let Proven { code, password } = call.request.json_within(SIGN_IN_BYTES_MAX).await?;
    let (server, by) = (Arc::clone(&call.server), call.by()?);
    let now_ms = server.clock.now_ms();
    let removed = call.server.passwords.run(move || {
        let proof = Proof { code: code.as_deref(), password: password.as_deref() };
        server.identity.remove_otp(&by, &proof, now_ms)
    });
    removed.await??;
    Ok(reply::no_content())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enrol {
    tenant: String,
    email: String,
    password: String,
    code: Option<String>,
    #[serde(default)]
    cookie: bool,
}

async fn enrol(mut call: Call) -> Answer {
    let Enrol { tenant, email, password, code, cookie } =
        call.request.json_within(SIGN_IN_BYTES_MAX).await?;
    if cookie {
        origin::demand_own(&call.request)?;
    }
    guard::demand_same_tenant(&call.server, &call.request, &tenant)?;
    let server = Arc::clone(&call.server);
    let (calling, now_ms) = (call.request.calling(), server.clock.now_ms());
    let enrolled = call.server.passwords.run(move || {
        let (tenant, email, password) = (&*tenant, &*email, &*password);
        let (otp, client) = (code.as_deref(), calling.client());
        let credentials = Credentials { tenant, email, password, otp, client };
        let (identity, tenancy) = (&server.identity, &server.tenancy);
        match code {
            None => identity.begin_enrolment(tenancy, &credentials, now_ms).map(Enrolled::Begun),
            Some(_) => identity.enrol(tenancy, &credentials, now_ms).map(Enrolled::done),
        }
    });
    match enrolled.await?? {
        Enrolled::Begun(enrolment) => Ok(reply::json(StatusCode::OK, &shown(&enrolment)?)),
        Enrolled::Done(done) => {
            let (signed_in, codes) = *done;
            told(&call, signed_in, cookie, json!({ "recovery_codes": codes }))
        }
    }
}

/// What came of a step of enrolment.
enum Enrolled {
    Begun(Enrolment),
    Done(Box<(SignedIn, Vec<String>)>),
}

impl Enrolled {
    fn done(done: (SignedIn, Vec<String>)) -> Self {
        Self::Done(Box::new(done))
    }
}
