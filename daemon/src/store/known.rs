//! Known pairs: from where an account has met its rule. They give an attempt a lane of its own, nothing more.

use super::writer::Room;
use super::{StoreError, sql_int, uint};
use crate::clock::WallTime;
use rusqlite::{Row, params};
use twinlock_policy::{AccountId, Prefix, Username};

/// Most an account has.
pub const KNOWN_AT_MOST: usize = 20;
/// Forgotten when unused for so many seconds: 90 days.
pub const KNOWN_FOR_S: u64 = 90 * 86_400;

/// A known pair, with the account's name as the directory spelled it then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPair {
    /// The account.
    pub account: AccountId,
    /// From where.
    pub prefix: Prefix,
    /// A label.
    pub name: Username,
    /// When it was last used.
    pub last_used: WallTime,
}

/// Last uses before this are forgotten.
fn forgotten_before(wall: WallTime) -> i64 {
    sql_int(wall.0.saturating_sub(KNOWN_FOR_S))
}

/// Remembers that the account met its rule from there; the pair unused for longest makes room.
pub(super) fn learn(
    room: &Room,
    account: &AccountId,
    name: &Username,
    prefix: Prefix,
    wall: WallTime,
) -> Result<(), StoreError> {
    let prefix = prefix.to_string();
    room.db
        .prepare_cached(
            "INSERT INTO known VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (account, prefix) DO UPDATE SET \
             name = excluded.name, last_used = max(last_used, excluded.last_used)",
        )?
        .execute(params![account.as_str(), prefix, name.as_str(), sql_int(wall.0)])?;
    room.db
        .prepare_cached(
            "DELETE FROM known WHERE account = ?1 AND (last_used < ?3 OR prefix IN (SELECT prefix FROM known \
             WHERE account = ?1 ORDER BY prefix = ?2 DESC, last_used DESC LIMIT -1 OFFSET ?4))",
        )?
        .execute(params![account.as_str(), prefix, forgotten_before(wall), sql_int(KNOWN_AT_MOST as u64)])?;
    Ok(())
}

/// Those of an account, last used first.
pub(super) fn of(room: &Room, account: &AccountId, wall: WallTime) -> Result<Vec<Prefix>, StoreError> {
    let rows: Vec<String> = room
        .db
        .prepare_cached(
            "SELECT prefix FROM known WHERE account = ?1 AND last_used >= ?2 ORDER BY last_used DESC, prefix",
        )?
        .query_map(params![account.as_str(), forgotten_before(wall)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    rows.into_iter().map(prefix_of).collect()
}

/// All there are, in the order of last use.
pub(super) fn all(room: &Room, wall: WallTime) -> Result<Vec<KnownPair>, StoreError> {
    let rows: Vec<(String, String, String, i64)> = room
        .db
        .prepare(
            "SELECT account, prefix, name, last_used FROM known WHERE last_used >= ?1 ORDER BY last_used",
        )?
        .query_map([forgotten_before(wall)], |row: &Row<'_>| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|(account, prefix, name, last_used)| {
            Ok(KnownPair {
                account: AccountId::new(account),
                prefix: prefix_of(prefix)?,
                name: Username::from_pam(name.as_bytes())
                    .map_err(|_| StoreError::Damaged("the name of a known pair".into()))?,
                last_used: WallTime(uint(last_used)),
            })
        })
        .collect()
}

fn prefix_of(text: String) -> Result<Prefix, StoreError> {
    Prefix::try_from(text).map_err(|_| StoreError::Damaged("the prefix of a known pair".into()))
}
