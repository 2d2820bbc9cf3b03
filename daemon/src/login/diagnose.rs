//! Right passwords behind wrong codes: told apart once the attempt is denied, recorded and answered, so that nothing
//! of it stands before a verdict; and what follows for the account. A caller never learns any of it.

use crate::attempt::{AttemptId, Deadline};
use crate::audit::{Record, event_line};
use crate::caller::Caller;
use crate::decision::{Decision, Reason};
use crate::directory::{Account, DirectoryError, PasswordOutcome, bindable};
use crate::house::House;
use crate::store::{Bind, CodeOutcome, StolenPassword, StoreError, Suspicion};
use crate::tarpit::{Charge, DIAGNOSING};
use time::OffsetDateTime;
use twinlock_control::AuthenticatorState;
use twinlock_policy::{LaneKey, Plan};
use twinlock_protocol::Secret;

/// A password that was typed beside a wrong code, and not looked at.
pub(super) struct Doubt {
    account: Account,
    typed: Secret,
    /// Password and code were typed as one.
    in_field: bool,
    /// From a place that the account does not know. A place that is none, this host's consoles, does not count.
    from_stranger: bool,
}

impl Doubt {
    /// What is in doubt, where nothing but the code was found wrong.
    pub(super) fn of(
        decision: &Decision,
        charge: &Charge,
        account: &Account,
        typed: &Secret,
        in_field: bool,
    ) -> Option<Self> {
        let Decision::Deny(Reason::WrongCode) = decision else { return None };
        let (lane, _) = charge.of_account()?;
        let from_stranger = matches!(lane, LaneKey::Unfamiliar | LaneKey::Network(_));
        Some(Self { account: account.clone(), typed: typed.clone(), in_field, from_stranger })
    }

    /// The password in it, if there is one that could be bound.
    async fn password(&self, house: &House) -> Result<Option<Secret>, StoreError> {
        let password = if self.in_field {
            let authenticators = house.store.authenticators(&self.account.id).await?;
            let active = authenticators.iter().filter(|one| one.state == AuthenticatorState::Active);
            before_code(self.typed.expose(), active.map(|one| one.digits.into()))
        } else {
            Some(self.typed.expose())
        };
        Ok(password.map(Secret::copy_of).filter(|password| bindable(password).is_some()))
    }
}

/// What stands before the longest code of these lengths that could end `field`.
fn before_code(field: &[u8], lengths: impl Iterator<Item = usize>) -> Option<&[u8]> {
    let digits = field.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let length = lengths.filter(|length| *length <= digits).max()?;
    field.get(..field.len().checked_sub(length)?)
}

/// Tells whether the password was right, by what is remembered or by the account's one diagnostic bind, and draws the
/// conclusions. Best effort: what cannot be told now is not told.
pub(super) async fn diagnose(house: &House, id: AttemptId, caller: &Caller, doubt: Doubt) {
    match is_right(house, id, &doubt).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => return unavailable(house, &error),
    }
    let source = caller.source.to_string();
    let (account, user) = (doubt.account.id.to_string(), doubt.account.name.to_string());
    let (service, attempt) = (caller.service.to_string(), id.to_string());
    let mut fields = vec![
        ("account", account.as_str()),
        ("user", user.as_str()),
        ("source", source.as_str()),
        ("service", service.as_str()),
        ("attempt", attempt.as_str()),
    ];
    house.auditor.warning(&event_line("right-password-wrong-code", &fields));
    if !doubt.from_stranger {
        return;
    }
    match house.store.suspect(&doubt.account.id, source.clone(), house.clock.now()).await {
        Ok(Suspicion::Noted | Suspicion::GoesOn) => {}
        Ok(Suspicion::Begins { tries }) => {
            let tries = tries.to_string();
            fields.push(("tries", &tries));
            house.auditor.alert(&event_line("password-looks-stolen", &fields));
            // What cannot be read is not trusted either.
            let _ = house.locations.refresh(&house.store, &doubt.account.id).await;
        }
        Err(error) => unavailable(house, &error),
    }
}

async fn is_right(house: &House, id: AttemptId, doubt: &Doubt) -> Result<bool, StoreError> {
    let account = &doubt.account;
    let Some(password) = doubt.password(house).await? else { return Ok(false) };
    if house.tarpit.was_right(&account.id, &password) {
        return Ok(true);
    }
    let deadline = Deadline::within(DIAGNOSING);
    let Some(diagnosis) = house.tarpit.take_diagnosis(id, account).await? else { return Ok(false) };
    let (bind, right) = match house.directory.prove(id, account, &password, deadline).await {
        // Right, and perhaps refused for how the account stands: then no failure was forgotten.
        Ok(PasswordOutcome::Right(proof)) if !proof.accepted() => (Bind::NotSent, true),
        Ok(PasswordOutcome::Right(_)) => (Bind::Right, true),
        Ok(PasswordOutcome::Wrong(_)) => (Bind::Wrong, false),
        Err(DirectoryError::Unavailable { bind_sent: true, .. }) => (Bind::Unanswered, false),
        Err(
            DirectoryError::Unavailable { bind_sent: false, .. }
            | DirectoryError::Ambiguous { .. }
            | DirectoryError::Unfit { .. },
        ) => (Bind::NotSent, false),
    };
    house.tarpit.settle_diagnosis(diagnosis, &account.id, &password, bind).await?;
    Ok(right)
}

fn unavailable(house: &House, error: &StoreError) {
    house.auditor.warning(&event_line("store-unavailable", &[("error", &error.to_string())]));
}

/// The plan, without its waiver while the account's password looks stolen: no place stands in for the code then.
pub(super) async fn unless_stolen(
    house: &House,
    account: &Account,
    plan: Plan,
    record: &mut Record,
) -> Result<Plan, Decision> {
    let Some(waiver) = plan.waiver() else { return Ok(plan) };
    match house.store.stolen(&account.id).await {
        Ok(None) => Ok(plan),
        Ok(Some(_)) => {
            record.withdrawn = Some(waiver.to_string());
            Ok(plan.without_waiver())
        }
        Err(error) => {
            record.detail = Some(error.to_string());
            Err(Decision::Unavailable(Reason::StoreUnavailable))
        }
    }
}

/// What the owner is to hear: whoever shows password and code ends the mark by it.
pub(super) async fn news_for_owner(house: &House, charge: &Charge, bind: Bind) -> Option<String> {
    let (_, of_account) = charge.of_account()?;
    if bind != Bind::Right || !matches!(of_account.code(), CodeOutcome::Right(_)) {
        return None;
    }
    // A store that cannot tell will not settle either, and then nobody is let in.
    house.store.stolen(of_account.account()).await.ok().flatten().map(|stolen| news(&stolen))
}

fn news(stolen: &StolenPassword) -> String {
    let times = if stolen.tries == 1 { "once".to_owned() } else { format!("{} times", stolen.tries) };
    let last = i64::try_from(stolen.last.0).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let last = last.map_or_else(
        || "at an unknown time".to_owned(),
        |at| format!("on {} at {:02}:{:02} UTC", at.date(), at.hour(), at.minute()),
    );
    format!(
        "Somebody who knows your password tried to log in at least {times}, last {last} from {}. \
         If that was not you, change your password.",
        stolen.last_from
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;

    #[test]
    fn in_one_field_the_password_ends_where_the_longest_code_of_the_account_can_begin() {
        for (field, lengths, password) in [
            ("pass123456", &[6][..], Some("pass")),
            ("pass12345678", &[6], Some("pass12")),
            ("pass12345678", &[6, 8], Some("pass")),
            ("pass1234567", &[8, 6], Some("pass1")),
            ("123456", &[6], Some("")),
            ("pass12345", &[6, 8], None),
            ("pass123456 ", &[6], None),
            ("pass123456", &[], None),
            ("", &[6], None),
        ] {
            let found = before_code(field.as_bytes(), lengths.iter().copied());
            assert_eq!(found, password.map(str::as_bytes), "{field} {lengths:?}");
        }
    }

    #[test]
    fn the_owner_reads_how_often_when_and_from_where_and_nothing_to_follow() {
        let stolen = StolenPassword {
            tries: 3,
            since: WallTime(0),
            last: WallTime(1_795_566_000),
            last_from: "203.0.113.7".into(),
        };
        assert_eq!(
            news(&stolen),
            "Somebody who knows your password tried to log in at least 3 times, last on 2026-11-25 at 00:20 UTC \
             from 203.0.113.7. If that was not you, change your password."
        );
    }
}
