//! Authenticators: made pending, confirmed by a code, or active at once. Seeds are sealed before they are written and
//! unsealed for one comparison.

use super::file::PRESENT_KEY;
use super::writer::Room;
use super::{SealKey, StoreError, sql_int, uint};
use crate::clock::{Now, WallTime};
use crate::totp::{AuthenticatorId, Candidate, CodePair, Label, Parameters, Reserved, Seed, Step, otpauth};
use rusqlite::{Row, params};
use twinlock_control::{AuthenticatorReport, AuthenticatorState, ImportOutcome, SecretText};
use twinlock_policy::{AccountId, Service, Source, Username};
use twinlock_protocol::Secret;

/// Most an account may have active.
const MOST_ACTIVE: usize = 8;
/// Wrong codes after which a pending one is dropped.
const MOST_WRONG: u8 = 5;

/// An authenticator to be made.
#[derive(Debug)]
pub struct NewAuthenticator {
    /// Its name.
    pub label: Label,
    /// Its seed, a new one or one that exists already.
    pub seed: Seed,
    /// What its codes are like, where that is not what `[totp]` says.
    pub parameters: Option<Parameters>,
    /// Whether its codes count at once, without one being shown.
    pub active: bool,
}

/// An authenticator that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The authenticator.
    pub report: AuthenticatorReport,
    /// Its otpauth URI, which holds the seed: told once.
    pub uri: SecretText,
}

/// What became of a code that was to confirm a pending authenticator.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Confirmation {
    /// Its codes count from now on; this one is used.
    Confirmed(AuthenticatorReport),
    /// Not its code now.
    WrongCode {
        /// Further codes it takes; at 0 it was dropped, and the account must be enrolled again.
        tries_left: u8,
    },
    /// The account has no pending authenticator.
    NothingPending,
}

const COLUMNS: &str =
    "id, label, state, digits, algorithm, step_s, seed, created, last_used, used_step, wrong_codes, replaces";

/// A row, its seed still sealed.
struct Stored {
    id: AuthenticatorId,
    label: String,
    active: bool,
    parameters: Parameters,
    sealed: Vec<u8>,
    created: u64,
    last_used: Option<u64>,
    used: Option<Step>,
    wrong_codes: u8,
    /// Which one goes when this one is confirmed.
    replaces: Option<AuthenticatorId>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Result<Self, StoreError>> {
        let (digits, algorithm, step_s): (u8, String, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let parameters = Parameters::algorithm_named(&algorithm)
            .and_then(|algorithm| Parameters::new(digits, algorithm, uint(step_s)).ok());
        let Some(parameters) = parameters else {
            return Ok(Err(StoreError::Damaged("the parameters of an authenticator".into())));
        };
        let used: i64 = row.get(9)?;
        Ok(Ok(Self {
            id: AuthenticatorId(row.get(0)?),
            label: row.get(1)?,
            active: row.get::<_, String>(2)? == "active",
            parameters,
            sealed: row.get(6)?,
            created: uint(row.get(7)?),
            last_used: row.get::<_, Option<i64>>(8)?.map(uint),
            used: u64::try_from(used).ok().map(Step),
            wrong_codes: row.get(10)?,
            replaces: row.get::<_, Option<i64>>(11)?.map(AuthenticatorId),
        }))
    }

    fn report(&self) -> AuthenticatorReport {
        AuthenticatorReport {
            label: self.label.clone(),
            state: if self.active { AuthenticatorState::Active } else { AuthenticatorState::Pending },
            digits: self.parameters.digits(),
            algorithm: self.parameters.algorithm_name().to_owned(),
            step_s: self.parameters.step_s(),
            weak: Seed::is_weak(SealKey::seed_length(&self.sealed)),
            created: self.created,
            last_used: self.last_used,
        }
    }
}

fn of(room: &Room, account: &AccountId) -> Result<Vec<Stored>, StoreError> {
    room.db
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM authenticator WHERE account = ?1 ORDER BY created, id"
        ))?
        .query_map([account.as_str()], Stored::read)?
        .map(|row| row?)
        .collect()
}

/// The account's active authenticators, ready to be compared.
pub(super) fn active(room: &Room, account: &AccountId) -> Result<Vec<Candidate>, StoreError> {
    of(room, account)?
        .into_iter()
        .filter(|stored| stored.active)
        .map(|stored| {
            Ok(Candidate {
                id: stored.id,
                parameters: stored.parameters,
                seed: room.key.unseal(account, stored.id, &stored.sealed)?,
                used: stored.used,
                reserved: reserved(room, stored.id)?,
            })
        })
        .collect()
}

fn reserved(room: &Room, id: AuthenticatorId) -> Result<Vec<Reserved>, StoreError> {
    room.db
        .prepare_cached(
            "SELECT step, source, service, tries, open_attempt IS NOT NULL FROM reservation \
             WHERE authenticator = ?1",
        )?
        .query_map([id.0], |row| {
            let (step, source, service): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((step, source, service, row.get(3)?, row.get(4)?))
        })?
        .map(|row| {
            let (step, source, service, tries, open) = row?;
            let address = Source::literal(source.as_bytes())
                .ok_or_else(|| StoreError::Damaged("the source of a reservation".into()))?;
            let pair = CodePair { source: Source::Address(address), service: Service::new(service) };
            Ok(Reserved { step: Step(uint(step)), pair, tries, open })
        })
        .collect()
}

/// All of an account, oldest first.
pub(super) fn reports(room: &Room, account: &AccountId) -> Result<Vec<AuthenticatorReport>, StoreError> {
    Ok(of(room, account)?.iter().map(Stored::report).collect())
}

/// Makes one. A pending one takes the place of an older pending one. With `replace` it is to take the place of the active
/// one of its label, which is good until then.
pub(super) fn enroll(
    room: &Room,
    account: &AccountId,
    name: &Username,
    new: &NewAuthenticator,
    replace: bool,
    wall: WallTime,
) -> Result<Enrolled, StoreError> {
    let others = of(room, account)?;
    let replaces = if replace { Some(replaced(&others, new.label.as_str())?) } else { None };
    has_room_for(&others, new.label.as_str(), replaces)?;
    let state = if new.active { "active" } else { "pending" };
    if !new.active {
        room.db
            .prepare_cached("DELETE FROM authenticator WHERE account = ?1 AND state = 'pending'")?
            .execute([account.as_str()])?;
    }
    if let Some(old) = replaces.filter(|_| new.active) {
        remove(room, old)?;
    }
    let random = getrandom::u64().map_err(|_| StoreError::NoRandom)?;
    let id = AuthenticatorId((random >> 1).cast_signed());
    let stored = Stored {
        id,
        label: new.label.as_str().to_owned(),
        active: new.active,
        parameters: new.parameters.unwrap_or(room.parameters),
        sealed: room.key.seal(account, id, &new.seed)?,
        created: wall.0,
        last_used: None,
        used: None,
        wrong_codes: 0,
        replaces: replaces.filter(|_| !new.active),
    };
    room.db
        .prepare_cached(
            "INSERT INTO authenticator (id, account, name, label, state, digits, algorithm, step_s, key_id, seed, \
             created, replaces) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            stored.id.0,
            account.as_str(),
            name.as_str(),
            stored.label,
            state,
            stored.parameters.digits(),
            stored.parameters.algorithm_name(),
            sql_int(stored.parameters.step_s()),
            PRESENT_KEY,
            stored.sealed,
            sql_int(wall.0),
            stored.replaces.map(|old| old.0),
        ])?;
    let uri = otpauth(name.as_str(), &stored.parameters, &new.seed);
    Ok(Enrolled { report: stored.report(), uri: SecretText::from(uri.as_str().to_owned()) })
}

/// Whether an active one of the account has this seed, in base32.
pub(super) fn has_seed(room: &Room, account: &AccountId, seed: &str) -> Result<bool, StoreError> {
    Ok(active(room, account)?.iter().any(|candidate| candidate.seed.to_base32().as_str() == seed))
}

/// Takes one over from other software. Codes up to the present step do not
/// count: they may have been shown to the other software.
pub(super) fn import(
    room: &Room,
    account: &AccountId,
    name: &Username,
    new: &NewAuthenticator,
    wall: WallTime,
    dry_run: bool,
) -> Result<ImportOutcome, StoreError> {
    if dry_run {
        has_room_for(&of(room, account)?, new.label.as_str(), None)?;
        return Ok(ImportOutcome::WouldBeTaken);
    }
    let _uri = enroll(room, account, name, new, false, wall)?;
    let used = new.parameters.unwrap_or(room.parameters).step_at(wall);
    room.db
        .prepare_cached("UPDATE authenticator SET used_step = ?3 WHERE account = ?1 AND label = ?2")?
        .execute(params![account.as_str(), new.label.as_str(), sql_int(used.0)])?;
    Ok(ImportOutcome::Taken)
}

/// The active one of that label.
fn replaced(others: &[Stored], label: &str) -> Result<AuthenticatorId, StoreError> {
    let old = others.iter().find(|stored| stored.active && stored.label == label);
    old.map(|stored| stored.id).ok_or(StoreError::NothingToReplace)
}

fn has_room_for(others: &[Stored], label: &str, replaces: Option<AuthenticatorId>) -> Result<(), StoreError> {
    let active = || others.iter().filter(|stored| stored.active && Some(stored.id) != replaces);
    if active().any(|stored| stored.label == label) {
        return Err(StoreError::LabelTaken);
    }
    if active().count() >= MOST_ACTIVE {
        return Err(StoreError::TooManyAuthenticators);
    }
    Ok(())
}

/// Activates the pending one if the code is its own, and spends the code.
pub(super) fn confirm(
    room: &Room,
    account: &AccountId,
    code: &Secret,
    now: Now,
) -> Result<Confirmation, StoreError> {
    let all = of(room, account)?;
    let Some(pending) = all.iter().find(|stored| !stored.active) else {
        return Ok(Confirmation::NothingPending);
    };
    has_room_for(&all, &pending.label, pending.replaces)?;
    let seed = room.key.unseal(account, pending.id, &pending.sealed)?;
    let steps = pending.parameters.matching(&seed, code.expose(), now.wall, room.window_steps);
    let Some(step) = steps.first() else { return wrong_code(room, pending) };
    if let Some(old) = pending.replaces {
        remove(room, old)?;
    }
    room.db
        .prepare_cached(
            "UPDATE authenticator SET state = 'active', used_step = ?2, last_used = ?3, replaces = NULL WHERE id = ?1",
        )?
        .execute(params![pending.id.0, sql_int(step.0), sql_int(now.wall.0)])?;
    let report = AuthenticatorReport {
        state: AuthenticatorState::Active,
        last_used: Some(now.wall.0),
        ..pending.report()
    };
    Ok(Confirmation::Confirmed(report))
}

fn wrong_code(room: &Room, pending: &Stored) -> Result<Confirmation, StoreError> {
    let tries_left = MOST_WRONG.saturating_sub(pending.wrong_codes).saturating_sub(1);
    let sql = if tries_left == 0 {
        "DELETE FROM authenticator WHERE id = ?1"
    } else {
        "UPDATE authenticator SET wrong_codes = wrong_codes + 1 WHERE id = ?1"
    };
    room.db.prepare_cached(sql)?.execute([pending.id.0])?;
    Ok(Confirmation::WrongCode { tries_left })
}

/// Removes what the account has under that label, active or pending. Tells how many active ones it has left; `None` if
/// there was nothing to remove.
pub(super) fn revoke(room: &Room, account: &AccountId, label: &str) -> Result<Option<u32>, StoreError> {
    let all = of(room, account)?;
    let (gone, left): (Vec<_>, Vec<_>) = all.iter().partition(|stored| stored.label == label);
    for stored in &gone {
        remove(room, stored.id)?;
    }
    let active = left.iter().filter(|stored| stored.active).count();
    Ok((!gone.is_empty()).then(|| u32::try_from(active).unwrap_or(u32::MAX)))
}

/// With it go its reservations; an attempt that showed a code of it is granted nothing any more.
fn remove(room: &Room, id: AuthenticatorId) -> Result<(), StoreError> {
    room.db.prepare_cached("DELETE FROM authenticator WHERE id = ?1")?.execute([id.0])?;
    Ok(())
}

/// Accounts with an active authenticator, and authenticators that are pending.
pub(super) fn totals(room: &Room) -> Result<(u64, u64), StoreError> {
    let (enrolled, pending) = room
        .db
        .prepare_cached(
            "SELECT count(DISTINCT account) FILTER (WHERE state = 'active'), \
             count(*) FILTER (WHERE state = 'pending') FROM authenticator",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((uint(enrolled), uint(pending)))
}
