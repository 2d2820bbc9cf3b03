//! Enrolment: an authenticator is made pending, then confirmed by a code of it. Both are recorded.

use super::clock::no_code_is_judged;
use super::{by, find, no, of_store, unavailable, why_refused, wrong};
use crate::audit::event_line;
use crate::directory::Account;
use crate::house::House;
use crate::store::{Confirmation, NewAuthenticator};
use crate::totp::{Label, Parameters, Seed};
use tokio::net::unix::UCred;
use tokio::sync::Mutex;
use twinlock_control::{
    AuthenticatorReport, AuthenticatorState, Enrolled, ImportOutcome, ImportSeed, Imported, Reply, Revoked,
    SecretText,
};
use twinlock_policy::check;
use twinlock_protocol::Secret;

/// Held from counting an account's authenticators until one more is written, so that two requests at once cannot both
/// take the room that is left for one.
static COUNTING: Mutex<()> = Mutex::const_new(());

const REPLACED: &str = "authenticator-replaced";

pub(super) async fn enroll(
    house: &House,
    peer: &UCred,
    user: &str,
    label: &str,
    seed: Option<&SecretText>,
    active: bool,
    replace: bool,
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
    let _alone = COUNTING.lock().await;
    stay_in_budget(house, &account, house.config.totp.digits, replace.then_some(&label)).await?;
    let new = NewAuthenticator { label, seed, parameters: None, active };
    let (store, now) = (&house.store, house.clock.now());
    let made = if replace {
        store.replace(&account.id, &account.name, new, now).await
    } else {
        store.enroll(&account.id, &account.name, new, now).await
    };
    let made = made.map_err(|error| of_store(&error))?;
    let word = match (active, replace) {
        (false, _) => "enrollment-begun",
        (true, false) => "enrolled",
        (true, true) => REPLACED,
    };
    record(house, peer, word, &account, &made.report.label);
    Ok(Reply::Enrolled(Enrolled {
        account: account.name.to_string(),
        authenticator: made.report,
        uri: made.uri,
    }))
}

/// Takes an authenticator over from other software.
pub(super) async fn import(
    house: &House,
    peer: &UCred,
    user: &str,
    label: &str,
    taken: &ImportSeed,
    dry_run: bool,
) -> Result<Reply, Reply> {
    // Codes up to now are to count as used.
    if let Some(refusal) = no_code_is_judged(house).filter(|_| !dry_run) {
        return Err(refusal);
    }
    let seed = Seed::taken_over(taken.seed.expose()).map_err(|error| wrong(&error.to_string()))?;
    let weak = Seed::is_weak(seed.expose().len());
    let algorithm = Parameters::algorithm_named(&taken.algorithm)
        .ok_or_else(|| wrong("the hash of codes is SHA1, SHA256 or SHA512"))?;
    let parameters = Parameters::new(taken.digits, algorithm, taken.step_s)
        .map_err(|_| wrong("codes have 6 or 8 digits and last 15 to 300 s; enrol this user anew"))?;
    let label = Label::new(label).map_err(|error| wrong(&error.to_string()))?;
    let account = find(house, user).await?;
    if let Some(why) = why_refused(house, &account) {
        return Err(no(&format!("{user} could not log in anyway: {why}")));
    }
    let _alone = COUNTING.lock().await;
    let name = label.as_str().to_owned();
    let new = NewAuthenticator { label, seed, parameters: Some(parameters), active: true };
    let already = house.store.has_seed(&account.id, new.seed.to_base32()).await;
    let outcome = if already.map_err(|error| of_store(&error))? {
        ImportOutcome::AlreadyThere
    } else {
        stay_in_budget(house, &account, taken.digits, None).await?;
        let made = house.store.import(&account.id, &account.name, new, house.clock.now(), dry_run).await;
        made.map_err(|error| of_store(&error))?
    };
    if outcome == ImportOutcome::Taken {
        record(house, peer, "imported", &account, &name);
    }
    Ok(Reply::Imported(Imported { account: account.name.to_string(), weak, outcome }))
}

pub(super) async fn confirm(house: &House, peer: &UCred, user: &str, code: Secret) -> Result<Reply, Reply> {
    if let Some(refusal) = no_code_is_judged(house) {
        return Err(refusal);
    }
    let account = find(house, user).await?;
    let _alone = COUNTING.lock().await;
    let mut word = "enrolled";
    if let Some(pending) = having(house, &account, AuthenticatorState::Pending).await?.first() {
        // Only one that replaces another has the label of an active one.
        let label = Label::new(&pending.label).map_err(|error| unavailable(&error.to_string()))?;
        let active = having(house, &account, AuthenticatorState::Active).await?;
        if active.iter().any(|active| active.label == pending.label) {
            word = REPLACED;
        }
        stay_in_budget(house, &account, pending.digits, Some(&label)).await?;
    }
    let outcome =
        house.store.confirm(&account.id, code, house.clock.now()).await.map_err(|error| of_store(&error))?;
    match outcome {
        Confirmation::Confirmed(report) => {
            record(house, peer, word, &account, &report.label);
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

/// Removes an authenticator, active or pending.
pub(super) async fn revoke(house: &House, peer: &UCred, user: &str, label: &str) -> Result<Reply, Reply> {
    let label = Label::new(label).map_err(|error| wrong(&error.to_string()))?;
    let account = find(house, user).await?;
    let left = house.store.revoke(&account.id, label.clone()).await.map_err(|error| of_store(&error))?;
    let Some(authenticators_left) = left else {
        return Err(no(&format!(
            "{user} has no authenticator \"{}\"; twinlock user show {user} lists them",
            label.as_str()
        )));
    };
    record(house, peer, "authenticator-revoked", &account, label.as_str());
    let recovery_codes_left =
        house.store.recovery_left(&account.id).await.map_err(|error| of_store(&error))?;
    Ok(Reply::Revoked(Revoked {
        account: account.name.to_string(),
        id: account.id.to_string(),
        label: label.as_str().to_owned(),
        authenticators_left,
        recovery_codes_left,
    }))
}

/// Refuses an authenticator of `digits` more where the account's guess bound would pass the budget. One that is replaced
/// by it does not count.
async fn stay_in_budget(
    house: &House,
    account: &Account,
    digits: u8,
    replaced: Option<&Label>,
) -> Result<(), Reply> {
    let mut active = having(house, account, AuthenticatorState::Active).await?;
    active.retain(|authenticator| replaced.is_none_or(|label| authenticator.label != label.as_str()));
    let existing: Vec<u8> = active.iter().map(|authenticator| authenticator.digits).collect();
    match check::would_exceed(&house.config, &house.policy, &existing, digits) {
        None => Ok(()),
        Some(bound) => Err(no(&format!(
            "one more authenticator of {digits} digits would raise the chance of guessing a code to {bound} a \
             year, above guess_budget = \"{}\"; {}",
            house.config.tarpit.guess_budget,
            check::remedies(&house.config)
        ))),
    }
}

async fn having(
    house: &House,
    account: &Account,
    state: AuthenticatorState,
) -> Result<Vec<AuthenticatorReport>, Reply> {
    let all = house.store.authenticators(&account.id).await.map_err(|error| of_store(&error))?;
    Ok(all.into_iter().filter(|authenticator| authenticator.state == state).collect())
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
