//! Why a question is refused or fails, each reason with its stable code.

use crate::model::limits::PROBLEMS_MAX;
use storage::ask::AskError;

/// One thing that is wrong with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer (RFC 6901) of the offending value. A question from parameters has the
    /// pointers of the same question as JSON.
    pub pointer: String,
    /// A stable snake_case word.
    pub code: &'static str,
    /// One sentence that says what to do.
    pub detail: String,
}

/// Collects the first [`PROBLEMS_MAX`] problems.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem of the value at `pointer`.
    pub(crate) fn add(&mut self, pointer: &str, code: &'static str, detail: impl Into<String>) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(Problem { pointer: pointer.to_owned(), code, detail: detail.into() });
        }
    }

    /// `Ok` if nothing was noted.
    pub(crate) fn none(self) -> Result<(), QueryError> {
        if self.0.is_empty() { Ok(()) } else { Err(QueryError::Invalid { problems: self.0 }) }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is not JSON at all.
    #[error("the question is not JSON: {detail}")]
    Malformed {
        /// Where and why, in the parser's words.
        detail: String,
    },
    /// The question says something that cannot be asked.
    #[error("the question cannot be asked: {}", first_of(problems))]
    Invalid {
        /// What is wrong, at least one.
        problems: Vec<Problem>,
    },
    /// The keyspace did not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

fn first_of(problems: &[Problem]) -> String {
    problems.first().map_or_else(String::new, |p| format!("`{}`: {}", p.pointer, p.detail))
}

impl QueryError {
    /// A refusal for one reason.
    pub(crate) fn invalid(pointer: &str, code: &'static str, detail: impl Into<String>) -> Self {
        let problem = Problem { pointer: pointer.to_owned(), code, detail: detail.into() };
        Self::Invalid { problems: vec![problem] }
    }

    /// The stable snake_case word for it. One lone problem gives its own code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "invalid_json",
            Self::Invalid { problems } if problems.len() == 1 => problems[0].code,
            Self::Invalid { .. } => "invalid_question",
            Self::Ask(AskError::TimeExceeded) => "query_time_exceeded",
            Self::Ask(AskError::MemoryExceeded { .. }) => "query_memory_exceeded",
            Self::Ask(AskError::Cancelled) => "cancelled",
            Self::Ask(AskError::Store(_)) => "storage_failed",
        }
    }

    /// The problems of a question that cannot be asked, else none.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems } => problems,
            _ => &[],
        }
    }

    /// Whether the same question may be answered later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Ask(AskError::Store(store)) if store.is_transient())
    }
}

impl From<storage::error::StoreError> for QueryError {
    fn from(error: storage::error::StoreError) -> Self {
        Self::Ask(AskError::Store(error))
    }
}
