//! The third straight line: a new password through PAM. Who was just let in and must change it shows the ticket of that
//! login; anybody else proves the password in force, and a code first where the account has an authenticator, under the
//! same charge as a login. Only then is a new one asked for, and a refusal of it loses nothing.

use crate::attempt::{AttemptId, Deadline};
use crate::audit::Record;
use crate::caller::Caller;
use crate::conclude::conclude;
use crate::decision::{Decision, Reason};
use crate::dialogue::{Answers, Dialogue};
use crate::directory::{Account, Changed};
use crate::house::House;
use crate::login::{find, prove_current};
use crate::tickets::MustChange;
use std::time::Duration;
use tokio::time::Instant;
use twinlock_config::RequiredFactor;
use twinlock_policy::{Questions, Username};
use twinlock_protocol::{AuthTok, Secret, Verdict};

/// From an answer to what follows it; below the module's 20 s.
const DECIDING: Duration = Duration::from_secs(15);

/// New passwords that may be tried in one conversation.
const TRIES: u8 = 3;

/// Runs one change from its opening to its verdict.
pub async fn change(
    house: &House,
    id: AttemptId,
    caller: &Caller,
    ticket: Option<&Secret>,
    mut dialogue: Dialogue,
) {
    let started = Instant::now();
    let mut record = Record::new(id, "password", &caller.user);
    let just_proved = ticket.and_then(|ticket| house.changes.redeem(ticket, &caller.bearer())).flatten();
    let changed = match current(house, id, caller, just_proved, &mut dialogue, &mut record).await {
        Ok(current) => renew(house, &current, &mut dialogue, &mut record).await,
        Err(decision) => Err(decision),
    };
    let codes_refused = house.tarpit.codes_refused().is_some() && asks_codes(house);
    let (verdict, reason) = match changed {
        Ok(authtok) => (Verdict::Grant { ticket: None, authtok }, Reason::PasswordChanged),
        // As at a login: while no code can be judged, a denial would tell who needs none.
        Err(Decision::Deny(reason)) if codes_refused => (Verdict::Unavailable, reason),
        Err(Decision::Deny(reason)) => (reason.denial(), reason),
        Err(Decision::Unavailable(reason)) => (Verdict::Unavailable, reason),
        Err(Decision::Grant(_)) => (Verdict::Deny, Reason::RuleNotMet),
    };
    conclude(house, dialogue, &record, verdict, reason, started).await;
}

/// An account whose password in force has been proved.
struct Current {
    account: Account,
    password: Secret,
    /// Questions that were asked for it.
    asked: u8,
}

/// The account and its password in force.
async fn current(
    house: &House,
    id: AttemptId,
    caller: &Caller,
    just_proved: Option<MustChange>,
    dialogue: &mut Dialogue,
    record: &mut Record,
) -> Result<Current, Decision> {
    let place = house.locations.place(&house.policy, caller.source, &caller.service, None);
    let code = just_proved.is_none() && asks_codes(house);
    record.opened(caller, &place, Questions { password: just_proved.is_none(), code, single: false });
    let name = Username::from_pam(&caller.user).map_err(|_| Decision::Deny(Reason::UnusableName))?;
    if let Some(MustChange { account: proved, password }) = just_proved {
        let account =
            find(house, &name, Deadline::within(DECIDING), record).await?.map_err(Decision::Deny)?;
        // The name may have come to mean another entry meanwhile.
        if account.id != proved {
            return Err(Decision::Deny(Reason::RuleNotMet));
        }
        if let Some(bar) = account.standing.bar {
            return Err(Decision::Deny(Reason::Barred(bar)));
        }
        return Ok(Current { account, password, asked: 0 });
    }
    let answers = dialogue.current(code).await.map_err(|broken| Decision::Deny(broken.into()))?;
    let Answers::Separate { password: Some(password), code: typed } = answers else {
        return Err(Decision::Deny(Reason::RefusedBySshd));
    };
    let account = prove_current(house, id, caller, &place, &name, &password, typed, dialogue, record).await?;
    Ok(Current { account, password, asked: 1 + u8::from(code) })
}

/// Whether any rule asks a code: only then can an account have been given an authenticator for one.
fn asks_codes(house: &House) -> bool {
    let mut rules = house.config.rule.iter();
    rules.any(|rule| rule.require.as_ref().is_some_and(|asked| asked.contains(&RequiredFactor::Code)))
}

/// Asks for a new password until the directory takes one. Gives the place of the one it took among the answers.
async fn renew(
    house: &House,
    current: &Current,
    dialogue: &mut Dialogue,
    record: &mut Record,
) -> Result<Option<AuthTok>, Decision> {
    for round in 0..TRIES {
        let (new, again) = dialogue.new_password().await.map_err(|broken| Decision::Deny(broken.into()))?;
        if new != again {
            dialogue.complain("The two are not the same.").await;
            continue;
        }
        if new == current.password {
            dialogue.complain("That is the current password.").await;
            continue;
        }
        // It may have been locked while the person typed, and a change that ends well opens a session.
        match house.store.disabled(&current.account.id, house.clock.now()).await {
            Ok(None) => {}
            Ok(Some(_)) => return Err(Decision::Deny(Reason::DisabledByAdministrator)),
            Err(_) => return Err(Decision::Unavailable(Reason::StoreUnavailable)),
        }
        let deadline = Deadline::within(DECIDING);
        match house.directory.change(&current.account, &current.password, &new, deadline).await {
            Ok(Changed::Done) => {
                dialogue.tell("The password was changed.").await;
                let length = u16::try_from(new.len()).ok();
                return Ok(length.map(|length| AuthTok { answer: current.asked + 2 * round, length }));
            }
            Ok(Changed::Refused(words)) => {
                dialogue.complain(&words).await;
                record.detail = Some(words);
            }
            Err(error) => {
                record.detail = Some(error.to_string());
                return Err(Decision::Unavailable(Reason::DirectoryUnavailable));
            }
        }
    }
    Err(Decision::Deny(Reason::NewPasswordRefused))
}
