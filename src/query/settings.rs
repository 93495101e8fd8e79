//! What a question may cost, and how much is kept of answers.

use serde::Deserialize;
use std::time::{Duration, Instant};
use storage::ask::Budget;

/// The settings of this module.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuerySettings {
    /// Longest time that a question may take, in milliseconds; 0: no bound.
    pub time_ms_max: u64,
    /// Most working memory of a question, in bytes.
    pub memory_bytes_max: usize,
    /// Memory of the result cache, in bytes; 0: no cache.
    pub cache_bytes_max: usize,
}

impl Default for QuerySettings {
    fn default() -> Self {
        Self {
            // Longer than anybody looks at a page, shorter than proxies wait.
            time_ms_max: 30_000,
            // Holds a million groups with ten metrics.
            memory_bytes_max: 256 << 20,
            // Some hundred thousand rows of answers: the panels of all dashboards in use.
            cache_bytes_max: 64 << 20,
        }
    }
}

impl QuerySettings {
    /// The budget of a question that begins now.
    pub fn budget(&self, now: Instant) -> Budget {
        let time = Duration::from_millis(self.time_ms_max);
        let deadline = if self.time_ms_max == 0 { None } else { now.checked_add(time) };
        Budget { deadline, memory_bytes: self.memory_bytes_max, ..Budget::default() }
    }
}
