//! Names with a meaning: made once at the edge, trusted inside.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes over `text` as it is.
            #[must_use]
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// An account's immutable id, with the directory it comes from: `main:6f1d…`. All state is keyed by it.
    AccountId
}
name! {
    /// A group's name as the directory spells it.
    GroupName
}
name! {
    /// A location's name in the configuration.
    LocationName
}
name! {
    /// A rule's name in the configuration.
    RuleName
}
name! {
    /// A PAM service's name, such as `sshd`.
    Service
}

impl GroupName {
    /// Whether both name the same group. Directories compare names of groups without regard to case, and so must rules:
    /// one that denies a group must not be passed over for a capital letter.
    #[must_use]
    pub fn names_the_same(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
            || (!self.0.is_ascii() && self.0.to_lowercase() == other.0.to_lowercase())
    }
}

impl Service {
    /// From `PAM_SERVICE`: at most 64 bytes of visible ASCII; anything else becomes a name that no rule can bear.
    #[must_use]
    pub fn from_pam(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text)
                if !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic()) =>
            {
                Self::new(text)
            }
            _ => Self::new("?"),
        }
    }
}

/// A user's name as typed, fit to be looked up: a label, never a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username(String);

/// Why bytes cannot be a user's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsernameError {
    /// Nothing was given.
    Empty,
    /// More than 256 bytes.
    TooLong,
    /// Not UTF-8.
    NotUtf8,
    /// A control character is in it.
    ControlCharacter,
}

impl Username {
    /// Longest name in bytes.
    pub const LONGEST: usize = 256;

    /// # Errors
    /// [`UsernameError`] for bytes that no directory entry can bear as a name.
    pub fn from_pam(bytes: &[u8]) -> Result<Self, UsernameError> {
        if bytes.is_empty() {
            return Err(UsernameError::Empty);
        }
        if bytes.len() > Self::LONGEST {
            return Err(UsernameError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| UsernameError::NotUtf8)?;
        if text.chars().any(char::is_control) {
            return Err(UsernameError::ControlCharacter);
        }
        Ok(Self(text.to_owned()))
    }

    /// As typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key under which memory-only hints about this spelling are kept: lower case.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_entry_can_bear_are_refused() {
        assert_eq!(Username::from_pam(b""), Err(UsernameError::Empty));
        assert_eq!(Username::from_pam(&[b'a'; 257]), Err(UsernameError::TooLong));
        assert_eq!(Username::from_pam(b"al\xffice"), Err(UsernameError::NotUtf8));
        assert_eq!(Username::from_pam(b"al\nice"), Err(UsernameError::ControlCharacter));
        assert_eq!(Username::from_pam("al\u{85}ice".as_bytes()), Err(UsernameError::ControlCharacter));
        assert_eq!(Username::from_pam("grüße".as_bytes()).unwrap().as_str(), "grüße");
    }

    #[test]
    fn a_group_is_the_same_in_every_case() {
        let same = |one: &str, other: &str| GroupName::new(one).names_the_same(&GroupName::new(other));
        assert!(same("Helpdesk", "HELPDESK") && same("Prüfung", "PRÜFUNG") && same("staff", "staff"));
        assert!(!same("Helpdesk", "Helpdesks") && !same("Prüfung", "Prufung"));
    }

    #[test]
    fn an_odd_service_matches_no_rule() {
        assert_eq!(Service::from_pam(b"sshd").as_str(), "sshd");
        assert_eq!(Service::from_pam(b"ss hd").as_str(), "?");
        assert_eq!(Service::from_pam(b"").as_str(), "?");
    }
}
