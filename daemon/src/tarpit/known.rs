//! Known pairs in memory: by account for the lanes, by folded name for the gate, which may do no I/O. They mirror what
//! the store remembers: the same number an account, forgotten after the same time.

use crate::clock::WallTime;
use crate::store::{KNOWN_AT_MOST, KNOWN_FOR_S, KnownPair};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use twinlock_policy::{AccountId, Prefix, Username};

/// From where each account has met its rule.
#[derive(Default)]
pub(super) struct Known(RwLock<Table>);

#[derive(Default)]
struct Table {
    /// Last used last.
    pairs: HashMap<AccountId, Vec<(Prefix, WallTime)>>,
    names: HashMap<String, AccountId>,
}

impl Known {
    /// What the store remembers, in the order of last use.
    pub(super) fn new(pairs: &[KnownPair]) -> Self {
        let known = Self::default();
        for pair in pairs {
            known.learn(&pair.account, &pair.name, pair.prefix, pair.last_used);
        }
        known
    }

    /// The account has met its rule from there.
    pub(super) fn learn(&self, account: &AccountId, name: &Username, prefix: Prefix, wall: WallTime) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        table.names.insert(name.folded(), account.clone());
        let pairs = table.pairs.entry(account.clone()).or_default();
        pairs.retain(|(known, last_used)| *known != prefix && is_remembered(*last_used, wall));
        if pairs.len() >= KNOWN_AT_MOST {
            pairs.remove(0);
        }
        pairs.push((prefix, wall));
    }

    /// Whether the account has met its rule from there.
    pub(super) fn holds(&self, account: &AccountId, prefix: Prefix, wall: WallTime) -> bool {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.holds(account, prefix, wall)
    }

    /// The same for a name in the spelling it was last let in under.
    pub(super) fn holds_name(&self, name: &Username, prefix: Prefix, wall: WallTime) -> bool {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.names.get(&name.folded()).is_some_and(|account| table.holds(account, prefix, wall))
    }
}

impl Table {
    fn holds(&self, account: &AccountId, prefix: Prefix, wall: WallTime) -> bool {
        let mut pairs = self.pairs.get(account).into_iter().flatten();
        pairs.any(|(known, last_used)| *known == prefix && is_remembered(*last_used, wall))
    }
}

fn is_remembered(last_used: WallTime, wall: WallTime) -> bool {
    wall.0.saturating_sub(last_used.0) < KNOWN_FOR_S
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: WallTime = WallTime(1_800_000_000);

    fn prefix(n: u8) -> Prefix {
        Prefix::of(std::net::IpAddr::from([192, 0, 2, n]))
    }

    #[test]
    fn the_twenty_pairs_used_last_are_known_for_ninety_days() {
        let (known, alice) = (Known::default(), AccountId::new("main:alice"));
        let name = Username::from_pam(b"Alice").unwrap();
        for n in 0..25 {
            known.learn(&alice, &name, prefix(n), WallTime(START.0 + u64::from(n)));
        }
        let held = |wall| (0..25).filter(|n| known.holds(&alice, prefix(*n), wall)).collect::<Vec<u8>>();
        assert_eq!(held(WallTime(START.0 + 100)), (5..25).collect::<Vec<u8>>());
        assert_eq!(held(WallTime(START.0 + 90 * 86_400 + 10)), (11..25).collect::<Vec<u8>>());
        assert!(known.holds_name(&Username::from_pam(b"ALICE").unwrap(), prefix(24), START));
        assert!(!known.holds_name(&Username::from_pam(b"bob").unwrap(), prefix(24), START));
    }
}
