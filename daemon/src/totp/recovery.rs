//! Recovery codes: what one looks like, and where one may stand in what was typed. Form alone is told here; whether it
//! is a code of the account only the store knows.
//!
//! Sixteen characters of base32 (RFC 4648), 80 random bits, at least one of them a letter, so that no reading of digits
//! can ever mean one. People may leave out the dashes, put spaces in their stead, and type in either case.

use super::CodeTry;
use std::fmt;
use zeroize::Zeroizing;

/// Codes of a set.
pub const RECOVERY_CODES: usize = 10;

const CHARACTERS: usize = 16;
const GROUP: usize = 4;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A recovery code, or what has the form of one. Wiped when dropped, never shown by `Debug`.
pub struct RecoveryCode(Zeroizing<[u8; CHARACTERS]>);

/// A recovery code of the account that was found in what was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundRecovery {
    /// The store's number for it.
    pub id: i64,
    /// Whether it was used.
    pub spent: bool,
    /// Bytes it takes at the end of what was typed.
    pub length: usize,
}

impl RecoveryCode {
    /// A new one.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        loop {
            let mut code = Zeroizing::new([0; CHARACTERS]);
            getrandom::fill(code.as_mut_slice())?;
            for byte in code.iter_mut() {
                *byte = ALPHABET.get(usize::from(*byte % 32)).copied().unwrap_or(*byte);
            }
            if code.iter().any(u8::is_ascii_alphabetic) {
                return Ok(Self(code));
            }
        }
    }

    /// As it is compared: upper case, nothing between.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// As it is shown to people: four groups of four with dashes between.
    #[must_use]
    pub fn shown(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(CHARACTERS + CHARACTERS / GROUP));
        for (number, byte) in self.0.iter().enumerate() {
            if number > 0 && number % GROUP == 0 {
                text.push('-');
            }
            text.push(char::from(*byte));
        }
        text
    }

    /// What has the form of one at the end of `typed`, and how many bytes it takes there.
    fn ending(typed: &[u8]) -> Option<(Self, usize)> {
        let mut code = Zeroizing::new([0; CHARACTERS]);
        let mut places = code.iter_mut().rev();
        let mut place = places.next();
        let mut length = 0;
        for byte in typed.iter().rev() {
            let Some(room) = place else { break };
            length += 1;
            if is_separator(*byte) {
                place = Some(room);
                continue;
            }
            let upper = byte.to_ascii_uppercase();
            if !ALPHABET.contains(&upper) {
                return None;
            }
            *room = upper;
            place = places.next();
        }
        let complete = place.is_none();
        drop(places);
        (complete && code.iter().any(u8::is_ascii_alphabetic)).then_some((Self(code), length))
    }
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b' ')
}

impl CodeTry {
    /// What has the form of a recovery code, and how many bytes it takes at the end of what was typed. An answer to the
    /// question for the code must be nothing else.
    #[must_use]
    pub fn recovery_code(&self) -> Option<(RecoveryCode, usize)> {
        match self {
            Self::NotAsked => None,
            Self::Code(code) => {
                let (found, length) = RecoveryCode::ending(code.expose())?;
                let before = code.len().checked_sub(length).and_then(|end| code.expose().get(..end))?;
                before.iter().all(|byte| is_separator(*byte)).then_some((found, code.len()))
            }
            Self::Field(field) | Self::Behind(field) => RecoveryCode::ending(field.expose()),
        }
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinlock_protocol::Secret;

    fn code(typed: &str) -> Option<String> {
        read(&CodeTry::Code(Secret::copy_of(typed.as_bytes()))).map(|(code, _)| code)
    }

    fn field(typed: &str) -> Option<(String, usize)> {
        read(&CodeTry::Field(Secret::copy_of(typed.as_bytes())))
    }

    fn read(typed: &CodeTry) -> Option<(String, usize)> {
        let (code, length) = typed.recovery_code()?;
        Some((String::from_utf8(code.expose().to_vec()).unwrap(), length))
    }

    #[test]
    fn a_new_one_is_read_as_it_is_shown_and_as_people_type_it() {
        for _ in 0..100 {
            let new = RecoveryCode::random().unwrap();
            let shown = new.shown();
            let plain = String::from_utf8(new.expose().to_vec()).unwrap();
            assert_eq!((shown.len(), shown.matches('-').count()), (19, 3), "{}", *shown);
            for typed in [
                shown.to_string(),
                plain.clone(),
                shown.to_lowercase(),
                shown.replace('-', " "),
                format!(" {}  ", *shown),
            ] {
                assert_eq!(code(&typed), Some(plain.clone()), "{typed:?}");
                let behind = format!("pass-word{}", typed.trim());
                assert_eq!(field(&behind), Some((plain.clone(), typed.trim().len())), "{behind:?}");
            }
        }
        let (one, other) = (RecoveryCode::random().unwrap(), RecoveryCode::random().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(format!("{one:?}"), "RecoveryCode(..)");
    }

    #[test]
    fn what_has_another_form_is_none() {
        for typed in [
            "",
            "234567",
            "2345672345672345",
            "234567 234567-2345",
            "ABCD-EFGH-IJKL-MNO",
            "ABCD-EFGH-IJKL-MNO1",
            "ABCD-EFGH-IJKL-MNO0",
            "ABCD_EFGH_IJKL_MNOP",
            "ABCD-EFGH-IJKL-MNO\u{142}",
            "----------------",
        ] {
            assert_eq!(code(typed), None, "{typed:?}");
            assert_eq!(field(typed), None, "{typed:?}");
        }
        assert_eq!(code("xABCD-EFGH-IJKL-MNOP"), None, "an answer is the code and nothing else");
        assert_eq!(field("xABCD-EFGH-IJKL-MNOP"), Some(("ABCDEFGHIJKLMNOP".into(), 19)));
        assert!(CodeTry::NotAsked.recovery_code().is_none());
    }
}
