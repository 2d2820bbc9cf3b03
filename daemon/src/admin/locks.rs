//! What the tarpit keeps closed: seeing it, and undoing it. Whatever is opened by hand is recorded.

use super::{by, find, lane_report, of_store, seconds_until, stolen_password, wrong};
use crate::audit::event_line;
use crate::clock::Now;
use crate::house::House;
use crate::store::ClosedLane;
use crate::tarpit::PrefixState;
use tokio::net::unix::UCred;
use twinlock_control::{Cleared, LaneLock, LaneReport, Locks, PrefixLock, Reply, Unlocked};
use twinlock_policy::lane::LaneLimits;
use twinlock_policy::{Prefix, Source};

/// Rows of each kind listed at most.
const MOST: u16 = 1000;

/// What is closed now.
pub(super) async fn list(house: &House) -> Result<Reply, Reply> {
    let now = house.clock.now();
    let totals = house.store.totals(now).await.map_err(|error| of_store(&error))?;
    let lanes = house.store.closed_lanes(now, MOST.into()).await.map_err(|error| of_store(&error))?;
    let limits = house.tarpit.limits();
    let window = &house.config.tarpit.source_limit.within;
    Ok(Reply::Locks(Locks {
        lanes: lanes.iter().map(|closed| lane_lock(closed, limits, now)).collect(),
        lanes_closed: totals.lanes_closed,
        prefixes: house
            .tarpit
            .closed_prefixes(MOST.into())
            .iter()
            .map(|closed| prefix_lock(closed, &window.to_string(), now))
            .collect(),
        prefixes_closed: house.tarpit.prefixes_closed(),
    }))
}

fn lane_lock(closed: &ClosedLane, limits: &LaneLimits, now: Now) -> LaneLock {
    let LaneReport { lane, failures, closed_for_s } =
        lane_report(&closed.key, &closed.lane, limits, now.lane);
    LaneLock {
        account: closed.name.clone(),
        id: closed.account.to_string(),
        lane,
        failures,
        last_failure: now.wall.0.saturating_sub(now.lane.since(closed.lane.settled_at).as_secs()),
        closed_for_s,
        until: now.wall.0.saturating_add(closed_for_s),
        why: format!("{}; waits begin at {} and double with each", wrong_logins(failures), limits.free()),
    }
}

fn prefix_lock(closed: &PrefixState, window: &str, now: Now) -> PrefixLock {
    let closed_for_s = seconds_until(closed.not_before, now.lane);
    PrefixLock {
        prefix: closed.prefix.to_string(),
        failures: closed.failures,
        closed_for_s,
        until: now.wall.0.saturating_add(closed_for_s),
        why: format!("{} within {window}", wrong_logins(closed.failures)),
    }
}

fn wrong_logins(number: u32) -> String {
    format!("{number} wrong login{}", if number == 1 { "" } else { "s" })
}

/// Opens every lane of a user.
pub(super) async fn unlock(house: &House, peer: &UCred, user: &str) -> Result<Reply, Reply> {
    let account = find(house, user).await?;
    let now = house.clock.now();
    let stolen_password = stolen_password(house, &account).await?;
    let unlocked = house.tarpit.unlock(&account.id).await.map_err(|error| of_store(&error))?;
    let limits = house.tarpit.limits();
    let lanes: Vec<_> = unlocked.iter().map(|(key, lane)| lane_report(key, lane, limits, now.lane)).collect();
    let fields = [
        ("by", by(peer)),
        ("user", account.name.to_string()),
        ("account", account.id.to_string()),
        ("lanes", names(&lanes)),
        ("looked_stolen", if stolen_password.is_some() { "yes" } else { "no" }.to_owned()),
    ];
    house
        .auditor
        .event(&event_line("unlocked", &fields.each_ref().map(|(key, value)| (*key, value.as_str()))));
    Ok(Reply::Unlocked(Unlocked {
        account: account.name.to_string(),
        id: account.id.to_string(),
        lanes,
        stolen_password,
    }))
}

/// Opens the prefix lanes that an address stands in, or one that is named by its prefix.
pub(super) async fn clear(house: &House, peer: &UCred, text: &str) -> Result<Reply, Reply> {
    let prefixes = prefixes_of(text).ok_or_else(|| {
        wrong("that is no prefix of the tarpit; give an address, or one with /32 (IPv4), /64 or /48 (IPv6)")
    })?;
    let now = house.clock.now();
    let lanes: Vec<_> = prefixes
        .iter()
        .filter_map(|prefix| house.tarpit.clear_prefix(*prefix))
        .map(|was| LaneReport {
            lane: was.prefix.to_string(),
            failures: was.failures,
            closed_for_s: seconds_until(was.not_before, now.lane),
        })
        .collect();
    let prefixes: Vec<_> = prefixes.iter().map(ToString::to_string).collect();
    let fields = [("by", by(peer)), ("prefix", prefixes.join(", ")), ("lanes", names(&lanes))];
    house
        .auditor
        .event(&event_line("prefix-cleared", &fields.each_ref().map(|(key, value)| (*key, value.as_str()))));
    house.tarpit.write_prefixes().await.map_err(|error| of_store(&error))?;
    Ok(Reply::Cleared(Cleared { prefixes, lanes }))
}

fn prefixes_of(text: &str) -> Option<Vec<Prefix>> {
    if let Some(address) = Source::literal(text.as_bytes()) {
        return Some(std::iter::once(Prefix::of(address)).chain(Prefix::wide(address)).collect());
    }
    Prefix::try_from(text.to_owned()).ok().map(|prefix| vec![prefix])
}

fn names(lanes: &[LaneReport]) -> String {
    if lanes.is_empty() {
        return "-".into();
    }
    lanes.iter().map(|report| report.lane.as_str()).collect::<Vec<_>>().join(", ")
}
