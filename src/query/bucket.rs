//! Where time buckets begin, in any IANA zone.
//!
//! A bucket is an interval that begins at one start and ends at the next:
//!
//! - An *hour* groups instants with the same local date, the same local hour **and** the same
//!   offset from UTC: the hour that a fold repeats gives two buckets, and a transition in the
//!   middle of an hour (Lord Howe's half hour) splits it. Each begins at the local hour's start at
//!   its offset or at the transition, whichever is later.
//! - A *day*, *week* (ISO 8601, from Monday) or *month* begins at the first instant whose local
//!   date lies in it. Where a gap swallows midnight that is the transition; a day that a zone
//!   skipped has no bucket. Where a fold around midnight returns to the day before, those
//!   instants stay in the newer bucket, for buckets are intervals.
//!
//! Starts are computed by arithmetic between offset transitions and not by asking the zone for
//! each of them: ten years of hours cost well below a millisecond.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use std::fmt;
use storage::row::TimeMs;

/// Most buckets of one question: hours from 1970 until 2027, at 8 bytes a start.
pub const BUCKETS_MAX: usize = 500_000;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;

/// Before the first wanted instant, this much time is walked to learn which day, week or month
/// it lies in: the longest month, and a few days for whatever a transition repeats or skips.
const CALENDAR_LEAD_MS: i64 = 36 * DAY_MS;

/// A day after the calendar's last one, whose milliseconds still fit.
const NEVER_DAY: i64 = i64::MAX / DAY_MS - 7;

/// How wide the buckets of a question are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Width {
    /// No buckets.
    #[default]
    None,
    /// Local hours.
    Hour,
    /// Local days.
    Day,
    /// ISO weeks, from Monday.
    Week,
    /// Calendar months.
    Month,
}

impl Width {
    /// Every width.
    pub const ALL: [Self; 5] = [Self::None, Self::Hour, Self::Day, Self::Week, Self::Month];

    /// The contract's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The width of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|width| width.as_str() == word)
    }

    /// The number of the day's calendar unit; `day` counts from 1970-01-01.
    fn unit_of(self, day: i64) -> i64 {
        match self {
            // 1970-01-01 was a Thursday, three days after a Monday.
            Self::Week => (day + 3).div_euclid(7),
            Self::Month => month_of(day),
            _ => day,
        }
    }

    /// The first day of a calendar unit.
    fn first_day(self, unit: i64) -> i64 {
        match self {
            Self::Week => unit * 7 - 3,
            Self::Month => first_day_of_month(unit),
            _ => unit,
        }
    }
}

/// Months since year 0 of the day's month.
fn month_of(day: i64) -> i64 {
    let date = Offset::UTC.to_datetime(timestamp(day.saturating_mul(DAY_MS))).date();
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

/// The first day of a month; beyond the calendar's end, a day that never comes.
fn first_day_of_month(month: i64) -> i64 {
    let year = i16::try_from(month.div_euclid(12)).ok();
    let first = year.and_then(|year| Date::new(year, month.rem_euclid(12) as i8 + 1, 1).ok());
    let midnight = first.and_then(|date| Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
    midnight.map_or(NEVER_DAY, |t| t.as_millisecond().div_euclid(DAY_MS))
}

/// A time zone by its IANA name.
#[derive(Clone)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// Coordinated Universal Time.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), rules: TimeZone::UTC }
    }

    /// The zone of that name (letter case is ignored), from the database in this program.
    pub fn parse(name: &str) -> Option<Self> {
        let rules = TimeZone::get(name).ok().filter(|rules| !rules.is_unknown())?;
        Some(Self { name: rules.iana_name().unwrap_or(name).to_owned(), rules })
    }

    /// Its name as the database spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its rules.
    pub fn rules(&self) -> &TimeZone {
        &self.rules
    }

    /// Calls `each` with `(start, end, offset in ms, whether the offset changed at start)` for
    /// every stretch of constant offset in `[from, to)`, until it answers `false`.
    fn stretches(
        &self,
        from: TimeMs,
        to: TimeMs,
        mut each: impl FnMut(TimeMs, TimeMs, i64, bool) -> bool,
    ) {
        let first = timestamp(from);
        let mut start = from;
        let mut offset = self.rules.to_offset(first);
        let mut changed = false;
        for transition in self.rules.following(first) {
            let at = transition.timestamp().as_millisecond();
            if at >= to {
                break;
            }
            // A change of name or of the daylight-saving flag alone moves no clock.
            if transition.offset() == offset {
                continue;
            }
            if !each(start, at, i64::from(offset.seconds()) * 1000, changed) {
                return;
            }
            (start, offset, changed) = (at, transition.offset(), true);
        }
        each(start, to, i64::from(offset.seconds()) * 1000, changed);
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

/// `ms` as a timestamp, cut to what the calendar knows (years -9999 to 9999).
fn timestamp(ms: TimeMs) -> Timestamp {
    let end = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(ms).unwrap_or(end)
}

/// There would be more than [`BUCKETS_MAX`] buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the time range has more than {BUCKETS_MAX} buckets: choose wider ones or a shorter time range"
)]
pub struct TooManyBuckets;

/// The ascending starts of the buckets that `[from, to)` touches; the first is at or before
/// `from`, the others before `to`. Without buckets, or with an empty range: none.
pub fn starts(
    zone: &Zone,
    width: Width,
    from: TimeMs,
    to: TimeMs,
) -> Result<Vec<TimeMs>, TooManyBuckets> {
    if width == Width::None || from >= to {
        return Ok(Vec::new());
    }
    let mut starts = Starts { from, list: Vec::new() };
    let to = to.min(Timestamp::MAX.as_millisecond());
    if width == Width::Hour {
        hour_starts(zone, to, &mut starts);
    } else {
        calendar_starts(zone, width, to, &mut starts);
    }
    if starts.is_full() {
        return Err(TooManyBuckets);
    }
    if starts.list.first().is_none_or(|&first| first > from) {
        starts.list.insert(0, from);
    }
    Ok(starts.list)
}

/// Starts so far. Of those at or before `from` only the last is kept.
struct Starts {
    from: TimeMs,
    list: Vec<TimeMs>,
}

impl Starts {
    fn push(&mut self, start: TimeMs) {
        if start <= self.from {
            self.list.clear();
        }
        self.list.push(start);
    }

    fn is_full(&self) -> bool {
        self.list.len() > BUCKETS_MAX
    }
}

fn hour_starts(zone: &Zone, to: TimeMs, starts: &mut Starts) {
    let lead = timestamp(starts.from.saturating_sub(HOUR_MS)).as_millisecond();
    zone.stretches(lead, to, |start, end, offset, changed| {
        if changed {
            starts.push(start);
        }
        // The first whole local hour after what `changed` began.
        let past = (start + offset).rem_euclid(HOUR_MS);
        let mut next = if past == 0 && !changed { start } else { start - past + HOUR_MS };
        while next < end && !starts.is_full() {
            starts.push(next);
            next += HOUR_MS;
        }
        !starts.is_full()
    });
}

fn calendar_starts(zone: &Zone, width: Width, to: TimeMs, starts: &mut Starts) {
    let lead = timestamp(starts.from.saturating_sub(CALENDAR_LEAD_MS)).as_millisecond();
    let mut newest = i64::MIN;
    zone.stretches(lead, to, |start, end, offset, changed| {
        let unit = width.unit_of((start + offset).div_euclid(DAY_MS));
        if changed && unit > newest {
            starts.push(start);
        }
        newest = newest.max(unit);
        loop {
            // After a fold `newest` may lie ahead of the local date: nothing begins twice.
            let next = width.first_day(newest + 1) * DAY_MS - offset;
            if next >= end || starts.is_full() {
                return !starts.is_full();
            }
            starts.push(next);
            newest += 1;
        }
    });
}

#[cfg(test)]
#[path = "bucket_tests.rs"]
mod tests;
