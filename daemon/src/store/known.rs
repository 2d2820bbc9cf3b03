//! Known pairs: from where an account has met its rule. They give an attempt a lane of its own, nothing more.

use super::writer::Room;
use super::{StoreError, sql_int};
use crate::clock::WallTime;
use rusqlite::{Row, params};
use twinlock_policy::{AccountId, Prefix, Username};

/// Most an account has.
const AT_MOST: i64 = 20;
/// Forgotten when unused for so many seconds: 90 days.
const FORGOTTEN_AFTER_S: u64 = 90 * 86_400;

/// A known pair, with the account's name as the directory spelled it then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPair {
    /// The account.
    pub account: AccountId,
    /// From where.
    pub prefix: Prefix,
    /// A label.
    pub name: Username,
}

/// Last uses before this are forgotten.
fn forgotten_before(wall: WallTime) -> i64 {
    sql_int(wall.0.saturating_sub(FORGOTTEN_AFTER_S))
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
        .execute(params![account.as_str(), prefix, forgotten_before(wall), AT_MOST])?;
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

/// All there are.
pub(super) fn all(room: &Room, wall: WallTime) -> Result<Vec<KnownPair>, StoreError> {
    let rows: Vec<(String, String, String)> = room
        .db
        .prepare("SELECT account, prefix, name FROM known WHERE last_used >= ?1")?
        .query_map([forgotten_before(wall)], |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|(account, prefix, name)| {
            Ok(KnownPair {
                account: AccountId::new(account),
                prefix: prefix_of(prefix)?,
                name: Username::from_pam(name.as_bytes())
                    .map_err(|_| StoreError::Damaged("the name of a known pair".into()))?,
            })
        })
        .collect()
}

fn prefix_of(text: String) -> Result<Prefix, StoreError> {
    Prefix::try_from(text).map_err(|_| StoreError::Damaged("the prefix of a known pair".into()))
}
