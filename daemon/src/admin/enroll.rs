//! Enrolment: an authenticator is made pending, then confirmed by a code of it. Both are recorded.

use super::{by, find, no, of_store, unavailable, why_refused, wrong};
use crate::audit::event_line;
use crate::directory::Account;
use crate::house::House;
use crate::store::{Confirmation, NewAuthenticator};
use crate::totp::{Label, Seed};
use tokio::net::unix::UCred;
use twinlock_control::{Enrolled, Reply, SecretText};
use twinlock_protocol::Secret;

pub(super) async fn enroll(
    house: &House,
    peer: &UCred,
    user: &str,
    label: &str,
    seed: Option<&SecretText>,
    active: bool,
) -> Result<Reply, Reply> {
    let seed = match seed {
        Some(seed) => Seed::from_base32(seed.expose()).map_err(|error| wrong(&error.to_string()))?,
        None if active => {
            return Err(wrong("an authenticator can be active at once only if its seed is given"));
        }
        None => Seed::random().map_err(|error| unavailable(&error.to_string()))?,
    };
    let label = Label::new(label).map_err(|error| wrong(&error.to_string()))?;
    let account = find(house, user).await?;
    if let Some(why) = why_refused(house, &account) {
        return Err(no(&format!("{user} could not log in anyway: {why}")));
    }
    let new = NewAuthenticator { label, seed, active };
    let made = house.store.enroll(&account.id, &account.name, new, house.clock.now()).await;
    let made = made.map_err(|error| of_store(&error))?;
    record(house, peer, if active { "enrolled" } else { "enrollment-begun" }, &account, &made.report.label);
    Ok(Reply::Enrolled(Enrolled {
        account: account.name.to_string(),
        authenticator: made.report,
        uri: made.uri,
    }))
}

pub(super) async fn confirm(house: &House, peer: &UCred, user: &str, code: Secret) -> Result<Reply, Reply> {
    let account = find(house, user).await?;
    let outcome =
        house.store.confirm(&account.id, code, house.clock.now()).await.map_err(|error| of_store(&error))?;
    match outcome {
        Confirmation::Confirmed(report) => {
            record(house, peer, "enrolled", &account, &report.label);
            Ok(Reply::Confirmed(report))
        }
        Confirmation::WrongCode { tries_left: 0 } => {
            Err(no(&format!("that is not its code either; begin anew with: twinlock enroll {user}")))
        }
        Confirmation::WrongCode { .. } => {
            Err(no("that is not the authenticator's code; check the phone's clock and try again"))
        }
        Confirmation::NothingPending => Err(no(&format!(
            "{user} has no authenticator waiting to be confirmed; make one with: twinlock enroll {user}"
        ))),
    }
}

fn record(house: &House, peer: &UCred, word: &str, account: &Account, label: &str) {
    let by = by(peer);
    let fields = [
        ("by", by.as_str()),
        ("user", account.name.as_str()),
        ("account", account.id.as_str()),
        ("label", label),
    ];
    house.auditor.event(&event_line(word, &fields));
}
