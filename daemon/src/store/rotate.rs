//! Another seal key: everything that the present one has sealed is sealed anew, in one transaction. A crash leaves all
//! of it under the old key or all of it under the new one, and the store itself tells which.

use super::file::PRESENT_KEY;
use super::writer::Room;
use super::{SealKey, Store, StoreError, uint};
use crate::totp::AuthenticatorId;
use rusqlite::{OptionalExtension, params};
use twinlock_policy::AccountId;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Rotation {
    /// So many seeds are sealed by the new key.
    Done(u64),
    /// The new key is the present one.
    Already,
}

/// Seals all anew; the room's key is the new one afterwards.
fn rotate(room: &mut Room, key: SealKey) -> Result<Rotation, StoreError> {
    let present: Option<Vec<u8>> = room
        .db
        .query_row("SELECT check_value FROM seal_key WHERE id = ?1", [PRESENT_KEY], |row| row.get(0))
        .optional()?;
    if present.is_some_and(|value| key.made(PRESENT_KEY, &value)) {
        return Ok(Rotation::Already);
    }
    let seeds = reseal_seeds(room, &key)?;
    if let Some(sealed) =
        room.db.query_row("SELECT sealed FROM recovery_key", [], |row| row.get::<_, Vec<u8>>(0)).optional()?
    {
        let hashing = room.key.unseal_recovery_key(&sealed)?;
        room.db.execute("UPDATE recovery_key SET sealed = ?1", [key.seal_recovery_key(&hashing)?])?;
    }
    room.db.execute(
        "UPDATE seal_key SET check_value = ?2 WHERE id = ?1",
        params![PRESENT_KEY, key.check_value(PRESENT_KEY)?],
    )?;
    room.use_key(key);
    Ok(Rotation::Done(seeds))
}

fn reseal_seeds(room: &Room, key: &SealKey) -> Result<u64, StoreError> {
    let rows: Vec<(i64, String, Vec<u8>)> = room
        .db
        .prepare("SELECT id, account, seed FROM authenticator")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let mut update = room.db.prepare("UPDATE authenticator SET seed = ?2 WHERE id = ?1")?;
    for (id, account, sealed) in &rows {
        let (account, authenticator) = (AccountId::new(account), AuthenticatorId(*id));
        let seed = room.key.unseal(&account, authenticator, sealed)?;
        update.execute(params![id, key.seal(&account, authenticator, &seed)?])?;
    }
    Ok(uint(i64::try_from(rows.len()).unwrap_or(i64::MAX)))
}

impl Store {
    /// Seals every seed by another key, and goes on with that one.
    ///
    /// # Errors
    /// Nothing was changed; a seed that the present key cannot unseal is one reason.
    pub async fn rotate_key(&self, key: SealKey) -> Result<Rotation, StoreError> {
        self.0.call(move |room| rotate(room, key)).await
    }
}
