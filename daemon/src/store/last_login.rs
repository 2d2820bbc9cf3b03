//! When and from where an account was let in last, and how many failed since. Written in the transactions that settle;
//! what was there before is told to the owner.

use super::charge::Charge;
use super::settle::{self, Settled, Settlement};
use super::writer::Room;
use super::{Bind, KNOWN_FOR_S, StoreError, sql_int, uint};
use crate::clock::{Now, WallTime};
use rusqlite::{OptionalExtension, Row, params};
use twinlock_policy::lane::Jitter;
use twinlock_policy::{AccountId, Prefix, Service, Source};

/// A login that begins a session: the next one is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Where from.
    pub source: Source,
    /// Through which service.
    pub service: Service,
    /// The country, where the GeoIP file knows it.
    pub country: Option<String>,
}

/// A login that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLogin {
    /// When.
    pub at: WallTime,
    /// Address, `local` or `unknown`.
    pub source: String,
    /// PAM service.
    pub service: String,
    /// Attempts that were compared and failed since, from anywhere.
    pub failed_since: u32,
}

/// What was there before a visit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// The login before this one; absent for the first.
    pub last: Option<LastLogin>,
    /// The account has been let in elsewhere before, and never from this prefix, as far as is remembered.
    pub new_prefix: bool,
    /// The same of the country.
    pub new_country: bool,
}

/// [`settle::settle`], and what was there before if somebody is let in who visits.
pub(super) fn settle_visit(
    room: &mut Room,
    charge: &Charge,
    settlement: Settlement,
    bind: Bind,
    now: Now,
    jitter: Jitter,
    visit: Option<&Visit>,
) -> Result<(Settled, Past), StoreError> {
    let learn = match settlement {
        Settlement::Granted { learn } => learn,
        Settlement::Failed | Settlement::Released => None,
    };
    let visit = visit.filter(|_| matches!(settlement, Settlement::Granted { .. }));
    let past = match visit {
        Some(visit) => past(room, charge.account(), visit, learn, now.wall)?,
        None => Past::default(),
    };
    let settled = settle::settle(room, charge, settlement, bind, now, jitter)?;
    if settled != Settled::Done {
        return Ok((settled, Past::default()));
    }
    if let Some(visit) = visit {
        note(room, charge.account(), visit, now.wall)?;
    }
    Ok((settled, past))
}

fn past(
    room: &Room,
    account: &AccountId,
    visit: &Visit,
    learn: Option<Prefix>,
    wall: WallTime,
) -> Result<Past, StoreError> {
    let new = |sql: &str, value: &str, since: i64| {
        let (all, this): (u32, u32) = room
            .db
            .prepare_cached(sql)?
            .query_row(params![account.as_str(), value, since], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok::<_, StoreError>(all > 0 && this == 0)
    };
    let new_prefix = match learn {
        Some(prefix) => new(
            "SELECT count(*), count(*) FILTER (WHERE prefix = ?2) FROM known WHERE account = ?1 AND last_used >= ?3",
            &prefix.to_string(),
            sql_int(wall.0.saturating_sub(KNOWN_FOR_S)),
        )?,
        None => false,
    };
    let new_country = match &visit.country {
        Some(country) => new(
            "SELECT count(*), count(*) FILTER (WHERE country = ?2) FROM visited WHERE account = ?1 AND since >= ?3",
            country,
            0,
        )?,
        None => false,
    };
    Ok(Past { last: of(room, account)?, new_prefix, new_country })
}

/// Notes a login that is let in.
pub(super) fn note(
    room: &Room,
    account: &AccountId,
    visit: &Visit,
    wall: WallTime,
) -> Result<(), StoreError> {
    let at = sql_int(wall.0);
    room.db
        .prepare_cached(
            "INSERT INTO last_login VALUES (?1, ?2, ?3, ?4, 0) ON CONFLICT (account) DO UPDATE SET at = excluded.at, \
             source = excluded.source, service = excluded.service, failed_since = 0",
        )?
        .execute(params![account.as_str(), at, visit.source.to_string(), visit.service.as_str()])?;
    if let Some(country) = &visit.country {
        room.db
            .prepare_cached("INSERT INTO visited VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute(params![account.as_str(), country, at])?;
    }
    Ok(())
}

/// One more has failed.
pub(super) fn failed(room: &Room, account: &str) -> Result<(), StoreError> {
    room.db
        .prepare_cached(
            "UPDATE last_login SET failed_since = min(failed_since + 1, 1000000000) WHERE account = ?1",
        )?
        .execute([account])?;
    Ok(())
}

/// The last login that is remembered.
pub(super) fn of(room: &Room, account: &AccountId) -> Result<Option<LastLogin>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(LastLogin {
            at: WallTime(uint(row.get(0)?)),
            source: row.get(1)?,
            service: row.get(2)?,
            failed_since: row.get(3)?,
        })
    };
    let found = room
        .db
        .prepare_cached("SELECT at, source, service, failed_since FROM last_login WHERE account = ?1")?
        .query_row([account.as_str()], read)
        .optional()?;
    Ok(found)
}
