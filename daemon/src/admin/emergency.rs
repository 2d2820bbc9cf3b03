//! Emergency passwords: made for accounts that the directory shows, listed and revoked without it. All but the listing
//! is recorded.

use super::{by, find, no, of_store, why_refused, wrong};
use crate::audit::event_line;
use crate::house::House;
use crate::store::EMERGENCY_AT_MOST;
use tokio::net::unix::UCred;
use twinlock_control::{EmergencyList, EmergencyMade, EmergencyRevoked, EmergencySet, Reply, SecretText};
use twinlock_policy::Username;

/// Accounts of one request.
const MOST_USERS: usize = 100;

pub(super) async fn create(
    house: &House,
    peer: &UCred,
    users: &[String],
    count: u32,
) -> Result<Reply, Reply> {
    if users.is_empty() || users.len() > MOST_USERS || count == 0 || count > EMERGENCY_AT_MOST {
        return Err(wrong("name 1 to 100 users, and make 1 to 20 passwords for each"));
    }
    let now = house.clock.now();
    let mut accounts: Vec<crate::directory::Account> = Vec::new();
    for user in users {
        let account = find(house, user).await?;
        if let Some(why) = why_refused(house, &account) {
            return Err(no(&format!("{user} could not log in anyway: {why}")));
        }
        let disabled = house.store.disabled(&account.id, now).await.map_err(|error| of_store(&error))?;
        if disabled.is_some() {
            return Err(no(&format!(
                "{user} is disabled; let it in again first: twinlock user enable {user}"
            )));
        }
        if accounts.iter().any(|other| other.id == account.id) {
            return Err(wrong(&format!("{user} is named twice")));
        }
        accounts.push(account);
    }
    let by = by(peer);
    let made = house.emergency.create(accounts, count, by.clone(), now.wall).await;
    let made = made.map_err(|error| of_store(&error))?;
    let count = count.to_string();
    let mut sets = Vec::new();
    for (account, passwords) in &made {
        let fields = [
            ("by", by.as_str()),
            ("user", account.name.as_str()),
            ("account", account.id.as_str()),
            ("count", count.as_str()),
        ];
        house.auditor.warning(&event_line("emergency-created", &fields));
        sets.push(EmergencySet {
            account: account.name.to_string(),
            id: account.id.to_string(),
            passwords: passwords.iter().map(|one| SecretText::from(one.shown().to_string())).collect(),
        });
    }
    Ok(Reply::EmergencyMade(EmergencyMade { made: sets }))
}

pub(super) async fn list(house: &House) -> Result<Reply, Reply> {
    let accounts = house.emergency.list().await.map_err(|error| of_store(&error))?;
    Ok(Reply::EmergencyList(EmergencyList { accounts }))
}

/// By the name the account had when they were made: the directory may be away.
pub(super) async fn revoke(house: &House, peer: &UCred, user: &str) -> Result<Reply, Reply> {
    let name = Username::from_pam(user.as_bytes()).map_err(|_| wrong("that cannot be a user's name"))?;
    let (by, mut revoked) = (by(peer), 0);
    for (account, name) in house.emergency.named(&name) {
        let gone = house.emergency.revoke(&account).await.map_err(|error| of_store(&error))?;
        let count = gone.to_string();
        let fields = [
            ("by", by.as_str()),
            ("user", name.as_str()),
            ("account", account.as_str()),
            ("count", count.as_str()),
        ];
        house.auditor.warning(&event_line("emergency-revoked", &fields));
        revoked += gone;
    }
    Ok(Reply::EmergencyRevoked(EmergencyRevoked { account: name.to_string(), revoked }))
}
