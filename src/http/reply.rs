//! Answers.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LOCATION,
};
use serde::Serialize;
use warp::reply::Response;
use xxhash_rust::xxh3::xxh3_128;

/// An answer to a request.
pub(super) type Reply = Response;

/// The media type of most answers.
pub(super) const JSON: &str = "application/json";

/// An answer with a body.
pub(super) fn bytes(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Reply {
    let mut reply = Reply::new(body.into().into());
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A value as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(text) => bytes(status, JSON, text),
        Err(error) => super::problem::Problem::internal(&error).into_reply(""),
    }
}

/// A value as JSON with its tag, after it was changed.
pub(super) fn json_tagged(status: StatusCode, value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(text) => {
            let tag = etag_of(&text);
            let mut reply = bytes(status, JSON, text);
            reply.headers_mut().insert(ETAG, tag);
            reply
        }
        Err(error) => super::problem::Problem::internal(&error).into_reply(""),
    }
}

/// A value as JSON with its tag, or that the caller has it already.
pub(super) fn json_known(request: &HeaderMap, value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(text) => tagged(request, JSON, text),
        Err(error) => super::problem::Problem::internal(&error).into_reply(""),
    }
}

/// Nothing to say.
pub(super) fn no_content() -> Reply {
    let mut reply = Reply::default();
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// Look there instead. Nothing where the address cannot stand in a header.
pub(super) fn see_other(address: &str) -> Option<Reply> {
    let location = HeaderValue::from_str(address).ok()?;
    let mut reply = no_content();
    *reply.status_mut() = StatusCode::SEE_OTHER;
    reply.headers_mut().insert(LOCATION, location);
    Some(reply)
}

/// The strong entity tag (RFC 9110 §8.8.3) of a body.
pub(super) fn etag_of(body: &[u8]) -> HeaderValue {
    let text = format!("\"{:032x}\"", xxh3_128(body));
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The body with its tag, or that the caller has it already (RFC 9110 §13.1.2). Private, and asked
/// for again each time: it depends on who asks, and is stale as soon as a row comes.
pub(super) fn tagged(request: &HeaderMap, content_type: &'static str, body: Vec<u8>) -> Reply {
    let tag = etag_of(&body);
    let known = request.get_all(IF_NONE_MATCH).iter().any(|value| {
        let listed = value.as_bytes().split(|&b| b == b',').map(<[u8]>::trim_ascii);
        listed.map(|t| t.strip_prefix(b"W/").unwrap_or(t)).any(|t| t == tag.as_bytes() || t == b"*")
    });
    let mut reply = match known {
        true => {
            let mut reply = Reply::default();
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
            reply
        }
        false => bytes(StatusCode::OK, content_type, body),
    };
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(ETAG, tag);
    reply
}
