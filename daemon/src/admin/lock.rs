//! The administrator's lock: `twinlock user disable` and `enable`. Both are recorded.

use super::{by, find, of_store, wrong};
use crate::audit::event_line;
use crate::house::House;
use crate::store::NewLock;
use tokio::net::unix::UCred;
use twinlock_config::Day;
use twinlock_control::{Locked, Reply};

/// Longest reason in bytes.
const LONGEST_REASON: usize = 200;

pub(super) async fn disable(
    house: &House,
    peer: &UCred,
    user: &str,
    until: Option<String>,
    reason: Option<String>,
) -> Result<Reply, Reply> {
    let now = house.clock.now();
    let day = until.map(Day::try_from).transpose().map_err(|problem| wrong(&format!("--until {problem}")))?;
    let until = day.map(Day::end_s);
    if until.is_some_and(|until| until <= now.wall.0) {
        return Err(wrong("--until names a day that is over; without it the lock has no end"));
    }
    if reason.as_ref().is_some_and(|reason| reason.len() > LONGEST_REASON) {
        return Err(wrong("--reason is longer than 200 bytes"));
    }
    let account = find(house, user).await?;
    let lock = NewLock { until, reason, by: by(peer) };
    house
        .store
        .disable(&account.id, &account.name, lock.clone(), now)
        .await
        .map_err(|error| of_store(&error))?;
    // The lock is on disk whatever becomes of these, and so is its record.
    let revoked = house.emergency.revoke(&account.id).await;
    let emergency_revoked = revoked.as_ref().map_or(0, |number| *number);
    let day = day.map_or_else(|| "-".to_owned(), |day| day.to_string());
    let fields = [
        ("by", lock.by.as_str()),
        ("user", account.name.as_str()),
        ("account", account.id.as_str()),
        ("until", &day),
        ("reason", lock.reason.as_deref().unwrap_or("-")),
        ("emergency_revoked", &emergency_revoked.to_string()),
    ];
    house.auditor.event(&event_line("user-disabled", &fields));
    revoked.map_err(|error| of_store(&error))?;
    let disabled = house.store.disabled(&account.id, now).await.map_err(|error| of_store(&error))?;
    Ok(Reply::Locked(Locked {
        account: account.name.to_string(),
        id: account.id.to_string(),
        disabled,
        changed: true,
        emergency_revoked,
    }))
}

pub(super) async fn enable(house: &House, peer: &UCred, user: &str) -> Result<Reply, Reply> {
    let account = find(house, user).await?;
    let was = house.store.enable(&account.id, house.clock.now()).await.map_err(|error| of_store(&error))?;
    if was {
        let by = by(peer);
        let fields = [("by", by.as_str()), ("user", account.name.as_str()), ("account", account.id.as_str())];
        house.auditor.event(&event_line("user-enabled", &fields));
    }
    Ok(Reply::Locked(Locked {
        account: account.name.to_string(),
        id: account.id.to_string(),
        disabled: None,
        changed: was,
        emergency_revoked: 0,
    }))
}
