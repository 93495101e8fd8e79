//! Single sign-on in the browser (contract §5): which ways there are, and how one begins.
//!
//! What a person sees is a page, errors included. *Invariants*: a sign-in begins only as a page that
//! the browser shows, never as a picture or a frame within another's; it begins at the public address,
//! where its cookie will be when the person comes back; and it leads back to a path of this server.

use super::auth::session_problem;
use super::{sso_page, sso_return};
use crate::http::call::Call;
use crate::http::cookie::{self, SameSite};
use crate::http::dispatch::count_refused;
use crate::http::guard;
use crate::http::openapi::schema;
use crate::http::problem::Problem;
use crate::http::reply::{self, Reply};
use crate::http::request::Request;
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::oidc::OidcError;
use crate::identity::saml;
use crate::identity::sso::flow::{FLOW_MS, Flow, FlowWay, Flows, local_path};
use crate::identity::sso::provider::{Provider, StoredProvider};
use crate::identity::sso::site::{Kind, start_path};
use crate::identity::sso::{ProviderError, SignInError};
use crate::model::problem::excerpt;
use crate::tenancy::id::TenantId;
use crate::tenancy::tenant::Tenant;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use storage::row::TimeMs;

/// What a browser is asked to come back with, where it began elsewhere: it does so once.
const MOVED: &str = "moved";

const OIDC_START: &str = "/api/v1/auth/sso/{tenant}/{provider}/start";
pub(super) const OIDC_CALLBACK: &str = "/api/v1/auth/sso/{tenant}/{provider}/callback";
const SAML_START: &str = "/api/v1/auth/saml/{tenant}/{provider}/start";
pub(super) const SAML_ACS: &str = "/api/v1/auth/saml/{tenant}/{provider}/acs";

/// Statuses of the pages that say what failed.
const FAILURES: [u16; 10] = [400, 403, 404, 408, 409, 429, 500, 502, 503, 507];

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/auth/sso",
        access: Access::Public,
        handler: handler!(ways),
        remembers: false,
        summary: "The ways of single sign-on of a tenant, for the sign-in page",
        describe: |operation| {
            let way = schema::object(json!({
                "id": schema::text(), "name": schema::text(),
                "kind": { "enum": ["oidc", "saml"] },
                "preset": schema::nullable(schema::text()),
                "start": { "type": "string", "description": "The path at which one begins" },
            }));
            let mut ways = schema::page(way);
            ways["properties"]["tenant"] =
                json!({ "type": "string", "description": "Whose, where `tenant` is absent" });
            operation
                .param(
                    "tenant",
                    schema::text(),
                    "Its name; where the host says it, the same or absent",
                )
                .param("fallback", schema::text(), "The name where neither says one")
                .answer(200, "The ways; none where there is no such tenant", ways)
                .refuses(&[403, 422])
        },
    },
    Route {
        method: Method::GET,
        path: OIDC_START,
        access: Access::Public,
        handler: handler!(start_oidc),
        remembers: false,
        summary: "Begins to sign in with an OpenID provider: a page to go to",
        describe: |operation| {
            operation
                .param("return_to", schema::text(), "The path of the page to come back to")
                .nothing(303, "The provider's page, or the same at the server's public address")
                .failure_pages(&FAILURES)
        },
    },
    Route {
        method: Method::GET,
        path: OIDC_CALLBACK,
        access: Access::Public,
        handler: handler!(sso_return::callback),
        remembers: false,
        summary: "Where an OpenID provider sends people back to",
        describe: |operation| {
            operation
                .param("state", schema::text(), "Which sign-in it is")
                .param("code", schema::text(), "What the provider vouches with")
                .param("iss", schema::text(), "Which provider it is (RFC 9207)")
                .param("error", schema::text(), "Why the provider does not vouch")
                .nothing(303, "Signed in: the page, with its cookie")
                .failure_pages(&FAILURES)
        },
    },
    Route {
        method: Method::GET,
        path: SAML_START,
        access: Access::Public,
        handler: handler!(start_saml),
        remembers: false,
        summary: "Begins to sign in with a SAML provider: a page to go to",
        describe: |operation| {
            operation
                .param("return_to", schema::text(), "The path of the page to come back to")
                .nothing(303, "The provider's page, or the same at the server's public address")
                .failure_pages(&FAILURES)
        },
    },
    Route {
        method: Method::POST,
        path: SAML_ACS,
        access: Access::Public,
        handler: handler!(sso_return::acs),
        remembers: false,
        summary: "Where a SAML provider has assertions posted to",
        describe: |operation| {
            let form = json!({
                "type": "object",
                "properties": { "SAMLResponse": schema::text(), "RelayState": schema::text() },
            });
            operation
                .body(&[sso_return::FORM], form)
                .nothing(303, "Signed in: the page, with its cookie")
                .failure_pages(&FAILURES)
                .failure_pages(&[413, 415])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/auth/saml/{tenant}/{provider}/metadata",
        access: Access::Public,
        handler: handler!(metadata),
        remembers: false,
        summary: "This service provider, described to a SAML provider",
        describe: |operation| operation.file(&[METADATA_XML], "Metadata").refuses(&[403, 404]),
    },
];

const METADATA_XML: &str = "application/samlmetadata+xml";

/// A provider that was asked for by the address, and its tenant.
pub(super) struct Asked {
    pub(super) tenant: Arc<Tenant>,
    pub(super) known: Arc<StoredProvider>,
}

impl Asked {
    /// The provider that the address of `call` names, which is of `kind`.
    pub(super) async fn of(call: &Call, kind: Kind) -> Result<Self, Problem> {
        let (server, slug) = (Arc::clone(&call.server), call.param("tenant"));
        if guard::tenant_by_name(&server, &call.request)?.is_some_and(|named| named != slug) {
            return Err(guard::mismatch());
        }
        let tenant = server.tenancy.named(slug);
        let (tenant_id, id) = (id_of(tenant.as_deref()), call.param("provider").to_owned());
        let find = move || server.identity.sso_provider(&tenant_id, &id);
        let known = call.on_disk(find).await?.map_err(provider_problem)?;
        match tenant {
            Some(tenant) if known.provider.kind() == kind => {
                Ok(Self { tenant, known: Arc::new(known) })
            }
            _ => Err(unknown_provider()),
        }
    }

    /// How the SAML provider is spoken to.
    pub(super) fn saml(&self, call: &Call) -> Result<saml::Settings, Problem> {
        let settings = self.known.provider.saml(&call.server.site, &self.tenant.slug);
        settings.ok_or_else(unknown_provider)
    }
}

/// The tenant's id. One that is not there has an id for which as much is looked for and nothing found,
/// so that it takes as long as one without providers.
fn id_of(tenant: Option<&Tenant>) -> TenantId {
    tenant.map_or_else(TenantId::random, |tenant| tenant.id.clone())
}

fn unknown_provider() -> Problem {
    let detail = "there is no such provider of single sign-on";
    Problem::new(StatusCode::NOT_FOUND, "sso_provider_not_found", detail)
}

async fn ways(call: Call) -> Answer {
    let (mut asked_for, mut fallback) = (None, None);
    for (name, value) in call.request.params()? {
        match name.as_str() {
            "tenant" => asked_for = Some(value),
            "fallback" => fallback = Some(value),
            name => return Err(Problem::unknown_param(name)),
        }
    }
    let is_asked_whose = asked_for.is_none();
    let by_host = guard::tenant_by_name(&call.server, &call.request)?;
    let slug = match (asked_for, by_host) {
        (Some(slug), Some(named)) if slug != named => return Err(guard::mismatch()),
        (Some(slug), _) => slug,
        (None, Some(named)) => named.to_owned(),
        (None, None) => {
            fallback.ok_or_else(|| Problem::invalid("/tenant", "required", "must be there"))?
        }
    };
    let tenant = call.server.tenancy.named(&slug);
    let (server, id) = (Arc::clone(&call.server), id_of(tenant.as_deref()));
    let providers = call.on_disk(move || server.identity.sso_providers(&id));
    let providers = providers.await?.map_err(provider_problem)?;
    let found = tenant.iter().flat_map(|tenant| providers.iter().map(|found| way(found, tenant)));
    let items: Vec<Value> = found.collect();
    let mut answer = json!({ "items": items, "next_cursor": null });
    if is_asked_whose {
        answer["tenant"] = slug.into();
    }
    Ok(reply::json(StatusCode::OK, &answer))
}

fn way(provider: &Provider, tenant: &Tenant) -> Value {
    let kind = provider.kind();
    json!({
        "id": provider.id,
        "name": provider.name,
        "kind": kind.as_str(),
        "preset": provider.preset,
        "start": start_path(kind, &tenant.slug, &provider.id),
    })
}

async fn metadata(call: Call) -> Answer {
    let asked = Asked::of(&call, Kind::Saml).await?;
    let xml = saml::metadata(&asked.saml(&call)?);
    Ok(reply::tagged(call.request.headers(), METADATA_XML, xml.into_bytes()))
}

async fn start_oidc(call: Call) -> Answer {
    shown(&call, OIDC_START, start(&call, Kind::Oidc).await)
}

async fn start_saml(call: Call) -> Answer {
    shown(&call, SAML_START, start(&call, Kind::Saml).await)
}

/// What a person sees of it at `path`: what failed is a page, and a line in the log; a refusal is counted
/// for auditors as any other is.
pub(super) fn shown(call: &Call, path: &str, outcome: Result<Reply, Problem>) -> Answer {
    Ok(outcome.unwrap_or_else(|problem| {
        log(call, &problem);
        let Request { arrived, id, method, .. } = &call.request;
        count_refused(&call.server, None, arrived, (method, path), id, &problem);
        sso_page::page(&problem)
    }))
}

/// Tells the administrator why somebody is not let in. What anybody can cause who knows the address is
/// told only where more is wanted.
fn log(call: &Call, problem: &Problem) {
    let status = problem.status();
    let is_idle = matches!(problem.code(), "not_a_navigation" | "tenant_mismatch");
    let is_telling = status == StatusCode::FORBIDDEN
        || status == StatusCode::CONFLICT
        || status.is_server_error();
    let (id, code, detail) = (&*call.request.id, problem.code(), problem.detail());
    let [tenant, provider] = ["tenant", "provider"].map(|name| excerpt(call.param(name)));
    match is_telling && !is_idle {
        true => {
            tracing::warn!(request_id = id, tenant, provider, code, detail, "a sign-on failed");
        }
        false => {
            tracing::info!(request_id = id, tenant, provider, code, detail, "a sign-on failed");
        }
    }
}

async fn start(call: &Call, kind: Kind) -> Result<Reply, Problem> {
    check_navigation(&call.request)?;
    let wanted = Wanted::of(&call.request)?;
    let asked = Asked::of(call, kind).await?;
    if !wanted.moved && !is_at_public_address(call) {
        return elsewhere(call, &asked, kind, &wanted);
    }
    let (provider, now_ms) = (&asked.known.provider, call.server.clock.now_ms());
    let (flow, address) = match kind {
        Kind::Oidc => {
            let settings = oidc_settings(call, &asked)?;
            let started = call.server.oidc.start(&settings, &call.server.clock).await;
            let started = started.map_err(oidc_problem)?;
            let address = started.url.clone();
            (Flow::begin(provider, FlowWay::Oidc(started), wanted.return_to, now_ms), address)
        }
        Kind::Saml => {
            let failed = |error: saml::SamlError| Problem::internal(&error);
            let request_id = saml::new_request_id().map_err(failed)?;
            let way = FlowWay::Saml(request_id.clone());
            let flow = Flow::begin(provider, way, wanted.return_to, now_ms);
            let (settings, handle) = (asked.saml(call)?, Some(flow.handle()));
            let address = saml::authn_request(&settings, &request_id, handle, now_ms);
            let address = address.map_err(failed)?;
            (flow, address)
        }
    };
    let mut flows = open_flows(call, kind, now_ms);
    flows.push(flow);
    let mut reply = see_other(&address)?;
    keep_flows(call, &mut reply, kind, &mut flows)?;
    Ok(reply)
}

/// How the OpenID provider is spoken to.
pub(super) fn oidc_settings(
    call: &Call,
    asked: &Asked,
) -> Result<crate::identity::oidc::Settings, Problem> {
    let (provider, server) = (&asked.known.provider, &call.server);
    let master = server.identity.master_key();
    let settings = provider.oidc(&server.site, &asked.tenant.slug, master);
    settings.map_err(provider_problem)?.ok_or_else(unknown_provider)
}

/// What somebody who begins has asked for.
struct Wanted {
    return_to: String,
    moved: bool,
}

impl Wanted {
    fn of(request: &Request) -> Result<Self, Problem> {
        let mut wanted = Self { return_to: "/".to_owned(), moved: false };
        for (name, value) in request.params()? {
            match name.as_str() {
                "return_to" => {
                    let local = local_path(&value).ok_or_else(|| {
                        Problem::bad_request(
                            "invalid_return",
                            "`return_to` is no path of this server",
                        )
                    })?;
                    wanted.return_to = local.to_owned();
                }
                MOVED => wanted.moved = true,
                _ => {
                    let detail = "there is a parameter that means nothing here";
                    return Err(Problem::bad_request("invalid_parameter", detail));
                }
            }
        }
        Ok(wanted)
    }
}

/// Whether the request was sent to where the person will be sent back to: only there is the cookie.
fn is_at_public_address(call: &Call) -> bool {
    let authority = call.request.arrived.authority.as_ref().map(|a| a.as_str());
    let authority = authority.map(|a| a.strip_suffix(":443").unwrap_or(a));
    authority == Some(&*call.server.site.authority())
}

/// The same at the public address.
fn elsewhere(call: &Call, asked: &Asked, kind: Kind, wanted: &Wanted) -> Result<Reply, Problem> {
    let path = start_path(kind, &asked.tenant.slug, &asked.known.provider.id);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("return_to", &wanted.return_to).append_pair(MOVED, "1");
    see_other(&format!("{}{path}?{}", call.server.site.url(), query.finish()))
}

/// Fails where a browser says that it is not a page that it shows. Older ones do not say.
pub(super) fn check_navigation(request: &Request) -> Result<(), Problem> {
    match request.text_header("sec-fetch-dest")? {
        None | Some("document") => Ok(()),
        Some(_) => {
            let detail = "this is a page to go to, not a part of another page";
            Err(Problem::forbidden("not_a_navigation", detail))
        }
    }
}

pub(super) fn see_other(address: &str) -> Result<Reply, Problem> {
    reply::see_other(address).ok_or_else(|| Problem::internal(&"an address cannot be told"))
}

fn cookie_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Oidc => "__Host-emx_oidc",
        Kind::Saml => "__Host-emx_saml",
    }
}

/// The sign-ins that were begun in this browser.
pub(super) fn open_flows(call: &Call, kind: Kind, now_ms: TimeMs) -> Flows {
    let cookie = cookie::value_of(&call.request, cookie_name(kind)).unwrap_or_default();
    Flows::open(call.server.identity.master_key(), kind, cookie, now_ms)
}

/// Has the browser keep `flows`, or forget that there were any.
pub(super) fn keep_flows(
    call: &Call,
    reply: &mut Reply,
    kind: Kind,
    flows: &mut Flows,
) -> Result<(), Problem> {
    // A SAML provider has the browser post from its own page.
    let same_site = match kind {
        Kind::Oidc => SameSite::Lax,
        Kind::Saml => SameSite::None,
    };
    if flows.is_empty() {
        cookie::set(reply, cookie_name(kind), "", same_site, 0);
        return Ok(());
    }
    let sealed = flows.seal(call.server.identity.master_key(), kind);
    let sealed = sealed.map_err(|error| Problem::internal(&error))?;
    cookie::set(reply, cookie_name(kind), &sealed, same_site, FLOW_MS / 1000);
    Ok(())
}

pub(super) fn provider_problem(error: ProviderError) -> Problem {
    let (code, detail) = (error.code(), error.to_string());
    match error {
        ProviderError::Invalid(faults) => {
            let refused = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
            faults
                .into_iter()
                .fold(refused, |refused, fault| refused.at(fault.pointer, fault.code, fault.detail))
        }
        ProviderError::NotFound { .. } => unknown_provider(),
        ProviderError::Role { .. } | ProviderError::BoundKey => Problem::forbidden(code, detail),
        ProviderError::NameTaken { .. }
        | ProviderError::TooMany
        | ProviderError::Demanded { .. }
        | ProviderError::NotSaml { .. } => Problem::new(StatusCode::CONFLICT, code, detail),
        ProviderError::Stale => crate::http::precondition::failed(code, detail),
        ProviderError::Session(session) => session_problem(session),
        ProviderError::Secret(secret) => Problem::internal(&secret),
        ProviderError::Store(store) => Problem::of_store(&store),
    }
}

pub(super) fn oidc_problem(error: OidcError) -> Problem {
    use OidcError as E;
    match error {
        E::Settings { .. }
        | E::Outgoing { .. }
        | E::Status { .. }
        | E::Answer { .. }
        | E::Discovery { .. } => {
            Problem::new(StatusCode::BAD_GATEWAY, error.code(), error.to_string())
        }
        E::Randomness => Problem::internal(&error),
        error => Problem::forbidden(error.code(), error.to_string()),
    }
}

pub(super) fn sign_in_problem(error: SignInError) -> Problem {
    let (code, detail) = (error.code(), error.to_string());
    match error {
        SignInError::UnknownFlow => Problem::bad_request(code, detail),
        SignInError::AccountExists { .. } | SignInError::TooManyUsers => {
            Problem::new(StatusCode::CONFLICT, code, detail)
        }
        SignInError::TooManyAttempts(refused) => Problem::limited(refused),
        SignInError::Session(session) => session_problem(session),
        SignInError::Signing(signing) => Problem::internal(&signing),
        SignInError::Secret(secret) => Problem::internal(&secret),
        SignInError::NoRandomness(randomness) => Problem::internal(&randomness),
        SignInError::Store(store) => Problem::of_store(&store),
        _ => Problem::forbidden(code, detail),
    }
}
