//! One login, in a straight line, top to bottom. Nothing else decides.
//!
//! It runs to its end in a task of its own that nobody cancels: hang-ups and deadlines are values its steps return. On
//! every path, an abandoned one included, it settles, records, and answers, in this order. What comes after the answer
//! decides nothing about it.

mod current;
mod diagnose;
mod emergency;
mod first;
mod last;
mod recovery;
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
use crate::store::{Bind, BindNeed, Settled, Settlement, Visit};
use crate::tarpit::{Charge, Gate, Try};
use crate::tickets::MustChange;
use diagnose::{Doubt, diagnose, news_for_owner, unless_stolen};
use std::time::Duration;
use steps::{
    Typed, admitted, after, code_of, is_disabled, nobody, prove, refused, standing, unless_disabled, veiled,
    watch_for_sprays,
};

pub(crate) use current::prove_current;
pub(crate) use last::visit;
pub(crate) use steps::{allowed_factors, find};
use tokio::time::Instant;
use twinlock_policy::{Factors, Prefix, Subject, Username};
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
    doubt: Option<Doubt>,
    visit: Option<Visit>,
    after: After,
}

/// What follows a grant.
#[derive(Default)]
struct After {
    /// What the person is told of the password's age.
    notice: Option<String>,
    /// The password, where the account phase will ask for another.
    must_change: Option<MustChange>,
}

/// An attempt that was settled.
struct Ended {
    decision: Decision,
    authtok: Option<AuthTok>,
    after: After,
    /// What the owner is to hear with a grant.
    news: Vec<String>,
    /// What is left to be told apart once it is answered.
    doubt: Option<Doubt>,
}

/// Runs one login from its opening to its verdict.
pub async fn login(house: &House, id: AttemptId, caller: &Caller, mut dialogue: Dialogue) {
    let started = Instant::now();
    let mut record = Record::new(id, "auth", &caller.user);
    let ended = match judge(house, id, caller, &mut dialogue, &mut record).await {
        Ok(judged) => {
            let used = recovery::Used::of(&judged.charge);
            let first = first::Done::of(&judged.charge, judged.account.as_ref());
            let ended = settle(house, &dialogue, judged).await;
            recovery::tell(house, &mut dialogue, used, &ended.decision).await;
            first::tell(house, caller, &mut dialogue, first, &ended.decision).await;
            ended
        }
        Err(decision) => {
            Ended { decision, authtok: None, after: After::default(), news: Vec::new(), doubt: None }
        }
    };
    let (verdict, reason) = match veiled(house, caller, ended.decision) {
        // Without random numbers there is no ticket, and the account phase judges anew.
        Decision::Grant(grant) => {
            for news in ended.news.iter().chain(&ended.after.notice) {
                dialogue.tell(news).await;
            }
            let ticket = house.tickets.issue(caller.bearer(), ended.after.must_change).ok();
            (Verdict::Grant { ticket, authtok: ended.authtok }, grant.reason())
        }
        Decision::Deny(reason) => (reason.denial(), reason),
        Decision::Unavailable(reason) => (Verdict::Unavailable, reason),
    };
    conclude(house, dialogue, &record, verdict, reason, started).await;
    if let Some(doubt) = ended.doubt {
        diagnose(house, id, caller, doubt).await;
    }
}

/// From the place to the grant. `Err` is a decision that was reached before anything was charged.
async fn judge(
    house: &House,
    id: AttemptId,
    caller: &Caller,
    dialogue: &mut Dialogue,
    record: &mut Record,
) -> Result<Judged, Decision> {
    let name = Username::from_pam(&caller.user);
    let place = house.locations.place(&house.policy, caller.source, &caller.service, name.as_ref().ok());
    let gate = name.as_ref().map_or(Gate::Open, |name| house.tarpit.gate(name, &place));
    let questions = house.policy.questions(&place, caller.accepted);
    record.opened(caller, &place, questions);
    let answers = dialogue.collect(questions).await.map_err(|broken| Decision::Deny(broken.into()))?;

    let name = name.map_err(|_| Decision::Deny(Reason::UnusableName))?;
    let tried = Try {
        attempt: id,
        place: &place,
        invoker: &caller.invoker,
        hold: house.policy.service(&caller.service).hold,
        deadline: Deadline::within(DECIDING),
    };
    let answers = emergency::break_glass(house, &tried, &name, answers, dialogue, record).await?;
    if gate == Gate::Closed {
        return Err(Decision::Deny(Reason::PrefixClosed));
    }
    let account = match find(house, &name, tried.deadline, record).await? {
        Ok(account) => account,
        Err(reason) => return nobody(house, &tried, &name, questions, &answers, reason, record).await,
    };
    if answers == Answers::SshdMarker {
        return Err(Decision::Deny(Reason::RefusedBySshd));
    }

    let subject = Subject::Account { names: &account.names, groups: account.groups.as_deref() };
    // Whoever was last let in under this name may have earned more here than this account has.
    let own = house.locations.place_of(&house.policy, &place, &name, &account.id);
    record.placed(&own);
    let plan = house.policy.plan(&own, caller.accepted, subject);
    let plan = unless_stolen(house, &account, plan, record).await?;
    record.planned(&plan);
    let factors = allowed_factors(&plan)?;
    // Where a waiver was withdrawn, the code may stand behind the password; otherwise nothing less than the plan counts.
    if !questions.cover(factors) && record.withdrawn.is_none() {
        return Err(Decision::Deny(Reason::NotAsked));
    }
    let earn = house.locations.earning(&own, &name, factors).filter(|_| caller.trusted).map(Box::new);
    let door = first::door(house, &account, &plan, &own, &answers, record).await?;
    let mut typed = Typed::sorted(answers, factors, earn);
    let code_was_left_empty = typed.proofs.code.was_left_empty();
    if door.is_some() {
        typed.proofs.bind = BindNeed::AfterCodeIfAny;
    }

    let charge =
        house.tarpit.charge(&tried, &account, typed.proofs).await.map_err(|why| refused(why, record))?;
    let code = code_of(&charge, factors, record);
    // An account that has no authenticator yet, and may get one or do without.
    let way = first::way(&charge, door);
    let asked =
        Factors { code: factors.code && !way.as_ref().is_some_and(first::Way::is_by_place), ..factors };
    let in_field = typed.password.may_hold_code();
    let (password_typed, authtok) = typed.password.split(code.length);
    let (proved, bind) = match code.denial.filter(|_| factors.code && way.is_none()) {
        Some(reason) => (Err(Decision::Deny(reason)), Bind::NotSent),
        None => prove(house, &tried, &account, &password_typed, asked, record).await,
    };
    let standing = standing(&account, proved.as_ref());
    let (decision, first) = match (proved, way) {
        (Err(decision), _) => (decision, None),
        (Ok(_), Some(_)) if is_disabled(&charge) => (Decision::Deny(Reason::DisabledByAdministrator), None),
        (Ok(password), Some(way)) => {
            let proved = (&plan, password.as_ref());
            first::let_in(house, dialogue, &tried, (&account, standing), proved, &way, record).await
        }
        (Ok(password), None) => {
            let grant = Grant::satisfied_by(&plan, id, &account.id, code.proof, password.as_ref());
            (grant.map_or(Decision::Deny(Reason::RuleNotMet), |grant| admitted(grant, standing)), None)
        }
    };
    let decision = unless_disabled(&charge, decision);
    let charge = charge.with_first(first);
    let after = after(&account, standing, &password_typed);
    if matches!(decision, Decision::Deny(Reason::WrongCode | Reason::WrongPassword | Reason::NoAuthenticator))
    {
        watch_for_sprays(house, &account.name, &password_typed);
    }
    // Where a waiver was withdrawn, nobody was asked for the code that is missing; and who only pressed Enter did not
    // try one.
    let asked_both = factors.password && record.withdrawn.is_none() && !code_was_left_empty;
    let doubt = Doubt::of(&decision, &charge, &account, &password_typed, in_field).filter(|_| asked_both);
    let learn = place.earnable_prefix().filter(|_| caller.trusted);
    let authtok = authtok.filter(|_| factors.password);
    let visit = visit(caller, &place);
    Ok(Judged { decision, charge, bind, account: Some(account), learn, authtok, doubt, visit, after })
}

/// One durable transaction; only then may anybody hear of it.
async fn settle(house: &House, dialogue: &Dialogue, judged: Judged) -> Ended {
    let decision = match judged.decision {
        Decision::Grant(_) if dialogue.is_abandoned() => Decision::Deny(Reason::Abandoned),
        decided @ (Decision::Grant(_) | Decision::Deny(_) | Decision::Unavailable(_)) => decided,
    };
    let warning = match &decision {
        Decision::Grant(_) => news_for_owner(house, &judged.charge, judged.bind).await,
        Decision::Deny(_) | Decision::Unavailable(_) => None,
    };
    let settlement = match &decision {
        Decision::Grant(_) => Settlement::Granted { learn: judged.learn },
        // A right code behind a password that is known to be wrong is spent, as behind a fresh one.
        Decision::Deny(Reason::RepeatedPassword) if judged.charge.has_right_code() => Settlement::Failed,
        Decision::Deny(
            Reason::Abandoned | Reason::TimedOut | Reason::RepeatedPassword | Reason::Barred(_),
        )
        | Decision::Unavailable(_) => Settlement::Released,
        // Only where the code is what was said no to: behind a waiver, the password was guessed all the same.
        Decision::Deny(Reason::ReplayedCode | Reason::CodeInUse) if judged.charge.repeats_own_code() => {
            Settlement::Released
        }
        Decision::Deny(_) => Settlement::Failed,
    };
    let earns = judged.charge.of_account().is_some_and(|(_, charge)| charge.earn().is_some());
    let Judged { charge, bind, account, visit, authtok, doubt, after, .. } = judged;
    let settled = house.tarpit.settle_visit(charge, settlement, bind, account.as_ref(), visit.clone()).await;
    let mut news = Vec::from_iter(warning);
    let decision = match settled {
        Ok((Settled::Done, past)) => {
            if let (Decision::Grant(_), Some(account), Some(visit)) = (&decision, &account, &visit) {
                last::note_new_place(house, account, visit, &past);
                news.extend(last::sentence(house, visit, &past));
            }
            decision
        }
        Ok((Settled::Conflict, _)) => Decision::Deny(Reason::ReplayedCode),
        Ok((Settled::Disabled, _)) => Decision::Deny(Reason::DisabledByAdministrator),
        Err(_) => Decision::Unavailable(Reason::StoreUnavailable),
    };
    if let (Decision::Grant(_), true, Some(account)) = (&decision, earns, &account) {
        // What cannot be read is asked for again at the next login.
        let _ = house.locations.refresh(&house.store, &account.id).await;
    }
    if house.tarpit.spread_began() {
        house.auditor.warning("spread-attack unfamiliar=\"two codes only\"");
    }
    let doubt = doubt.filter(|_| matches!(decision, Decision::Deny(_)));
    Ended { decision, authtok, after, news, doubt }
}
