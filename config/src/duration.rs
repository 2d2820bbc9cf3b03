//! Lengths of time as the file writes them: `"250ms"`, `"30s"`, `"10m"`, `"4h"`, `"90d"`.

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;
use std::time::Duration;

/// A length of time with its unit, between 1 ms and 3650 days. There is no zero and no "unlimited".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Span(Duration);

impl Span {
    /// A span of `seconds`, for defaults.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The length itself.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const LONGEST_MS: u64 = 3650 * 86_400_000;

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let remedy =
            || "is not a length of time; write a whole number and ms, s, m, h or d, as in \"30s\"".to_owned();
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(remedy)?;
        let (number, unit) = text.split_at(digits);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(remedy)?;
        let number: u64 = number.parse().map_err(|_| remedy())?;
        match number.checked_mul(*factor) {
            Some(0) => Err("is a length of time of zero, which is not allowed here".into()),
            Some(ms) if ms <= LONGEST_MS => Ok(Self(Duration::from_millis(ms))),
            _ => Err("is longer than 3650 days".into()),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as \"30s\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                Span::try_from(text.to_owned()).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, factor) =
            UNITS.iter().rev().find(|(_, factor)| ms.is_multiple_of(*factor)).unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", ms / factor)
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_written_back() {
        for text in ["250ms", "30s", "10m", "4h", "90d"] {
            assert_eq!(Span::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        assert_eq!(Span::try_from("60s".to_owned()).unwrap(), Span::try_from("1m".to_owned()).unwrap());
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in ["", "30", "s", "-1s", "1.5h", "0s", "1 s", "99999999999999999999d", "4000d", "1w", "٣s"]
        {
            assert!(Span::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
