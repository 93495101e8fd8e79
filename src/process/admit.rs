//! Judges a decoded execution and puts it into the builder of a batch.
//!
//! The common case allocates nothing: words are borrowed from the body, labels and values go
//! through arrays on the stack, and problems are only spelled out once there is one.

use crate::model::execution::Execution;
use crate::model::limits::{
    AHEAD_MS_MAX, COMMAND_BYTES_MAX, ID_BYTES_MAX, LABELS_MAX, ROW_PROBLEMS_MAX, TEXT_BYTES_MAX,
    VALUES_MAX, WORD_BYTES_MAX,
};
use crate::model::problem::{self, quarantine, row};
use crate::process::mask::mask;
use std::borrow::Cow;
use storage::batch::RowBatchBuilder;
use storage::row::{Actor, Row, RowId, Status, TimeMs, Word};
use uuid::Builder;

/// What is the same for all rows of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// When the batch was received.
    pub received_ms: TimeMs,
    /// Where it came from: `api`, an import's id.
    pub origin: &'a str,
    /// How long the tenant keeps raw rows, milliseconds; `None`: for ever.
    pub retention_ms: Option<TimeMs>,
}

/// Why a row is not stored among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Kept whole and outside every aggregate (`true`), or not stored at all (`false`).
    pub quarantined: bool,
    /// A stable snake_case word.
    pub code: &'static str,
    /// JSON pointer of the offending field, `""` for the whole row.
    pub pointer: String,
    /// One sentence that says what to do.
    pub detail: String,
}

impl Refusal {
    /// The row is not stored at all.
    pub fn rejected(code: &'static str, pointer: String, detail: String) -> Self {
        Self { quarantined: false, code, pointer, detail }
    }

    /// The row's label or value keys are too many for its tenant.
    pub fn too_many_keys() -> Self {
        let detail = format!(
            "the tenant, or this batch, has {} different label or value keys already: use one of them, or send fewer rows at once",
            storage::KEYS_MAX
        );
        Self::rejected(row::TOO_MANY_KEYS, String::new(), detail)
    }
}

/// Whether the batch can take the execution's keys.
fn has_room(execution: &Execution<'_>, rows: &RowBatchBuilder) -> bool {
    rows.has_room_for(
        execution.labels.iter().map(|(key, _)| &**key),
        execution.values.iter().map(|(key, _)| &**key),
    )
}

/// Judges `execution`, masks its secrets, completes it (id, `ts`, status) and appends it to
/// `rows`, or says why not, with `rows` unchanged. [`problems`] gives all there is to say.
pub fn admit(
    execution: &Execution<'_>,
    arrival: Arrival<'_>,
    rows: &mut RowBatchBuilder,
) -> Result<(), Refusal> {
    if !is_storable(execution) || !is_plausible(execution, arrival) {
        return Err(first_problem(execution, arrival));
    }
    if !has_room(execution, rows) {
        return Err(Refusal::too_many_keys());
    }
    let id_bytes;
    let id = match execution.id.as_deref() {
        Some(id) => RowId::parse(id),
        None => {
            id_bytes = new_id(arrival.received_ms);
            RowId::Uuid(id_bytes)
        }
    };
    let (command_line, error) = (mask(&execution.command_line), mask(&execution.error));
    let mut words = [""; Word::ALL.len()];
    for (word, text) in short_words(execution) {
        words[word as usize] = text;
    }
    words[Word::CommandLine as usize] = &command_line;
    words[Word::Error as usize] = &error;
    words[Word::Origin as usize] = arrival.origin;
    let row = Row {
        id,
        ts_ms: execution.ts_ms.unwrap_or(arrival.received_ms),
        ts_given: execution.ts_ms.is_some(),
        received_ms: arrival.received_ms,
        words,
        status: execution.status.unwrap_or_else(|| status_of(execution.exit_code)),
        actor: execution.actor.unwrap_or(Actor::Unknown),
        duration_us: execution.duration_us,
        exit_code: execution.exit_code,
        labels: &[],
        values: &[],
    };
    push(execution, row, rows);
    Ok(())
}

/// Every reason why `execution` is refused, rejections first; none if [`admit`] would store it.
/// At most [`ROW_PROBLEMS_MAX`].
pub fn problems(execution: &Execution<'_>, arrival: Arrival<'_>) -> Vec<Refusal> {
    let mut found = Problems::default();
    found.id(execution);
    found.words(execution);
    found.numbers(execution);
    found.labels(execution);
    found.values(execution);
    found.time(execution, arrival);
    found.list.truncate(ROW_PROBLEMS_MAX);
    found.list
}

/// The status that an exit code stands for: `timeout(1)` exits with 124, a shell reports a
/// child's death by a signal as 128 + its number, and people stop commands by SIGINT (2) and
/// SIGTERM (15).
pub fn status_of(exit_code: Option<i64>) -> Status {
    match exit_code {
        None => Status::Unknown,
        Some(0) => Status::Success,
        Some(124) => Status::Timeout,
        Some(130 | 143) => Status::Cancelled,
        Some(_) => Status::Failure,
    }
}

/// A UUIDv7 (RFC 9562 §5.7) of the time of receipt and 74 random bits.
fn new_id(received_ms: TimeMs) -> [u8; 16] {
    let millis = u64::try_from(received_ms).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid().into_bytes()
}

fn short_words<'a>(execution: &'a Execution<'_>) -> [(Word, &'a str); 6] {
    [
        (Word::Command, &execution.command),
        (Word::User, &execution.user_id),
        (Word::Team, &execution.team_id),
        (Word::Project, &execution.project_id),
        (Word::Session, &execution.session_id),
        (Word::Host, &execution.host),
    ]
}

fn bytes_max(word: Word) -> usize {
    if word == Word::Command { COMMAND_BYTES_MAX } else { WORD_BYTES_MAX }
}

/// How many labels, and values, usually fit on the stack cheaply.
const FEW: usize = 8;

/// Lends the labels and values as the plain pairs that a row wants, and pushes it.
fn push(execution: &Execution<'_>, row: Row<'_>, rows: &mut RowBatchBuilder) {
    match (execution.labels.len(), execution.values.len()) {
        (0, 0) => rows.push(&row),
        (0..=FEW, 0..=FEW) => push_with::<FEW, FEW>(execution, row, rows),
        _ => push_with::<LABELS_MAX, VALUES_MAX>(execution, row, rows),
    }
}

fn push_with<const LABELS: usize, const VALUES: usize>(
    execution: &Execution<'_>,
    row: Row<'_>,
    rows: &mut RowBatchBuilder,
) {
    let mut labels = [("", ""); LABELS];
    for (to, (key, word)) in labels.iter_mut().zip(&execution.labels) {
        *to = (key, word);
    }
    let mut values = [("", 0.0); VALUES];
    for (to, (key, value)) in values.iter_mut().zip(&execution.values) {
        *to = (key, *value);
    }
    let (labels, values) = (&labels[..execution.labels.len()], &values[..execution.values.len()]);
    rows.push(&Row { labels, values, ..row });
}

/// Whether every value is one that a row may have. [`Problems`] says what is wrong if not.
fn is_storable(execution: &Execution<'_>) -> bool {
    let id = execution.id.as_deref();
    id.is_none_or(|id| !id.is_empty() && is_word(id, ID_BYTES_MAX))
        && !execution.command.is_empty()
        && short_words(execution).into_iter().all(|(word, text)| is_word(text, bytes_max(word)))
        && is_text(&execution.command_line)
        && is_text(&execution.error)
        && execution.duration_us.is_none_or(|us| us <= storage::DURATION_US_MAX)
        && execution.exit_code != Some(storage::batch::NO_EXIT_CODE)
        && execution.labels.len() <= LABELS_MAX
        && execution.labels.iter().enumerate().all(|(n, (key, word))| {
            is_key(key)
                && is_word(word, WORD_BYTES_MAX)
                && execution.labels[..n].iter().all(|(other, _)| other != key)
        })
        && execution.values.len() <= VALUES_MAX
        && execution.values.iter().enumerate().all(|(n, (key, value))| {
            is_key(key)
                && value.is_finite()
                && execution.values[..n].iter().all(|(other, _)| other != key)
        })
}

/// Whether the time can be true.
fn is_plausible(execution: &Execution<'_>, arrival: Arrival<'_>) -> bool {
    execution.ts_ms.is_none_or(|ts| {
        ts >= 0
            && ts <= arrival.received_ms.saturating_add(AHEAD_MS_MAX)
            && arrival
                .retention_ms
                .is_none_or(|kept| ts >= arrival.received_ms.saturating_sub(kept))
    })
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && is_word(key, WORD_BYTES_MAX)
}

/// Words are shown in tables and stand in file names and log lines: no control characters.
fn is_word(word: &str, bytes_max: usize) -> bool {
    word.len() <= bytes_max && !has_control(word)
}

/// Texts have lines, tabs and a terminal's colours: only NUL is refused.
fn is_text(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX && !text.as_bytes().contains(&0)
}

/// Whether there is a C0 control, DEL or a C1 control. In UTF-8 the last are `C2 80` to `C2 9F`.
fn has_control(word: &str) -> bool {
    let bytes = word.as_bytes();
    let suspicious =
        bytes.iter().fold(false, |any, &b| any | (b < 0x20) | (b == 0x7f) | (b == 0xc2));
    suspicious && word.chars().any(char::is_control)
}

#[cold]
fn first_problem(execution: &Execution<'_>, arrival: Arrival<'_>) -> Refusal {
    problems(execution, arrival).into_iter().next().unwrap_or_else(|| {
        Refusal::rejected(row::INVALID_VALUE, String::new(), "the row cannot be stored".to_owned())
    })
}

/// Spells out what is wrong.
#[derive(Default)]
struct Problems {
    list: Vec<Refusal>,
}

impl Problems {
    fn add(&mut self, code: &'static str, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.list.len() < ROW_PROBLEMS_MAX {
            self.list.push(Refusal::rejected(code, pointer.into(), detail.into()));
        }
    }

    fn quarantine(&mut self, code: &'static str, detail: String) {
        if self.list.is_empty() {
            let pointer = "/ts".to_owned();
            self.list.push(Refusal { quarantined: true, code, pointer, detail });
        }
    }

    fn word(&mut self, pointer: &str, word: &str, bytes_max: usize) {
        if word.len() > bytes_max {
            self.add(row::TOO_LONG, pointer, length_detail(pointer, word, bytes_max));
        } else if has_control(word) {
            let detail = format!("`{pointer}` has a control character: remove it");
            self.add(row::CONTROL_CHARACTER, pointer, detail);
        }
    }

    fn text(&mut self, pointer: &str, text: &str) {
        if text.len() > TEXT_BYTES_MAX {
            self.add(row::TOO_LONG, pointer, length_detail(pointer, text, TEXT_BYTES_MAX));
        } else if text.contains('\0') {
            let detail = format!("`{pointer}` has a NUL character: remove it");
            self.add(row::CONTROL_CHARACTER, pointer, detail);
        }
    }

    fn id(&mut self, execution: &Execution<'_>) {
        match execution.id.as_deref() {
            Some("") => {
                let detail = "`/id` is empty: send 1 to 128 bytes, or leave it out to get one made";
                self.add(row::TOO_SHORT, "/id", detail);
            }
            Some(id) => self.word("/id", id, ID_BYTES_MAX),
            None => {}
        }
    }

    fn words(&mut self, execution: &Execution<'_>) {
        if execution.command.is_empty() {
            let detail = "`/command` is missing: send the command's name, 1 to 256 bytes";
            self.add(row::REQUIRED, "/command", detail);
        }
        for (word, text) in short_words(execution) {
            self.word(&problem::pointer("", word.as_str()), text, bytes_max(word));
        }
        self.text("/command_line", &execution.command_line);
        self.text("/error", &execution.error);
    }

    fn numbers(&mut self, execution: &Execution<'_>) {
        if execution.duration_us.is_some_and(|us| us > storage::DURATION_US_MAX) {
            let detail = "`/duration_ms` is over 10^12: send milliseconds, or leave it out";
            self.add(row::OUT_OF_RANGE, "/duration_ms", detail);
        }
        if execution.exit_code == Some(storage::batch::NO_EXIT_CODE) {
            let detail = "`/exit_code` is no exit code: leave it out if it is unknown";
            self.add(row::OUT_OF_RANGE, "/exit_code", detail);
        }
    }

    fn labels(&mut self, execution: &Execution<'_>) {
        let keys = execution.labels.iter().map(|(key, _)| key);
        self.keys("/labels", keys, execution.labels.len(), LABELS_MAX);
        for (key, word) in execution.labels.iter().take(LABELS_MAX) {
            if is_key(key) {
                self.word(&problem::pointer("/labels", key), word, WORD_BYTES_MAX);
            }
        }
    }

    fn values(&mut self, execution: &Execution<'_>) {
        let keys = execution.values.iter().map(|(key, _)| key);
        self.keys("/values", keys, execution.values.len(), VALUES_MAX);
        for (key, value) in execution.values.iter().take(VALUES_MAX) {
            if is_key(key) && !value.is_finite() {
                let pointer = problem::pointer("/values", key);
                let detail = format!("`{pointer}` is not a finite number: leave it out");
                self.add(row::NOT_FINITE, pointer, detail);
            }
        }
    }

    fn keys<'k>(
        &mut self,
        parent: &str,
        keys: impl Iterator<Item = &'k Cow<'k, str>> + Clone,
        len: usize,
        len_max: usize,
    ) {
        if len > len_max {
            let detail = format!("`{parent}` has more than {len_max} entries: send fewer");
            self.add(row::TOO_MANY_ENTRIES, parent, detail);
        }
        for (n, key) in keys.clone().take(len_max).enumerate() {
            if key.is_empty() {
                let detail = format!("`{parent}` has an empty key: name it");
                self.add(row::TOO_SHORT, problem::pointer(parent, ""), detail);
            } else if !is_key(key) {
                // The key itself may be long or wild: the pointer stops at its parent.
                let (code, what) = if key.len() > WORD_BYTES_MAX {
                    (row::TOO_LONG, "a key over 256 bytes: shorten it")
                } else {
                    (row::CONTROL_CHARACTER, "a key with a control character: remove it")
                };
                self.add(code, parent, format!("`{parent}` has {what}"));
            } else if keys.clone().take(n).any(|other| other == key) {
                let pointer = problem::pointer(parent, key);
                let detail = format!("`{pointer}` is there twice: send it once");
                self.add(row::DUPLICATE_KEY, pointer, detail);
            }
        }
    }

    fn time(&mut self, execution: &Execution<'_>, arrival: Arrival<'_>) {
        let Some(ts) = execution.ts_ms else { return };
        let kept_from = arrival.retention_ms.map(|kept| arrival.received_ms.saturating_sub(kept));
        if ts < 0 {
            let detail = "`/ts` is before 1970: check the unit and the clock, then retry";
            self.quarantine(quarantine::TS_BEFORE_1970, detail.to_owned());
        } else if ts > arrival.received_ms.saturating_add(AHEAD_MS_MAX) {
            let detail =
                "`/ts` is more than 24 hours ahead: check the unit and the clock, or retry later";
            self.quarantine(quarantine::TS_IN_FUTURE, detail.to_owned());
        } else if kept_from.is_some_and(|from| ts < from) {
            let detail =
                "`/ts` is before what this tenant keeps: lengthen its retention, then retry";
            self.quarantine(quarantine::BEFORE_RETENTION, detail.to_owned());
        }
    }
}

fn length_detail(pointer: &str, text: &str, bytes_max: usize) -> String {
    format!("`{pointer}` has {} bytes, {bytes_max} are allowed: shorten it", text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: Option<Status>, exit_code: Option<i64>, expected: Status) {
        let mut rows = RowBatchBuilder::default();
        let execution =
            Execution { command: "x".into(), status, exit_code, ..Execution::default() };
        let arrival = Arrival { received_ms: 7, origin: "api", retention_ms: None };
        assert_eq!(admit(&execution, arrival, &mut rows), Ok(()));
        assert_eq!(rows.finish().status(0), expected, "{status:?} {exit_code:?}");
    }

    #[test]
    fn a_status_comes_from_the_exit_code_unless_it_is_given() {
        check(None, None, Status::Unknown);
        check(None, Some(0), Status::Success);
        check(None, Some(124), Status::Timeout);
        check(None, Some(130), Status::Cancelled);
        check(None, Some(143), Status::Cancelled);
        for code in [1, 2, 125, 137, -1, 256] {
            check(None, Some(code), Status::Failure);
        }
        check(Some(Status::Success), Some(1), Status::Success);
        check(Some(Status::Unknown), Some(0), Status::Unknown);
    }
}
