//! The secret an authenticator shares with the daemon. It is wiped when dropped and shown once, in an otpauth URI.

use std::fmt;
use zeroize::Zeroizing;

/// Fewest and most bytes: RFC 4226 demands 128 bits; HMAC gains nothing beyond its block of 64 bytes.
const FEWEST: usize = 16;
/// Fewest that are taken over from other software: 80 bits, which google-authenticator made for years.
const FEWEST_TAKEN_OVER: usize = 10;
const MOST: usize = 64;
/// What RFC 4226 recommends for new ones: 160 bits.
const NEW: usize = 20;

/// A seed of 16 to 64 bytes; one that was taken over from other software has 10 at least.
pub struct Seed(Zeroizing<Vec<u8>>);

/// Why bytes cannot be a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedError {
    /// Something else than base32 (RFC 4648).
    NotBase32,
    /// Below 128 bits.
    TooShort,
    /// Beyond 512 bits.
    TooLong,
    /// The operating system has no random numbers to give.
    NoRandom,
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBase32 => {
                "the seed is not base32: it consists of the letters A to Z and the digits 2 to 7 only"
            }
            Self::TooShort => {
                "the seed is shorter than 128 bits (26 characters in base32), which RFC 4226 demands; \
                 enrol without --seed to get a new one"
            }
            Self::TooLong => "the seed is longer than 64 bytes (103 characters in base32)",
            Self::NoRandom => "the operating system has no random numbers to give; try again",
        })
    }
}

impl std::error::Error for SeedError {}

impl Seed {
    /// A new one of 160 bits.
    ///
    /// # Errors
    /// [`SeedError::NoRandom`].
    pub fn random() -> Result<Self, SeedError> {
        let mut bytes = Zeroizing::new(vec![0; NEW]);
        getrandom::fill(&mut bytes).map_err(|_| SeedError::NoRandom)?;
        Ok(Self(bytes))
    }

    /// One that was judged when it was enrolled or taken over.
    ///
    /// # Errors
    /// [`SeedError`] for a length outside 10 to 64.
    pub fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Result<Self, SeedError> {
        match bytes.len() {
            ..FEWEST_TAKEN_OVER => Err(SeedError::TooShort),
            FEWEST_TAKEN_OVER..=MOST => Ok(Self(bytes)),
            _ => Err(SeedError::TooLong),
        }
    }

    /// Whether `length` bytes are fewer than a new seed may have.
    #[must_use]
    pub const fn is_weak(length: usize) -> bool {
        length < FEWEST
    }

    /// Reads base32 as people hand it round: in either case, with spaces, with or without `=` at the end.
    ///
    /// # Errors
    /// [`SeedError`] for anything else, and for a length outside 16 to 64 bytes.
    pub fn from_base32(text: &str) -> Result<Self, SeedError> {
        let seed = Self::taken_over(text)?;
        if Self::is_weak(seed.0.len()) { Err(SeedError::TooShort) } else { Ok(seed) }
    }

    /// The same for a seed that other software made: 10 bytes are enough.
    ///
    /// # Errors
    /// [`SeedError`] for anything else, and for a length outside 10 to 64 bytes.
    pub fn taken_over(text: &str) -> Result<Self, SeedError> {
        let mut plain = Zeroizing::new(String::with_capacity(text.len()));
        plain.extend(text.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_uppercase()));
        let digits = plain.trim_end_matches('=');
        if matches!(digits.len() % 8, 1 | 3 | 6) {
            return Err(SeedError::NotBase32);
        }
        let secret = totp_rs::Secret::try_from_base32(digits).map_err(|_| SeedError::NotBase32)?;
        Self::from_bytes(Zeroizing::new(secret.as_bytes().to_vec()))
    }

    /// In base32, without padding.
    #[must_use]
    pub fn to_base32(&self) -> Zeroizing<String> {
        Zeroizing::new(self.to_library().to_base32())
    }

    /// The bytes. Whoever copies them wipes the copy.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn to_library(&self) -> totp_rs::Secret {
        totp_rs::Secret::new(self.0.as_slice().into())
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_read_as_people_hand_it_round() {
        let plain = Seed::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        assert_eq!(plain.expose(), b"12345678901234567890");
        for text in [
            "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ======",
            "  GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ ",
        ] {
            assert_eq!(Seed::from_base32(text).unwrap().expose(), plain.expose(), "{text}");
        }
        assert_eq!(plain.to_base32().as_str(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn what_is_no_seed_is_refused_with_a_reason() {
        for (text, error) in [
            ("", SeedError::TooShort),
            ("GEZDGNBVGY3TQOJQ", SeedError::TooShort),
            ("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1", SeedError::NotBase32),
            ("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQG", SeedError::NotBase32),
            ("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", SeedError::NotBase32),
            ("GEZDGNBVGY3TQOJQ\u{ff27}", SeedError::NotBase32),
        ] {
            assert_eq!(Seed::from_base32(text).unwrap_err(), error, "{text}");
        }
        assert_eq!(Seed::from_base32(&"A".repeat(104)).unwrap_err(), SeedError::TooLong);
    }

    #[test]
    fn new_seeds_differ_and_debug_shows_none() {
        let (one, other) = (Seed::random().unwrap(), Seed::random().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.expose().len(), 20);
        assert_eq!(format!("{one:?}"), "Seed(..)");
    }
}
