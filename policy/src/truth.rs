//! Three-valued conditions. What cannot be known (the directory is down, a file is missing) is neither true nor
//! false, and is never taken for either.

use serde::{Deserialize, Serialize};

/// A condition's value. `false and unknown` is false; `true or unknown` is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[must_use]
pub enum Truth {
    /// It does not hold.
    False,
    /// It cannot be told.
    Unknown,
    /// It holds.
    True,
}

impl Truth {
    /// Both hold.
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            (Self::Unknown, Self::Unknown | Self::True) | (Self::True, Self::Unknown) => Self::Unknown,
        }
    }

    /// At least one holds.
    pub const fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    /// The opposite holds.
    pub const fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }

    /// Whether any of `values` holds; false for none.
    pub fn any(values: impl IntoIterator<Item = Self>) -> Self {
        values.into_iter().fold(Self::False, Self::or)
    }

    /// Whether all of `values` hold; true for none.
    pub fn all(values: impl IntoIterator<Item = Self>) -> Self {
        values.into_iter().fold(Self::True, Self::and)
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{self, False, True, Unknown};

    #[test]
    fn false_and_unknown_is_false_and_true_or_unknown_is_true() {
        let values = [False, Unknown, True];
        for (left, row) in
            values.iter().zip([[False, False, False], [False, Unknown, Unknown], [False, Unknown, True]])
        {
            for (right, expected) in values.iter().zip(row) {
                assert_eq!(left.and(*right), expected, "{left:?} and {right:?}");
                assert_eq!(left.not().or(right.not()), expected.not(), "De Morgan of {left:?}, {right:?}");
            }
        }
        assert_eq!(Truth::any([]), False);
        assert_eq!(Truth::all([]), True);
    }
}
