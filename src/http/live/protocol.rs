//! The words of the protocol `emx.v1`: what clients say, and what is answered to that.
//!
//! *Invariants*: what a client says is read whole or refused whole, with the place of what is wrong.
//! Every message that is sent has the same members.

use super::super::problem::Problem;
use super::super::request::{read_json, without_spaces};
use super::update::{Envelope, close};
use crate::query::filter::{self, Filter};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use storage::row::Seq;

/// The protocol's name.
pub(super) const PROTOCOL: &str = "emx.v1";

/// Longest name that a client gives to a subscription or a ping, bytes.
const ID_BYTES_MAX: usize = 64;

/// What can be watched, by the names of the messages that come of it.
const TOPICS: [&str; 5] =
    ["metrics_update", "dashboard_refresh", "user_activity", "system_alert", "session_event"];

/// The topics that have a source. The others are accepted, and nothing comes of them yet: whoever
/// gives one a source adds it here and feeds its messages into the connection's outbox.
const METRICS_UPDATE: &str = TOPICS[0];

/// What a client says.
#[derive(Debug)]
pub(super) enum Said {
    Subscribe(Wish),
    Unsubscribe { id: String },
    Ping { id: Option<String> },
}

/// A subscription as it is asked for.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) id: String,
    pub(super) topics: Vec<String>,
    pub(super) filters: Vec<Filter>,
    /// The filters as they were said, without spaces; empty if nothing was.
    pub(super) asked: String,
    pub(super) from_seq: Option<Seq>,
}

impl Wish {
    /// Whether something comes of it.
    pub(super) fn has_source(&self) -> bool {
        self.topics.iter().any(|topic| topic == METRICS_UPDATE)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    r#type: Kind,
    id: Option<String>,
    topics: Option<Vec<String>>,
    filter: Option<Box<RawValue>>,
    from_seq: Option<Seq>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Subscribe,
    Unsubscribe,
    Ping,
}

/// Something that cannot be done, and for which subscription or ping.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) id: Option<String>,
    pub(super) problem: Box<Problem>,
}

/// Reads what a client said.
pub(super) fn read(text: &str) -> Result<Said, Refusal> {
    let message = read_json::<Message>(text.as_bytes());
    let message =
        message.map_err(|problem| Refusal { id: id_in(text), problem: problem.into() })?;
    let id = message.id.clone();
    understood(message).map_err(|problem| Refusal { id, problem: problem.into() })
}

/// The `id` in a message that says something wrong elsewhere.
fn id_in(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    let named = serde_json::from_str::<Named>(text).ok()?;
    (named.id.len() <= ID_BYTES_MAX).then_some(named.id)
}

fn understood(message: Message) -> Result<Said, Problem> {
    if message.id.as_ref().is_some_and(|id| id.is_empty() || id.len() > ID_BYTES_MAX) {
        let detail = format!("an id has 1 to {ID_BYTES_MAX} bytes");
        return Err(Problem::invalid("/id", "invalid_id", detail));
    }
    let no_id = || Problem::invalid("/id", "required", "give the subscription an id");
    match message.r#type {
        Kind::Subscribe => {
            let topics = topics(message.topics.unwrap_or_default())?;
            let (filters, asked) = match message.filter {
                Some(list) => {
                    let list = list.get().as_bytes();
                    (filter::read_list(list, "filter")?, without_spaces(list))
                }
                None => (Vec::new(), String::new()),
            };
            let id = message.id.ok_or_else(no_id)?;
            Ok(Said::Subscribe(Wish { id, topics, filters, asked, from_seq: message.from_seq }))
        }
        _ if message.topics.is_some() || message.filter.is_some() || message.from_seq.is_some() => {
            let detail = "only `subscribe` takes `topics`, `filter` and `from_seq`";
            Err(Problem::invalid("", "unknown_field", detail))
        }
        Kind::Unsubscribe => Ok(Said::Unsubscribe { id: message.id.ok_or_else(no_id)? }),
        Kind::Ping => Ok(Said::Ping { id: message.id }),
    }
}

fn topics(mut topics: Vec<String>) -> Result<Vec<String>, Problem> {
    let known = TOPICS.map(|topic| format!("`{topic}`")).join(", ");
    if topics.is_empty() {
        let detail = format!("name at least one topic; there are {known}");
        return Err(Problem::invalid("/topics", "required", detail));
    }
    let unknown = topics.iter().position(|topic| !TOPICS.contains(&topic.as_str()));
    if let Some(at) = unknown {
        let detail = format!("there is no such topic; there are {known}");
        return Err(Problem::invalid(&format!("/topics/{at}"), "unknown_topic", detail));
    }
    topics.sort_unstable();
    topics.dedup();
    Ok(topics)
}

/// The beginning of everything that is sent for the subscription `id`.
pub(super) fn head(id: Option<&str>) -> Bytes {
    match id {
        Some(id) => format!("{{\"id\":{},", Value::from(id)).into(),
        None => Bytes::from_static(b"{"),
    }
}

/// What follows the head of a message that controls the connection.
pub(super) fn control(kind: &str, data: &Value, envelope: &Envelope<'_>, seq: Seq) -> Bytes {
    let mut text = format!("\"type\":\"{kind}\",\"data\":{data}").into_bytes();
    close(&mut text, envelope, seq);
    text.into()
}

/// What an error says.
pub(super) fn error_data(problem: &Problem) -> Value {
    let mut data = json!({ "code": problem.code(), "detail": problem.detail() });
    if !problem.errors().is_empty() {
        data["errors"] = json!(problem.errors());
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, id: Option<&str>, code: &str, pointer: Option<&str>) {
        let refusal = read(text).unwrap_err();
        assert_eq!((refusal.id.as_deref(), refusal.problem.code()), (id, code), "{text}");
        let at = refusal.problem.errors().first().map(|error| error.pointer.as_str());
        assert_eq!(at, pointer, "{text}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_whose_it_is() {
        check("", None, "invalid_json", None);
        check("[1", None, "invalid_json", None);
        check(r#"{"type":"shout","id":"a"}"#, Some("a"), "invalid_value", Some("/type"));
        check(r#"{"id":"a"}"#, Some("a"), "required", Some("/type"));
        check(r#"{"type":"ping","loud":1}"#, None, "unknown_field", Some("/loud"));
        check(r#"{"type":"ping","topics":[]}"#, None, "unknown_field", Some(""));
        check(r#"{"type":"ping","id":""}"#, Some(""), "invalid_id", Some("/id"));
        check(r#"{"type":"unsubscribe"}"#, None, "required", Some("/id"));
        let subscribe = |rest: &str| format!(r#"{{"type":"subscribe","id":"a"{rest}}}"#);
        for (rest, code, pointer) in [
            ("", "required", "/topics"),
            (r#","topics":["metrics_update","x"]"#, "unknown_topic", "/topics/1"),
            (r#","topics":"metrics_update""#, "wrong_type", "/topics"),
            (r#","topics":["metrics_update"],"from_seq":-1"#, "wrong_type", "/from_seq"),
            (r#","topics":["metrics_update"],"filter":{}"#, "wrong_type", "/filter"),
            (
                r#","topics":["metrics_update"],"filter":[{"field":"x","op":"eq","value":"y"}]"#,
                "unknown_field",
                "/filter/0/field",
            ),
        ] {
            check(&subscribe(rest), Some("a"), code, Some(pointer));
        }
    }

    #[test]
    fn what_is_right_is_understood() {
        let text = r#"{"type":"subscribe","id":"a","topics":["metrics_update","system_alert",
            "metrics_update"],"filter":[{"field":"status","op":"eq","value":"failure"}],"from_seq":7}"#;
        let Said::Subscribe(wish) = read(text).unwrap() else { panic!() };
        assert_eq!((wish.topics.len(), wish.filters.len(), wish.from_seq), (2, 1, Some(7)));
        assert!(wish.has_source());
        assert!(matches!(read(r#"{"type":"ping"}"#), Ok(Said::Ping { id: None })));
        assert!(matches!(read(r#"{"type":"unsubscribe","id":"a"}"#), Ok(Said::Unsubscribe { .. })));
        let envelope = Envelope { tenant_id: "t", now_ms: 0 };
        let text = control("pong", &json!({}), &envelope, 3);
        let whole = [head(Some("a\"")), text].concat();
        let value: Value = serde_json::from_slice(&whole).unwrap();
        let expected = json!({ "id": "a\"", "type": "pong", "data": {}, "tenant_id": "t", "seq": 3,
            "timestamp": "1970-01-01T00:00:00.000Z" });
        assert_eq!(value, expected);
    }
}
