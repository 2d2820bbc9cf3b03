//! Emergency passwords, in a file of their own beside the state: what lets people in while everything else is down must
//! need nothing else. They are read into memory at the start; each is good once, decided by the result of a write that is
//! on disk before anybody hears of it.

use super::file::{self, Lock};
use super::{StoreError, sql_int, uint};
use crate::attempt::AttemptId;
use crate::clock::WallTime;
use crate::directory::Account;
use crate::emergency::{EmergencyPassword, Mark};
use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use twinlock_control::EmergencyReport;
use twinlock_policy::{AccountId, Username};

/// "TWLE": the file is one of ours.
const APPLICATION: i64 = 0x5457_4c45;
/// Most that an account has unused.
pub const EMERGENCY_AT_MOST: u32 = 20;
/// Most that are kept at all, used ones included; of those the oldest make room.
const KEPT: u32 = 2000;

const TABLES: &str = r"
CREATE TABLE emergency (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    names TEXT NOT NULL,
    mark BLOB NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    by TEXT NOT NULL,
    used INTEGER
) STRICT;
";

/// The store of emergency passwords. Cloning shares it.
#[derive(Clone)]
pub struct Emergency(Arc<Inner>);

struct Inner {
    file: Mutex<Connection>,
    unused: Mutex<Vec<Unused>>,
    _lock: Lock,
}

/// A password that was not used yet.
#[derive(Clone)]
struct Unused {
    id: i64,
    account: AccountId,
    /// What the directory called the account when it was made.
    name: Username,
    names: Vec<Username>,
    mark: Mark,
}

/// A right emergency password that was not spent yet.
pub struct Found(Unused);

impl Found {
    /// Whose.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.0.account
    }

    /// What the directory called the account when it was made.
    #[must_use]
    pub const fn name(&self) -> &Username {
        &self.0.name
    }

    /// Every name it bore then.
    #[must_use]
    pub fn names(&self) -> &[Username] {
        &self.0.names
    }
}

/// That an attempt spent a right emergency password: that it is spent is on disk. Not `Clone`.
#[derive(Debug)]
pub struct EmergencyProof {
    attempt: AttemptId,
    account: AccountId,
    left: u32,
}

impl EmergencyProof {
    /// The attempt that spent it.
    #[must_use]
    pub const fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// Whose it was.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// How many the account has left.
    #[must_use]
    pub const fn left(&self) -> u32 {
        self.left
    }
}

impl Emergency {
    /// Opens the file, making it (mode 0600) where there is none. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Open`], naming path and remedy.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let (db, lock) = file::open_apart(path, APPLICATION, TABLES)?;
        let unused = read_unused(&db)?;
        Ok(Self(Arc::new(Inner { file: Mutex::new(db), unused: Mutex::new(unused), _lock: lock })))
    }

    /// Whether this is an unused password of the account that bore this name; from memory alone.
    #[must_use]
    pub fn find(&self, name: &Username, password: &EmergencyPassword) -> Option<Found> {
        let folded = name.folded();
        let unused = guard(&self.0.unused);
        let mut of_name = unused.iter().filter(|one| one.names.iter().any(|name| name.folded() == folded));
        of_name.find(|one| one.mark == password.mark(&one.account)).cloned().map(Found)
    }

    /// Spends it; `None` if it was spent or revoked meanwhile.
    ///
    /// # Errors
    /// It is not spent, and nobody may be let in.
    pub async fn spend(
        &self,
        attempt: AttemptId,
        found: Found,
        wall: WallTime,
    ) -> Result<Option<EmergencyProof>, StoreError> {
        self.call(move |db, unused| {
            let written = db.execute(
                "UPDATE emergency SET used = ?2 WHERE id = ?1 AND used IS NULL",
                params![found.0.id, sql_int(wall.0)],
            )?;
            unused.retain(|one| one.id != found.0.id);
            let account = found.0.account;
            let left = unused.iter().filter(|one| one.account == account).count();
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            Ok((written == 1).then_some(EmergencyProof { attempt, account, left }))
        })
        .await
    }

    /// Makes `count` passwords for each of the accounts, or none at all.
    ///
    /// # Errors
    /// [`StoreError::TooManyEmergency`], or a failure.
    pub async fn create(
        &self,
        accounts: Vec<Account>,
        count: u32,
        by: String,
        wall: WallTime,
    ) -> Result<Vec<(Account, Vec<EmergencyPassword>)>, StoreError> {
        self.call(move |db, unused| {
            let transaction = db.transaction()?;
            let mut made = Vec::new();
            for account in accounts {
                let passwords = create(&transaction, &account, count, &by, wall)?;
                made.push((account, passwords));
            }
            transaction.execute(
                "DELETE FROM emergency WHERE used IS NOT NULL AND id IN \
                 (SELECT id FROM emergency ORDER BY used IS NULL DESC, id DESC LIMIT -1 OFFSET ?1)",
                [KEPT],
            )?;
            transaction.commit()?;
            *unused = read_unused(db)?;
            Ok(made)
        })
        .await
    }

    /// Those of each account: how many are unused, and what became of the others.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn list(&self) -> Result<Vec<EmergencyReport>, StoreError> {
        self.call(|db, _| {
            let reports = db
                .prepare(
                    "SELECT name, account, count(*) FILTER (WHERE used IS NULL), \
                     count(*) FILTER (WHERE used IS NOT NULL), max(created), max(used) FROM emergency \
                     GROUP BY account ORDER BY name, account",
                )?
                .query_map([], |row| {
                    Ok(EmergencyReport {
                        account: row.get(0)?,
                        id: row.get(1)?,
                        unused: row.get(2)?,
                        used: row.get(3)?,
                        created: uint(row.get(4)?),
                        last_used: row.get::<_, Option<i64>>(5)?.map(uint),
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(reports)
        })
        .await
    }

    /// Makes the unused passwords of an account worth nothing. Tells how many there were.
    ///
    /// # Errors
    /// They are as they were.
    pub async fn revoke(&self, account: &AccountId) -> Result<u32, StoreError> {
        let account = account.clone();
        self.call(move |db, unused| {
            let gone =
                db.execute("DELETE FROM emergency WHERE account = ?1 AND used IS NULL", [account.as_str()])?;
            unused.retain(|one| one.account != account);
            Ok(u32::try_from(gone).unwrap_or(u32::MAX))
        })
        .await
    }

    /// Makes every unused password worth nothing. Tells how many there were.
    ///
    /// # Errors
    /// They are as they were.
    pub async fn revoke_all(&self) -> Result<u32, StoreError> {
        self.call(|db, unused| {
            let gone = db.execute("DELETE FROM emergency WHERE used IS NULL", [])?;
            unused.clear();
            Ok(u32::try_from(gone).unwrap_or(u32::MAX))
        })
        .await
    }

    /// The accounts with unused passwords that bore this name when they were made: the directory is not asked.
    #[must_use]
    pub fn named(&self, name: &Username) -> Vec<(AccountId, Username)> {
        let folded = name.folded();
        let unused = guard(&self.0.unused);
        let of_name = unused.iter().filter(|one| one.names.iter().any(|name| name.folded() == folded));
        let mut accounts: Vec<_> = of_name.map(|one| (one.account.clone(), one.name.clone())).collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        guard(&self.0.file)
    }

    /// Runs `work` off the async threads, alone.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection, &mut Vec<Unused>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let mut db = guard(&inner.file);
            // A copy, so that look-ups never wait for the disk.
            let mut unused = guard(&inner.unused).clone();
            let result = work(&mut db, &mut unused);
            if result.is_ok() {
                *guard(&inner.unused) = unused;
            }
            result
        });
        done.await.unwrap_or(Err(StoreError::Stopped))
    }
}

fn create(
    db: &Connection,
    account: &Account,
    count: u32,
    by: &str,
    wall: WallTime,
) -> Result<Vec<EmergencyPassword>, StoreError> {
    let has: u32 = db.query_row(
        "SELECT count(*) FROM emergency WHERE account = ?1 AND used IS NULL",
        [account.id.as_str()],
        |row| row.get(0),
    )?;
    let all: u32 = db.query_row("SELECT count(*) FROM emergency WHERE used IS NULL", [], |row| row.get(0))?;
    if has.saturating_add(count) > EMERGENCY_AT_MOST || all.saturating_add(count) > KEPT {
        return Err(StoreError::TooManyEmergency);
    }
    // No name holds a newline.
    let names = account.names.iter().map(Username::as_str).collect::<Vec<_>>().join("\n");
    (0..count)
        .map(|_| {
            let password = EmergencyPassword::random().map_err(|_| StoreError::NoRandom)?;
            db.execute(
                "INSERT INTO emergency (account, name, names, mark, created, by) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    account.id.as_str(),
                    account.name.as_str(),
                    names,
                    password.mark(&account.id),
                    sql_int(wall.0),
                    by
                ],
            )?;
            Ok(password)
        })
        .collect()
}

fn read_unused(db: &Connection) -> Result<Vec<Unused>, StoreError> {
    let damaged = |_| StoreError::Damaged("the name of an emergency password's account".into());
    let rows: Vec<(i64, String, String, String, Mark)> = db
        .prepare("SELECT id, account, name, names, mark FROM emergency WHERE used IS NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
        .collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|(id, account, name, names, mark)| {
            let read = |name: &str| Username::from_pam(name.as_bytes()).map_err(damaged);
            let names = names.split('\n').map(read).collect::<Result<_, _>>()?;
            Ok(Unused { id, account: AccountId::new(account), name: read(&name)?, names, mark })
        })
        .collect()
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
