//! What was found lately. Two questions of one login, and a burst of logins of one name, cost one search. Verdicts
//! about passwords are never kept.

use super::{Account, lock};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;
use twinlock_policy::{AccountId, Username};

const FOUND: Duration = Duration::from_secs(5);
const NOT_FOUND: Duration = Duration::from_secs(2);

/// Most names kept; beyond that everything is forgotten and asked again.
const MOST: usize = 4096;

/// Names and what they were found to be.
#[derive(Default)]
pub(crate) struct Cache(Mutex<HashMap<Username, (Instant, Option<Account>)>>);

impl Cache {
    /// What is known of `name` at `now`.
    pub(crate) fn get(&self, name: &Username, now: Instant) -> Option<Option<Account>> {
        let names = lock(&self.0);
        let (until, found) = names.get(name)?;
        (now < *until).then(|| found.clone())
    }

    /// Forgets an account, by every name it was asked for.
    pub(crate) fn forget(&self, account: &AccountId) {
        lock(&self.0).retain(|_, (_, found)| found.as_ref().is_none_or(|found| found.id != *account));
    }

    /// Keeps what was found at `now`.
    pub(crate) fn put(&self, name: &Username, found: &Option<Account>, now: Instant) {
        let mut names = lock(&self.0);
        if names.len() >= MOST {
            names.retain(|_, (until, _)| now < *until);
        }
        if names.len() >= MOST {
            names.clear();
        }
        let until = now + if found.is_some() { FOUND } else { NOT_FOUND };
        names.insert(name.clone(), (until, found.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_forgotten_after_some_seconds_and_memory_is_bounded() {
        let (cache, now) = (Cache::default(), Instant::now());
        let name = |number: usize| Username::from_pam(format!("u{number}").as_bytes()).unwrap();
        cache.put(&name(0), &None, now);
        assert!(cache.get(&name(0), now + Duration::from_millis(1999)).is_some());
        assert!(cache.get(&name(0), now + NOT_FOUND).is_none());
        for number in 0..3 * MOST {
            cache.put(&name(number), &None, now);
        }
        assert!(lock(&cache.0).len() <= MOST);
    }
}
