//! What is bounded: one table.

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// Something that a tenant may use so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Requests in a second; 0: no bound.
    RequestsPerSecond,
    /// Executions sent in a second; 0: no bound.
    EventsPerSecond,
    /// Requests at a time.
    ConcurrentRequests,
    /// WebSockets at a time.
    WebsocketConnections,
    /// Time of a question, milliseconds.
    QueryTime,
    /// Working memory of a question, bytes.
    QueryMemory,
    /// Hundredths of the processors, while other tenants ask for them too.
    CpuShare,
    /// Bytes of the tenant's file; 0: no bound.
    Storage,
}

/// How many limits there are.
const COUNT: usize = 8;

/// Each limit, its word, its range, and whether 0 is "no bound". Stands in the order of [`Limit`].
const TABLE: [(Limit, &str, u64, u64, bool); COUNT] = {
    use Limit as L;
    const MIB: u64 = 1 << 20;
    const TIB: u64 = 1 << 40;
    [
        (L::RequestsPerSecond, "requests_per_second", 1, 1_000_000, true),
        (L::EventsPerSecond, "events_per_second", 1, 10_000_000, true),
        (L::ConcurrentRequests, "concurrent_requests", 1, 100_000, false),
        (L::WebsocketConnections, "websocket_connections", 1, 100_000, false),
        (L::QueryTime, "query_time_ms", 10, 24 * 3_600_000, false),
        (L::QueryMemory, "query_memory_bytes", MIB, TIB, false),
        (L::CpuShare, "cpu_share", 1, 100, false),
        (L::Storage, "storage_bytes", MIB, 1024 * TIB, true),
    ]
};

impl Limit {
    /// All, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(limit, ..)| *limit)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// Takes `text` as a limit's word if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|limit| limit.as_str() == text)
    }

    /// Least and greatest value, whether 0 is taken for "no bound" beside.
    pub fn range(self) -> (u64, u64, bool) {
        let (_, _, least, greatest, may_be_none) = TABLE[self as usize];
        (least, greatest, may_be_none)
    }

    /// Whether it can be `value`; else what it can be.
    pub fn check(self, value: u64) -> Result<u64, String> {
        let (least, greatest, may_be_none) = self.range();
        if (least..=greatest).contains(&value) || (may_be_none && value == 0) {
            return Ok(value);
        }
        let none = if may_be_none { ", or 0 for no bound" } else { "" };
        let [least, greatest] = [least, greatest].map(|value| self.shown(value));
        Err(format!("must be between {least} and {greatest}{none}"))
    }

    /// A value as it is told: a share as a ratio, everything else as a whole number.
    pub fn shown(self, value: u64) -> Number {
        match self {
            Self::CpuShare => {
                Number::from_f64(value as f64 / 100.0).unwrap_or_else(|| Number::from(0))
            }
            _ => Number::from(value),
        }
    }

    /// The value that a number stands for, as [`shown`](Self::shown) tells it; else what is wrong.
    pub fn read(self, number: &Number) -> Result<u64, String> {
        let value = match self {
            Self::CpuShare => number.as_f64().map(|ratio| (ratio * 100.0).round()),
            _ => return self.check(number.as_u64().ok_or("must be a whole number")?),
        };
        let percent = value.filter(|percent| (0.0..=100.0).contains(percent)).unwrap_or(0.0);
        self.check(percent as u64)
    }
}

/// A value for every limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits([u64; COUNT]);

impl Default for Limits {
    /// What `config.toml` has.
    fn default() -> Self {
        Self([0, 0, 1_000, 10_000, 30_000, 256 << 20, 50, 0])
    }
}

impl Limits {
    /// The value of a limit.
    pub fn of(&self, limit: Limit) -> u64 {
        self.0[limit as usize]
    }

    /// With another value of one limit.
    #[must_use]
    pub fn with(mut self, limit: Limit, value: u64) -> Self {
        self.0[limit as usize] = value;
        self
    }

    /// All by their words.
    pub fn shown(&self) -> Map<String, Value> {
        let entry = |limit: Limit| (limit.as_str().to_owned(), limit.shown(self.of(limit)).into());
        Limit::all().map(entry).collect()
    }
}

/// The limits that a tenant has of its own; of the others the defaults hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides([Option<u64>; COUNT]);

impl Overrides {
    /// The value of a limit, if it has one here.
    pub fn of(&self, limit: Limit) -> Option<u64> {
        self.0[limit as usize]
    }

    /// Gives a limit a value of its own, or none.
    pub fn set(&mut self, limit: Limit, value: Option<u64>) {
        self.0[limit as usize] = value;
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// The limits that hold where `defaults` are the others.
    pub fn over(&self, defaults: &Limits) -> Limits {
        Limit::all().fold(*defaults, |limits, limit| match self.of(limit) {
            Some(value) => limits.with(limit, value),
            None => limits,
        })
    }

    /// Those there are, by their words, as they are told.
    pub fn shown(&self) -> Map<String, Value> {
        let entry = |limit: Limit| {
            let value = self.of(limit)?;
            Some((limit.as_str().to_owned(), limit.shown(value).into()))
        };
        Limit::all().filter_map(entry).collect()
    }
}

/// As it is stored: whole numbers by the words.
impl Serialize for Overrides {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for limit in Limit::all() {
            if let Some(value) = self.of(limit) {
                map.serialize_entry(limit.as_str(), &value)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Overrides {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut overrides = Self::default();
        for (word, value) in BTreeMap::<String, u64>::deserialize(from)? {
            let limit = Limit::parse(&word);
            let limit = limit.ok_or_else(|| D::Error::custom(format!("no limit `{word}`")))?;
            let value = limit.check(value);
            let value = value.map_err(|detail| D::Error::custom(format!("`{word}` {detail}")))?;
            overrides.set(limit, Some(value));
        }
        Ok(overrides)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_order_and_the_defaults_are_in_range() {
        for (n, limit) in Limit::all().enumerate() {
            assert_eq!(limit as usize, n);
            assert_eq!(Limit::parse(limit.as_str()), Some(limit));
            let value = Limits::default().of(limit);
            assert_eq!(limit.check(value), Ok(value), "{limit:?}");
            assert_eq!(limit.read(&limit.shown(value)), Ok(value), "{limit:?}");
        }
        assert_eq!(Limit::parse("everything"), None);
    }

    #[test]
    fn values_out_of_range_are_told_what_they_can_be() {
        let check = |limit: Limit, number: f64, expected: Result<u64, &str>| {
            let number = match number.fract() {
                0.0 if number >= 0.0 => Number::from(number as u64),
                _ => Number::from_f64(number).unwrap(),
            };
            assert_eq!(limit.read(&number), expected.map_err(str::to_owned), "{limit:?} {number}");
        };
        check(Limit::CpuShare, 0.25, Ok(25));
        check(Limit::CpuShare, 1.0, Ok(100));
        for bad in [0.0, 0.001, 1.5, -0.5, 1e300] {
            check(Limit::CpuShare, bad, Err("must be between 0.01 and 1.0"));
        }
        check(Limit::RequestsPerSecond, 0.0, Ok(0));
        check(Limit::RequestsPerSecond, 0.5, Err("must be a whole number"));
        let range = "must be between 1 and 1000000, or 0 for no bound";
        check(Limit::RequestsPerSecond, 1e9, Err(range));
        check(Limit::ConcurrentRequests, 0.0, Err("must be between 1 and 100000"));
    }

    #[test]
    fn overrides_lie_over_the_defaults_and_are_stored_by_their_words() {
        let mut overrides = Overrides::default();
        assert!(overrides.is_empty());
        overrides.set(Limit::CpuShare, Some(25));
        overrides.set(Limit::Storage, Some(1 << 30));
        let limits = overrides.over(&Limits::default());
        assert_eq!(limits.of(Limit::CpuShare), 25);
        assert_eq!(limits.of(Limit::QueryTime), 30_000);
        let text = serde_json::to_string(&overrides).unwrap();
        assert_eq!(text, r#"{"cpu_share":25,"storage_bytes":1073741824}"#);
        assert_eq!(serde_json::from_str::<Overrides>(&text).unwrap(), overrides);
        assert_eq!(Value::from(overrides.shown())["cpu_share"], 0.25);
        for bad in [r#"{"speed":1}"#, r#"{"cpu_share":101}"#, r#"{"cpu_share":"a"}"#] {
            assert!(serde_json::from_str::<Overrides>(bad).is_err(), "{bad}");
        }
    }
}
