//! `twinlock explain`: what would come of a login and why, from the functions of the live path. Nothing is compared,
//! charged or learned.

use super::{PER_REQUEST, lane_report, of_store, seconds_until, wrong};
use crate::attempt::{AttemptId, Deadline};
use crate::audit::Record;
use crate::clock::WallTime;
use crate::decision::{Decision, Reason};
use crate::directory::Account;
use crate::house::House;
use crate::login::find;
use crate::tarpit::Gate;
use twinlock_control::{AuthenticatorState, ExplainQuery, Explained, LaneReport, Reply, Would};
use twinlock_policy::{
    Accepted, Explanation, GroupName, LaneKey, Outcome, Place, Policy, Service, Source, Stand, Subject,
    Username,
};

/// What is looked at besides the account.
pub(super) struct Asked {
    pub(super) source: Source,
    pub(super) service: Service,
    pub(super) accepted: Accepted,
    pub(super) name: Username,
    /// PAM's account phase, in which nobody types anything.
    pub(super) account_phase: bool,
    pub(super) at: WallTime,
}

pub(super) async fn explain(house: &House, query: &ExplainQuery) -> Result<Reply, Reply> {
    let asked = asked(house, query).map_err(wrong)?;
    let mut record = Record::new(AttemptId::from_number(0), "", query.user.as_bytes());
    let found = find(house, &asked.name, Deadline::within(PER_REQUEST), &mut record).await;
    let groups = query.groups.as_ref().map(|groups| groups.iter().map(GroupName::new).collect::<Vec<_>>());
    let (mut account, refusal) = match found {
        Ok(Ok(account)) => (Some(account), None),
        Ok(Err(reason)) => (None, Some((Would::BeDenied, reason))),
        Err(Decision::Unavailable(reason)) => (None, Some((Would::BeUnavailable, reason))),
        Err(Decision::Deny(reason)) => (None, Some((Would::BeDenied, reason))),
        Err(Decision::Grant(_)) => (None, Some((Would::BeDenied, Reason::RuleNotMet))),
    };
    if let (Some(account), Some(groups)) = (&mut account, groups) {
        account.groups = Some(groups);
    }
    let (place, rules) = look(house, &house.policy, &asked, account.as_ref());
    let mut explained = Explained {
        would: Would::LetIn,
        reason: String::new(),
        account: account.as_ref().map(|account| account.name.to_string()),
        id: account.as_ref().map(|account| account.id.to_string()),
        groups: account.as_ref().and_then(|account| {
            account.groups.as_ref().map(|groups| groups.iter().map(ToString::to_string).collect())
        }),
        rules: serde_json::to_value(&rules).map_err(|error| super::unavailable(&error.to_string()))?,
        lane: None,
        prefixes: Vec::new(),
        withdrawn: None,
        recovery_codes_left: None,
        authenticators: None,
        changes: rules.changes(),
        unknown: Vec::new(),
    };
    let by_rules = judged(&rules, &asked);
    let (would, reason) = match (refusal, &account) {
        (Some(refusal), _) => refusal,
        (None, Some(account)) if by_rules.0 == Would::LetIn => {
            let disabled = house.store.disabled(&account.id, house.clock.now()).await;
            if disabled.map_err(|error| of_store(&error))?.is_some() {
                explained.changes.push(format!("twinlock user enable {}", account.name));
                (Would::BeDenied, Reason::DisabledByAdministrator)
            } else if let Some(bar) = account.standing.bar {
                explained.changes.push(format!(
                    "the directory says so of the account: twinlock doctor directory {}",
                    account.name
                ));
                (Would::BeDenied, Reason::Barred(bar))
            } else if asked.account_phase {
                by_rules
            } else {
                by_tarpit(house, &asked, query, &place, account, &rules, &mut explained).await?
            }
        }
        (None, _) => by_rules,
    };
    (explained.would, explained.reason) = (would, reason.word().to_owned());
    Ok(Reply::Explained(explained))
}

fn asked(house: &House, query: &ExplainQuery) -> Result<Asked, &'static str> {
    let source = match query.from.as_str() {
        "local" => Source::Local,
        "unknown" => Source::Unknown,
        literal => Source::Address(
            Source::literal(literal.as_bytes())
                .ok_or("a login comes from an address, or from local or unknown")?,
        ),
    };
    let accepted = match query.after.as_deref() {
        None => Accepted::default(),
        Some("publickey") => Accepted { publickey: true, sshd: false },
        Some("sshd") => Accepted { publickey: false, sshd: true },
        Some(_) => return Err("what sshd accepted before is publickey or sshd"),
    };
    Ok(Asked {
        source,
        service: Service::from_pam(query.service.as_bytes()),
        accepted,
        name: Username::from_pam(query.user.as_bytes()).map_err(|_| "that cannot be a user's name")?,
        account_phase: accepted.sshd,
        at: query.at.map_or_else(|| house.clock.now().wall, WallTime),
    })
}

/// What `policy` makes of it, and the place by which questions are asked.
pub(super) fn look(
    house: &House,
    policy: &Policy,
    asked: &Asked,
    account: Option<&Account>,
) -> (Place, Explanation) {
    let by_name = Some(&asked.name).filter(|_| !asked.account_phase);
    let place = house.locations.place_at(policy, asked.source, &asked.service, by_name, asked.at);
    let Some(account) = account else {
        let rules = policy.explain(&place, &place, asked.accepted, Subject::Anybody);
        return (place, rules);
    };
    let own = house.locations.place_of(policy, &place, &asked.name, &account.id);
    let subject = Subject::Account { names: &account.names, groups: account.groups.as_deref() };
    let rules = policy.explain(&place, &own, asked.accepted, subject);
    (place, rules)
}

/// What the rules come to, for whoever shows everything that is asked.
pub(super) fn judged(rules: &Explanation, asked: &Asked) -> (Would, Reason) {
    match rules.outcome {
        Outcome::Denied if rules.rule.is_none() => (Would::BeDenied, Reason::NoRule),
        Outcome::Denied => (Would::BeDenied, Reason::DeniedByRule),
        Outcome::Unavailable => (Would::BeUnavailable, Reason::ConditionUnknown),
        Outcome::LetIn if asked.accepted.sshd && !rules.factors.is_empty() => {
            (Would::BeDenied, Reason::RuleNotMet)
        }
        Outcome::LetIn if !asked.account_phase && !rules.covered => (Would::BeDenied, Reason::NotAsked),
        Outcome::LetIn => (Would::LetIn, Reason::RuleMet),
    }
}

/// What stands in the way of an account that the rules would let in.
async fn by_tarpit(
    house: &House,
    asked: &Asked,
    query: &ExplainQuery,
    place: &Place,
    account: &Account,
    rules: &Explanation,
    explained: &mut Explained,
) -> Result<(Would, Reason), Reply> {
    let now = house.clock.now();
    let Stand { account: key, prefixes } =
        house.tarpit.stand(place, &account.id, query.invoker.as_deref().unwrap_or_default());
    let limits = house.tarpit.limits();
    let lanes = house.store.lanes(&account.id, *limits, now).await.map_err(|error| of_store(&error))?;
    let lane = lanes.iter().find(|(lane, _)| *lane == key).map_or_else(
        || LaneReport { lane: key.to_string(), failures: 0, closed_for_s: 0 },
        |(key, lane)| lane_report(key, lane, limits, now.lane),
    );
    for closed in prefixes.map(|address| house.tarpit.closed_at(address)).unwrap_or_default() {
        explained.prefixes.push(LaneReport {
            lane: closed.prefix.to_string(),
            failures: closed.failures,
            closed_for_s: seconds_until(closed.not_before, now.lane),
        });
    }
    let all = house.store.authenticators(&account.id).await.map_err(|error| of_store(&error))?;
    let active = all.iter().filter(|one| one.state == AuthenticatorState::Active).count();
    explained.authenticators = u64::try_from(active).ok();
    let gate = house.tarpit.gate(&asked.name, place);
    let enforced = house.tarpit.observes_until().is_none();
    let closed_for_s = lane.closed_for_s;
    explained.lane = Some(lane);
    if enforced && (gate == Gate::Closed || !explained.prefixes.is_empty()) {
        explained.changes.push("the address is closed for a while: twinlock locks clear ADDRESS".into());
        return Ok((Would::BeDenied, Reason::PrefixClosed));
    }
    if enforced && closed_for_s > 0 {
        explained.changes.push(format!(
            "the lane \"{key}\" opens by itself in {closed_for_s} s, or at once by: twinlock user unlock {}",
            account.name
        ));
        if active > 0 {
            explained.changes.push("two consecutive codes typed as one get in through it now".into());
        }
        return Ok((Would::BeDenied, Reason::LaneClosed));
    }
    let stolen = house.store.stolen(&account.id).await.map_err(|error| of_store(&error))?;
    explained.withdrawn = rules.waiver.clone().filter(|_| stolen.is_some());
    let needs_code = explained.withdrawn.is_some() || rules.factors.iter().any(|factor| factor == "code");
    if let Some(why) = house.tarpit.codes_refused().filter(|_| needs_code) {
        explained.changes.push("no code is taken at the moment; see twinlock status".into());
        return Ok((Would::BeUnavailable, why.into()));
    }
    let recovery = house.store.recovery_left(&account.id).await.map_err(|error| of_store(&error))?;
    explained.recovery_codes_left = Some(recovery);
    if needs_code && active == 0 && recovery == 0 {
        return Ok(without_authenticator(house, asked, place, account, stolen.is_some(), explained));
    }
    if key == LaneKey::Unfamiliar && closed_for_s == 0 {
        explained.unknown.push("whether strangers' guesses have raised this lane to two codes".into());
    }
    Ok((Would::LetIn, Reason::RuleMet))
}

/// What an account without an authenticator gets where a code is asked.
fn without_authenticator(
    house: &House,
    asked: &Asked,
    place: &Place,
    account: &Account,
    looks_stolen: bool,
    explained: &mut Explained,
) -> (Would, Reason) {
    let own = house.locations.place_of(&house.policy, place, &asked.name, &account.id);
    let subject = Subject::Account { names: &account.names, groups: account.groups.as_deref() };
    let plan = house.policy.plan(&own, asked.accepted, subject);
    let entrance = house.policy.entrance(&plan, &own).filter(|_| !looks_stolen);
    if let Some(day) = entrance.as_ref().and_then(|entrance| entrance.grace) {
        explained.changes.push(format!("after {day} (UTC) it needs a code here"));
        return (Would::LetIn, Reason::RuleMet);
    }
    if entrance.is_some() {
        explained
            .changes
            .push("the right password here shows it an authenticator, where two questions are asked".into());
    }
    let name = &account.name;
    explained.changes.push(format!("an authenticator: twinlock enroll {name}, or twinlock invite {name}"));
    (Would::BeDenied, Reason::NoAuthenticator)
}
