//! The chance of a guessed code that an administrator accepts, as the file writes it: `"1%/year"`, `"0.25%/year"`.
//!
//! Kept as a whole number, so that what is written is what is compared with and shown.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A share above 0 % and up to 100 % of a year's certainty. There is no zero and no "unlimited".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GuessBudget {
    /// Millionths of a percent a year.
    millionths: u32,
}

/// Digits behind the point.
const PLACES: usize = 6;
const PERCENT: u32 = 1_000_000;

impl GuessBudget {
    /// Whole percents a year, for defaults: at most 100 of them.
    pub(crate) const fn percent(percent: u32) -> Self {
        Self { millionths: percent * PERCENT }
    }

    /// The budget as a chance from 0 to 1, for a year.
    #[must_use]
    pub fn chance(self) -> f64 {
        f64::from(self.millionths) / (100.0 * f64::from(PERCENT))
    }
}

impl TryFrom<String> for GuessBudget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let remedy =
            || "is no share of a year; write a number above 0, at most 100, as in \"1%/year\"".to_owned();
        let number = text.strip_suffix("%/year").ok_or_else(remedy)?;
        let (whole, behind) = number.split_once('.').map_or((number, None), |(w, b)| (w, Some(b)));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || behind.is_some_and(|behind| !digits(behind) || behind.len() > PLACES) {
            return Err(remedy());
        }
        let whole: u32 = whole.parse().map_err(|_| remedy())?;
        let behind: u32 =
            format!("{:0<PLACES$}", behind.unwrap_or_default()).parse().map_err(|_| remedy())?;
        match whole.checked_mul(PERCENT).and_then(|whole| whole.checked_add(behind)) {
            Some(millionths) if millionths > 0 && millionths <= 100 * PERCENT => Ok(Self { millionths }),
            _ => Err("must be above 0 and at most 100 percent; as in \"1%/year\"".into()),
        }
    }
}

impl fmt::Display for GuessBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, behind) = (self.millionths / PERCENT, self.millionths % PERCENT);
        let behind = format!("{behind:0PLACES$}");
        match behind.trim_end_matches('0') {
            "" => write!(f, "{whole}%/year"),
            behind => write!(f, "{whole}.{behind}%/year"),
        }
    }
}

impl From<GuessBudget> for String {
    fn from(budget: GuessBudget) -> Self {
        budget.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(text: &str) -> Result<GuessBudget, String> {
        GuessBudget::try_from(text.to_owned())
    }

    #[test]
    fn shares_are_read_and_written_back() {
        for text in ["1%/year", "0.25%/year", "100%/year", "0.000001%/year", "99.999999%/year", "10%/year"] {
            assert_eq!(budget(text).unwrap().to_string(), text);
        }
        assert_eq!(budget("1.50%/year").unwrap().to_string(), "1.5%/year");
        assert!((budget("1%/year").unwrap().chance() - 0.01).abs() < 1e-12);
        assert_eq!(budget("1%/year").unwrap(), GuessBudget::percent(1));
    }

    #[test]
    fn what_is_no_share_of_a_year_is_refused_with_its_remedy() {
        for text in [
            "",
            "1",
            "1%",
            "1/year",
            "%/year",
            ".5%/year",
            "1.%/year",
            "1.0000001%/year",
            "-1%/year",
            "+1%/year",
            "1e2%/year",
            "nan%/year",
            "inf%/year",
            "0%/year",
            "0.0%/year",
            "100.000001%/year",
            "101%/year",
            "4295%/year",
            "99999999999999999999%/year",
            "1 %/year",
            "1%/month",
            "١%/year",
            "1..5%/year",
        ] {
            assert!(budget(text).unwrap_err().contains("\"1%/year\""), "{text}");
        }
    }
}
