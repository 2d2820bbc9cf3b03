//! What users earned at places, and what they are given there. Whatever is given or taken back by hand is recorded.

use super::{by, find, no, of_store, wrong};
use crate::audit::event_line;
use crate::directory::Account;
use crate::house::House;
use crate::location::earned_at;
use crate::store::{Added, EarnedPlace, Evidence, GIVEN_AT_MOST};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use tokio::net::unix::UCred;
use twinlock_config::Day;
use twinlock_control::{PlaceReport, Places, Reply};
use twinlock_policy::{AccountId, Prefix, Seen, Service, Source};

/// Rows listed at most.
const MOST: u16 = 1000;

/// Those of a user, or those used last over all users.
pub(super) async fn list(house: &House, user: Option<&str>) -> Result<Reply, Reply> {
    let (rows, all) = match user {
        Some(user) => {
            let rows = of_user(house, &find(house, user).await?).await?;
            let all = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            (rows, all)
        }
        None => house.store.earned_latest(MOST.into()).await.map_err(|error| of_store(&error))?,
    };
    Ok(Reply::Places(Places { places: reports(house, &rows).await?, all }))
}

/// Gives a user a place.
pub(super) async fn add(
    house: &House,
    peer: &UCred,
    user: &str,
    prefix: &str,
    service: Option<&str>,
    until: Option<&str>,
) -> Result<Reply, Reply> {
    if !house.locations.are_earned() {
        return Err(no(
            "no location is familiar or remembered, so a place would count for nothing; add one to the configuration",
        ));
    }
    let now = house.clock.now();
    let prefix = prefix_of(prefix).ok_or_else(no_prefix)?;
    let service = service_of(service).map_err(wrong)?;
    let until = match until.map(|day| Day::try_from(day.to_owned())) {
        Some(Ok(day)) if day.end_s() <= now.wall.0 => return Err(wrong("that day is over")),
        Some(Ok(day)) => Some(crate::clock::WallTime(day.end_s())),
        Some(Err(problem)) => return Err(wrong(&format!("the day {problem}"))),
        None => None,
    };
    if !can_be_earned(house, prefix) {
        return Err(no(
            "a place that anybody can be at is nobody's: loopback and link-local addresses, and what tarpit.uncounted names",
        ));
    }
    let account = find(house, user).await?;
    let row = EarnedPlace {
        account: account.id.clone(),
        prefix,
        service,
        evidence: Evidence::Administrator,
        spelling: account.name.folded(),
        since: now.wall,
        last_used: now.wall,
        logins: 0,
        until,
    };
    match house.store.add_earned(row.clone(), now).await.map_err(|error| of_store(&error))? {
        Added::Done => {}
        Added::TooMany => {
            return Err(no(&format!(
                "a user has {GIVEN_AT_MOST} given places at most; take some back first"
            )));
        }
    }
    record(house, "place-added", peer, &account, &row);
    house.locations.refresh(&house.store, &account.id).await.map_err(|error| of_store(&error))?;
    Ok(Reply::PlaceAdded(report(house, &row, &of_user(house, &account).await?)))
}

/// Takes places back from a user.
pub(super) async fn forget(
    house: &House,
    peer: &UCred,
    user: &str,
    prefix: Option<&str>,
    service: Option<&str>,
) -> Result<Reply, Reply> {
    let service = service_of(service).map_err(wrong)?;
    let at = match (prefix, service) {
        (Some(prefix), service) => Some((prefix_of(prefix).ok_or_else(no_prefix)?, service)),
        (None, None) => None,
        (None, Some(_)) => return Err(wrong("a service is named without a place")),
    };
    let account = find(house, user).await?;
    let now = house.clock.now();
    let held = of_user(house, &account).await?;
    let rows = house.store.forget_earned(&account.id, at, now).await.map_err(|error| of_store(&error))?;
    for row in &rows {
        record(house, "place-forgotten", peer, &account, row);
    }
    house.locations.refresh(&house.store, &account.id).await.map_err(|error| of_store(&error))?;
    let all = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let places = rows.iter().map(|row| report(house, row, &held)).collect();
    Ok(Reply::PlacesForgotten(Places { places, all }))
}

async fn of_user(house: &House, account: &Account) -> Result<Vec<EarnedPlace>, Reply> {
    house.store.earned_by(&account.id).await.map_err(|error| of_store(&error))
}

async fn reports(house: &House, rows: &[EarnedPlace]) -> Result<Vec<PlaceReport>, Reply> {
    let mut of_accounts: BTreeMap<&AccountId, Vec<EarnedPlace>> = BTreeMap::new();
    for row in rows {
        if let Entry::Vacant(entry) = of_accounts.entry(&row.account) {
            entry.insert(house.store.earned_by(&row.account).await.map_err(|error| of_store(&error))?);
        }
    }
    let own = |row: &EarnedPlace| of_accounts.get(&row.account).map(Vec::as_slice).unwrap_or_default();
    Ok(rows.iter().map(|row| report(house, row, own(row))).collect())
}

/// A row, with the locations that hold it among all of the account's.
fn report(house: &House, row: &EarnedPlace, own: &[EarnedPlace]) -> PlaceReport {
    let earned = earned_at(own, row.prefix, house.clock.now().wall);
    let source = Source::Address(address_of(row.prefix));
    // A row for every service counts at whatever service.
    let service = row.service.clone().unwrap_or_else(|| Service::new("?"));
    let place = house.policy.place(source, service, &Seen { earned: &earned, ..Seen::default() });
    PlaceReport {
        account: row.spelling.clone(),
        id: row.account.to_string(),
        prefix: row.prefix.to_string(),
        service: row.service.as_ref().map(ToString::to_string),
        evidence: match row.evidence {
            Evidence::Logins => "logins".into(),
            Evidence::Administrator => "administrator".into(),
        },
        since: row.since.0,
        last_used: row.last_used.0,
        logins: row.logins,
        until: row.until.map(|until| until.0),
        locations: place.earned().iter().map(ToString::to_string).collect(),
    }
}

fn record(house: &House, word: &str, peer: &UCred, account: &Account, row: &EarnedPlace) {
    let fields = [
        ("by", by(peer)),
        ("user", account.name.to_string()),
        ("account", account.id.to_string()),
        ("prefix", row.prefix.to_string()),
        ("service", row.service.as_ref().map_or_else(|| "every".to_owned(), ToString::to_string)),
        ("until", row.until.map_or_else(|| "-".to_owned(), |until| until.0.to_string())),
    ];
    house.auditor.event(&event_line(word, &fields.each_ref().map(|(key, value)| (*key, value.as_str()))));
}

/// An address stands for the prefix it is in.
fn prefix_of(text: &str) -> Option<Prefix> {
    let prefix = Source::literal(text.as_bytes()).map(Prefix::of);
    match prefix.or_else(|| Prefix::try_from(text.to_owned()).ok())? {
        prefix @ (Prefix::V4(_) | Prefix::V6Site(_)) => Some(prefix),
        Prefix::V6Provider(_) => None,
    }
}

fn no_prefix() -> Reply {
    wrong("that is no place; give an address, or one with /32 (IPv4) or /64 (IPv6)")
}

/// The service, if one is named.
fn service_of(text: Option<&str>) -> Result<Option<Service>, &'static str> {
    let Some(text) = text else { return Ok(None) };
    let service = Service::from_pam(text.as_bytes());
    if service.as_str() == text {
        Ok(Some(service))
    } else {
        Err("that is no PAM service; give the name of a file in /etc/pam.d")
    }
}

const fn address_of(prefix: Prefix) -> IpAddr {
    match prefix {
        Prefix::V4(address) => IpAddr::V4(address),
        Prefix::V6Site(address) | Prefix::V6Provider(address) => IpAddr::V6(address),
    }
}

fn can_be_earned(house: &House, prefix: Prefix) -> bool {
    let place = house.policy.place(Source::Address(address_of(prefix)), Service::new("?"), &Seen::default());
    place.earnable_prefix() == Some(prefix)
}
