//! What is wrong with a request before anybody looks at what it asks for, above all with how it
//! names its host: what one server and one proxy would not understand alike is refused.

use super::listener::HEADERS_BYTES_MAX;
use hyper::Uri;
use hyper::header::{HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::Authority;

/// What is wrong with a request before anybody looks what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// How the host was named, and what is wrong with that.
    Host(&'static str),
    /// The target is no path.
    Target,
    /// The headers have too many bytes.
    HeadersTooLarge,
    /// The body is coded in another way than `chunked`.
    TransferEncoding,
    /// A proxy says that it came to it in the clear.
    NotEncrypted,
}

/// The authority that a request names, or what is wrong with the request.
pub(super) fn find(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, Fault> {
    if uri.path_and_query().is_none() {
        return Err(Fault::Target); // `CONNECT`, or a target that is only a host
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADERS_BYTES_MAX {
        return Err(Fault::HeadersTooLarge);
    }
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    let codings = headers.get_all(TRANSFER_ENCODING);
    if !codings.iter().all(chunked) {
        return Err(Fault::TransferEncoding);
    }
    authority_of(uri, headers).map_err(Fault::Host)
}

/// The authority that a request names (RFC 9110 §7.2, RFC 9112 §3.2), lower case: its target's, which
/// wins, or its one `Host`, which must not name another host.
fn authority_of(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, &'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return Err("the request has more than one `Host`");
    }
    let header = header.map(|value| authority(value.as_bytes())).transpose()?;
    let target = uri.authority().map(|target| authority(target.as_str().as_bytes())).transpose()?;
    match (target, header) {
        (Some(target), Some(host)) if target.host() != host.host() => {
            Err("the request's target and its `Host` name different hosts")
        }
        (target, host) => Ok(target.or(host)),
    }
}

/// A host and perhaps a port, in lower case.
pub(super) fn authority(text: &[u8]) -> Result<Authority, &'static str> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii());
    let text = text.ok_or("the host is not plain text")?;
    let named = text.to_ascii_lowercase().parse::<Authority>();
    let named = named.map_err(|_| "what names the host is not a host and a port")?;
    if named.as_str().contains('@') {
        return Err("the host must not have a user in it");
    }
    if named.host().contains('%') {
        return Err("the host must be written without percent-encoding");
    }
    if !has_sound_port(&named) {
        return Err("the port of the host is not a number up to 65535");
    }
    Ok(named)
}

/// Whether what follows the host is nothing, or a port; `Authority` takes anything.
fn has_sound_port(authority: &Authority) -> bool {
    let rest = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    match rest.strip_prefix(':') {
        None => rest.is_empty(),
        Some(port) => {
            port.bytes().all(|b| b.is_ascii_digit())
                && (port.is_empty() || port.parse::<u16>().is_ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_host(uri: &str, hosts: &[&str], expected: Result<Option<&str>, ()>) {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        let found = authority_of(&uri.parse().unwrap(), &headers).map_err(|_| ());
        let found = found.as_ref().map(|authority| authority.as_ref().map(Authority::host));
        assert_eq!(found, expected.as_ref().map(|host| *host));
    }

    #[test]
    fn one_host_is_named_and_nothing_disagrees() {
        check_host("/x", &["Emx.Example:8443"], Ok(Some("emx.example")));
        check_host("https://emx.example/x", &[], Ok(Some("emx.example")));
        check_host("https://emx.example:1/x", &["emx.example"], Ok(Some("emx.example")));
        check_host("/x", &["[::1]:8443"], Ok(Some("[::1]")));
        check_host("/x", &[], Ok(None));
        check_host("https://a.example/x", &["b.example"], Err(()));
        for bad in
            ["a@b", "a b", "a/b", "a:b:c", "a:b", "a:65536", "[::1]:+1", "[::1]8443", "%61.example"]
        {
            check_host("/x", &[bad], Err(()));
        }
        check_host("/x", &["a", "a"], Err(()));
    }
}
