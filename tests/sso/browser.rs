//! What a browser does that matters here: it keeps cookies, says what it is after, and goes where it is
//! sent.

use crate::peer::{Answer, Ask, Peer};
use crate::server::Server;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A browser with cookies of one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
    /// The attributes that each cookie came with.
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Browser {
    /// `ask` as a page to go to, with the cookies.
    pub(crate) fn dressed(&self, ask: Ask) -> Ask {
        let ask = ask.header("Sec-Fetch-Dest", "document").header("Sec-Fetch-Mode", "navigate");
        if self.cookies.is_empty() {
            return ask;
        }
        let mut cookies = String::new();
        for (name, value) in &self.cookies {
            let _fits = write!(cookies, "{name}={value}; ");
        }
        ask.header("Cookie", cookies.trim_end_matches("; "))
    }

    /// Keeps the cookies of an answer.
    pub(crate) fn keep(&mut self, answer: &Answer) {
        for (_, value) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (pair, attributes) = value.split_once(';').unwrap_or((value, ""));
            let (name, value) = pair.split_once('=').unwrap();
            self.attributes.insert(name.to_owned(), attributes.trim().to_owned());
            match attributes.contains("Max-Age=0") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), value.to_owned())),
            }
        }
    }

    /// Asks the server, as a page to go to, under its public name.
    pub(crate) fn ask(&mut self, server: &Server, ask: Ask) -> Answer {
        let host = format!("localhost:{}", server.address.port());
        let answer = server.ask(&self.dressed(ask.with("Host", &host)));
        self.keep(&answer);
        answer
    }

    /// Goes to a page of the server.
    pub(crate) fn go(&mut self, server: &Server, target: &str) -> Answer {
        self.ask(server, Ask::get(target))
    }

    /// Asks another host over a connection of its own.
    pub(crate) fn ask_over(&mut self, mut peer: Peer, ask: &Ask) -> Answer {
        let answer = peer.ask(&self.dressed(ask.clone())).unwrap();
        self.keep(&answer);
        answer
    }

    /// The page's session, if it has one: who is signed in, and the access token.
    pub(crate) fn session(&mut self, server: &Server) -> Option<(serde_json::Value, String)> {
        let host = format!("localhost:{}", server.address.port());
        let cookie = self.cookies.get("__Host-emx_refresh")?;
        let ask = Ask::post("/api/v1/auth/refresh")
            .with("Host", &host)
            .header("Sec-Fetch-Site", "same-origin")
            .header("Cookie", &format!("__Host-emx_refresh={cookie}"))
            .json("{}");
        let answer = server.ask(&ask);
        self.keep(&answer);
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = answer.json();
        let token = body["access_token"].as_str().unwrap().to_owned();
        Some((body["user"].clone(), token))
    }
}

/// The parameters of a URL.
pub(crate) fn query(url: &str) -> BTreeMap<String, String> {
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Fails unless `answer` is a page that says `code` and nothing that was sent.
#[track_caller]
pub(crate) fn is_failure(answer: &Answer, status: u16, code: &str) {
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(text.contains(&format!("<code>{code}</code>")), "{text}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!text.contains("<script") && !text.contains("MARKER"), "{text}");
    assert!(answer.header("location").is_none());
    let refresh = |(name, value): &(String, String)| {
        name == "set-cookie" && value.starts_with("__Host-emx_refresh")
    };
    assert!(!answer.headers.iter().any(refresh), "{answer:?}");
}

/// Where an answer sends the browser.
#[track_caller]
pub(crate) fn sent_to(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.header("location").unwrap()
}
