//! Which accounts the store knows of: whoever has an authenticator, recovery codes, a lock, or was let in from a place
//! that can be known. In pages, each read along indices, so that a long list does not keep logins waiting.

use super::writer::Room;
use super::{StoreError, sql_int, uint};
use crate::clock::WallTime;
use rusqlite::{Row, params};
use twinlock_control::UserRow;
use twinlock_policy::AccountId;

/// The page behind `after`, by id.
pub(super) fn page(
    room: &Room,
    after: Option<&AccountId>,
    most: u32,
    wall: WallTime,
) -> Result<Vec<UserRow>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(UserRow {
            id: row.get(0)?,
            account: row.get(1)?,
            authenticators: row.get(2)?,
            pending: row.get(3)?,
            recovery_codes_left: uint(row.get(4)?),
            disabled: row.get(5)?,
            last_used: row.get::<_, Option<i64>>(6)?.map(uint),
        })
    };
    let rows = room
        .db
        .prepare_cached(
            "WITH page (who) AS (\
             SELECT * FROM (SELECT DISTINCT account FROM authenticator WHERE account > ?1 ORDER BY account LIMIT ?2) UNION \
             SELECT * FROM (SELECT DISTINCT account FROM known WHERE account > ?1 ORDER BY account LIMIT ?2) UNION \
             SELECT * FROM (SELECT DISTINCT account FROM recovery_code WHERE account > ?1 ORDER BY account LIMIT ?2) UNION \
             SELECT * FROM (SELECT account FROM disabled WHERE account > ?1 ORDER BY account LIMIT ?2) \
             ORDER BY 1 LIMIT ?2) \
             SELECT who, \
             coalesce((SELECT name FROM known WHERE account = who ORDER BY last_used DESC LIMIT 1), \
             (SELECT name FROM authenticator WHERE account = who ORDER BY created DESC LIMIT 1), \
             (SELECT name FROM recovery_code WHERE account = who LIMIT 1), \
             (SELECT name FROM disabled WHERE account = who)), \
             (SELECT count(*) FROM authenticator WHERE account = who AND state = 'active'), \
             EXISTS (SELECT * FROM authenticator WHERE account = who AND state = 'pending'), \
             (SELECT count(*) FROM recovery_code WHERE account = who AND spent_by IS NULL), \
             EXISTS (SELECT * FROM disabled WHERE account = who AND (until IS NULL OR until > ?3)), \
             nullif(max(coalesce((SELECT max(last_used) FROM authenticator WHERE account = who), 0), \
             coalesce((SELECT max(last_used) FROM known WHERE account = who), 0), \
             coalesce((SELECT max(used) FROM recovery_code WHERE account = who), 0)), 0) \
             FROM page ORDER BY who",
        )?
        .query_map(params![after.map_or("", AccountId::as_str), most, sql_int(wall.0)], read)?
        .collect::<Result<_, _>>()?;
    Ok(rows)
}
