//! `emx sso`, while a server runs and while none does.

use crate::browser::Browser;
use crate::idp;
use crate::providers::saml as saml_body;
use crate::saml::{Assertion, Provider, begin, posted};
use crate::server::TENANT;
use crate::world::World;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const PUBLIC_URL: &str = "https://metrics.example.org";

fn world() -> World {
    World::with(&[("EMX_SERVER__PUBLIC_URL", PUBLIC_URL.to_owned())])
}

/// What a command answers in JSON that must succeed.
#[track_caller]
fn json_of(world: &World, arguments: &[&str]) -> Value {
    let (status, out, errors) = world.emx(&[arguments, &["--json"]].concat());
    assert_eq!((status, &*errors), (0, ""), "{arguments:?}");
    serde_json::from_str(&out).unwrap()
}

/// The code of a command that fails.
#[track_caller]
fn code_of(world: &World, arguments: &[&str]) -> Value {
    let (status, out, errors) = world.emx(&[arguments, &["--json"]].concat());
    assert_eq!((status, &*out), (1, ""), "{arguments:?}: {errors}");
    serde_json::from_str(&errors).unwrap()
}

#[test]
fn providers_are_added_listed_and_removed_with_and_without_a_server() {
    let mut world = world();
    let file = world.file("provider.json", &saml_body("Corporate").to_string());
    let file = file.to_str().unwrap();
    let add = ["sso", "add", "--tenant", TENANT, "--file", file];
    let list = ["sso", "list", "--tenant", TENANT];
    for runs in [true, false] {
        if !runs {
            world.end();
        }
        let made = json_of(&world, &add);
        let id = made["id"].as_str().unwrap();
        let acs = format!("{PUBLIC_URL}/api/v1/auth/saml/{TENANT}/{id}/acs");
        assert_eq!(made["acs_url"], acs, "runs: {runs}");
        assert_eq!(json_of(&world, &list)["items"], json!([made]));
        assert_eq!(code_of(&world, &add)["code"], "name_taken");
        let (status, table, _) = world.emx(&list);
        assert!(status == 0 && table.contains("Corporate") && table.contains(idp::IDP), "{table}");
        let patch = world.file("patch.json", r#"{"default_role": "viewer", "roles": null}"#);
        let change = ["sso", "change", "--tenant", TENANT, "corporate", "--file"];
        let changed = json_of(&world, &[&change[..], &[patch.to_str().unwrap()]].concat());
        let mut expected = made.clone();
        (expected["default_role"], expected["roles"]) = (json!("viewer"), json!({}));
        assert_eq!((&changed, &json_of(&world, &list)["items"][0]), (&expected, &expected));
        assert_ne!(changed, made);
        let wrong = world.file("wrong.json", r#"{"kind": "oidc"}"#);
        let refused = code_of(&world, &[&change[..], &[wrong.to_str().unwrap()]].concat());
        assert_eq!(refused["code"], "invalid_provider", "{refused}");
        let (_, said, _) = world.emx(&["sso", "remove", "--tenant", TENANT, "corporate"]);
        assert!(said.contains("nobody signs in by `Corporate` any more"), "{said}");
        assert_eq!(json_of(&world, &list)["items"], json!([]));
        let gone = ["sso", "remove", "--tenant", TENANT, id];
        assert_eq!(code_of(&world, &gone)["code"], "sso_provider_not_found");
    }
    let (_, said, _) = world.emx(&add);
    assert!(said.contains("tell the provider:") && said.contains("/acs\n"), "{said}");
}

#[test]
fn what_cannot_be_is_refused_by_name_with_and_without_a_server() {
    let mut world = world();
    let bad = json!({ "name": "", "kind": "oidc", "issuer": "https://10.0.0.1", "client_id": "x" });
    let bad = world.file("bad.json", &bad.to_string());
    let twice = world.file("twice.json", r#"{"name": "a", "name": "b"}"#);
    let list = world.file("list.json", "[]");
    let add = |file: &std::path::Path, tenant: &str| {
        let file = file.to_str().unwrap().to_owned();
        ["sso", "add", "--tenant", tenant, "--file", &file].map(str::to_owned)
    };
    let check = |file: &std::path::Path, tenant: &str, code: &str| {
        let arguments = add(file, tenant);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let problem = code_of(&world, &arguments);
        assert_eq!(problem["code"], code, "{problem}");
        problem
    };
    for _ in 0..2 {
        let problem = check(&bad, TENANT, "invalid_provider");
        let detail = problem["detail"].as_str().unwrap();
        for pointer in ["`/name`", "`/client_secret`", "`/issuer`"] {
            assert!(detail.contains(pointer), "{detail}");
        }
        check(&twice, TENANT, "invalid_json");
        check(&list, TENANT, "invalid_json");
        check(&bad, "nowhere", "tenant_not_found");
    }
    world.end();
    let arguments = add(&bad, TENANT);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let problem = code_of(&world, &arguments);
    let errors = problem["errors"].as_array().unwrap();
    let pointers: Vec<&str> = errors.iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/name", "/client_secret", "/issuer"]);
}

#[test]
fn a_response_is_explained_step_by_step_and_nothing_changes() {
    let mut world = world();
    let provider = Provider::add(&world, TENANT, &json!({}));
    let id = provider.body["id"].as_str().unwrap().to_owned();
    let xml = provider.answer("_r1", &Assertion::default());
    let good = world.file("good.xml", &xml);
    let base64 = world.file("good.b64", &STANDARD.encode(&xml));
    let altered = world.file("altered.xml", &xml.replace(">alice<", ">admin<"));
    let roleless = Assertion { groups: &["others"], ..Assertion::default() };
    let roleless = world.file("roleless.xml", &provider.answer("_r1", &roleless));
    let check = |world: &World, file: &std::path::Path, more: &[&str]| {
        let file = file.to_str().unwrap();
        let arguments = ["sso", "check", "--tenant", TENANT, "--provider", &id, "--response", file];
        let (status, out, errors) = world.emx(&[&arguments, more, &["--json"]].concat());
        let told: Value =
            serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out} {errors}"));
        let members: Vec<&String> = told.as_object().unwrap().keys().collect();
        assert_eq!(members.len(), 5, "{told}");
        let steps = told["steps"].as_array().unwrap();
        let failed = steps.iter().find(|step| step["passed"] == false);
        assert!(!steps.is_empty() && steps.iter().all(|step| step["detail"].is_string()), "{told}");
        assert_eq!(failed.is_none(), told["verdict"] == "accept", "{told}");
        assert_eq!(status == 0, told["verdict"] == "accept", "{told}");
        told
    };
    let mut answers = Vec::new();
    for runs in [true, false] {
        if !runs {
            world.end();
        }
        let told = check(&world, &good, &[]);
        assert_eq!((&told["verdict"], &told["reason"]), (&"accept".into(), &Value::Null));
        assert_eq!((&told["name_id"], &told["groups"]), (&"alice".into(), &json!(["builders"])));
        assert_eq!(check(&world, &base64, &["--request-id", "_r1"])["verdict"], "accept");
        assert_eq!(check(&world, &good, &["--request-id", "_r2"])["reason"], "in_response_to");
        let told = check(&world, &altered, &[]);
        assert_eq!((&told["verdict"], &told["name_id"]), (&"refuse".into(), &Value::Null));
        let told = check(&world, &roleless, &[]);
        assert_eq!((&told["reason"], &told["name_id"]), (&"no_role".into(), &"alice".into()));
        let later = ["--now", "2099-01-01T00:00:00Z"];
        answers.push(check(&world, &good, &later)["reason"].clone());
        let earlier = ["--now", "2000-01-01T00:00:00Z"];
        assert_eq!(check(&world, &good, &earlier)["verdict"], "refuse");
    }
    assert_eq!(answers[0], answers[1]);
    world.start();
    let users = json_of(&world, &["user", "list", "--tenant", TENANT]);
    assert_eq!(users["items"].as_array().unwrap().len(), 1, "nobody was made");

    // What somebody has used is explained too.
    let mut browser = Browser::default();
    let begun = begin(&world, &mut browser, &provider, "?moved=1");
    let xml = provider.answer(&begun.request_id, &Assertion::default());
    assert_eq!(browser.ask(world.server(), posted(&provider, &begun, &xml)).status, 303);
    let used = world.file("used.xml", &xml);
    assert_eq!(check(&world, &used, &[])["reason"], "assertion_replayed");
    let file = used.to_str().unwrap();
    let arguments =
        ["sso", "check", "--tenant", TENANT, "--provider", "corporate", "--response", file];
    let (status, said, errors) = world.emx(&arguments);
    assert!(status == 1 && said.contains("FAILED  replay: "), "{said}");
    assert!(errors.contains("`assertion_replayed`"), "{errors}");
    let unknown = ["sso", "check", "--tenant", TENANT, "--provider", "x", "--response", file];
    assert_eq!(code_of(&world, &unknown)["code"], "sso_provider_not_found");
}
