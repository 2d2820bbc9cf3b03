//! One password tried over many accounts: each account alone sees one guess. Recognised by a keyed hash in a table of
//! fixed size, and said once.

use super::keyed::{Keyed, Mark};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use twinlock_config::SpreadLimit;
use twinlock_policy::lane::LaneTime;
use twinlock_protocol::Secret;

/// Passwords looked at at once; a full table takes no more until some are forgotten.
const CAPACITY: usize = 4096;

/// Wrong passwords of the last while, and for whom each was tried.
pub(super) struct Sprays {
    keyed: Keyed,
    accounts: usize,
    within: Duration,
    seen: Mutex<HashMap<Mark, Seen>>,
}

struct Seen {
    began: LaneTime,
    names: HashSet<Mark>,
}

impl Sprays {
    /// With a key of its own that leaves with the process.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub(super) fn new(limit: &SpreadLimit) -> Result<Self, getrandom::Error> {
        let accounts = usize::try_from(limit.accounts.max(2)).unwrap_or(usize::MAX);
        Ok(Self {
            keyed: Keyed::random()?,
            accounts,
            within: limit.within.duration(),
            seen: Mutex::default(),
        })
    }

    /// Counts a password that was refused for `name`. Whether it has now been tried for as many names as make a spray.
    pub(super) fn tried(&self, name: &str, password: &Secret, now: LaneTime) -> bool {
        let (Some(mark), Some(name)) =
            (self.keyed.mark(&[password.expose()]), self.keyed.mark(&[name.as_bytes()]))
        else {
            return false;
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= CAPACITY && !seen.contains_key(&mark) {
            seen.retain(|_, entry| now.since(entry.began) < self.within);
            if seen.len() >= CAPACITY {
                return false;
            }
        }
        let entry = seen.entry(mark).or_insert_with(|| Seen { began: now, names: HashSet::new() });
        if now.since(entry.began) >= self.within {
            *entry = Seen { began: now, names: HashSet::new() };
        }
        entry.names.len() < self.accounts && entry.names.insert(name) && entry.names.len() == self.accounts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: LaneTime = LaneTime(1_000_000);

    fn sprays() -> Sprays {
        Sprays::new(&SpreadLimit::default()).unwrap()
    }

    #[test]
    fn a_password_tried_for_twenty_names_is_said_once_and_one_tried_for_nineteen_is_not() {
        let (sprays, password) = (sprays(), Secret::copy_of(b"Winter2026"));
        let said =
            (0..100).filter(|n| sprays.tried(&format!("user {n}"), &password, START)).collect::<Vec<u32>>();
        assert_eq!(said, [19]);
        let other = Secret::copy_of(b"Summer2026");
        assert!(!(0..1000).any(|n| sprays.tried(&format!("user {}", n % 19), &other, START)));
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count_and_the_table_is_bounded() {
        let (sprays, password) = (sprays(), Secret::copy_of(b"Winter2026"));
        for n in 0..19 {
            assert!(!sprays.tried(&format!("user {n}"), &password, START));
        }
        assert!(!sprays.tried("user 19", &password, START.after(Duration::from_secs(600))));
        for n in 0..CAPACITY * 2 {
            let _ = sprays.tried("alice", &Secret::new(n.to_be_bytes().to_vec()), START);
        }
        assert_eq!(sprays.seen.lock().unwrap().len(), CAPACITY);
    }
}
