//! The names a local certificate is issued for: what clients may type to reach the server.
//!
//! *Invariant*: a [`SubjectName`] is in the one form that certificates and clients compare (RFC
//! 5280 §4.2.1.6, RFC 6125 §6.4): lower case ASCII without a final dot, or an address as bytes.

use super::error::TlsError;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most names in a certificate: it goes over the wire in every handshake, and a hundred names make
/// it some three kilobytes.
pub const NAMES_MAX: usize = 100;

/// Longest DNS name in bytes (RFC 1035 §2.3.4).
const DNS_BYTES_MAX: usize = 253;

/// Longest part of one between dots, in bytes, as above.
const LABEL_BYTES_MAX: usize = 63;

/// A name or an address that a certificate is issued for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubjectName {
    /// A DNS name; its first part may be `*`.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl SubjectName {
    /// Reads `text`: a DNS name, or an IPv4 or IPv6 address, the latter with or without brackets.
    pub fn parse(text: &str) -> Result<Self, TlsError> {
        let refuse = |reason| Err(TlsError::Name { name: text.to_owned(), reason });
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Ip(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() {
            return refuse("is empty: remove it, or write a DNS name or an address");
        }
        if !name.is_ascii() {
            return refuse("is not ASCII: write it in the form that begins with `xn--`");
        }
        if name.contains([':', '/']) {
            return refuse("is more than a name: write it without scheme, port and path");
        }
        if name.len() > DNS_BYTES_MAX {
            return refuse("is longer than a DNS name can be (253 bytes)");
        }
        let plain = name.strip_prefix("*.").unwrap_or(&name);
        if !plain.split('.').all(is_label) {
            return refuse("is not a DNS name: use letters, digits and `-` between the dots");
        }
        if plain.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
            return refuse("ends like an address and is none: write four numbers from 0 to 255");
        }
        Ok(Self::Dns(name))
    }

    /// Whether it means "every address of this machine", which no client can type.
    fn is_unspecified(&self) -> bool {
        matches!(self, Self::Ip(address) if address.is_unspecified())
    }
}

/// Whether `label` may stand between two dots. An underscore is in no host name (RFC 952), but
/// Windows and container networks give such ones and clients accept them.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= LABEL_BYTES_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// All names of a local certificate: `localhost` and the loopback addresses, so that the machine
/// itself always gets through; `machine`, if it is a name at all; and those in `given`.
///
/// `0.0.0.0` and `::` among `given` are left out: they say where to listen, and nobody can type
/// them. Whoever listens there and is reached by address names the address.
pub fn wanted(machine: Option<&str>, given: &[String]) -> Result<BTreeSet<SubjectName>, TlsError> {
    let mut names = BTreeSet::from([
        SubjectName::Dns("localhost".into()),
        SubjectName::Ip(Ipv4Addr::LOCALHOST.into()),
        SubjectName::Ip(Ipv6Addr::LOCALHOST.into()),
    ]);
    names.extend(machine.and_then(|name| SubjectName::parse(name).ok()));
    for name in given {
        names.insert(SubjectName::parse(name.trim())?);
    }
    names.retain(|name| !name.is_unspecified());
    if names.len() > NAMES_MAX {
        return Err(TlsError::TooManyNames { count: names.len(), names_max: NAMES_MAX });
    }
    Ok(names)
}

/// What this machine calls itself, if that is text.
pub(super) fn machine_name() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_brought_into_one_form() {
        let cases = [
            ("Metrics.Example.ORG.", Some("metrics.example.org")),
            ("*.example.org", Some("*.example.org")),
            ("build_host-7", Some("build_host-7")),
            ("10.0.0.7", Some("10.0.0.7")),
            ("[2001:DB8::0:1]", Some("2001:db8::1")),
            ("::ffff:10.0.0.7", Some("10.0.0.7")),
            ("1.example", Some("1.example")),
            ("", None),
            (".", None),
            ("a..b", None),
            ("-a.b", None),
            ("a b", None),
            ("a.*.b", None),
            ("*", None),
            ("host:8443", None),
            ("https://host", None),
            ("bücher.example", None),
            ("10.0.0.256", None),
            ("10.0.0", None),
            ("fe80::1%eth0", None),
        ];
        for (text, form) in cases {
            let read = SubjectName::parse(text);
            assert_eq!(read.as_ref().ok().map(ToString::to_string).as_deref(), form, "{text}");
            if let Err(error) = read {
                assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
            }
        }
        assert!(SubjectName::parse(&"a".repeat(64)).is_err());
        assert!(SubjectName::parse(&["a"; 130].join(".")).is_err());
    }

    #[test]
    fn the_machine_itself_always_gets_through() {
        let given = ["0.0.0.0".into(), "::".into(), "localhost".into(), " metrics ".into()];
        let names: Vec<String> =
            wanted(Some("Box"), &given).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["box", "localhost", "metrics", "127.0.0.1", "::1"]);
        assert_eq!(wanted(Some("not a name"), &[]).unwrap().len(), 3);
        assert!(wanted(None, &["not a name".into()]).is_err());
        let many: Vec<String> = (0..NAMES_MAX).map(|n| format!("host-{n}")).collect();
        assert!(matches!(wanted(None, &many), Err(TlsError::TooManyNames { .. })));
    }

    #[test]
    fn this_machine_has_a_name() {
        assert!(machine_name().is_some_and(|name| !name.is_empty()));
    }
}
