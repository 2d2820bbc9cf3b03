//! Prefix lanes as rows. The tarpit's table in memory decides; this is its copy for the next start, written behind it.

use super::writer::Room;
use super::{StoreError, sql_int, uint};
use rusqlite::{Row, params};
use twinlock_policy::Prefix;
use twinlock_policy::lane::{LaneTime, PrefixLane};

/// Writes what a lane has become, or that there is none any more.
pub(super) fn write(room: &Room, rows: &[(Prefix, Option<PrefixLane>)]) -> Result<(), StoreError> {
    for (prefix, lane) in rows {
        let prefix = prefix.to_string();
        let Some(lane) = lane else {
            room.db.prepare_cached("DELETE FROM prefix_lane WHERE prefix = ?1")?.execute([prefix])?;
            continue;
        };
        room.db
            .prepare_cached(
                "INSERT INTO prefix_lane VALUES (?1, ?2, ?3, ?4) ON CONFLICT (prefix) DO UPDATE SET \
                 failures = excluded.failures, began = excluded.began, not_before = excluded.not_before",
            )?
            .execute(params![prefix, lane.failures, sql_int(lane.began.0), sql_int(lane.not_before.0)])?;
    }
    Ok(())
}

/// All there are.
pub(super) fn all(room: &Room) -> Result<Vec<(Prefix, PrefixLane)>, StoreError> {
    let read = |row: &Row<'_>| {
        let lane = PrefixLane {
            failures: row.get(1)?,
            began: LaneTime(uint(row.get(2)?)),
            not_before: LaneTime(uint(row.get(3)?)),
        };
        Ok((row.get::<_, String>(0)?, lane))
    };
    let rows: Vec<(String, PrefixLane)> = room
        .db
        .prepare("SELECT prefix, failures, began, not_before FROM prefix_lane")?
        .query_map([], read)?
        .collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|(text, lane)| match Prefix::try_from(text) {
            Ok(prefix) => Ok((prefix, lane)),
            Err(_) => Err(StoreError::Damaged("the prefix of a prefix lane".into())),
        })
        .collect()
}
