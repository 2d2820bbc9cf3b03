//! The table an administrator signs: what is asked of everybody, service by service and place by place.

use crate::names::{GroupName, Service};
use crate::origin::{Earned, EarnedBy, Listing, Origin, Seen};
use crate::place::Place;
use crate::plan::{Policy, Questions};
use crate::rule::{Accepted, Effect, Factors, Method, Rule, Subject};
use crate::source::Source;
use crate::truth::Truth;
use serde::Serialize;
use std::fmt::Write;
use std::net::IpAddr;
use twinlock_config::{Config, Country, LocationSettings};

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// PAM service; `(any other)` stands for those no rule or table names.
    pub service: String,
    /// Location, or `(elsewhere)` for addresses no location holds.
    pub place: String,
    /// What is asked of everybody.
    pub questions: String,
    /// Rules that can decide here, in order: name and what each asks.
    pub rules: Vec<String>,
}

/// Every service and place the configuration tells apart, with what is asked there.
#[must_use]
pub fn table(config: &Config, policy: &Policy) -> Vec<Row> {
    let mut services: Vec<Service> = Vec::new();
    let named = policy.rules.iter().flat_map(|rule| rule.services.iter().flatten().cloned());
    for service in named.chain(config.service.keys().map(Service::new)) {
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services.push(Service::new(ANY_OTHER));
    services
        .iter()
        .flat_map(|service| samples(config).into_iter().map(|sample| row(policy, service, sample)))
        .collect()
}

const ANY_OTHER: &str = "(any other)";

/// A login from one of the places that the configuration tells apart.
struct Sample {
    label: String,
    source: Source,
    origin: Origin,
    earned: Vec<Earned>,
}

/// One for each location, this host's consoles, nowhere known, and an address that no location holds if there is one.
fn samples(config: &Config) -> Vec<Sample> {
    let elsewhere = elsewhere(config);
    let mut samples: Vec<Sample> = config
        .location
        .iter()
        .filter_map(|(name, settings)| sample(name, settings, free_address(config, &ELSEWHERE)))
        .collect();
    let mut add = |label: &str, source: Option<Source>, origin: Origin| {
        samples.extend(source.map(|source| Sample {
            label: label.into(),
            source,
            origin,
            earned: Vec::new(),
        }));
    };
    add("(elsewhere)", free_address(config, &ELSEWHERE), elsewhere);
    if config.geoip.is_some() {
        let unlisted = Origin { country: Listing::Unlisted, asn: Listing::Unlisted };
        add("unlisted", free_address(config, &ELSEWHERE), unlisted);
    }
    add("private", free_address(config, &PRIVATE), Origin::default());
    add("local", Some(Source::Local), Origin::default());
    add("unknown", Some(Source::Unknown), Origin::default());
    samples
}

/// A login from a location; from a public address that no network holds, where it is no network itself. It may lie in
/// any country that the location does not speak of, so whatever rests on one is shown.
fn sample(name: &str, settings: &LocationSettings, outside: Option<Source>) -> Option<Sample> {
    let label = name.to_owned();
    if let Some(network) = settings.networks().first() {
        let source = Source::Address(network.net().addr());
        return Some(Sample { label, source, origin: Origin::default(), earned: Vec::new() });
    }
    let source = outside?;
    let country = settings.countries.iter().flatten().next().map(|country| Listing::Listed(*country));
    let asn = settings.asns.iter().flatten().next().map(|asn| Listing::Listed(*asn));
    let origin = Origin { country: country.unwrap_or_default(), asn: asn.unwrap_or_default() };
    let earned = |logins, longest: u64| {
        // Almost forgotten, so that a shorter memory of another location does not hold it as well.
        let by = EarnedBy::Logins { logins, unused_s: longest.saturating_sub(1), newer: 0 };
        vec![Earned { service: None, by }]
    };
    let earned = match (settings.familiar, settings.remembered) {
        (Some(familiar), _) => earned(familiar.logins, familiar.forget.duration().as_secs()),
        (None, Some(within)) => earned(1, within.duration().as_secs()),
        (None, None) => Vec::new(),
    };
    Some(Sample { label, source, origin, earned })
}

/// A country and a system that no location names, where there is a file to tell them.
fn elsewhere(config: &Config) -> Origin {
    if config.geoip.is_none() {
        return Origin::default();
    }
    let named = |country: &Country| {
        config.location.values().any(|l| l.countries.iter().flatten().any(|c| c == country))
    };
    let country = Country::all().find(|country| !named(country)).map_or(Listing::Unlisted, Listing::Listed);
    Origin { country, asn: Listing::Unlisted }
}

/// The first of `candidates` that no network of the configuration holds.
fn free_address(config: &Config, candidates: &[&str]) -> Option<Source> {
    let held = |address: &IpAddr| {
        let mut networks = config.location.values().flat_map(LocationSettings::networks);
        networks.any(|network| network.contains(*address))
    };
    let mut addresses = candidates.iter().filter_map(|text| text.parse().ok());
    addresses.find(|address| !held(address)).map(Source::Address)
}

const ELSEWHERE: [&str; 3] = ["203.0.113.77", "198.51.100.77", "2001:db8:ffff::77"];
const PRIVATE: [&str; 3] = ["10.254.254.254", "172.31.254.254", "fdff:ffff::77"];

fn row(policy: &Policy, service: &Service, sample: Sample) -> Row {
    // Without a time, rules of any time are shown.
    let seen = Seen { at: None, origin: sample.origin, earned: &sample.earned };
    let place = policy.place(sample.source, service.clone(), &seen);
    let mut rules = Vec::new();
    let mut somebody_is_left = true;
    for rule in &policy.rules {
        let accepted = Accepted {
            publickey: rule.after.contains(&Method::Publickey),
            sshd: rule.after.contains(&Method::Sshd),
        };
        let matches = rule.matches(&place, accepted, Subject::Anybody);
        if matches == Truth::False {
            continue;
        }
        rules.push(describe(rule, &place));
        if matches == Truth::True && rule.after.is_empty() {
            somebody_is_left = false;
            break;
        }
    }
    if somebody_is_left {
        rules.push("no rule: deny".into());
    }
    Row {
        service: service.to_string(),
        place: sample.label,
        questions: spoken(policy.questions(&place, Accepted::default())),
        rules,
    }
}

fn describe(rule: &Rule, place: &Place) -> String {
    let asks = match &rule.effect {
        Effect::Deny => "deny".to_owned(),
        Effect::Require(Factors { password: true, code: true }) => "password + code".into(),
        Effect::Require(Factors { password: true, code: false }) => "password".into(),
        Effect::Require(Factors { password: false, code: true }) => "code".into(),
        Effect::Require(Factors { password: false, code: false }) => "nothing more".into(),
    };
    let after = if rule.after.contains(&Method::Publickey) {
        " after a key"
    } else if rule.after.contains(&Method::Sshd) {
        " after sshd alone"
    } else {
        ""
    };
    let mut only = String::new();
    // Writing to a string cannot fail.
    for (kind, names) in [("account", &rule.accounts), ("group", &rule.groups.as_deref().map(spelt))] {
        if let Some(names) = names {
            let _ = write!(only, ", {kind} {}", names.join(" or "));
        }
    }
    if let Some(when) = &rule.when {
        let _ = write!(only, ", {when}");
    }
    if let Some(until) = rule.until {
        let _ = write!(only, ", until {until}");
    }
    let waiver = rule.waiver(place).map(|location| format!(" (waiver: {location})")).unwrap_or_default();
    format!("{}: {asks}{after}{only}{waiver}", rule.name)
}

fn spelt(groups: &[GroupName]) -> Vec<String> {
    groups.iter().map(ToString::to_string).collect()
}

fn spoken(questions: Questions) -> String {
    match questions {
        Questions { password: true, code: true, single: true } => "one field: password+code",
        Questions { password: true, code: true, single: false } => "password, code",
        Questions { password: true, code: false, .. } => "password",
        Questions { password: false, code: true, .. } => "code",
        Questions { password: false, code: false, .. } => "nothing",
    }
    .to_owned()
}
