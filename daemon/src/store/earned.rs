//! Trust is a row (DESIGN promise 12): what an account earned at a prefix and a service with password and code, or what an
//! administrator gave it there. Written where a login is settled, listed, revoked, expired. Which rows make a place
//! familiar or remembered is told by the policy.

use super::writer::Room;
use super::{Store, StoreError, sql_int, uint};
use crate::clock::{Now, WallTime};
use rusqlite::{OptionalExtension, Row, params};
use twinlock_policy::{AccountId, Prefix, Service};

/// Rows by an administrator's word that an account has at most.
pub const GIVEN_AT_MOST: u32 = 100;

/// A login that earns its place, if password and code are both proved: only where the rule asks both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earn {
    /// From where.
    pub prefix: Prefix,
    /// At which service.
    pub service: Service,
    /// The account's name as it was typed, folded: whoever types it there again is asked less.
    pub spelling: String,
    /// Prefixes an account keeps.
    pub at_most: u32,
    /// Seconds after which an unused row is forgotten.
    pub keep_s: u64,
}

/// How a row came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Logins with password and code.
    Logins,
    /// An administrator's word.
    Administrator,
}

impl Evidence {
    const fn word(self) -> &'static str {
        match self {
            Self::Logins => "logins",
            Self::Administrator => "administrator",
        }
    }
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarnedPlace {
    /// Whose.
    pub account: AccountId,
    /// From where.
    pub prefix: Prefix,
    /// At which service; none if it counts for every one.
    pub service: Option<Service>,
    /// By what.
    pub evidence: Evidence,
    /// The account's name as it was last typed there, folded.
    pub spelling: String,
    /// When it was made.
    pub since: WallTime,
    /// The last login with password and code; when it was made, for an administrator's row.
    pub last_used: WallTime,
    /// How many such logins.
    pub logins: u32,
    /// When it ends, for an administrator's row.
    pub until: Option<WallTime>,
}

/// Whether a row was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Added {
    /// It stands.
    Done,
    /// The account has as many as it may.
    TooMany,
}

/// A login with password and code was settled as granted: the place is earned, or is so once more.
pub(super) fn earn(room: &Room, account: &AccountId, earn: &Earn, wall: WallTime) -> Result<(), StoreError> {
    let (prefix, now) = (earn.prefix.to_string(), sql_int(wall.0));
    room.db
        .prepare_cached("DELETE FROM earned WHERE account = ?1 AND (evidence = 'logins' AND last_used <= ?2 OR until <= ?3)")?
        .execute(params![account.as_str(), sql_int(wall.0.saturating_sub(earn.keep_s)), now])?;
    room.db
        .prepare_cached(
            "INSERT INTO earned VALUES (?1, ?2, ?3, 'logins', ?4, ?5, ?5, 1, NULL) \
             ON CONFLICT (account, prefix, service, evidence) DO UPDATE SET spelling = excluded.spelling, \
             last_used = max(last_used, excluded.last_used), logins = logins + 1",
        )?
        .execute(params![account.as_str(), prefix, earn.service.as_str(), earn.spelling, now])?;
    room.db
        .prepare_cached(
            "DELETE FROM earned WHERE account = ?1 AND evidence = 'logins' AND prefix IN (SELECT prefix FROM earned \
             WHERE account = ?1 AND evidence = 'logins' GROUP BY prefix \
             ORDER BY prefix = ?2 DESC, max(last_used) DESC LIMIT -1 OFFSET ?3)",
        )?
        .execute(params![account.as_str(), prefix, earn.at_most])?;
    Ok(())
}

/// Takes back all that an account earned or was given: its password looks stolen. Returns the rows.
///
/// # Errors
/// Nothing was taken back.
pub(super) fn withdraw(room: &Room, account: &AccountId) -> Result<Vec<EarnedPlace>, StoreError> {
    let rows = of(room, account)?;
    room.db.prepare_cached("DELETE FROM earned WHERE account = ?1")?.execute([account.as_str()])?;
    Ok(rows)
}

/// An administrator's row, in the place of an older one of the same prefix and service.
fn add(room: &Room, row: &EarnedPlace) -> Result<Added, StoreError> {
    let service = row.service.as_ref().map_or("", Service::as_str);
    let others: u32 = room
        .db
        .prepare_cached(
            "SELECT count(*) FROM earned WHERE account = ?1 AND evidence = 'administrator' AND NOT (prefix = ?2 AND service = ?3)",
        )?
        .query_row(params![row.account.as_str(), row.prefix.to_string(), service], |row| row.get(0))?;
    if others >= GIVEN_AT_MOST {
        return Ok(Added::TooMany);
    }
    room.db
        .prepare_cached("INSERT OR REPLACE INTO earned VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
        .execute(params![
            row.account.as_str(),
            row.prefix.to_string(),
            service,
            row.evidence.word(),
            row.spelling,
            sql_int(row.since.0),
            sql_int(row.last_used.0),
            row.logins,
            row.until.map(|until| sql_int(until.0)),
        ])?;
    Ok(Added::Done)
}

/// Takes back the rows of a prefix, or of that and a service. Returns them.
fn forget(
    room: &Room,
    account: &AccountId,
    prefix: Prefix,
    service: Option<&Service>,
) -> Result<Vec<EarnedPlace>, StoreError> {
    let meant =
        |row: &EarnedPlace| row.prefix == prefix && (service.is_none() || row.service.as_ref() == service);
    let rows: Vec<_> = of(room, account)?.into_iter().filter(meant).collect();
    for row in &rows {
        room.db
            .prepare_cached(
                "DELETE FROM earned WHERE account = ?1 AND prefix = ?2 AND service = ?3 AND evidence = ?4",
            )?
            .execute(params![
                account.as_str(),
                prefix.to_string(),
                row.service.as_ref().map_or("", Service::as_str),
                row.evidence.word()
            ])?;
    }
    Ok(rows)
}

const COLUMNS: &str = "account, prefix, service, evidence, spelling, since, last_used, logins, until";

/// Those of an account, last used first.
fn of(room: &Room, account: &AccountId) -> Result<Vec<EarnedPlace>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM earned WHERE account = ?1 ORDER BY last_used DESC, prefix, service");
    let mut statement = room.db.prepare_cached(&sql)?;
    let rows: Vec<_> = statement.query_map([account.as_str()], read)?.collect::<Result<_, _>>()?;
    rows.into_iter().collect()
}

/// All there are, in the order of last use.
pub(super) fn all(room: &Room) -> Result<Vec<EarnedPlace>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM earned ORDER BY last_used");
    let mut statement = room.db.prepare(&sql)?;
    let rows: Vec<_> = statement.query_map([], read)?.collect::<Result<_, _>>()?;
    rows.into_iter().collect()
}

/// Those used last, over all accounts, `most` at most; and how many there are.
fn latest(room: &Room, most: u32) -> Result<(Vec<EarnedPlace>, u64), StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM earned ORDER BY last_used DESC, account, prefix, service LIMIT ?1");
    let mut statement = room.db.prepare_cached(&sql)?;
    let rows: Vec<_> = statement.query_map([most], read)?.collect::<Result<_, _>>()?;
    let all: Option<i64> =
        room.db.prepare_cached("SELECT count(*) FROM earned")?.query_row([], |row| row.get(0)).optional()?;
    Ok((rows.into_iter().collect::<Result<_, _>>()?, uint(all.unwrap_or(0))))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Result<EarnedPlace, StoreError>> {
    let (prefix, service, evidence): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let Ok(prefix) = Prefix::try_from(prefix) else {
        return Ok(Err(StoreError::Damaged("the prefix of an earned place".into())));
    };
    Ok(Ok(EarnedPlace {
        account: AccountId::new(row.get::<_, String>(0)?),
        prefix,
        service: (!service.is_empty()).then(|| Service::new(service)),
        evidence: if evidence == Evidence::Logins.word() {
            Evidence::Logins
        } else {
            Evidence::Administrator
        },
        spelling: row.get(4)?,
        since: WallTime(uint(row.get(5)?)),
        last_used: WallTime(uint(row.get(6)?)),
        logins: row.get(7)?,
        until: row.get::<_, Option<i64>>(8)?.map(|until| WallTime(uint(until))),
    }))
}

impl Store {
    /// What an account earned and was given, last used first, expired rows included.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn earned_by(&self, account: &AccountId) -> Result<Vec<EarnedPlace>, StoreError> {
        let account = account.clone();
        self.0.call(move |room| of(room, &account)).await
    }

    /// Over all accounts those used last, `most` at most; and how many there are.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn earned_latest(&self, most: u32) -> Result<(Vec<EarnedPlace>, u64), StoreError> {
        self.0.call(move |room| latest(room, most)).await
    }

    /// Adds an administrator's row.
    ///
    /// # Errors
    /// Nothing was added.
    pub async fn add_earned(&self, row: EarnedPlace, now: Now) -> Result<Added, StoreError> {
        self.0
            .call(move |room| {
                room.see(now.lane);
                add(room, &row)
            })
            .await
    }

    /// Takes back what an account has at a prefix, or at that and a service; all of it where no prefix is given.
    /// Returns the rows.
    ///
    /// # Errors
    /// Nothing was taken back.
    pub async fn forget_earned(
        &self,
        account: &AccountId,
        at: Option<(Prefix, Option<Service>)>,
        now: Now,
    ) -> Result<Vec<EarnedPlace>, StoreError> {
        let account = account.clone();
        self.0
            .call(move |room| {
                room.see(now.lane);
                match at {
                    Some((prefix, service)) => forget(room, &account, prefix, service.as_ref()),
                    None => withdraw(room, &account),
                }
            })
            .await
    }
}
