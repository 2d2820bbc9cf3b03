//! `twinlock explain --since`: recorded attempts under a configuration that is not in force, beside the one that is. Both
//! are put to the attempt's own source, service and moment, and to what is known now of everything else: groups, earned
//! places, the GeoIP file. So what differs, differs by the configuration alone.

use super::explain::{Asked, judged, look};
use super::{PER_REQUEST, unavailable, wrong};
use crate::attempt::{AttemptId, Deadline};
use crate::audit::Record;
use crate::clock::WallTime;
use crate::decision::{Decision, Reason};
use crate::directory::Account;
use crate::history::Wanted;
use crate::house::House;
use crate::login::find;
use std::collections::HashMap;
use std::path::Path;
use twinlock_control::{Cursor, Difference, RecordedAttempt, ReplayPage, ReplayQuery, Reply, Treatment};
use twinlock_policy::{Accepted, Explanation, Policy, Service, Source, Username, check};

/// Attempts a page: each may need a search in the directory, and the command waits 30 s for a page.
const AT_ONCE: u32 = 100;

pub(super) async fn page(house: &House, query: &ReplayQuery) -> Result<Reply, Reply> {
    let (candidate, group_bases) = twinlock_config::parse(&query.config, Path::new("the candidate"))
        .and_then(|loaded| {
            let wanted = loaded.config.rule.iter().any(|rule| rule.groups.is_some());
            let bases = loaded
                .config
                .directory
                .iter()
                .filter_map(|(name, directory)| Some((name.clone(), directory.group_base.clone()?)));
            Ok((check::accept(&loaded)?, bases.filter(|_| wanted).collect::<HashMap<_, _>>()))
        })
        .map_err(|problems| wrong(&problems.to_string()))?;
    let wanted = Wanted { since: Some(query.since), ..Wanted::default() };
    let recorded = house
        .history
        .page(wanted, AT_ONCE, query.from.or(Some(Cursor::Before(u64::MAX))))
        .await
        .map_err(|problem| unavailable(&problem))?;
    let mut page = ReplayPage { looked_at: 0, skipped: 0, differences: Vec::new(), next: recorded.next };
    let mut accounts = HashMap::new();
    for attempt in &recorded.attempts {
        let count = u64::from(attempt.count);
        page.looked_at += count;
        let Some(asked) = asked(attempt) else {
            page.skipped += count;
            continue;
        };
        if !accounts.contains_key(&asked.name) {
            let account = account(house, &asked.name, &group_bases).await.map_err(|_| {
                unavailable("the directory does not answer, so nobody's groups are known; try again")
            })?;
            accounts.insert(asked.name.clone(), account);
        }
        match accounts.get(&asked.name) {
            Some(Some(account)) => compare(house, &candidate, &asked, account, attempt, &mut page),
            Some(None) | None => page.skipped += count,
        }
    }
    Ok(Reply::Replayed(page))
}

/// The account with its groups, where the candidate's rules ask for them. The error is for a directory that does not
/// answer.
async fn account(
    house: &House,
    name: &Username,
    group_bases: &HashMap<String, String>,
) -> Result<Option<Account>, Decision> {
    let mut record = Record::new(AttemptId::from_number(0), "", name.as_str().as_bytes());
    let found = find(house, name, Deadline::within(PER_REQUEST), &mut record).await?.ok();
    let Some(mut account) = found else { return Ok(None) };
    if account.groups.is_none() {
        let groups = house.directory.groups_of(&account, group_bases, Deadline::within(PER_REQUEST)).await;
        account.groups = groups.map_err(|_| Decision::Unavailable(Reason::DirectoryUnavailable))?;
    }
    Ok(Some(account))
}

/// What was asked then, if the record still says it whole.
fn asked(attempt: &RecordedAttempt) -> Option<Asked> {
    let source = match attempt.source.as_str() {
        "local" => Source::Local,
        "unknown" => Source::Unknown,
        literal => Source::Address(Source::literal(literal.as_bytes())?),
    };
    if attempt.user.ends_with("...") || attempt.service.ends_with("...") {
        return None;
    }
    Some(Asked {
        source,
        service: Service::new(&attempt.service),
        accepted: Accepted { publickey: attempt.after == "publickey", sshd: attempt.after == "sshd" },
        name: Username::from_pam(attempt.user.as_bytes()).ok()?,
        account_phase: attempt.phase == "account",
        at: WallTime(attempt.at),
    })
}

fn compare(
    house: &House,
    candidate: &Policy,
    asked: &Asked,
    account: &Account,
    attempt: &RecordedAttempt,
    page: &mut ReplayPage,
) {
    let treatment = |policy: &Policy| {
        let (_, rules) = look(house, policy, asked, Some(account));
        let (would, _) = judged(&rules, asked);
        let Explanation { asked, factors, rule, .. } = rules;
        Treatment { would, asked, factors, rule }
    };
    let (before, after) = (treatment(&house.policy), treatment(candidate));
    let same_to_people = before.would == after.would
        && before.factors == after.factors
        && (asked.account_phase || before.asked == after.asked);
    if same_to_people {
        return;
    }
    let count = u64::from(attempt.count);
    let alike = |difference: &&mut Difference| {
        difference.account == account.name.as_str()
            && difference.service == attempt.service
            && difference.source == attempt.source
            && difference.before == before
            && difference.after == after
    };
    if let Some(known) = page.differences.iter_mut().find(alike) {
        known.count += count;
        known.last = known.last.max(attempt.at);
        return;
    }
    page.differences.push(Difference {
        account: account.name.to_string(),
        service: attempt.service.clone(),
        source: attempt.source.clone(),
        before,
        after,
        count,
        last: attempt.at,
    });
}
