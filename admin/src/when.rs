//! Moments as they are typed, `7d` or `2026-11-24` or `2026-11-24 10:12`, and as they are shown. All of them in UTC.

use crate::report::date;
use std::time::{SystemTime, UNIX_EPOCH};
use twinlock_config::{Day, Span};

const DAY_S: u64 = 86_400;

/// Seconds since 1970 now.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What was typed: a length of time before now, a day's beginning, or a minute of a day; in seconds since 1970.
pub(crate) fn moment(text: &str) -> Result<u64, String> {
    moment_at(text, now())
}

fn moment_at(text: &str, now: u64) -> Result<u64, String> {
    if let Ok(span) = Span::try_from(text.to_owned()) {
        return Ok(now.saturating_sub(span.duration().as_secs()));
    }
    let remedy = || {
        "write a length of time such as 7d, a day such as 2026-11-24, or 2026-11-24T10:12 (UTC)".to_owned()
    };
    let (day, time) = text.split_once(['T', ' ']).map_or((text, None), |(day, time)| (day, Some(time)));
    let begin = Day::try_from(day.to_owned()).map_err(|_| remedy())?.end_s() - DAY_S;
    let Some(time) = time else { return Ok(begin) };
    let (hour, minute) = time.trim_end_matches('Z').split_once(':').ok_or_else(remedy)?;
    let number = |text: &str, most: u64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|number| digits && *number < most).ok_or_else(remedy)
    };
    Ok(begin + number(hour, 24)? * 3600 + number(minute, 60)? * 60)
}

/// A moment with its seconds.
pub(crate) fn to_the_second(at: u64) -> String {
    date(at).replace(" UTC", &format!(":{:02} UTC", at % 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now = 1_790_000_000;
        for (text, expected) in [
            ("90s", now - 90),
            ("7d", now - 7 * DAY_S),
            ("1970-01-02", DAY_S),
            ("2026-11-24", 1_795_478_400),
            ("2026-11-24T10:12", 1_795_478_400 + 10 * 3600 + 12 * 60),
            ("2026-11-24 10:12", 1_795_478_400 + 10 * 3600 + 12 * 60),
            ("2026-11-24T10:12Z", 1_795_478_400 + 10 * 3600 + 12 * 60),
        ] {
            assert_eq!(moment_at(text, now), Ok(expected), "{text}");
        }
        for text in
            ["", "yesterday", "2026-11-24T24:00", "2026-11-24T1:5", "2026-02-30", "7", "2026-11-24T10"]
        {
            assert!(moment_at(text, now).unwrap_err().contains("7d"), "{text}");
        }
        assert_eq!(to_the_second(1_795_478_401), "2026-11-24 00:00:01 UTC");
    }
}
