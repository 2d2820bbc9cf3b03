//! The key that seals seeds, and sealing itself: XChaCha20-Poly1305 with a random nonce, bound to the account and
//! the authenticator, so that a sealed seed is worthless in any other row.

use super::StoreError;
use crate::totp::{AuthenticatorId, Seed};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use std::fmt;
use twinlock_policy::AccountId;
use zeroize::Zeroizing;

const FORMAT: u8 = 1;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const CHECK: &[u8] = b"twinlock store";
/// What the recovery codes' key is bound to; no row and no check value is.
const RECOVERY: &[u8] = b"recovery\x01";

/// 32 random bytes. Wiped when dropped, never shown.
pub struct SealKey(Zeroizing<[u8; KEY_BYTES]>);

/// The bytes are no seal key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealKeyError;

impl fmt::Display for SealKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a seal key is 32 random bytes written as 64 hexadecimal digits; make one with `openssl rand -hex 32`",
        )
    }
}

impl std::error::Error for SealKeyError {}

impl SealKey {
    /// Reads 64 hexadecimal digits; white space around them, such as a file's last newline, is left out.
    ///
    /// # Errors
    /// [`SealKeyError`] for anything else, 32 equal bytes included.
    pub fn from_hex(text: &[u8]) -> Result<Self, SealKeyError> {
        let digits = text.trim_ascii();
        if digits.len() != 2 * KEY_BYTES {
            return Err(SealKeyError);
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let &[high, low] = pair else { return Err(SealKeyError) };
            *byte = nibble(high)? << 4 | nibble(low)?;
        }
        let first = key.first().copied();
        if key.iter().all(|byte| Some(*byte) == first) {
            return Err(SealKeyError);
        }
        Ok(Self(key))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0))
    }

    /// Seals a seed for the row of this account and authenticator.
    pub(super) fn seal(
        &self,
        account: &AccountId,
        id: AuthenticatorId,
        seed: &Seed,
    ) -> Result<Vec<u8>, StoreError> {
        self.seal_bytes(&row_binding(account, id), seed.expose())
    }

    /// Unseals the seed of that row, and of no other.
    pub(super) fn unseal(
        &self,
        account: &AccountId,
        id: AuthenticatorId,
        sealed: &[u8],
    ) -> Result<Seed, StoreError> {
        self.unseal_bytes(&row_binding(account, id), sealed)
            .and_then(|bytes| Seed::from_bytes(bytes).ok())
            .ok_or_else(|| StoreError::Unsealable { account: account.to_string() })
    }

    /// Bytes of the seed in a sealed one, from its length alone.
    pub(super) const fn seed_length(sealed: &[u8]) -> usize {
        sealed.len().saturating_sub(NONCE_BYTES + TAG_BYTES)
    }

    /// A value that only this key can have made: by it a wrong key is noticed when a store is opened.
    pub(super) fn check_value(&self, key_id: i64) -> Result<Vec<u8>, StoreError> {
        self.seal_bytes(&check_binding(key_id), CHECK)
    }

    /// Whether this key made that check value.
    pub(super) fn made(&self, key_id: i64, check_value: &[u8]) -> bool {
        self.unseal_bytes(&check_binding(key_id), check_value).is_some_and(|bytes| *bytes == CHECK)
    }

    /// Seals the key by which recovery codes are hashed: rotating the seal key seals it anew and changes no hash.
    pub(super) fn seal_recovery_key(&self, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.seal_bytes(RECOVERY, key)
    }

    /// Unseals it.
    pub(super) fn unseal_recovery_key(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.unseal_bytes(RECOVERY, sealed)
            .ok_or_else(|| StoreError::Damaged("the key of the recovery codes".into()))
    }

    fn seal_bytes(&self, binding: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| StoreError::NoRandom)?;
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: binding })
            .map_err(|_| StoreError::Damaged("a secret cannot be sealed".into()))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn unseal_bytes(&self, binding: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        self.cipher()
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: binding })
            .ok()
            .map(Zeroizing::new)
    }
}

/// Format, authenticator (of fixed length), account: no two rows have the same.
fn row_binding(account: &AccountId, id: AuthenticatorId) -> Vec<u8> {
    [&[FORMAT], id.0.to_be_bytes().as_slice(), account.as_str().as_bytes()].concat()
}

fn check_binding(key_id: i64) -> Vec<u8> {
    [b"check".as_slice(), &[FORMAT], &key_id.to_be_bytes()].concat()
}

const fn nibble(digit: u8) -> Result<u8, SealKeyError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(SealKeyError),
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

    #[test]
    fn a_key_is_read_with_the_newline_its_file_ends_in() {
        for text in [HEX.to_owned(), format!("{HEX}\n"), format!(" {HEX}\r\n")] {
            assert_eq!(*SealKey::from_hex(text.as_bytes()).unwrap().0, std::array::from_fn(|i| i as u8));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_remedy() {
        for text in ["", "00", &HEX[..62], &format!("{HEX}00"), &"g".repeat(64), &"0".repeat(64)] {
            let error = SealKey::from_hex(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("openssl rand -hex 32"), "{text}");
        }
    }

    #[test]
    fn a_sealed_seed_opens_in_its_own_row_only() {
        let key = SealKey::from_hex(HEX.as_bytes()).unwrap();
        let (alice, bob) = (AccountId::new("main:alice"), AccountId::new("main:bob"));
        let seed = Seed::random().unwrap();
        let sealed = key.seal(&alice, AuthenticatorId(7), &seed).unwrap();
        assert_eq!(key.unseal(&alice, AuthenticatorId(7), &sealed).unwrap().expose(), seed.expose());
        assert!(key.unseal(&bob, AuthenticatorId(7), &sealed).is_err());
        assert!(key.unseal(&alice, AuthenticatorId(8), &sealed).is_err());
        assert!(key.unseal(&alice, AuthenticatorId(7), &sealed[..20]).is_err());
        assert_ne!(sealed, key.seal(&alice, AuthenticatorId(7), &seed).unwrap());
        assert_eq!(format!("{key:?}"), "SealKey(..)");
    }
}
