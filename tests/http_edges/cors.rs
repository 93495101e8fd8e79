//! Which pages may read answers: each origin with each method.

use crate::peer::{Answer, Ask};
use crate::server::Server;

const LISTED: [&str; 3] =
    ["https://wall.example", "https://wall.example:8443", "http://localhost:5173"];

/// Origins that are not listed, however much they look like it; the last is the server's own.
const UNLISTED: [&str; 13] = [
    "null",
    "*",
    "",
    "https://evil.example",
    "https://wall.example.evil.example",
    "https://evil-wall.example",
    "https://sub.wall.example",
    "http://wall.example",
    "https://wall.example:8444",
    "https://wall.example/",
    "https://wall.example https://evil.example",
    "http://localhost",
    "https://localhost",
];

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Addresses, and the methods that they take.
const ADDRESSES: [(&str, &str); 4] = [
    ("/api/v1/query?metrics=count", "POST, GET, HEAD"),
    ("/api/v1/api-keys/none", "GET, PATCH, DELETE, HEAD"),
    ("/api/v1/auth/login", "POST"),
    ("/healthz", "GET, HEAD"),
];

fn start(dir: &tempfile::TempDir, settings: &[(&str, &str)]) -> (Server, String) {
    let server = Server::start_with(&dir.path().join("data"), settings);
    let token = server.sign_in();
    (server, token)
}

/// What a browser asks first.
fn preflight(target: &str, method: &str, origin: &str) -> Ask {
    Ask::new("OPTIONS", target)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
        .header("Access-Control-Request-Headers", "authorization, content-type")
}

fn varies(answer: &Answer) -> bool {
    answer.headers.iter().any(|(name, value)| name == "vary" && value == "origin")
}

/// Nothing in the answer lets any page read it.
fn demand_silent(answer: &Answer, about: &str) {
    let told = answer.headers.iter().any(|(name, _)| name.starts_with("access-control-"));
    assert!(!told, "{about}: {answer:?}");
}

/// The answer may be read by pages of `origin`, without what a browser sends by itself.
fn demand_for(answer: &Answer, origin: &str, about: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{about}: {answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), None, "{about}");
    assert!(varies(answer), "{about}: {answer:?}");
}

#[test]
fn nobodys_page_reads_anything_unless_it_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (server, token) = start(&dir, &[]);
    for origin in LISTED.iter().chain(&UNLISTED) {
        for (target, _) in ADDRESSES {
            for method in METHODS {
                let about = format!("{method} {target} {origin}");
                let ask = Ask::new(method, target).bearer(&token).header("Origin", origin);
                let answer = server.ask(&ask);
                demand_silent(&answer, &about);
                assert!(!varies(&answer), "{about}: {answer:?}");
                let asked = server.ask(&preflight(target, method, origin));
                demand_silent(&asked, &about);
                assert_eq!(asked.status, 405, "{about}");
            }
        }
    }
    server.end();
}

#[test]
fn a_listed_page_reads_what_its_token_lets_it_and_no_other_page_does() {
    let dir = tempfile::tempdir().unwrap();
    let listed = LISTED.join(", ");
    let (server, token) = start(&dir, &[("EMX_SERVER__CORS_ORIGINS", &listed)]);
    for (target, allowed) in ADDRESSES {
        for method in METHODS {
            let ask = || Ask::new(method, target).bearer(&token);
            let plain = server.ask(&ask());
            demand_silent(&plain, target);
            assert!(varies(&plain), "{method} {target}: {plain:?}");
            for origin in LISTED {
                let about = format!("{method} {target} {origin}");
                let answer = server.ask(&ask().header("Origin", origin));
                demand_for(&answer, origin, &about);
                assert_eq!((answer.status, answer.code()), (plain.status, plain.code()), "{about}");
                let read = answer.header("access-control-expose-headers").unwrap();
                assert!(read.contains("etag") && read.contains("retry-after"), "{read}");
                assert!(!read.contains("set-cookie") && !read.contains('*'), "{read}");

                let asked = server.ask(&preflight(target, method, origin));
                demand_for(&asked, origin, &about);
                assert_eq!((asked.status, asked.body.len()), (204, 0), "{about}");
                assert_eq!(asked.header("access-control-allow-methods"), Some(allowed));
                assert_eq!(asked.header("access-control-max-age"), Some("600"));
                let sent = asked.header("access-control-allow-headers").unwrap();
                assert!(sent.contains("authorization") && !sent.contains('*'), "{sent}");
                assert!(!sent.contains("cookie") && !sent.contains("x-forwarded"), "{sent}");
            }
            for origin in UNLISTED {
                let about = format!("{method} {target} {origin}");
                let answer = server.ask(&ask().header("Origin", origin));
                demand_silent(&answer, &about);
                assert!(varies(&answer), "{about}: {answer:?}");
                let asked = server.ask(&preflight(target, method, origin));
                demand_silent(&asked, &about);
                assert_eq!(asked.status, 405, "{about}");
            }
        }
    }
    more_of_listed(&server, &token);
    server.end();
}

/// What is neither an answer to a page nor to its preflight.
fn more_of_listed(server: &Server, token: &str) {
    let [origin, ..] = LISTED;
    let target = "/api/v1/query?metrics=count";
    // Two origins are none, and a preflight without its question is a method that is not there.
    let two = Ask::get(target).bearer(token).header("Origin", origin).header("Origin", origin);
    demand_silent(&server.ask(&two), "two origins");
    let unasked = server.ask(&Ask::new("OPTIONS", target).header("Origin", origin));
    assert_eq!(unasked.status, 405, "{unasked:?}");
    demand_for(&unasked, origin, "no question");
    // A refusal can be read too: the page must be able to say what is wrong.
    let refused = server.ask(&Ask::get(target).header("Origin", origin));
    assert_eq!(refused.status, 401);
    demand_for(&refused, origin, "nobody");
    let nowhere = server.ask(&Ask::get("/api/v1/nowhere").header("Origin", origin));
    assert_eq!(nowhere.status, 404);
    demand_for(&nowhere, origin, "nowhere");
    // The server's own page is its own.
    let page = server.ask(&Ask::get("/").header("Origin", origin));
    demand_silent(&page, "the page");
    // An address that only the person at the machine has is not there.
    let hidden = server.ask(&preflight("/control/act", "POST", origin));
    assert!(hidden.status >= 400, "{hidden:?}");
    assert_eq!(hidden.header("access-control-allow-methods"), None, "{hidden:?}");
}
