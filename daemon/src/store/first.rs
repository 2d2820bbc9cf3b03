//! What only a settled grant does for an account without an authenticator: it gets its first one, or is counted among those
//! that were let in without. Both are part of the settlement's transaction, and refuse where the account has got one
//! meanwhile.

use super::authenticators::{self, NewAuthenticator};
use super::charge::Charge;
use super::writer::Room;
use super::{StoreError, invitations, sql_int, uint};
use crate::clock::WallTime;
use crate::totp::{FirstCode, Label, Seed};
use rusqlite::params;
use twinlock_config::Day;
use twinlock_policy::{AccountId, Username};
use zeroize::Zeroizing;

/// What an account without an authenticator is let in by.
#[derive(Debug)]
pub enum First {
    /// A code of a new authenticator was shown in this login.
    Enrolled {
        /// The authenticator, and its code.
        code: FirstCode,
        /// By invitation, which is used up with it.
        invited: bool,
    },
    /// None yet: a place stands in for the code.
    Grace {
        /// Until the end of that day (UTC).
        until: Day,
    },
}

/// What a first authenticator is called.
const LABEL: &str = "phone";

/// Does it. `false` if it cannot be done any more: nobody may be let in.
pub(super) fn settle(
    room: &Room,
    charge: &Charge,
    first: &First,
    wall: WallTime,
) -> Result<bool, StoreError> {
    let account = charge.account();
    if !authenticators::active(room, account)?.is_empty() {
        return Ok(false);
    }
    let (code, invited) = match first {
        First::Grace { until: _ } => return note_grace(room, account, charge.name(), wall).map(|()| true),
        First::Enrolled { code, invited } => (code, *invited),
    };
    if invited && !invitations::spend(room, account, wall)? {
        return Ok(false);
    }
    // Who has enrolled needs none any more, whether it was used or not.
    invitations::revoke(room, account)?;
    let label = Label::new(LABEL).map_err(|error| StoreError::Damaged(error.to_string()))?;
    let seed = Seed::from_bytes(Zeroizing::new(code.seed().expose().to_vec()))
        .map_err(|error| StoreError::Damaged(error.to_string()))?;
    let new = NewAuthenticator { label, seed, parameters: Some(*code.parameters()), active: true };
    authenticators::enroll(room, account, charge.name(), &new, false, wall)?;
    room.db
        .prepare_cached(
            "UPDATE authenticator SET used_step = ?2, last_used = ?3 WHERE account = ?1 AND state = 'active'",
        )?
        .execute(params![account.as_str(), sql_int(code.step().0), sql_int(wall.0)])?;
    room.db.prepare_cached("DELETE FROM grace WHERE account = ?1")?.execute([account.as_str()])?;
    Ok(true)
}

fn note_grace(room: &Room, account: &AccountId, name: &Username, wall: WallTime) -> Result<(), StoreError> {
    room.db
        .prepare_cached(
            "INSERT INTO grace VALUES (?1, ?2, ?3) ON CONFLICT (account) DO UPDATE SET \
             name = excluded.name, last_used = excluded.last_used",
        )?
        .execute(params![account.as_str(), name.as_str(), sql_int(wall.0)])?;
    Ok(())
}

/// Accounts that were let in so and have no active authenticator yet.
pub(super) fn grace_accounts(room: &Room) -> Result<u64, StoreError> {
    let accounts = room
        .db
        .prepare_cached(
            "SELECT count(*) FROM grace WHERE NOT EXISTS (SELECT 1 FROM authenticator \
             WHERE authenticator.account = grace.account AND state = 'active')",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(uint(accounts))
}
