//! Which pages may open a WebSocket or use the server's cookie. A browser lets every page try, and says
//! only which page it was.
//!
//! *Invariant*: what a browser sends along by itself (a cookie) is used for the server's own page alone.

use super::problem::Problem;
use super::request::Request;
use crate::model::web_origin::WebOrigin;

/// Fails unless the request comes from the server's own page, or from one of `allowed`, or, where
/// `may_be_absent`, from no page at all.
pub(super) fn check(
    request: &Request,
    allowed: &[WebOrigin],
    may_be_absent: bool,
) -> Result<(), Problem> {
    let Some(origin) = request.text_header("origin")? else {
        return if may_be_absent { Ok(()) } else { Err(refused("the request has no `Origin`")) };
    };
    if is_servers_own(request, origin) || is_listed(origin, allowed) {
        return Ok(());
    }
    Err(refused("pages of that origin may not watch: add it to the setting `server.origins`"))
}

/// Fails unless a browser says that the server's own page asks: what takes the cookie, or sets it, is for
/// that alone. Browsers say it with every `POST` (Fetch §3.2, Fetch Metadata §2), so who says nothing is
/// none, and has no use for a cookie.
pub(super) fn demand_own(request: &Request) -> Result<(), Problem> {
    let foreign = || refused("only the server's own page may use its cookie");
    let site = request.text_header("sec-fetch-site")?;
    let origin = request.text_header("origin")?;
    if site.is_some_and(|site| site != "same-origin")
        || origin.is_some_and(|origin| !is_servers_own(request, origin))
        || (site.is_none() && origin.is_none())
    {
        return Err(foreign());
    }
    Ok(())
}

/// Whether `origin`, as a browser says it, is one of `listed`.
pub(super) fn is_listed(origin: &str, listed: &[WebOrigin]) -> bool {
    !listed.is_empty() && origin.parse().is_ok_and(|origin| listed.contains(&origin))
}

/// Whether `origin` is a page of the server, by the name that it was asked by.
fn is_servers_own(request: &Request, origin: &str) -> bool {
    is_own(origin, request.arrived.authority.as_ref().map(|authority| authority.as_str()))
}

fn refused(detail: &str) -> Problem {
    Problem::forbidden("origin_not_allowed", detail)
}

/// Whether `origin` is a page of this server, as the request names it. All its pages are encrypted.
fn is_own(origin: &str, host: Option<&str>) -> bool {
    let own = host.and_then(WebOrigin::encrypted);
    own.is_some() && origin.parse().ok() == own
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
