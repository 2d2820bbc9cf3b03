//! What is kept of the wall clock from one run to the next: the highest time that was believed, how far the wall was
//! ahead of CLOCK_BOOTTIME in which boot, and whether it was not believed.

use super::writer::Room;
use super::{StoreError, sql_int, uint};
use crate::clock::{Anchor, Kept, Suspicion, WallTime, Why};
use rusqlite::{Row, params};

/// As it was last written.
pub(super) fn kept(room: &Room) -> Result<Kept, StoreError> {
    let sql =
        "SELECT wall, wall_boot, wall_offset, wall_offset_at, wall_suspect, wall_suspect_by FROM progress";
    Ok(room.db.query_row(sql, [], |row| {
        Ok(Kept { highest: highest(row)?, anchor: anchor(row)?, suspicion: suspicion(row)? })
    })?)
}

fn highest(row: &Row<'_>) -> rusqlite::Result<Option<WallTime>> {
    Ok(row.get::<_, Option<i64>>(0)?.map(|wall| WallTime(uint(wall))))
}

fn anchor(row: &Row<'_>) -> rusqlite::Result<Option<(String, Anchor)>> {
    let (boot, offset_ms, at_ms): (Option<String>, Option<i64>, Option<i64>) =
        (row.get(1)?, row.get(2)?, row.get(3)?);
    let anchor = offset_ms.zip(at_ms).map(|(offset_ms, at_ms)| Anchor { offset_ms, at_ms: uint(at_ms) });
    Ok(boot.zip(anchor))
}

fn suspicion(row: &Row<'_>) -> rusqlite::Result<Option<Suspicion>> {
    let Some(word) = row.get::<_, Option<String>>(4)? else { return Ok(None) };
    // A later version may know other reasons; that it is not believed counts all the same.
    let why = Why::of_word(&word).unwrap_or(Why::Parted);
    Ok(Some(Suspicion { why, by_s: row.get::<_, Option<i64>>(5)?.unwrap_or_default() }))
}

/// Writes it.
pub(super) fn keep(room: &Room, kept: &Kept) -> Result<(), StoreError> {
    let (boot, anchor) = kept.anchor.as_ref().map(|(boot, anchor)| (boot.as_str(), *anchor)).unzip();
    room.db
        .prepare_cached(
            "UPDATE progress SET wall = ?1, wall_boot = ?2, wall_offset = ?3, wall_offset_at = ?4, \
             wall_suspect = ?5, wall_suspect_by = ?6",
        )?
        .execute(params![
            kept.highest.map(|wall| sql_int(wall.0)),
            boot,
            anchor.map(|anchor| anchor.offset_ms),
            anchor.map(|anchor| sql_int(anchor.at_ms)),
            kept.suspicion.map(|suspicion| suspicion.why.word()),
            kept.suspicion.map(|suspicion| suspicion.by_s),
        ])?;
    Ok(())
}

/// Authenticators, `most` at most, whose used step is later than any that is accepted at `wall`: codes were used while the
/// clock was ahead. They take none until then, so that none of those works twice. Name, label, and when that is over.
pub(super) fn ahead(
    room: &Room,
    wall: WallTime,
    most: u32,
) -> Result<Vec<(String, String, WallTime)>, StoreError> {
    let rows = room
        .db
        .prepare_cached(
            "SELECT name, label, (used_step + 1) * step_s FROM authenticator \
             WHERE state = 'active' AND used_step > ?1 / step_s + ?2 ORDER BY name, label LIMIT ?3",
        )?
        .query_map(params![sql_int(wall.0), room.window_steps, most], |row| {
            Ok((row.get(0)?, row.get(1)?, WallTime(uint(row.get(2)?))))
        })?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}
