//! Where browsers reach the server, as far as the settings and its address say.

use crate::config::settings::Settings;
use std::net::{IpAddr, SocketAddr};

/// The port that need not be said.
const HTTPS_PORT: u16 = 443;

/// The public address: the one that is set, or the server's first name, or its address, as one would
/// type it.
pub(super) fn url_of(settings: &Settings, address: SocketAddr) -> String {
    let server = &settings.server;
    if !server.public_url.0.is_empty() {
        return server.public_url.0.clone();
    }
    let name = server.names.0.iter().find(|name| !name.starts_with('*'));
    let host = match name {
        Some(name) => of_name(name),
        None if address.ip().is_loopback() || address.ip().is_unspecified() => "localhost".into(),
        None => of_address(address.ip()),
    };
    match address.port() {
        HTTPS_PORT => format!("https://{host}"),
        port => format!("https://{host}:{port}"),
    }
}

fn of_name(name: &str) -> String {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(address) => of_address(address),
        Err(_) => name.to_ascii_lowercase(),
    }
}

fn of_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{Names, Text};

    fn check(public_url: &str, names: &[&str], address: &str, expected: &str) {
        let mut settings = Settings::default();
        settings.server.public_url = Text(public_url.into());
        settings.server.names = Names(names.iter().map(ToString::to_string).collect());
        let url = url_of(&settings, address.parse().unwrap());
        assert_eq!(url, expected);
        assert_eq!(crate::identity::sso::site::checked(&url).as_ref(), Ok(&url));
    }

    #[test]
    fn the_setting_wins_then_the_first_name_then_the_address() {
        check("https://a.example", &["b.example"], "127.0.0.1:8443", "https://a.example");
        check("", &["*.b.example", "B.example"], "0.0.0.0:8443", "https://b.example:8443");
        check("", &["b.example"], "0.0.0.0:443", "https://b.example");
        check("", &["2001:db8::1"], "[::]:8443", "https://[2001:db8::1]:8443");
        check("", &[], "127.0.0.1:8443", "https://localhost:8443");
        check("", &[], "[::]:8443", "https://localhost:8443");
        check("", &[], "192.0.2.1:8443", "https://192.0.2.1:8443");
        check("", &[], "[2001:db8::1]:443", "https://[2001:db8::1]");
    }
}
