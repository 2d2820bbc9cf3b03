//! What bounds an account over all its lanes: wrong codes in its own lanes, failures without a success, and binds that
//! the directory may have counted. Counted in the transactions that charge and settle; open ones count too, so that
//! parallel attempts gain nothing.

use super::writer::Room;
use super::{StoreError, sql_int};
use crate::attempt::AttemptId;
use rusqlite::{OptionalExtension, params};
use twinlock_policy::bound::FURTHER_LANES;
use twinlock_policy::lane::{AccountLimits, LaneTime, STUBBORN};
use twinlock_policy::{AccountId, LaneKey};

/// Whether an attempt will bind the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindNeed {
    /// No password is asked.
    None,
    /// It is, and no code.
    Bare,
    /// Only after a right code or an invitation.
    AfterCode,
    /// The same; and without one if the account has no authenticator.
    AfterCodeIfAny,
}

/// What became of the bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// None was sent.
    NotSent,
    /// The password was right: the directory has forgotten its failures.
    Right,
    /// The password was wrong.
    Wrong,
    /// It was sent and not answered: the directory may have counted it.
    Unanswered,
}

/// What the account's budgets leave of a lane that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// All of it.
    All,
    /// One slot: the account's code budget is spent, and this lane has not had a wrong code yet.
    OneSlot,
    /// Only two codes.
    TwoCodes,
}

/// What the account's budgets leave of `lane`.
pub(super) fn left(
    room: &Room,
    account: &AccountId,
    lane: &LaneKey,
    limits: &AccountLimits,
    now: LaneTime,
) -> Result<Left, StoreError> {
    if *lane == LaneKey::Unfamiliar {
        let stubborn = failures(room, account)? >= STUBBORN;
        return Ok(if stubborn { Left::TwoCodes } else { Left::All });
    }
    let since = sql_int(now.0.saturating_sub(millis(limits.code_within)));
    let (wrong, here): (u32, u32) = room
        .db
        .prepare_cached(
            "SELECT count(*), count(*) FILTER (WHERE lane = ?2) FROM wrong_code WHERE account = ?1 AND at > ?3",
        )?
        .query_row(params![account.as_str(), lane.to_string(), since], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let open: u32 = room
        .db
        .prepare_cached(
            "SELECT count(*) FROM charge WHERE account = ?1 AND lane <> 'unfamiliar' AND guess = 1",
        )?
        .query_row([account.as_str()], |row| row.get(0))?;
    let spent = wrong + open;
    Ok(if spent < limits.code_failures {
        Left::All
    } else if here > 0 || spent >= limits.code_failures + FURTHER_LANES {
        Left::TwoCodes
    } else {
        Left::OneSlot
    })
}

fn failures(room: &Room, account: &AccountId) -> Result<u32, StoreError> {
    let failures: Option<u32> = room
        .db
        .prepare_cached("SELECT failures FROM account WHERE id = ?1")?
        .query_row([account.as_str()], |row| row.get(0))
        .optional()?;
    Ok(failures.unwrap_or(0))
}

/// Notes a settled failure: in the unfamiliar lane one more without a success, in a lane of its own a wrong code.
pub(super) fn failed(
    room: &Room,
    account: &str,
    lane: &str,
    wrong_code: bool,
    limits: &AccountLimits,
    now: LaneTime,
) -> Result<(), StoreError> {
    if lane == LaneKey::Unfamiliar.to_string() {
        room.db
            .prepare_cached(
                "INSERT INTO account VALUES (?1, 1) ON CONFLICT (id) DO UPDATE SET failures = failures + 1",
            )?
            .execute([account])?;
        return Ok(());
    }
    if !wrong_code {
        return Ok(());
    }
    let old = sql_int(now.0.saturating_sub(millis(limits.code_within)));
    room.db
        .prepare_cached("DELETE FROM wrong_code WHERE account = ?1 AND at <= ?2")?
        .execute(params![account, old])?;
    room.db
        .prepare_cached("INSERT INTO wrong_code (account, lane, at) VALUES (?1, ?2, ?3)")?
        .execute(params![account, lane, sql_int(now.0)])?;
    Ok(())
}

/// The account has met its rule, or an administrator has unlocked it.
pub(super) fn forgive(room: &Room, account: &AccountId) -> Result<(), StoreError> {
    room.db.prepare_cached("DELETE FROM account WHERE id = ?1")?.execute([account.as_str()])?;
    Ok(())
}

/// Whether another bind may be sent; if so, it is reserved for the attempt.
pub(super) fn reserve_bind(
    room: &Room,
    attempt: AttemptId,
    account: &AccountId,
    most: u32,
    limits: &AccountLimits,
    now: LaneTime,
) -> Result<bool, StoreError> {
    let old = sql_int(now.0.saturating_sub(millis(limits.bind_within)));
    room.db
        .prepare_cached("DELETE FROM bind WHERE account = ?1 AND at <= ?2 AND state <> 'open'")?
        .execute(params![account.as_str(), old])?;
    let standing: u32 = room
        .db
        .prepare_cached("SELECT count(*) FROM bind WHERE account = ?1")?
        .query_row([account.as_str()], |row| row.get(0))?;
    if standing >= most {
        return Ok(false);
    }
    room.db
        .prepare_cached("INSERT INTO bind (attempt, account, at, state) VALUES (?1, ?2, ?3, 'open')")?
        .execute(params![attempt.number().cast_signed(), account.as_str(), sql_int(now.0)])?;
    Ok(true)
}

/// Notes what became of the attempt's bind.
pub(super) fn settle_bind(
    room: &Room,
    attempt: AttemptId,
    account: &str,
    bind: Bind,
    now: LaneTime,
) -> Result<(), StoreError> {
    let attempt = attempt.number().cast_signed();
    let state = match bind {
        Bind::NotSent | Bind::Right => {
            room.db.prepare_cached("DELETE FROM bind WHERE attempt = ?1")?.execute([attempt])?;
            if bind == Bind::Right {
                room.db
                    .prepare_cached("DELETE FROM bind WHERE account = ?1 AND state = 'failed'")?
                    .execute([account])?;
            }
            return Ok(());
        }
        Bind::Wrong => "failed",
        Bind::Unanswered => "unanswered",
    };
    room.db.prepare_cached("UPDATE bind SET state = ?2, at = ?3 WHERE attempt = ?1")?.execute(params![
        attempt,
        state,
        sql_int(now.0)
    ])?;
    Ok(())
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
