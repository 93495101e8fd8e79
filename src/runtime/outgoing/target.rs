//! The address of something elsewhere, read as narrowly as it can be written.
//!
//! *Invariant*: there is one reading of a URL, and it is this one: what is connected to, what stands in
//! `Host` and what is checked come from the same parts. Whatever other readers understand in more ways
//! than one (an IPv4 address in octal, a name with a digit of another script, a backslash, a user
//! before an `@`) is refused and not mended. Names of other scripts are written in their ASCII form.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest URL, bytes: what browsers and proxies have long agreed on.
pub const URL_BYTES_MAX: usize = 2048;

/// Longest name and longest part of one, bytes (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// How something is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Over TLS.
    Https,
    /// In the clear.
    Http,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

/// Who is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, in lower case.
    Name(Box<str>),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// A URL taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    host: Host,
    port: u16,
    /// The path and the query, from the first `/` on.
    rest: Box<str>,
}

/// Why a text is not a URL that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It has too many bytes.
    #[error("it is longer than {URL_BYTES_MAX} bytes")]
    Long,
    /// It begins with neither `https://` nor `http://`.
    #[error("it does not begin with `https://`")]
    Scheme,
    /// It has a character that no URL has.
    #[error("it has white space, a control character, a backslash or a letter beyond ASCII")]
    Character,
    /// It names a user.
    #[error("it has a user before an `@`")]
    User,
    /// It names a place within what is answered.
    #[error("it has a `#`")]
    Fragment,
    /// The port is not one.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// The host is neither a name nor an address.
    #[error("its host is neither a name of letters, digits and hyphens nor an address")]
    Host,
    /// The host is a number, but not the four of an IPv4 address.
    #[error("its host is a number: an IPv4 address is four decimal numbers with dots")]
    Number,
    /// The host is not an IPv6 address.
    #[error("its host is not an IPv6 address, which has no zone")]
    Ipv6,
    /// A `%` without two hexadecimal digits, or one that stands for a control character.
    #[error("it has a `%` that stands for no character, or for a control character")]
    Escape,
}

impl Target {
    /// Takes `text` apart.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlError::Long);
        }
        if !text.bytes().all(is_of_urls) {
            return Err(UrlError::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = [Scheme::Https, Scheme::Http]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(scheme))
            .ok_or(UrlError::Scheme)?;
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (host, port) = authority_of(authority)?;
        check_escapes(rest)?;
        let slash = if rest.starts_with('/') { "" } else { "/" };
        let port = port.unwrap_or(scheme.default_port());
        Ok(Self { scheme, host, port, rest: format!("{slash}{rest}").into() })
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Who is spoken to.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// At which port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path and the query.
    pub fn path_and_query(&self) -> &str {
        &self.rest
    }

    /// Whether it has a query.
    pub fn has_query(&self) -> bool {
        self.rest.contains('?')
    }

    /// The host, and the port unless it goes without saying: what stands in `Host`.
    pub fn authority(&self) -> String {
        match self.port == self.scheme.default_port() {
            true => self.host.to_string(),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.rest)
    }
}

/// The characters of RFC 3986 §2.
fn is_of_urls(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

fn authority_of(authority: &str) -> Result<(Host, Option<u16>), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::User);
    }
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or(UrlError::Ipv6)?;
        let address: Ipv6Addr = address.parse().map_err(|_| UrlError::Ipv6)?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(port_of(port)?),
            None if after.is_empty() => None,
            None => return Err(UrlError::Host),
        };
        return Ok((Host::Address(address.into()), port));
    }
    match authority.split_once(':') {
        Some((host, port)) => Ok((host_of(host)?, Some(port_of(port)?))),
        None => Ok((host_of(authority)?, None)),
    }
}

fn port_of(text: &str) -> Result<u16, UrlError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    match text.parse() {
        Ok(port) if is_plain => Ok(port),
        _ => Err(UrlError::Port),
    }
}

/// A name, or an IPv4 address. Whatever ends in a number is an address or wrong, for somebody reads it
/// as one: `2130706433`, `0x7f.1` and `127.1` are all this machine.
fn host_of(text: &str) -> Result<Host, UrlError> {
    let last = text.rsplit('.').find(|label| !label.is_empty()).unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if is_number && !last.is_empty() {
        let address: Ipv4Addr = text.parse().map_err(|_| UrlError::Number)?;
        return Ok(Host::Address(address.into()));
    }
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() > NAME_BYTES_MAX || !text.split('.').all(is_label) {
        return Err(UrlError::Host);
    }
    Ok(Host::Name(text.to_ascii_lowercase().into()))
}

/// Each `%` stands for a character, and for none that would begin a line or end a text elsewhere.
fn check_escapes(text: &str) -> Result<(), UrlError> {
    for escape in text.split('%').skip(1) {
        let digits = escape.get(..2).filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let value = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        if value.is_none_or(|byte| byte.is_ascii_control()) {
            return Err(UrlError::Escape);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_read_is_what_is_written() {
        for (text, authority, rest) in [
            ("https://idp.example.org", "idp.example.org", "/"),
            ("HTTPS://IDP.Example.ORG:443/a", "idp.example.org", "/a"),
            ("https://idp.example.org:8443?x=/@", "idp.example.org:8443", "/?x=/@"),
            ("https://10.1.2.3/a%20b?c#", "", ""),
            ("https://10.1.2.3/a%20b?c", "10.1.2.3", "/a%20b?c"),
            ("https://[2606:4700::1111]:9443/", "[2606:4700::1111]:9443", "/"),
            ("http://intranet:80/", "intranet", "/"),
            ("http://_a.b-c.xn--p1ai:8080/", "_a.b-c.xn--p1ai:8080", "/"),
        ] {
            let target = Target::parse(text);
            if authority.is_empty() {
                assert_eq!(target, Err(UrlError::Fragment));
                continue;
            }
            let target = target.unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((&*target.authority(), target.path_and_query()), (authority, rest));
            assert_eq!(Target::parse(&target.to_string()).as_ref(), Ok(&target), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_the_same_twice_or_refused(
            text in "(https?://)?[a-z0-9.:@/?#%\\[\\]\\\\x-]{0,40}",
            any: String,
        ) {
            for text in [text, any] {
                if let Ok(target) = Target::parse(&text) {
                    prop_assert_eq!(Target::parse(&target.to_string()), Ok(target));
                }
            }
        }
    }
}
