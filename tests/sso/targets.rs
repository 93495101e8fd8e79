//! Issuers that lead where nothing is asked, in every way in which a provider is saved.

use crate::forms::{FORMS, REFUSED, literal};
use crate::peer::Ask;
use crate::server::TENANT;
use crate::world::{PROVIDERS, World};
use serde_json::{Value, json};

/// How many of the forms are tried without a server too: each opens the data anew.
const EACH_WITHOUT_SERVER: usize = 8;

/// A server that may ask at the usual ports, whatever the usual settings are.
fn world() -> World {
    World::with(&[("EMX_OUTGOING__PORTS", "80, 443, 8443".to_owned())])
}

fn provider(issuer: &str) -> Value {
    json!({
        "name": "Inside", "kind": "oidc", "issuer": issuer, "client_id": "emx",
        "client_secret": "word", "default_role": "viewer",
    })
}

/// Every issuer, with what is said of it.
fn issuers() -> Vec<(String, &'static str)> {
    let as_text = |form: &str, code| match form {
        "" => "too_short",
        form if form.chars().any(char::is_control) => "control_character",
        _ => code,
    };
    let forms = FORMS.iter().map(|(form, code)| ((*form).to_owned(), as_text(form, *code)));
    let refused =
        REFUSED.iter().map(|address| (format!("https://{}/", literal(address)), "address_refused"));
    // What only the resolver knows.
    let names = ["https://localhost", "https://LOCALHOST/realm", "https://localhost:8443"];
    let names = names.map(|name| (name.to_owned(), "address_refused"));
    let issuers: Vec<_> = forms.chain(refused).chain(names).collect();
    assert!(issuers.len() > 190, "{}", issuers.len());
    issuers
}

/// What `problem` says of the issuer.
fn of_issuer(problem: &Value) -> Option<&str> {
    let errors = problem["errors"].as_array()?;
    errors.iter().find(|error| error["pointer"] == "/issuer")?["code"].as_str()
}

#[test]
fn no_issuer_is_saved_over_http_that_leads_inside() {
    let world = world();
    let sound = world.add(TENANT, &provider("https://id.example.org"));
    let one = format!("{PROVIDERS}/{}", sound["id"].as_str().unwrap());
    let mut wrong = Vec::new();
    for (issuer, expected) in issuers() {
        let moved = json!({ "issuer": issuer, "client_secret": "word" });
        for ask in [
            Ask::post(PROVIDERS).json(&provider(&issuer).to_string()),
            Ask::get(&one).method("PATCH").json(&moved.to_string()),
        ] {
            let answer = world.ask(TENANT, ask.clone());
            let found = answer.json();
            if answer.status != 422 || of_issuer(&found) != Some(expected) {
                let (method, status) = (&ask.method, answer.status);
                wrong.push(format!("{method} {issuer:?}: {status} {found}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    // A preset's organisation is no other way in.
    for domain in [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "169.254.169.254",
        "acme.okta.com@127.0.0.1",
        "acme.okta.com\\@127.0.0.1",
        "acme.okta.com#@127.0.0.1",
        "acme.okta.com:6379",
        "localhost/oauth2/default",
        "0x7f.1/oauth2/default",
    ] {
        let mut body = provider("");
        (body["preset"], body["domain"], body["issuer"]) =
            ("okta".into(), domain.into(), Value::Null);
        let answer = world.ask(TENANT, Ask::post(PROVIDERS).json(&body.to_string()));
        assert_eq!(answer.status, 422, "{domain}: {answer:?}");
        let pointer = &answer.json()["errors"][0]["pointer"];
        assert!(pointer == "/domain" || pointer == "/issuer", "{domain}: {pointer}");
    }
    assert_eq!(world.ask(TENANT, Ask::get(&one)).json(), sound);
    let listed = world.ask(TENANT, Ask::get(PROVIDERS)).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[test]
fn no_issuer_is_saved_from_the_command_line_that_leads_inside() {
    let mut world = world();
    let check = |world: &World, issuer: &str, expected: &str| {
        let file = world.file("inside.json", &provider(issuer).to_string());
        let file = file.to_str().unwrap();
        let (status, out, errors) =
            world.emx(&["sso", "add", "--tenant", TENANT, "--file", file, "--json"]);
        assert_eq!((status, &*out), (1, ""), "{issuer:?}: {errors}");
        let problem: Value = serde_json::from_str(&errors).unwrap();
        assert_eq!(problem["code"], "invalid_provider", "{issuer:?}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("`/issuer`"), "{issuer:?}: {detail}");
        problem["errors"].as_array().map(|_| {
            assert_eq!(of_issuer(&problem), Some(expected), "{issuer:?}: {problem}");
        })
    };
    for (issuer, expected) in issuers() {
        check(&world, &issuer, expected);
    }
    world.end();
    for (issuer, expected) in issuers().iter().rev().step_by(EACH_WITHOUT_SERVER) {
        assert!(check(&world, issuer, expected).is_some(), "where it is not told by a server");
    }
    let (_, out, _) = world.emx(&["sso", "list", "--tenant", TENANT, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["items"], json!([]));
    // One whose name nobody knows just now may be there later.
    let file =
        world.file("later.json", &provider("https://never-heard-of.example.org").to_string());
    let file = file.to_str().unwrap();
    let (status, _, errors) = world.emx(&["sso", "add", "--tenant", TENANT, "--file", file]);
    assert_eq!((status, &*errors), (0, ""));
}
