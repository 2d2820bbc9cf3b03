//! `twinlock explain`: what would come of a login, and why. The daemon knows the account, its lanes and its places; with
//! the daemon stopped, the file's rules are explained and what cannot be known is said.

use crate::args::{Args, ExplainArgs};
use crate::client::{Client, unexpected};
use crate::outcome::{Answer, Failure};
use crate::report::{duration, lane};
use crate::terminal::{harmless, print, print_json};
use crate::when;
use std::fmt::Write;
use twinlock_control::{ExplainQuery, Explained, Reply, Request, Would};
use twinlock_policy::{
    Accepted, Explanation, GroupName, Moment, Outcome, Seen, Service, Source, Subject, Truth, Username, check,
};

/// Explains one login; exit code 0 if whoever shows what is asked is let in, 1 if not, 3 if it cannot be decided.
pub(crate) fn run(args: &Args, asked: &ExplainArgs) -> Result<Answer, Failure> {
    let query = ExplainQuery {
        user: asked.user.clone().unwrap_or_default(),
        from: asked.from.clone(),
        service: asked.service.clone(),
        at: asked.at,
        after: asked.after.map(|after| after.word().to_owned()),
        invoker: asked.invoker.clone(),
        groups: asked.groups.clone(),
    };
    let explained = match Client::connect(&args.admin_socket()?) {
        Ok(mut client) => {
            let Reply::Explained(explained) = client.ask(&Request::Explain(query))? else {
                return Err(unexpected());
            };
            explained
        }
        Err(Failure::Unavailable(why)) => by_file(args, &query, &why)?,
        Err(failure) => return Err(failure),
    };
    if args.json {
        print_json(&explained)?;
    } else {
        let rules = serde_json::from_value(explained.rules.clone()).map_err(|_| unexpected())?;
        print(text(&asked.user.clone().unwrap_or_default(), &explained, &rules).trim_end())?;
    }
    match explained.would {
        Would::LetIn => Ok(Answer::Yes),
        Would::BeDenied => Ok(Answer::No),
        Would::BeUnavailable => Err(Failure::Unavailable("this cannot be decided".into())),
    }
}

/// Without the daemon: the rules of the file, for an account that is supposed to exist.
fn by_file(args: &Args, query: &ExplainQuery, why: &str) -> Result<Explained, Failure> {
    let loaded = twinlock_config::load(&args.config).map_err(Failure::Config)?;
    let policy = check::accept(&loaded).map_err(Failure::Config)?;
    let source = match query.from.as_str() {
        "local" => Source::Local,
        "unknown" => Source::Unknown,
        literal => Source::Address(Source::literal(literal.as_bytes()).ok_or_else(|| {
            Failure::WrongUse("a login comes from an address, or from local or unknown".into())
        })?),
    };
    let name = Username::from_pam(query.user.as_bytes())
        .map_err(|_| Failure::WrongUse("that cannot be a user's name".into()))?;
    let sshd = query.after.as_deref() == Some("sshd");
    let accepted = Accepted { publickey: query.after.as_deref() == Some("publickey"), sshd };
    let seen = Seen { at: Some(Moment(query.at.unwrap_or_else(when::now))), ..Seen::default() };
    let place = policy.place(source, Service::from_pam(query.service.as_bytes()), &seen);
    let groups: Option<Vec<_>> =
        query.groups.as_ref().map(|groups| groups.iter().map(GroupName::new).collect());
    let names = [name];
    let subject = Subject::Account { names: &names, groups: groups.as_deref() };
    let rules = policy.explain(&place, &place, accepted, subject);
    let (would, reason) = match rules.outcome {
        Outcome::Denied if rules.rule.is_none() => (Would::BeDenied, "no-rule"),
        Outcome::Denied => (Would::BeDenied, "denied-by-rule"),
        Outcome::Unavailable => (Would::BeUnavailable, "condition-unknown"),
        Outcome::LetIn if sshd && !rules.factors.is_empty() => (Would::BeDenied, "rule-not-met"),
        Outcome::LetIn if !sshd && !rules.covered => (Would::BeDenied, "not-asked"),
        Outcome::LetIn => (Would::LetIn, "rule-met"),
    };
    let mut unknown = vec![
        format!("the daemon was not asked: {why}"),
        "whether the directory knows this account, and its other names".into(),
        "whether its lanes are open, and whether it has an authenticator".into(),
    ];
    if groups.is_none() && loaded.config.rule.iter().any(|rule| rule.groups.is_some()) {
        unknown.push("its groups; suppose some with --groups".into());
    }
    if loaded.config.location.values().any(|location| location.networks.is_none()) {
        unknown.push("countries and systems of addresses, and what was earned there".into());
    }
    Ok(Explained {
        would,
        reason: reason.into(),
        account: None,
        id: None,
        groups: query.groups.clone(),
        changes: rules.changes(),
        rules: serde_json::to_value(&rules).map_err(|_| unexpected())?,
        lane: None,
        prefixes: Vec::new(),
        withdrawn: None,
        recovery_codes_left: None,
        authenticators: None,
        unknown,
    })
}

/// For people: the place, each rule with its conditions, then what it comes to.
fn text(user: &str, explained: &Explained, rules: &Explanation) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |depth: usize, what: &str| {
        let _ = writeln!(text, "{:1$}{2}", "", depth * 2, harmless(what));
    };
    let place = if rules.place.is_empty() { "no location".to_owned() } else { rules.place.join(", ") };
    let at = rules.at.map(when::to_the_second).unwrap_or_default();
    line(0, &format!("{user}  {} from {} ({place})  {at}", rules.service, rules.source));
    if let Some(account) = &explained.account {
        let groups = explained.groups.as_ref().map(|groups| format!("  groups: {}", groups.join(", ")));
        line(0, &format!("account: {account}{}", groups.unwrap_or_default()));
    }
    line(0, &format!("asked of everybody there: {}", rules.asked));
    line(0, "rules:");
    for look in &rules.rules {
        line(1, &format!("{:7} {}: {}", word(look.matches), look.rule, look.asks));
        for condition in &look.conditions {
            line(3, &format!("{:7} {} {}", word(condition.holds), condition.condition, condition.wants));
        }
    }
    if rules.rule.is_none() {
        line(1, "no rule is left: deny");
    }
    if let Some(report) = &explained.lane {
        line(0, &format!("lane: {}", lane(report)));
    }
    for prefix in &explained.prefixes {
        line(0, &format!("closed: {} for {}", prefix.lane, duration(prefix.closed_for_s)));
    }
    let shown =
        if rules.factors.is_empty() { "nothing more".to_owned() } else { rules.factors.join(" and ") };
    let waived = match &explained.withdrawn {
        Some(place) => {
            Some(format!(" and code; {place} does not stand in for it while the password looks stolen"))
        }
        None => rules.waiver.as_ref().map(|place| format!("; {place} stands in for the code")),
    };
    match explained.would {
        Would::LetIn => line(0, &format!("would be let in, with: {shown}{}", waived.unwrap_or_default())),
        Would::BeDenied => line(0, &format!("would be denied: {}", explained.reason)),
        Would::BeUnavailable => line(0, &format!("could not be decided: {}", explained.reason)),
    }
    for (title, lines) in [("what would change it:", &explained.changes), ("not known:", &explained.unknown)]
    {
        if !lines.is_empty() {
            line(0, title);
        }
        for what in lines {
            line(1, what);
        }
    }
    text
}

const fn word(truth: Truth) -> &'static str {
    match truth {
        Truth::True => "yes",
        Truth::False => "no",
        Truth::Unknown => "unknown",
    }
}
