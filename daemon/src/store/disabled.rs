//! The administrator's lock: accounts that are let in by nothing, for ever or until a day. The charge reads it, so that
//! a denial counts as any other, and the settlement reads it again, so that nobody is let in once the lock is on disk.

use super::writer::Room;
use super::{StoreError, sql_int, uint};
use crate::clock::WallTime;
use rusqlite::{OptionalExtension, Row, params};
use twinlock_control::DisabledReport;
use twinlock_policy::{AccountId, Username};

/// A lock to be put on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLock {
    /// When it ends, seconds since 1970; `None` if it does not.
    pub until: Option<u64>,
    /// Why, for those who look at it later.
    pub reason: Option<String>,
    /// Who puts it on.
    pub by: String,
}

/// Whether the account is locked at that time.
pub(super) fn holds(room: &Room, account: &AccountId, wall: WallTime) -> Result<bool, StoreError> {
    Ok(of(room, account, wall)?.is_some())
}

/// The lock that is on the account at that time.
pub(super) fn of(
    room: &Room,
    account: &AccountId,
    wall: WallTime,
) -> Result<Option<DisabledReport>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(DisabledReport {
            since: uint(row.get(0)?),
            until: row.get::<_, Option<i64>>(1)?.map(uint),
            reason: row.get(2)?,
            by: row.get(3)?,
        })
    };
    Ok(room
        .db
        .prepare_cached(
            "SELECT since, until, reason, by FROM disabled WHERE account = ?1 AND (until IS NULL OR until > ?2)",
        )?
        .query_row(params![account.as_str(), sql_int(wall.0)], read)
        .optional()?)
}

/// Puts a lock on the account, in the stead of one that is there.
pub(super) fn disable(
    room: &Room,
    account: &AccountId,
    name: &Username,
    lock: &NewLock,
    wall: WallTime,
) -> Result<(), StoreError> {
    room.db
        .prepare_cached(
            "INSERT INTO disabled VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (account) DO UPDATE SET \
             name = excluded.name, since = excluded.since, until = excluded.until, reason = excluded.reason, \
             by = excluded.by",
        )?
        .execute(params![
            account.as_str(),
            name.as_str(),
            sql_int(wall.0),
            lock.until.map(sql_int),
            lock.reason,
            lock.by
        ])?;
    Ok(())
}

/// Takes it off. Tells whether one was on.
pub(super) fn enable(room: &Room, account: &AccountId, wall: WallTime) -> Result<bool, StoreError> {
    let was = holds(room, account, wall)?;
    room.db.prepare_cached("DELETE FROM disabled WHERE account = ?1")?.execute([account.as_str()])?;
    Ok(was)
}
