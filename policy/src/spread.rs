//! Spread attacks: few guesses at each of many accounts. Each lane alone sees little of it, so the failures of all
//! unfamiliar lanes are counted together; past a limit, unfamiliar places take two codes for a while. Known pairs, named
//! networks and consoles notice nothing.

use crate::lane::LaneTime;
use crate::names::AccountId;
use crate::source::Prefix;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use twinlock_config::SpreadLimit;

/// Failures of one prefix that count: a single stranger cannot raise the alarm for everybody.
pub const SPREAD_PER_PREFIX: usize = 5;

/// The failures of the last while, and until when they matter. Holds no more of them than the limit's number.
#[derive(Debug, Clone)]
pub struct Spread {
    failures: usize,
    accounts: usize,
    within: Duration,
    lasts: Duration,
    lately: VecDeque<(LaneTime, Option<Prefix>, AccountId)>,
    raised_until: LaneTime,
}

impl Spread {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(limit: &SpreadLimit) -> Self {
        let number = |count: u32| usize::try_from(count.max(1)).unwrap_or(usize::MAX);
        Self {
            failures: number(limit.failures),
            accounts: number(limit.accounts),
            within: limit.within.duration(),
            lasts: limit.lasts.duration(),
            lately: VecDeque::new(),
            raised_until: LaneTime::default(),
        }
    }

    /// Whether unfamiliar places take only two codes at `now`.
    #[must_use]
    pub fn is_raised(&self, now: LaneTime) -> bool {
        now < self.raised_until
    }

    /// Counts a settled failure of an existing account in its unfamiliar lane. Says whether it is the one that raises
    /// what unfamiliar places ask.
    #[must_use]
    pub fn failed(&mut self, account: &AccountId, prefix: Option<Prefix>, now: LaneTime) -> bool {
        while self.lately.front().is_some_and(|(at, ..)| now.since(*at) >= self.within) {
            self.lately.pop_front();
        }
        if self.lately.iter().filter(|(_, from, _)| *from == prefix).count() >= SPREAD_PER_PREFIX {
            return false;
        }
        if self.lately.len() >= self.failures {
            self.lately.pop_front();
        }
        self.lately.push_back((now, prefix, account.clone()));
        let accounts: BTreeSet<&AccountId> = self.lately.iter().map(|(.., account)| account).collect();
        if self.lately.len() < self.failures || accounts.len() < self.accounts {
            return false;
        }
        let news = !self.is_raised(now);
        self.raised_until = now.after(self.lasts);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(spread: &mut Spread, account: u32, address: u32, now: u64) -> bool {
        let prefix = Prefix::of(std::net::Ipv4Addr::from_bits(address).into());
        spread.failed(&AccountId::new(format!("main:{account}")), Some(prefix), LaneTime(now))
    }

    #[test]
    fn a_hundred_failures_over_twenty_accounts_raise_it_for_five_minutes() {
        let mut spread = Spread::new(&SpreadLimit::default());
        let raised: Vec<u32> =
            (0..100).filter(|n| fail(&mut spread, n % 20, *n, 1000 + u64::from(*n))).collect();
        assert_eq!(raised, [99]);
        assert!(spread.is_raised(LaneTime(300_000)));
        assert!(!spread.is_raised(LaneTime(1099 + 300_000)));
    }

    #[test]
    fn one_prefix_counts_five_times_and_few_accounts_do_not_count_as_spread() {
        let mut spread = Spread::new(&SpreadLimit::default());
        assert!(!(0..1000).any(|n| fail(&mut spread, n, 7, 1000)), "a single stranger");
        let mut spread = Spread::new(&SpreadLimit::default());
        assert!(!(0..1000).any(|n| fail(&mut spread, n % 19, n, 1000)), "nineteen accounts");
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count_and_no_more_is_kept_than_the_limit_needs() {
        let mut spread = Spread::new(&SpreadLimit::default());
        assert!(!(0..99).any(|n| fail(&mut spread, n, n, 1000)));
        assert!(!fail(&mut spread, 200, 200, 601_000), "ten minutes later");
        for n in 0..10_000 {
            let _ = fail(&mut spread, n, n, 700_000);
        }
        assert_eq!(spread.lately.len(), 100);
    }
}
