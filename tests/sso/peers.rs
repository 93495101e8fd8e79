//! Signing in by SAML providers that are not ours, pysaml2 over xmlsec1 and samlify: each is told of the
//! server by the metadata that it serves, the server of each by its own, and a browser posts what they
//! answer. One that is not here, or cannot be installed, is skipped.

use crate::browser::{Browser, is_failure, query, sent_to};
use crate::idp::KEY;
use crate::install;
use crate::peer::{Answer, Ask};
use crate::saml::{Begun, Provider, posted};
use crate::server::TENANT;
use crate::world::{OTHER, World};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Where browsers reach the server; it stays the same over restarts.
const PUBLIC_URL: &str = "https://metrics.example.org";

/// A provider's program.
struct Peer {
    folder: TempDir,
    command: Vec<PathBuf>,
    attributes: Value,
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/saml/peers")
}

impl Peer {
    fn new(command: Vec<PathBuf>, attributes: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("idp.key"), &KEY.private_pem).unwrap();
        std::fs::write(folder.path().join("idp.crt"), &KEY.certificate_pem).unwrap();
        Self { folder, command, attributes }
    }

    fn pysaml2() -> Result<Self, &'static str> {
        if !install::has("xmlsec1") {
            return Err("there is no `xmlsec1`");
        }
        let python = install::python(&programs(), "saml-python")?;
        let attributes = json!({
            "email": "urn:oid:0.9.2342.19200300.100.1.3",
            "groups": "urn:oid:1.3.6.1.4.1.5923.1.1.1.1",
        });
        Ok(Self::new(vec![python, programs().join("idp.py")], attributes))
    }

    fn samlify() -> Result<Self, &'static str> {
        let dir = install::node(&programs(), "saml-node", &["idp.mjs"])?;
        let attributes = json!({ "groups": "team" });
        Ok(Self::new(vec!["node".into(), dir.join("idp.mjs")], attributes))
    }

    fn run(&self, arguments: &[&str]) -> String {
        let [program, first @ ..] = self.command.as_slice() else { panic!("no program") };
        let mut command = Command::new(program);
        command.args(first).arg(self.folder.path()).args(arguments);
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Adds it to a tenant by its metadata, with `changes`.
    fn add(&self, world: &World, tenant: &str, changes: &Value) -> Provider {
        let mut body = json!({
            "name": "Peer", "kind": "saml", "idp_metadata": self.run(&["metadata"]),
            "attributes": self.attributes, "roles": { "builders": "member" },
        });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        Provider { body: world.add(tenant, &body) }
    }

    /// Tells the provider of the service, by the service's own metadata.
    fn tell(&self, world: &World, provider: &Provider) {
        let url = provider.body["metadata_url"].as_str().unwrap();
        let answer = world.server().ask(&Ask::get(url.strip_prefix(PUBLIC_URL).unwrap()));
        assert_eq!(answer.header("content-type"), Some("application/samlmetadata+xml"));
        std::fs::write(self.folder.path().join("sp.xml"), &answer.body).unwrap();
    }

    /// The provider's answer to what it is asked by way of `url`, of which `what` is signed.
    fn answer(&self, what: &str, url: &str) -> String {
        let said = self.run(&["answer", what, url]);
        let decoded = STANDARD.decode(said.trim()).map(|xml| String::from_utf8(xml).unwrap());
        decoded.unwrap_or(said)
    }
}

/// A sign-in under way, with what is to be posted.
#[derive(Clone)]
struct Under {
    browser: Browser,
    begun: Begun,
    xml: String,
}

/// Begins a sign-in; where the browser is sent.
fn begin(world: &World, provider: &Provider) -> (Browser, Begun, String) {
    let mut browser = Browser::default();
    let answer = browser.go(world.server(), &format!("{}?moved=1", provider.start()));
    let url = sent_to(&answer).to_owned();
    let relay_state = query(&url).remove("RelayState").unwrap();
    // Which request it is, the provider reads itself.
    (browser, Begun { request_id: String::new(), relay_state }, url)
}

fn under_way(world: &World, peer: &Peer, provider: &Provider, what: &str) -> Under {
    let (browser, begun, url) = begin(world, provider);
    Under { browser, begun, xml: peer.answer(what, &url) }
}

impl Under {
    fn post(&mut self, world: &World, provider: &Provider) -> Answer {
        self.browser.ask(world.server(), posted(provider, &self.begun, &self.xml))
    }
}

/// Everything that is tried with a provider, whatever it is.
fn signs_in_once_here_and_nowhere_else(peer: &Peer) {
    let mut world = World::with(&[("EMX_SERVER__PUBLIC_URL", PUBLIC_URL.to_owned())]);
    let provider = peer.add(&world, TENANT, &json!({}));
    peer.tell(&world, &provider);
    let mut ids = Vec::new();
    let mut first = None;
    for what in ["assertion", "response", "both"] {
        let mut under = under_way(&world, peer, &provider, what);
        let before = under.browser.clone();
        assert_eq!(sent_to(&under.post(&world, &provider)), "/", "{what}");
        let (user, token) = under.browser.session(world.server()).unwrap();
        assert_eq!(
            (&user["email"], &user["role"]),
            (&"alice@example.org".into(), &"member".into())
        );
        let me = world.server().ask(&Ask::get("/api/v1/auth/me").bearer(&token));
        assert_eq!((me.status, &me.json()["user"]["id"]), (200, &user["id"]));
        ids.push(user["id"].clone());
        first.get_or_insert(Under { browser: before, ..under });
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "one person is one user: {ids:?}");

    // Once more: in the browser that kept its cookie, and after a restart.
    let mut first = first.unwrap();
    let used = |answer: &Answer| is_failure(answer, 403, "assertion_replayed");
    used(&first.clone().post(&world, &provider));
    world.end();
    world.start();
    used(&first.post(&world, &provider));

    // At another tenant that trusts the same provider, be its name and its address its own or the same.
    let mut fresh = under_way(&world, peer, &provider, "both");
    for (same, code) in [
        (json!({}), "destination"),
        (json!({ "name": "Same", "sp_entity_id": provider.body["sp_entity_id"] }), "destination"),
        (
            json!({
                "name": "All", "sp_entity_id": provider.body["sp_entity_id"],
                "acs_url": provider.body["acs_url"],
            }),
            "in_response_to",
        ),
    ] {
        let elsewhere = peer.add(&world, OTHER, &same);
        let (mut browser, begun, _) = begin(&world, &elsewhere);
        // Its own address, whatever it tells the provider.
        let id = elsewhere.body["id"].as_str().unwrap();
        let mut ask = posted(&provider, &begun, &fresh.xml);
        ask.target = format!("/api/v1/auth/saml/{OTHER}/{id}/acs");
        is_failure(&browser.ask(world.server(), ask), 403, code);
        assert!(!browser.cookies.contains_key("__Host-emx_refresh"));
    }
    // Nobody who failed has used it up.
    sent_to(&fresh.post(&world, &provider));
    world.end();
}

#[test]
fn pysaml2_signs_somebody_in_once_here_and_nowhere_else() {
    match Peer::pysaml2() {
        Ok(peer) => signs_in_once_here_and_nowhere_else(&peer),
        Err(why) => println!("skipped: signing in by pysaml2, for {why}"),
    }
}

#[test]
fn samlify_signs_somebody_in_once_here_and_nowhere_else() {
    match Peer::samlify() {
        Ok(peer) => signs_in_once_here_and_nowhere_else(&peer),
        Err(why) => println!("skipped: signing in by samlify, for {why}"),
    }
}

#[test]
fn what_a_provider_encrypts_or_signs_weakly_is_refused_with_what_to_do() {
    let peer = match Peer::pysaml2() {
        Ok(peer) => peer,
        Err(why) => return println!("skipped: what pysaml2 encrypts, for {why}"),
    };
    let world = World::with(&[("EMX_SERVER__PUBLIC_URL", PUBLIC_URL.to_owned())]);
    let provider = peer.add(&world, TENANT, &json!({}));
    peer.tell(&world, &provider);
    for (what, code, says) in [
        ("encrypted", "encrypted_assertion", "switch the encryption of assertions off"),
        ("sha1", "signature_algorithm", "SHA-256"),
    ] {
        let mut under = under_way(&world, &peer, &provider, what);
        is_failure(&under.post(&world, &provider), 403, code);
        let log = world.logged(code);
        assert!(log.contains(says), "{what}: {log}");
        // The administrator asks the same.
        let file = world.file("response.xml", &under.xml);
        let file = file.to_str().unwrap();
        let check = ["sso", "check", "--tenant", TENANT, "--provider", "Peer", "--response", file];
        let (status, said, errors) = world.emx(&check);
        assert!(status == 1 && said.contains(says) && errors.contains(code), "{said}{errors}");
    }
}
