//! Identity providers that are not ours: pysaml2 over xmlsec1, and samlify. They are told of this service
//! by its own metadata, it is told of them by theirs, and they answer its own requests. One that is not
//! here, or cannot be installed, is skipped.

use crate::idp::{ACS, KEY, SP, STRANGER, settings};
use crate::install;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emx::identity::saml::{
    self, Assertion, Attributes, Settings, authn_request, idp_from_metadata, metadata,
    new_request_id,
};
use emx::runtime::clock::Clock;
use std::path::{Path, PathBuf};
use std::process::Command;
use storage::row::TimeMs;
use tempfile::TempDir;

/// Where the programs are.
fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/saml/peers")
}

/// A provider that was configured for this service, and this service for it.
struct Peer {
    folder: TempDir,
    /// The program, and what comes before its arguments.
    command: Vec<PathBuf>,
    settings: Settings,
}

impl Peer {
    /// Configures both, each by the other's metadata.
    fn configured(command: Vec<PathBuf>, attributes: Attributes) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("idp.key"), &KEY.private_pem).unwrap();
        std::fs::write(folder.path().join("idp.crt"), &KEY.certificate_pem).unwrap();
        let mut peer = Self { folder, command, settings: settings() };
        let theirs = idp_from_metadata(peer.run(&["metadata"]).as_bytes()).unwrap();
        peer.settings = Settings {
            idp_entity_id: theirs.entity_id,
            idp_sso_url: theirs.sso_url,
            idp_certificates: theirs.certificates,
            sp_entity_id: SP.into(),
            acs_url: ACS.into(),
            attributes,
        };
        assert_eq!(peer.settings.check(), Ok(()));
        std::fs::write(peer.folder.path().join("sp.xml"), metadata(&peer.settings)).unwrap();
        peer
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

    /// The answer to a request of now, of which `what` is signed, and what it is one to.
    fn answer(&self, what: &str) -> (String, String, TimeMs) {
        let now_ms = Clock::system().now_ms();
        let id = new_request_id().unwrap();
        let url = authn_request(&self.settings, &id, Some("handle"), now_ms).unwrap();
        (self.run(&["answer", what, &url]), id, now_ms)
    }

    /// Whom the service takes the answer to name, or why nobody.
    fn verdict(&self, answer: &str, id: &str, now_ms: TimeMs) -> Result<Assertion, &'static str> {
        let report = saml::check(&self.settings, answer.as_bytes(), Some(id), now_ms);
        report.outcome.map_err(|refusal| refusal.code)
    }

    /// An answer of which `what` is signed is accepted, as long as nobody changes it or takes it for
    /// another. Gives what it says.
    fn signs_in(&self, what: &str) -> Assertion {
        let (answer, id, now_ms) = self.answer(what);
        let found = self.verdict(&answer, &id, now_ms);
        let found = found.unwrap_or_else(|code| panic!("{what}: {code}: {answer}"));
        assert_eq!(found.issuer, self.settings.idp_entity_id);

        let hour_ms = 3_600_000;
        assert_eq!(self.verdict(&answer, "_other", now_ms), Err("in_response_to"), "{what}");
        assert_eq!(self.verdict(&answer, &id, now_ms + hour_ms), Err("expired"), "{what}");
        assert_eq!(self.verdict(&answer, &id, now_ms - hour_ms), Err("not_yet"), "{what}");
        let xml =
            STANDARD.decode(answer.trim()).map_or(answer, |xml| String::from_utf8(xml).unwrap());
        for (from, to) in [(found.name_id.as_str(), "admin"), ("builders", "owners")] {
            let changed = xml.replace(&format!(">{from}<"), &format!(">{to}<"));
            assert_ne!(changed, xml, "{what}: {from}");
            assert_eq!(self.verdict(&changed, &id, now_ms), Err("signature"), "{what}: {from}");
        }
        let other = Settings {
            idp_certificates: vec![STRANGER.certificate_pem.clone()],
            ..self.settings.clone()
        };
        let report = saml::check(&other, xml.as_bytes(), Some(&id), now_ms);
        assert_eq!(report.outcome.unwrap_err().code, "signature", "{what}");
        found
    }
}

#[test]
fn pysaml2_signs_somebody_in() {
    if !install::has("xmlsec1") {
        println!("skipped: pysaml2 as an identity provider, for there is no `xmlsec1`");
        return;
    }
    let python = match install::python(&programs(), "saml-python") {
        Ok(python) => python,
        Err(why) => return println!("skipped: pysaml2 as an identity provider, for {why}"),
    };
    let attributes = Attributes {
        name_id: None,
        email: Some("urn:oid:0.9.2342.19200300.100.1.3".into()),
        groups: Some("urn:oid:1.3.6.1.4.1.5923.1.1.1.1".into()),
    };
    let peer = Peer::configured(vec![python, programs().join("idp.py")], attributes);
    for what in ["assertion", "response", "both"] {
        let found = peer.signs_in(what);
        assert_eq!((found.subject.as_str(), found.name_id.as_str()), ("alice", "alice"), "{what}");
        assert_eq!(found.email.as_deref(), Some("alice@example.org"));
        assert_eq!(found.groups, ["builders", "admins & owners"]);
        assert!(found.session_until_ms.is_some());
    }
    for (what, code) in [("sha1", "signature_algorithm"), ("encrypted", "encrypted_assertion")] {
        let (answer, id, now_ms) = peer.answer(what);
        assert_eq!(peer.verdict(&answer, &id, now_ms), Err(code), "{answer}");
    }
}

#[test]
fn samlify_signs_somebody_in() {
    let dir = match install::node(&programs(), "saml-node", &["idp.mjs"]) {
        Ok(dir) => dir,
        Err(why) => return println!("skipped: samlify as an identity provider, for {why}"),
    };
    let attributes = Attributes { groups: Some("team".into()), ..Attributes::default() };
    let peer = Peer::configured(vec!["node".into(), dir.join("idp.mjs")], attributes);
    for what in ["assertion", "response", "both"] {
        let found = peer.signs_in(what);
        // The name is an address by its format.
        assert_eq!(found.subject, "alice@example.org", "{what}");
        assert_eq!(found.email.as_deref(), Some("alice@example.org"));
        assert_eq!(
            (found.groups.as_slice(), found.session_until_ms),
            (&["builders".into()][..], None)
        );
    }
}
