//! Emergency passwords: what one looks like, and where one stands in what was typed. Twenty characters of base32 (RFC
//! 4648), 100 random bits, in five groups of four. Form alone is told here; only the store of emergency passwords knows
//! whether it is one.

use crate::dialogue::Answers;
use sha2::{Digest, Sha256};
use std::fmt;
use twinlock_policy::AccountId;
use twinlock_protocol::Secret;
use zeroize::Zeroizing;

const CHARACTERS: usize = 20;
const GROUP: usize = 4;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// An emergency password, or what has the form of one. Wiped when dropped, never shown by `Debug`.
pub struct EmergencyPassword(Zeroizing<[u8; CHARACTERS]>);

/// What is kept in an emergency password's stead.
pub(crate) type Mark = [u8; 32];

impl EmergencyPassword {
    /// A new one.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut characters = Zeroizing::new([0; CHARACTERS]);
        getrandom::fill(characters.as_mut_slice())?;
        for byte in characters.iter_mut() {
            *byte = ALPHABET.get(usize::from(*byte % 32)).copied().unwrap_or(*byte);
        }
        Ok(Self(characters))
    }

    /// As it is shown to people.
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

    /// As a typed password: one that is nobody's.
    #[must_use]
    pub fn to_secret(&self) -> Secret {
        Secret::copy_of(self.0.as_slice())
    }

    /// Its hash, bound to the account. 100 random bits need no key: nobody finds them by trying, and so nothing but its
    /// own file has to be there for one to work.
    pub(crate) fn mark(&self, account: &AccountId) -> Mark {
        let mut hash = Sha256::new();
        hash.update(b"twinlock emergency password 1\0");
        hash.update(self.0.as_slice());
        hash.update(account.as_str().as_bytes());
        hash.finalize().into()
    }

    /// What has the form of one at the beginning of `typed`, and what stands behind it.
    fn beginning(typed: &[u8]) -> Option<(Self, &[u8])> {
        let mut characters = Zeroizing::new([0; CHARACTERS]);
        let mut places = characters.iter_mut();
        let mut end = 0;
        for byte in typed {
            if matches!(byte, b'-' | b' ') {
                end += 1;
                continue;
            }
            let upper = byte.to_ascii_uppercase();
            let Some(place) = places.next() else { break };
            if !ALPHABET.contains(&upper) {
                return None;
            }
            *place = upper;
            end += 1;
        }
        let complete = places.next().is_none();
        let behind = typed.get(end..).unwrap_or_default();
        complete.then_some((Self(characters), behind))
    }

    /// What has the form of one in a person's answers, and the code beside it; empty if none was typed.
    #[must_use]
    pub fn among(answers: &Answers) -> Option<(Self, Secret)> {
        match answers {
            Answers::Separate { password: Some(typed), code } => {
                let (password, behind) = Self::beginning(typed.expose())?;
                behind.is_empty().then(|| (password, code.clone().unwrap_or_default()))
            }
            Answers::Field(typed) => {
                let (password, code) = Self::beginning(typed.expose())?;
                Some((password, Secret::copy_of(code)))
            }
            Answers::Separate { password: None, code: _ } | Answers::SshdMarker => None,
        }
    }
}

impl fmt::Debug for EmergencyPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmergencyPassword(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::copy_of(text.as_bytes())
    }

    fn read(answers: &Answers) -> Option<(String, String)> {
        let text = |secret: &Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
        EmergencyPassword::among(answers).map(|(password, code)| (text(&password.to_secret()), text(&code)))
    }

    #[test]
    fn one_is_read_as_it_is_shown_and_as_people_type_it_with_a_code_beside_or_behind_it() {
        let new = EmergencyPassword::random().unwrap();
        let shown = new.shown();
        let plain = shown.replace('-', "");
        assert_eq!((plain.len(), shown.len()), (20, 24));
        for typed in [shown.to_string(), plain.clone(), shown.to_lowercase(), shown.replace('-', " ")] {
            let separate = Answers::Separate { password: Some(secret(&typed)), code: Some(secret("123456")) };
            assert_eq!(read(&separate), Some((plain.clone(), "123456".into())), "{typed}");
            assert_eq!(
                read(&Answers::Field(secret(&typed))),
                Some((plain.clone(), String::new())),
                "{typed}"
            );
            let behind = Answers::Field(secret(&format!("{typed} 123456")));
            assert_eq!(read(&behind), Some((plain.clone(), "123456".into())), "{typed}");
        }
        assert_ne!(new.mark(&AccountId::new("main:a")), new.mark(&AccountId::new("main:b")));
        assert_eq!(format!("{new:?}"), "EmergencyPassword(..)");
    }

    #[test]
    fn what_has_another_form_is_none() {
        for typed in ["", "alice's password", "ABCD-EFGH-IJKL-MNOP-QRS", "ABCD-EFGH-IJKL-MNOP-QRS1"] {
            assert_eq!(read(&Answers::Field(secret(typed))), None, "{typed}");
        }
        let longer = Some(secret("ABCD-EFGH-IJKL-MNOP-QRST-U"));
        assert_eq!(read(&Answers::Separate { password: longer, code: None }), None);
        assert_eq!(read(&Answers::SshdMarker), None);
    }
}
