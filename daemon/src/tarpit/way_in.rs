//! The way in through a closed lane: two consecutive codes or a recovery code. How often it may be tried bounds what a guesser gains by it:
//! 3 an hour and 10 a day from one address, 10 a second for one account. Memory only, in tables of fixed size.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use twinlock_policy::bound::{WAY_IN_TRIES_A_PREFIX, WAY_IN_TRIES_A_SECOND};
use twinlock_policy::lane::LaneTime;
use twinlock_policy::{AccountId, Prefix, Source};

/// Pairs of account and address remembered at once, and as many accounts.
pub(super) const CAPACITY: usize = 16_384;

const SECOND: Duration = Duration::from_secs(1);

/// Tries of the way in.
pub(super) struct Ways(Mutex<Tables>);

struct Tables {
    by_address: Table<(AccountId, From)>,
    by_account: Table<AccountId>,
}

/// IPv4 /32, IPv6 /48; all sources without an address are one.
type From = Option<Prefix>;

struct Table<K> {
    capacity: usize,
    windows: HashMap<K, [Window; 2]>,
}

#[derive(Clone, Copy, Default)]
struct Window {
    began: LaneTime,
    tries: u32,
}

impl Window {
    fn count(&mut self, within: Duration, now: LaneTime) -> u32 {
        if now.since(self.began) >= within {
            *self = Self { began: now, tries: 0 };
        }
        self.tries
    }
}

impl Ways {
    pub(super) fn new(capacity: usize) -> Self {
        let tables = Tables {
            by_address: Table { capacity, windows: HashMap::new() },
            by_account: Table { capacity, windows: HashMap::new() },
        };
        Self(Mutex::new(tables))
    }

    /// Whether one more try may be made from there; if so, it is counted. A full table refuses newcomers until what it
    /// holds has run out: the owner waits, and nobody gains a guess.
    pub(super) fn try_one(&self, account: &AccountId, source: &Source, now: LaneTime) -> bool {
        let from =
            source.address().map(|address| Prefix::wide(address).unwrap_or_else(|| Prefix::of(address)));
        let mut tables = self.tables();
        let pair = (account.clone(), from);
        let by_address = tables.by_address.may(&pair, WAY_IN_TRIES_A_PREFIX, now);
        by_address && tables.by_account.may(account, [(WAY_IN_TRIES_A_SECOND, SECOND); 2], now) && {
            tables.by_address.note(&pair);
            tables.by_account.note(account);
            true
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Table<K> {
    fn may(&mut self, key: &K, limits: [(u32, Duration); 2], now: LaneTime) -> bool {
        if !self.windows.contains_key(key) {
            if self.windows.len() >= self.capacity {
                self.windows.retain(|_, windows| {
                    windows.iter().zip(limits).any(|(window, (_, within))| now.since(window.began) < within)
                });
            }
            if self.windows.len() >= self.capacity {
                return false;
            }
            self.windows.insert(key.clone(), [Window { began: now, tries: 0 }; 2]);
        }
        let Some(windows) = self.windows.get_mut(key) else { return false };
        let mut all = true;
        for (window, (most, within)) in windows.iter_mut().zip(limits) {
            all &= window.count(within, now) < most;
        }
        all
    }

    fn note(&mut self, key: &K) {
        for window in self.windows.get_mut(key).into_iter().flatten() {
            window.tries += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(86_400);
    const START: LaneTime = LaneTime(1_000_000);

    fn tries(ways: &Ways, account: &str, address: &str, times: usize, now: LaneTime) -> usize {
        let source = Source::Address(address.parse().unwrap());
        (0..times).filter(|_| ways.try_one(&AccountId::new(account), &source, now)).count()
    }

    #[test]
    fn three_an_hour_and_ten_a_day_from_one_address() {
        let ways = Ways::new(100);
        let total: usize =
            (0..24).map(|hour| tries(&ways, "alice", "192.0.2.1", 50, START.after(HOUR * hour))).sum();
        assert_eq!(total, 10);
        assert_eq!(tries(&ways, "alice", "192.0.2.1", 50, START.after(DAY)), 3);
        assert_eq!(tries(&ways, "alice", "192.0.2.2", 50, START.after(DAY + SECOND)), 3);
        assert_eq!(tries(&ways, "bob", "192.0.2.1", 50, START.after(DAY)), 3);
    }

    #[test]
    fn ten_a_second_for_the_account_from_however_many_addresses() {
        let ways = Ways::new(100_000);
        let at_once: usize = (0..200).map(|n| tries(&ways, "alice", &format!("192.0.2.{n}"), 3, START)).sum();
        assert_eq!(at_once, 10);
    }

    #[test]
    fn ipv6_is_counted_by_its_48() {
        let ways = Ways::new(100);
        let at_once: usize =
            (0..50).map(|n| tries(&ways, "alice", &format!("2001:db8:1:{n:x}::1"), 1, START)).sum();
        assert_eq!(at_once, 3);
    }

    #[test]
    fn a_full_table_grows_no_further_and_lets_nobody_try() {
        let ways = Ways::new(10);
        for n in 0..1000 {
            tries(&ways, &format!("account {n}"), "192.0.2.1", 1, START);
        }
        assert_eq!(ways.tables().by_address.windows.len(), 10);
        assert_eq!(tries(&ways, "alice", "192.0.2.1", 1, START), 0);
        assert_eq!(tries(&ways, "alice", "192.0.2.1", 1, START.after(DAY)), 1);
    }
}
