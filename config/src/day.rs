//! A day as the file writes it: `"2026-12-24"`, in UTC.

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;

/// A day of the Gregorian calendar, from 1970 to 9999, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Day {
    year: u16,
    month: u8,
    day: u8,
}

const DAY_S: u64 = 86_400;

impl Day {
    /// When it is over, in seconds since 1970.
    #[must_use]
    pub fn end_s(self) -> u64 {
        let years = (1970..self.year).map(|year| if is_leap(year) { 366 } else { 365 });
        let months = (1..self.month).map(|month| u64::from(days_in(self.year, month)));
        (years.sum::<u64>() + months.sum::<u64>() + u64::from(self.day)) * DAY_S
    }
}

const fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let remedy = || "is no day; write year, month and day, as in \"2026-12-24\"".to_owned();
        let mut parts = text.split('-');
        let mut number = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u16>().ok())?
        };
        let (year, month, day) = (number(4), number(2), number(2));
        let (Some(year @ 1970..), Some(month @ 1..=12), Some(day), None) = (year, month, day, parts.next())
        else {
            return Err(remedy());
        };
        let (month, day) =
            (u8::try_from(month).map_err(|_| remedy())?, u8::try_from(day).map_err(|_| remedy())?);
        if !(1..=days_in(year, month)).contains(&day) {
            return Err(remedy());
        }
        Ok(Self { year, month, day })
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Day;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a day in quotes such as \"2026-12-24\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Day, E> {
                Day::try_from(text.to_owned()).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_with_its_last_second() {
        for (text, end) in [
            ("1970-01-01", 86_400),
            ("2000-02-28", 951_782_400),
            ("2000-02-29", 951_868_800),
            ("2024-12-31", 1_735_689_600),
            ("2100-02-28", 4_107_542_400),
        ] {
            let day = Day::try_from(text.to_owned()).unwrap();
            assert_eq!((day.end_s(), day.to_string().as_str()), (end, text));
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "2026",
            "2026-12",
            "2026-12-24-01",
            "2026-1-1",
            "26-12-24",
            "2026-13-01",
            "2026-00-10",
            "2026-11-31",
            "2026-02-29",
            "2100-02-29",
            "1969-12-31",
            "2026-12-00",
            "+026-12-24",
            "24.12.2026",
            "2026-12-24T00:00",
            "２026-12-24",
        ] {
            assert!(Day::try_from(text.to_owned()).unwrap_err().contains("\"2026-12-24\""), "{text}");
        }
    }
}
