//! The end of a single sign-on: somebody comes back from a provider, and is let in or not.
//!
//! *Invariants*: nothing is done for whoever did not begin in this browser, with this provider, and
//! what is done is done once. Success is the page's refresh cookie, as after a password, and the path
//! that the person came from.

use super::auth;
use super::sso::{
    Asked, OIDC_CALLBACK, SAML_ACS, check_navigation, keep_flows, oidc_problem, oidc_settings,
    open_flows, see_other, shown, sign_in_problem,
};
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::http::route::Answer;
use crate::identity::oidc::{OidcError, Started};
use crate::identity::sso::SignInError;
use crate::identity::sso::flow::{Flow, Flows};
use crate::identity::sso::site::Kind;
use crate::identity::{SignedIn, saml};
use hyper::StatusCode;
use std::sync::Arc;

/// The media type of a form.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Longest form with an assertion, bytes: whatever is read as a response, be each of its characters
/// escaped, and what stands beside it. Real ones have up to 20 KiB; one with a thousand groups has 150. Nothing
/// is read from whoever has not begun here, and what is long is counted against the room for bodies.
const FORM_BYTES_MAX: usize = 3 * saml::BASE64_BYTES_MAX + BESIDE_BYTES_MAX;

/// Longest names of the fields and relay state, bytes.
const BESIDE_BYTES_MAX: usize = 4 << 10;

/// Fields of a form that are looked at: two are expected.
const FIELDS_MAX: usize = 16;

/// How the end of a flow went: signed in, refused, or a failure that is nobody's.
type Outcome = Result<Result<SignedIn, SignInError>, Problem>;

pub(super) async fn callback(call: Call) -> Answer {
    let outcome = finish_oidc(&call).await;
    shown(&call, OIDC_CALLBACK, outcome)
}

pub(super) async fn acs(mut call: Call) -> Answer {
    let outcome = finish_saml(&mut call).await;
    if outcome.is_err() {
        call.request.skip_body().await;
    }
    shown(&call, SAML_ACS, outcome)
}

/// What an OpenID provider has a browser bring back. Providers add more than this.
#[derive(Default)]
struct Back {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

impl Back {
    fn of(request: &Request) -> Result<Self, Problem> {
        let mut back = Self::default();
        for (name, value) in request.params()? {
            let member = match name.as_str() {
                "state" => &mut back.state,
                "code" => &mut back.code,
                "iss" => &mut back.iss,
                "error" => &mut back.error,
                _ => continue,
            };
            if member.replace(value).is_some() {
                let detail = "a parameter is there twice";
                return Err(Problem::bad_request("invalid_parameter", detail));
            }
        }
        Ok(back)
    }
}

async fn finish_oidc(call: &Call) -> Result<Reply, Problem> {
    check_navigation(&call.request)?;
    let back = Back::of(&call.request)?;
    let asked = Asked::of(call, Kind::Oidc).await?;
    let mut flows = open_flows(call, Kind::Oidc, call.server.clock.now_ms());
    let handle = back.state.as_deref().unwrap_or_default();
    let flow = flows.take(handle, &asked.tenant.id, &asked.known.provider.id);
    let flow = Arc::new(flow.map_err(|error| refused(call, &asked, error))?);
    let signed_in = attempt(call, &asked, external(call, &asked, &flow, &back)).await?;
    let_in(call, Kind::Oidc, &signed_in, &flow, &mut flows)
}

/// Finishes the flow, asks the provider who it is, and lets that person in.
async fn external(call: &Call, asked: &Asked, flow: &Arc<Flow>, back: &Back) -> Outcome {
    let Some(started) = flow.started() else { return Ok(Err(SignInError::UnknownFlow)) };
    let (server, finished, now_ms) =
        (Arc::clone(&call.server), Arc::clone(flow), call.server.clock.now_ms());
    let finish = move || server.identity.finish_flow(&finished, now_ms);
    match call.on_disk(finish).await? {
        Ok(true) => {}
        Ok(false) => return Ok(Err(SignInError::UnknownFlow)),
        Err(error) => return Ok(Err(error)),
    }
    let external = match vouched(call, asked, started, back).await? {
        Ok(external) => external,
        Err(error) if is_providers_fault(&error) => return Err(oidc_problem(error)),
        Err(error @ OidcError::Denied { .. }) => {
            return Ok(Err(SignInError::Denied { detail: error.to_string() }));
        }
        Err(error) => {
            let (code, detail) = (error.code(), error.to_string());
            return Ok(Err(SignInError::Refused { code, detail }));
        }
    };
    let (server, known, calling) =
        (Arc::clone(&call.server), Arc::clone(&asked.known), call.request.calling());
    let now_ms = call.server.clock.now_ms();
    let admit = move || server.identity.admit_external(&known, external, calling.client(), now_ms);
    Ok(call.on_disk(admit).await?)
}

async fn vouched(
    call: &Call,
    asked: &Asked,
    started: &Started,
    back: &Back,
) -> Result<Result<crate::identity::oidc::External, OidcError>, Problem> {
    if let Some(error) = &back.error {
        return Ok(Err(OidcError::denied(error)));
    }
    let (settings, clock) = (oidc_settings(call, asked)?, &call.server.clock);
    let code = back.code.as_deref().unwrap_or_default();
    let state = back.state.as_deref().unwrap_or_default();
    let iss = back.iss.as_deref();
    Ok(call.server.oidc.finish(&settings, started, code, state, iss, clock).await)
}

/// Whether it says nothing of whoever came back.
fn is_providers_fault(error: &OidcError) -> bool {
    use OidcError as E;
    matches!(
        error,
        E::Settings { .. }
            | E::Outgoing { .. }
            | E::Status { .. }
            | E::Answer { .. }
            | E::Discovery { .. }
            | E::Randomness
    )
}

async fn finish_saml(call: &mut Call) -> Result<Reply, Problem> {
    check_navigation(&call.request)?;
    let asked = Asked::of(call, Kind::Saml).await?;
    check_form(&call.request)?;
    let mut flows = open_flows(call, Kind::Saml, call.server.clock.now_ms());
    if flows.is_empty() {
        return Err(refused(call, &asked, SignInError::UnknownFlow));
    }
    let body = call.request.bytes(FORM_BYTES_MAX).await?;
    let (response, relay_state) = fields(&body)?;
    let flow = flows.take(&relay_state, &asked.tenant.id, &asked.known.provider.id);
    let flow = Arc::new(flow.map_err(|error| refused(call, &asked, error))?);
    let signed_in = attempt(call, &asked, asserted(call, &asked, &flow, response)).await?;
    let_in(call, Kind::Saml, &signed_in, &flow, &mut flows)
}

/// Judges the response, and lets in whom it asserts.
async fn asserted(call: &Call, asked: &Asked, flow: &Arc<Flow>, response: String) -> Outcome {
    let (settings, judged) = (asked.saml(call)?, Arc::clone(flow));
    let now_ms = call.server.clock.now_ms();
    let check = move || {
        // Without an id it would not be asked which request it answers.
        let request_id = judged.request_id().ok_or(SignInError::UnknownFlow)?;
        let report = saml::check(&settings, response.as_bytes(), Some(request_id), now_ms);
        report
            .outcome
            .map_err(|refusal| SignInError::Refused { code: refusal.code, detail: refusal.detail })
    };
    let assertion = match call.server.decoders.run(check).await? {
        Ok(assertion) => assertion,
        Err(error) => return Ok(Err(error)),
    };
    let (server, known, flow) =
        (Arc::clone(&call.server), Arc::clone(&asked.known), Arc::clone(flow));
    let calling = call.request.calling();
    let admit =
        move || server.identity.admit_assertion(&known, &flow, assertion, calling.client(), now_ms);
    Ok(call.on_disk(admit).await?)
}

/// A form, plain.
fn check_form(request: &Request) -> Result<(), Problem> {
    let content_type = request.text_header("content-type")?.unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_plain = !request.headers().contains_key("content-encoding");
    match media_type.eq_ignore_ascii_case(FORM) && is_plain {
        true => Ok(()),
        false => {
            let detail = format!("send `Content-Type: {FORM}`, without compression");
            let code = crate::model::problem::body::UNSUPPORTED_MEDIA_TYPE;
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, detail))
        }
    }
}

/// The response and the relay state of a form.
fn fields(body: &[u8]) -> Result<(String, String), Problem> {
    let (mut response, mut relay_state) = (None, None);
    for (name, value) in form_urlencoded::parse(body).take(FIELDS_MAX) {
        let field = match &*name {
            "SAMLResponse" => &mut response,
            "RelayState" => &mut relay_state,
            _ => continue,
        };
        if field.replace(value.into_owned()).is_some() {
            let detail = "a field is there twice";
            return Err(Problem::bad_request("invalid_parameter", detail));
        }
    }
    Ok((response.unwrap_or_default(), relay_state.unwrap_or_default()))
}

/// Does `finish` as one attempt, if there may be one.
async fn attempt(
    call: &Call,
    asked: &Asked,
    finish: impl Future<Output = Outcome>,
) -> Result<SignedIn, Problem> {
    let (server, calling) = (Arc::clone(&call.server), call.request.calling());
    let now_ms = server.clock.now_ms();
    let begin = move || server.identity.begin_attempt(calling.client(), now_ms);
    let outcome = match call.on_disk(begin).await? {
        Ok(attempt) => {
            let outcome = finish.await;
            let server = Arc::clone(&call.server);
            let end = move || {
                match &outcome {
                    Ok(went) => server.identity.end_attempt(&attempt, went.as_ref().err()),
                    Err(_) => server.identity.abandon_attempt(&attempt),
                }
                outcome
            };
            call.on_disk(end).await??
        }
        Err(error) => Err(error),
    };
    outcome.map_err(|error| refused(call, asked, error))
}

/// What is answered to whoever is not let in, which the tenant's auditors are told.
fn refused(call: &Call, asked: &Asked, error: SignInError) -> Problem {
    call.server.identity.count_sso_refused(&asked.known, &error, call.request.client());
    sign_in_problem(error)
}

/// The page, with the cookie of the session, and without that of the flow.
fn let_in(
    call: &Call,
    kind: Kind,
    signed_in: &SignedIn,
    flow: &Flow,
    flows: &mut Flows,
) -> Result<Reply, Problem> {
    let mut reply = see_other(&flow.return_to)?;
    let left_s = (signed_in.session.until_ms - call.server.clock.now_ms()).max(0) / 1000;
    auth::set_cookie(&mut reply, &signed_in.refresh_token, left_s);
    keep_flows(call, &mut reply, kind, flows)?;
    Ok(reply)
}
