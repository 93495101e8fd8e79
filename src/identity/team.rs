//! Teams of a tenant, and who is in them.
//!
//! *Invariants*: a name is taken once in a tenant, in whatever case; a membership stands with the
//! user, and comes with the condition that the team is there, and goes with the team, each in one
//! transaction; a team of one tenant is not found through another.

use super::Identity;
use super::account::{Account, AccountError};
use super::names::{self, NamesError};
use super::session::SessionError;
use super::user::{self, User};
use crate::tenancy::by::By;
use crate::tenancy::id::{TenantId, random_word};
use crate::tenancy::record::{self, absent, delete, put};
use crate::tenancy::registry::{Completion, Tenancy};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::PoisonError;
use storage::engine::{Expect, TableWrite, Tables};
use storage::error::{Corrupt, StoreError};
use storage::row::TimeMs;

/// Teams by id.
pub(super) const TEAMS: &str = "teams";

/// What is decoded where there is no team: as long as most are.
const DECOY: &str = r#"{"version":1,"id":"q4zkwd7hbx2mfs6u","tenant_id":"n5gtv3yc2olr7jpa",
"name":"Operations","reported_as":["operations"],"created_ms":1764233867412}"#;

/// Ids of teams by tenant and folded name.
const NAMES: &str = "team_names";

/// Teams of one tenant: as many as any company has, and few enough to list.
pub const TEAMS_PER_TENANT_MAX: usize = 1_000;

/// Teams that one user is in: whoever is in more is in none of them.
pub const TEAMS_PER_USER_MAX: usize = 64;

/// Longest name in characters.
pub const NAME_CHARS_MAX: usize = 128;

/// How often a removal is tried anew because somebody changed a member meanwhile.
const ATTEMPTS_MAX: usize = 16;

/// A team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Random, never reused.
    pub id: String,
    /// Where it belongs.
    pub tenant_id: TenantId,
    /// What people call it.
    pub name: String,
    /// How executions name it, in `team_id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reported_as: Vec<String>,
    /// When it was created, Unix milliseconds.
    pub created_ms: TimeMs,
}

impl Team {
    /// What two spellings of one name have in common.
    pub fn folded_name(&self) -> String {
        self.name.to_lowercase()
    }

    /// What makes it exist; it fails as a whole where the name is taken in the tenant.
    pub(super) fn creation(&self) -> Result<Completion, StoreError> {
        let (id, key) = (self.id.as_bytes(), name_key(&self.tenant_id, &self.name));
        Ok(Completion {
            expect: vec![absent(TEAMS, id), absent(NAMES, &key)],
            writes: vec![put(TEAMS, id, record::encode(self)?), put(NAMES, &key, id.to_vec())],
            told: Vec::new(),
        })
    }

    /// Whether it could be made as it is.
    pub(super) fn is_sound(&self) -> bool {
        check_name(&self.name).is_ok() && names::reported_as(&self.reported_as).is_ok()
    }
}

/// What is to be changed of a team; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct TeamChange {
    /// What people call it.
    pub name: Option<String>,
    /// How executions name it.
    pub reported_as: Option<Vec<String>>,
}

/// Why a team was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum TeamError {
    /// No team of the tenant is meant.
    #[error("there is no team `{team}` in this tenant: `emx team list` shows those there are")]
    NotFound {
        /// What was asked for.
        team: String,
    },
    /// The name is empty, too long or unprintable.
    #[error("a team's name has 1 to {NAME_CHARS_MAX} printable characters: choose another")]
    Name,
    /// The name is taken.
    #[error("there is a team `{name}` in this tenant already: choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// Executions cannot name it so.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// The bound.
    #[error("a tenant has {TEAMS_PER_TENANT_MAX} teams at most: remove some first")]
    TooMany,
    /// It was changed since the caller looked.
    #[error("the team was changed since you looked at it: look again")]
    Stale,
    /// A member could not be found or changed.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TeamError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "team_not_found",
            Self::Name => "invalid_name",
            Self::NameTaken { .. } => "name_taken",
            Self::Names(_) => "invalid_reported_as",
            Self::TooMany => "too_many_teams",
            Self::Stale => "precondition_failed",
            Self::Account(account) => account.code(),
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Account(account) => account.is_transient(),
            Self::Store(store) => store.is_transient(),
            _ => false,
        }
    }
}

/// A team as it was read.
pub(super) struct StoredTeam {
    team: Team,
    bytes: Vec<u8>,
}

impl StoredTeam {
    /// The condition that nobody changed it since.
    pub(super) fn unchanged(&self) -> Expect {
        let (table, key) = (TEAMS.into(), self.team.id.as_bytes().into());
        Expect { table, key, value: Some(self.bytes.clone()) }
    }
}

/// The team of `tenant_id` called by its id.
pub(super) fn get(
    platform: &dyn Tables,
    tenant_id: &TenantId,
    id: &str,
) -> Result<StoredTeam, TeamError> {
    let short = || id.chars().take(NAME_CHARS_MAX).collect();
    read(platform, tenant_id, id)?.ok_or_else(|| TeamError::NotFound { team: short() })
}

/// Time tells as little as the answer of a team of another tenant.
fn read(
    platform: &dyn Tables,
    tenant_id: &TenantId,
    id: &str,
) -> Result<Option<StoredTeam>, StoreError> {
    let Some(bytes) = platform.get(TEAMS, id.as_bytes())? else {
        record::decode_decoy::<Team>(&format!("{TEAMS}/{id}"), DECOY);
        return Ok(None);
    };
    let team: Team = record::decode(&format!("{TEAMS}/{id}"), &bytes)?;
    Ok((team.tenant_id == *tenant_id).then_some(StoredTeam { team, bytes }))
}

/// How executions name the teams of `tenant_id` with these ids, in order, each once.
pub(super) fn reported_as(
    platform: &dyn Tables,
    tenant_id: &TenantId,
    ids: &[String],
) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for id in ids {
        // One that was removed meanwhile has no rows to show.
        let stored = read(platform, tenant_id, id)?;
        names.extend(stored.into_iter().flat_map(|stored| stored.team.reported_as));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// What removes every team of a tenant.
pub(super) fn removal_of_all(
    platform: &dyn Tables,
    tenant_id: &TenantId,
) -> Result<Vec<TableWrite>, StoreError> {
    let named = record::all(platform, NAMES, format!("{tenant_id}/").as_bytes())?;
    let both = |(key, id): &(Vec<u8>, Vec<u8>)| [delete(NAMES, key), delete(TEAMS, id)];
    Ok(named.iter().flat_map(both).collect())
}

/// How the audit log calls a team.
fn target(id: &str) -> String {
    format!("team:{id}")
}

/// What the audit log tells of a team.
fn told(team: &Team) -> Value {
    json!({ "name": team.name, "reported_as": team.reported_as })
}

fn name_key(tenant_id: &TenantId, name: &str) -> Vec<u8> {
    format!("{tenant_id}/{}", name.to_lowercase()).into_bytes() // an id has no slash
}

fn check_name(name: &str) -> Result<(), TeamError> {
    let printable = !name.chars().any(char::is_control);
    let length = (1..=NAME_CHARS_MAX).contains(&name.chars().count());
    if printable && length && !name.trim().is_empty() { Ok(()) } else { Err(TeamError::Name) }
}

impl Identity {
    /// The teams of a tenant, in order of their names.
    pub fn teams(&self, tenant_id: &TenantId) -> Result<Vec<Team>, TeamError> {
        let mut teams = Vec::new();
        for (key, id) in record::all(&*self.platform, NAMES, format!("{tenant_id}/").as_bytes())? {
            match read(&*self.platform, tenant_id, &String::from_utf8_lossy(&id))? {
                Some(stored) => teams.push(stored.team),
                // It may have been removed meanwhile.
                None if self.platform.get(NAMES, &key)?.is_none_or(|still| still != id) => {}
                None => {
                    let what = format!("{NAMES} names a team that is not there");
                    return Err(StoreError::from(Corrupt::new(what)).into());
                }
            }
        }
        Ok(teams)
    }

    /// The team of `tenant_id` with that id.
    pub fn team(&self, tenant_id: &TenantId, team_id: &str) -> Result<Team, TeamError> {
        Ok(get(&*self.platform, tenant_id, team_id)?.team)
    }

    /// The team of `tenant_id` with that name, in whatever case.
    pub fn team_by_name(&self, tenant_id: &TenantId, name: &str) -> Result<Team, TeamError> {
        let id = self.platform.get(NAMES, &name_key(tenant_id, name))?;
        let id = id.ok_or_else(|| TeamError::NotFound { team: name.into() })?;
        self.team(tenant_id, &String::from_utf8_lossy(&id))
    }

    /// The users in a team, in order of their addresses.
    pub fn members(&self, tenant_id: &TenantId, team_id: &str) -> Result<Vec<Account>, TeamError> {
        let team = self.team(tenant_id, team_id)?;
        let mut users = user::of_tenant(&*self.platform, tenant_id)?;
        users.retain(|user| user.teams.contains(&team.id));
        Ok(users.into_iter().map(Account::from).collect())
    }

    /// Makes a team without members.
    pub fn create_team(
        &self,
        tenant_id: &TenantId,
        name: &str,
        reported_as: &[String],
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Team, TeamError> {
        self.create_team_and(tenant_id, (name, reported_as), by, now_ms, |_| Ok(Vec::new()))
    }

    /// The same, together with what `also` wants written.
    pub fn create_team_and(
        &self,
        tenant_id: &TenantId,
        (name, reported_as): (&str, &[String]),
        by: &By,
        now_ms: TimeMs,
        also: impl FnOnce(&Team) -> Result<Vec<TableWrite>, StoreError>,
    ) -> Result<Team, TeamError> {
        check_name(name)?;
        let team = Team {
            id: random_word(),
            tenant_id: tenant_id.clone(),
            name: name.into(),
            reported_as: names::reported_as(reported_as)?,
            created_ms: now_ms,
        };
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let prefix = format!("{tenant_id}/");
        let there = self.platform.list(NAMES, prefix.as_bytes(), None, TEAMS_PER_TENANT_MAX)?;
        if there.len() >= TEAMS_PER_TENANT_MAX {
            return Err(TeamError::TooMany);
        }
        let there = Tenancy::still_there(&*self.platform, tenant_id).map_err(AccountError::from)?;
        let mut act = team.creation()?;
        act.expect.push(there);
        act.writes.extend(also(&team)?);
        act.told = by.told(tenant_id, by.did("team.create", target(&team.id)).after(told(&team)));
        match act.commit(&self.log, now_ms)? {
            true => Ok(team),
            false => Err(TeamError::NameTaken { name: name.into() }),
        }
    }

    /// Changes a team, if the team of now passes `current`.
    pub fn change_team(
        &self,
        tenant_id: &TenantId,
        team_id: &str,
        change: &TeamChange,
        by: &By,
        current: impl FnOnce(&Team) -> bool,
        now_ms: TimeMs,
    ) -> Result<Team, TeamError> {
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = get(&*self.platform, tenant_id, team_id)?;
        if !current(&stored.team) {
            return Err(TeamError::Stale);
        }
        let mut team = stored.team.clone();
        if let Some(reported_as) = &change.reported_as {
            team.reported_as = names::reported_as(reported_as)?;
        }
        if let Some(name) = &change.name {
            check_name(name)?;
            team.name.clone_from(name);
        }
        let id = team.id.as_bytes();
        let mut expect = vec![stored.unchanged()];
        let mut writes = vec![put(TEAMS, id, record::encode(&team)?)];
        let [before, after] = [&stored.team, &team].map(|team| name_key(tenant_id, &team.name));
        if before != after {
            expect.push(absent(NAMES, &after));
            writes.extend([delete(NAMES, &before), put(NAMES, &after, id.to_vec())]);
        }
        let event = by.did("team.change", target(&team.id));
        let event = event.before(told(&stored.team)).after(told(&team));
        let told = by.told(tenant_id, event);
        match (Completion { expect, writes, told }).commit(&self.log, now_ms)? {
            true => Ok(team),
            false => Err(TeamError::NameTaken { name: team.name }),
        }
    }

    /// Removes a team, if the team of now passes `current`, and everybody from it.
    pub fn remove_team(
        &self,
        tenant_id: &TenantId,
        team_id: &str,
        by: &By,
        current: impl FnOnce(&Team) -> bool,
        now_ms: TimeMs,
    ) -> Result<(), TeamError> {
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = get(&*self.platform, tenant_id, team_id)?;
        if !current(&stored.team) {
            return Err(TeamError::Stale);
        }
        for _ in 0..ATTEMPTS_MAX {
            let event = by.did("team.remove", target(team_id)).before(told(&stored.team));
            let act = self.team_removal(&stored)?.telling(by.told(tenant_id, event));
            if act.commit(&self.log, now_ms)? {
                return Ok(());
            }
        }
        Err(AccountError::from(SessionError::Contended).into())
    }

    fn team_removal(&self, stored: &StoredTeam) -> Result<Completion, StoreError> {
        let Team { id, tenant_id, name, .. } = &stored.team;
        let mut act = Completion {
            expect: vec![stored.unchanged()],
            writes: vec![delete(TEAMS, id.as_bytes()), delete(NAMES, &name_key(tenant_id, name))],
            told: Vec::new(),
        };
        for user in user::of_tenant(&*self.platform, tenant_id)? {
            if !user.teams.contains(id) {
                continue;
            }
            let Some(member) = user::get(&*self.platform, &user.id)? else { continue };
            let mut teams = member.user.teams.clone();
            teams.retain(|team| team != id);
            let change = member.change(&User { teams, ..member.user.clone() })?;
            act.expect.extend(change.expect);
            act.writes.extend(change.writes);
        }
        Ok(act)
    }

    /// Puts a user into a team, or takes the user out of it: `is_member` says which. What is so
    /// already stays.
    pub fn set_member(
        &self,
        tenant_id: &TenantId,
        team_id: &str,
        user_id: &str,
        is_member: bool,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, TeamError> {
        let team = self.team(tenant_id, team_id)?;
        let teams = |account: &Account| {
            let mut teams = account.teams.clone();
            teams.retain(|known| *known != team.id);
            if is_member {
                teams.push(team.id.clone());
            }
            teams
        };
        Ok(self.set_teams(tenant_id, user_id, teams, by, now_ms)?)
    }
}
