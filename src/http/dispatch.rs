//! From a request to its answer: warp takes it apart, the route table says who answers, and every
//! answer leaves with the same headers.

use super::call::{Call, Caller, hold_back};
use super::cors::Site;
use super::guard::{self, Denied};
use super::listener::HttpService;
use super::live;
use super::page;
use super::problem::Problem;
use super::reply::Reply;
use super::request::{Arrived, Request, TARGET_BYTES_MAX, is_well_encoded};
use super::route::{Access, Answer, Found, NotFound, Route, Routes};
use super::server::Server;
use crate::audit::{ANONYMOUS, Event, Outcome, PLATFORM};
use crate::limits::{InFlight, Meter, Over};
use crate::tenancy::id::TenantId;
use crate::tenancy::scope::Principal;
use bytes::Buf;
use futures_util::future::Either;
use futures_util::{FutureExt, Stream};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, StatusCode};
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use storage::row::TimeMs;
use tower_service::Service;
use warp::path::FullPath;
use warp::ws::Ws;
use warp::{Filter, Rejection};

/// Sending the same again: see `idempotency`.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header with which a request and its answer are found again in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is taken from a caller, bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Sent with every answer. Whatever an address gives, no page may be made of it or around it, and no
/// browser may guess what it is.
const ALWAYS: [(HeaderName, HeaderValue); 3] = [
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Of what is no page.
const NO_PAGE: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// What answers requests. warp takes each apart; one that would have its connection be something else
/// goes the longer way, where warp judges the handshake first.
#[derive(Clone, Debug)]
pub(super) struct Dispatch<A, U> {
    ask: A,
    upgrade: U,
}

impl<A, U, B> Service<hyper::Request<Incoming>> for Dispatch<A, U>
where
    A: Service<hyper::Request<Incoming>, Response = hyper::Response<B>, Error = Infallible>,
    U: Service<hyper::Request<Incoming>, Response = hyper::Response<B>, Error = Infallible>,
{
    type Response = hyper::Response<B>;
    type Error = Infallible;
    type Future = Either<A::Future, U::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: hyper::Request<Incoming>) -> Self::Future {
        match request.headers().contains_key(UPGRADE) {
            false => Either::Left(self.ask.call(request)),
            true => Either::Right(self.upgrade.call(request)),
        }
    }
}

/// The service that `server` answers with.
pub(super) fn service(server: &Arc<Server>) -> impl HttpService {
    let routes = Arc::new(Routes::new());
    let watching = Arc::clone(server);
    // The connection is taken over without warp's `Ws`, which has the WebSocket allocate 128 KiB at
    // once: see `live::wire`.
    let watch = warp::path!("api" / "v1" / "ws")
        .and(warp::ext::optional::<OnUpgrade>())
        .and(warp::ws().map(|_: Ws| ()).untuple_one())
        .and(target())
        .and(warp::ext::get::<Arc<Arrived>>())
        .then(move |on_upgrade, target, arrived| {
            let server = Arc::clone(&watching);
            let body = futures_util::stream::empty::<Result<bytes::Bytes, warp::Error>>();
            let request = request_of(&server, target, arrived, body);
            async move { watched(server, request, on_upgrade).await }
        });
    let upgrade = watch.or(ask(server, &routes)).unify().boxed();
    let (ask, upgrade) = (warp::service(ask(server, &routes)), warp::service(upgrade));
    Dispatch { ask, upgrade }
}

/// Takes apart any request and has it answered.
fn ask(
    server: &Arc<Server>,
    routes: &Arc<Routes>,
) -> impl Filter<Extract = (Reply,), Error = Rejection, Future: Send> + Clone + Send + Sync + use<>
{
    let (server, routes) = (Arc::clone(server), Arc::clone(routes));
    target().and(warp::ext::get::<Arc<Arrived>>()).and(warp::body::stream()).then(
        move |target, arrived, body| {
            let (server, routes) = (Arc::clone(&server), Arc::clone(&routes));
            let request = request_of(&server, target, arrived, body);
            async move { answered(server, &routes, request).await }
        },
    )
}

type Target = (Method, FullPath, Option<String>);

fn target() -> impl Filter<Extract = (Target,), Error = Infallible> + Copy {
    let query = warp::query::raw().map(Some).or(warp::any().map(|| None)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .map(|method, path, query| (method, path, query))
}

fn request_of<B: Buf>(
    server: &Server,
    target: Target,
    arrived: Arc<Arrived>,
    body: impl Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
) -> Request {
    let given = arrived.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let given = given.filter(|id| is_sane_id(id));
    let id = given.map_or_else(|| server.measures.next_request_id(), Into::into);
    Request::new(target, arrived, id, body, server.bodies.clone(), &server.tasks)
}

fn is_sane_id(id: &str) -> bool {
    let sane = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(sane)
}

/// Answers a request and counts it.
async fn answered(server: Arc<Server>, routes: &Routes, mut request: Request) -> Reply {
    let started = server.clock.instant();
    server.awaited.comes();
    let (id, method) = (request.id.clone(), request.method.clone());
    let path = request.path.clone();
    let mut site = Site::of(&request, &server.cors_origins);
    let found = match sound(&request) {
        Ok(()) => Ok(routes.find(&request.method, &request.path, request.is_local())),
        Err(problem) => Err(problem),
    };
    if !matches!(found, Ok(Ok(_))) {
        request.skip_body().await;
    }
    let mut of = Of::default();
    let answer = match found {
        Err(problem) => Err(problem),
        Ok(Ok(found)) => {
            of.index = Some(found.index);
            route(&server, request, found, (&id, started), &mut of.meter).await
        }
        Ok(Err(NotFound::Address)) => {
            let page = page::answer(&server, &request);
            if page.is_ok() {
                site = Site::Off; // the server's own has no need, others no use
            }
            page
        }
        Ok(Err(NotFound::Method { allowed })) => {
            let refused = || Problem::method_not_allowed(&allowed);
            site.preflight(&request, &allowed).ok_or_else(refused)
        }
        Ok(Err(NotFound::Encoding)) => {
            let detail = "the address is not percent-encoded UTF-8";
            Err(Problem::bad_request("invalid_path", detail))
        }
    };
    let mut reply = answer.unwrap_or_else(|problem| problem.into_reply(&id));
    site.mark(&mut reply);
    finish(&server, reply, &id, &of, (&method, &path), started)
}

/// Under what an answer is counted.
#[derive(Default)]
struct Of {
    /// The route's place in the table.
    index: Option<usize>,
    /// The tenant's, whose request was let in.
    meter: Option<Arc<Meter>>,
}

/// Fails where a request is not what one server and one proxy would both understand.
fn sound(request: &Request) -> Result<(), Problem> {
    if let Some(fault) = request.arrived.fault {
        return Err(fault.into());
    }
    if request.arrived.authority.is_none() {
        return Err(Problem::bad_request("invalid_host", "the request names no host"));
    }
    let length = request.path.len() + request.query.as_ref().map_or(0, String::len);
    if length > TARGET_BYTES_MAX {
        let detail = format!("the address is over {TARGET_BYTES_MAX} bytes: use POST");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail));
    }
    if !is_well_encoded(&request.path) {
        let detail = "the address is not percent-encoded UTF-8";
        return Err(Problem::bad_request("invalid_path", detail));
    }
    Ok(())
}

/// Decides by what stands in the headers.
fn admit(
    server: &Server,
    request: &Request,
    found: &Found,
    now_ms: TimeMs,
) -> Result<Option<Caller>, Denied> {
    let caller = guard::admit(server, request, found.route.access, now_ms)?;
    if !found.route.remembers && request.headers().contains_key(IDEMPOTENCY_KEY) {
        let detail = "answers to this are not remembered: leave `Idempotency-Key` out";
        return Err(Problem::bad_request("idempotency_not_supported", detail).into());
    }
    Ok(caller)
}

/// Counts a request that begins, of whoever belongs to a tenant. What is for administrators of the platform
/// is not counted: their own tenant must not be able to keep them out.
fn begin(
    server: &Server,
    route: &Route,
    known: Option<&Principal>,
    started: Instant,
) -> Result<Option<InFlight>, (Arc<Meter>, Over)> {
    if matches!(route.access, Access::With(permission) if permission.is_platform()) {
        return Ok(None);
    }
    let Some(id) = known.and_then(Principal::tenant_id) else { return Ok(None) };
    let meter = server.limits.meter(id);
    meter.begin(started).map(Some).map_err(|over| (meter, over))
}

async fn route(
    server: &Arc<Server>,
    mut request: Request,
    found: Found,
    (id, started): (&str, Instant),
    counted: &mut Option<Arc<Meter>>,
) -> Answer {
    let now_ms = server.clock.now_ms();
    let (arrived, route) = (Arc::clone(&request.arrived), found.route);
    let admitted = admit(server, &request, &found, now_ms);
    let caller = match admitted {
        Ok(caller) => caller,
        Err(Denied { problem, known }) => {
            let address = (&route.method, route.path);
            count_refused(server, known.as_deref(), &arrived, address, id, &problem);
            request.skip_body().await;
            return Err(problem);
        }
    };
    let known = caller.as_ref().map(|caller| caller.principal.clone());
    let in_flight = match begin(server, route, known.as_ref(), started) {
        Ok(in_flight) => in_flight,
        Err((meter, over)) => {
            let problem = Problem::over(&over);
            let address = (&route.method, route.path);
            count_refused(server, known.as_ref(), &arrived, address, id, &problem);
            request.skip_body().await;
            hold_back(server, &meter, &over).await;
            return Err(problem);
        }
    };
    *counted = in_flight.as_ref().map(|in_flight| Arc::clone(in_flight.meter()));
    let call = Call { server: Arc::clone(server), request, caller, params: found.params };
    // A panic is this request's own: its connection and everybody else's go on.
    let answer = AssertUnwindSafe((found.route.handler)(call)).catch_unwind().await;
    let answer = answer.unwrap_or_else(|_| Err(Problem::internal(&"an answer panicked")));
    let answer = answer.inspect_err(|problem| {
        let address = (&route.method, route.path);
        count_refused(server, known.as_ref(), &arrived, address, id, problem);
    })?;
    Ok(if found.head { without_body(answer) } else { answer })
}

/// Counts for auditors that somebody was refused: in the chain of the tenant where the one who asks
/// belongs, or in the platform's.
pub(super) fn count_refused(
    server: &Server,
    known: Option<&Principal>,
    arrived: &Arrived,
    (method, path): (&Method, &str),
    id: &str,
    problem: &Problem,
) {
    if !problem.is_refusal() {
        return;
    }
    let actor = known.map_or_else(|| ANONYMOUS.to_owned(), Principal::subject);
    let chain = known.and_then(Principal::tenant_id).map_or(PLATFORM, TenantId::as_str);
    let event = Event::new(actor, &format!("{method} {path}"), String::new(), arrived.source(id));
    let event = event.ended(Outcome::Refused).after(problem.code().into());
    server.tenancy.log().count(event.in_chain(chain));
}

fn without_body(reply: Reply) -> Reply {
    use hyper::body::Body;
    let (mut parts, body) = reply.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(hyper::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Reply::from_parts(parts, warp::reply::Response::default().into_body())
}

/// Lets somebody watch, who may.
async fn watched(server: Arc<Server>, request: Request, on_upgrade: Option<OnUpgrade>) -> Reply {
    let started = server.clock.instant();
    server.awaited.comes();
    let (id, path) = (request.id.clone(), request.path.clone());
    let arrived = Arc::clone(&request.arrived);
    let answer = match sound(&request) {
        Ok(()) => live::upgrade(&server, request, on_upgrade, started).await,
        Err(problem) => Err(problem.into()),
    };
    let reply = answer.unwrap_or_else(|Denied { problem, known }| {
        let address = (&Method::GET, &*path);
        count_refused(&server, known.as_deref(), &arrived, address, &id, &problem);
        problem.into_reply(&id)
    });
    finish(&server, reply, &id, &Of::default(), (&Method::GET, &path), started)
}

/// Adds what every answer has, counts it, and says in the log that it was given.
fn finish(
    server: &Server,
    mut reply: Reply,
    id: &str,
    of: &Of,
    (method, path): (&Method, &str),
    started: Instant,
) -> Reply {
    let elapsed = server.clock.instant().saturating_duration_since(started);
    let status = reply.status();
    server.measures.answered(of.index, status, elapsed);
    if let Some(meter) = &of.meter {
        meter.latencies.observe(elapsed);
    }
    let elapsed_us = elapsed.as_micros() as u64;
    if status.is_server_error() {
        tracing::warn!(request_id = id, %method, path, status = status.as_u16(), elapsed_us, "answered");
    } else {
        tracing::info!(request_id = id, %method, path, status = status.as_u16(), elapsed_us, "answered");
    }
    let headers = reply.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    headers.entry(hyper::header::CONTENT_SECURITY_POLICY).or_insert(NO_PAGE);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(hsts) = &server.hsts {
        headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    reply
}
