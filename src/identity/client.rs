//! Where a call comes from, and how closely a session keeps to that.
//!
//! *Invariant*: the address is that of the connection, or of whom a trusted proxy names; what a client
//! writes into headers of its own about where it is counts for nothing.

use crate::audit::Source;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest `User-Agent` that is kept and compared, bytes: those of browsers are below 200.
pub const AGENT_BYTES_MAX: usize = 256;

/// Where somebody is who stays there: within a company's network, or one provider's of a region.
const PLACE_BITS_V4: u32 = 24;
const PLACE_BITS_V6: u32 = 48;

/// Bytes of a mark: nobody finds two clients with the same by trying.
const MARK_BYTES: usize = 16;

/// Whoever calls, as far as that is known and to be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client<'a> {
    /// Where the call comes from.
    pub address: Option<IpAddr>,
    /// What the client says it is (`User-Agent`).
    pub agent: Option<&'a str>,
    /// The request, as the server's log knows it.
    pub request_id: Option<&'a str>,
}

impl<'a> Client<'a> {
    /// The same, as the audit log tells it.
    pub fn source(&self) -> Source {
        Source { address: self.address, request_id: self.request_id.map(Into::into) }
    }

    /// What is kept of what the client says it is.
    pub(super) fn kept_agent(&self) -> Option<&'a str> {
        let agent = self.agent?;
        agent.get(..agent.floor_char_boundary(AGENT_BYTES_MAX))
    }

    /// Whether the two may be the same client: the same place, and what they say they are.
    pub(super) fn resembles(self, other: Client<'_>) -> bool {
        Binding::Both.mark(self) == Binding::Both.mark(other)
    }

    /// The network that it is in, wide enough to move around in.
    fn place(&self) -> Option<IpAddr> {
        Some(match self.address?.to_canonical() {
            IpAddr::V4(address) => {
                let mask = !0 << (u32::BITS - PLACE_BITS_V4);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = !0 << (u128::BITS - PLACE_BITS_V6);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        })
    }
}

/// What a session is bound to beside its tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Binding {
    /// Nothing: whoever has the tokens has the session.
    #[default]
    None,
    /// The client's network.
    Address,
    /// What the client says it is.
    Agent,
    /// Both.
    Both,
}

impl Binding {
    /// What stands for `client` in its access tokens; nothing where nothing is bound.
    pub(super) fn mark(self, client: Client<'_>) -> Option<String> {
        let (place, agent) = match self {
            Self::None => return None,
            Self::Address => (client.place(), None),
            Self::Agent => (None, client.kept_agent()),
            Self::Both => (client.place(), client.kept_agent()),
        };
        let place = place.map(|place| place.to_string()).unwrap_or_default();
        let text = format!("{place}\0{}", agent.unwrap_or_default());
        let hash = digest(&SHA256, text.as_bytes());
        Some(URL_SAFE_NO_PAD.encode(&hash.as_ref()[..MARK_BYTES]))
    }

    /// Whether whoever was `before` may be `now`, as far as this binds.
    pub(super) fn holds(self, before: Client<'_>, now: Client<'_>) -> bool {
        self.mark(before) == self.mark(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client<'a>(address: &str, agent: &'a str) -> Client<'a> {
        Client { address: address.parse().ok(), agent: Some(agent), request_id: None }
    }

    #[track_caller]
    fn check(one: Client<'_>, two: Client<'_>, expected: [bool; 4]) {
        let bindings = [Binding::None, Binding::Address, Binding::Agent, Binding::Both];
        assert_eq!(bindings.map(|binding| binding.holds(one, two)), expected, "{one:?} {two:?}");
        assert_eq!(one.resembles(two), expected[3]);
    }

    #[test]
    fn a_client_is_known_by_its_network_and_by_what_it_says_it_is() {
        let here = client("192.0.2.1", "curl/8");
        check(here, here, [true; 4]);
        check(here, client("192.0.2.254", "curl/8"), [true; 4]);
        check(here, client("::ffff:192.0.2.9", "curl/8"), [true; 4]);
        check(here, client("192.0.3.1", "curl/8"), [true, false, true, false]);
        check(here, client("192.0.2.1", "curl/9"), [true, true, false, false]);
        check(here, client("2001:db8::1", "curl/8"), [true, false, true, false]);
        check(here, Client::default(), [true, false, false, false]);
        check(Client::default(), Client::default(), [true; 4]);

        let there = client("2001:db8:1::1", "x");
        check(there, client("2001:db8:1:ffff::2", "x"), [true; 4]);
        check(there, client("2001:db8:2::1", "x"), [true, false, true, false]);
        assert_eq!(Binding::Both.mark(here).unwrap().len(), 22);
    }

    #[test]
    fn what_a_client_says_it_is_is_kept_up_to_a_bound() {
        let long = "é".repeat(AGENT_BYTES_MAX);
        let kept = client("::1", &long).kept_agent().unwrap();
        assert_eq!(kept.len(), AGENT_BYTES_MAX);
        let odd = format!("x{long}");
        assert_eq!(client("::1", &odd).kept_agent().unwrap().len(), AGENT_BYTES_MAX - 1);
        check(client("::1", &long), client("::1", kept), [true; 4]);
    }
}
