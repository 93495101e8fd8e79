//! Where a request may go.
//!
//! Everything on the internet may be asked, over TLS, at the ports that are allowed. An administrator
//! of the machine (not of a tenant) opens more:
//!
//! - a private *network*, such as `10.0.0.0/8`, at the allowed ports;
//! - an *endpoint*, such as `10.1.2.3:9443` or `127.0.0.1:9443`: exactly this address and port;
//! - each of both also without TLS, where that is said.
//!
//! *Invariants*: link-local networks, metadata and whatever else is [`Kind::Never`] cannot be opened.
//! This machine cannot be opened as a network, for whatever listens there trusts whoever reaches it;
//! an endpoint is one service that somebody has thought of. Nothing public is asked without TLS.

use super::address::{Block, BlockError, Kind};
use super::error::OutgoingError;
use super::target::{Host, Scheme, Target};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// What an administrator opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening(What);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Network(Block),
    Endpoint(SocketAddr),
}

/// Why something cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// It is neither a network nor an endpoint.
    #[error("`{text}`: {source}, or an address and a port like `127.0.0.1:9443`")]
    Malformed {
        /// What was given.
        text: String,
        /// What is wrong with it as a network.
        source: BlockError,
    },
    /// It is this machine, as a network.
    #[error(
        "`{text}` is this machine: open one service by its address and port, like `127.0.0.1:9443`"
    )]
    Loopback {
        /// What was given.
        text: String,
    },
    /// It is open anyhow.
    #[error("`{text}` is on the internet and needs no opening")]
    Public {
        /// What was given.
        text: String,
    },
    /// It is never opened.
    #[error("`{text}` is {name} and is never opened")]
    Never {
        /// What was given.
        text: String,
        /// What it is.
        name: &'static str,
    },
    /// It is more than one private network.
    #[error(
        "`{text}` is more than a private network: open the networks that are meant, one by one"
    )]
    Wide {
        /// What was given.
        text: String,
    },
}

impl FromStr for Opening {
    type Err = OpeningError;

    fn from_str(text: &str) -> Result<Self, OpeningError> {
        let given = || text.to_owned();
        let endpoint = text.parse::<SocketAddr>().ok().filter(|_| !text.contains('%'));
        let (what, kind) = match endpoint {
            Some(endpoint) => (What::Endpoint(endpoint), Some(Kind::of(endpoint.ip()))),
            None => {
                let block = text.parse::<Block>();
                let block =
                    block.map_err(|source| OpeningError::Malformed { text: given(), source })?;
                (What::Network(block), block.kind())
            }
        };
        match (kind, what) {
            (Some(Kind::Private(_)), _) | (Some(Kind::Loopback), What::Endpoint(_)) => {
                Ok(Self(what))
            }
            (Some(Kind::Loopback), What::Network(_)) => {
                Err(OpeningError::Loopback { text: given() })
            }
            (Some(Kind::Public), _) => Err(OpeningError::Public { text: given() }),
            (Some(Kind::Never(name)), _) => Err(OpeningError::Never { text: given(), name }),
            (None, _) => Err(OpeningError::Wide { text: given() }),
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            What::Network(block) => write!(f, "{block}"),
            What::Endpoint(endpoint) => write!(f, "{endpoint}"),
        }
    }
}

/// What is allowed to whoever names an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Ports on the internet and in opened networks.
    pub ports: Vec<u16>,
    /// What is opened.
    pub openings: Vec<Opening>,
    /// What is opened, and also without TLS.
    pub plain_openings: Vec<Opening>,
}

impl Guard {
    /// Takes a URL apart and refuses what can be refused without asking for its name.
    pub fn check_url(&self, url: &str) -> Result<Target, OutgoingError> {
        let target = Target::parse(url).map_err(OutgoingError::Url)?;
        if target.scheme() == Scheme::Http && self.plain_openings.is_empty() {
            return Err(OutgoingError::Plain);
        }
        let mut openings = self.openings.iter().chain(&self.plain_openings);
        let of_endpoint = openings.any(|opening| {
            matches!(opening.0, What::Endpoint(endpoint) if endpoint.port() == target.port())
        });
        if !of_endpoint && !self.ports.contains(&target.port()) {
            return Err(OutgoingError::Port { port: target.port() });
        }
        if let Host::Address(address) = target.host() {
            self.check_address(&target, *address)?;
        }
        Ok(target)
    }

    /// Refuses `address`, which the host of `target` is or has, unless it may be asked.
    pub fn check_address(&self, target: &Target, address: IpAddr) -> Result<(), OutgoingError> {
        let kind = Kind::of(address);
        let is_open =
            |openings: &[Opening]| openings.iter().any(|o| self.opens(*o, target, address));
        let open_plainly = is_open(&self.plain_openings);
        let open = open_plainly || is_open(&self.openings);
        let refused = |can_be_opened| OutgoingError::Address {
            host: target.host().to_string(),
            kind: kind.name(),
            can_be_opened,
        };
        match (kind, target.scheme()) {
            (Kind::Never(_), _) => Err(refused(false)),
            (Kind::Public, Scheme::Https) if self.ports.contains(&target.port()) => Ok(()),
            (Kind::Public, Scheme::Https) => Err(OutgoingError::Port { port: target.port() }),
            (Kind::Private(_) | Kind::Loopback, _) if !open => Err(refused(true)),
            (_, Scheme::Http) if !open_plainly => Err(OutgoingError::Plain),
            _ => Ok(()),
        }
    }

    fn opens(&self, opening: Opening, target: &Target, address: IpAddr) -> bool {
        match opening.0 {
            What::Network(block) => block.holds(address) && self.ports.contains(&target.port()),
            What::Endpoint(endpoint) => endpoint == SocketAddr::new(address, target.port()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_networks_and_single_services_are_opened() {
        for good in [
            "10.0.0.0/8",
            "10.1.2.3/32",
            "172.20.0.0/16",
            "192.168.1.0/24",
            "100.64.0.0/10",
            "fd12:3456::/32",
            "fc00::/7",
            "10.1.2.3:9443",
            "127.0.0.1:9443",
            "127.0.0.2:80",
            "[::1]:9443",
            "[fd12::1]:443",
        ] {
            assert_eq!(good.parse::<Opening>().unwrap().to_string(), good);
        }
        for (bad, word) in [
            ("127.0.0.1", "this machine"),
            ("127.0.0.0/8", "this machine"),
            ("::1/128", "this machine"),
            ("0.0.0.0/0", "more than"),
            ("::/0", "more than"),
            ("10.0.0.0/7", "more than"),
            ("fc00::/6", "more than"),
            ("8.8.8.0/24", "on the internet"),
            ("8.8.8.8:443", "on the internet"),
            ("2606:4700::/32", "on the internet"),
            ("169.254.0.0/16", "link-local"),
            ("169.254.169.254", "metadata"),
            ("169.254.169.254:80", "metadata"),
            ("fd00:ec2::254", "metadata"),
            ("100.100.100.200:80", "metadata"),
            ("[fe80::1]:443", "link-local"),
            ("fe80::/10", "link-local"),
            ("0.0.0.0:443", "unspecified"),
            ("224.0.0.1", "multicast"),
            ("::ffff:10.0.0.1", "inside of IPv6"),
            ("[::ffff:127.0.0.1]:443", "inside of IPv6"),
            ("64:ff9b::/96", "NAT64"),
            ("10.1.2.3/8", "the network is `10.0.0.0/8`"),
            ("[::1%1]:443", "not a network"),
            ("localhost:443", "not a network"),
            ("", "not a network"),
        ] {
            let error = bad.parse::<Opening>().unwrap_err().to_string();
            assert!(error.contains(word), "{bad}: {error}");
        }
    }
}
