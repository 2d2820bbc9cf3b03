//! Promise 14: what is explained is what is done. Random rules, random logins: the explanation names the rule that the
//! plan rests on, with the questions of the live path, and every rule above it does not match.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use std::path::Path;
use twinlock_policy::*;

const MONDAY: u64 = 1_795_392_000;
const DAY: u64 = 86_400;

fn any_rule() -> impl Strategy<Value = String> {
    let some = |key: &'static str, names: Vec<&'static str>| {
        let most = names.len().min(2);
        prop::option::weighted(0.4, prop::sample::subsequence(names, 1..=most))
            .prop_map(move |names| names.map_or_else(String::new, |names| format!("{key} = {names:?}\n")))
    };
    (
        some("services", vec!["sshd", "desk", "sudo"]),
        some("groups", vec!["staff", "admins"]),
        some("accounts", vec!["alice", "bob"]),
        some("from", vec!["office", "home", "usual", "local", "unknown", "private"]),
        some("not_from", vec!["office", "home"]),
        prop::sample::select(vec!["", "", "after = [\"publickey\"]\n", "after = [\"sshd\"]\n"]),
        prop::sample::select(vec![
            "",
            "",
            "until = \"2026-11-26\"\n",
            "when = { days = [\"tue\"], zone = \"UTC\" }\n",
        ]),
        prop::sample::select(vec![
            "deny = true\n",
            "require = [\"password\"]\nsingle_factor = true\n",
            "require = [\"code\"]\nsingle_factor = true\n",
            "require = [\"password\", \"code\"]\n",
        ]),
    )
        .prop_map(|(services, groups, accounts, from, not_from, after, when, asks)| {
            format!("{services}{groups}{accounts}{from}{not_from}{after}{when}{asks}")
        })
}

fn policy(rules: &[String]) -> Policy {
    let mut text = "[directory.main]\nkind = \"rfc2307\"\nservers = [\"ldaps://ldap.example.org\"]\nbase = \"dc=example\"\n\
         group_base = \"dc=groups\"\n[store]\nkey = { file = \"/k\" }\n[geoip]\ndatabase = \"/g\"\n\
         [location.office]\nnetworks = [\"192.0.2.0/24\"]\n[location.home]\ncountries = [\"NL\"]\n\
         [location.usual]\nfamiliar = { logins = 1, forget = \"90d\", at_most = 9 }\n[service.desk]\nprompt = \"single\"\n"
        .to_owned();
    for (number, rule) in rules.iter().enumerate() {
        text.push_str(&format!("[[rule]]\nname = \"rule {number}\"\n{rule}"));
    }
    match twinlock_config::parse(&text, Path::new("t")) {
        Ok(loaded) => Policy::new(&loaded.config),
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_explained_is_what_the_live_path_does(
        rules in prop::collection::vec(any_rule(), 1..6),
        from in prop::sample::select(vec!["192.0.2.7", "203.0.113.7", "10.1.1.1", "local", "unknown"]),
        service in prop::sample::select(vec!["sshd", "desk", "sudo"]),
        groups in prop::option::weighted(0.8, prop::sample::subsequence(vec!["staff", "admins"], 0..=2)),
        name in prop::sample::select(vec!["alice", "bob", "carol"]),
        told in prop::sample::select(vec![None, Some("NL"), Some("FR")]),
        earned in any::<(bool, bool)>(),
        at in prop::option::weighted(0.9, MONDAY..MONDAY + 7 * DAY),
        accepted in any::<(bool, bool)>(),
    ) {
        let policy = policy(&rules);
        let source = match from {
            "local" => Source::Local,
            "unknown" => Source::Unknown,
            literal => Source::Address(literal.parse().unwrap()),
        };
        let country = told.map_or(Listing::Unknown, |code| Listing::Listed(twinlock_config::Country::assigned(code).unwrap()));
        let origin = Origin { country, asn: Listing::Unknown };
        let row = [Earned { service: None, by: EarnedBy::Word }];
        let place = |has: bool| {
            let seen = Seen { at: at.map(Moment), origin, earned: if has { &row } else { &[] } };
            policy.place(source, Service::new(service), &seen)
        };
        let (place, own) = (place(earned.0), place(earned.1));
        let names = [Username::from_pam(name.as_bytes()).unwrap()];
        let groups: Option<Vec<GroupName>> = groups.map(|groups| groups.into_iter().map(GroupName::new).collect());
        let subject = Subject::Account { names: &names, groups: groups.as_deref() };
        let accepted = Accepted { publickey: accepted.0, sshd: accepted.1 };

        let explained = policy.explain(&place, &own, accepted, subject);
        prop_assert_eq!(&explained.asked, policy.questions(&place, accepted).word());
        let plan = policy.plan(&own, accepted, subject);
        prop_assert_eq!(explained.covered, policy.questions(&place, accepted).cover(plan.factors()));
        prop_assert_eq!(explained.rule.as_deref(), plan.rule().map(RuleName::as_str));
        let factors = [("password", plan.factors().password), ("code", plan.factors().code)];
        let factors: Vec<_> = factors.into_iter().filter(|(_, asked)| *asked).map(|(word, _)| word).collect();
        prop_assert_eq!(&explained.factors, &factors);
        match &plan {
            Plan::Require { waiver, .. } => {
                prop_assert_eq!(explained.outcome, Outcome::LetIn);
                prop_assert_eq!(explained.waiver.as_deref(), waiver.as_ref().map(LocationName::as_str));
            }
            Plan::Deny { .. } => prop_assert_eq!(explained.outcome, Outcome::Denied),
            Plan::Unavailable { .. } => prop_assert_eq!(explained.outcome, Outcome::Unavailable),
        }

        // One that was passed over has a condition that fails; the one that decided has none; none below was looked at.
        let fails = |look: &RuleLook| look.conditions.iter().any(|condition| condition.holds == Truth::False);
        for look in &explained.rules {
            prop_assert_eq!(fails(look), look.matches == Truth::False, "{:?}", look);
            prop_assert_eq!(look.matches != Truth::False, Some(&look.rule) == explained.rule.as_ref());
        }
        let looked_at = explained.rule.as_ref().map_or(rules.len(), |rule| {
            (0..).find(|number| *rule == format!("rule {number}")).unwrap() + 1
        });
        prop_assert_eq!(explained.rules.len(), looked_at);
    }
}

fn ssh(rules: &str) -> Explanation {
    let policy = policy(&[rules.to_owned()]);
    let seen = Seen { at: Some(Moment(MONDAY)), ..Seen::default() };
    let place = policy.place(Source::Address("203.0.113.7".parse().unwrap()), Service::new("sshd"), &seen);
    let names = [Username::from_pam(b"alice").unwrap()];
    let subject = Subject::Account { names: &names, groups: Some(&[]) };
    policy.explain(&place, &place, Accepted::default(), subject)
}

#[test]
fn it_says_what_one_condition_alone_keeps_from_deciding() {
    let explained = ssh("services = [\"sshd\"]\nfrom = [\"office\"]\nrequire = [\"password\"]\n");
    assert_eq!(explained.changes(), ["\"rule 0\" (password) would decide if from office held"]);
    let two = ssh("services = [\"desk\"]\nfrom = [\"office\"]\nrequire = [\"password\"]\n");
    assert_eq!(two.changes(), [""; 0], "two would have to change");
    let denied = ssh("services = [\"desk\"]\ndeny = true\n");
    assert_eq!(
        (denied.outcome, denied.changes().len()),
        (Outcome::Denied, 0),
        "another refusal is no change"
    );
    let unknown = ssh("from = [\"home\"]\nrequire = [\"password\", \"code\"]\n");
    assert_eq!(unknown.outcome, Outcome::Unavailable);
    assert_eq!(unknown.changes(), ["\"rule 0\" could be told if it were known whether from home holds"]);
}
