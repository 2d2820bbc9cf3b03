//! The same wrong password again: a client that retries by itself, a person who does not believe it. It is answered from
//! memory for ten minutes, without a second bind and without a second failure. Only a keyed hash is kept.

use super::keyed::{Keyed, Mark};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use twinlock_policy::{AccountId, Prefix, Source};
use twinlock_protocol::Secret;

const REMEMBERED: Duration = Duration::from_secs(600);
/// Passwords remembered at once; a full table remembers no more until some are forgotten.
const CAPACITY: usize = 16_384;

/// Wrong passwords of the last ten minutes.
pub(super) struct Repeats {
    keyed: Keyed,
    seen: Mutex<HashMap<Mark, Instant>>,
}

impl Repeats {
    /// With a key of its own that leaves with the process.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { keyed: Keyed::random()?, seen: Mutex::default() })
    }

    /// Whether this password was found wrong for the account, from the same prefix, lately.
    pub(super) fn knows(&self, account: &AccountId, source: &Source, password: &Secret) -> bool {
        let Some(mark) = self.mark(account, source, password) else { return false };
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&mark).is_some_and(|at| at.elapsed() < REMEMBERED)
    }

    /// The directory has just said that it is wrong.
    pub(super) fn remember(&self, account: &AccountId, source: &Source, password: &Secret) {
        let Some(mark) = self.mark(account, source, password) else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= CAPACITY {
            seen.retain(|_, at| at.elapsed() < REMEMBERED);
        }
        if seen.len() < CAPACITY {
            seen.insert(mark, Instant::now());
        }
    }

    fn mark(&self, account: &AccountId, source: &Source, password: &Secret) -> Option<Mark> {
        let from =
            source.address().map_or_else(|| source.to_string(), |address| Prefix::of(address).to_string());
        self.keyed.mark(&[account.as_str().as_bytes(), from.as_bytes(), password.expose()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        Source::Address(address.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_wrong_password_of_the_same_account_and_prefix_is_known_for_ten_minutes() {
        let repeats = Repeats::new().unwrap();
        let (alice, home) = (AccountId::new("alice"), source("192.0.2.1"));
        let typo = Secret::copy_of(b"typo");
        repeats.remember(&alice, &home, &typo);
        assert!(repeats.knows(&alice, &home, &typo));
        assert!(!repeats.knows(&alice, &home, &Secret::copy_of(b"typo2")));
        assert!(!repeats.knows(&alice, &source("192.0.2.2"), &typo));
        assert!(!repeats.knows(&AccountId::new("bob"), &home, &typo));
        assert!(!repeats.knows(&alice, &Source::Local, &typo));
        tokio::time::advance(REMEMBERED).await;
        assert!(!repeats.knows(&alice, &home, &typo));
    }

    #[test]
    fn a_password_is_nowhere_in_it_and_its_size_is_bounded() {
        let repeats = Repeats::new().unwrap();
        for n in 0..CAPACITY + 100 {
            repeats.remember(
                &AccountId::new("alice"),
                &Source::Local,
                &Secret::new(n.to_be_bytes().to_vec()),
            );
        }
        assert_eq!(repeats.seen.lock().unwrap().len(), CAPACITY);
    }
}
