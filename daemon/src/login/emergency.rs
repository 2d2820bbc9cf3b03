//! Break glass: an emergency password lets its account in while the directory and the store are down, whatever the rules
//! and the lanes say, from a place that counts or with the account's own code. Looked at before anything else is, and a
//! wrong one is not noticed here at all: the attempt goes on as any other.
//!
//! A right one that lacks its place and code goes on too, with a password in its stead that is nobody's: the answer then
//! is what any wrong password would get, and the directory never sees one.

use super::recovery::{self, Used};
use crate::attempt::Deadline;
use crate::audit::{Proved, Record, event_line};
use crate::decision::Decision;
use crate::dialogue::{Answers, Dialogue};
use crate::emergency::EmergencyPassword;
use crate::grant::Grant;
use crate::house::House;
use crate::store::{Bind, CodeOutcome, CodeTry, EmergencyProof, Found, Settled, Settlement};
use crate::tarpit::{Charge, Try};
use std::time::Duration;
use twinlock_policy::{Source, Username};
use twinlock_protocol::Secret;

/// For a store that may be away to say whether an account is locked.
const PATIENCE: Duration = Duration::from_secs(2);

/// A grant; or the answers, with which the attempt goes on as any other.
pub(super) async fn break_glass(
    house: &House,
    tried: &Try<'_>,
    name: &Username,
    answers: Answers,
    dialogue: &mut Dialogue,
    record: &mut Record,
) -> Result<Answers, Decision> {
    let Some((password, code)) = EmergencyPassword::among(&answers) else { return Ok(answers) };
    let Some(found) = house.emergency.find(name, &password) else { return Ok(answers) };
    let account = found.account().to_string();
    let proved = if may_be_let_in(house, name, &found).await && !dialogue.is_abandoned() {
        prove(house, tried, found, code, record).await
    } else {
        None
    };
    let grant = proved.and_then(|(proof, used)| {
        let left = proof.left();
        Grant::by_emergency(tried.attempt, &proof).map(|grant| (Decision::Grant(grant), left, used))
    });
    let place = record.place.clone();
    let say = |word: &str, left: &str| {
        let (source, service) = (tried.place.source().to_string(), tried.place.service().to_string());
        let fields = [
            ("user", name.as_str()),
            ("account", account.as_str()),
            ("service", service.as_str()),
            ("source", source.as_str()),
            ("place", place.as_str()),
            ("left", left),
        ];
        house.auditor.alert(&event_line(word, &fields));
    };
    let Some((grant, left, used)) = grant else {
        say("emergency-refused", "-");
        return Ok(decoy(answers));
    };
    say("emergency-login", &left.to_string());
    recovery::tell(house, dialogue, used, &grant).await;
    record.account = Some(account);
    Err(grant)
}

/// Neither a local account's name nor one that an administrator has locked. A store that does not answer locks nobody
/// here: the lock has revoked the account's emergency passwords as well.
async fn may_be_let_in(house: &House, name: &Username, found: &Found) -> bool {
    let mut names = found.names().iter().chain([name]);
    let local = names.any(|name| house.local_accounts.contains(name.as_str()).unwrap_or(true));
    let lock = house.store.disabled(found.account(), house.clock.now());
    !local && !matches!(Deadline::within(PATIENCE).bound(lock).await, Some(Ok(Some(_))))
}

/// Spends it, where a place or a code stands beside it; tells too if that was a recovery code.
async fn prove(
    house: &House,
    tried: &Try<'_>,
    found: Found,
    code: Secret,
    record: &mut Record,
) -> Option<(EmergencyProof, Option<Used>)> {
    let wall = house.clock.now().wall;
    if tried.place.network().is_some() || *tried.place.source() == Source::Local {
        let proof = house.emergency.spend(tried.attempt, found, wall).await.ok().flatten()?;
        return Some((proof, None));
    }
    if code.is_empty() {
        return None;
    }
    let (account, name) = (found.account().clone(), found.name().clone());
    let charge = house.tarpit.charge_emergency(tried, &account, &name, CodeTry::Code(code)).await.ok()?;
    let (right, used) = (is_right(&charge), Used::of(&charge));
    // Spent either way: whoever holds one somewhere else guesses at the code as often as there are passwords.
    let proof = house.emergency.spend(tried.attempt, found, wall).await.ok().flatten();
    let granted = proof.filter(|_| right);
    let settlement = match granted {
        Some(_) => Settlement::Granted { learn: None },
        // What goes on as any other attempt is charged as one.
        None => Settlement::Released,
    };
    let settled = house.tarpit.settle(charge, settlement, Bind::NotSent, None).await;
    let proof = granted.filter(|_| matches!(settled, Ok(Settled::Done)))?;
    record.code = if used.is_some() { Proved::Recovery } else { Proved::Right };
    Some((proof, used))
}

fn is_right(charge: &Charge) -> bool {
    charge
        .of_account()
        .is_some_and(|(_, charge)| matches!(charge.code(), CodeOutcome::Right(_)) && !charge.is_disabled())
}

/// The same answers with a password that is nobody's. Without random numbers, none: an empty one is bound nowhere.
fn decoy(answers: Answers) -> Answers {
    let password = EmergencyPassword::random().map(|random| random.to_secret()).unwrap_or_default();
    match answers {
        Answers::Separate { code, .. } => Answers::Separate { password: Some(password), code },
        Answers::Field(_) => Answers::Field(password),
        Answers::SshdMarker => Answers::SshdMarker,
    }
}
