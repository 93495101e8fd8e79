//! What the power is lost in the midst of.

use crate::ledger::{Act, LedgerRow, Part};

/// Acts that are done in peace, and acts that are struck.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) before: Vec<Act>,
    pub(crate) struck: Vec<Act>,
}

/// The one consumer that has a cursor.
pub(crate) const CONSUMER: &str = "search";

const TENANT: &str = "t-1";
const OTHER: &str = "t-2";

/// The platform's tables are there before any keyspace, as in life.
fn founded(mut acts: Vec<Act>) -> Vec<Act> {
    acts.insert(0, claim("tenant/acme", TENANT));
    acts
}

fn create(name: &str) -> Act {
    Act::Create(name.to_owned())
}

fn append(name: &str, numbers: std::ops::Range<u64>, origin: &str) -> Act {
    Act::Append(name.to_owned(), vec![part(numbers, origin)])
}

fn part(numbers: std::ops::Range<u64>, origin: &str) -> Part {
    Part { rows: LedgerRow::many(numbers, 0, origin), note: None }
}

fn settle(name: &str) -> Act {
    Act::Settle(name.to_owned())
}

fn claim(key: &str, value: &str) -> Act {
    Act::Claim(key.into(), value.into())
}

/// A keyspace with blocks and, beyond them, rows that are not sealed; two origins mixed.
fn filled(name: &str) -> Vec<Act> {
    founded(vec![
        create(name),
        append(name, 0..100, "good"),
        append(name, 100..165, "bad"),
        settle(name),
        append(name, 165..260, "good"),
        settle(name),
        append(name, 260..280, "bad"),
        append(name, 280..300, "good"),
    ])
}

/// A group commit of three callers, one of them with repeats and one with a small value; a cursor;
/// single rows.
pub(crate) fn commit() -> Scenario {
    let noted = Part { note: Some((b"key".to_vec(), b"value".to_vec())), ..part(100..160, "c") };
    let group = vec![part(80..120, "a"), part(40..60, "b"), noted];
    let mut struck = vec![Act::Append(TENANT.to_owned(), group)];
    struck.extend((200..206).map(|n| append(TENANT, n..n + 1, "one")));
    struck.push(Act::Cursor(TENANT.to_owned(), CONSUMER.to_owned(), 90));
    struck.push(append(TENANT, 300..340, "a"));
    let some = [create(TENANT), append(TENANT, 0..60, "a"), append(TENANT, 60..90, "b")];
    let before = founded(some.to_vec());
    Scenario { name: "commit", before, struck }
}

/// Small blocks into large ones, twice, so that they merge too.
pub(crate) fn seal() -> Scenario {
    let mut before = founded(vec![create(TENANT)]);
    before.extend((0..5).map(|n| append(TENANT, n * 35..n * 35 + 35, "a")));
    let struck = vec![
        settle(TENANT),
        append(TENANT, 175..210, "b"),
        append(TENANT, 210..245, "b"),
        settle(TENANT),
        append(TENANT, 50..250, "again"),
        settle(TENANT),
    ];
    Scenario { name: "seal", before, struck }
}

/// Batches that carry how far the import has come.
pub(crate) fn import() -> Scenario {
    let mut struck = Vec::new();
    for n in 0..8_u64 {
        let rows = part(n * 45..n * 45 + 45, "import-7");
        let note = (b"import-7".to_vec(), ((n + 1) * 45).to_string().into_bytes());
        struck.push(Act::Append(TENANT.to_owned(), vec![Part { note: Some(note), ..rows }]));
        if n % 3 == 2 {
            struck.push(settle(TENANT));
        }
    }
    let before = founded(vec![create(TENANT), append(TENANT, 5000..5100, "a")]);
    Scenario { name: "import", before, struck }
}

/// Takes an import back, out of blocks and the tail.
pub(crate) fn remove() -> Scenario {
    let struck = vec![
        Act::Remove(TENANT.to_owned(), "bad".to_owned()),
        append(TENANT, 300..320, "good"),
        Act::Remove(TENANT.to_owned(), "nobody".to_owned()),
        settle(TENANT),
        Act::Remove(TENANT.to_owned(), "good".to_owned()),
        append(TENANT, 0..50, "good"),
    ];
    Scenario { name: "remove", before: filled(TENANT), struck }
}

/// Corrects rows in blocks and the tail, and adds one that was not there.
pub(crate) fn replace() -> Scenario {
    let corrected = |numbers, version| LedgerRow::many(numbers, version, "corrected");
    let mut mixed = corrected(75..130, 1);
    mixed.extend(corrected(275..285, 1));
    mixed.extend(corrected(900..905, 1));
    let struck = vec![
        Act::Replace(TENANT.to_owned(), mixed),
        settle(TENANT),
        Act::Replace(TENANT.to_owned(), corrected(125..135, 2)),
        append(TENANT, 300..340, "good"),
    ];
    Scenario { name: "replace", before: filled(TENANT), struck }
}

/// A second tenant beside one that has rows.
pub(crate) fn tenant() -> Scenario {
    let some = [create(TENANT), append(TENANT, 0..80, "a"), settle(TENANT)];
    let before = founded(some.to_vec());
    let struck = vec![
        claim("tenant/emca", OTHER),
        create(OTHER),
        claim("state/emca", "active"),
        append(OTHER, 0..40, "b"),
        append(TENANT, 80..100, "a"),
        create("t-3"),
    ];
    Scenario { name: "tenant", before, struck }
}

/// The very first start in an empty directory.
pub(crate) fn first_start() -> Scenario {
    let struck = vec![
        claim("tenant/acme", TENANT),
        create(TENANT),
        append(TENANT, 0..40, "a"),
        settle(TENANT),
        append(TENANT, 40..80, "a"),
    ];
    Scenario { name: "first start", before: Vec::new(), struck }
}

/// Gives back the space of what was removed.
pub(crate) fn rewrite() -> Scenario {
    let mut before = filled(TENANT);
    before.push(Act::Remove(TENANT.to_owned(), "bad".to_owned()));
    let again = || Act::Rewrite(TENANT.to_owned());
    let struck = vec![again(), append(TENANT, 300..360, "good"), settle(TENANT), again()];
    Scenario { name: "rewrite", before, struck }
}

/// The small tables to another version and back, over and over, with what is written at each; of one of
/// two tenants.
pub(crate) fn migration() -> Scenario {
    let notes = |numbers: std::ops::Range<u64>, edition: &str| {
        let noted = |n: u64| {
            let note = (n.to_be_bytes().to_vec(), format!("{edition} {}", n % 7).into_bytes());
            Part { rows: LedgerRow::many(n..n + 1, 0, "noted"), note: Some(note) }
        };
        Act::Append(TENANT.to_owned(), numbers.map(noted).collect())
    };
    let to = |version| Act::Migrate(TENANT.to_owned(), version);
    let mut before = filled(TENANT);
    before.extend([create(OTHER), notes(300..420, "first"), to(1)]);
    let struck = vec![
        to(2),
        notes(380..440, "second"),
        to(1),
        notes(430..450, "third"),
        append(OTHER, 0..20, "a"),
        to(2),
        settle(TENANT),
        to(1),
        to(2),
    ];
    Scenario { name: "migration", before, struck }
}

/// A tenant goes, another stays.
pub(crate) fn delete() -> Scenario {
    let mut before = filled(TENANT);
    before.extend([create(OTHER), append(OTHER, 0..100, "a"), settle(OTHER)]);
    let struck = vec![
        append(TENANT, 300..330, "good"),
        Act::Delete(OTHER.to_owned()),
        append(TENANT, 330..360, "good"),
        Act::Delete(OTHER.to_owned()),
        create("t-4"),
    ];
    Scenario { name: "delete", before, struck }
}
