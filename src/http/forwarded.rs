//! What a proxy says of whoever it asks for: `X-Forwarded-For`, `-Host` and `-Proto`, from proxies of the
//! setting `server.trusted_proxies` alone. From anybody else these are words like any others, and
//! nobody reads them; nor does anybody read `Forwarded`, `X-Real-IP` and the like, from whomever.
//!
//! *Invariants*: of a list of addresses the one counts that the outermost trusted proxy has seen itself:
//! whatever stands left of it, the client may have written. What is in the clear on any part of its way
//! is refused, for tokens and passwords pass there.

use super::fault::{self, Fault};
use crate::model::network::Network;
use hyper::header::{HeaderMap, HeaderName};
use hyper::http::uri::Authority;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Most trusted proxies in a row. Nobody has so many; what is left of them is not looked at.
const IN_A_ROW_MAX: usize = 32;

/// The proxies that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Proxies(Arc<[Network]>);

/// Whom a proxy asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Behind {
    /// The client's address, as far as it is known.
    pub(super) address: IpAddr,
    /// The host that the client asked for, where the proxy says so.
    pub(super) authority: Option<Authority>,
}

impl Proxies {
    pub(super) fn new(networks: Vec<Network>) -> Self {
        Self(networks.into())
    }

    /// Whether `address` is one of them.
    pub(super) fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whom the proxy at `peer`, which is trusted, asks for with these headers.
    pub(super) fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Behind, Fault> {
        if !words(headers, PROTO).all(|scheme| scheme.eq_ignore_ascii_case(b"https")) {
            return Err(Fault::NotEncrypted);
        }
        let mut hosts = words(headers, HOST);
        let authority = match (hosts.next(), hosts.next()) {
            (None, _) => None,
            (Some(host), None) => Some(fault::authority(host).map_err(Fault::Host)?),
            _ => return Err(Fault::Host("the proxies name more than one host")),
        };
        Ok(Behind { address: self.client(peer, headers), authority })
    }

    /// The address right of which all are trusted proxies. What a proxy has not seen or does not tell it
    /// writes as no address: then its own is the last that is known.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut known = peer;
        for word in words(headers, FOR).rev().take(IN_A_ROW_MAX) {
            let Some(address) = address_of(word) else { break };
            known = address;
            if !self.trust(address) {
                break;
            }
        }
        known
    }
}

/// What stands between the commas of a header, which may be there several times, in order.
fn words(headers: &HeaderMap, name: HeaderName) -> impl DoubleEndedIterator<Item = &[u8]> {
    let all: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
    let words = all.into_iter().flat_map(|value| value.split(|&b| b == b','));
    words.map(<[u8]>::trim_ascii)
}

/// An address, which some proxies write with its port and some in brackets.
fn address_of(word: &[u8]) -> Option<IpAddr> {
    let word = std::str::from_utf8(word).ok()?;
    let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
    let address = bare.parse().ok().or_else(|| Some(word.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn behind(peer: &str, lines: &[(HeaderName, &str)]) -> Result<Behind, Fault> {
        let networks = ["10.0.0.0/8", "fd00:1::/32"].map(|text| text.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        Proxies::new(networks.into()).behind(peer.parse().unwrap(), &headers)
    }

    #[track_caller]
    fn check(peer: &str, lines: &[&str], expected: &str) {
        let lines: Vec<_> = lines.iter().map(|line| (FOR, *line)).collect();
        let found = behind(peer, &lines).unwrap().address.to_string();
        assert_eq!(found, expected, "{lines:?}");
    }

    #[test]
    fn the_client_is_the_right_most_that_is_no_trusted_proxy() {
        check(PROXY, &[], PROXY);
        check(PROXY, &["192.0.2.1"], "192.0.2.1");
        check(PROXY, &["127.0.0.1, 192.0.2.1"], "192.0.2.1");
        check(PROXY, &["127.0.0.1", "198.51.100.7,192.0.2.1"], "192.0.2.1");
        check(PROXY, &["198.51.100.7, 192.0.2.1, 10.0.0.2 ,\t10.9.9.9"], "192.0.2.1");
        check(PROXY, &["192.0.2.1", "10.0.0.2", "10.0.0.3"], "192.0.2.1");
        check(PROXY, &["10.0.0.7, 10.0.0.2"], "10.0.0.7");
        check(PROXY, &["10.0.0.7, 192.0.2.1, 10.0.0.2"], "192.0.2.1");
    }

    #[test]
    fn addresses_are_written_in_several_ways() {
        check(PROXY, &["192.0.2.1:4711"], "192.0.2.1");
        check(PROXY, &["2001:db8::1"], "2001:db8::1");
        check(PROXY, &["[2001:db8::1]"], "2001:db8::1");
        check(PROXY, &["[2001:db8::1]:4711"], "2001:db8::1");
        check(PROXY, &["::ffff:192.0.2.1"], "192.0.2.1");
        check(PROXY, &["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1");
        check("fd00:1::1", &["2001:db8::1, fd00:1::2"], "2001:db8::1");
        check("fd00:1::1", &["2001:db8::1, fd00:2::2"], "fd00:2::2");
        check("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1");
    }

    #[test]
    fn what_is_no_address_hides_everything_left_of_it() {
        for word in [
            "unknown",
            "",
            "_hidden",
            "192.0.2.1.",
            "192.0.2.300",
            "0300.0.2.1",
            "3221225985",
            "[192.0.2.1",
            "fe80::1%eth0",
            "\"192.0.2.1\"",
            "for=192.0.2.1",
            "localhost",
            "\u{e9}",
        ] {
            check(PROXY, &[&format!("198.51.100.7, {word}")], PROXY);
            check(PROXY, &[&format!("198.51.100.7, {word}, 10.0.0.2")], "10.0.0.2");
            check(PROXY, &[&format!("{word}, 192.0.2.1")], "192.0.2.1");
        }
        let row = ["192.0.2.1"].into_iter().chain(std::iter::repeat_n("10.0.0.2", IN_A_ROW_MAX));
        check(PROXY, &row.collect::<Vec<_>>(), "10.0.0.2");
    }

    #[test]
    fn the_host_is_the_one_that_the_proxy_names() {
        let host = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| (HOST, *line)).collect();
            behind(PROXY, &lines).map(|behind| behind.authority.map(|host| host.to_string()))
        };
        assert_eq!(host(&[]), Ok(None));
        assert_eq!(host(&["Acme.Example"]), Ok(Some("acme.example".into())));
        assert_eq!(host(&["acme.example:8443"]), Ok(Some("acme.example:8443".into())));
        for bad in [&[""][..], &["a@b"], &["a:b"], &["a/b"], &["a, b"], &["a", "a"], &["\u{e9}"]] {
            assert!(matches!(host(bad), Err(Fault::Host(_))), "{bad:?}");
        }
    }

    #[test]
    fn what_went_in_the_clear_is_refused() {
        for scheme in ["https", "HTTPS", "https, https"] {
            assert!(behind(PROXY, &[(PROTO, scheme)]).is_ok(), "{scheme}");
        }
        for scheme in ["http", "https, http", "http,https", "", "wss", "https,"] {
            assert_eq!(behind(PROXY, &[(PROTO, scheme)]), Err(Fault::NotEncrypted), "{scheme}");
        }
    }
}
