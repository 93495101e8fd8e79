//! From where an API key is let in.
//!
//! *Invariant*: a key that has networks is let in from nowhere else, and from nowhere that is not known.

use crate::model::network::{Network, NetworkError};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Networks of one key: sites of a company. Each is looked at with every request of the key.
pub const NETWORKS_PER_KEY_MAX: usize = 32;

/// Why a key cannot have such networks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyNetworksError {
    /// The bound.
    #[error("a key has {NETWORKS_PER_KEY_MAX} networks at most: name wider ones")]
    TooMany,
    /// One of them is none.
    #[error("{error}")]
    Invalid {
        /// Which, from 0 on.
        index: usize,
        /// What is wrong with it.
        error: NetworkError,
    },
}

impl KeyNetworksError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooMany => "too_many_networks",
            Self::Invalid { .. } => "invalid_network",
        }
    }
}

/// The networks from which a key is let in, in CIDR notation; none: from everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct KeyNetworks(Box<[Network]>);

impl KeyNetworks {
    /// Reads them, each once.
    pub fn parse(texts: &[String]) -> Result<Self, KeyNetworksError> {
        if texts.len() > NETWORKS_PER_KEY_MAX {
            return Err(KeyNetworksError::TooMany);
        }
        let mut networks: Vec<Network> = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let network = text.parse();
            let network = network.map_err(|error| KeyNetworksError::Invalid { index, error })?;
            if !networks.contains(&network) {
                networks.push(network);
            }
        }
        Ok(Self(networks.into()))
    }

    /// Whether a key is let in from everywhere.
    pub fn is_everywhere(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether whoever is let in from here may make a key that is let in from `others`: from some of the
    /// same.
    pub(super) fn cover(&self, others: &Self) -> bool {
        let is_one = |other| self.0.contains(other);
        self.is_everywhere() || !others.is_everywhere() && others.0.iter().all(is_one)
    }

    /// Whether a key is let in that comes from `address`.
    pub fn admit(&self, address: Option<IpAddr>) -> bool {
        let is_inside = |address| self.0.iter().any(|network| network.contains(address));
        self.is_everywhere() || address.is_some_and(is_inside)
    }
}

impl TryFrom<Vec<String>> for KeyNetworks {
    type Error = KeyNetworksError;

    fn try_from(texts: Vec<String>) -> Result<Self, KeyNetworksError> {
        Self::parse(&texts)
    }
}

impl From<KeyNetworks> for Vec<String> {
    fn from(networks: KeyNetworks) -> Self {
        networks.0.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<KeyNetworks, KeyNetworksError> {
        KeyNetworks::parse(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_key_with_networks_comes_from_there_alone() {
        let networks = parse(&["10.0.0.0/8", "2001:db8::/32", "10.0.0.0/8"]).unwrap();
        let admit = |address: &str| networks.admit(Some(address.parse().unwrap()));
        for inside in ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3", "2001:db8::1"] {
            assert!(admit(inside), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "::1", "2001:db7::1", "::ffff:11.0.0.0"] {
            assert!(!admit(outside), "{outside}");
        }
        assert!(!networks.admit(None));
        let everywhere = parse(&[]).unwrap();
        let (some, other) = (parse(&["10.0.0.0/8"]).unwrap(), parse(&["10.0.0.0/7"]).unwrap());
        assert!(networks.cover(&some) && !networks.cover(&other) && !some.cover(&networks));
        assert!(everywhere.cover(&networks) && !networks.cover(&everywhere));
        assert!(everywhere.admit(None) && everywhere.admit("192.0.2.1".parse().ok()));
        let text = serde_json::to_string(&networks).unwrap();
        assert_eq!(text, r#"["10.0.0.0/8","2001:db8::/32"]"#);
        assert_eq!(serde_json::from_str::<KeyNetworks>(&text).unwrap(), networks);
        assert!(serde_json::from_str::<KeyNetworks>(r#"["10.0.0.1/8"]"#).is_err());
    }

    #[test]
    fn what_is_no_network_is_refused_by_its_place() {
        let place = |texts: &[&str]| match parse(texts) {
            Err(KeyNetworksError::Invalid { index, .. }) => index,
            other => panic!("{other:?}"),
        };
        assert_eq!(place(&["10.0.0.0/8", "x"]), 1);
        assert_eq!(place(&["0.0.0.0/0"]), 0);
        assert_eq!(place(&["10.0.0.1/8"]), 0);
        let many = |count: u8| (0..count).map(|n| format!("10.0.0.{n}")).collect::<Vec<_>>();
        assert!(KeyNetworks::parse(&many(32)).is_ok());
        assert_eq!(KeyNetworks::parse(&many(33)), Err(KeyNetworksError::TooMany));
    }
}
