//! Which site a page is of, as browsers say it.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The origin of a page (RFC 6454): scheme, host and port, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    is_encrypted: bool,
    /// In lower case; of version 6 in brackets.
    host: String,
    port: u16,
}

/// Something that is the origin of no page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an origin: write it like `https://metrics.example.org:8443`, and nothing after it"
)]
pub struct NoOrigin(String);

impl WebOrigin {
    /// That of an encrypted page at `authority`, which is a host and perhaps a port.
    pub fn encrypted(authority: &str) -> Option<Self> {
        Self::of(true, authority)
    }

    fn of(is_encrypted: bool, authority: &str) -> Option<Self> {
        let end = authority.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match authority.get(end..)?.find(':') {
            Some(at) => (authority.get(..end + at)?, authority.get(end + at + 1..)),
            None => (authority, None),
        };
        let port = match port {
            None if is_encrypted => 443,
            None => 80,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok()?,
            Some(_) => return None,
        };
        is_host(host).then(|| Self { is_encrypted, host: host.to_ascii_lowercase(), port })
    }
}

/// Whether `text` is a name, or an address that is written as in a URL.
fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_of_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    !text.is_empty() && text.bytes().all(is_of_name)
}

impl FromStr for WebOrigin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let read = match text.split_once("://") {
            Some(("https", authority)) => Self::of(true, authority),
            Some(("http", authority)) => Self::of(false, authority),
            _ => None,
        };
        read.ok_or_else(|| NoOrigin(text.to_owned()))
    }
}

/// As a browser writes it: without the port that goes without saying.
impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_encrypted, host, port } = self;
        let (scheme, usual) = if *is_encrypted { ("https", 443) } else { ("http", 80) };
        match *port == usual {
            true => write!(f, "{scheme}://{host}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (text, shown) in [
            ("https://emx.example", "https://emx.example"),
            ("https://EMX.example:443", "https://emx.example"),
            ("https://emx.example:8443", "https://emx.example:8443"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://[::1]", "https://[::1]"),
        ] {
            let origin: WebOrigin = text.parse().unwrap();
            assert_eq!(origin.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(origin));
        }
        for bad in [
            "",
            "*",
            "null",
            "https://",
            "https://*",
            "https://*.emx.example",
            "emx.example",
            "//emx.example",
            "https:/emx.example",
            "https://emx.example/",
            "https://emx.example/x",
            "https://emx.example?x",
            "https://emx.example#x",
            "https://a@emx.example",
            "https://emx.example:",
            "https://emx.example:+1",
            "https://emx.example:65536",
            "https://emx.example:1:2",
            "https://emx.example ",
            " https://emx.example",
            "https://a b",
            "https://::1",
            "https://[::1",
            "https://[x]",
            "https://[::1]x",
            "file://x",
            "chrome-extension://x",
            "https://emx.example,https://b.example",
            "https://\u{fc}.example",
        ] {
            assert_eq!(bad.parse::<WebOrigin>(), Err(NoOrigin(bad.into())), "{bad}");
        }
    }
}
