//! How long to wait before a busy server is asked again.

use std::time::{Duration, SystemTime};

/// Without a word of the server: one second, then twice as long each time.
const FIRST: Duration = Duration::from_secs(1);

/// The wait before the next try: what `Retry-After` says, in seconds or as a date, or what is usual after `tries` tries.
pub(crate) fn wait(retry_after: Option<&str>, tries: u32, now: SystemTime) -> Duration {
    let told = retry_after.map(str::trim).and_then(|text| match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        }
    });
    told.unwrap_or_else(|| FIRST * 2_u32.saturating_pow(tries.saturating_sub(1).min(10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let told = |text| wait(Some(text), 1, now).as_secs();
        assert_eq!(told("0"), 0);
        assert_eq!(told(" 120 "), 120);
        assert_eq!(told("Sun, 06 Nov 1994 08:50:00 GMT"), 23);
        assert_eq!(told("Sun, 06 Nov 1994 08:49:00 GMT"), 0, "it is over");
        assert_eq!(told("18446744073709551615"), u64::MAX);
        for strange in ["", "-1", "1.5", "soon", "99999999999999999999"] {
            assert_eq!(told(strange), 1, "{strange:?}");
        }
    }

    #[test]
    fn without_a_word_the_wait_doubles() {
        let waits = [1, 2, 3, 4].map(|tries| wait(None, tries, SystemTime::UNIX_EPOCH).as_secs());
        assert_eq!(waits, [1, 2, 4, 8]);
        assert_eq!(wait(None, u32::MAX, SystemTime::UNIX_EPOCH).as_secs(), 1024);
    }
}
