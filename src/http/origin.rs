//! Which pages may open a WebSocket or use the server's cookie. A browser lets every page try, and says
//! only which page it was.

use super::problem::Problem;
use super::request::Request;
use hyper::Uri;

/// Fails unless the request comes from the server's own page, or from one of `allowed`, or, where
/// `may_be_absent`, from no page at all.
pub(super) fn check(
    request: &Request,
    allowed: &[String],
    may_be_absent: bool,
) -> Result<(), Problem> {
    let Some(origin) = request.text_header("origin")? else {
        return if may_be_absent { Ok(()) } else { Err(refused("the request has no `Origin`")) };
    };
    if is_servers_own(request, origin)
        || allowed.iter().any(|known| known.eq_ignore_ascii_case(origin))
    {
        return Ok(());
    }
    Err(refused("pages of that origin may not watch: add it to the setting `server.origins`"))
}

/// Whether `origin` is a page of the server, by the name that it was asked by.
pub(super) fn is_servers_own(request: &Request, origin: &str) -> bool {
    is_own(origin, request.arrived.authority.as_ref().map(|authority| authority.as_str()))
}

fn refused(detail: &str) -> Problem {
    Problem::forbidden("origin_not_allowed", detail)
}

/// Whether `origin` is a page of this server, as the request names it. All its pages are encrypted.
fn is_own(origin: &str, host: Option<&str>) -> bool {
    let Some(host) = host.and_then(|host| host_and_port(&format!("https://{host}"))) else {
        return false;
    };
    host_and_port(origin) == Some(host)
}

/// The host in lower case and the port of an `https` origin, which has nothing else.
fn host_and_port(origin: &str) -> Option<(String, u16)> {
    let uri: Uri = origin.parse().ok()?;
    let authority = uri.authority()?;
    let is_bare = origin.len() == "https://".len() + authority.as_str().len();
    let is_https = uri.scheme_str() == Some("https");
    if !is_https || !is_bare || authority.as_str().contains('@') {
        return None;
    }
    let port = match authority.port() {
        Some(port) => port.as_str().parse().ok()?,
        None => 443,
    };
    Some((authority.host().to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_pages_are_its_own() {
        for (origin, host) in [
            ("https://emx.example", "emx.example"),
            ("https://emx.example:443", "emx.example"),
            ("https://EMX.example:8443", "emx.Example:8443"),
            ("https://127.0.0.1:8443", "127.0.0.1:8443"),
            ("https://[::1]:8443", "[::1]:8443"),
        ] {
            assert!(is_own(origin, Some(host)), "{origin}");
        }
        for origin in [
            "null",
            "",
            "emx.example:8443",
            "http://emx.example:8443",
            "https://emx.example",
            "https://emx.example:84433",
            "https://emx.example:8443.evil.example",
            "https://emx.example.evil.example:8443",
            "https://evil-emx.example:8443",
            "https://emx.example:8443@evil.example",
            "https://evil@emx.example:8443",
            "https://emx.example:8443/",
            "https://emx.example:8443/x",
            "https://emx.example:8443?x",
            "https://emx.example:8443 ",
        ] {
            assert!(!is_own(origin, Some("emx.example:8443")), "{origin}");
        }
        assert!(!is_own("https://emx.example", None));
    }
}
