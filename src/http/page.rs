//! The page: files that were built from `web-assets` and are part of the binary.
//!
//! Names of files carry a hash of what is in them, so a browser may keep them for ever; the page
//! itself is asked for again each time. Any address without a dot that is nothing else's gives the
//! page, which reads the rest of the address itself.

use super::problem::Problem;
use super::reply::{self, Reply};
use super::request::Request;
use super::route::Answer;
use super::server::Server;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_NONE_MATCH, VARY,
};
use hyper::{Method, StatusCode};
use rust_embed::{Embed, EmbeddedFile};

#[derive(Embed)]
#[folder = "web-assets/dist"]
#[allow_missing = true]
struct Files;

/// What the page may load and do: nothing from anywhere else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'",
);

/// No other window has a hold on the page's (HTML §7.1.3), whoever opened which.
const ALONE: (HeaderName, HeaderValue) = (
    HeaderName::from_static("cross-origin-opener-policy"),
    HeaderValue::from_static("same-origin"),
);

/// What of the machine the page has no use for.
const UNUSED: (HeaderName, HeaderValue) = (
    HeaderName::from_static("permissions-policy"),
    HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
);

/// The page.
const INDEX: &str = "index.html";

/// The page's files whose names carry a hash.
const HASHED: &str = "assets/";

/// What is answered where the binary was built without a page.
const NOT_BUILT: &str = "this `emx` was built without its page: run `make ui`, then build it again";

/// First parts of addresses that programs ask for: a slip there must not look like an answer.
const NO_PAGE: [&str; 8] =
    ["api", "v1", "write", "scim", ".well-known", "healthz", "readyz", "metrics"];

/// Compressed forms of a file, best first: the coding and the end of the file's name.
const CODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// What the address of `request`, which no route has, gives.
pub(super) fn answer(_: &Server, request: &Request) -> Answer {
    let path = request.path.trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    if NO_PAGE.contains(&first) {
        return Err(Problem::not_found("this address"));
    }
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Problem::method_not_allowed("GET, HEAD"));
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = if last.contains('.') { path } else { INDEX };
    match file(name, request.headers()) {
        Some(reply) => Ok(reply),
        None if name == INDEX => {
            let body = NOT_BUILT.as_bytes();
            Ok(reply::bytes(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", body))
        }
        None => Err(Problem::not_found("this address")),
    }
}

/// The file `name` in the best form that the caller takes.
fn file(name: &str, request: &HeaderMap) -> Option<Reply> {
    // A development build reads the files from the disk, where such names lead elsewhere.
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return None;
    }
    let plain = Files::get(name)?;
    let content_type = content_type_of(name)?;
    let packed = CODINGS.iter().find_map(|&(coding, ending)| {
        let file = Files::get(&format!("{name}{ending}"))?;
        takes(request, coding).then_some((coding, file))
    });
    let (coding, file) = packed.map_or((None, plain), |(coding, file)| (Some(coding), file));
    let tag = tag_of(&file);
    let known = request.get(IF_NONE_MATCH).is_some_and(|known| Some(known) == tag.as_ref());
    let mut reply = if known {
        let mut reply = Reply::default();
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        reply
    } else {
        reply::bytes(StatusCode::OK, content_type, file.data.into_owned())
    };
    let headers = reply.headers_mut();
    let kept =
        if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    for (name, value) in [ALONE, UNUSED] {
        headers.insert(name, value);
    }
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
    if let Some(coding) = coding.filter(|_| !known) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    Some(reply)
}

fn tag_of(file: &EmbeddedFile) -> Option<HeaderValue> {
    let hash = super::idempotency::hex(&file.metadata.sha256_hash()[..16]);
    HeaderValue::from_str(&format!("\"{hash}\"")).ok()
}

/// The types of the files that the page is built of; nothing else is given out.
fn content_type_of(name: &str) -> Option<&'static str> {
    Some(match name.rsplit('.').next()? {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        _ => return None,
    })
}

/// Whether the caller takes the coding (RFC 9110 §12.5.3); one that is not named is not taken.
fn takes(request: &HeaderMap, coding: &str) -> bool {
    let values = request.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|text| text.split(',')).any(|offer| {
        let (name, weight) = offer.split_once(';').unwrap_or((offer, "q=1"));
        let weight = weight.trim().trim_start_matches("q=").parse::<f32>().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(coding) && weight > 0.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_taken_only_where_it_is_named() {
        let takes = |text: &str, coding| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, text.parse().unwrap());
            takes(&headers, coding)
        };
        assert!(takes("gzip, deflate, br", "br") && takes("br;q=0.5", "br"));
        assert!(!takes("gzip, br;q=0", "br") && !takes("*", "br") && !takes("brotli", "br"));
    }
}
