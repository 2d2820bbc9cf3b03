//! The second straight line: PAM's account phase, which key logins pass too. Nothing is guessed here, so it never
//! looks at lanes: strangers must not be able to stop a key login.

use crate::attempt::{AttemptId, Deadline};
use crate::audit::Record;
use crate::caller::Caller;
use crate::conclude::conclude;
use crate::decision::{Decision, Reason};
use crate::dialogue::Dialogue;
use crate::directory::PasswordAge;
use crate::grant::Grant;
use crate::house::House;
use crate::login::{allowed_factors, find, visit};
use std::time::Duration;
use tokio::time::Instant;
use twinlock_policy::{Accepted, Questions, Subject, Username};
use twinlock_protocol::{Secret, Standing, Verdict};

/// From the opening to the verdict; below the module's 20 s.
const DECIDING: Duration = Duration::from_secs(15);

/// Answers one account phase. A login that was just granted shows its ticket: it is recognised once, and not recorded
/// twice.
pub async fn account(
    house: &House,
    id: AttemptId,
    caller: &Caller,
    ticket: Option<&Secret>,
    dialogue: Dialogue,
) {
    let started = Instant::now();
    if let Some(must_change) = ticket.and_then(|ticket| house.tickets.redeem(ticket, &caller.bearer())) {
        let verdict = match must_change {
            None => Verdict::Grant { ticket: None, authtok: None },
            // Without random numbers there is no ticket, and the change asks for the old password again.
            Some(password) => Verdict::Withheld {
                standing: Standing::NewPassword,
                ticket: house.changes.issue(caller.bearer(), Some(password)).ok(),
            },
        };
        return dialogue.conclude(verdict).await;
    }
    let mut record = Record::new(id, "account", &caller.user);
    let (verdict, reason) = match judge(house, id, caller, &mut record).await {
        Ok(()) => (Verdict::Grant { ticket: None, authtok: None }, Reason::RuleMet),
        Err(Decision::Unavailable(reason)) => (Verdict::Unavailable, reason),
        Err(Decision::Deny(reason)) => (reason.denial(), reason),
        Err(Decision::Grant(_)) => (Verdict::Deny, Reason::RuleNotMet),
    };
    conclude(house, dialogue, &record, verdict, reason, started).await;
}

/// `Err` holds a denial or an outage.
async fn judge(house: &House, id: AttemptId, caller: &Caller, record: &mut Record) -> Result<(), Decision> {
    let sshd = house.policy.is_sshd(&caller.service);
    let place = house.locations.place(&house.policy, caller.source, &caller.service, None);
    record.opened(caller, &place, Questions { password: false, code: false, single: false });
    let name = Username::from_pam(&caller.user).map_err(|_| Decision::Deny(Reason::UnusableName))?;
    let account = find(house, &name, Deadline::within(DECIDING), record).await?.map_err(Decision::Deny)?;

    let place = house.locations.place_of(&house.policy, &place, &name, &account.id);
    record.placed(&place);
    // sshd does not say here which method it accepted: it decided alone.
    let accepted = Accepted { sshd, publickey: false };
    record.after = if sshd { "sshd" } else { "" };
    let subject = Subject::Account { names: &account.names, groups: account.groups.as_deref() };
    let plan = house.policy.plan(&place, accepted, subject);
    record.planned(&plan);
    allowed_factors(&plan)?;
    if sshd && Grant::satisfied_by(&plan, id, &account.id, None, None).is_none() {
        return Err(Decision::Deny(Reason::RuleNotMet));
    }
    match house.store.disabled(&account.id, house.clock.now()).await {
        Ok(None) => {}
        Ok(Some(_)) => return Err(Decision::Deny(Reason::DisabledByAdministrator)),
        Err(error) => {
            record.detail = Some(error.to_string());
            return Err(Decision::Unavailable(Reason::StoreUnavailable));
        }
    }
    if let Some(bar) = account.standing.bar {
        return Err(Decision::Deny(Reason::Barred(bar)));
    }
    // Who came in by a key has shown no password: its age says nothing about this login.
    if !sshd && account.standing.password == PasswordAge::MustChange {
        return Err(Decision::Deny(Reason::NewPasswordNeeded));
    }
    if let Some(visit) = visit(caller, &place).filter(|_| sshd) {
        let (store, now) = (house.store.clone(), house.clock.now());
        // Not waited for: it is a note, and what cannot be noted keeps nobody out.
        tokio::spawn(async move { store.note_visit(&account.id, visit, now).await });
    }
    Ok(())
}
