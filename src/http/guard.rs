//! Who is asking: tokens and keys to a principal, and the tenant that a request names to the one it
//! may enter.

use super::call::Caller;
use super::problem::Problem;
use super::request::Request;
use super::route::Access;
use super::server::Server;
use crate::identity::api_key::is_api_key;
use crate::tenancy::registry::TenancyError;
use crate::tenancy::scope::Principal;
use storage::row::TimeMs;

/// That somebody is not let in, and who it is where that is known.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) problem: Problem,
    pub(super) known: Option<Box<Principal>>,
}

impl Denied {
    /// That `known` is not let in.
    pub(super) fn known(problem: Problem, known: &Principal) -> Self {
        Self { problem, known: Some(Box::new(known.clone())) }
    }
}

/// It is not known who is not let in.
impl From<Problem> for Denied {
    fn from(problem: Problem) -> Self {
        Self { problem, known: None }
    }
}

/// Whoever asks, if the route lets it in.
pub(super) fn admit(
    server: &Server,
    request: &Request,
    access: Access,
    now_ms: TimeMs,
) -> Result<Option<Caller>, Denied> {
    match access {
        Access::Public => return Ok(None),
        // Nobody else learns that there is such an address.
        Access::Local if !request.is_local() => {
            return Err(Problem::not_found("this address").into());
        }
        _ => {}
    }
    let principal = authenticate(server, request, now_ms)?;
    if access != Access::Leaving {
        demand_home(server, &principal).map_err(|problem| Denied::known(problem, &principal))?;
    }
    let tenant = named_tenant(server, request, &principal);
    let tenant = tenant.map_err(|problem| Denied::known(problem, &principal))?;
    if let Access::With(permission) = access
        && !principal.permits(permission)
    {
        let detail = format!("this needs the permission `{permission}`, which you do not have");
        return Err(Denied::known(Problem::forbidden("forbidden", detail), &principal));
    }
    Ok(Some(Caller { principal, tenant }))
}

/// Fails while nobody enters the tenant where `principal` belongs, whatever the principal wants and
/// wherever: whoever administers the platform is kept out with its tenant.
pub(super) fn demand_home(server: &Server, principal: &Principal) -> Result<(), Problem> {
    let Some(home) = principal.tenant_id() else { return Ok(()) };
    if server.tenancy.with_id(home).is_some() {
        return Ok(());
    }
    Err(match server.tenancy.is_suspended(home) {
        true => TenancyError::Suspended.into(),
        false => TenancyError::NotFound { slug: home.as_str().into() }.into(),
    })
}

/// The principal that a request's credentials stand for.
pub(super) fn authenticate(
    server: &Server,
    request: &Request,
    now_ms: TimeMs,
) -> Result<Principal, Problem> {
    if request.is_local() {
        return Ok(Principal::LocalOperator);
    }
    let bearer = match request.text_header("authorization")? {
        None => None,
        Some(value) => Some(bearer_of(value)?),
    };
    let key = request.text_header("x-api-key")?.map(str::trim);
    match (bearer, key) {
        (None, None) => Err(Problem::unauthorized("unauthorized", "sign in, or send an API key")),
        (Some(_), Some(_)) => {
            let detail = "send either `Authorization` or `X-Api-Key`, not both";
            Err(Problem::bad_request("ambiguous_credentials", detail))
        }
        (Some(text), None) | (None, Some(text)) if is_api_key(text) => {
            Ok(server.identity.authenticate_key(text, request.client(), now_ms)?)
        }
        (Some(token), None) => {
            Ok(server.identity.authenticate_token(token, request.client(), now_ms)?)
        }
        (None, Some(_)) => {
            let detail = "`X-Api-Key` takes an API key, which begins with `emx_`";
            Err(Problem::unauthorized("invalid_api_key", detail))
        }
    }
}

/// Until when a request's credentials last, if they say so: an access token does. Whether a key still
/// stands is asked of the identity.
pub(super) fn until_ms(
    server: &Server,
    request: &Request,
    now_ms: TimeMs,
) -> Result<Option<TimeMs>, Problem> {
    if request.is_local() {
        return Ok(None);
    }
    let Some(value) = request.text_header("authorization")? else { return Ok(None) };
    let text = bearer_of(value)?;
    if is_api_key(text) {
        return Ok(None);
    }
    let access = server.identity.verify(text, now_ms)?;
    Ok(Some(access.until_ms))
}

fn bearer_of(value: &str) -> Result<&str, Problem> {
    let (scheme, token) = value.trim().split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        let detail = "send `Authorization: Bearer`, a space, and a token or an API key";
        return Err(Problem::unauthorized("invalid_authorization", detail));
    }
    Ok(token.trim())
}

/// The tenant named by `X-Tenant` and by the subdomain, where it is not the principal's own.
/// Everybody but an administrator of the platform can name only that.
pub(super) fn named_tenant(
    server: &Server,
    request: &Request,
    principal: &Principal,
) -> Result<Option<Box<str>>, Problem> {
    let Some(named) = tenant_by_name(server, request)? else { return Ok(None) };
    let own = principal.tenant_id();
    let entered = own.and_then(|id| server.tenancy.with_id(id));
    if entered.is_some_and(|own| own.slug.as_str() == named) {
        return Ok(None);
    }
    match principal.is_platform() {
        true => Ok(Some(named.into())),
        false if own.is_some_and(|id| server.tenancy.is_suspended(id)) => {
            Err(TenancyError::Suspended.into())
        }
        false => Err(mismatch()),
    }
}

/// The tenant that a request names by `X-Tenant` or by the subdomain, whoever asks.
pub(super) fn tenant_by_name<'r>(
    server: &Server,
    request: &'r Request,
) -> Result<Option<&'r str>, Problem> {
    let header = request.text_header("x-tenant")?.map(str::trim);
    let subdomain = request.arrived.host().and_then(|host| server.tenant_of_host(host));
    match (header, subdomain) {
        (Some(header), Some(subdomain)) if header != subdomain => Err(mismatch()),
        (header, subdomain) => Ok(header.or(subdomain)),
    }
}

/// Fails where the body of a request names the tenant `named`, and its header or host another.
pub(super) fn demand_same_tenant(
    server: &Server,
    request: &Request,
    named: &str,
) -> Result<(), Problem> {
    match tenant_by_name(server, request)? {
        Some(other) if other != named => Err(mismatch()),
        _ => Ok(()),
    }
}

pub(super) fn mismatch() -> Problem {
    let detail =
        "the tenants that are named by token, key, header, host and body are not all the same";
    Problem::forbidden("tenant_mismatch", detail)
}
