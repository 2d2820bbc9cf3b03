//! The same proofs as in a login, for a password's change: charge, compare, bind, settle. What is asked does not depend
//! on a rule but on what the account has.

use super::recovery::{self, Used};
use super::steps::{Typed, admitted, code_of, find, nobody, prove, refused, standing, unless_disabled};
use super::{After, DECIDING, Judged, settle};
use crate::attempt::{AttemptId, Deadline};
use crate::audit::Record;
use crate::caller::Caller;
use crate::decision::{Decision, Reason};
use crate::dialogue::{Answers, Dialogue};
use crate::directory::Account;
use crate::grant::Grant;
use crate::house::House;
use crate::store::Bind;
use crate::tarpit::{Gate, Try};
use twinlock_control::AuthenticatorState;
use twinlock_policy::{Factors, Place, Plan, Questions, RuleName, Username};
use twinlock_protocol::Secret;

/// The account of `name`, once `password`, and `code` where it has an authenticator, are proved to be its.
///
/// # Errors
/// A denial or an outage; it is settled.
#[allow(clippy::too_many_arguments, reason = "everything an attempt consists of")]
pub(crate) async fn prove_current(
    house: &House,
    id: AttemptId,
    caller: &Caller,
    place: &Place,
    name: &Username,
    password: &Secret,
    code: Option<Secret>,
    dialogue: &mut Dialogue,
    record: &mut Record,
) -> Result<Account, Decision> {
    if house.tarpit.gate(name, place) == Gate::Closed {
        return Err(Decision::Deny(Reason::PrefixClosed));
    }
    let hold = house.policy.service(&caller.service).hold;
    let deadline = Deadline::within(DECIDING);
    let tried = Try { attempt: id, place, invoker: &caller.invoker, hold, deadline };
    let account = match find(house, name, deadline, record).await? {
        Ok(account) => account,
        Err(reason) => {
            let questions = Questions { password: true, code: code.is_some(), single: false };
            let answers = Answers::Separate { password: Some(password.clone()), code };
            let judged = nobody(house, &tried, name, questions, &answers, reason, record).await?;
            return Err(settle(house, dialogue, judged).await.decision);
        }
    };
    let unavailable = |_| Decision::Unavailable(Reason::StoreUnavailable);
    let authenticators = house.store.authenticators(&account.id).await.map_err(unavailable)?;
    let has_one = authenticators.iter().any(|one| one.state == AuthenticatorState::Active);
    // Where no rule asks a code, none was asked here either.
    let factors = Factors { password: true, code: has_one && code.is_some() };
    let plan = Plan::Require { rule: RuleName::new("password change"), factors, waiver: None };
    // What stands where a code may be is not looked at, for an account that has none.
    let answers = Answers::Separate { password: Some(password.clone()), code: code.filter(|_| has_one) };
    let typed = Typed::sorted(answers, factors, None);
    let charge =
        house.tarpit.charge(&tried, &account, typed.proofs).await.map_err(|why| refused(why, record))?;
    let code = code_of(&charge, factors, record);
    let (proved, bind) = match code.denial.filter(|_| factors.code) {
        Some(reason) => (Err(Decision::Deny(reason)), Bind::NotSent),
        None => prove(house, &tried, &account, password, factors, record).await,
    };
    let standing = standing(&account, proved.as_ref());
    let decision = match proved {
        Err(decision) => decision,
        Ok(password) => Grant::satisfied_by(&plan, id, &account.id, code.proof, password.as_ref())
            .map_or(Decision::Deny(Reason::RuleNotMet), |grant| admitted(grant, standing)),
    };
    let decision = unless_disabled(&charge, decision);
    let (found, after) = (Some(account.clone()), After::default());
    let judged = Judged {
        decision,
        charge,
        bind,
        account: found,
        learn: None,
        authtok: None,
        doubt: None,
        visit: None,
        after,
    };
    let used = Used::of(&judged.charge);
    let ended = settle(house, dialogue, judged).await;
    recovery::tell(house, dialogue, used, &ended.decision).await;
    match ended.decision {
        Decision::Grant(_) => {
            for news in &ended.news {
                dialogue.tell(news).await;
            }
            Ok(account)
        }
        denied @ (Decision::Deny(_) | Decision::Unavailable(_)) => Err(denied),
    }
}
