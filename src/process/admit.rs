//! Judges a decoded execution and puts it into the builder of a batch.

use super::mask::mask;
use crate::model::execution::Execution;
use crate::model::limits::{
    COMMAND_BYTES_MAX, FUTURE_MS_MAX, ID_BYTES_MAX, KEYED_MAX, LABEL_BYTES_MAX, TEXT_BYTES_MAX,
    WORD_BYTES_MAX,
};
use std::borrow::Cow;
use storage::DURATION_US_MAX;
use storage::batch::{NO_EXIT_CODE, RowBatchBuilder};
use storage::row::{Row, RowId, Status, TimeMs, Word};

/// What is the same for all rows of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// When the batch was received.
    pub received_ms: TimeMs,
    /// Where it came from: `api`, an import's id.
    pub origin: &'a str,
}

/// What is wrong with one field of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A stable snake_case word.
    pub code: &'static str,
    /// JSON pointer of the offending field, `""` for the whole row.
    pub pointer: String,
    /// One sentence that says what to do.
    pub detail: String,
}

/// Why a row is not stored among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Kept whole and outside every aggregate (`true`), or not stored at all (`false`).
    pub quarantined: bool,
    /// At least one; the first [`PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
}

/// Most problems told of one row: one a field is enough to mend it.
pub const PROBLEMS_MAX: usize = 100;

impl Refusal {
    /// The first problem.
    pub fn first(&self) -> &Problem {
        const UNKNOWN: &Problem =
            &Problem { code: "invalid", pointer: String::new(), detail: String::new() };
        self.problems.first().unwrap_or(UNKNOWN)
    }

    /// A row that is not stored, for one reason.
    pub fn reject(
        code: &'static str,
        pointer: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let problem = Problem { code, pointer: pointer.into(), detail: detail.into() };
        Self { quarantined: false, problems: vec![problem] }
    }

    /// A row that is kept aside, for one reason.
    pub fn quarantine(
        code: &'static str,
        pointer: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self { quarantined: true, ..Self::reject(code, pointer, detail) }
    }
}

/// Judges `execution`, masks its secrets, completes it (id, `ts`, status) and appends it to
/// `rows`, or says why not, with `rows` unchanged.
pub fn admit(
    execution: &Execution<'_>,
    arrival: Arrival<'_>,
    rows: &mut RowBatchBuilder,
) -> Result<(), Refusal> {
    check_limits(execution)?;
    let ts_ms = execution.ts_ms.unwrap_or(arrival.received_ms);
    check_time(ts_ms, arrival.received_ms)?;
    let made_id;
    let id = match execution.id.as_deref() {
        Some(id) => RowId::parse(id),
        None => {
            made_id = uuid::Uuid::now_v7();
            RowId::Uuid(*made_id.as_bytes())
        }
    };
    let (command_line, error) = (mask(&execution.command_line), mask(&execution.error));
    let mut words = [""; Word::ALL.len()];
    words[Word::Command as usize] = &execution.command;
    words[Word::User as usize] = &execution.user_id;
    words[Word::Team as usize] = &execution.team_id;
    words[Word::Project as usize] = &execution.project_id;
    words[Word::Session as usize] = &execution.session_id;
    words[Word::Host as usize] = &execution.host;
    words[Word::CommandLine as usize] = &command_line;
    words[Word::Error as usize] = &error;
    words[Word::Origin as usize] = arrival.origin;
    let (mut labels, mut values) = ([("", ""); KEYED_MAX], [("", 0.0); KEYED_MAX]);
    for (slot, (key, label)) in labels.iter_mut().zip(&execution.labels) {
        *slot = (key, label);
    }
    for (slot, (key, value)) in values.iter_mut().zip(&execution.values) {
        *slot = (key, *value);
    }
    rows.push(&Row {
        id,
        ts_ms,
        ts_given: execution.ts_ms.is_some(),
        received_ms: arrival.received_ms,
        words,
        status: execution.status.unwrap_or_else(|| status_of(execution.exit_code)),
        actor: execution.actor.unwrap_or_default(),
        duration_us: execution.duration_us,
        exit_code: execution.exit_code,
        labels: &labels[..execution.labels.len()],
        values: &values[..execution.values.len()],
    });
    Ok(())
}

/// The status that an exit code stands for: 124 is what `timeout(1)` gives, 130 and 143 are a
/// shell's words for SIGINT and SIGTERM.
pub fn status_of(exit_code: Option<i64>) -> Status {
    match exit_code {
        None => Status::Unknown,
        Some(0) => Status::Success,
        Some(124) => Status::Timeout,
        Some(130 | 143) => Status::Cancelled,
        Some(_) => Status::Failure,
    }
}

/// A start that cannot be true is kept aside.
fn check_time(ts_ms: TimeMs, received_ms: TimeMs) -> Result<(), Refusal> {
    if ts_ms < 0 {
        let detail = "`ts` lies before 1970: correct the clock or the unit and send it again";
        return Err(Refusal::quarantine("ts_before_1970", "/ts", detail));
    }
    if ts_ms > received_ms.saturating_add(FUTURE_MS_MAX) {
        let detail = "`ts` lies more than 24 hours ahead: correct the clock and send it again";
        return Err(Refusal::quarantine("ts_in_future", "/ts", detail));
    }
    Ok(())
}

fn check_limits(execution: &Execution<'_>) -> Result<(), Refusal> {
    let mut found = Problems(Vec::new());
    if execution.command.is_empty() {
        found.add("missing", "/command", || "`command` is required: name what was run".to_owned());
    }
    if execution.id.as_deref() == Some("") {
        found.add("too_short", "/id", || "`id` is empty: leave it out or give one".to_owned());
    }
    let texts: [(&str, &str, usize); 9] = [
        ("/id", execution.id.as_deref().unwrap_or_default(), ID_BYTES_MAX),
        ("/command", &execution.command, COMMAND_BYTES_MAX),
        ("/user_id", &execution.user_id, WORD_BYTES_MAX),
        ("/team_id", &execution.team_id, WORD_BYTES_MAX),
        ("/project_id", &execution.project_id, WORD_BYTES_MAX),
        ("/session_id", &execution.session_id, WORD_BYTES_MAX),
        ("/host", &execution.host, WORD_BYTES_MAX),
        ("/command_line", &execution.command_line, TEXT_BYTES_MAX),
        ("/error", &execution.error, TEXT_BYTES_MAX),
    ];
    for (pointer, text, max) in texts {
        found.check_length(pointer, text, max);
    }
    if execution.duration_us.is_some_and(|us| us > DURATION_US_MAX) {
        found.add("out_of_range", "/duration_ms", || "a duration is at most 10^12 ms".to_owned());
    }
    if execution.exit_code == Some(NO_EXIT_CODE) {
        found.add("out_of_range", "/exit_code", || "the exit code is too small".to_owned());
    }
    found.check_labels(&execution.labels);
    found.check_values(&execution.values);
    if found.0.is_empty() { Ok(()) } else { Err(Refusal { quarantined: false, problems: found.0 }) }
}

/// What is wrong with a row, as it is found.
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, code: &'static str, pointer: &str, detail: impl FnOnce() -> String) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(Problem { code, pointer: pointer.to_owned(), detail: detail() });
        }
    }

    fn check_length(&mut self, pointer: &str, text: &str, max: usize) {
        if text.len() > max {
            self.add("too_long", pointer, || {
                format!("it has {} bytes, {max} are allowed", text.len())
            });
        }
    }

    fn check_labels(&mut self, labels: &[(Cow<'_, str>, Cow<'_, str>)]) {
        self.check_keys("/labels", labels.iter().map(|(key, _)| &**key), labels.len());
        for (key, label) in labels {
            if label.len() > LABEL_BYTES_MAX {
                self.check_length(&pointer("/labels", key), label, LABEL_BYTES_MAX);
            }
        }
    }

    fn check_values(&mut self, values: &[(Cow<'_, str>, f64)]) {
        self.check_keys("/values", values.iter().map(|(key, _)| &**key), values.len());
        for (key, value) in values {
            if !value.is_finite() {
                self.add("out_of_range", &pointer("/values", key), || {
                    "a value is a finite number".to_owned()
                });
            }
        }
    }

    fn check_keys<'k>(
        &mut self,
        at: &str,
        keys: impl Iterator<Item = &'k str> + Clone,
        len: usize,
    ) {
        if len > KEYED_MAX {
            self.add("too_many", at, || format!("there are {len}, {KEYED_MAX} are allowed"));
            return;
        }
        for (n, key) in keys.clone().enumerate() {
            if key.is_empty() || key.len() > LABEL_BYTES_MAX {
                self.add("bad_key", &pointer(at, key), || {
                    format!("a key has 1 to {LABEL_BYTES_MAX} bytes")
                });
            }
            if keys.clone().take(n).any(|earlier| earlier == key) {
                self.add("duplicate_key", &pointer(at, key), || {
                    "the key stands twice: send it once".to_owned()
                });
            }
        }
    }
}

/// `key` below the object at `at`, escaped as RFC 6901 says.
pub fn pointer(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}
