//! How finely a tenant's partial aggregates divide time, which its time zone decides.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Offsets are looked at from here on. Older ones count in odd minutes, and questions about such
/// times are answered from the rows.
const SINCE: Timestamp = Timestamp::constant(946_684_800, 0); // 2000-01-01

/// …and up to here: rules repeat, so that later years bring no other offset.
const UNTIL: Timestamp = Timestamp::constant(2_524_608_000, 0); // 2050-01-01

/// The widest grain in minutes (60, 30 or 15) of which an hour of `zone` is always a whole number
/// of grains: 60 for Berlin, 30 for Kolkata, 15 for Kathmandu. `None` if there is no such zone.
pub fn grain_minutes(zone: &str) -> Option<u32> {
    let zone = TimeZone::get(zone).ok()?;
    let later = zone.following(SINCE).take_while(|t| t.timestamp() < UNTIL).map(|t| t.offset());
    let offsets = later.chain([zone.to_offset(SINCE)]);
    Some(offsets.map(|offset| grain_of(offset.seconds())).min().unwrap_or(60))
}

fn grain_of(offset_seconds: i32) -> u32 {
    match offset_seconds.rem_euclid(3600) {
        0 => 60,
        1800 => 30,
        _ => 15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grain_follows_the_offsets() {
        let cases = [
            ("UTC", Some(60)),
            ("Europe/Berlin", Some(60)),
            ("Asia/Kolkata", Some(30)),
            ("Australia/Lord_Howe", Some(30)),
            ("Asia/Kathmandu", Some(15)),
            ("Pacific/Chatham", Some(15)),
            ("Mars/Olympus", None),
            ("", None),
        ];
        for (zone, grain) in cases {
            assert_eq!(grain_minutes(zone), grain, "{zone}");
        }
    }
}
