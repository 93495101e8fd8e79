//! Whose an address is.

use std::net::{IpAddr, Ipv6Addr};

/// What one client has as its own: an address of version 4, or the 64 bits of a network of
/// version 6 (RFC 4291 §2.5.4).
pub fn network(address: IpAddr) -> IpAddr {
    const NETWORK_MASK: u128 = !0 << 64;
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK_MASK).into(),
        version_4 => version_4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_4_has_itself_also_within_version_6_which_has_its_upper_half() {
        let networks = ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:2:3:4:5:6"]
            .map(|text| network(text.parse().unwrap()).to_string());
        assert_eq!(networks, ["192.0.2.1", "192.0.2.1", "2001:db8:1:2::"]);
    }
}
