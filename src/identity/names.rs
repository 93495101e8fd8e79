//! How executions name users and teams, which is not how people do.

use super::{Identity, team, user};
use crate::model::limits::WORD_BYTES_MAX;
use crate::tenancy::id::TenantId;
use crate::tenancy::record;
use crate::tenancy::row_policy::Names;
use crate::tenancy::sight::People;
use serde::Deserialize;
use std::sync::Arc;
use storage::engine::Tables;
use storage::error::StoreError;

/// How many names one user or team has in executions: a person has an account on some machines.
pub const REPORTED_AS_MAX: usize = 32;

/// Why such names are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// There are too many.
    #[error("there are more than {REPORTED_AS_MAX} names: leave some out")]
    TooMany,
    /// No execution can have it.
    #[error("a name has 1 to {WORD_BYTES_MAX} bytes: choose another")]
    Length,
}

/// `names` in order, each once, if executions can have them.
pub(super) fn reported_as(names: &[String]) -> Result<Vec<String>, NamesError> {
    if names.len() > REPORTED_AS_MAX {
        return Err(NamesError::TooMany);
    }
    if names.iter().any(|name| !(1..=WORD_BYTES_MAX).contains(&name.len())) {
        return Err(NamesError::Length);
    }
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Finds the names of users and of their teams in the platform's tables.
#[derive(Debug)]
struct Registered {
    platform: Arc<dyn Tables>,
}

/// What a user and a team both say.
#[derive(Deserialize)]
struct Whose {
    tenant_id: TenantId,
}

impl People for Registered {
    fn tables(&self) -> &'static [&'static str] {
        &[user::USERS, team::TEAMS]
    }

    fn tenant_of(&self, record: &[u8]) -> Option<TenantId> {
        record::decode("a user or a team", record).ok().map(|Whose { tenant_id }| tenant_id)
    }

    fn names(&self, tenant_id: &TenantId, user_id: &str) -> Result<Names, StoreError> {
        let Some(stored) = user::get_of(&*self.platform, tenant_id, user_id)? else {
            return Ok(Names::default());
        };
        let words = |names: Vec<String>| names.into_iter().map(String::into_boxed_str).collect();
        Ok(Names {
            teams: words(team::reported_as(&*self.platform, tenant_id, &stored.user.teams)?),
            users: words(stored.user.reported_as),
        })
    }
}

impl Identity {
    /// Whoever knows how executions name people: for the row policies of tenants.
    pub fn people(&self) -> Arc<dyn People> {
        Arc::new(Registered { platform: Arc::clone(&self.platform) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::email::Email;
    use crate::identity::password::Password;
    use crate::identity::team::Team;
    use crate::identity::user::{Owner, User};
    use crate::tenancy::fake::FakeEngine;
    use crate::tenancy::id::random_word;

    #[test]
    fn what_is_stored_of_people_says_whose_it_is() {
        let people = Registered { platform: Arc::new(FakeEngine::default()) };
        let (id, tenant_id, created_ms) = (random_word(), TenantId::random(), 7);
        let (name, reported_as) = ("Compilers".to_owned(), Vec::new());
        let team = Team { id, tenant_id: tenant_id.clone(), name, reported_as, created_ms };
        let email = Email::parse("you@example.org").unwrap();
        let password = Password::random().hash().unwrap();
        let owner = Owner { email, password, platform: false };
        let user = User::owner(tenant_id.clone(), owner, created_ms);
        let made = [user.creation().unwrap().writes, team.creation().unwrap().writes].concat();
        let told = made.iter().filter(|write| people.tables().contains(&&*write.table));
        let told = told.map(|write| people.tenant_of(write.value.as_deref().unwrap()));
        assert_eq!(told.collect::<Vec<_>>(), [Some(tenant_id.clone()), Some(tenant_id)]);
        assert_eq!(people.tenant_of(b"{}"), None);
    }

    #[test]
    fn names_are_such_as_executions_have() {
        let names = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            reported_as(&names)
        };
        assert_eq!(names(&["b", "a", "b"]), Ok(vec!["a".into(), "b".into()]));
        assert_eq!(names(&[]), Ok(Vec::new()));
        assert_eq!(names(&[""]), Err(NamesError::Length));
        assert_eq!(names(&[&"x".repeat(WORD_BYTES_MAX + 1)]), Err(NamesError::Length));
        assert_eq!(names(&["x"; REPORTED_AS_MAX + 1]), Err(NamesError::TooMany));
    }
}
