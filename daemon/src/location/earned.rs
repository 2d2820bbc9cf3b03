//! Earned places in memory: by account for the plan, by folded name for the questions, which may do no I/O. A copy of the
//! store's rows, read again whenever an account's change, so that no login waits for a commit to know where it is.

use crate::clock::WallTime;
use crate::store::{EarnedPlace, Evidence, Store, StoreError};
use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use twinlock_policy::{AccountId, Earned, EarnedBy, Prefix, Username};

/// What each account earned and was given.
#[derive(Default)]
pub(super) struct EarnedPlaces {
    table: RwLock<Table>,
    /// One reads the store and fills the table at a time, so that what is older never comes last.
    filling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Table {
    rows: HashMap<AccountId, Vec<EarnedPlace>>,
    /// Who was last let in under a spelling.
    names: HashMap<String, AccountId>,
}

impl EarnedPlaces {
    /// What the store remembers, in the order of last use.
    pub(super) fn new(rows: &[EarnedPlace]) -> Self {
        let mut table = Table::default();
        for row in rows {
            table.names.insert(row.spelling.clone(), row.account.clone());
            table.rows.entry(row.account.clone()).or_default().push(row.clone());
        }
        Self { table: RwLock::new(table), filling: tokio::sync::Mutex::default() }
    }

    /// Takes over what the store now has of an account; nothing of a copy that was put back and not accepted.
    ///
    /// # Errors
    /// The store cannot be read; then nothing is known of the account, and more is asked of it.
    pub(super) async fn refresh(&self, store: &Store, account: &AccountId) -> Result<(), StoreError> {
        let _alone = self.filling.lock().await;
        let read = store.earned_by(account).await;
        let mut table = self.write();
        match read {
            Ok(rows) if !rows.is_empty() && !store.is_restored() => {
                for row in rows.iter().rev() {
                    table.names.insert(row.spelling.clone(), account.clone());
                }
                table.rows.insert(account.clone(), rows);
                Ok(())
            }
            nothing => {
                table.rows.remove(account);
                table.names.retain(|_, whose| whose != account);
                nothing.map(drop)
            }
        }
    }

    /// The account that bears this name has been found: questions put to whoever types it rest on that account's places
    /// from now on, not on those of one that bore the name before.
    pub(super) fn bears(&self, name: &Username, account: &AccountId) {
        let folded = name.folded();
        if self.read().names.get(&folded).is_some_and(|whose| whose != account) {
            self.write().names.remove(&folded);
        }
    }

    /// What the account has at a prefix.
    pub(super) fn of_account(&self, account: &AccountId, prefix: Prefix, now: WallTime) -> Vec<Earned> {
        let table = self.read();
        table.rows.get(account).map(|rows| at(rows, prefix, now)).unwrap_or_default()
    }

    /// What whoever was last let in under the name has there.
    pub(super) fn of_name(&self, name: &Username, prefix: Prefix, now: WallTime) -> Vec<Earned> {
        let account = self.read().names.get(&name.folded()).cloned();
        account.map(|account| self.of_account(&account, prefix, now)).unwrap_or_default()
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An account's rows of one prefix, as the policy reads them.
pub(crate) fn at(rows: &[EarnedPlace], prefix: Prefix, now: WallTime) -> Vec<Earned> {
    let by_logins = |row: &&EarnedPlace| row.evidence == Evidence::Logins;
    let here = rows.iter().filter(by_logins).filter(|row| row.prefix == prefix);
    let last = here.map(|row| row.last_used).max();
    let newer: BTreeSet<Prefix> = rows
        .iter()
        .filter(by_logins)
        .filter(|row| Some(row.last_used) > last)
        .map(|row| row.prefix)
        .collect();
    let newer = u32::try_from(newer.len()).unwrap_or(u32::MAX);
    let stands = |row: &&EarnedPlace| row.prefix == prefix && row.until.is_none_or(|until| now < until);
    rows.iter()
        .filter(stands)
        .map(|row| Earned {
            service: row.service.clone(),
            by: match row.evidence {
                Evidence::Administrator => EarnedBy::Word,
                Evidence::Logins => EarnedBy::Logins {
                    logins: row.logins,
                    unused_s: now.0.saturating_sub(row.last_used.0),
                    newer,
                },
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinlock_policy::Service;

    const NOW: WallTime = WallTime(1_800_000_000);

    fn prefix(n: u8) -> Prefix {
        Prefix::of(std::net::IpAddr::from([192, 0, 2, n]))
    }

    fn row(account: &str, spelling: &str, n: u8, ago: u64) -> EarnedPlace {
        EarnedPlace {
            account: AccountId::new(account),
            prefix: prefix(n),
            service: Some(Service::new("sshd")),
            evidence: Evidence::Logins,
            spelling: spelling.into(),
            since: WallTime(0),
            last_used: WallTime(NOW.0 - ago),
            logins: 3,
            until: None,
        }
    }

    fn name(text: &str) -> Username {
        Username::from_pam(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_row_knows_how_many_other_prefixes_were_used_since() {
        let rows = [row("a", "a", 1, 50), row("a", "a", 2, 40), row("a", "a", 2, 30), row("a", "a", 3, 20)];
        let newer = |n| match at(&rows, prefix(n), NOW).as_slice() {
            [Earned { by: EarnedBy::Logins { newer, .. }, .. }, ..] => *newer,
            other => panic!("{other:?}"),
        };
        assert_eq!([newer(1), newer(2), newer(3)], [2, 1, 0]);
        assert!(at(&rows, prefix(4), NOW).is_empty());
    }

    #[test]
    fn an_administrators_row_counts_until_it_ends_and_does_not_push_others_out() {
        let mut given = row("a", "a", 2, 0);
        given.evidence = Evidence::Administrator;
        given.until = Some(NOW);
        let rows = [row("a", "a", 1, 50), given];
        assert!(at(&rows, prefix(2), NOW).is_empty());
        let by = |n, now| at(&rows, prefix(n), now).first().map(|earned| earned.by);
        assert_eq!(by(2, WallTime(NOW.0 - 1)), Some(EarnedBy::Word));
        assert_eq!(by(1, NOW), Some(EarnedBy::Logins { logins: 3, unused_s: 50, newer: 0 }));
    }

    /// A name that was somebody else's: the questions rest on who bore it, until its new bearer is found.
    #[test]
    fn a_name_leads_to_whoever_was_last_let_in_under_it_until_another_bears_it() {
        let places = EarnedPlaces::new(&[row("old", "alice", 1, 50), row("new", "ALICE@realm", 2, 20)]);
        assert_eq!(places.of_name(&name("Alice"), prefix(1), NOW).len(), 1);
        places.bears(&name("alice"), &AccountId::new("old"));
        assert_eq!(places.of_name(&name("alice"), prefix(1), NOW).len(), 1);
        places.bears(&name("alice"), &AccountId::new("new"));
        assert!(places.of_name(&name("alice"), prefix(1), NOW).is_empty());
        assert_eq!(places.of_account(&AccountId::new("old"), prefix(1), NOW).len(), 1);
    }
}
