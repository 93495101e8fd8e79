//! Starts against a definition that asks the calendar about every instant on its own.

use super::*;
use jiff::civil::Date;
use jiff::tz::AmbiguousOffset;
use jiff::{Span, ToSpan};
use proptest::prelude::*;

const ZONES: [&str; 14] = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "America/Toronto",
    "America/Juneau",
    "Asia/Manila",
    "Pacific/Kwajalein",
    "Pacific/Chatham",
];

fn ms(text: &str) -> TimeMs {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap()
}

/// The last instant up to `at` at which the offset changed.
fn last_change(zone: &Zone, at: Timestamp) -> Option<Timestamp> {
    let rules = zone.rules();
    let just_after = at.checked_add(1.millisecond()).unwrap();
    rules.preceding(just_after).map(|t| t.timestamp()).find(|&t| {
        let before = t.checked_sub(1.second()).unwrap();
        rules.to_offset(before) != rules.to_offset(t)
    })
}

fn naive_hour(zone: &Zone, at: Timestamp) -> Timestamp {
    let offset = zone.rules().to_offset(at);
    let local = offset.to_datetime(at);
    let hour = offset.to_timestamp(local.date().at(local.hour(), 0, 0, 0)).unwrap();
    last_change(zone, at).map_or(hour, |change| hour.max(change))
}

/// The first instant with that local date, if there is one.
fn first_instant(zone: &Zone, date: Date) -> Option<Timestamp> {
    let rules = zone.rules();
    let midnight = date.at(0, 0, 0, 0);
    let instant = match rules.to_ambiguous_timestamp(midnight).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(midnight).unwrap(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(midnight).unwrap(),
        // The old offset's midnight never comes: the date begins with the transition.
        AmbiguousOffset::Gap { before, .. } => {
            last_change(zone, before.to_timestamp(midnight).unwrap()).unwrap()
        }
    };
    (rules.to_datetime(instant).date() == date).then_some(instant)
}

fn first_date(width: Width, date: Date) -> Date {
    match width {
        Width::Week => {
            let back = i64::from(date.weekday().to_monday_zero_offset());
            date.checked_sub(Span::new().days(back)).unwrap()
        }
        Width::Month => date.first_of_month(),
        _ => date,
    }
}

/// The latest first instant, up to `at`, of a day, week or month.
fn naive_calendar(zone: &Zone, width: Width, at: Timestamp) -> Timestamp {
    let local = zone.rules().to_datetime(at).date();
    let mut best = None;
    // The unit of the local date, or after a fold the one that had begun before.
    for ahead in [0, 1] {
        let date = local.checked_add(Span::new().days(ahead)).unwrap();
        let mut first = first_date(width, date);
        // A unit whose first day was skipped begins with its first day that was not.
        let begin = loop {
            if let Some(instant) = first_instant(zone, first) {
                break instant;
            }
            first = first.tomorrow().unwrap();
        };
        if begin <= at {
            best = best.max(Some(begin));
        }
    }
    best.unwrap()
}

fn naive(zone: &Zone, width: Width, at: TimeMs) -> TimeMs {
    let at = Timestamp::from_millisecond(at).unwrap();
    let start = match width {
        Width::Hour => naive_hour(zone, at),
        _ => naive_calendar(zone, width, at),
    };
    start.as_millisecond()
}

fn bucket_of(starts: &[TimeMs], at: TimeMs) -> TimeMs {
    starts[starts.partition_point(|&start| start <= at) - 1]
}

/// Instants near the zone's transitions and anywhere else.
fn instants(zone: &Zone, near: usize, shift: i64) -> TimeMs {
    let begin = Timestamp::from_second(-5_000_000_000).unwrap();
    let changes: Vec<_> = zone.rules().following(begin).take(400).collect();
    let at = match changes.len() {
        0 => 0,
        len => changes[near % len].timestamp().as_millisecond(),
    };
    at + shift
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn starts_agree_with_the_calendar(
        name in proptest::sample::select(&ZONES[..]),
        width in proptest::sample::select(&Width::ALL[1..]),
        near: usize,
        shift in prop_oneof![-200_000_000_i64..200_000_000, -5_000_000_000_i64..5_000_000_000],
        span in prop_oneof![1_i64..400_000_000, 1_i64..9_000_000_000],
        probes in proptest::collection::vec(0.0_f64..1.0, 20),
    ) {
        let zone = zone(name);
        let from = instants(&zone, near, shift);
        let to = from + span;
        let starts = starts(&zone, width, from, to).unwrap();
        prop_assert!(starts.is_sorted_by(|a, b| a < b));
        prop_assert!(starts[0] <= from);
        prop_assert!(starts.iter().all(|&start| start < to));
        prop_assert!(starts[1..].iter().all(|&start| start > from));
        for &start in &starts {
            prop_assert_eq!(naive(&zone, width, start), start, "a start begins its bucket");
        }
        for probe in probes {
            let at = from + (span as f64 * probe) as i64;
            prop_assert_eq!(bucket_of(&starts, at), naive(&zone, width, at), "{} at {}", name, at);
        }
    }
}

fn check(name: &str, width: Width, from: &str, to: &str, wanted: &[&str]) {
    let found = starts(&zone(name), width, ms(from), ms(to)).unwrap();
    let wanted: Vec<TimeMs> = wanted.iter().map(|text| ms(text)).collect();
    assert_eq!(found, wanted, "{name} {width:?} {from} {to}");
}

#[test]
fn a_fold_repeats_an_hour_and_a_gap_skips_one() {
    let berlin = "Europe/Berlin";
    check(
        berlin,
        Width::Hour,
        "2026-10-25T01:30:00+02:00",
        "2026-10-25T03:30:00+01:00",
        &[
            "2026-10-25T01:00:00+02:00",
            "2026-10-25T02:00:00+02:00",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T03:00:00+01:00",
        ],
    );
    check(
        berlin,
        Width::Hour,
        "2026-03-29T01:00:00+01:00",
        "2026-03-29T04:00:00+02:00",
        &["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"],
    );
    check(
        berlin,
        Width::Day,
        "2026-03-28T12:00:00+01:00",
        "2026-03-30T12:00:00+02:00",
        &["2026-03-28T00:00:00+01:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"],
    );
}

#[test]
fn lord_howe_splits_an_hour_in_half() {
    check(
        "Australia/Lord_Howe",
        Width::Hour,
        "2026-04-05T01:00:00+11:00",
        "2026-04-05T03:00:00+10:30",
        &["2026-04-05T01:00:00+11:00", "2026-04-05T01:30:00+10:30", "2026-04-05T02:00:00+10:30"],
    );
}

#[test]
fn apia_skipped_a_day() {
    check(
        "Pacific/Apia",
        Width::Day,
        "2011-12-29T12:00:00-10:00",
        "2012-01-01T12:00:00+14:00",
        &["2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"],
    );
}

#[test]
fn a_gap_over_midnight_begins_the_day_late() {
    // The clocks of Toronto went from 23:30 to 00:30 in 1919.
    check(
        "America/Toronto",
        Width::Day,
        "1919-03-30T12:00:00-05:00",
        "1919-03-31T12:00:00-04:00",
        &["1919-03-30T00:00:00-05:00", "1919-03-31T00:30:00-04:00"],
    );
    check(
        "America/Sao_Paulo",
        Width::Day,
        "2015-10-18T12:00:00-02:00",
        "2015-10-18T13:00:00-02:00",
        &["2015-10-18T01:00:00-02:00"],
    );
}

#[test]
fn weeks_begin_on_monday_and_months_on_the_first() {
    check(
        "Asia/Kathmandu",
        Width::Week,
        "2026-01-01T00:00:00+05:45",
        "2026-01-12T00:00:00.001+05:45",
        &["2025-12-29T00:00:00+05:45", "2026-01-05T00:00:00+05:45", "2026-01-12T00:00:00+05:45"],
    );
    check(
        "America/St_Johns",
        Width::Month,
        "2024-02-29T23:59:59-03:30",
        "2024-04-01T00:00:00-02:30",
        &["2024-02-01T00:00:00-03:30", "2024-03-01T00:00:00-03:30"],
    );
}

#[test]
fn buckets_are_bounded_and_empty_ranges_have_none() {
    let utc = Zone::utc();
    let hours = |n: i64| starts(&utc, Width::Hour, 0, n * HOUR_MS).map(|starts| starts.len());
    assert_eq!(hours(BUCKETS_MAX as i64), Ok(BUCKETS_MAX));
    assert_eq!(hours(BUCKETS_MAX as i64 + 1), Err(TooManyBuckets));
    assert_eq!(starts(&utc, Width::Hour, 0, i64::MAX), Err(TooManyBuckets));
    assert_eq!(starts(&utc, Width::Hour, 5, 5), Ok(Vec::new()));
    assert_eq!(starts(&utc, Width::None, 0, 5), Ok(Vec::new()));
    for width in Width::ALL {
        for name in ZONES {
            // The ends of time neither panic nor run for ever.
            let _ = starts(&zone(name), width, i64::MIN, i64::MIN + 1);
            let _ = starts(&zone(name), width, i64::MAX - 1, i64::MAX);
            let _ = starts(&zone(name), width, i64::MIN, i64::MAX);
        }
    }
}

#[test]
fn zones_have_names() {
    assert_eq!(zone("europe/berlin").name(), "Europe/Berlin");
    for bad in ["", "Etc/Unknown", "Berlin", "+02:00", "Europe/Berlin ", "../../etc/passwd"] {
        assert_eq!(Zone::parse(bad), None, "{bad}");
    }
}

#[test]
fn week_and_month_agree_with_the_civil_calendar() {
    let mut date = jiff::civil::date(1890, 1, 1);
    let mut day = -29_219;
    while date.year() < 2110 {
        let first = |width: Width| width.first_day(width.unit_of(day));
        let monday = i64::from(date.weekday().to_monday_zero_offset());
        assert_eq!(day - first(Width::Week), monday, "{date}");
        assert_eq!(day - first(Width::Month), i64::from(date.day()) - 1, "{date}");
        date = date.tomorrow().unwrap();
        day += 1;
    }
}
