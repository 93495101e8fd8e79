//! The addresses that identity providers are told: where browsers reach this installation, and what
//! there belongs to which provider.

use crate::tenancy::slug::Slug;
use std::sync::{Arc, PoisonError, RwLock};

/// Longest public address, bytes: a scheme, a DNS name and a port.
const URL_BYTES_MAX: usize = 300;

/// Where browsers reach this installation, as `https://host[:port]`. Clones are the same place: a
/// server that is free to choose its port knows the address only once it listens.
#[derive(Clone, Debug)]
pub struct Site(Arc<RwLock<Arc<str>>>);

/// The protocol of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// OpenID Connect.
    Oidc,
    /// SAML 2.0.
    Saml,
}

impl Kind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Saml => "saml",
        }
    }

    /// The part of its addresses that says it.
    const fn in_path(self) -> &'static str {
        match self {
            Self::Oidc => "sso",
            Self::Saml => "saml",
        }
    }
}

impl Site {
    /// The place at `url`, which is [`checked`].
    pub fn at(url: &str) -> Self {
        Self(Arc::new(RwLock::new(url.into())))
    }

    /// Says where it is after all.
    pub fn settle(&self, url: &str) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = url.into();
    }

    /// `https://host[:port]`
    pub fn url(&self) -> Arc<str> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The host, and the port where it is not 443.
    pub fn authority(&self) -> String {
        let url = self.url();
        url.strip_prefix("https://").unwrap_or(&url).to_owned()
    }

    /// Where an OpenID provider sends people back to.
    pub fn redirect_uri(&self, tenant: &Slug, provider_id: &str) -> String {
        self.of(Kind::Oidc, tenant, provider_id, "callback")
    }

    /// Where a SAML provider sends its assertions.
    pub fn acs_url(&self, tenant: &Slug, provider_id: &str) -> String {
        self.of(Kind::Saml, tenant, provider_id, "acs")
    }

    /// Where this service provider describes itself, and by that its name at a SAML provider.
    pub fn metadata_url(&self, tenant: &Slug, provider_id: &str) -> String {
        self.of(Kind::Saml, tenant, provider_id, "metadata")
    }

    fn of(&self, kind: Kind, tenant: &Slug, provider_id: &str, what: &str) -> String {
        format!("{}{}", self.url(), path(kind, tenant, provider_id, what))
    }
}

/// Where a browser begins to sign in, as a path.
pub fn start_path(kind: Kind, tenant: &Slug, provider_id: &str) -> String {
    path(kind, tenant, provider_id, "start")
}

/// A slug and an id have only characters that stand in a path as they are.
fn path(kind: Kind, tenant: &Slug, provider_id: &str, what: &str) -> String {
    format!("/api/v1/auth/{}/{tenant}/{provider_id}/{what}", kind.in_path())
}

/// `url` as the public address of an installation, in the one form that is compared: lower case, no
/// path, no port where it is 443.
pub fn checked(url: &str) -> Result<String, &'static str> {
    const SHAPE: &str =
        "it must be like \"https://metrics.example.org\" or with a port, without a path";
    let url = url.trim().to_ascii_lowercase();
    let url = url.strip_suffix('/').unwrap_or(&url);
    let authority = url.strip_prefix("https://").ok_or(SHAPE)?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let sound = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
            !host.is_empty() && host.bytes().all(plain)
        }
    };
    let number = port.map(str::parse::<u16>).transpose().map_err(|_| SHAPE)?;
    if !sound || number == Some(0) || url.len() > URL_BYTES_MAX {
        return Err(SHAPE);
    }
    Ok(match number {
        None | Some(443) => format!("https://{host}"),
        Some(number) => format!("https://{host}:{number}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_has_a_host_perhaps_a_port_and_nothing_else() {
        for (given, kept) in [
            ("https://metrics.example.org", "https://metrics.example.org"),
            (" https://Metrics.Example.org:443/ ", "https://metrics.example.org"),
            ("https://localhost:8443", "https://localhost:8443"),
            ("https://192.0.2.1:08443", "https://192.0.2.1:8443"),
            ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
            ("https://[::1]:8443", "https://[::1]:8443"),
        ] {
            assert_eq!(checked(given).as_deref(), Ok(kept));
        }
        for bad in [
            "",
            "metrics.example.org",
            "http://metrics.example.org",
            "https://",
            "https://:8443",
            "https://a/b",
            "https://a?b",
            "https://a@b",
            "https://a b",
            "https://a:0",
            "https://a:65536",
            "https://a:b",
            "https://[::1",
            "https://[x]",
            "https://exämple.org",
        ] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_of_providers_follow_from_where_the_installation_is() {
        let (site, tenant) = (Site::at("https://localhost"), Slug::parse("acme").unwrap());
        let same = site.clone();
        site.settle("https://localhost:8443");
        assert_eq!(same.authority(), "localhost:8443");
        let acs = "https://localhost:8443/api/v1/auth/saml/acme/p/acs";
        assert_eq!(same.acs_url(&tenant, "p"), acs);
        let callback = "https://localhost:8443/api/v1/auth/sso/acme/p/callback";
        assert_eq!(same.redirect_uri(&tenant, "p"), callback);
        assert_eq!(start_path(Kind::Saml, &tenant, "p"), "/api/v1/auth/saml/acme/p/start");
    }
}
