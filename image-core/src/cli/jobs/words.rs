//! Times and sizes in words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, in milliseconds since 1970 UTC.
pub(super) fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// A time as ISO 8601 has it, in UTC, to the second.
pub(super) fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day since 1970. Years begin in March here: the day that leap years add is then their last, and
/// four hundred of them have 146097 days.
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468; // since March 1 of the year 0
    let (centuries, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (400 * centuries + year + next, month, day)
}

/// How long something took, or how long ago it was.
pub(super) fn duration(ms: u64) -> String {
    let seconds = Duration::from_millis(ms).as_secs_f64();
    match seconds {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{} min", (s / 60.0).floor()),
        s if s < 172_800.0 => format!("{} h", (s / 3600.0).floor()),
        s => format!("{} d", (s / 86_400.0).floor()),
    }
}

/// A size of memory.
pub(super) fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399_999), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(utc(951_868_800_000), "2000-03-01T00:00:00Z");
        assert_eq!(utc(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01T00:00:00Z"); // 2100 is no leap year
        assert!(utc(u64::MAX).ends_with('Z'), "no number overflows");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let days_of = |year: u64, month: u64| match month {
            2 if year.is_multiple_of(400) || (year.is_multiple_of(4) && !year.is_multiple_of(100)) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let mut expected = (1970, 1, 1);
        for n in 0..200_000 {
            assert_eq!(date(n), expected);
            let (year, month, day) = expected;
            expected = match (month, day) {
                (_, day) if day < days_of(year, month) => (year, month, day + 1),
                (12, _) => (year + 1, 1, 1),
                _ => (year, month + 1, 1),
            };
        }
    }

    #[test]
    fn durations_have_the_unit_that_people_would_use() {
        let of = |seconds: f64| duration((seconds * 1000.0) as u64);
        assert_eq!(of(0.0), "0.0 s");
        assert_eq!(of(9.94), "9.9 s");
        assert_eq!(of(9.96), "10 s");
        assert_eq!(of(119.0), "119 s");
        assert_eq!(of(120.0), "2 min");
        assert_eq!(of(7199.0), "119 min");
        assert_eq!(of(7200.0), "2 h");
        assert_eq!(of(86_400.0 * 2.0), "2 d");
        assert_eq!(gigabytes(1_234_000_000), "1.23 GB");
    }
}
