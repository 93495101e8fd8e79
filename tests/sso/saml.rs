//! Signing in by SAML, from the button to the page, and every way in which that must not work.

use crate::browser::{Browser, is_failure, query, sent_to};
use crate::idp;
use crate::peer::{Answer, Ask};
use crate::providers::saml;
use crate::server::TENANT;
use crate::world::{OTHER, World, now_ms};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emx::model::time::format_rfc3339;
use flate2::read::DeflateDecoder;
use serde_json::{Value, json};
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

const FORM: &str = "application/x-www-form-urlencoded";

/// A provider as it was added.
pub(crate) struct Provider {
    pub(crate) body: Value,
}

/// A sign-in that has begun at the provider.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    pub(crate) request_id: String,
    pub(crate) relay_state: String,
}

/// What the provider asserts.
#[derive(Clone)]
pub(crate) struct Assertion {
    pub(crate) name_id: &'static str,
    pub(crate) email: &'static str,
    pub(crate) groups: &'static [&'static str],
    /// For how long the provider's session lasts.
    pub(crate) session_s: i64,
}

impl Default for Assertion {
    fn default() -> Self {
        let (name_id, email) = ("alice", "alice@example.org");
        Self { name_id, email, groups: &["builders"], session_s: 28_800 }
    }
}

impl Provider {
    pub(crate) fn add(world: &World, tenant: &str, changes: &Value) -> Self {
        let mut body = saml("Corporate");
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        Self { body: world.add(tenant, &body) }
    }

    fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap()
    }

    pub(crate) fn start(&self) -> &str {
        self.text("start")
    }

    /// The path of the assertion consumer.
    fn acs(&self) -> &str {
        let url = self.text("acs_url").strip_prefix("https://").unwrap();
        &url[url.find('/').unwrap()..]
    }

    /// A signed answer to `request_id`.
    pub(crate) fn answer(&self, request_id: &str, asserted: &Assertion) -> String {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let n = MADE.fetch_add(1, Ordering::Relaxed);
        let mut xml = idp::draft();
        // At its own time, not at that of the provider's other tests.
        for (from, to) in [(0, 0), (300, 300), (-300, -300), (28_800, asserted.session_s)] {
            xml = xml.replace(&idp::at(from), &format_rfc3339(now_ms() + to * 1000));
        }
        let mail = format!("<saml:AttributeValue>{}</saml:AttributeValue>", asserted.email);
        let groups: String = asserted
            .groups
            .iter()
            .map(|group| format!("<saml:AttributeValue>{group}</saml:AttributeValue>"))
            .collect();
        for (from, to) in [
            (idp::ACS, self.text("acs_url")),
            (idp::SP, self.text("sp_entity_id")),
            (idp::REQUEST, request_id),
            (">alice<", &format!(">{}<", asserted.name_id)),
            ("<saml:AttributeValue>alice@example.org</saml:AttributeValue>", &mail),
            (
                "<saml:AttributeValue>builders</saml:AttributeValue><saml:AttributeValue>admins</saml:AttributeValue>",
                &groups,
            ),
            ("ID=\"_assertion\"", &format!("ID=\"_assertion{n}\"")),
            ("ID=\"_response\"", &format!("ID=\"_response{n}\"")),
        ] {
            assert!(xml.contains(from), "{from}");
            xml = xml.replace(from, to);
        }
        let assertion = idp::CURVE.template(&format!("_assertion{n}")).to_string();
        idp::CURVE.sign_with(&xml, idp::Places::Assertion, &assertion, "")
    }
}

/// Presses the button: where the provider is asked, and what.
#[track_caller]
pub(crate) fn begin(
    world: &World,
    browser: &mut Browser,
    provider: &Provider,
    more: &str,
) -> Begun {
    let answer = browser.go(world.server(), &format!("{}{more}", provider.start()));
    let url = sent_to(&answer);
    begun_at(provider, url).unwrap_or_else(|| panic!("{url}"))
}

/// What the provider is asked by way of `url`, if that is how it is asked.
pub(crate) fn begun_at(provider: &Provider, url: &str) -> Option<Begun> {
    url.strip_prefix("https://idp.example.org/saml/sso?SAMLRequest=")?;
    let mut parameters = query(url);
    let deflated = STANDARD.decode(parameters["SAMLRequest"].as_bytes()).unwrap();
    let mut xml = String::new();
    DeflateDecoder::new(&*deflated).read_to_string(&mut xml).unwrap();
    assert!(xml.contains(provider.text("acs_url")) && xml.contains(provider.text("sp_entity_id")));
    let (_, rest) = xml.split_once(" ID=\"").unwrap();
    let request_id = rest.split('"').next().unwrap().to_owned();
    Some(Begun { request_id, relay_state: parameters.remove("RelayState").unwrap() })
}

/// What the provider has a browser post.
pub(crate) fn posted(provider: &Provider, begun: &Begun, xml: &str) -> Ask {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("SAMLResponse", &STANDARD.encode(xml))
        .append_pair("RelayState", &begun.relay_state)
        .finish();
    Ask::post(provider.acs())
        .header("Origin", "https://idp.example.org")
        .header("Sec-Fetch-Site", "cross-site")
        .body(FORM, form)
}

/// From the button to the page.
#[track_caller]
fn sign_in(world: &World, provider: &Provider, asserted: &Assertion) -> (Browser, Answer) {
    let mut browser = Browser::default();
    let begun = begin(world, &mut browser, provider, "");
    let xml = provider.answer(&begun.request_id, asserted);
    let answer = browser.ask(world.server(), posted(provider, &begun, &xml));
    (browser, answer)
}

#[test]
fn a_person_signs_in_and_the_page_has_a_session() {
    let world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let mut browser = Browser::default();
    let begun = begin(&world, &mut browser, &provider, "?return_to=/runs%3Frange%3D7d");
    let cookie = &browser.attributes["__Host-emx_saml"];
    assert_eq!(cookie, "Path=/; Secure; HttpOnly; SameSite=None; Max-Age=600");
    let kept = &browser.cookies["__Host-emx_saml"];
    assert!(!kept.contains(&begun.request_id) && !kept.contains("runs"), "{kept}");

    let xml = provider.answer(&begun.request_id, &Assertion::default());
    let answer = browser.ask(world.server(), posted(&provider, &begun, &xml));
    assert_eq!(sent_to(&answer), "/runs?range=7d");
    assert!(answer.body.is_empty());
    let cookie = &browser.attributes["__Host-emx_refresh"];
    assert!(cookie.starts_with("Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age="), "{cookie}");
    let age: i64 = cookie.rsplit('=').next().unwrap().parse().unwrap();
    assert!((28_700..=28_800).contains(&age), "the provider's session has eight hours: {age}");
    assert!(!browser.cookies.contains_key("__Host-emx_saml"), "{browser:?}");

    let (user, token) = browser.session(world.server()).unwrap();
    assert_eq!((&user["email"], &user["role"]), (&"alice@example.org".into(), &"member".into()));
    let me = world.server().ask(&Ask::get("/api/v1/auth/me").bearer(&token)).json();
    assert_eq!((&me["tenant"]["slug"], &me["user"]["id"]), (&TENANT.into(), &user["id"]));
    // Once more, in another browser, with another role.
    let asserted = Assertion { groups: &["builders", "admins"], ..Assertion::default() };
    let (mut other, _) = sign_in(&world, &provider, &asserted);
    let (again, _) = other.session(world.server()).unwrap();
    assert_eq!((&again["id"], &again["role"]), (&user["id"], &"admin".into()));
    let old = world.server().ask(&Ask::get("/api/v1/auth/me").bearer(&token));
    assert_eq!((old.status, &*old.code()), (401, "session_ended"));

    let page = world.server().ask(&Ask::get(&provider.acs().replace("/acs", "/metadata")));
    let metadata = String::from_utf8(page.body.clone()).unwrap();
    assert_eq!(page.header("content-type"), Some("application/samlmetadata+xml"));
    assert!(metadata.contains(provider.text("acs_url")), "{metadata}");
    assert!(metadata.contains(provider.text("sp_entity_id")), "{metadata}");
}

#[test]
fn an_answer_is_used_once_also_after_a_restart() {
    let mut world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let mut browser = Browser::default();
    let begun = begin(&world, &mut browser, &provider, "");
    let before = browser.clone();
    let xml = provider.answer(&begun.request_id, &Assertion::default());
    let post = || posted(&provider, &begun, &xml);
    sent_to(&browser.ask(world.server(), post()));
    // The same browser has nothing to finish any more; one that kept its cookie has finished it.
    is_failure(&browser.ask(world.server(), post()), 400, "sso_flow_unknown");
    is_failure(&before.clone().ask(world.server(), post()), 403, "assertion_replayed");
    world.end();
    world.start();
    // The port is another one, and so would be the address; that it was used is seen all the same.
    is_failure(&before.clone().ask(world.server(), post()), 403, "destination");
    world.end();
}

#[test]
fn what_was_used_stays_used_at_the_same_address_after_a_restart() {
    let public_url = ("EMX_SERVER__PUBLIC_URL", "https://metrics.example.org".to_owned());
    let mut world = World::with(&[public_url]);
    let provider = Provider::add(&world, TENANT, &json!({}));
    assert!(provider.text("acs_url").starts_with("https://metrics.example.org/api/"));
    let mut browser = Browser::default();
    // Whoever begins elsewhere is sent to the public address first, and begins there.
    let moved = browser.go(world.server(), &format!("{}?return_to=/keys", provider.start()));
    let expected =
        format!("https://metrics.example.org{}?return_to=%2Fkeys&moved=1", provider.start());
    assert_eq!(sent_to(&moved), expected);
    assert!(browser.cookies.is_empty(), "{browser:?}");
    let begun = begin(&world, &mut browser, &provider, "?return_to=%2Fkeys&moved=1");
    let before = browser.clone();
    let xml = provider.answer(&begun.request_id, &Assertion::default());
    let answer = browser.ask(world.server(), posted(&provider, &begun, &xml));
    assert_eq!(sent_to(&answer), "/keys");
    world.end();
    world.start();
    let again = before.clone().ask(world.server(), posted(&provider, &begun, &xml));
    is_failure(&again, 403, "assertion_replayed");
    // Not used, and begun before the restart: that is no fault.
    let begun = begin(&world, &mut browser, &provider, "?moved=1");
    world.end();
    world.start();
    let xml = provider.answer(&begun.request_id, &Assertion::default());
    assert_eq!(sent_to(&browser.ask(world.server(), posted(&provider, &begun, &xml))), "/");
    world.end();
}

#[test]
fn a_hundred_uses_at_once_let_one_in() {
    let world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let mut browser = Browser::default();
    let begun = begin(&world, &mut browser, &provider, "");
    let xml = provider.answer(&begun.request_id, &Assertion::default());
    // Fewer than the failures after which an address has to wait.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..40)
            .map(|_| {
                let mut browser = browser.clone();
                let (world, provider, begun, xml) = (&world, &provider, &begun, &xml);
                scope
                    .spawn(move || browser.ask(world.server(), posted(provider, begun, xml)).status)
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
}

#[test]
fn a_sign_in_ends_in_the_browser_the_tenant_and_with_the_provider_where_it_began() {
    let world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    // Two tenants may well have the same identity provider, and even the same name at it.
    let same = json!({ "sp_entity_id": provider.text("sp_entity_id") });
    let elsewhere = Provider::add(&world, OTHER, &same);
    let second = Provider::add(&world, TENANT, &json!({ "name": "Second" }));
    let mut browser = Browser::default();
    let begun = begin(&world, &mut browser, &provider, "");
    let xml = provider.answer(&begun.request_id, &Assertion::default());
    let stranger = Browser::default().ask(world.server(), posted(&provider, &begun, &xml));
    is_failure(&stranger, 400, "sso_flow_unknown");
    // Another browser that has begun by itself.
    let mut other = Browser::default();
    let others = begin(&world, &mut other, &provider, "");
    is_failure(
        &other.ask(world.server(), posted(&provider, &begun, &xml)),
        400,
        "sso_flow_unknown",
    );
    // With its own flow, but the answer to somebody else's question.
    let crossed = other.ask(world.server(), posted(&provider, &others, &xml));
    is_failure(&crossed, 403, "in_response_to");
    for wrong in [&elsewhere, &second] {
        let answer = browser.clone().ask(world.server(), posted(wrong, &begun, &xml));
        is_failure(&answer, 400, "sso_flow_unknown");
        let mut own = Browser::default();
        let begun = begin(&world, &mut own, wrong, "");
        let answer = own.ask(world.server(), posted(wrong, &begun, &xml));
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    // Nobody who failed has spent it.
    sent_to(&browser.ask(world.server(), posted(&provider, &begun, &xml)));
    assert!(browser.session(world.server()).is_some());
}

#[test]
fn two_tabs_do_not_end_each_others_sign_ins() {
    let world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let mut browser = Browser::default();
    let first = begin(&world, &mut browser, &provider, "?return_to=/runs");
    let second = begin(&world, &mut browser, &provider, "?return_to=/keys");
    for (begun, path) in [(&first, "/runs"), (&second, "/keys")] {
        let xml = provider.answer(&begun.request_id, &Assertion::default());
        let answer = browser.ask(world.server(), posted(&provider, begun, &xml));
        assert_eq!(sent_to(&answer), path);
    }
    assert!(!browser.cookies.contains_key("__Host-emx_saml"));
    // Of many, the newest few.
    let many: Vec<Begun> = (0..5).map(|_| begin(&world, &mut browser, &provider, "")).collect();
    let finish = |browser: &mut Browser, begun: &Begun| {
        let xml = provider.answer(&begun.request_id, &Assertion::default());
        browser.ask(world.server(), posted(&provider, begun, &xml))
    };
    is_failure(&finish(&mut browser, &many[0]), 400, "sso_flow_unknown");
    sent_to(&finish(&mut browser, &many[4]));
    sent_to(&finish(&mut browser, &many[2]));
}

#[test]
fn who_may_not_sign_in_is_told_so_on_a_page() {
    let world = World::new();
    let strict = json!({ "domains": ["example.org"] });
    let provider = Provider::add(&world, TENANT, &strict);
    let refused = |asserted: Assertion, status, code| {
        let (browser, answer) = sign_in(&world, &provider, &asserted);
        is_failure(&answer, status, code);
        assert!(!browser.cookies.contains_key("__Host-emx_refresh"));
    };
    let alice = Assertion::default;
    refused(Assertion { groups: &["MARKER"], ..alice() }, 403, "no_role");
    refused(Assertion { email: "alice@MARKER.example", ..alice() }, 403, "domain_not_allowed");
    refused(Assertion { email: "", ..alice() }, 403, "email_missing");
    refused(Assertion { session_s: -600, ..alice() }, 403, "session_over");
    // An account that was here before, with a password, is nobody's but its own.
    let made = world.emx(&["user", "create", "--tenant", TENANT, "bob@example.org", "--json"]);
    assert_eq!(made.0, 0, "{made:?}");
    let bob = Assertion { name_id: "bob", email: "BOB@example.org", ..alice() };
    refused(bob, 409, "account_exists");

    let (mut browser, answer) = sign_in(&world, &provider, &alice());
    sent_to(&answer);
    let (_, token) = browser.session(world.server()).unwrap();
    let gone = world.emx(&["user", "disable", "--tenant", TENANT, "alice@example.org", "--json"]);
    assert_eq!(gone.0, 0, "{gone:?}");
    let me = world.server().ask(&Ask::get("/api/v1/auth/me").bearer(&token));
    assert_eq!(me.status, 401);
    refused(alice(), 403, "account_disabled");
    // And with a password that was never given.
    for password in ["", "alice", "correct horse battery"] {
        let body = json!({ "tenant": TENANT, "email": "alice@example.org", "password": password });
        let answer = world.server().ask(&Ask::post("/api/v1/auth/login").json(&body.to_string()));
        assert_eq!((answer.status, &*answer.code()), (401, "invalid_credentials"));
    }
}

#[test]
fn answers_that_are_not_believed_open_nothing() {
    let world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let good = |begun: &Begun| provider.answer(&begun.request_id, &Assertion::default());
    type Forging<'a> = Box<dyn Fn(&Begun) -> String + 'a>;
    let forged: Vec<(&str, Forging<'_>)> = vec![
        ("nothing", Box::new(|_| String::new())),
        ("no XML", Box::new(|_| "MARKER".into())),
        ("altered", Box::new(|begun| good(begun).replace(">alice<", ">admin<"))),
        (
            "unsigned",
            Box::new(|begun| {
                let xml = good(begun);
                let signature = idp::signature(&xml).to_owned();
                xml.replace(&signature, "")
            }),
        ),
        ("entities", Box::new(|begun| format!("<!DOCTYPE r [<!ENTITY x \"y\">]>{}", good(begun)))),
        ("unasked", Box::new(|_| provider.answer("_another", &Assertion::default()))),
    ];
    for (name, forge) in forged {
        let mut browser = Browser::default();
        let begun = begin(&world, &mut browser, &provider, "");
        let answer = browser.ask(world.server(), posted(&provider, &begun, &forge(&begun)));
        assert_eq!(answer.status, 403, "{name}: {answer:?}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains("was not accepted") && !text.contains("MARKER"), "{name}: {text}");
        assert!(!browser.cookies.contains_key("__Host-emx_refresh"), "{name}");
        // What failed has not spent the flow: the provider may be asked by the same page once more.
        sent_to(&browser.ask(world.server(), posted(&provider, &begun, &good(&begun))));
    }
}

#[test]
fn the_addresses_take_nothing_but_what_a_browser_sends_there() {
    let world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let mut browser = Browser::default();
    let begun = begin(&world, &mut browser, &provider, "");
    let xml = provider.answer(&begun.request_id, &Assertion::default());
    let post = || posted(&provider, &begun, &xml);
    // A part of a page, not a page.
    for dest in ["iframe", "image", "empty", "script"] {
        let ask = browser.dressed(post()).with("Sec-Fetch-Dest", dest);
        is_failure(&world.server().ask(&ask), 403, "not_a_navigation");
        let ask = Ask::get(provider.start()).header("Sec-Fetch-Dest", dest);
        is_failure(&world.server().ask(&ask), 403, "not_a_navigation");
    }
    let json = browser.ask(world.server(), Ask::post(provider.acs()).json("{}"));
    is_failure(&json, 415, "unsupported_media_type");
    let twice = format!("SAMLResponse=a&SAMLResponse=b&RelayState={}", begun.relay_state);
    let twice = browser.ask(world.server(), Ask::post(provider.acs()).body(FORM, twice));
    is_failure(&twice, 400, "invalid_parameter");
    let huge = format!("SAMLResponse={}", "A".repeat(600_000));
    let huge = browser.ask(world.server(), Ask::post(provider.acs()).body(FORM, huge));
    is_failure(&huge, 413, "body_too_large");
    let none = browser.ask(world.server(), Ask::post(provider.acs()).body(FORM, "x=1"));
    is_failure(&none, 400, "sso_flow_unknown");
    assert_eq!(browser.go(world.server(), provider.acs()).status, 405);
    // Addresses of nothing, and of another protocol.
    for path in [
        "/api/v1/auth/saml/default/aaaaaaaaaaaaaaaa/start".to_owned(),
        "/api/v1/auth/saml/nowhere/aaaaaaaaaaaaaaaa/start".to_owned(),
        format!("/api/v1/auth/saml/{OTHER}/{}/start", provider.text("id")),
        format!("/api/v1/auth/sso/{TENANT}/{}/start", provider.text("id")),
        "/api/v1/auth/saml/default/%3Cscript%3EMARKER/start".to_owned(),
        "/api/v1/auth/saml/default/a%2Fb/start".to_owned(),
    ] {
        is_failure(&browser.go(world.server(), &path), 404, "sso_provider_not_found");
    }
    let named = Ask::get(provider.start()).header("X-Tenant", OTHER);
    is_failure(&browser.ask(world.server(), named), 403, "tenant_mismatch");
    // It is still there.
    sent_to(&browser.ask(world.server(), post()));
}

#[test]
fn nobody_is_sent_to_another_place() {
    let world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let mut browser = Browser::default();
    for bad in [
        "https://MARKER.example",
        "//MARKER.example",
        "///MARKER.example",
        "/%5CMARKER.example",
        "%5C/MARKER.example",
        "/%09/MARKER.example",
        "%09//MARKER.example",
        "/%0D%0ALocation:%20https://MARKER.example",
        "javascript:alert(1)",
        "data:text/html,MARKER",
        "MARKER.example",
        "%20/runs",
        "",
    ] {
        let answer = browser.go(world.server(), &format!("{}?return_to={bad}", provider.start()));
        is_failure(&answer, 400, "invalid_return");
        assert!(browser.cookies.is_empty());
    }
    let other = browser.go(world.server(), &format!("{}?next=//MARKER", provider.start()));
    is_failure(&other, 400, "invalid_parameter");
    // What a host says of itself leads nowhere either.
    let forged = Ask::get(provider.start()).with("Host", "marker.example");
    let answer = world.server().ask(&forged);
    let url = format!("https://localhost:{}/api/", world.server().address.port());
    assert!(sent_to(&answer).starts_with(&url), "{answer:?}");
}

#[test]
fn an_address_that_fails_again_and_again_has_to_wait_and_no_account_does() {
    let world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let mut browser = Browser::default();
    let mut statuses = Vec::new();
    for _ in 0..60 {
        let begun = begin(&world, &mut browser, &provider, "");
        let answer = browser.ask(world.server(), posted(&provider, &begun, "<x/>"));
        statuses.push(answer.status);
        if answer.status == 429 {
            is_failure(&answer, 429, "too_many_attempts");
            for name in ["retry-after", "ratelimit-limit", "ratelimit-reset", "ratelimit-policy"] {
                assert!(answer.header(name).is_some(), "{name}: {answer:?}");
            }
            break;
        }
    }
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    assert!(statuses.len() > 40, "{statuses:?}");
}
