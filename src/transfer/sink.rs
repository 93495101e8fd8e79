//! Where imported rows go: a keyspace of this process, a remote server, or nowhere.

use std::sync::Arc;
use storage::engine::{Append, Appended, Keyspace, RowOutcome};
use storage::error::StoreError;

/// Stores batches of rows, one after the other.
pub trait Sink: Send {
    /// Stores one batch; on stable storage when it returns.
    fn append(&mut self, append: Append) -> Result<Appended, SinkError>;
}

/// Why a batch was not stored, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The store said so.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Anything else: a remote server, a connection.
    #[error("{detail}")]
    Other {
        /// What happened and what to do.
        detail: String,
        /// Whether the same import may succeed later without anybody's help.
        transient: bool,
    },
}

impl SinkError {
    /// Whether the same import may succeed later. It is always harmless to try.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Other { transient, .. } => *transient,
        }
    }
}

/// Stores into a keyspace.
#[derive(Clone, Debug)]
pub struct KeyspaceSink(pub Arc<dyn Keyspace>);

impl Sink for KeyspaceSink {
    fn append(&mut self, append: Append) -> Result<Appended, SinkError> {
        let mut answers = self.0.append(vec![append])?;
        answers.pop().ok_or_else(|| SinkError::Other {
            detail: "the store gave no answer to a batch: import the file again".to_owned(),
            transient: true,
        })
    }
}

/// Stores nothing and says that all was well.
#[derive(Clone, Copy, Debug, Default)]
pub struct DryRun;

impl Sink for DryRun {
    fn append(&mut self, append: Append) -> Result<Appended, SinkError> {
        Ok(Appended { outcomes: vec![RowOutcome::Accepted; append.rows.len], seqs: None })
    }
}
