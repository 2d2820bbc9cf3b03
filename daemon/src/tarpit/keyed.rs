//! The keyed hash by which the tarpit remembers passwords without keeping them. Its key is made at the start and leaves
//! with the process.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// How long what [`Lately`] holds is remembered.
pub(super) const REMEMBERED: Duration = Duration::from_secs(600);
/// Marks that [`Lately`] holds at once; a full table remembers no more until some are forgotten.
pub(super) const CAPACITY: usize = 16_384;

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

/// Marks of the last ten minutes.
pub(super) struct Lately {
    keyed: Keyed,
    seen: Mutex<HashMap<Mark, Instant>>,
}

impl Lately {
    /// With a key of its own.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { keyed: Keyed::random()?, seen: Mutex::default() })
    }

    /// Whether these parts were remembered within the last ten minutes.
    pub(super) fn knows(&self, parts: &[&[u8]]) -> bool {
        let Some(mark) = self.keyed.mark(parts) else { return false };
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&mark).is_some_and(|at| at.elapsed() < REMEMBERED)
    }

    /// Remembers them from now on.
    pub(super) fn remember(&self, parts: &[&[u8]]) {
        let Some(mark) = self.keyed.mark(parts) else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= CAPACITY {
            seen.retain(|_, at| at.elapsed() < REMEMBERED);
        }
        if seen.len() < CAPACITY {
            seen.insert(mark, Instant::now());
        }
    }

    /// How many it holds, forgotten ones included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
