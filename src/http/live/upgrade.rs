//! The way in: the handshake, and the tickets for those who cannot send a header with it.

use super::super::call::{Call, Caller, first_told, hold_back};
use super::super::guard::{self, Denied};
use super::super::listener::Link;
use super::super::origin;
use super::super::problem::Problem;
use super::super::reply::{self, Reply};
use super::super::request::Request;
use super::super::route::{Access, Answer, Route, handler};
use super::super::server::Server;
use super::channel::Means;
use super::desk::{Desk, Witness};
use super::hub::{TooManyWatchers, Watcher};
use super::protocol::PROTOCOL;
use super::session::{Pass, Session};
use super::tickets::{Admitted, TICKET_S, TicketError};
use crate::audit;
use crate::http::openapi;
use crate::limits::InFlight;
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::permission::Permission;
use crate::tenancy::scope::{Principal, TenantScope};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::row::TimeMs;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// How long the connection may take to become a WebSocket once that is agreed on.
const UPGRADE_MAX: Duration = Duration::from_secs(10);

/// What auditors are told that somebody does here.
const WATCH: &str = "executions.watch";

/// Bytes of a handshake's key (RFC 6455 §4.1).
const KEY_BYTES: usize = 16;

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/ws",
        access: Access::Public,
        handler: handler!(not_an_upgrade),
        remembers: false,
        summary: "Watch what happens, over a WebSocket (`emx.v1`; needs `Authorization` or a ticket)",
        describe: |operation| {
            operation
                .param("ticket", openapi::schema::text(), "Of `POST /api/v1/ws/ticket`, used once")
                .nothing(101, "The connection is a WebSocket from now on")
                .refuses(&[401, 403, 426, 429])
        },
    },
    Route {
        method: Method::POST,
        path: "/api/v1/ws/ticket",
        access: Access::With(Permission::Live),
        handler: handler!(ticket),
        remembers: false,
        summary: "A ticket with which a browser opens one WebSocket",
        describe: |operation| {
            let ticket = json!({
                "ticket": { "type": "string", "minLength": 43, "maxLength": 43 },
                "expires_in": { "const": TICKET_S },
            });
            operation
                .answer(
                    200,
                    "The ticket, and for how many seconds it is good",
                    openapi::schema::object(ticket),
                )
                .refuses(&[429])
        },
    },
];

/// Answers a plain request for what is a WebSocket.
async fn not_an_upgrade(_: Call) -> Answer {
    Err(Problem::upgrade_required())
}

async fn ticket(call: Call) -> Answer {
    let scope = call.scope().await?;
    drop(scope); // there is such a tenant, and the caller may enter it
    let Some(caller) = call.caller.clone() else {
        return Err(Problem::unauthorized("unauthorized", "sign in, or send an API key"));
    };
    let server = &call.server;
    let admitted = Admitted {
        caller,
        until_ms: guard::until_ms(server, &call.request, server.clock.now_ms())?,
        mark: server.identity.mark_of(call.request.client()),
    };
    let ticket = server.live.tickets.issue(admitted, server.clock.instant());
    let ticket = ticket.map_err(|error| match error {
        TicketError::TooMany => Problem::too_many("too_many_tickets", error.to_string(), TICKET_S),
        TicketError::NoRandomness => Problem::unavailable("no_randomness", error.to_string()),
    })?;
    // What was revoked between the guard and here was revoked before there was a ticket to take back.
    guard::authenticate(server, &call.request, server.clock.now_ms())?;
    Ok(reply::json(StatusCode::OK, &json!({ "ticket": ticket, "expires_in": TICKET_S })))
}

/// Makes a WebSocket of the connection that `request` came on.
pub(in crate::http) async fn upgrade(
    server: &Arc<Server>,
    request: Request,
    on_upgrade: Option<OnUpgrade>,
    started: Instant,
) -> Result<Reply, Denied> {
    let accept = accept_key(&request)?;
    let protocol = chosen_protocol(&request)?;
    let on_upgrade = on_upgrade.ok_or_else(Problem::upgrade_required)?;
    let admitted = admitted(server, &request)?;
    let known = admitted.caller.principal.clone();
    let begun = watch(server, request, on_upgrade, admitted, started).await;
    begun.map_err(|problem| Denied::known(problem, &known))?;
    Ok(switching(accept, protocol))
}

/// Has whoever was admitted watch over the connection that `on_upgrade` gives.
async fn watch(
    server: &Arc<Server>,
    request: Request,
    on_upgrade: OnUpgrade,
    admitted: Admitted,
    started: Instant,
) -> Result<(), Problem> {
    let link = request.arrived.link.clone();
    let _in_flight = begin(server, &admitted.caller.principal, started).await?;
    let means = Means {
        clock: server.clock.clone(),
        threads: server.threads.clone(),
        tasks: server.watching.clone(),
        awaited: server.awaited.clone(),
    };
    let (caller, until_ms) = (admitted.caller, admitted.until_ms);
    let call =
        Call { server: Arc::clone(server), request, caller: Some(caller), params: Vec::new() };
    let age = server.tenancy.sight_age();
    let scope = call.scope().await?;
    call.tell_of_reading(&scope, WATCH, String::new).await?;
    let meter = call.meter(&scope);
    let watcher = server.live.watch(&scope, &means, meter.watchers_max());
    let watcher = watcher.map_err(|TooManyWatchers| Problem::over(&meter.too_many_watchers()))?;
    // From here on a revocation closes it. One that came before is seen now.
    let pass = pass(server, &scope, until_ms);
    if !(pass.stands)() {
        return Err(Problem::unauthorized("session_ended", "sign in again"));
    }
    // So does a change of what may be seen.
    if server.tenancy.sight_age() != age && !sees_the_same(server, &scope).await? {
        let detail = "what you may see has just changed: try again";
        return Err(Problem::unavailable("sight_changed", detail));
    }
    let witness = witness(server, call.by()?, scope.id().clone());
    serve(server, on_upgrade, link, Watching { watcher, pass, scope, witness, means });
    Ok(())
}

async fn sees_the_same(server: &Arc<Server>, scope: &TenantScope) -> Result<bool, Problem> {
    let (tenancy, scope) = (Arc::clone(&server.tenancy), scope.clone());
    Ok(server.threads.run(move || tenancy.sees_the_same(&scope)).await?)
}

/// Counts the request, of whoever belongs to a tenant.
async fn begin(
    server: &Server,
    principal: &Principal,
    started: Instant,
) -> Result<Option<InFlight>, Problem> {
    let Some(id) = principal.tenant_id() else { return Ok(None) };
    let meter = server.limits.meter(id);
    match meter.begin(started) {
        Ok(in_flight) => Ok(Some(in_flight)),
        Err(over) => {
            hold_back(server, &meter, &over).await;
            Err(Problem::over(&over))
        }
    }
}

struct Watching {
    watcher: Watcher,
    pass: Pass,
    scope: TenantScope,
    witness: Witness,
    means: Means,
}

fn serve(server: &Arc<Server>, on_upgrade: OnUpgrade, link: Link, watching: Watching) {
    let tasks = server.watching.clone();
    server.watching.spawn(async move {
        let Watching { watcher, pass, scope, witness, means } = watching;
        let policy = Arc::clone(scope.policy().conditions());
        drop(scope); // the keyspace is the channel's to hold
        let upgraded = tokio::time::timeout(UPGRADE_MAX, on_upgrade).await;
        if let Ok(Ok(upgraded)) = upgraded {
            let desk = Desk::new(watcher, policy, witness, means);
            let session = Session::new(TokioIo::new(upgraded), desk, pass).await;
            session.run(&tasks).await;
        }
        drop(link);
    });
}

/// Tells auditors through which filters `by` watches, where the tenant with this id wants that. One
/// subscription after the other is told, or found to be told already, so that nothing is watched before.
fn witness(server: &Arc<Server>, by: By, id: TenantId) -> Witness {
    let server = Arc::clone(server);
    Box::new(move |filters| {
        if !server.tenancy.with_id(&id).is_some_and(|tenant| tenant.audit_queries) {
            return None;
        }
        let (server, by, id, asked) =
            (Arc::clone(&server), by.clone(), id.clone(), audit::excerpt(filters));
        Some(Box::pin(async move {
            let meter = server.limits.meter(&id);
            let (tenancy, now_ms) = (Arc::clone(&server.tenancy), server.clock.now_ms());
            let tell = move || {
                let first = first_told(&tenancy, &by, &id, WATCH, asked);
                if first.is_empty() {
                    return Ok(());
                }
                tenancy.log().tell_now_or_later(first, now_ms)
            };
            let told = server.threads.run_within(&meter.disk_places, tell).await?;
            told.map_err(|error| Problem::of_store(&error))
        }))
    })
}

fn switching(accept: HeaderValue, protocol: Option<HeaderValue>) -> Reply {
    let mut reply = Reply::default();
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    reply
}

/// What proves to the client that its handshake was understood.
fn accept_key(request: &Request) -> Result<HeaderValue, Problem> {
    let key = request.text_header(SEC_WEBSOCKET_KEY.as_str())?.unwrap_or_default();
    let bytes = STANDARD.decode(key).map_or(0, |bytes| bytes.len());
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    match accept {
        Ok(accept) if bytes == KEY_BYTES => Ok(accept),
        _ => {
            let detail = "`Sec-WebSocket-Key` must be 16 bytes in Base64";
            Err(Problem::bad_request("invalid_header", detail))
        }
    }
}

/// The protocol that is agreed on: ours where it is offered, none where none is.
fn chosen_protocol(request: &Request) -> Result<Option<HeaderValue>, Problem> {
    let mut offered = false;
    for value in request.headers().get_all(SEC_WEBSOCKET_PROTOCOL) {
        for protocol in value.as_bytes().split(|&b| b == b',').map(<[u8]>::trim_ascii) {
            if protocol == PROTOCOL.as_bytes() {
                return Ok(Some(HeaderValue::from_static(PROTOCOL)));
            }
            offered = true;
        }
    }
    if offered {
        let detail = format!("the protocol here is `{PROTOCOL}`: offer it, or none");
        return Err(Problem::bad_request("unsupported_protocol", detail));
    }
    Ok(None)
}

/// Who it is, by a ticket or by a header, from where it may be.
fn admitted(server: &Server, request: &Request) -> Result<Admitted, Denied> {
    let ticket = ticket_of(request)?;
    let by_cookie = request.headers().contains_key(hyper::header::COOKIE);
    origin::check(request, &server.origins, ticket.is_none() && !by_cookie)?;
    let now_ms = server.clock.now_ms();
    let Some(ticket) = ticket else {
        let caller = guard::admit(server, request, Access::With(Permission::Live), now_ms)?;
        let nobody = || Problem::unauthorized("unauthorized", "sign in, or send an API key");
        let caller = caller.ok_or_else(nobody)?;
        let until_ms = guard::until_ms(server, request, now_ms)?;
        return Ok(Admitted { caller, until_ms, mark: None });
    };
    if request.headers().contains_key("authorization")
        || request.headers().contains_key("x-api-key")
    {
        let detail = "send either a ticket or a header, not both";
        return Err(Problem::bad_request("ambiguous_credentials", detail).into());
    }
    let admitted =
        server.live.tickets.redeem(&ticket, server.clock.instant()).ok_or_else(|| {
            Problem::unauthorized(
                "invalid_ticket",
                "the ticket is unknown, used or too old: get another",
            )
        })?;
    fits(server, request, &admitted)
        .map_err(|problem| Denied::known(problem, &admitted.caller.principal))?;
    Ok(admitted)
}

/// The ticket in the address, and nothing else.
fn ticket_of(request: &Request) -> Result<Option<String>, Problem> {
    let mut ticket = None;
    for (name, value) in request.params()? {
        match (name.as_str(), &ticket) {
            ("ticket", None) => ticket = Some(value),
            ("ticket", Some(_)) => {
                return Err(Problem::invalid("/ticket", "duplicate_key", "is given twice"));
            }
            _ => return Err(Problem::unknown_param(&name)),
        }
    }
    Ok(ticket)
}

/// Fails unless the ticket was made for this client, and for the tenant that the request names.
fn fits(server: &Server, request: &Request, admitted: &Admitted) -> Result<(), Problem> {
    let Caller { principal, tenant } = &admitted.caller;
    let is_user = matches!(principal, Principal::User { .. });
    let is_another = is_user && admitted.mark != server.identity.mark_of(request.client());
    if is_another || !server.identity.api_keys().may_come_as(principal, request.client()) {
        let detail = "the ticket belongs to another client: get another";
        return Err(Problem::unauthorized("client_changed", detail));
    }
    guard::demand_home(server, principal)?;
    // Where the request names a tenant, it is the ticket's.
    let named = guard::named_tenant(server, request, principal)?;
    if named.is_some() && named != *tenant {
        return Err(guard::mismatch());
    }
    Ok(())
}

/// For how long the connection may go on.
fn pass(server: &Arc<Server>, scope: &TenantScope, until_ms: Option<TimeMs>) -> Pass {
    let (server, id) = (Arc::clone(server), scope.id().clone());
    let principal = scope.principal().clone();
    let stands = move || server.still_lets_in(&principal, Some(&id));
    Pass { until_ms, stands: Box::new(stands) }
}
