//! The people and keys of a tenant as they are carried to another installation, in the file of the whole
//! tenant.
//!
//! *Invariants*: users and teams arrive under new ids, users administer no platform, and bring the hashes
//! of their passwords; sessions and links are not carried. An API key arrives under its id, for that is part of what
//! programs present, and does not where an installation knows that id: no key opens two tenants. What
//! is sealed by `secret.key` is not carried, for it opens nowhere else: nobody brings a second factor, and
//! whoever needs one sets one up with the password.

use super::Identity;
use super::account::USERS_PER_TENANT_MAX;
use super::api_key::{ApiKeyError, KEYS_PER_TENANT_MAX, check_name};
use super::key_ring::Record;
use super::names;
use super::rules::{self, SignInRules};
use super::team::{TEAMS_PER_TENANT_MAX, TEAMS_PER_USER_MAX, Team, TeamError};
use super::user::{self, User};
use crate::tenancy::id::{TenantId, random_word};
use crate::tenancy::permission::Role;
use crate::tenancy::registry::{Completion, Tenancy, TenancyError};
use crate::tenancy::row_policy::RowRules;
use crate::tenancy::sight::row_rules_creation;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::PoisonError;
use storage::error::StoreError;

/// The users and API keys of one tenant.
#[derive(Clone, Serialize, Deserialize)]
pub struct People {
    users: Vec<User>,
    teams: Vec<Team>,
    rules: SignInRules,
    /// What each role sees: carried, for nobody is to see more than before.
    #[serde(default)]
    row_rules: RowRules,
    api_keys: Vec<Record>,
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "People({} users, {} keys)", self.users.len(), self.api_keys.len())
    }
}

/// Why the people of a tenant could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// Its users, teams or sign-in rules.
    #[error(transparent)]
    Team(#[from] TeamError),
    /// Its row policy.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What brings people into a tenant.
pub struct Arrival {
    /// What the transaction that makes the tenant visible does for them.
    pub completion: Completion,
    /// How many users come.
    pub users: usize,
    /// Whether they had to come by single sign-on, and have not to here.
    pub sso_left_out: bool,
    /// The ids of keys that do not come, for they are known here.
    pub keys_left_out: Vec<String>,
    keys: Vec<Record>,
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arrival({} users, {} keys)", self.users, self.keys.len())
    }
}

impl Arrival {
    /// How many keys come.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }
}

impl People {
    /// How many users there are.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// How many API keys there are.
    pub fn keys(&self) -> usize {
        self.api_keys.len()
    }

    /// Why these cannot be the people of one tenant, if they cannot.
    pub fn fault(&self) -> Option<String> {
        if self.users.len() > USERS_PER_TENANT_MAX || self.api_keys.len() > KEYS_PER_TENANT_MAX {
            return Some("it has more users or keys than a tenant may have".to_owned());
        }
        let mut emails = BTreeSet::new();
        if let Some(user) = self.users.iter().find(|user| !emails.insert(user.email.folded())) {
            return Some(format!("`{}` is there twice", user.email));
        }
        if let Some(user) = self.users.iter().find(|user| user.role == Role::Ingest) {
            return Some(format!("`{}` has a role that is only for keys", user.email));
        }
        let is_bad = |user: &&User| user.password.as_ref().is_some_and(|hash| !hash.is_sound());
        if let Some(user) = self.users.iter().find(is_bad) {
            return Some(format!(
                "the hash of the password of `{}` is none, or too dear",
                user.email
            ));
        }
        if let Some(fault) = self.fault_of_teams() {
            return Some(fault);
        }
        let mut ids = BTreeSet::new();
        let is_wrong = |record: &&Record| {
            let key = &record.key;
            !record.is_readable() || check_name(&key.name).is_err() || !ids.insert(key.id.clone())
        };
        let wrong = self.api_keys.iter().find(is_wrong);
        wrong.map(|record| format!("the key `{}` is none, or there twice", record.key.id))
    }

    fn fault_of_teams(&self) -> Option<String> {
        if self.teams.len() > TEAMS_PER_TENANT_MAX {
            return Some("it has more teams than a tenant may have".to_owned());
        }
        let ids: BTreeSet<&str> = self.teams.iter().map(|team| &*team.id).collect();
        let names: BTreeSet<String> = self.teams.iter().map(Team::folded_name).collect();
        let count = self.teams.len();
        if ids.len() < count || names.len() < count || !self.teams.iter().all(Team::is_sound) {
            return Some("some of its teams are none, or there twice".to_owned());
        }
        let is_wrong = |user: &&User| {
            names::reported_as(&user.reported_as).is_err()
                || user.teams.len() > TEAMS_PER_USER_MAX
                || !user.teams.iter().all(|team| ids.contains(&**team))
        };
        let wrong = self.users.iter().find(is_wrong);
        wrong.map(|user| format!("`{}` is in a team that there is not", user.email))
    }
}

impl Identity {
    /// The people of a tenant, to be carried away.
    pub fn people_of(&self, tenancy: &Tenancy, tenant_id: &TenantId) -> Result<People, CarryError> {
        // What is read is of one moment: nobody is made, changed or removed meanwhile.
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(People {
            users: user::of_tenant(&*self.platform, tenant_id)?,
            teams: self.teams(tenant_id)?,
            rules: self.sign_in_rules(tenant_id)?,
            row_rules: tenancy.row_rules(tenant_id)?,
            api_keys: self.api_keys.records_of(tenant_id),
        })
    }

    /// What brings `people`, in whom there is no [fault](People::fault), into the tenant `tenant_id`.
    pub fn arrival(&self, people: &People, tenant_id: &TenantId) -> Result<Arrival, StoreError> {
        let mut completion = Completion::default();
        let (mut ids, mut team_ids) = (BTreeMap::new(), BTreeMap::new());
        // The providers are not carried: whoever is no owner would have no way in.
        let rules = SignInRules { require_sso: false, ..people.rules };
        completion.writes.push(rules::creation(tenant_id, rules)?);
        completion.writes.push(row_rules_creation(tenant_id, &people.row_rules)?);
        for team in &people.teams {
            let (id, tenant_id) = (random_word(), tenant_id.clone());
            let arriving = Team { id, tenant_id, ..team.clone() };
            let Completion { expect, writes, .. } = arriving.creation()?;
            completion.expect.extend(expect);
            completion.writes.extend(writes);
            team_ids.insert(&*team.id, arriving.id);
        }
        for user in &people.users {
            let mut teams: Vec<String> =
                user.teams.iter().filter_map(|team| team_ids.get(&**team).cloned()).collect();
            teams.sort_unstable();
            let arriving = User {
                id: random_word(),
                tenant_id: tenant_id.clone(),
                platform: false,
                otp: false,
                teams,
                ..user.clone()
            };
            ids.insert(format!("user:{}", user.id), format!("user:{}", arriving.id));
            let Completion { expect, writes, .. } = arriving.creation()?;
            completion.expect.extend(expect);
            completion.writes.extend(writes);
        }
        let (mut keys, mut keys_left_out) = (Vec::new(), Vec::new());
        for record in &people.api_keys {
            if self.api_keys.knows(&record.key.id) {
                keys_left_out.push(record.key.id.clone());
                continue;
            }
            let mut record = record.clone();
            record.key.tenant_id = tenant_id.clone();
            if let Some(arrived) = ids.get(&record.key.created_by) {
                record.key.created_by.clone_from(arrived);
            }
            let (expect, write) = record.creation()?;
            completion.expect.push(expect);
            completion.writes.push(write);
            keys.push(record);
        }
        let (users, sso_left_out) = (people.users.len(), people.rules.require_sso);
        Ok(Arrival { completion, users, sso_left_out, keys_left_out, keys })
    }

    /// Lets the keys that came with `arrival` count, once it is stored.
    pub fn arrived(&self, arrival: Arrival) -> Result<(), ApiKeyError> {
        self.api_keys.admit(arrival.keys)
    }
}
