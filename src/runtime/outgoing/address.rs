//! What an address is: of the internet, of somebody's own network, this machine, or nothing that a
//! request is ever sent to.
//!
//! The table is our own, for the standard library's questions leave out NAT64, 6to4, Teredo and the
//! clouds' metadata. Its sources are IANA's registries of special-purpose addresses (RFC 6890, as of
//! 2025) and the clouds' documentation.
//!
//! *Invariants*: the first row that holds an address decides; an IPv6 address that no row holds is
//! never sent to, for only 2000::/3 has been assigned (RFC 4291 §2.4).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What may be done with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of the internet: open.
    Public,
    /// Of a network of somebody's own: closed unless an administrator opens the network.
    Private(&'static str),
    /// This machine: closed unless an administrator opens exactly this address and port.
    Loopback,
    /// Closed for ever.
    Never(&'static str),
}

impl Kind {
    /// The kind of `address`.
    pub fn of(address: IpAddr) -> Self {
        let row = TABLE.iter().find(|(block, _)| block.holds(address));
        match (row, address) {
            (Some((_, kind)), _) => *kind,
            (None, IpAddr::V4(_)) => Self::Public,
            (None, IpAddr::V6(_)) => Self::Never("addresses that are not assigned"),
        }
    }

    /// What it is, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "the internet",
            Self::Loopback => "the machine itself",
            Self::Private(name) | Self::Never(name) => name,
        }
    }
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Block {
    base: IpAddr,
    bits: u32,
}

/// Why a text is not a block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// It is not written like one.
    #[error("it is not a network: write it like `10.0.0.0/8` or `fd12::/16`")]
    Malformed,
    /// It has bits behind its prefix, so that it is not clear what is meant.
    #[error("it has bits behind its prefix: the network is `{meant}`")]
    Inexact {
        /// The network that the address lies in.
        meant: Block,
    },
}

impl Block {
    /// Whether `address` is one of these.
    pub fn holds(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let differing = base.to_bits() ^ address.to_bits();
                differing.checked_shr(u32::BITS - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let differing = base.to_bits() ^ address.to_bits();
                differing.checked_shr(u128::BITS - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// What its addresses are, single ones apart; nothing where they are of several kinds.
    pub fn kind(&self) -> Option<Kind> {
        let around = |(row, _): &&(Self, Kind)| row.bits <= self.bits && row.holds(self.base);
        let within = |(row, _): &(Self, Kind)| row.bits > self.bits && self.holds(row.base);
        match TABLE.iter().find(around) {
            Some((_, kind)) => Some(*kind),
            None if TABLE.iter().any(within) => None,
            None => Some(Kind::of(self.base)),
        }
    }

    /// The same without the bits behind the prefix.
    fn exact(self) -> Self {
        let kept = |width: u32| width - self.bits;
        let base = match self.base {
            IpAddr::V4(base) => {
                let mask = u32::MAX.checked_shl(kept(u32::BITS)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(base.to_bits() & mask))
            }
            IpAddr::V6(base) => {
                let mask = u128::MAX.checked_shl(kept(u128::BITS)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(base.to_bits() & mask))
            }
        };
        Self { base, ..self }
    }
}

impl FromStr for Block {
    type Err = BlockError;

    /// Reads `10.0.0.0/8`, or an address that stands for itself alone.
    fn from_str(text: &str) -> Result<Self, BlockError> {
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| BlockError::Malformed)?;
        let width = if base.is_ipv4() { u32::BITS } else { u128::BITS };
        let bits = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| BlockError::Malformed)?
            }
            Some(_) => return Err(BlockError::Malformed),
        };
        if bits > width {
            return Err(BlockError::Malformed);
        }
        let block = Self { base, bits };
        let meant = block.exact();
        if block == meant { Ok(block) } else { Err(BlockError::Inexact { meant }) }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const METADATA: Kind = Kind::Never("a cloud's metadata");
const PRIVATE: Kind = Kind::Private("a private network");
const RESERVED: Kind = Kind::Never("reserved addresses");
const EXAMPLES: Kind = Kind::Never("addresses of documentation");
const EMBEDDED: Kind = Kind::Never("an IPv4 address inside of IPv6");

const fn v4(octets: [u8; 4], bits: u32, kind: Kind) -> (Block, Kind) {
    let [a, b, c, d] = octets;
    (Block { base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }, kind)
}

const fn v6(segments: [u16; 8], bits: u32, kind: Kind) -> (Block, Kind) {
    let [a, b, c, d, e, f, g, h] = segments;
    (Block { base: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), bits }, kind)
}

/// Single addresses stand before the blocks that hold them.
const TABLE: &[(Block, Kind)] = &[
    v4([0, 0, 0, 0], 8, Kind::Never("the unspecified address")), // RFC 1122 §3.2.1.3
    v4([10, 0, 0, 0], 8, PRIVATE),                               // RFC 1918
    v4([100, 100, 100, 200], 32, METADATA),                      // Alibaba
    v4([100, 64, 0, 0], 10, Kind::Private("a network shared behind a provider's NAT")), // RFC 6598
    v4([127, 0, 0, 0], 8, Kind::Loopback),                       // RFC 1122 §3.2.1.3
    v4([168, 63, 129, 16], 32, METADATA), // Azure, in the midst of the internet
    v4([169, 254, 169, 254], 32, METADATA), // most clouds
    v4([169, 254, 0, 0], 16, Kind::Never("a link-local network")), // RFC 3927
    v4([172, 16, 0, 0], 12, PRIVATE),     // RFC 1918
    v4([192, 0, 0, 0], 24, RESERVED),     // RFC 6890; Oracle has its metadata there
    v4([192, 0, 2, 0], 24, EXAMPLES),     // RFC 5737
    v4([192, 31, 196, 0], 24, RESERVED),  // AS112, RFC 7535
    v4([192, 52, 193, 0], 24, RESERVED),  // AMT, RFC 7450
    v4([192, 88, 99, 0], 24, Kind::Never("a 6to4 relay")), // RFC 7526
    v4([192, 168, 0, 0], 16, PRIVATE),    // RFC 1918
    v4([192, 175, 48, 0], 24, RESERVED),  // AS112, RFC 7534
    v4([198, 18, 0, 0], 15, Kind::Never("a network for benchmarks")), // RFC 2544
    v4([198, 51, 100, 0], 24, EXAMPLES),  // RFC 5737
    v4([203, 0, 113, 0], 24, EXAMPLES),   // RFC 5737
    v4([224, 0, 0, 0], 4, Kind::Never("multicast")), // RFC 5771
    v4([255, 255, 255, 255], 32, Kind::Never("broadcast")), // RFC 919
    v4([240, 0, 0, 0], 4, RESERVED),      // RFC 1112 §4
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, Kind::Never("the unspecified address")), // RFC 4291
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, Kind::Loopback), // RFC 4291
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, EMBEDDED), // "compatible", RFC 4291 §2.5.5.1
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, EMBEDDED), // "mapped", RFC 4291 §2.5.5.2
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, EMBEDDED), // "translated", RFC 2765 §2.1
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, Kind::Never("NAT64")), // RFC 6052
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Kind::Never("NAT64")), // RFC 8215
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 32, RESERVED), // discard-only and dummy, RFC 6666 and 9780
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Kind::Never("Teredo")), // RFC 4380
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, RESERVED), // of the IETF's protocols, RFC 2928
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, EXAMPLES), // RFC 3849
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Kind::Never("6to4")), // RFC 3056
    v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, RESERVED), // AS112, RFC 7534
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, EXAMPLES), // RFC 9637
    v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, Kind::Public), // RFC 4291 §2.4
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, METADATA), // Amazon
    v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128, METADATA), // Oracle
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, METADATA), // Google
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, PRIVATE), // unique local, RFC 4193
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Kind::Never("a link-local network")), // RFC 4291
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Kind::Never("a site-local network")), // RFC 3879
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Kind::Never("multicast")), // RFC 4291 §2.7
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_row_decides_for_its_first_and_last_address() {
        for (at, (block, kind)) in TABLE.iter().enumerate() {
            assert_eq!(block.exact(), *block, "{block} has bits behind its prefix");
            let last = match block.base {
                IpAddr::V4(base) => {
                    let rest = u32::MAX.checked_shr(block.bits).unwrap_or(0);
                    IpAddr::V4(Ipv4Addr::from_bits(base.to_bits() | rest))
                }
                IpAddr::V6(base) => {
                    let rest = u128::MAX.checked_shr(block.bits).unwrap_or(0);
                    IpAddr::V6(Ipv6Addr::from_bits(base.to_bits() | rest))
                }
            };
            for address in [block.base, last] {
                assert!(block.holds(address));
                let earlier = TABLE[..at].iter().any(|(block, _)| block.holds(address));
                assert!(earlier || Kind::of(address) == *kind, "{address}");
            }
            assert!(
                !TABLE[..at].iter().any(|(earlier, _)| {
                    earlier.bits <= block.bits && earlier.holds(block.base)
                }),
                "{block} decides nothing"
            );
        }
    }

    #[test]
    fn blocks_are_read_exactly() {
        for good in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "fd12::/16", "10.1.2.3/32", "fe80::/10"] {
            assert_eq!(good.parse::<Block>().unwrap().to_string(), good);
        }
        assert_eq!("10.1.2.3".parse::<Block>().unwrap().to_string(), "10.1.2.3/32");
        let meant = "10.0.0.0/8".parse().unwrap();
        assert_eq!("10.1.2.3/8".parse::<Block>(), Err(BlockError::Inexact { meant }));
        for bad in
            ["", "/", "10/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "::/-1", "x"]
        {
            assert_eq!(bad.parse::<Block>(), Err(BlockError::Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_block_holds_what_shares_its_bits(base: u32, address: u32, bits in 0_u32..=32) {
            let base = Block { base: IpAddr::V4(Ipv4Addr::from_bits(base)), bits }.exact();
            let address = IpAddr::V4(Ipv4Addr::from_bits(address));
            let same = Block { base: address, bits }.exact() == base;
            prop_assert_eq!(base.holds(address), same);
        }
    }
}
