//! Which account lanes are closed, over all accounts, and opening those of one: what `twinlock locks` and `twinlock
//! user unlock` do. Names are labels here, taken from wherever the account was last written down.

use super::writer::Room;
use super::{StoreError, account as budgets, lanes, sql_int, stolen, uint};
use crate::clock::Now;
use rusqlite::{Row, params};
use twinlock_policy::lane::{Lane, LaneLimits, LaneTime};
use twinlock_policy::{AccountId, LaneKey};

/// A lane that is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedLane {
    /// Whose.
    pub account: AccountId,
    /// What the account was called when it was enrolled or last let in; absent if it never was.
    pub name: Option<String>,
    /// Which.
    pub key: LaneKey,
    /// Its state.
    pub lane: Lane,
}

/// The lanes that are closed, the one that failed last first, `most` at most.
pub(super) fn closed(room: &Room, now: LaneTime, most: u32) -> Result<Vec<ClosedLane>, StoreError> {
    let read = |row: &Row<'_>| {
        let lane = Lane {
            failures: row.get(2)?,
            settled_at: LaneTime(uint(row.get(3)?)),
            not_before: LaneTime(uint(row.get(4)?)),
        };
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, lane, row.get(5)?))
    };
    let rows: Vec<(String, String, Lane, Option<String>)> = room
        .db
        .prepare_cached(
            "SELECT account, lane, failures, settled_at, not_before, coalesce(\
             (SELECT name FROM known WHERE account = lane.account ORDER BY last_used DESC LIMIT 1), \
             (SELECT name FROM authenticator WHERE account = lane.account ORDER BY created DESC LIMIT 1)) \
             FROM lane WHERE not_before > ?1 ORDER BY settled_at DESC, account, lane LIMIT ?2",
        )?
        .query_map(params![sql_int(now.0), most], read)?
        .collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|(account, key, lane, name)| {
            let key = LaneKey::parse(&key).ok_or_else(|| StoreError::Damaged("the key of a lane".into()))?;
            Ok(ClosedLane { account: AccountId::new(account), name, key, lane })
        })
        .collect()
}

/// Opens every lane of an account and forgets its failures. Returns those that were closed or had failures that still
/// counted. Its code budget and its count of failures without a success begin anew, and its password looks stolen no
/// more. Slots that are taken at the moment stay taken, and so do the binds that the directory may have counted.
pub(super) fn unlock(
    room: &mut Room,
    account: &AccountId,
    limits: &LaneLimits,
    now: Now,
) -> Result<Vec<(LaneKey, Lane)>, StoreError> {
    room.see(now.lane);
    let cleared = lanes(room, account, limits, now.lane)?;
    room.db.prepare_cached("DELETE FROM lane WHERE account = ?1")?.execute([account.as_str()])?;
    room.db.prepare_cached("DELETE FROM wrong_code WHERE account = ?1")?.execute([account.as_str()])?;
    budgets::forgive(room, account)?;
    stolen::end(room, account)?;
    Ok(cleared)
}
