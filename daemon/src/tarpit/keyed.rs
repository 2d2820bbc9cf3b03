//! The keyed hash by which the tarpit remembers passwords without keeping them. Its key is made at the start and leaves
//! with the process.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What is kept in a password's stead.
pub(super) type Mark = [u8; 32];

/// A key of this process.
pub(super) struct Keyed(Zeroizing<[u8; 32]>);

impl Keyed {
    /// A random one.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    /// The mark of these parts, each with its length, so that no two lists share one.
    pub(super) fn mark(&self, parts: &[&[u8]]) -> Option<Mark> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).ok()?;
        for part in parts {
            mac.update(&u64::try_from(part.len()).ok()?.to_be_bytes());
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().into())
    }
}
