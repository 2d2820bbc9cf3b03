//! Whether the rules make sense together, and the table an administrator signs.

mod budget;

pub use budget::{RuleBound, bounds, remedies, would_exceed};

use crate::names::{LocationName, Service};
use crate::place::Place;
use crate::plan::{Policy, Questions};
use crate::rule::{Accepted, Effect, Factors, Method, Rule, Subject};
use crate::source::Source;
use crate::truth::Truth;
use serde::Serialize;
use std::net::IpAddr;
use twinlock_config::{Config, Loaded, Network, Problem, Problems};

/// Something about the rules that the file's reader should hear; `key` names the place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Key path, such as `rule[2].from`.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// With these the daemon does not start.
    pub errors: Vec<Finding>,
    /// With these it starts, and says so.
    pub warnings: Vec<Finding>,
}

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

/// The policy of a configuration file, if its rules make sense: what a start of the daemon, its `--check`, and
/// `twinlock config check` all ask.
///
/// # Errors
/// Every rule that does not, with its place in the file and a remedy.
pub fn accept(loaded: &Loaded) -> Result<Policy, Problems> {
    let policy = Policy::new(&loaded.config);
    let mut problems = Problems::default();
    for finding in check(&loaded.config, &policy).errors {
        problems.push(finding.at(loaded));
    }
    problems.or(policy)
}

impl Finding {
    /// With its place in the file.
    #[must_use]
    pub fn at(&self, loaded: &Loaded) -> Problem {
        loaded.problem_at(&self.key, self.message.clone(), Some(&self.hint))
    }
}

/// Checks the rules of a configuration that the config crate has accepted.
#[must_use]
pub fn check(config: &Config, policy: &Policy) -> Findings {
    let mut findings = Findings::default();
    findings.errors.extend(budget::above_budget(config, policy));
    if let Some(day) = config.tarpit.observe_until {
        findings.warnings.push(Finding {
            key: "tarpit.observe_until".into(),
            message: format!(
                "until the end of {day} (UTC) the tarpit refuses nothing: no bound on guessing holds till then"
            ),
            hint: "remove it to have refusals from now on; after that day it means nothing".into(),
        });
    }
    check_binds(config, policy, &mut findings);
    for (index, rule) in policy.rules.iter().enumerate() {
        let key = format!("rule[{index}]");
        check_factors(config, rule, &key, &mut findings);
        if let Some(above) = policy.rules.iter().take(index).find(|above| covers(above, rule)) {
            findings.warnings.push(Finding {
                key,
                message: format!(
                    "the rule \"{}\" can never decide: \"{}\" above it matches first",
                    rule.name, above.name
                ),
                hint: "move it up, or remove it".into(),
            });
        }
    }
    findings
}

/// The last failed bind below the directory's lock-out is kept for a right code.
fn check_binds(config: &Config, policy: &Policy, findings: &mut Findings) {
    let bare = |rule: &&Rule| matches!(rule.effect, Effect::Require(Factors { password: true, code: false }));
    let Some(rule) = policy.rules.iter().find(bare) else { return };
    for (name, _) in config.directory.iter().filter(|(_, directory)| directory.lockout.failures < 3) {
        findings.errors.push(Finding {
            key: format!("directory.{name}.lockout"),
            message: format!(
                "a directory that locks after two failures leaves no bind for the rule \"{}\"",
                rule.name
            ),
            hint: "ask for a code there, or let the directory lock after three failures or more".into(),
        });
    }
}

fn check_factors(config: &Config, rule: &Rule, key: &str, findings: &mut Findings) {
    let Effect::Require(factors) = rule.effect else {
        if rule.single_factor {
            findings.warnings.push(Finding {
                key: format!("{key}.single_factor"),
                message: format!("the rule \"{}\" denies, so single_factor says nothing", rule.name),
                hint: "remove it".into(),
            });
        }
        return;
    };
    let things = things_it_rests_on(config, rule, factors);
    if things.len() < 2 && !rule.single_factor {
        findings.errors.push(Finding {
            key: key.to_owned(),
            message: match things.as_slice() {
                [one] => format!("the rule \"{}\" rests on one thing only: {one}", rule.name),
                _ => format!("the rule \"{}\" lets anybody in who matches it", rule.name),
            },
            hint: "ask for a password and a code, name a `networks` location in `from`, or say single_factor = true".into(),
        });
    }
    if things.len() >= 2 && rule.single_factor {
        findings.warnings.push(Finding {
            key: format!("{key}.single_factor"),
            message: format!("the rule \"{}\" rests on {}", rule.name, things.join(" and ")),
            hint: "single_factor = true is not needed here".into(),
        });
    }
}

/// Knowledge, possession and place, as far as the rule makes each of them certain.
fn things_it_rests_on(config: &Config, rule: &Rule, factors: Factors) -> Vec<&'static str> {
    let mut things = Vec::new();
    if factors.password {
        things.push("a password");
    }
    if factors.code {
        things.push("a code");
    } else if rule.after.contains(&Method::Publickey) {
        things.push("a key that sshd checked");
    } else if rule.after.contains(&Method::Sshd) {
        things.push("what sshd decided alone");
    }
    let counts = |name: &LocationName| {
        config
            .location
            .get(name.as_str())
            .is_some_and(|settings| !settings.networks.iter().any(holds_everybody))
    };
    if rule.from.as_ref().is_some_and(|from| !from.is_empty() && from.iter().all(counts)) {
        things.push("a place");
    }
    things
}

fn holds_everybody(network: &Network) -> bool {
    network.net().prefix_len() == 0
}

/// Whether `above` matches whenever `below` does, as far as can be told from their texts.
fn covers(above: &Rule, below: &Rule) -> bool {
    fn wider<T: PartialEq>(above: Option<&Vec<T>>, below: Option<&Vec<T>>) -> bool {
        match (above, below) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(above), Some(below)) => below.iter().all(|item| above.contains(item)),
        }
    }
    let not_from = match (&above.not_from, &below.not_from) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(above), Some(below)) => above.iter().all(|item| below.contains(item)),
    };
    wider(above.services.as_ref(), below.services.as_ref())
        && wider(above.groups.as_ref(), below.groups.as_ref())
        && wider(above.accounts.as_ref(), below.accounts.as_ref())
        && wider(above.from.as_ref(), below.from.as_ref())
        && not_from
        && above.after.iter().all(|method| below.after.contains(method))
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
        .flat_map(|service| {
            sample_places(config).into_iter().map(|(label, source)| row(policy, service, label, source))
        })
        .collect()
}

const ANY_OTHER: &str = "(any other)";

/// One source for each place the configuration tells apart: an address inside each network location, this host's
/// consoles, nowhere known, and an address that no location holds if there is one.
fn sample_places(config: &Config) -> Vec<(String, Source)> {
    let mut places: Vec<(String, Source)> = config
        .location
        .iter()
        .filter_map(|(name, settings)| {
            let network = settings.networks.first()?;
            Some((name.clone(), Source::Address(network.net().addr())))
        })
        .collect();
    let held = |address: &IpAddr| {
        config
            .location
            .values()
            .any(|location| location.networks.iter().any(|network| network.contains(*address)))
    };
    for (label, candidates) in [("(elsewhere)", ELSEWHERE), ("private", PRIVATE)] {
        let free = candidates.iter().filter_map(|text| text.parse().ok()).find(|address| !held(address));
        places.extend(free.map(|address| (label.to_owned(), Source::Address(address))));
    }
    places.push(("local".into(), Source::Local));
    places.push(("unknown".into(), Source::Unknown));
    places
}

const ELSEWHERE: [&str; 3] = ["203.0.113.77", "198.51.100.77", "2001:db8:ffff::77"];
const PRIVATE: [&str; 3] = ["10.254.254.254", "172.31.254.254", "fdff:ffff::77"];

fn row(policy: &Policy, service: &Service, label: String, source: Source) -> Row {
    let place = policy.place(source, service.clone());
    let mut rules = Vec::new();
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
            break;
        }
    }
    if rules.is_empty() {
        rules.push("no rule: deny".into());
    }
    Row {
        service: service.to_string(),
        place: label,
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
    let waiver = rule.waiver(place).map(|location| format!(" (waiver: {location})")).unwrap_or_default();
    format!("{}: {asks}{after}{waiver}", rule.name)
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

/// Rules by which a place stands in for the code: `rule (location)`.
#[must_use]
pub fn waivers(policy: &Policy) -> Vec<String> {
    policy
        .rules
        .iter()
        .filter(|rule| {
            matches!(rule.effect, Effect::Require(Factors { code: false, .. }))
                && !rule.after.contains(&Method::Publickey)
        })
        .filter_map(|rule| {
            let networks: Vec<&str> = rule
                .from
                .iter()
                .flatten()
                .map(LocationName::as_str)
                .filter(|name| !matches!(*name, "local" | "unknown" | "private"))
                .collect();
            (!networks.is_empty()).then(|| format!("{} ({})", rule.name, networks.join(", ")))
        })
        .collect()
}
