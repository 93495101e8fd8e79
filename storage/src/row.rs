//! One execution as the engine sees it: borrowed, validated, ready to be stored.
//!
//! The engine stores exactly one kind of row. What the outer contract calls an execution is
//! taken apart here into *words* (low-cardinality text that can be grouped and filtered by),
//! *measures* (numbers that are aggregated) and the row's identity.

use std::fmt;

/// A row's `seq`: its place in the keyspace's feed. The first row has seq 1; 0 is "nothing yet".
pub type Seq = u64;

/// Unix milliseconds, UTC.
pub type TimeMs = i64;

/// The caller's id of a row, and so its idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowId<'a> {
    /// A UUID in its canonical form (lower case, hyphenated): 16 bytes on disk.
    Uuid([u8; 16]),
    /// Any other text, 1..=128 bytes.
    Text(&'a str),
}

impl<'a> RowId<'a> {
    /// Takes `text` as the shortest kind that gives the same text back.
    pub fn parse(text: &'a str) -> Self {
        parse_canonical_uuid(text.as_bytes()).map_or(Self::Text(text), Self::Uuid)
    }

    /// A hash of the id alone, the same on every machine and in every version of the format
    /// (XXH3, 64 bit): block filters are built from it.
    pub fn hash(&self) -> u64 {
        match self {
            Self::Uuid(bytes) => xxhash_rust::xxh3::xxh3_64_with_seed(bytes, 1),
            Self::Text(text) => xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), 2),
        }
    }
}

impl fmt::Display for RowId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(bytes) => uuid::Uuid::from_bytes(*bytes).hyphenated().fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// `8-4-4-4-12` lower-case hexadecimal digits, and nothing else: an upper-case UUID is text,
/// since it would not come back as it was sent.
fn parse_canonical_uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let mut out = [0; 16];
    let mut at = 0;
    for (n, byte) in out.iter_mut().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return None;
            }
            at += 1;
        }
        *byte = HEX[text[at] as usize] << 4 | HEX[text[at + 1] as usize];
        if HEX[text[at] as usize] == NOT_HEX || HEX[text[at + 1] as usize] == NOT_HEX {
            return None;
        }
        at += 2;
    }
    Some(out)
}

const NOT_HEX: u8 = 0xff;

/// The value of each lower-case hexadecimal digit.
const HEX: [u8; 256] = {
    let mut table = [NOT_HEX; 256];
    let mut n = 0;
    while n < 10 {
        table[b'0' as usize + n] = n as u8;
        n += 1;
    }
    while n < 16 {
        table[b'a' as usize + n - 10] = n as u8;
        n += 1;
    }
    table
};

/// How a run ended. The numbers are stored: they never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Status {
    /// Nobody knows.
    #[default]
    Unknown = 0,
    /// It did what it should.
    Success = 1,
    /// It did not.
    Failure = 2,
    /// It was stopped for taking too long.
    Timeout = 3,
    /// Somebody stopped it.
    Cancelled = 4,
}

/// Who ran the command. The numbers are stored: they never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Actor {
    /// Nobody knows.
    #[default]
    Unknown = 0,
    /// A person at a shell.
    Human = 1,
    /// A continuous-integration job.
    Ci = 2,
    /// A coding agent.
    Agent = 3,
}

impl Status {
    /// Every status, at the index of its stored number.
    pub const ALL: [Self; 5] =
        [Self::Unknown, Self::Success, Self::Failure, Self::Timeout, Self::Cancelled];

    /// The contract's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Whether it counts as a failure: `failure` and `timeout` do.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failure | Self::Timeout)
    }
}

impl Actor {
    /// Every actor, at the index of its stored number.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Human, Self::Ci, Self::Agent];

    /// The contract's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Human => "human",
            Self::Ci => "ci",
            Self::Agent => "agent",
        }
    }

    /// The actor of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == word)
    }
}

/// The word columns every row has. The numbers are stored: they never change.
///
/// An absent word and an empty one are the same in these columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Word {
    /// The command's name, low cardinality.
    Command = 0,
    /// Who ran it.
    User = 1,
    /// Whose team.
    Team = 2,
    /// For which project.
    Project = 3,
    /// In which session.
    Session = 4,
    /// On which machine.
    Host = 5,
    /// The full command line, secrets masked.
    CommandLine = 6,
    /// What it printed as its error.
    Error = 7,
    /// Where the row came from: `api`, an import's id, a sync source.
    Origin = 8,
}

impl Word {
    /// Every fixed word column, at the index of its stored number.
    pub const ALL: [Self; 9] = [
        Self::Command,
        Self::User,
        Self::Team,
        Self::Project,
        Self::Session,
        Self::Host,
        Self::CommandLine,
        Self::Error,
        Self::Origin,
    ];

    /// The contract's name of the field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::User => "user_id",
            Self::Team => "team_id",
            Self::Project => "project_id",
            Self::Session => "session_id",
            Self::Host => "host",
            Self::CommandLine => "command_line",
            Self::Error => "error",
            Self::Origin => "origin",
        }
    }
}

/// A column whose values can be grouped and filtered by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// One of the fixed word columns.
    Word(Word),
    /// How the run ended.
    Status,
    /// Who ran it.
    Actor,
    /// `labels.<key>`; a row without that label has no value (which is not the empty word).
    Label(Box<str>),
}

/// A column of numbers that can be aggregated and compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Measure {
    /// The wall time, integer microseconds.
    Duration,
    /// The exit code: filtered by, not aggregated.
    ExitCode,
    /// `values.<key>`, a finite double.
    Value(Box<str>),
}

/// One row on its way in. Every rule about lengths, ranges and characters has been checked by
/// whoever made it; the engine checks only what it alone can know (repeats, number of keys).
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The caller's id, or one made for it.
    pub id: RowId<'a>,
    /// Start of the run.
    pub ts_ms: TimeMs,
    /// Whether the caller gave `ts`. If not, `ts_ms` equals `received_ms` and a repeat is looked
    /// for among such rows of the last [`REPEAT_WINDOW_MS`](crate::REPEAT_WINDOW_MS).
    pub ts_given: bool,
    /// When the row was received.
    pub received_ms: TimeMs,
    /// The fixed word columns, by `Word as usize`; `""` is absent.
    pub words: [&'a str; Word::ALL.len()],
    /// How the run ended.
    pub status: Status,
    /// Who ran it.
    pub actor: Actor,
    /// The wall time in microseconds, at most [`DURATION_US_MAX`](crate::DURATION_US_MAX).
    pub duration_us: Option<u64>,
    /// The exit code; `i64::MIN` is not one.
    pub exit_code: Option<i64>,
    /// Free dimensions, keys distinct.
    pub labels: &'a [(&'a str, &'a str)],
    /// Further measurements, keys distinct, values finite.
    pub values: &'a [(&'a str, f64)],
}
