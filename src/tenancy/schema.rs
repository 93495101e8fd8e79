//! Every version of what lies in the small tables of a tenant's keyspace, and the way from one to the
//! next and back: the one place for it.
//!
//! A further version is one more [`Step`]. Its `up` and `down` see the tables while nobody else writes;
//! what they do is one commit with the new version. `down` must make of everything that can have been
//! written at the newer version something that the older one understands.

use crate::process::quarantine::BY_RECEIPT;
use storage::schema::{Schema, Step};

/// The schema of every tenant's keyspace.
pub static SCHEMA: Schema = Schema {
    steps: &[Step {
        from: 1,
        to: 2,
        summary: "lists what is in quarantine by its time of receipt, newest first",
        up: |tables| BY_RECEIPT.build(tables),
        down: |tables| BY_RECEIPT.clear(tables),
    }],
    indexes: &[BY_RECEIPT],
};

#[cfg(test)]
mod tests {
    use super::*;
    use storage::schema::FIRST_VERSION;

    #[test]
    fn each_step_begins_where_the_one_before_ends_and_no_index_is_older_or_newer_than_they() {
        let mut at = FIRST_VERSION;
        for step in SCHEMA.steps {
            assert_eq!((step.from, step.to), (at, at + 1), "{}", step.summary);
            at = step.to;
        }
        for index in SCHEMA.indexes {
            assert!((FIRST_VERSION + 1..=at).contains(&index.since), "{}", index.name);
        }
    }
}
