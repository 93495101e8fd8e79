//! Who may use the cookie of the server's page: its own page, and nobody who has a browser send it.

use crate::peer::{Answer, Ask};
use crate::server::{Server, TENANT};
use crate::world::World;
use serde_json::json;

/// Where a request says that it comes from: `Origin` and `Sec-Fetch-Site`.
type From = (Option<&'static str>, Option<&'static str>);

/// What browsers say of the server's own page, which is asked for as `localhost`.
const OWN: [From; 4] = [
    (Some("https://localhost"), Some("same-origin")),
    (Some("https://localhost"), None),
    (Some("https://localhost:443"), None),
    (None, Some("same-origin")),
];

/// What they say of any other, and what is said by who is no browser. The second last is listed.
const OTHERS: [From; 20] = [
    (None, None),
    (None, Some("none")),
    (None, Some("same-site")),
    (None, Some("cross-site")),
    (None, Some("")),
    (Some("https://evil.example"), None),
    (Some("https://evil.example"), Some("same-origin")),
    (Some("https://evil.example"), Some("cross-site")),
    (Some("https://localhost"), Some("cross-site")),
    (Some("https://localhost"), Some("same-site")),
    (Some("https://localhost"), Some("none")),
    (Some("null"), None),
    (Some("null"), Some("same-origin")),
    (Some(""), None),
    (Some("http://localhost"), None),
    (Some("https://localhost:8443"), None),
    (Some("https://localhost.evil.example"), None),
    (Some("https://sub.localhost"), None),
    (Some("https://wall.example"), None),
    (Some("https://wall.example"), Some("same-origin")),
];

fn from(ask: Ask, (origin, site): From) -> Ask {
    let ask = origin.iter().fold(ask, |ask, origin| ask.header("Origin", origin));
    site.iter().fold(ask, |ask, site| ask.header("Sec-Fetch-Site", site))
}

fn world() -> World {
    let listed = "https://wall.example";
    World::with(&[("EMX_SERVER__CORS_ORIGINS", listed), ("EMX_SERVER__ORIGINS", listed)])
}

fn login(server: &Server) -> Ask {
    let (email, password) = server.first_login();
    let body = json!({ "tenant": TENANT, "email": email, "password": password, "cookie": true });
    Ask::post("/api/v1/auth/login").json(&body.to_string())
}

fn refresh(cookie: &str) -> Ask {
    Ask::post("/api/v1/auth/refresh").json("{}").header("Cookie", cookie)
}

/// The cookie that an answer sets, as a browser sends it back.
fn cookie_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json().get("refresh_token").is_none(), "a script could read it");
    let set = answer.header("set-cookie").unwrap();
    let (pair, attributes) = set.split_once("; ").unwrap();
    let said: Vec<&str> = attributes.split("; ").collect();
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(said.contains(&attribute), "{set}");
    }
    assert!(!said.iter().any(|word| word.to_lowercase().starts_with("domain")), "{set}");
    assert!(pair.starts_with("__Host-emx_refresh="), "{set}");
    pair.to_owned()
}

#[test]
fn the_cookie_is_the_own_pages_alone() {
    let world = world();
    for place in OTHERS {
        world.check(&from(login(&world.server), place), 403, "origin_not_allowed");
    }
    let mut cookie = String::new();
    for place in OWN {
        cookie = cookie_of(&world.ask(&from(login(&world.server), place)));
    }
    // Whoever is refused has not used it up.
    for place in OTHERS {
        let refused = world.check(&from(refresh(&cookie), place), 403, "origin_not_allowed");
        assert_eq!(refused.header("set-cookie"), None, "{place:?}");
    }
    for place in OWN {
        cookie = cookie_of(&world.ask(&from(refresh(&cookie), place)));
    }
    // Two of a header are a trick.
    let own = |ask: Ask| from(ask, OWN[0]);
    for name in ["Origin", "Sec-Fetch-Site"] {
        let twice = own(refresh(&cookie)).header(name, "https://localhost");
        world.check(&twice, 400, "duplicate_header");
    }
    world.check(&own(Ask::post("/api/v1/auth/refresh").json("{}")), 401, "unauthorized");
    let session = world.check(&own(refresh(&cookie)), 200, "").json();
    let token = session["access_token"].as_str().unwrap();
    let out = world.check(&own(Ask::post("/api/v1/auth/logout").bearer(token)), 204, "");
    let set = out.header("set-cookie").unwrap();
    assert!(set.starts_with("__Host-emx_refresh=;") && set.contains("Max-Age=0"), "{set}");
    world.server.end();
}

#[test]
fn no_form_and_no_other_method_uses_the_cookie() {
    let world = world();
    let cookie = cookie_of(&world.ask(&from(login(&world.server), OWN[0])));
    for target in ["/api/v1/auth/login", "/api/v1/auth/refresh"] {
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let ask = from(Ask::new(method, target), OWN[0]).header("Cookie", &cookie);
            assert_eq!(world.ask(&ask).status, 405, "{method} {target}");
        }
        // What a form can send (HTML §4.10.21.8), also from the server's own origin.
        for media_type in [
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/plain",
            "text/plain; charset=application/json",
        ] {
            let ask = Ask::post(target).body(media_type, "{}").header("Cookie", &cookie);
            let code = "unsupported_media_type";
            world.check(&from(ask, OWN[0]), 415, code);
        }
    }
    // It is good for nothing else.
    for (method, target) in [
        ("GET", "/api/v1/auth/me"),
        ("GET", "/api/v1/executions"),
        ("POST", "/api/v1/executions"),
        ("POST", "/api/v1/auth/logout"),
        ("POST", "/api/v1/ws/ticket"),
        ("DELETE", "/api/v1/api-keys/none"),
    ] {
        for place in [OWN[0], OTHERS[0], OTHERS[5]] {
            let ask = from(Ask::new(method, target), place).header("Cookie", &cookie);
            world.check(&ask, 401, "unauthorized");
        }
    }
    cookie_of(&world.ask(&from(refresh(&cookie), OWN[0])));
    world.server.end();
}
