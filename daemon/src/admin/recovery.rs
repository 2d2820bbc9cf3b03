//! A new set of recovery codes. The codes leave with the reply and are nowhere else; that they were made is recorded.

use super::{by, find, no, of_store, why_refused};
use crate::audit::event_line;
use crate::house::House;
use tokio::net::unix::UCred;
use twinlock_control::{RecoveryCodes, Reply, SecretText};

pub(super) async fn renew(house: &House, peer: &UCred, user: &str) -> Result<Reply, Reply> {
    let account = find(house, user).await?;
    if let Some(why) = why_refused(house, &account) {
        return Err(no(&format!("{user} could not log in anyway: {why}")));
    }
    let made = house.store.renew_recovery(&account.id, &account.name, house.clock.now()).await;
    let made = made.map_err(|error| of_store(&error))?;
    let (by, voided) = (by(peer), made.voided.to_string());
    let fields = [
        ("by", by.as_str()),
        ("user", account.name.as_str()),
        ("account", account.id.as_str()),
        ("voided", voided.as_str()),
    ];
    house.auditor.event(&event_line("recovery-codes-made", &fields));
    Ok(Reply::RecoveryCodes(RecoveryCodes {
        account: account.name.to_string(),
        id: account.id.to_string(),
        codes: made.codes.iter().map(|code| SecretText::from(code.shown().to_string())).collect(),
        voided: made.voided,
    }))
}
