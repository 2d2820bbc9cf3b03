//! One login, in a straight line, top to bottom. Nothing else decides.
//!
//! It runs to its end in a task of its own that nobody cancels: hang-ups and deadlines are values its steps return. On
//! every path, an abandoned one included, it settles, records, and answers, in this order.

mod steps;
#[cfg(test)]
mod tests;

use crate::attempt::{AttemptId, Deadline};
use crate::audit::Record;
use crate::caller::Caller;
use crate::conclude::conclude;
use crate::decision::{Decision, Reason};
use crate::dialogue::{Answers, Dialogue};
use crate::directory::Account;
use crate::grant::Grant;
use crate::house::House;
use crate::store::{Bind, Settled, Settlement};
use crate::tarpit::{Charge, Gate, Try};
use std::time::Duration;
use steps::{Typed, code_of, nobody, prove, refused, veiled, watch_for_sprays};

pub(crate) use steps::{allowed_factors, find};
use tokio::time::Instant;
use twinlock_policy::{Prefix, Subject, Username};
use twinlock_protocol::{AuthTok, Verdict};

/// From the last answer to the verdict; below the module's 20 s.
const DECIDING: Duration = Duration::from_secs(15);

/// An attempt that holds a charge, and what was found.
struct Judged {
    decision: Decision,
    charge: Charge,
    bind: Bind,
    account: Option<Account>,
    learn: Option<Prefix>,
    authtok: Option<AuthTok>,
}

/// Runs one login from its opening to its verdict.
pub async fn login(house: &House, id: AttemptId, caller: &Caller, mut dialogue: Dialogue) {
    let started = Instant::now();
    let mut record = Record::new(id, "auth", &caller.user);
    let (decision, authtok) = match judge(house, id, caller, &mut dialogue, &mut record).await {
        Ok(judged) => settle(house, &dialogue, judged).await,
        Err(decision) => (decision, None),
    };
    let (verdict, reason) = match veiled(house, caller, decision) {
        // Without random numbers there is no ticket, and the account phase judges anew.
        Decision::Grant(_) => {
            (Verdict::Grant { ticket: house.tickets.issue(caller.bearer()).ok(), authtok }, Reason::RuleMet)
        }
        Decision::Deny(reason) => (Verdict::Deny, reason),
        Decision::Unavailable(reason) => (Verdict::Unavailable, reason),
    };
    conclude(house, dialogue, &record, verdict, reason, started).await;
}

/// From the place to the grant. `Err` is a decision that was reached before anything was charged.
async fn judge(
    house: &House,
    id: AttemptId,
    caller: &Caller,
    dialogue: &mut Dialogue,
    record: &mut Record,
) -> Result<Judged, Decision> {
    let place = house.policy.place(caller.source, caller.service.clone());
    let name = Username::from_pam(&caller.user);
    let gate = name.as_ref().map_or(Gate::Open, |name| house.tarpit.gate(name, &place));
    let questions = house.policy.questions(&place, caller.accepted);
    record.opened(caller, &place, questions);
    let answers = dialogue.collect(questions).await.map_err(|broken| Decision::Deny(broken.into()))?;

    let name = name.map_err(|_| Decision::Deny(Reason::UnusableName))?;
    if gate == Gate::Closed {
        return Err(Decision::Deny(Reason::PrefixClosed));
    }
    let tried = Try {
        attempt: id,
        place: &place,
        invoker: &caller.invoker,
        hold: house.policy.service(&caller.service).hold,
        deadline: Deadline::within(DECIDING),
    };
    let account = match find(house, &name, tried.deadline, record).await? {
        Ok(account) => account,
        Err(reason) => return nobody(house, &tried, &name, questions, &answers, reason, record).await,
    };
    if answers == Answers::SshdMarker {
        return Err(Decision::Deny(Reason::RefusedBySshd));
    }

    let subject = Subject::Account { names: &account.names, groups: account.groups.as_deref() };
    let plan = house.policy.plan(&place, caller.accepted, subject);
    record.planned(&plan);
    let factors = allowed_factors(&plan)?;
    let typed = Typed::sorted(answers, factors);

    let charge =
        house.tarpit.charge(&tried, &account, typed.proofs).await.map_err(|why| refused(why, record))?;
    let code = code_of(&charge, factors, record);
    let (password_typed, authtok) = typed.password.split(code.length);
    let (proved, bind) = match code.denial.filter(|_| factors.code) {
        Some(reason) => (Err(Decision::Deny(reason)), Bind::NotSent),
        None => prove(house, &tried, &account, &password_typed, factors, record).await,
    };
    let decision = match proved {
        Err(decision) => decision,
        Ok(password) => Grant::satisfied_by(&plan, id, &account.id, code.proof, password.as_ref())
            .map_or(Decision::Deny(Reason::RuleNotMet), Decision::Grant),
    };
    if matches!(decision, Decision::Deny(Reason::WrongCode | Reason::WrongPassword | Reason::NoAuthenticator))
    {
        watch_for_sprays(house, &account.name, &password_typed);
    }
    let learn = place.earnable_prefix().filter(|_| caller.trusted);
    let authtok = authtok.filter(|_| factors.password);
    Ok(Judged { decision, charge, bind, account: Some(account), learn, authtok })
}

/// One durable transaction; only then may anybody hear of it.
async fn settle(house: &House, dialogue: &Dialogue, judged: Judged) -> (Decision, Option<AuthTok>) {
    let decision = match judged.decision {
        Decision::Grant(_) if dialogue.is_abandoned() => Decision::Deny(Reason::Abandoned),
        decided @ (Decision::Grant(_) | Decision::Deny(_) | Decision::Unavailable(_)) => decided,
    };
    let settlement = match &decision {
        Decision::Grant(_) => Settlement::Granted { learn: judged.learn },
        Decision::Deny(Reason::Abandoned | Reason::RepeatedPassword) | Decision::Unavailable(_) => {
            Settlement::Released
        }
        // Only where the code is what was said no to: behind a waiver, the password was guessed all the same.
        Decision::Deny(Reason::ReplayedCode | Reason::CodeInUse) if judged.charge.repeats_own_code() => {
            Settlement::Released
        }
        Decision::Deny(_) => Settlement::Failed,
    };
    let decision =
        match house.tarpit.settle(judged.charge, settlement, judged.bind, judged.account.as_ref()).await {
            Ok(Settled::Done) => decision,
            Ok(Settled::Conflict) => Decision::Deny(Reason::ReplayedCode),
            Err(_) => Decision::Unavailable(Reason::StoreUnavailable),
        };
    if house.tarpit.spread_began() {
        house.auditor.warning("spread-attack unfamiliar=\"two codes only\"");
    }
    (decision, judged.authtok)
}
