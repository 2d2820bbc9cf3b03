//! Invitations: one-time tickets with which an account without an authenticator gets its first one, wherever it logs in
//! from. They look like recovery codes and are kept like them, as keyed hashes bound to their account; one each.
//!
//! Showing one changes nothing: it is gone when the login that used it is settled as granted, in that transaction.

use super::recovery::{key, key_for_writing};
use super::writer::Room;
use super::{StoreError, sql_int, uint};
use crate::clock::WallTime;
use crate::totp::{CodeTry, RecoveryCode};
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{OptionalExtension, params};
use sha2::Sha256;
use twinlock_policy::{AccountId, Username};

/// How long one is good, in seconds.
pub const INVITED_FOR_S: u64 = 7 * 86_400;
/// Most that are listed.
const LISTED: u32 = 1000;

/// A new invitation.
#[derive(Debug)]
pub struct Invitation {
    /// The ticket: told once.
    pub ticket: RecoveryCode,
    /// When it ends.
    pub until: WallTime,
    /// Whether it takes the place of one that was not used.
    pub replaced: bool,
}

/// An invitation that was not used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// What the account was called when it was made.
    pub name: String,
    /// Whose it is.
    pub account: AccountId,
    /// When it was made.
    pub made: WallTime,
    /// When it ends.
    pub until: WallTime,
    /// Who made it.
    pub by: String,
}

/// Makes one; an earlier one of the account is void.
pub(super) fn invite(
    room: &Room,
    account: &AccountId,
    name: &Username,
    by: &str,
    wall: WallTime,
) -> Result<Invitation, StoreError> {
    let key = key_for_writing(room)?;
    let replaced = revoke(room, account)?;
    let ticket = RecoveryCode::random().map_err(|_| StoreError::NoRandom)?;
    let until = WallTime(wall.0.saturating_add(INVITED_FOR_S));
    room.db.prepare_cached("INSERT INTO invitation VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        account.as_str(),
        name.as_str(),
        mark(&key, account, &ticket)?,
        sql_int(wall.0),
        sql_int(until.0),
        by
    ])?;
    room.db.prepare_cached("DELETE FROM invitation WHERE until <= ?1")?.execute([sql_int(wall.0)])?;
    Ok(Invitation { ticket, until, replaced })
}

/// Whether the answer to the question for the code is the account's invitation. In one field there is nobody to show an
/// authenticator to, so it does not count there.
pub(super) fn is_shown(
    room: &Room,
    account: &AccountId,
    typed: &CodeTry,
    wall: WallTime,
) -> Result<bool, StoreError> {
    let (CodeTry::Code(_), Some((ticket, _))) = (typed, typed.recovery_code()) else { return Ok(false) };
    let Some(key) = key(room)? else { return Ok(false) };
    let found = room
        .db
        .prepare_cached("SELECT 1 FROM invitation WHERE account = ?1 AND mark = ?2 AND until > ?3")?
        .query_row(params![account.as_str(), mark(&key, account, &ticket)?, sql_int(wall.0)], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

/// Uses it up. `false` if there is none any more.
pub(super) fn spend(room: &Room, account: &AccountId, wall: WallTime) -> Result<bool, StoreError> {
    let written = room
        .db
        .prepare_cached("DELETE FROM invitation WHERE account = ?1 AND until > ?2")?
        .execute(params![account.as_str(), sql_int(wall.0)])?;
    Ok(written == 1)
}

/// Makes it void. `false` if there was none.
pub(super) fn revoke(room: &Room, account: &AccountId) -> Result<bool, StoreError> {
    let written =
        room.db.prepare_cached("DELETE FROM invitation WHERE account = ?1")?.execute([account.as_str()])?;
    Ok(written == 1)
}

/// Those that are good, the one that ends first before the others.
pub(super) fn all(room: &Room, wall: WallTime) -> Result<Vec<Invited>, StoreError> {
    room.db
        .prepare_cached(
            "SELECT name, account, made, until, by FROM invitation WHERE until > ?1 ORDER BY until LIMIT ?2",
        )?
        .query_map(params![sql_int(wall.0), LISTED], |row| {
            Ok(Invited {
                name: row.get(0)?,
                account: AccountId::new(row.get::<_, String>(1)?),
                made: WallTime(uint(row.get(2)?)),
                until: WallTime(uint(row.get(3)?)),
                by: row.get(4)?,
            })
        })?
        .map(|row| Ok(row?))
        .collect()
}

/// Makes every one void.
pub(super) fn void_all(room: &Room) -> Result<(), StoreError> {
    room.db.execute("DELETE FROM invitation", [])?;
    Ok(())
}

/// What is kept in a ticket's stead. The word keeps it apart from the marks of recovery codes.
fn mark(key: &[u8], account: &AccountId, ticket: &RecoveryCode) -> Result<[u8; 32], StoreError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|_| StoreError::Damaged("the key of the recovery codes".into()))?;
    mac.update(b"invitation ");
    mac.update(ticket.expose());
    mac.update(account.as_str().as_bytes());
    Ok(mac.finalize().into_bytes().into())
}
