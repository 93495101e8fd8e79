//! Why an import cannot begin, or ends early. What is wrong with single rows is in the report.

use super::detect::Format;
use super::import::Taken;
use super::report::ImportReport;
use super::sink::SinkError;
use std::io;

/// Why an import as a whole fails.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be opened, or not even its first bytes can be read.
    #[error("cannot read `{name}`: {source}")]
    Open {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is packed or encoded in a way that is not read here.
    #[error("`{name}` is {what}")]
    Foreign {
        /// The file.
        name: String,
        /// What it is and what to do.
        what: &'static str,
    },
    /// Reading broke off: a damaged or cut file, a failing disk.
    #[error(
        "`{name}` cannot be read beyond line {line}: {source}; what stands before is taken, and \
         importing a sound copy adds only the rest"
    )]
    Read {
        /// The file.
        name: String,
        /// The last line that could be read.
        line: u64,
        /// What went wrong.
        source: io::Error,
    },
    /// The format cannot be told.
    #[error(
        "the format of `{name}` is not recognised: give it with --format, one of {}",
        Format::list()
    )]
    Unrecognised {
        /// The file.
        name: String,
    },
    /// There is nothing in it, and its name says no format.
    #[error("`{name}` is empty: there is nothing to import")]
    Empty {
        /// The file.
        name: String,
    },
    /// A job log does not say when it begins.
    #[error(
        "the job log has no `UnixStartTime` header with a number of seconds before its first job, \
         so its times are unknown: say when it begins with --epoch TIME (RFC 3339 or Unix seconds)"
    )]
    NeedsEpoch,
    /// A table without a first line.
    #[error("`{name}` has no first line that names columns: a table needs one")]
    NoHeader {
        /// The file.
        name: String,
    },
    /// A table whose first line cannot be taken apart.
    #[error("the first line of `{name}` cannot be read: {what}")]
    BadHeader {
        /// The file.
        name: String,
        /// What is wrong and what to do.
        what: &'static str,
    },
    /// Two columns of a table have one name.
    #[error("the column `{column}` stands twice in the first line: rename one of them")]
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// Nothing says where a required field is to be read.
    #[error(
        "no column is recognised as `{field}`: say which with --map COLUMN={field}; the columns \
         are {columns}"
    )]
    NoColumn {
        /// The field.
        field: &'static str,
        /// What there is.
        columns: String,
    },
    /// `--map` names a column that is not there.
    #[error("--map names the column `{column}`, which is not there; the columns are {columns}")]
    UnknownColumn {
        /// The name.
        column: String,
        /// What there is.
        columns: String,
    },
    /// `--map` is not `column=field`, or there is no such field.
    #[error(
        "--map `{rule}` is not understood: write COLUMN=FIELD, where FIELD is one of {}, \
         `labels.<key>`, `values.<key>`, or `-` to ignore the column; of a time or a duration the \
         unit can be named: `ts_s`, `ts_ms`, `duration_s`, `duration_us`",
        super::mapping::field_list()
    )]
    BadRule {
        /// The rule as given.
        rule: String,
    },
    /// So many records were set aside that something is wrong with all of them.
    #[error(
        "`{name}` has more than {limit} records that cannot be read, the last at line {line}: \
         probably the format or the mapping is wrong; say them with --format and --map"
    )]
    TooManyQuarantined {
        /// The file.
        name: String,
        /// How many are kept.
        limit: u64,
        /// The line of the last one.
        line: u64,
    },
    /// Two columns for one field.
    #[error("--map reads `{field}` from two columns, `{first}` and `{second}`: leave one out")]
    FieldTwice {
        /// The field.
        field: String,
        /// One column.
        first: String,
        /// The other.
        second: String,
    },
    /// Two rules for one column.
    #[error("--map says both `{first}` and `{second}` for the column `{column}`: leave one out")]
    ColumnTwice {
        /// The column.
        column: String,
        /// One field.
        first: String,
        /// The other.
        second: String,
    },
    /// Storing failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// An import that did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Interrupted {
    /// Why.
    pub error: ImportError,
    /// What was done before and is stored, if anything was read.
    pub done: Option<Box<(ImportReport, Taken)>>,
}

impl From<ImportError> for Interrupted {
    fn from(error: ImportError) -> Self {
        Self { error, done: None }
    }
}

impl From<Interrupted> for ImportError {
    fn from(interrupted: Interrupted) -> Self {
        interrupted.error
    }
}

impl ImportError {
    /// Whether what was typed is wrong whatever the file holds.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::BadRule { .. } | Self::FieldTwice { .. } | Self::ColumnTwice { .. })
    }

    /// A stable snake_case word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } | Self::Read { .. } => "unreadable",
            Self::Foreign { .. } => "unsupported_encoding",
            Self::Unrecognised { .. } => "unknown_format",
            Self::NeedsEpoch => "epoch_required",
            Self::Empty { .. } => "empty_file",
            Self::NoHeader { .. } => "missing_header",
            Self::BadHeader { .. } => "bad_header",
            Self::DuplicateColumn { .. } => "duplicate_column",
            Self::NoColumn { .. } => "missing_column",
            Self::UnknownColumn { .. } => "unknown_column",
            Self::BadRule { .. } | Self::FieldTwice { .. } | Self::ColumnTwice { .. } => {
                "bad_mapping"
            }
            Self::TooManyQuarantined { .. } => "too_many_quarantined",
            Self::Sink(_) => "not_stored",
        }
    }
}
