//! How executions name users and teams, which is not how people do.

use super::{Identity, team, user};
use crate::model::limits::WORD_BYTES_MAX;
use crate::tenancy::id::TenantId;
use crate::tenancy::row_policy::Names;
use crate::tenancy::sight::People;
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

impl People for Registered {
    fn tables(&self) -> &'static [&'static str] {
        &[user::USERS, team::TEAMS]
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
