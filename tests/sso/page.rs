//! The buttons of the sign-in page, in a browser, whose own rules on cookies and sites decide there.

use crate::chromium;
use crate::idp;
use crate::oidc::installation;
use crate::saml::{Assertion, Provider, begun_at};
use crate::server::TENANT;
use crate::world::World;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

/// The browser's steps, under way.
fn steps(world: &World, arguments: &[&str]) -> Child {
    let nobody = ("nobody@example.org", "none is needed");
    steps_of("e2e/sso.mjs", world, nobody, arguments)
}

fn steps_of(
    script: &str,
    world: &World,
    (email, password): (&str, &str),
    arguments: &[&str],
) -> Child {
    Command::new("node")
        .arg(script)
        .args(arguments)
        .current_dir(chromium::assets())
        .env("EMX_E2E_URL", format!("https://localhost:{}", world.server().address.port()))
        .env("EMX_E2E_TENANT", TENANT)
        .env("EMX_E2E_EMAIL", email)
        .env("EMX_E2E_PASSWORD", password)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Fails unless the steps end well, with `email` signed in.
fn finish(child: Child, mut said: String, email: &str) {
    let output = child.wait_with_output().unwrap();
    said += &String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains(&format!("SIGNED IN {email}")), "{said}");
}

#[test]
fn a_button_leads_to_a_real_provider_and_back() {
    if let Some(why) = chromium::missing() {
        println!("skipped: single sign-on in a browser, {why}");
        return;
    }
    let Some((mut provider, world)) = installation() else { return };
    provider.add(&world, TENANT, "Real", &json!({}));
    finish(steps(&world, &["oidc", "Real", "ada"]), String::new(), "ada@example.org");
}

#[test]
fn a_saml_provider_posts_from_its_own_page() {
    if let Some(why) = chromium::missing() {
        println!("skipped: single sign-on in a browser, {why}");
        return;
    }
    let world = World::new();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let mut child = steps(&world, &["saml", "Corporate"]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut url = String::new();
    output.read_line(&mut url).unwrap();
    if let Some(begun) = begun_at(&provider, url.trim_end()) {
        let xml = provider.answer(&begun.request_id, &Assertion::default());
        let answer = json!({
            "acs": provider.body["acs_url"],
            "response": STANDARD.encode(xml),
            "relay_state": begun.relay_state,
        });
        writeln!(child.stdin.take().unwrap(), "{answer}").unwrap();
    }
    output.read_to_string(&mut url).unwrap();
    finish(child, url, "alice@example.org");
}

/// What a SAML provider says of itself.
fn metadata() -> String {
    let pem = &*idp::CURVE.certificate_pem;
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    format!(
        "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
            xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" entityID=\"{}\">\
            <md:IDPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">\
            <md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{base64}\
            </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>\
            <md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" \
            Location=\"https://idp.example.org/saml/sso\"/></md:IDPSSODescriptor></md:EntityDescriptor>",
        idp::IDP
    )
}

#[test]
fn an_administrator_connects_providers_and_tries_them() {
    if let Some(why) = chromium::missing() {
        println!("skipped: connecting providers in a browser, {why}");
        return;
    }
    let Some((mut provider, world)) = installation() else { return };
    let (email, password) = world.server().first_login();
    let metadata = world.file("metadata.xml", &metadata());
    let arguments =
        [&provider.issuer(), "emx", "secret of emx", metadata.to_str().unwrap()].map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
    let mut child = steps_of("e2e/sso-admin.mjs", &world, (&email, &password), &arguments);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    output.read_line(&mut said).unwrap();
    if let Some(redirect_uri) = said.trim_end().strip_prefix("REDIRECT ") {
        provider.enter("emx", redirect_uri);
        writeln!(child.stdin.take().unwrap(), "known").unwrap();
    }
    output.read_to_string(&mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.ends_with("DONE\n"), "{said}\n{errors}");
}
