//! Rows, a policy and people, and who sees what of it, as the words of the policy say.

use emx::tenancy::row_policy::{Counted, RoleSight, RowRules, Sight};
use proptest::prelude::*;

/// The words that executions name people by; the first is nobody's.
pub(crate) const USERS: [&str; 4] = ["", "ann", "bob", "cyd"];

/// The words that executions name teams by; the first is no team's.
pub(crate) const TEAMS: [&str; 3] = ["", "red", "blue"];

/// A row, as far as it matters.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) user: &'static str,
    pub(crate) team: &'static str,
    pub(crate) failed: bool,
}

/// Who somebody is in executions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Person {
    pub(crate) reported_as: Vec<&'static str>,
    /// Of [`TEAMS`], each of which is a team of that name.
    pub(crate) teams: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) rules: RowRules,
    pub(crate) rows: Vec<Row>,
    /// Rows that cannot be true.
    pub(crate) quarantined: Vec<Row>,
    /// A viewer, a member and a manager.
    pub(crate) people: [Person; 3],
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// One of [`Scenario::people`].
    Person(usize),
    /// A key with the role of that one.
    Key(usize),
    /// Whoever administers the tenant.
    Admin,
}

impl Who {
    pub(crate) const ALL: [Self; 6] = [
        Self::Person(0),
        Self::Person(1),
        Self::Person(2),
        Self::Key(0),
        Self::Key(2),
        Self::Admin,
    ];
}

impl Scenario {
    /// A viewer and a manager of one team, a member of another, and rows of them and of nobody.
    pub(crate) fn company(rules: RowRules) -> Self {
        let row = |user, team, failed| Row { user, team, failed };
        let rows = vec![
            row("ann", "red", false),
            row("ann", "blue", true),
            row("ann", "", false),
            row("bob", "red", true),
            row("bob", "blue", false),
            row("cyd", "red", false),
            row("", "red", true),
            row("", "blue", false),
            row("", "", false),
        ];
        let person = |name, team| Person { reported_as: vec![name], teams: vec![team] };
        Self {
            rules,
            quarantined: rows.clone(),
            rows,
            people: [person("ann", "red"), person("bob", "blue"), person("cyd", "red")],
        }
    }

    fn sight(&self, who: Who) -> RoleSight {
        match who {
            Who::Admin => RoleSight { rows: Sight::All, aggregates: Counted::All },
            Who::Person(0) | Who::Key(0) => self.rules.viewer,
            Who::Person(1) | Who::Key(1) => self.rules.member,
            Who::Person(_) | Who::Key(_) => self.rules.manager,
        }
    }

    /// Whether `who` sees that row.
    pub(crate) fn sees(&self, who: Who, row: &Row) -> bool {
        let nobody = Person::default();
        let person = match who {
            Who::Person(n) => &self.people[n],
            Who::Key(_) | Who::Admin => &nobody,
        };
        let (own, teams) =
            (person.reported_as.contains(&row.user), person.teams.contains(&row.team));
        match self.sight(who).rows {
            Sight::All => true,
            Sight::Teams => own || teams,
            Sight::Own => own,
            Sight::None => false,
        }
    }

    /// Whether `who` is told of that row in aggregates.
    pub(crate) fn counts(&self, who: Who, row: &Row) -> bool {
        self.sight(who).aggregates == Counted::All || self.sees(who, row)
    }
}

fn any_row() -> impl Strategy<Value = Row> {
    let (users, teams) = (prop::sample::select(&USERS[..]), prop::sample::select(&TEAMS[..]));
    (users, teams, any::<bool>()).prop_map(|(user, team, failed)| Row { user, team, failed })
}

fn any_person() -> impl Strategy<Value = Person> {
    let some = |words: &'static [&'static str]| prop::sample::subsequence(words, 0..=words.len());
    (some(&USERS[1..]), some(&TEAMS[1..]))
        .prop_map(|(reported_as, teams)| Person { reported_as, teams })
}

fn any_sight() -> impl Strategy<Value = RoleSight> {
    (prop::sample::select(&Sight::ALL[..]), prop::sample::select(&Counted::ALL[..]))
        .prop_map(|(rows, aggregates)| RoleSight { rows, aggregates })
}

prop_compose! {
    pub(crate) fn any_scenario()(
        sights in prop::array::uniform3(any_sight()),
        rows in prop::collection::vec(any_row(), 1..9),
        quarantined in prop::collection::vec(any_row(), 0..4),
        people in prop::array::uniform3(any_person()),
    ) -> Scenario {
        let [viewer, member, manager] = sights;
        Scenario { rules: RowRules { viewer, member, manager }, rows, quarantined, people }
    }
}
