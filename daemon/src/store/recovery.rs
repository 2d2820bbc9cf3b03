//! Recovery codes: kept as keyed hashes bound to their account, each good once. The charge's transaction spends one,
//! and whether it did is decided by the result of that write.
//!
//! The key of the hashes is random, sealed like a seed, and in the store: a copy of the file alone cannot check a guess.

use super::file::PRESENT_KEY;
use super::writer::Room;
use super::{StoreError, sql_int, uint};
use crate::attempt::AttemptId;
use crate::clock::WallTime;
use crate::totp::{CodeTry, FoundRecovery, RECOVERY_CODES, RecoveryCode};
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{OptionalExtension, params};
use sha2::Sha256;
use twinlock_policy::{AccountId, Username};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;

/// A new set of recovery codes.
#[derive(Debug)]
pub struct RecoverySet {
    /// The codes: told once.
    pub codes: Vec<RecoveryCode>,
    /// Unused codes of an earlier set, which are worth nothing any more.
    pub voided: u64,
}

/// Makes a set of an account; its earlier ones are void.
pub(super) fn renew(
    room: &Room,
    account: &AccountId,
    name: &Username,
    wall: WallTime,
) -> Result<RecoverySet, StoreError> {
    let key = key_for_writing(room)?;
    let voided = left(room, account)?;
    room.db.prepare_cached("DELETE FROM recovery_code WHERE account = ?1")?.execute([account.as_str()])?;
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let code = RecoveryCode::random().map_err(|_| StoreError::NoRandom)?;
        room.db
            .prepare_cached("INSERT INTO recovery_code (account, name, mark, made) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                account.as_str(),
                name.as_str(),
                mark(&key, account, &code)?,
                sql_int(wall.0)
            ])?;
        codes.push(code);
    }
    Ok(RecoverySet { codes, voided })
}

/// Unused codes of an account.
pub(super) fn left(room: &Room, account: &AccountId) -> Result<u64, StoreError> {
    let left = room
        .db
        .prepare_cached("SELECT count(*) FROM recovery_code WHERE account = ?1 AND spent_by IS NULL")?
        .query_row([account.as_str()], |row| row.get(0))?;
    Ok(uint(left))
}

/// The code of the account's set, a used one too, that what was typed ends in.
pub(super) fn find(
    room: &Room,
    account: &AccountId,
    typed: &CodeTry,
) -> Result<Option<FoundRecovery>, StoreError> {
    let Some((code, length)) = typed.recovery_code() else { return Ok(None) };
    let Some(key) = key(room)? else { return Ok(None) };
    let row: Option<(i64, bool)> = room
        .db
        .prepare_cached(
            "SELECT id, spent_by IS NOT NULL FROM recovery_code WHERE account = ?1 AND mark = ?2",
        )?
        .query_row(params![account.as_str(), mark(&key, account, &code)?], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(row.map(|(id, spent)| FoundRecovery { id, spent, length }))
}

/// Spends a code for an attempt. `false` if another attempt has spent it.
pub(super) fn spend(room: &Room, id: i64, attempt: AttemptId) -> Result<bool, StoreError> {
    let written = room
        .db
        .prepare_cached("UPDATE recovery_code SET spent_by = ?2 WHERE id = ?1 AND spent_by IS NULL")?
        .execute(params![id, attempt.number().cast_signed()])?;
    Ok(written == 1)
}

/// The attempt that spent it has met its rule. `false` if the code was made void meanwhile.
pub(super) fn granted(room: &Room, id: i64, attempt: AttemptId, wall: WallTime) -> Result<bool, StoreError> {
    let written = room
        .db
        .prepare_cached("UPDATE recovery_code SET used = ?3 WHERE id = ?1 AND spent_by = ?2")?
        .execute(params![id, attempt.number().cast_signed(), sql_int(wall.0)])?;
    Ok(written == 1)
}

/// No secret of that attempt was found wrong, and nobody was let in: the code is good again.
pub(super) fn give_back(room: &Room, id: i64, attempt: AttemptId) -> Result<(), StoreError> {
    room.db
        .prepare_cached(
            "UPDATE recovery_code SET spent_by = NULL WHERE id = ?1 AND spent_by = ?2 AND used IS NULL",
        )?
        .execute(params![id, attempt.number().cast_signed()])?;
    Ok(())
}

/// Makes every code of every account worth nothing. Tells how many were unused.
pub(super) fn void_all(room: &Room) -> Result<u64, StoreError> {
    let unused =
        room.db
            .query_row("SELECT count(*) FROM recovery_code WHERE spent_by IS NULL", [], |row| row.get(0))?;
    room.db.execute("DELETE FROM recovery_code", [])?;
    Ok(uint(unused))
}

pub(super) fn key(room: &Room) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let sealed: Option<Vec<u8>> = room
        .db
        .prepare_cached("SELECT sealed FROM recovery_key")?
        .query_row([], |row| row.get(0))
        .optional()?;
    sealed.map(|sealed| room.key.unseal_recovery_key(&sealed)).transpose()
}

/// The key; made when the first set is.
pub(super) fn key_for_writing(room: &Room) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    if let Some(key) = key(room)? {
        return Ok(key);
    }
    let mut key = Zeroizing::new(vec![0; KEY_BYTES]);
    getrandom::fill(&mut key).map_err(|_| StoreError::NoRandom)?;
    room.db
        .prepare("INSERT INTO recovery_key VALUES (1, ?1, ?2)")?
        .execute(params![PRESENT_KEY, room.key.seal_recovery_key(&key)?])?;
    Ok(key)
}

/// What is kept in a code's stead. The code has a fixed length, so that no two pairs share a mark.
fn mark(key: &[u8], account: &AccountId, code: &RecoveryCode) -> Result<[u8; 32], StoreError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|_| StoreError::Damaged("the key of the recovery codes".into()))?;
    mac.update(code.expose());
    mac.update(account.as_str().as_bytes());
    Ok(mac.finalize().into_bytes().into())
}
