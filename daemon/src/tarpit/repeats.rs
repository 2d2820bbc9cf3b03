//! The same wrong password again: a client that retries by itself, a person who does not believe it. It is answered from
//! memory for ten minutes, without a second bind and without a second failure. Only a keyed hash is kept.

use super::keyed::Lately;
use twinlock_policy::{AccountId, Prefix, Source};
use twinlock_protocol::Secret;

/// Wrong passwords of the last ten minutes.
pub(super) struct Repeats(Lately);

impl Repeats {
    /// With a key of its own that leaves with the process.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Lately::new().map(Self)
    }

    /// Whether this password was found wrong for the account, from the same prefix, lately.
    pub(super) fn knows(&self, account: &AccountId, source: &Source, password: &Secret) -> bool {
        self.0.knows(&[account.as_str().as_bytes(), from(source).as_bytes(), password.expose()])
    }

    /// The directory has just said that it is wrong.
    pub(super) fn remember(&self, account: &AccountId, source: &Source, password: &Secret) {
        self.0.remember(&[account.as_str().as_bytes(), from(source).as_bytes(), password.expose()]);
    }
}

fn from(source: &Source) -> String {
    source.address().map_or_else(|| source.to_string(), |address| Prefix::of(address).to_string())
}

#[cfg(test)]
mod tests {
    use super::super::keyed::{CAPACITY, REMEMBERED};
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
        assert_eq!(repeats.0.len(), CAPACITY);
    }
}
