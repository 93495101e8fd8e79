//! Signing in at the npm package `oidc-provider`, an OpenID provider that is not ours and is certified
//! as one, from the button to the page; and every way in which that must not work.

use crate::browser::{Browser, is_failure, query, sent_to};
use crate::install;
use crate::peer::{Answer, Ask, Peer};
use crate::server::TENANT;
use crate::world::{OTHER, World};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// Pages that a sign-in leads through at the provider, at most.
const PAGES_MAX: usize = 20;

/// The provider as a process. It is killed when this is dropped.
pub(crate) struct Provider {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
    /// Where it is there.
    path: &'static str,
    tls: Arc<ClientConfig>,
    dir: TempDir,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _may_have_ended = self.child.wait();
    }
}

impl Provider {
    /// Starts it at `path`, or says why that cannot be.
    pub(crate) fn start(path: &'static str) -> Result<Self, &'static str> {
        // With the packages of the protocol's own tests.
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let packages = install::node(&root.join("tests/oidc/real"), "oidc", &[])?;
        install::add(&root.join("tests/sso/provider.mjs"), &packages, "sso.mjs");
        let script = packages.join("sso.mjs");
        let dir = tempfile::tempdir().unwrap();
        let [certificate, key] = ["ca.pem", "key.pem"].map(|name| dir.path().join(name));
        let pair = rcgen::KeyPair::generate().unwrap();
        let names = ["127.0.0.1", "localhost"].map(str::to_owned);
        let made = rcgen::CertificateParams::new(names).unwrap().self_signed(&pair).unwrap();
        std::fs::write(&certificate, made.pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        let mut child = Command::new("node")
            .arg(script)
            .args([&certificate, &key])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = output.next().unwrap().unwrap();
        let port: u16 = ready.strip_prefix("READY ").unwrap().parse().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&certificate).unwrap()).unwrap();
        let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self { child, input, output, address, path, tls: Arc::new(tls), dir })
    }

    /// Ends it: nobody listens there any more.
    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn issuer(&self) -> String {
        format!("https://{}{}", self.address, self.path)
    }

    /// What a server is told that may ask it.
    pub(crate) fn settings(&self) -> [(&'static str, String); 2] {
        let ca_file = self.dir.path().join("ca.pem").to_str().unwrap().to_owned();
        [
            ("EMX_OUTGOING__NETWORKS", self.address.to_string()),
            ("EMX_OUTGOING__AUTHORITIES", ca_file),
        ]
    }

    /// Adds it to a tenant, and the tenant to it.
    pub(crate) fn add(
        &mut self,
        world: &World,
        tenant: &str,
        name: &str,
        changes: &Value,
    ) -> Value {
        let client = format!("{tenant}-{name}");
        let mut body = json!({
            "name": name, "kind": "oidc", "issuer": self.issuer(), "client_id": client,
            "client_secret": format!("secret of {client}"), "scopes": ["email", "groups"],
            "roles": { "ops": "admin" }, "default_role": "viewer",
        });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = world.add(tenant, &body);
        self.enter(&client, made["redirect_uri"].as_str().unwrap());
        made
    }

    /// Tells the provider of a client, whose secret is `secret of` its id.
    pub(crate) fn enter(&mut self, client: &str, redirect_uri: &str) {
        writeln!(self.input, "{client} {redirect_uri}").unwrap();
        assert_eq!(self.output.next().unwrap().unwrap(), format!("CLIENT {client}"));
    }

    fn ask(&self, browser: &mut Browser, ask: Ask) -> Answer {
        let peer = Peer::connect(self.address, Arc::clone(&self.tls)).unwrap();
        let host = self.address.to_string();
        browser.ask_over(peer, &ask.with("Host", &host))
    }

    /// Signs in as `login` where `url` leads: the address to come back to.
    pub(crate) fn sign_in(&self, url: &str, login: &str) -> String {
        let (mut browser, origin) = (Browser::default(), format!("https://{}", self.address));
        let target = |url: &str| url.strip_prefix(&origin).map(str::to_owned);
        let mut ask = Ask::get(&target(url).unwrap());
        for _ in 0..PAGES_MAX {
            let answer = self.ask(&mut browser, ask);
            if let Some(location) = answer.header("location") {
                match target(location) {
                    None if location.starts_with('/') => ask = Ask::get(location),
                    None => return location.to_owned(),
                    Some(path) => ask = Ask::get(&path),
                }
                continue;
            }
            // A page with a form: who one is, and then what one consents to.
            let page = String::from_utf8(answer.body.clone()).unwrap();
            let action = page.split("action=\"").nth(1).and_then(|rest| rest.split('"').next());
            let action = action.unwrap_or_else(|| panic!("{answer:?}\n{page}"));
            let prompt = if page.contains("value=\"login\"") { "login" } else { "consent" };
            let form = form_urlencoded::Serializer::new(String::new())
                .append_pair("prompt", prompt)
                .append_pair("login", login)
                .append_pair("password", "any")
                .finish();
            let path = target(action).unwrap_or_else(|| action.to_owned());
            ask = Ask::post(&path).body("application/x-www-form-urlencoded", form);
        }
        panic!("it does not come to an end");
    }
}

/// The provider and a server that may ask it; nothing where that cannot be had here, which is said.
pub(crate) fn installation() -> Option<(Provider, World)> {
    match Provider::start("") {
        Ok(provider) => {
            let world = World::with(&provider.settings());
            Some((provider, world))
        }
        Err(why) => {
            println!("skipped: single sign-on with oidc-provider, for {why}");
            None
        }
    }
}

/// Presses the button: where the browser is sent.
#[track_caller]
pub(crate) fn begin(world: &World, browser: &mut Browser, made: &Value, more: &str) -> String {
    let start = made["start"].as_str().unwrap();
    let answer = browser.go(world.server(), &format!("{start}{more}"));
    sent_to(&answer).to_owned()
}

/// The path of an address of the server.
pub(crate) fn path(url: &str) -> &str {
    let rest = url.strip_prefix("https://").unwrap();
    &rest[rest.find('/').unwrap()..]
}

#[test]
fn a_person_signs_in_at_a_real_provider() {
    let Some((mut provider, world)) = installation() else { return };
    let made = provider.add(&world, TENANT, "Real", &json!({}));
    let mut browser = Browser::default();
    let url = begin(&world, &mut browser, &made, "?return_to=/keys");
    let asked = query(&url);
    assert_eq!(asked["redirect_uri"], made["redirect_uri"].as_str().unwrap());
    assert_eq!(asked["code_challenge_method"], "S256");
    let cookie = &browser.attributes["__Host-emx_oidc"];
    assert_eq!(cookie, "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600");
    let kept = browser.cookies["__Host-emx_oidc"].clone();
    assert!(!kept.contains(&asked["state"]) && !kept.contains(&asked["nonce"]));

    let back = provider.sign_in(&url, "ada");
    assert!(back.starts_with(made["redirect_uri"].as_str().unwrap()), "{back}");
    assert!(query(&back).contains_key("iss"), "{back}");
    let before = browser.clone();
    let answer = browser.go(world.server(), path(&back));
    assert_eq!(sent_to(&answer), "/keys");
    let attributes = &browser.attributes["__Host-emx_refresh"];
    assert!(attributes.starts_with("Path=/; Secure; HttpOnly; SameSite=Strict;"), "{attributes}");
    let (user, token) = browser.session(world.server()).unwrap();
    assert_eq!((&user["email"], &user["role"]), (&"ada@example.org".into(), &"viewer".into()));
    assert_eq!(world.server().ask(&Ask::get("/api/v1/auth/me").bearer(&token)).status, 200);
    // Once more with the same code: not in this browser, nor in one that kept its cookie.
    is_failure(&browser.go(world.server(), path(&back)), 400, "sso_flow_unknown");
    is_failure(&before.clone().go(world.server(), path(&back)), 400, "sso_flow_unknown");

    // The groups decide; whoever has one is somebody else at this provider.
    let mut other = Browser::default();
    let url = begin(&world, &mut other, &made, "");
    let back = provider.sign_in(&url, "bob.ops");
    assert_eq!(sent_to(&other.go(world.server(), path(&back))), "/");
    let (bob, _) = other.session(world.server()).unwrap();
    assert_eq!((&bob["email"], &bob["role"]), (&"bob.ops@example.org".into(), &"admin".into()));
    assert_ne!(bob["id"], user["id"]);
    // The same person again is the same user.
    let mut again = Browser::default();
    let url = begin(&world, &mut again, &made, "");
    let back = provider.sign_in(&url, "ada");
    sent_to(&again.go(world.server(), path(&back)));
    assert_eq!(again.session(world.server()).unwrap().0["id"], user["id"]);
}

#[test]
fn a_code_is_good_in_the_browser_the_tenant_and_at_the_provider_where_it_was_asked_for() {
    let Some((mut provider, mut world)) = installation() else { return };
    let made = provider.add(&world, TENANT, "Real", &json!({}));
    let second = provider.add(&world, TENANT, "Second", &json!({}));
    let elsewhere = provider.add(&world, OTHER, "Real", &json!({}));
    let mut browser = Browser::default();
    let url = begin(&world, &mut browser, &made, "");
    let back = provider.sign_in(&url, "ada");
    let target = path(&back).to_owned();
    // Another browser, one without any sign-in and one with its own.
    is_failure(&Browser::default().go(world.server(), &target), 400, "sso_flow_unknown");
    let mut other = Browser::default();
    let others = begin(&world, &mut other, &made, "");
    is_failure(&other.go(world.server(), &target), 400, "sso_flow_unknown");
    // With its own state, and the code that somebody else was given.
    let (code, state) = (query(&back)["code"].clone(), query(&others)["state"].clone());
    let callback = target.split('?').next().unwrap();
    let iss = provider.issuer();
    let stolen = format!("{callback}?code={code}&state={state}&iss={iss}");
    is_failure(&other.go(world.server(), &stolen), 403, "code_refused");
    assert!(!other.cookies.contains_key("__Host-emx_refresh"));
    // Begun there, finished here.
    for wrong in [&second, &elsewhere] {
        let redirect = path(wrong["redirect_uri"].as_str().unwrap());
        let there = format!("{redirect}?{}", target.split_once('?').unwrap().1);
        is_failure(&browser.clone().go(world.server(), &there), 400, "sso_flow_unknown");
    }
    // Another issuer than the one that was asked (RFC 9207), or none where it says it tells one.
    for iss in ["&iss=https://evil.example", ""] {
        let mut browser = Browser::default();
        let url = begin(&world, &mut browser, &made, "");
        let back = provider.sign_in(&url, "ada");
        let found = query(&back);
        let mixed = format!("{callback}?code={}&state={}{iss}", found["code"], found["state"]);
        is_failure(&browser.go(world.server(), &mixed), 403, "issuer_mismatch");
    }
    // What the provider says instead of a code, or twice.
    for (query, status, code) in [
        ("", 400, "sso_flow_unknown"),
        ("?state=MARKER&code=x", 400, "sso_flow_unknown"),
        ("?state=a&state=b", 400, "invalid_parameter"),
        ("?error=access_denied&error_description=%3Cscript%3EMARKER", 400, "sso_flow_unknown"),
        ("?state=%ff", 400, "invalid_query"),
    ] {
        is_failure(
            &browser.clone().go(world.server(), &format!("{callback}{query}")),
            status,
            code,
        );
    }
    let mut denied = Browser::default();
    let state = query(&begin(&world, &mut denied, &made, ""))["state"].clone();
    let said = "error=access_denied&error_description=%3Cscript%3EMARKER%3C/script%3E";
    let target_denied = format!("{callback}?state={state}&{said}&iss={iss}");
    is_failure(&denied.clone().go(world.server(), &target_denied), 403, "sign_in_denied");
    is_failure(&denied.go(world.server(), &target_denied), 400, "sso_flow_unknown");
    // None of all this has spent the first one, nor does a restart at the same address.
    sent_to(&browser.go(world.server(), &target));
    let log = world.logged("a sign-on failed");
    assert!(!log.contains("secret of"), "{log}");
    world.end();
}

#[test]
fn two_tabs_end_both_and_a_spent_one_stays_spent_after_a_restart() {
    let Some((mut provider, _)) = installation() else { return };
    let public_url = ("EMX_SERVER__PUBLIC_URL", "https://metrics.example.org".to_owned());
    let settings = [&provider.settings()[..], &[public_url]].concat();
    let mut world = World::with(&settings);
    let made = provider.add(&world, TENANT, "Real", &json!({}));
    let mut browser = Browser::default();
    let first = begin(&world, &mut browser, &made, "?return_to=/runs&moved=1");
    let second = begin(&world, &mut browser, &made, "?return_to=/keys&moved=1");
    let kept = browser.clone();
    let [first, second] = [first, second].map(|url| provider.sign_in(&url, "ada"));
    assert_eq!(sent_to(&browser.go(world.server(), path(&second))), "/keys");
    world.end();
    world.start();
    is_failure(&kept.clone().go(world.server(), path(&second)), 400, "sso_flow_unknown");
    assert_eq!(sent_to(&browser.go(world.server(), path(&first))), "/runs");
    world.end();
}

#[test]
fn domains_need_a_verified_address() {
    let Some((mut provider, world)) = installation() else { return };
    let strict = json!({ "domains": ["example.org"] });
    let made = provider.add(&world, TENANT, "Real", &strict);
    for (login, status, code) in [
        ("unverified", 403, "email_not_verified"),
        ("nobody", 403, "email_missing"),
        ("ada", 303, ""),
    ] {
        let mut browser = Browser::default();
        let url = begin(&world, &mut browser, &made, "");
        let back = provider.sign_in(&url, login);
        let answer = browser.go(world.server(), path(&back));
        match status {
            303 => drop(sent_to(&answer).to_owned()),
            status => is_failure(&answer, status, code),
        }
    }
}

#[test]
fn another_site_signs_nobody_out_or_in() {
    let Some((mut provider, world)) = installation() else { return };
    let made = provider.add(&world, TENANT, "Real", &json!({}));
    let mut browser = Browser::default();
    let url = begin(&world, &mut browser, &made, "");
    let back = provider.sign_in(&url, "ada");
    sent_to(&browser.go(world.server(), path(&back)));
    let (user, token) = browser.session(world.server()).unwrap();
    // What a page of another site can have a browser send, with every cookie that it has.
    let foreign = |ask: Ask| {
        ask.header("Origin", "https://evil.example").header("Sec-Fetch-Site", "cross-site")
    };
    let form = "application/x-www-form-urlencoded";
    for (ask, status) in [
        (Ask::post("/api/v1/auth/logout"), 401),
        (Ask::post("/api/v1/auth/logout").body(form, "a=b"), 401),
        (Ask::get("/api/v1/auth/logout"), 405),
        (Ask::post("/api/v1/auth/refresh").body("text/plain", "{}"), 415),
        (Ask::post("/api/v1/auth/refresh").json("{}"), 403),
    ] {
        let answer = browser.clone().ask(world.server(), foreign(ask.clone()));
        assert_eq!(answer.status, status, "{ask:?}: {answer:?}");
        assert!(answer.header("set-cookie").is_none(), "{ask:?}: {answer:?}");
    }
    let me = world.server().ask(&Ask::get("/api/v1/auth/me").bearer(&token));
    assert_eq!((me.status, &me.json()["user"]["id"]), (200, &user["id"]));
    // A link to the end of the stranger's own sign-in does not make this browser the stranger's.
    let mut stranger = Browser::default();
    let url = begin(&world, &mut stranger, &made, "");
    let back = provider.sign_in(&url, "mallory");
    let lured = browser.ask(world.server(), foreign(Ask::get(path(&back))));
    is_failure(&lured, 400, "sso_flow_unknown");
    assert_eq!(browser.session(world.server()).unwrap().0["id"], user["id"]);
}

#[test]
fn a_provider_that_is_down_hinders_nobody_else() {
    let Some((mut provider, mut world)) = installation() else { return };
    let made = provider.add(&world, TENANT, "Real", &json!({}));
    provider.stop();
    world.end();
    world.start(); // and somebody signs in with a password
    let mut browser = Browser::default();
    let start = made["start"].as_str().unwrap();
    let answer = browser.go(world.server(), start);
    is_failure(&answer, 502, "connect_failed");
    assert!(browser.cookies.is_empty());
    let login = world.server().login(&world.server().first_login().1);
    assert_eq!(login.status, 200);
    world.end();
}
