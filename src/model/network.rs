//! Whose an address is, and which addresses are together.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// What one client has as its own: an address of version 4, or the 64 bits of a network of
/// version 6 (RFC 4291 §2.5.4).
pub fn network(address: IpAddr) -> IpAddr {
    const NETWORK_MASK: u128 = !0 << 64;
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK_MASK).into(),
        version_4 => version_4,
    }
}

/// Addresses that begin alike, in CIDR notation (RFC 4632 §3.1, RFC 4291 §2.3): `10.0.0.0/8`,
/// `2001:db8::/32`; an address alone is itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u32,
}

/// Why something names no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It is not written like one.
    #[error("`{0}` is not a network: write it like `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.1`")]
    Malformed(String),
    /// The address does not end in zeros where the network's size says that it does.
    #[error("`{text}` is an address in a network: the network is `{meant}`")]
    NotItsFirst {
        /// What was given.
        text: String,
        /// The network that the address is in.
        meant: Network,
    },
    /// Its size is none, so that every address is in it.
    #[error("`{0}` is every address: name the networks that are meant")]
    Everything(String),
}

impl Network {
    /// Whether `address` is one of them. An address of version 4 may come within version 6.
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.bits) == Some(self.first)
    }
}

/// `address` with zeros after its first `bits`; `None` where it has not so many.
fn masked(address: IpAddr, bits: u32) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => {
            let rest = u32::BITS.checked_sub(bits)?;
            IpAddr::V4((address.to_bits() & u32::MAX.checked_shl(rest).unwrap_or(0)).into())
        }
        IpAddr::V6(address) => {
            let rest = u128::BITS.checked_sub(bits)?;
            IpAddr::V6((address.to_bits() & u128::MAX.checked_shl(rest).unwrap_or(0)).into())
        }
    })
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let malformed = || NetworkError::Malformed(text.to_owned());
        let (address, size) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| malformed())?;
        if address.to_canonical() != address {
            return Err(malformed()); // of two ways to write it, the one of version 4 is meant
        }
        let whole = if address.is_ipv4() { u32::BITS } else { u128::BITS };
        let is_number = |size: &str| !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit());
        let bits = match size {
            None => whole,
            Some(size) if is_number(size) => size.parse().map_err(|_| malformed())?,
            Some(_) => return Err(malformed()),
        };
        if bits == 0 {
            return Err(NetworkError::Everything(text.to_owned()));
        }
        let first = masked(address, bits).ok_or_else(malformed)?;
        let meant = Self { first, bits };
        match first == address {
            true => Ok(meant),
            false => Err(NetworkError::NotItsFirst { text: text.to_owned(), meant }),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, inside: &[&str], outside: &[&str]) {
        let network: Network = text.parse().unwrap();
        let has = |address: &&str| network.contains(address.parse().unwrap());
        assert!(inside.iter().all(has), "{text}");
        assert!(!outside.iter().any(has), "{text}");
        assert_eq!(network.to_string().parse(), Ok(network));
    }

    #[test]
    fn a_network_has_what_begins_like_it() {
        let near = ["9.255.255.255", "11.0.0.0", "a00::", "::a00:1", "::ffff:b00:0"];
        check("10.0.0.0/8", &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], &near);
        check("192.0.2.1", &["192.0.2.1", "::ffff:192.0.2.1"], &["192.0.2.0", "192.0.2.2"]);
        check("128.0.0.0/1", &["128.0.0.0", "255.255.255.255"], &["127.255.255.255"]);
        let near = ["2001:db7:ffff::", "2001:db9::", "32.1.13.184"];
        check("2001:db8::/32", &["2001:db8::", "2001:db8:ffff::1"], &near);
        check("::1", &["::1"], &["::2", "127.0.0.1", "0.0.0.1"]);
    }

    #[test]
    fn what_names_no_network_says_why() {
        let of = |text: &str| text.parse::<Network>().unwrap_err();
        for bad in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0/8",
            "010.0.0.0/8",
            "::/129",
            "::ffff:10.0.0.0/104",
            "fe80::1%eth0",
            "[::1]",
            "localhost",
            "10.0.0.0 /8",
        ] {
            assert_eq!(of(bad), NetworkError::Malformed(bad.into()), "{bad}");
        }
        let meant = "`10.1.2.3/8` is an address in a network: the network is `10.0.0.0/8`";
        assert_eq!(of("10.1.2.3/8").to_string(), meant);
        for all in ["0.0.0.0/0", "::/0"] {
            assert_eq!(of(all), NetworkError::Everything(all.into()));
        }
    }

    #[test]
    fn version_4_has_itself_also_within_version_6_which_has_its_upper_half() {
        let networks = ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:2:3:4:5:6"]
            .map(|text| network(text.parse().unwrap()).to_string());
        assert_eq!(networks, ["192.0.2.1", "192.0.2.1", "2001:db8:1:2::"]);
    }
}
