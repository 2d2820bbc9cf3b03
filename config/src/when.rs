//! Times of the week as the file writes them: `"mon-fri"`, `"08:00"`, `"Europe/Amsterdam"`.
//!
//! A zone's rules come from the host's tzdata, which is kept up to date, or from a copy in the program where there is
//! none. They are read once, with the configuration.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weekday {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

const WEEK: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Weekday {
    /// The one before.
    #[must_use]
    pub const fn previous(self) -> Self {
        match self {
            Self::Monday => Self::Sunday,
            Self::Tuesday => Self::Monday,
            Self::Wednesday => Self::Tuesday,
            Self::Thursday => Self::Wednesday,
            Self::Friday => Self::Thursday,
            Self::Saturday => Self::Friday,
            Self::Sunday => Self::Saturday,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some days of the week: a list of days and of runs of days, `["mon-thu", "sat"]`. Never none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Days(u8);

impl Days {
    /// Whether `day` is one of them.
    #[must_use]
    pub const fn contains(self, day: Weekday) -> bool {
        self.0 & day.bit() != 0
    }
}

impl TryFrom<Vec<String>> for Days {
    type Error = String;

    fn try_from(list: Vec<String>) -> Result<Self, String> {
        let index = |name: &str| WEEK.iter().position(|(short, _)| *short == name);
        let mut days = 0;
        for text in &list {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let (Some(first), Some(last)) = (index(first), index(last)) else {
                return Err("must list days such as \"mon\", or runs such as \"mon-fri\"".into());
            };
            // A run may go past Sunday.
            let length = (last + WEEK.len() - first) % WEEK.len() + 1;
            for (_, day) in WEEK.iter().cycle().skip(first).take(length) {
                days |= day.bit();
            }
        }
        if days == 0 {
            return Err("is empty; leave it out where every day is meant".into());
        }
        Ok(Self(days))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Vec::from(*self).join(", "))
    }
}

impl From<Days> for Vec<String> {
    fn from(days: Days) -> Self {
        WEEK.iter().filter(|(_, day)| days.contains(*day)).map(|(name, _)| (*name).to_owned()).collect()
    }
}

/// A time of the day, to the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay {
    minutes: u16,
}

impl TimeOfDay {
    /// Minutes since midnight, below 1440.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.minutes
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let remedy = || "is no time of day; write it from \"00:00\" to \"23:59\"".to_owned();
        let (hours, minutes) = text.split_once(':').ok_or_else(remedy)?;
        let number = |text: &str, below: u16| -> Result<u16, String> {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = if digits { text.parse().ok() } else { None };
            number.filter(|number| *number < below).ok_or_else(remedy)
        };
        Ok(Self { minutes: number(hours, 24)? * 60 + number(minutes, 60)? })
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

/// What the clocks of a zone show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// The day.
    pub weekday: Weekday,
    /// Minutes since its midnight by the clock's face, whatever hour was skipped or repeated on that day.
    pub minutes: u16,
}

/// A time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// What its clocks show so many seconds after 1970 began (UTC); `None` beyond the year 9999.
    #[must_use]
    pub fn local(&self, seconds: u64) -> Option<LocalTime> {
        let at = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
        let shown = self.rules.to_datetime(at);
        let weekday = WEEK.get(usize::try_from(shown.weekday().to_monday_zero_offset()).ok()?)?.1;
        let minutes = u16::try_from(shown.hour()).ok()? * 60 + u16::try_from(shown.minute()).ok()?;
        Some(LocalTime { weekday, minutes })
    }
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match TimeZone::get(&name) {
            Ok(rules) => Ok(Self { name, rules }),
            Err(_) => Err("is no time zone; write it as in \"Europe/Amsterdam\" or \"UTC\"".into()),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(list: &[&str]) -> Result<String, String> {
        Days::try_from(list.iter().map(|day| (*day).to_owned()).collect::<Vec<_>>())
            .map(|days| days.to_string())
    }

    #[test]
    fn days_are_named_one_by_one_or_in_runs() {
        assert_eq!(days(&["mon-fri"]).unwrap(), "mon, tue, wed, thu, fri");
        assert_eq!(days(&["sat-mon", "wed"]).unwrap(), "mon, wed, sat, sun");
        assert_eq!(days(&["sun"]).unwrap(), "sun");
        assert_eq!(days(&["mon-sun"]).unwrap(), "mon, tue, wed, thu, fri, sat, sun");
        for list in [&["monday"][..], &["mon-"], &["Mon"], &["mon..fri"], &[""], &[]] {
            assert!(days(list).is_err(), "{list:?}");
        }
    }

    #[test]
    fn times_of_day_are_read_and_written_back() {
        for text in ["00:00", "08:30", "23:59"] {
            assert_eq!(TimeOfDay::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in ["24:00", "8:00", "08:60", "08", "08:00:00", "+8:00", "", "٠٨:٠٠"] {
            assert!(TimeOfDay::try_from(text.to_owned()).unwrap_err().contains("23:59"), "{text}");
        }
    }

    #[test]
    fn a_zones_clocks_are_put_forward_and_back() {
        let amsterdam = Zone::try_from("Europe/Amsterdam".to_owned()).unwrap();
        for (seconds, weekday, minutes) in [
            (0, Weekday::Thursday, 60),
            // 2026-03-29, a Sunday: from 02:00 to 03:00.
            (1_774_745_940, Weekday::Sunday, 119),
            (1_774_746_000, Weekday::Sunday, 180),
            // 2026-10-25, a Sunday: from 03:00 back to 02:00.
            (1_792_889_940, Weekday::Sunday, 179),
            (1_792_890_000, Weekday::Sunday, 120),
        ] {
            assert_eq!(amsterdam.local(seconds), Some(LocalTime { weekday, minutes }), "{seconds}");
        }
        assert_eq!(amsterdam.local(u64::MAX), None);
    }

    #[test]
    fn what_is_no_zone_is_refused() {
        for text in ["", "Europe/Amsterdm", "/etc/passwd", "../../etc/passwd", "CET+1"] {
            assert!(Zone::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
