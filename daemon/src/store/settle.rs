//! How a charge ends: one transaction gives the slot back, spends or frees the step, counts the failure, learns the
//! place. It is on disk before anyone hears the verdict.

use super::account::{self, Bind};
use super::charge::{Charge, read_lane};
use super::writer::Room;
use super::{StoreError, disabled, earned, first, known, last_login, recovery, sql_int, stolen};
use crate::attempt::AttemptId;
use crate::clock::Now;
use crate::totp::{CodeProof, Shown};
use rusqlite::{OptionalExtension, params};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use twinlock_policy::lane::{AccountLimits, Jitter, LaneLimits, LaneTime};
use twinlock_policy::{AccountId, Prefix};

/// How an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It met its rule: its step is spent, its slot is given back, the shared lane is as it was.
    Granted {
        /// The pair that is known from now on, if this place can be.
        learn: Option<Prefix>,
    },
    /// A secret was wrong: one more failure in the lane.
    Failed,
    /// No secret was found wrong: the slot is given back without a trace, and the try of a reserved step or the recovery
    /// code too.
    Released,
}

/// Whether it could be settled so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Settled {
    /// It is, and on disk.
    Done,
    /// The step could not be spent any more: another attempt has. Deny. The slot was given back, nothing was learned.
    Conflict,
    /// An administrator has locked the account meanwhile. Deny. The slot was given back, nothing was learned.
    Disabled,
}

/// How a slot is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Failed,
    Released,
}

/// A charge whose attempt ended without a settlement that reached the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Orphan {
    pub(super) attempt: AttemptId,
    pub(super) limits: LaneLimits,
    pub(super) account_limits: AccountLimits,
    pub(super) ending: Ending,
}

/// Where dropped charges wait for the thread's next transaction. Bounded by the slots of all lanes, as charges are.
#[derive(Debug, Clone, Default)]
pub(super) struct Orphans(Arc<Mutex<Vec<Orphan>>>);

impl Orphans {
    pub(super) fn add(&self, orphan: Orphan) {
        self.lock().push(orphan);
    }

    pub(super) fn take(&self) -> Vec<Orphan> {
        std::mem::take(&mut *self.lock())
    }

    pub(super) fn give_back(&self, orphans: Vec<Orphan>) {
        self.lock().extend(orphans);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Orphan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The operation.
pub(super) fn settle(
    room: &mut Room,
    charge: &Charge,
    settlement: Settlement,
    bind: Bind,
    now: Now,
    jitter: Jitter,
) -> Result<Settled, StoreError> {
    room.see(now.lane);
    let ending = match settlement {
        Settlement::Failed => Ending::Failed,
        Settlement::Granted { .. } | Settlement::Released => Ending::Released,
    };
    let end = End { attempt: charge.attempt(), ending, bind, time: now.lane, jitter };
    if !end.write(room, charge.limits(), charge.account_limits())? {
        return Ok(Settled::Conflict);
    }
    let Settlement::Granted { learn } = settlement else {
        if let (Settlement::Released, Some(Shown::Recovery(id))) =
            (settlement, charge.proof().map(CodeProof::shown))
        {
            recovery::give_back(room, id, charge.attempt())?;
        }
        return Ok(Settled::Done);
    };
    if disabled::holds(room, charge.account(), now.wall)? {
        return Ok(Settled::Disabled);
    }
    if let Some(first) = charge.first()
        && !first::settle(room, charge, first, now.wall)?
    {
        return Ok(Settled::Conflict);
    }
    if !spend(room, charge, now)? {
        return Ok(Settled::Conflict);
    }
    account::forgive(room, charge.account())?;
    stolen::succeeded(room, charge.account(), bind == Bind::Right && charge.proof().is_some())?;
    if let Some(prefix) = learn {
        known::learn(room, charge.account(), charge.name(), prefix, now.wall)?;
    }
    // Both factors, proved in this very attempt; a login by waiver earns and renews nothing.
    if let Some(earn) = charge.earn().filter(|_| charge.proof().is_some() && bind == Bind::Right) {
        earned::earn(room, charge.account(), earn, now.wall)?;
    }
    Ok(Settled::Done)
}

/// Settles a charge that nobody else will. One that never reached the disk, or was settled after all, is left alone.
pub(super) fn adopt(room: &mut Room, orphan: &Orphan) -> Result<(), StoreError> {
    let (attempt, ending, time) = (orphan.attempt, orphan.ending, room.highest);
    // Nobody knows any more whether its bind was sent.
    let end = End { attempt, ending, bind: Bind::Unanswered, time, jitter: Jitter(0) };
    end.write(room, &orphan.limits, &orphan.account_limits).map(drop)
}

/// Settles as failures what was open when the daemon ended. Tells how many there were.
pub(super) fn crashed(
    room: &mut Room,
    limits: &LaneLimits,
    account_limits: &AccountLimits,
) -> Result<u64, StoreError> {
    let open: Vec<i64> = room
        .db
        .prepare("SELECT attempt FROM charge ORDER BY opened_at")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for attempt in &open {
        let attempt = AttemptId::from_number(attempt.cast_unsigned());
        let (limits, account_limits) = (*limits, *account_limits);
        adopt(room, &Orphan { attempt, limits, account_limits, ending: Ending::Failed })?;
    }
    Ok(u64::try_from(open.len()).unwrap_or(u64::MAX))
}

/// What is written when a charge ends.
struct End {
    attempt: AttemptId,
    ending: Ending,
    bind: Bind,
    time: LaneTime,
    jitter: Jitter,
}

impl End {
    /// Gives the slot back, and counts what is to be counted. `false` if there is no slot.
    fn write(
        &self,
        room: &Room,
        limits: &LaneLimits,
        account_limits: &AccountLimits,
    ) -> Result<bool, StoreError> {
        let attempt = self.attempt.number().cast_signed();
        let slot: Option<(String, String, bool)> = room
            .db
            .prepare_cached("DELETE FROM charge WHERE attempt = ?1 RETURNING account, lane, guess")?
            .query_row([attempt], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((account, lane, guess)) = slot else { return Ok(false) };
        let given_back = i64::from(self.ending == Ending::Released);
        room.db
            .prepare_cached(
                "UPDATE reservation SET open_attempt = NULL, tries = tries - ?2 WHERE open_attempt = ?1",
            )?
            .execute([attempt, given_back])?;
        account::settle_bind(room, self.attempt, &account, self.bind, self.time)?;
        if self.ending == Ending::Failed {
            self.count(room, &AccountId::new(account.as_str()), &lane, limits)?;
            account::failed(room, &account, &lane, guess, account_limits, self.time)?;
            last_login::failed(room, &account)?;
        }
        Ok(true)
    }

    fn count(
        &self,
        room: &Room,
        account: &AccountId,
        lane: &str,
        limits: &LaneLimits,
    ) -> Result<(), StoreError> {
        let failed = read_lane(room, account, lane)?.failed(limits, self.time, self.jitter);
        room.db
            .prepare_cached(
                "INSERT INTO lane VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (account, lane) DO UPDATE SET \
                 failures = excluded.failures, settled_at = excluded.settled_at, \
                 not_before = excluded.not_before",
            )?
            .execute(params![
                account.as_str(),
                lane,
                failed.failures,
                sql_int(failed.settled_at.0),
                sql_int(failed.not_before.0)
            ])?;
        Ok(())
    }
}

/// Spends the step of a right code, and with it every older one. `false` if another attempt has spent it, or if the
/// authenticator or the recovery code is gone.
fn spend(room: &Room, charge: &Charge, now: Now) -> Result<bool, StoreError> {
    let Some(proof) = charge.proof() else { return Ok(true) };
    let (authenticator, step) = match proof.shown() {
        Shown::Step { authenticator, step } => (authenticator, step),
        Shown::Recovery(id) => return recovery::granted(room, id, charge.attempt(), now.wall),
    };
    let floor = sql_int(step.0);
    // A step that the charge itself has spent is at or below the used step already.
    let written = room
        .db
        .prepare_cached(
            "UPDATE authenticator SET used_step = max(used_step, ?2), last_used = ?3 \
             WHERE id = ?1 AND state = 'active' AND (?4 OR used_step < ?2)",
        )?
        .execute(params![authenticator.0, floor, sql_int(now.wall.0), charge.spent()])?;
    Ok(written == 1)
}
