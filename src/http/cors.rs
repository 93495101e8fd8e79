//! Which pages of others may read answers (Fetch §3.2, CORS): none, but for those of the setting
//! `server.cors_origins`.
//!
//! *Invariants*: an origin is told back only if it is listed, and never with
//! `Access-Control-Allow-Credentials`: such a page signs in and sends its token by itself, and the
//! cookie stays the server's own page's. Where anybody is listed, answers say that they depend on who
//! asks (`Vary`).

use super::origin;
use super::reply::{self, Reply};
use super::request::Request;
use crate::model::web_origin::WebOrigin;
use hyper::Method;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderValue, VARY,
};

/// What a listed page may send beside what every page may.
const SENDS: HeaderValue = HeaderValue::from_static(
    "authorization, cache-control, content-encoding, content-type, idempotency-key, if-match, \
     if-none-match, x-api-key, x-request-id, x-tenant",
);

/// What a listed page may read of an answer beside what every page may.
const READS: HeaderValue = HeaderValue::from_static(
    "content-disposition, etag, ratelimit-limit, ratelimit-policy, ratelimit-remaining, \
     ratelimit-reset, retry-after, x-request-id",
);

/// For how long a browser need not ask again, seconds: a page that is taken off the list is refused soon.
const ASKED_AGAIN_AFTER_S: u32 = 600;

/// Which page asks, as far as that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// Nobody is listed.
    Off,
    /// The server's own page, a page that is not listed, or none.
    Unlisted,
    /// A page that is listed; its origin, as its browser says it.
    Listed(HeaderValue),
}

impl Site {
    /// The page that `request` comes from, where pages of `listed` may read.
    pub(super) fn of(request: &Request, listed: &[WebOrigin]) -> Self {
        if listed.is_empty() || request.is_local() {
            return Self::Off;
        }
        match request.text_header("origin") {
            Ok(Some(origin)) if origin::is_listed(origin, listed) => {
                HeaderValue::from_str(origin).map_or(Self::Unlisted, Self::Listed)
            }
            _ => Self::Unlisted,
        }
    }

    /// What a browser is told that asks on behalf of a listed page what may be sent to an address that
    /// takes the methods `allowed`. `None`: that is not what is asked.
    pub(super) fn preflight(&self, request: &Request, allowed: &str) -> Option<Reply> {
        let asks = request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !matches!(self, Self::Listed(_)) || request.method != Method::OPTIONS || !asks {
            return None;
        }
        let mut reply = reply::no_content();
        let headers = reply.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_str(allowed).ok()?);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, SENDS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(ASKED_AGAIN_AFTER_S));
        Some(reply)
    }

    /// Says in an answer whether the page may read it.
    pub(super) fn mark(&self, reply: &mut Reply) {
        let headers = reply.headers_mut();
        if let Self::Listed(origin) = self {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, READS);
        }
        if *self != Self::Off {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
    }
}
