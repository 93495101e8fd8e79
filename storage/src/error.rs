//! What can go wrong in the engine. An error says whether the act may have happened, and what
//! to do.

/// Stored bytes that are not what was written. Never a panic, never a guess.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored data is damaged: {what}")]
pub struct Corrupt {
    /// What was being read, for the log.
    pub what: String,
}

impl Corrupt {
    /// Damage found while reading `what`.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// Why the store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Stored bytes fail their checks. The keyspace stays closed until it is restored or repaired.
    #[error("{0}; run `emx check`, then restore a copy of the data directory")]
    Corrupt(#[from] Corrupt),
    /// The file belongs to another tenant or is of another kind.
    #[error("the keyspace file does not belong here: it says `{found}`, expected `{expected}`")]
    WrongKeyspace {
        /// What the file says of itself.
        found: String,
        /// What was to be opened.
        expected: String,
    },
    /// Written by a newer version.
    #[error("the keyspace has format {found}, this program knows up to {known}: use a newer `emx`")]
    NewerFormat {
        /// The format in the file.
        found: u32,
        /// The newest one known here.
        known: u32,
    },
    /// Another process has it open.
    #[error("the data is in use: another `emx` is using it: wait for it to end")]
    InUse,
    /// No such keyspace.
    #[error("there is no keyspace `{name}`")]
    NotFound {
        /// Its name.
        name: String,
    },
    /// There is one already.
    #[error("there is a keyspace `{name}` already")]
    Exists {
        /// Its name.
        name: String,
    },
    /// Too little space left to write safely. Nothing was written; reading goes on.
    #[error(
        "the disk is full ({free_bytes} bytes left): free some space and try again, nothing was lost"
    )]
    DiskFull {
        /// What is left.
        free_bytes: u64,
    },
    /// The operating system failed. Whether the act took place is known to be "no".
    #[error("the disk failed while {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The commit failed in a way that leaves open whether it took place. Sending the same rows
    /// again is harmless: those that were stored are answered as duplicates.
    #[error("the commit failed and its outcome is unknown ({reason}): send the same again")]
    OutcomeUnknown {
        /// What failed, for the log.
        reason: String,
    },
    /// The keyspace could not be reopened after a failure; it is tried again with the next call.
    #[error("the keyspace is closed after a failure ({reason}): it is reopened with the next call")]
    Closed {
        /// What failed, for the log.
        reason: String,
    },
    /// A consumer asked for more than the feed still has.
    #[error("the feed begins at seq {first_seq}: what lies before must be read from the rows")]
    SeqExpired {
        /// The oldest seq the feed still has.
        first_seq: crate::row::Seq,
    },
    /// A bound of the engine.
    #[error("{what} is over its limit of {limit}")]
    OverLimit {
        /// What.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::DiskFull { .. }
                | Self::Io { .. }
                | Self::OutcomeUnknown { .. }
                | Self::Closed { .. }
        )
    }
}
