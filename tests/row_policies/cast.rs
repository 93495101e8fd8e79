//! A server, and everybody who asks it.

use crate::peer::{Answer, Ask};
use crate::scenario::{Person, TEAMS, Who};
use crate::server::{Server, TENANT};
use serde_json::{Value, json};

const PASSWORD: &str = "a word that nobody guesses 7";
const ROLES: [&str; 3] = ["viewer", "member", "manager"];

/// Where the tenant's policy is.
pub(crate) const POLICY: &str = "/api/v1/tenants/default/row-policy";

pub(crate) struct Cast {
    pub(crate) server: Server,
    /// Owns the tenant.
    pub(crate) owner: String,
    people: Vec<User>,
    keys: Vec<String>,
    /// Ids of the teams that executions name by [`TEAMS`], but for the first.
    teams: Vec<String>,
    _place: tempfile::TempDir,
}

struct User {
    id: String,
    email: String,
    token: String,
}

impl Cast {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let server = Server::start(&place.path().join("data"));
        let owner = server.sign_in();
        let mut cast = Self {
            server,
            owner,
            people: Vec::new(),
            keys: Vec::new(),
            teams: Vec::new(),
            _place: place,
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for team in &TEAMS[1..] {
            let new = json!({ "name": team, "reported_as": [team] });
            let made = cast.done(Ask::post("/api/v1/teams").json(&new.to_string()), 201);
            cast.teams.push(text(&made["id"]));
        }
        for role in ROLES {
            let user = cast.user(&format!("{role}@example.org"), role);
            cast.people.push(user);
            let new = json!({ "name": role, "role": role });
            let made = cast.done(Ask::post("/api/v1/api-keys").json(&new.to_string()), 201);
            cast.keys.push(text(&made["key"]));
        }
        cast
    }

    fn user(&self, email: &str, role: &str) -> User {
        let new = json!({ "email": email, "role": role });
        let link = self.done(Ask::post("/api/v1/users/invite").json(&new.to_string()), 201);
        let accept = json!({ "token": link["token"], "password": PASSWORD });
        let accepted = self.server.ask(&Ask::post("/api/v1/auth/accept").json(&accept.to_string()));
        assert_eq!(accepted.status, 200, "{accepted:?}");
        let id = link["user"]["id"].as_str().unwrap().to_owned();
        User { id, email: email.to_owned(), token: self.sign_in(email) }
    }

    fn sign_in(&self, email: &str) -> String {
        let login = json!({ "tenant": TENANT, "email": email, "password": PASSWORD });
        let answer = self.server.ask(&Ask::post("/api/v1/auth/login").json(&login.to_string()));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Another access token of somebody.
    pub(crate) fn sign_in_again(&self, n: usize) -> String {
        self.sign_in(&self.people[n].email)
    }

    /// The token or key of somebody.
    pub(crate) fn bearer(&self, who: Who) -> &str {
        match who {
            Who::Person(n) => &self.people[n].token,
            Who::Key(n) => &self.keys[n],
            Who::Admin => &self.owner,
        }
    }

    pub(crate) fn ask(&self, who: Who, ask: Ask) -> Answer {
        self.server.ask(&ask.bearer(self.bearer(who)))
    }

    /// What the owner asks for, which must be answered with `status`.
    #[track_caller]
    pub(crate) fn done(&self, ask: Ask, status: u16) -> Value {
        let answer = self.server.ask(&ask.bearer(&self.owner));
        assert_eq!(answer.status, status, "{answer:?}");
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// Has the policy be what `rules` say.
    pub(crate) fn set_rules(&self, rules: &Value) {
        self.done(Ask::new("PUT", POLICY).json(&rules.to_string()), 200);
    }

    /// Has executions name somebody otherwise, who is in other teams.
    pub(crate) fn set_person(&self, n: usize, person: &Person) {
        let ids = TEAMS[1..].iter().zip(&self.teams);
        let teams: Vec<&String> =
            ids.filter(|(name, _)| person.teams.contains(name)).map(|(_, id)| id).collect();
        let change = json!({ "reported_as": person.reported_as, "teams": teams });
        let user = format!("/api/v1/users/{}", self.people[n].id);
        self.done(Ask::new("PATCH", &user).json(&change.to_string()), 200);
    }

    /// The address of a team.
    pub(crate) fn team(&self, name: &str) -> String {
        let at = TEAMS[1..].iter().position(|known| *known == name).unwrap();
        format!("/api/v1/teams/{}", self.teams[at])
    }

    /// The address of somebody as a member of a team.
    pub(crate) fn member(&self, team: &str, n: usize) -> String {
        format!("{}/members/{}", self.team(team), self.people[n].id)
    }

    /// The address of somebody.
    pub(crate) fn person(&self, n: usize) -> String {
        format!("/api/v1/users/{}", self.people[n].id)
    }
}
