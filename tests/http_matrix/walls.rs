//! The wall between tenants: what belongs to another tenant is told from what is nowhere by nothing.
//!
//! Every address that names something has a row for each way in which it names it, so that a new one
//! without a row fails. Each row is asked twice by the owner of one tenant, with the id of something that
//! another tenant has and with one that nobody has; the answers must be the same, byte for byte, but for
//! the id itself.

use crate::callers::{OTHER, Scene};
use crate::described;
use crate::peer::{Answer, Ask};
use crate::server::TENANT;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Something that a tenant has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Execution,
    Quarantined,
    Key,
    User,
    Session,
    Team,
    /// By its name.
    Tenant,
    OidcProvider,
    SamlProvider,
}

/// Where an address names something.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In its path; the rest of which names one's own tenant, and what is nowhere.
    Path(&'static str),
    /// The same, with this body.
    PathWith(&'static str, &'static str),
    /// In its body, which has this form with `ID` in it.
    Body(&'static str),
    /// In a parameter.
    Query(&'static str),
}
use Place::{Body, Path, PathWith, Query};

impl Place {
    /// What stands in the path, if it names something there.
    fn in_path(self) -> Option<&'static str> {
        match self {
            Path(name) | PathWith(name, _) => Some(name),
            Body(_) | Query(_) => None,
        }
    }
}

/// Every way in which an address names something.
const WAYS: &[(&str, &str, Place, Thing)] = &[
    ("GET", "/api/v1/executions/{id}", Path("id"), Thing::Execution),
    ("POST", "/api/v1/quarantine/{id}/retry", Path("id"), Thing::Quarantined),
    ("DELETE", "/api/v1/quarantine/{id}", Path("id"), Thing::Quarantined),
    ("GET", "/api/v1/api-keys/{id}", Path("id"), Thing::Key),
    ("PATCH", "/api/v1/api-keys/{id}", PathWith("id", r#"{"name":"Mine"}"#), Thing::Key),
    ("DELETE", "/api/v1/api-keys/{id}", Path("id"), Thing::Key),
    ("DELETE", "/api/v1/auth/sessions/{family}", Path("family"), Thing::Session),
    ("GET", "/api/v1/users/{id}/sessions", Path("id"), Thing::User),
    ("DELETE", "/api/v1/users/{id}/sessions", Path("id"), Thing::User),
    ("DELETE", "/api/v1/users/{id}/sessions/{family}", Path("id"), Thing::User),
    ("DELETE", "/api/v1/users/{id}/sessions/{family}", Path("family"), Thing::Session),
    ("GET", "/api/v1/auth/sso/{tenant}/{provider}/start", Path("tenant"), Thing::Tenant),
    ("GET", "/api/v1/auth/sso/{tenant}/{provider}/start", Path("provider"), Thing::OidcProvider),
    ("GET", "/api/v1/auth/sso/{tenant}/{provider}/callback", Path("tenant"), Thing::Tenant),
    ("GET", "/api/v1/auth/sso/{tenant}/{provider}/callback", Path("provider"), Thing::OidcProvider),
    ("GET", "/api/v1/auth/saml/{tenant}/{provider}/start", Path("tenant"), Thing::Tenant),
    ("GET", "/api/v1/auth/saml/{tenant}/{provider}/start", Path("provider"), Thing::SamlProvider),
    ("POST", "/api/v1/auth/saml/{tenant}/{provider}/acs", Path("tenant"), Thing::Tenant),
    ("POST", "/api/v1/auth/saml/{tenant}/{provider}/acs", Path("provider"), Thing::SamlProvider),
    ("GET", "/api/v1/auth/saml/{tenant}/{provider}/metadata", Path("tenant"), Thing::Tenant),
    (
        "GET",
        "/api/v1/auth/saml/{tenant}/{provider}/metadata",
        Path("provider"),
        Thing::SamlProvider,
    ),
    ("GET", "/api/v1/sso-providers/{id}", Path("id"), Thing::OidcProvider),
    ("PATCH", "/api/v1/sso-providers/{id}", PathWith("id", "{}"), Thing::OidcProvider),
    ("DELETE", "/api/v1/sso-providers/{id}", Path("id"), Thing::SamlProvider),
    ("POST", "/api/v1/sso-providers/{id}/check", PathWith("id", "{}"), Thing::OidcProvider),
    ("GET", "/api/v1/users/{id}", Path("id"), Thing::User),
    ("PATCH", "/api/v1/users/{id}", PathWith("id", r#"{"disabled":true}"#), Thing::User),
    ("DELETE", "/api/v1/users/{id}", Path("id"), Thing::User),
    ("POST", "/api/v1/users/{id}/reset", Path("id"), Thing::User),
    ("DELETE", "/api/v1/users/{id}/otp", Path("id"), Thing::User),
    ("GET", "/api/v1/teams/{id}", Path("id"), Thing::Team),
    ("PATCH", "/api/v1/teams/{id}", PathWith("id", r#"{"name":"Mine"}"#), Thing::Team),
    ("DELETE", "/api/v1/teams/{id}", Path("id"), Thing::Team),
    ("GET", "/api/v1/teams/{id}/members", Path("id"), Thing::Team),
    ("PUT", "/api/v1/teams/{id}/members/{user_id}", Path("id"), Thing::Team),
    ("PUT", "/api/v1/teams/{id}/members/{user_id}", Path("user_id"), Thing::User),
    ("DELETE", "/api/v1/teams/{id}/members/{user_id}", Path("id"), Thing::Team),
    ("DELETE", "/api/v1/teams/{id}/members/{user_id}", Path("user_id"), Thing::User),
    ("GET", "/api/v1/tenants/{slug}", Path("slug"), Thing::Tenant),
    (
        "PATCH",
        "/api/v1/tenants/{slug}",
        PathWith("slug", r#"{"display_name":"Mine"}"#),
        Thing::Tenant,
    ),
    ("DELETE", "/api/v1/tenants/{slug}", Path("slug"), Thing::Tenant),
    ("POST", "/api/v1/users", Body(IN_TEAM), Thing::Team),
    ("POST", "/api/v1/users/invite", Body(IN_TEAM), Thing::Team),
    ("POST", "/api/v1/sso-providers", Body(OF_TEAM), Thing::Team),
    ("GET", "/api/v1/tenants/{slug}/row-policy", Path("slug"), Thing::Tenant),
    ("PUT", "/api/v1/tenants/{slug}/row-policy", PathWith("slug", OPEN), Thing::Tenant),
    ("GET", "/api/v1/tenants/{slug}/migrations", Path("slug"), Thing::Tenant),
    ("POST", "/api/v1/tenants/{slug}/migrations/apply", Path("slug"), Thing::Tenant),
    ("POST", "/api/v1/tenants/{slug}/migrations/rollback", Path("slug"), Thing::Tenant),
    ("GET", "/api/v1/tenants/{slug}/limits", Path("slug"), Thing::Tenant),
    ("PUT", "/api/v1/tenants/{slug}/limits", PathWith("slug", "{}"), Thing::Tenant),
    ("GET", "/api/v1/tenants/{slug}/usage", Path("slug"), Thing::Tenant),
    ("GET", "/api/v1/executions", Query("user_id"), Thing::User),
    ("GET", "/api/v1/query", Query("user_id"), Thing::User),
    ("GET", "/api/v1/export", Query("user_id"), Thing::User),
    ("GET", "/api/v1/audit", Query("actor"), Thing::User),
    ("GET", "/api/v1/audit/export", Query("actor"), Thing::User),
    ("POST", "/api/v1/executions", Body(r#"{"id":"ID","command":"mine"}"#), Thing::Execution),
];

/// A row policy.
const OPEN: &str = r#"{"preset":"open"}"#;

/// A new user in a team.
const IN_TEAM: &str = r#"{"email":"new@example.org","role":"member","teams":["ID"]}"#;

/// A provider whose groups give a team.
const OF_TEAM: &str = r#"{"name":"new","kind":"oidc","preset":"okta","domain":"mine.okta.com",
    "client_id":"client","client_secret":"word","teams":{"dev":"ID"}}"#;

/// Lists whose pages are followed by a cursor.
const LISTS: &[&str] = &[
    "/api/v1/executions",
    "/api/v1/quarantine",
    "/api/v1/api-keys",
    "/api/v1/audit",
    "/api/v1/auth/sessions",
    "/api/v1/sso-providers",
    "/api/v1/users",
    "/api/v1/teams",
];

/// What the other tenant has, for each thing.
fn plant(scene: &Scene) -> BTreeMap<Thing, String> {
    let theirs = &scene.person(true, "owner").bearer;
    let ask = |ask: Ask| scene.ask(ask, theirs);
    let secret = json!({ "command": "secret", "user_id": scene.person(true, "member").id });
    let execution = ask(Ask::post("/api/v1/executions").json(&secret.to_string())).json();
    for year in [2998, 2999] {
        let ahead = format!("{{\"command\":\"later\",\"ts\":\"{year}-01-01T00:00:00Z\"}}");
        for body in [&*ahead, "{\"command\":\"more\"}"] {
            assert_eq!(ask(Ask::post("/api/v1/executions").json(body)).status, 201);
        }
    }
    let team = |name: &str| {
        ask(Ask::post("/api/v1/teams").json(&json!({ "name": name }).to_string())).json()
    };
    let teams = ["secret", "later"].map(team);
    let quarantine = ask(Ask::get("/api/v1/quarantine")).json();
    let sessions = ask(Ask::get("/api/v1/auth/sessions")).json();
    let id = |found: &Value| found["id"].as_str().unwrap_or_else(|| panic!("{found}")).to_owned();
    BTreeMap::from([
        (Thing::Execution, id(&execution)),
        (Thing::Quarantined, id(&quarantine["items"][0])),
        (Thing::Key, scene.theirs.last().unwrap().id.clone()),
        (Thing::User, scene.person(true, "member").id.clone()),
        (Thing::Session, id(&sessions["items"][0])),
        (Thing::Tenant, OTHER.to_owned()),
        (Thing::OidcProvider, id(&add_provider(scene, &oidc()))),
        (Thing::SamlProvider, id(&add_provider(scene, &saml()))),
        (Thing::Team, id(&teams[0])),
        (Thing::Tenant, OTHER.to_owned()),
    ])
}

/// Adds a provider of single sign-on to the other tenant.
fn add_provider(scene: &Scene, body: &Value) -> Value {
    let ask = Ask::post("/api/v1/sso-providers").json(&body.to_string());
    let made = scene.ask(ask, &scene.person(true, "owner").bearer);
    assert_eq!(made.status, 201, "{made:?}");
    made.json()
}

fn oidc() -> Value {
    json!({
        "name": "secret provider", "kind": "oidc", "preset": "okta", "domain": "secret.okta.com",
        "client_id": "client", "client_secret": "word", "default_role": "viewer",
    })
}

fn saml() -> Value {
    let certified = rcgen::generate_simple_self_signed(["idp.example.org".to_owned()]).unwrap();
    json!({
        "name": "another secret provider", "kind": "saml", "default_role": "viewer",
        "idp_entity_id": "https://idp.example.org", "idp_sso_url": "https://idp.example.org/sso",
        "idp_certificates": [certified.cert.pem()],
    })
}

/// Everything that the other tenant's owner can list.
fn look(scene: &Scene) -> Vec<Value> {
    let theirs = &scene.person(true, "owner").bearer;
    let lists = ["executions", "quarantine", "api-keys", "users", "teams", "sso-providers"];
    let mut seen: Vec<Value> =
        lists.map(|list| scene.ask(Ask::get(&format!("/api/v1/{list}")), theirs).json()).into();
    for key in seen[2]["items"].as_array_mut().unwrap() {
        key.as_object_mut().unwrap().remove("last_used_at");
    }
    let member = &scene.person(true, "member").id;
    seen.push(scene.ask(Ask::get(&format!("/api/v1/users/{member}/sessions")), theirs).json());
    seen
}

/// An id of the same form as `id` that nobody has.
fn nobodys(id: &str) -> String {
    let (start, last) = id.split_at(id.len() - 1);
    format!("{start}{}", if last == "3" { "5" } else { "3" })
}

fn request(method: &str, path: &str, place: Place, id: &str) -> Ask {
    let mut target = path.to_owned();
    if let Some(name) = place.in_path() {
        target = target.replace(&format!("{{{name}}}"), id);
    }
    target = target.replace("{tenant}", TENANT);
    while let Some((before, rest)) = target.split_once('{') {
        target = format!("{before}{}{}", nobodys(id), rest.split_once('}').unwrap().1);
    }
    match place {
        Path(_) => Ask::new(method, &target),
        PathWith(_, body) => Ask::new(method, &target).json(body),
        Query(name) => Ask::new(method, &format!("{target}?{name}={id}")),
        Body(form) => Ask::new(method, &target).json(&form.replace("ID", id)),
    }
}

/// An answer without what belongs to the one request: its id, when it came, and what it was about.
fn plain(answer: &Answer, id: &str) -> (u16, Vec<(String, String)>, String) {
    const OF_THE_REQUEST: [&str; 4] = ["request_id", "elapsed_ms", "cached", "seq"];
    let body = String::from_utf8_lossy(&answer.body).replace(id, "ID");
    let body = match serde_json::from_str::<Value>(&body) {
        Ok(mut body) => {
            if let Some(members) = body.as_object_mut() {
                OF_THE_REQUEST.iter().for_each(|name| drop(members.remove(*name)));
            }
            body.to_string()
        }
        Err(_) => body,
    };
    let of_the_request = ["x-request-id", "date", "etag", "ratelimit-remaining", "ratelimit-reset"];
    let headers = answer.headers.iter();
    let headers = headers.filter(|(name, _)| !of_the_request.contains(&&*name.to_lowercase()));
    (answer.status, headers.cloned().collect(), body)
}

#[test]
fn what_belongs_to_another_tenant_is_nowhere() {
    let scene = Scene::new();
    let things = plant(&scene);
    let before = look(&scene);
    let mine = &scene.person(false, "owner").bearer;
    let mut faults = Vec::new();
    for (method, path, place, thing) in WAYS {
        let id = &things[thing];
        let [there, nowhere] = [id.clone(), nobodys(id)]
            .map(|id| plain(&scene.ask(request(method, path, *place, &id), mine), &id));
        // What only who administers the platform may do is refused before it is looked for.
        let is_told = place.in_path().is_some() && !matches!(there.0, 403 | 404);
        if there != nowhere || is_told {
            faults.push(format!("{method} {path} {place:?}: {there:?}, not {nowhere:?}"));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(look(&scene), before, "nothing of it was changed");
    scene.server.end();
}

#[test]
fn every_address_that_names_something_has_a_row_for_each_name() {
    let scene = Scene::new();
    let mut without = Vec::new();
    for (method, path) in described(&scene) {
        for name in path.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0) {
            let is_way = |(m, p, place, _): &&(&str, &str, Place, Thing)| {
                *m == method && *p == path && place.in_path() == Some(name)
            };
            if !WAYS.iter().any(|way| is_way(&way)) {
                without.push(format!("{method} {path} {name}"));
            }
        }
    }
    assert!(without.is_empty(), "no row: {without:?}");
    for (method, path, ..) in WAYS {
        assert!(described(&scene).contains(&((*method).into(), (*path).into())), "gone: {path}");
    }
    scene.server.end();
}

/// What one tenant was given to come back with says nothing of it to another.
#[test]
fn what_another_tenant_was_given_opens_nothing() {
    let scene = Scene::new();
    plant(&scene);
    let (mine, theirs) =
        (&scene.person(false, "owner").bearer, &scene.person(true, "owner").bearer);
    for list in LISTS {
        let page = scene.ask(Ask::get(&format!("{list}?limit=1")), theirs).json();
        let cursor = page["next_cursor"].as_str().unwrap_or_else(|| panic!("{list}: {page}"));
        let followed = scene.ask(Ask::get(&format!("{list}?cursor={cursor}")), mine);
        assert!(matches!(followed.status, 200 | 422), "{list}: {followed:?}");
        let text = String::from_utf8_lossy(&followed.body).into_owned();
        for theirs in ["secret", "later", OTHER] {
            assert!(!text.contains(theirs), "{list}: {text}");
        }
    }
    // An entity tag of theirs is no answer of mine.
    for list in ["/api/v1/executions", "/api/v1/query?metrics=count"] {
        let Some(tag) = scene.ask(Ask::get(list), theirs).header("etag").map(str::to_owned) else {
            continue;
        };
        let tagged = scene.ask(Ask::get(list).header("If-None-Match", &tag), mine);
        assert_eq!(tagged.status, 200, "{list}");
    }
    // Nor what they were answered under a key of theirs.
    let once = |who: &str| {
        let ask = Ask::post("/api/v1/executions").json("{\"command\":\"once\"}");
        scene.ask(ask.header("Idempotency-Key", "the same"), who).json()["id"].clone()
    };
    assert_ne!(once(theirs), once(mine));
    // Nothing of theirs is in what I count, list, take out or follow.
    let counted = scene.ask(Ask::get("/api/v1/query?metrics=count"), mine).json();
    assert_eq!(counted["rows"], json!([[1]]), "{counted}");
    let taken = scene.ask(Ask::get("/api/v1/export"), mine);
    assert_eq!(String::from_utf8_lossy(&taken.body).lines().count(), 1, "{taken:?}");
    let followed = scene.ask(Ask::get("/api/v1/executions?from_seq=1"), mine).json();
    assert_eq!(followed["items"].as_array().unwrap().len(), 1, "{followed}");
    scene.server.end();
}

/// Whoever administers the platform enters every tenant, and the tenant's own log tells of it.
#[test]
fn who_enters_another_tenant_is_told_of_there() {
    let scene = Scene::new();
    let entered =
        scene.ask(Ask::get("/api/v1/executions").header("X-Tenant", OTHER), &scene.platform);
    assert_eq!(entered.status, 200);
    let log = |tenant: &str| {
        let ask = Ask::get("/api/v1/audit?limit=500").header("X-Tenant", tenant);
        scene.ask(ask, &scene.platform).json().to_string()
    };
    let told = log(OTHER);
    assert!(told.contains("executions.read"), "{told}");
    scene.server.end();
}
