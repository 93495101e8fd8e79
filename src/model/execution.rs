//! The execution as it arrives, before anything has judged it.

use std::borrow::Cow;
use storage::row::{Actor, Status, TimeMs};

/// One run of one command as decoded from any format: types are right, values are not judged yet.
/// `None` and `""` both mean absent for words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Execution<'a> {
    /// The caller's unique id.
    pub id: Option<Cow<'a, str>>,
    /// Start of the run.
    pub ts_ms: Option<TimeMs>,
    /// The command's name.
    pub command: Cow<'a, str>,
    /// The full line, secrets not masked yet.
    pub command_line: Cow<'a, str>,
    /// Who ran it.
    pub user_id: Cow<'a, str>,
    /// Whose team.
    pub team_id: Cow<'a, str>,
    /// For which project.
    pub project_id: Cow<'a, str>,
    /// In which session.
    pub session_id: Cow<'a, str>,
    /// On which machine.
    pub host: Cow<'a, str>,
    /// The wall time, microseconds.
    pub duration_us: Option<u64>,
    /// The exit code.
    pub exit_code: Option<i64>,
    /// How it ended; absent: from the exit code.
    pub status: Option<Status>,
    /// Who ran it.
    pub actor: Option<Actor>,
    /// What it printed as its error, secrets not masked yet.
    pub error: Cow<'a, str>,
    /// Free dimensions.
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Further measurements.
    pub values: Vec<(Cow<'a, str>, f64)>,
}
