//! Where the tarpit's time line goes on at a start. While the host runs on, it has run on as well: a restart, a crash
//! included, neither shortens nor stretches a wait. After a boot nobody can tell how much time has passed, so that it
//! goes on from the last time that was written.

use super::writer::Room;
use super::{StoreError, sql_int, uint};
use crate::clock::Boot;
use rusqlite::params;
use twinlock_policy::lane::LaneTime;

/// Sets the highest time seen to where the time line is now, and notes which boot that belongs to.
pub(super) fn time_line(room: &mut Room, boot: Option<&Boot>) -> Result<(), StoreError> {
    let (written, last_boot, at_boot): (i64, Option<String>, Option<i64>) =
        room.db.query_row("SELECT lane_time, boot, lane_time_at_boot FROM progress", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    room.see(LaneTime(uint(written)));
    let Some(boot) = boot else { return Ok(()) };
    let age = sql_int(boot.age_ms);
    if let Some(at_boot) = at_boot.filter(|_| last_boot.as_ref() == Some(&boot.id)) {
        room.see(LaneTime(uint(at_boot.saturating_add(age))));
        return Ok(());
    }
    room.db
        .prepare("UPDATE progress SET boot = ?1, lane_time_at_boot = ?2")?
        .execute(params![boot.id, written.saturating_sub(age)])?;
    Ok(())
}
