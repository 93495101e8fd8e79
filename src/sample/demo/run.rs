//! One execution and its line.

use super::super::json;
use serde::Serialize;
use std::collections::BTreeMap;
use storage::row::TimeMs;

/// An execution under construction: the fields of the contract, and when it ended.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) ts: String,
    pub(super) command: String,
    pub(super) command_line: String,
    pub(super) user_id: String,
    pub(super) team_id: &'static str,
    pub(super) project_id: String,
    pub(super) session_id: String,
    pub(super) host: String,
    pub(super) actor: &'static str,
    pub(super) duration_ms: f64,
    pub(super) exit_code: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) error: &'static str,
    pub(super) labels: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) values: BTreeMap<&'static str, f64>,
    #[serde(skip)]
    pub(super) duration_us: u64,
    #[serde(skip)]
    pub(super) end_ms: TimeMs,
}

impl Run {
    /// Sets when it ended, from whatever instant is counted, and how long it had taken then.
    pub(super) fn took(&mut self, end_ms: TimeMs, duration_us: u64) {
        self.end_ms = end_ms;
        self.duration_us = duration_us;
        self.duration_ms = duration_us as f64 / 1000.0;
    }

    /// Says that it was counted from `from_ms`.
    pub(super) fn begins_at(&mut self, from_ms: TimeMs) {
        self.end_ms += from_ms;
        let mut ts = Vec::new();
        json::push_time(&mut ts, self.end_ms - (self.duration_us / 1000) as i64);
        self.ts = String::from_utf8(ts).unwrap_or_default(); // ASCII
    }

    /// Gives it an id of these bits.
    pub(super) fn named(&mut self, high: u64, low: u64) {
        let mut id = vec![b'"'];
        json::push_uuid(&mut id, high, low);
        self.id = String::from_utf8(id.split_off(1)).unwrap_or_default(); // ASCII
    }

    /// Appends it as a line of NDJSON.
    pub(super) fn write_line(&self, out: &mut Vec<u8>) {
        // A struct of texts and finite numbers always has a JSON form, and memory takes it.
        let _always_written = serde_json::to_writer(&mut *out, self);
        out.push(b'\n');
    }
}
