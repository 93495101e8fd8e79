//! Which rows of a tenant somebody may see: what the tenant says of each role, and what that comes to
//! for one who asks.
//!
//! *Invariants*: whoever administers a tenant sees all of it, so that nobody can shut everybody out;
//! what is not known to be somebody's is not that one's. Aggregates are over at least the rows that may
//! be seen.

use super::permission::Role;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::sync::Arc;
use storage::ask::{Predicate, WordTest};
use storage::row::{Dimension, Word};

/// Which raw rows a role sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// All.
    #[default]
    All,
    /// One's own, and those of the teams that one is in.
    Teams,
    /// One's own.
    Own,
    /// None.
    None,
}

impl Sight {
    /// Every one, from the one that shows most on.
    pub const ALL: [Self; 4] = [Self::All, Self::Teams, Self::Own, Self::None];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Teams => "teams",
            Self::Own => "own",
            Self::None => "none",
        }
    }
}

/// Which rows a role's aggregates are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// All.
    #[default]
    All,
    /// Those that the role sees.
    Same,
}

impl Counted {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::All, Self::Same];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Same => "same",
        }
    }
}

/// What a role sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSight {
    /// Its raw rows.
    pub rows: Sight,
    /// Its aggregates.
    pub aggregates: Counted,
}

impl RoleSight {
    const OPEN: Self = Self { rows: Sight::All, aggregates: Counted::All };
    const BLIND: Self = Self { rows: Sight::None, aggregates: Counted::Same };
}

/// Why a text says no sight.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use `all`, `teams`, `own` or `none`, with `:all` or `:same` behind it for aggregates")]
pub struct SightError;

impl FromStr for RoleSight {
    type Err = SightError;

    /// Reads `own`, `own:all` or `own:same`.
    fn from_str(text: &str) -> Result<Self, SightError> {
        let (rows, aggregates) = text.split_once(':').unwrap_or((text, Counted::All.as_str()));
        let rows = Sight::ALL.into_iter().find(|sight| sight.as_str() == rows);
        let aggregates = Counted::ALL.into_iter().find(|counted| counted.as_str() == aggregates);
        match (rows, aggregates) {
            (Some(rows), Some(aggregates)) => Ok(Self { rows, aggregates }),
            _ => Err(SightError),
        }
    }
}

/// What a tenant lets each role see, as far as it is the tenant's to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRules {
    /// What viewers see.
    pub viewer: RoleSight,
    /// What members see.
    pub member: RoleSight,
    /// What managers see.
    pub manager: RoleSight,
}

impl RowRules {
    /// Everybody sees everything: what a tenant begins with.
    pub const OPEN: Self =
        Self { viewer: RoleSight::OPEN, member: RoleSight::OPEN, manager: RoleSight::OPEN };

    /// A manager sees their teams' rows, a member their own and all aggregates, a viewer aggregates
    /// alone.
    pub const STRICT: Self = Self {
        viewer: RoleSight { rows: Sight::None, aggregates: Counted::All },
        member: RoleSight { rows: Sight::Own, aggregates: Counted::All },
        manager: RoleSight { rows: Sight::Teams, aggregates: Counted::Same },
    };

    /// The rules that have a name of their own.
    pub const PRESETS: [(&'static str, Self); 2] = [("open", Self::OPEN), ("strict", Self::STRICT)];

    /// The rules called `name`.
    pub fn preset(name: &str) -> Option<Self> {
        Self::PRESETS.into_iter().find(|(known, _)| *known == name).map(|(_, rules)| rules)
    }

    /// The name of these rules, if they have one.
    pub fn preset_name(&self) -> Option<&'static str> {
        Self::PRESETS.into_iter().find(|(_, rules)| rules == self).map(|(name, _)| name)
    }

    /// What `role` sees.
    pub fn of(&self, role: Role) -> RoleSight {
        match role {
            Role::Ingest => RoleSight::BLIND,
            Role::Viewer => self.viewer,
            Role::Member => self.member,
            Role::Manager => self.manager,
            Role::Admin | Role::Owner => RoleSight::OPEN,
        }
    }
}

/// How executions name one person, and the teams that the person is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Of the person, as `user_id`.
    pub users: Vec<Box<str>>,
    /// Of the teams, as `team_id`.
    pub teams: Vec<Box<str>>,
}

/// Which rows of a tenant somebody may see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowPolicy {
    /// Whose rows; `None`: everybody's.
    names: Option<Arc<Names>>,
    /// The same, as the engine understands it.
    conditions: Arc<[Predicate]>,
}

impl RowPolicy {
    /// All rows.
    pub fn all_rows() -> Self {
        Self::default()
    }

    /// The rows of one of `names`, and none if there are none.
    pub fn only(names: Names) -> Self {
        let word = |word, names: &[Box<str>]| {
            let test = WordTest::In(names.to_vec());
            (!names.is_empty()).then_some(Predicate::Word(Dimension::Word(word), test))
        };
        let [users, teams] = [word(Word::User, &names.users), word(Word::Team, &names.teams)];
        let condition = match (users, teams) {
            // Of one dimension alone, so that its partial aggregates serve.
            (Some(one), None) | (None, Some(one)) => one,
            (users, teams) => Predicate::Any(users.into_iter().chain(teams).collect()),
        };
        Self { names: Some(Arc::new(names)), conditions: [condition].into() }
    }

    /// What a row must pass; nothing where all may be seen.
    pub fn conditions(&self) -> &Arc<[Predicate]> {
        &self.conditions
    }

    /// Whether every row may be seen.
    pub fn is_all_rows(&self) -> bool {
        self.names.is_none()
    }

    /// Whether an execution of that `user_id` and `team_id` may be seen.
    pub fn admits(&self, user_id: &str, team_id: &str) -> bool {
        let listed = |names: &[Box<str>], name: &str| names.iter().any(|known| **known == *name);
        self.names
            .as_ref()
            .is_none_or(|names| listed(&names.users, user_id) || listed(&names.teams, team_id))
    }
}

/// What somebody sees in a tenant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Its raw rows.
    pub rows: RowPolicy,
    /// What its aggregates are over.
    pub aggregates: RowPolicy,
}

impl Seen {
    /// Everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Nothing.
    pub fn nothing() -> Self {
        let nobodys = RowPolicy::only(Names::default());
        Self { rows: nobodys.clone(), aggregates: nobodys }
    }

    /// What `sight` comes to for one with `names`, who asks.
    pub fn by(sight: RoleSight, names: &Names) -> Self {
        let rows = match sight.rows {
            Sight::All => RowPolicy::all_rows(),
            Sight::Teams => RowPolicy::only(names.clone()),
            Sight::Own => RowPolicy::only(Names { teams: Vec::new(), ..names.clone() }),
            Sight::None => RowPolicy::only(Names::default()),
        };
        let aggregates = match sight.aggregates {
            Counted::All => RowPolicy::all_rows(),
            Counted::Same => rows.clone(),
        };
        Self { rows, aggregates }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(users: &[&str], teams: &[&str]) -> Names {
        let words = |words: &[&str]| words.iter().map(|word| (*word).into()).collect();
        Names { users: words(users), teams: words(teams) }
    }

    #[track_caller]
    fn check(sight: Sight, names: &Names, admitted: &[(&str, &str)]) {
        let policy = Seen::by(RoleSight { rows: sight, ..RoleSight::default() }, names).rows;
        for user in ["", "ann", "bob"] {
            for team in ["", "red", "blue"] {
                let expected = admitted.contains(&(user, team));
                assert_eq!(policy.admits(user, team), expected, "{sight:?} {user:?} {team:?}");
            }
        }
    }

    #[test]
    fn somebody_sees_what_is_theirs() {
        let ann = names(&["ann", "a.smith"], &["red"]);
        let own = [("ann", ""), ("ann", "red"), ("ann", "blue")];
        check(Sight::Own, &ann, &own);
        let teams = [&own[..], &[("", "red"), ("bob", "red")]].concat();
        check(Sight::Teams, &ann, &teams);
        check(Sight::None, &ann, &[]);
        for sight in [Sight::Own, Sight::Teams, Sight::None] {
            check(sight, &Names::default(), &[]);
        }
        check(Sight::Own, &names(&[], &["red"]), &[]);
        assert!(RowPolicy::all_rows().admits("", "") && RowPolicy::all_rows().is_all_rows());
        assert!(!RowPolicy::only(Names::default()).is_all_rows());
    }

    #[test]
    fn aggregates_are_over_all_rows_or_over_those_that_are_seen() {
        let ann = names(&["ann"], &[]);
        let all = Seen::by(RoleSight { rows: Sight::Own, aggregates: Counted::All }, &ann);
        assert!(all.aggregates.is_all_rows() && !all.rows.is_all_rows());
        let same = Seen::by(RoleSight { rows: Sight::Own, aggregates: Counted::Same }, &ann);
        assert_eq!(same.aggregates, same.rows);
    }

    #[test]
    fn who_administers_sees_all_and_who_only_sends_nothing() {
        for rules in [RowRules::OPEN, RowRules::STRICT] {
            for role in [Role::Admin, Role::Owner] {
                assert_eq!(rules.of(role), RoleSight::default());
            }
            assert_eq!(rules.of(Role::Ingest).rows, Sight::None);
        }
        assert_eq!(RowRules::default(), RowRules::OPEN);
        assert_eq!(RowRules::STRICT.of(Role::Manager).rows, Sight::Teams);
        assert_eq!(RowRules::preset("strict"), Some(RowRules::STRICT));
        assert_eq!(RowRules::STRICT.preset_name(), Some("strict"));
        let mixed = RowRules { viewer: RoleSight::OPEN, ..RowRules::STRICT };
        assert_eq!((mixed.preset_name(), RowRules::preset("mild")), (None, None));
    }

    #[test]
    fn a_sight_is_read_as_it_is_written() {
        for rows in Sight::ALL {
            assert_eq!(serde_json::to_value(rows).unwrap(), rows.as_str());
            for aggregates in Counted::ALL {
                assert_eq!(serde_json::to_value(aggregates).unwrap(), aggregates.as_str());
                let text = format!("{}:{}", rows.as_str(), aggregates.as_str());
                assert_eq!(text.parse(), Ok(RoleSight { rows, aggregates }));
            }
            let sight = RoleSight { rows, aggregates: Counted::All };
            assert_eq!(rows.as_str().parse(), Ok(sight));
        }
        for bad in ["", ":", "all:", "own:none", "OWN", "own:all:all"] {
            assert_eq!(bad.parse::<RoleSight>(), Err(SightError), "{bad}");
        }
    }

    #[test]
    fn the_stored_words_stay() {
        let text = serde_json::to_string(&RowRules::STRICT).unwrap();
        assert_eq!(
            text,
            "{\"viewer\":{\"rows\":\"none\",\"aggregates\":\"all\"},\
             \"member\":{\"rows\":\"own\",\"aggregates\":\"all\"},\
             \"manager\":{\"rows\":\"teams\",\"aggregates\":\"same\"}}"
        );
        assert_eq!(serde_json::from_str::<RowRules>(&text).unwrap(), RowRules::STRICT);
    }
}
