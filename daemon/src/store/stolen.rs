//! Right passwords behind wrong codes (DESIGN promises 4 and 12): the one diagnostic bind an account has until its next
//! success, how often its password was right without a code, and the mark of an account whose password looks stolen.
//! A signal and what follows from it; no bound on guessing rests on any of this.

use super::account::{self, Bind};
use super::writer::Room;
use super::{StoreError, earned, sql_int, uint};
use crate::attempt::AttemptId;
use crate::clock::{Now, WallTime};
use rusqlite::{OptionalExtension, params};
use std::time::Duration;
use twinlock_policy::AccountId;
use twinlock_policy::lane::{AccountLimits, LaneTime};

/// So many times within [`WITHIN`], without a success, and a password looks stolen.
const TIMES: u32 = 3;
const WITHIN: Duration = Duration::from_secs(600);

/// That somebody who knows an account's password was found trying to log in without a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StolenPassword {
    /// Times its password was right and the code wrong, from places it does not know; those that were recognised.
    pub tries: u32,
    /// When it was marked.
    pub since: WallTime,
    /// The last of those times.
    pub last: WallTime,
    /// Where that came from.
    pub last_from: String,
}

/// What one more right password behind a wrong code amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Suspicion {
    /// Nothing yet.
    Noted,
    /// From now on the password looks stolen: this many times.
    Begins {
        /// Within ten minutes.
        tries: u32,
    },
    /// It looked so before.
    GoesOn,
}

/// Takes the account's diagnostic bind, if it has one left and the bind budget has room for it beside what logins need
/// (a stranger's wrong code must not close anybody's door). It is written down as unanswered from the first, as of `latest`, the last moment it may be
/// sent: so neither a crash nor a settlement that fails can lose it.
pub(super) fn reserve(
    room: &mut Room,
    attempt: AttemptId,
    account: &AccountId,
    limits: &AccountLimits,
    now: Now,
    latest: LaneTime,
) -> Result<bool, StoreError> {
    room.see(now.lane);
    let used: bool = room
        .db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM diagnosed WHERE account = ?1)")?
        .query_row([account.as_str()], |row| row.get(0))?;
    if used || !account::reserve_bind(room, attempt, account, limits.diagnostic_binds(), limits, now.lane)? {
        return Ok(false);
    }
    account::settle_bind(room, attempt, account.as_str(), Bind::Unanswered, latest)?;
    room.db.prepare_cached("INSERT INTO diagnosed VALUES (?1)")?.execute([account.as_str()])?;
    Ok(true)
}

/// Notes what became of it. One that was certainly not sent is given back.
pub(super) fn settle(
    room: &mut Room,
    attempt: AttemptId,
    account: &AccountId,
    bind: Bind,
    now: Now,
) -> Result<(), StoreError> {
    room.see(now.lane);
    account::settle_bind(room, attempt, account.as_str(), bind, now.lane)?;
    if bind == Bind::NotSent {
        room.db.prepare_cached("DELETE FROM diagnosed WHERE account = ?1")?.execute([account.as_str()])?;
    }
    Ok(())
}

/// Counts a right password behind a wrong code from a place that the account does not know.
pub(super) fn suspect(
    room: &mut Room,
    account: &AccountId,
    from: &str,
    now: Now,
) -> Result<Suspicion, StoreError> {
    room.see(now.lane);
    let wall = sql_int(now.wall.0);
    let marked = room
        .db
        .prepare_cached(
            "UPDATE stolen_password SET tries = tries + 1, last = ?2, last_from = ?3 WHERE account = ?1",
        )?
        .execute(params![account.as_str(), wall, from])?;
    if marked > 0 {
        return Ok(Suspicion::GoesOn);
    }
    let old = now.lane.0.checked_sub(u64::try_from(WITHIN.as_millis()).unwrap_or(u64::MAX));
    if let Some(old) = old {
        room.db
            .prepare_cached("DELETE FROM right_password WHERE account = ?1 AND at <= ?2")?
            .execute(params![account.as_str(), sql_int(old)])?;
    }
    room.db
        .prepare_cached("INSERT INTO right_password (account, at) VALUES (?1, ?2)")?
        .execute(params![account.as_str(), sql_int(now.lane.0)])?;
    let tries: u32 = room
        .db
        .prepare_cached("SELECT count(*) FROM right_password WHERE account = ?1")?
        .query_row([account.as_str()], |row| row.get(0))?;
    if tries < TIMES {
        return Ok(Suspicion::Noted);
    }
    forget_tries(room, account)?;
    earned::withdraw(room, account)?;
    withdraw_trust(room, account, tries, from, now.wall)?;
    Ok(Suspicion::Begins { tries })
}

/// Withdraws what any place is trusted with: while the account is marked, none stands in for the code.
fn withdraw_trust(
    room: &Room,
    account: &AccountId,
    tries: u32,
    from: &str,
    wall: WallTime,
) -> Result<(), StoreError> {
    room.db.prepare_cached("INSERT INTO stolen_password VALUES (?1, ?2, ?3, ?3, ?4)")?.execute(params![
        account.as_str(),
        tries,
        sql_int(wall.0),
        from
    ])?;
    Ok(())
}

/// The mark, if the account's password looks stolen.
pub(super) fn of(room: &Room, account: &AccountId) -> Result<Option<StolenPassword>, StoreError> {
    let mark = room
        .db
        .prepare_cached("SELECT tries, since, last, last_from FROM stolen_password WHERE account = ?1")?
        .query_row([account.as_str()], |row| {
            Ok(StolenPassword {
                tries: row.get(0)?,
                since: WallTime(uint(row.get(1)?)),
                last: WallTime(uint(row.get(2)?)),
                last_from: row.get(3)?,
            })
        })
        .optional()?;
    Ok(mark)
}

/// The account has met a rule: it has its diagnostic bind again. With password and code, the mark ends too.
pub(super) fn succeeded(room: &Room, account: &AccountId, with_both: bool) -> Result<(), StoreError> {
    room.db.prepare_cached("DELETE FROM diagnosed WHERE account = ?1")?.execute([account.as_str()])?;
    if with_both { end(room, account) } else { forget_tries(room, account) }
}

/// Ends the mark, and forgets what would bring it back.
pub(super) fn end(room: &Room, account: &AccountId) -> Result<(), StoreError> {
    room.db.prepare_cached("DELETE FROM stolen_password WHERE account = ?1")?.execute([account.as_str()])?;
    forget_tries(room, account)
}

fn forget_tries(room: &Room, account: &AccountId) -> Result<(), StoreError> {
    room.db.prepare_cached("DELETE FROM right_password WHERE account = ?1")?.execute([account.as_str()])?;
    Ok(())
}
