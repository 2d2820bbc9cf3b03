//! One authenticator's codes: what they look like and which step one belongs to.

use super::Seed;
use crate::clock::WallTime;
use std::fmt;
use twinlock_config::{TotpAlgorithm, TotpSettings};

/// The number of a time step since 1970 (RFC 6238's T).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(pub u64);

/// What an authenticator is known by in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthenticatorId(pub i64);

/// An authenticator's name, such as `phone`: 1 to 64 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// The text cannot be a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelError;

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a label has 1 to 64 bytes and no control characters, as in \"phone\"")
    }
}

impl std::error::Error for LabelError {}

impl Label {
    /// # Errors
    /// [`LabelError`] for what cannot be a label.
    pub fn new(text: &str) -> Result<Self, LabelError> {
        if text.is_empty() || text.len() > 64 || text.chars().any(char::is_control) {
            return Err(LabelError);
        }
        Ok(Self(text.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an authenticator's codes are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    digits: u8,
    algorithm: TotpAlgorithm,
    step_s: u64,
}

/// No authenticator can have these parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParametersError;

impl fmt::Display for ParametersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("codes have 6 or 8 digits and steps of 15 to 300 whole seconds; see [totp]")
    }
}

impl std::error::Error for ParametersError {}

impl Parameters {
    /// `digits` 6 or 8; `step_s`, the length of a step in seconds, 15 to 300.
    ///
    /// # Errors
    /// [`ParametersError`] for anything else.
    pub fn new(digits: u8, algorithm: TotpAlgorithm, step_s: u64) -> Result<Self, ParametersError> {
        if !matches!(digits, 6 | 8) || !(15..=300).contains(&step_s) {
            return Err(ParametersError);
        }
        Ok(Self { digits, algorithm, step_s })
    }

    /// What `[totp]` says a new authenticator gets.
    ///
    /// # Errors
    /// [`ParametersError`] for what no authenticator can have.
    pub fn of_settings(settings: &TotpSettings) -> Result<Self, ParametersError> {
        let step = settings.step.duration();
        if step.subsec_nanos() != 0 {
            return Err(ParametersError);
        }
        Self::new(settings.digits, settings.algorithm, step.as_secs())
    }

    /// Digits of a code.
    #[must_use]
    pub const fn digits(&self) -> u8 {
        self.digits
    }

    /// The HMAC's hash.
    #[must_use]
    pub const fn algorithm(&self) -> TotpAlgorithm {
        self.algorithm
    }

    /// Length of a step in seconds.
    #[must_use]
    pub const fn step_s(&self) -> u64 {
        self.step_s
    }

    /// The hash's name, as in otpauth URIs.
    #[must_use]
    pub const fn algorithm_name(&self) -> &'static str {
        match self.algorithm {
            TotpAlgorithm::Sha1 => "SHA1",
            TotpAlgorithm::Sha256 => "SHA256",
            TotpAlgorithm::Sha512 => "SHA512",
        }
    }

    /// The hash of that name.
    #[must_use]
    pub fn algorithm_named(name: &str) -> Option<TotpAlgorithm> {
        match name {
            "SHA1" => Some(TotpAlgorithm::Sha1),
            "SHA256" => Some(TotpAlgorithm::Sha256),
            "SHA512" => Some(TotpAlgorithm::Sha512),
            _ => None,
        }
    }

    /// The step at `wall`.
    #[must_use]
    pub const fn step_at(&self, wall: WallTime) -> Step {
        Step(wall.0 / self.step_s)
    }

    /// The steps, newest first, of which `code` is the code: of `window_steps` either side of `wall`, all are
    /// compared, each in constant time. A code is exactly the ASCII digits.
    #[must_use]
    pub fn matching(&self, seed: &Seed, code: &[u8], wall: WallTime, window_steps: u8) -> Vec<Step> {
        let (now, window) = (self.step_at(wall).0, u64::from(window_steps));
        let codes = self.codes(seed);
        (now.saturating_sub(window)..=now.saturating_add(window))
            .rev()
            .filter(|step| self.is_code_of(&codes, code, *step))
            .map(Step)
            .collect()
    }

    /// The steps, newest first, of which the second half of `typed` is the code, while the first half is that of the
    /// step before. Both lie within `window_steps` either side of `wall`, and one step more to the past.
    #[must_use]
    pub fn matching_two(&self, seed: &Seed, typed: &[u8], wall: WallTime, window_steps: u8) -> Vec<Step> {
        let (now, window) = (self.step_at(wall).0, u64::from(window_steps));
        let Some((first, second)) = typed.split_at_checked(typed.len() / 2) else { return Vec::new() };
        let codes = self.codes(seed);
        (now.saturating_sub(window)..=now.saturating_add(window))
            .rev()
            .filter(|step| {
                let earlier =
                    step.checked_sub(1).is_some_and(|before| self.is_code_of(&codes, first, before));
                // Both are compared, whatever the first says.
                earlier & self.is_code_of(&codes, second, *step)
            })
            .map(Step)
            .collect()
    }

    fn is_code_of(&self, codes: &totp_rs::Totp, code: &[u8], step: u64) -> bool {
        if code.len() != usize::from(self.digits) || !code.iter().all(u8::is_ascii_digit) {
            return false;
        }
        let (Ok(code), Some(time)) = (std::str::from_utf8(code), step.checked_mul(self.step_s)) else {
            return false;
        };
        codes.check(code, time).is_some()
    }

    fn codes(&self, seed: &Seed) -> totp_rs::Totp {
        totp_rs::Builder::new()
            .with_algorithm(match self.algorithm {
                TotpAlgorithm::Sha1 => totp_rs::Algorithm::SHA1,
                TotpAlgorithm::Sha256 => totp_rs::Algorithm::SHA256,
                TotpAlgorithm::Sha512 => totp_rs::Algorithm::SHA512,
            })
            .with_digits(self.digits)
            .with_step_duration(self.step_s)
            .with_skew(0)
            .with_secret(seed.to_library())
            // Digits and step are checked by `new`; what the library would still refuse is a seed of less than 128
            // bits, and those are taken over from other software.
            .build_noncompliant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn matching(algorithm: TotpAlgorithm, seed: &[u8], code: &str, time: u64) -> Vec<Step> {
        let seed = Seed::from_bytes(Zeroizing::new(seed.to_vec())).unwrap();
        Parameters::new(8, algorithm, 30).unwrap().matching(&seed, code.as_bytes(), WallTime(time), 0)
    }

    #[test]
    fn every_code_of_rfc_6238_appendix_b_is_right_at_its_time_and_no_step_earlier() {
        let seed = b"1234567890123456789012345678901234567890123456789012345678901234";
        for (time, sha1, sha256, sha512) in [
            (59, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (1_111_111_111, "14050471", "67062674", "99943326"),
            (1_234_567_890, "89005924", "91819424", "93441116"),
            (2_000_000_000, "69279037", "90698825", "38618901"),
            (20_000_000_000, "65353130", "77737706", "47863826"),
        ] {
            for (algorithm, length, code) in [
                (TotpAlgorithm::Sha1, 20, sha1),
                (TotpAlgorithm::Sha256, 32, sha256),
                (TotpAlgorithm::Sha512, 64, sha512),
            ] {
                assert_eq!(matching(algorithm, &seed[..length], code, time), [Step(time / 30)], "{code}");
                assert_eq!(matching(algorithm, &seed[..length], code, time - 30), [], "{code}");
                let seed = Seed::from_bytes(Zeroizing::new(seed[..length].to_vec())).unwrap();
                let hits = |digits: usize, step_s, time| {
                    let parameters = Parameters::new(digits.try_into().unwrap(), algorithm, step_s).unwrap();
                    parameters.matching(&seed, &code.as_bytes()[8 - digits..], WallTime(time), 0)
                };
                assert_eq!(hits(6, 30, time), [Step(time / 30)], "six digits are the last of eight");
                assert_eq!(hits(8, 60, 2 * time), [Step(time / 30)], "a step twice as long");
                assert_eq!(hits(6, 60, 2 * time), [Step(time / 30)]);
            }
        }
    }

    #[test]
    fn spelling_variants_are_not_codes() {
        let seed = b"12345678901234567890";
        for code in [
            "+4287082",
            " 94287082",
            "94287082\n",
            "9428 7082",
            "９４２８７０８２",
            "4287082",
            "094287082",
            "",
        ] {
            assert_eq!(matching(TotpAlgorithm::Sha1, seed, code, 59), [], "{code:?}");
        }
    }

    #[test]
    fn the_window_is_one_step_either_side_and_no_more() {
        let seed = Seed::from_bytes(Zeroizing::new(b"12345678901234567890".to_vec())).unwrap();
        let parameters = Parameters::new(8, TotpAlgorithm::Sha1, 30).unwrap();
        let hits = |wall| parameters.matching(&seed, b"94287082", WallTime(wall), 1);
        assert_eq!(hits(29), [Step(1)]);
        assert_eq!(hits(30), [Step(1)]);
        assert_eq!(hits(89), [Step(1)]);
        assert_eq!(hits(90), []);
        assert_eq!(hits(0), [Step(1)]);
        assert_eq!(hits(u64::MAX), []);
    }

    #[test]
    fn parameters_outside_the_standard_are_refused() {
        for (digits, step_s) in [(5, 30), (7, 30), (10, 30), (6, 0), (6, 14), (6, 301)] {
            assert!(Parameters::new(digits, TotpAlgorithm::Sha1, step_s).is_err(), "{digits} {step_s}");
        }
        assert_eq!(Parameters::of_settings(&TotpSettings::default()).unwrap().digits(), 6);
    }
}
