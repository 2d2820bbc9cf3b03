//! Whether the rules make sense together, and the table an administrator signs.

mod budget;
mod overlap;
mod table;

pub use budget::{RuleBound, bounds, remedies, would_exceed};
pub use overlap::{Overlap, overlaps};
pub use table::{Row, table};

use crate::names::LocationName;
use crate::plan::Policy;
use crate::rule::{Effect, Factors, Method, Rule};
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
        if let Some(above) = policy.rules.iter().take(index).find(|above| overlap::covers(above, rule)) {
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
    let bare = |rule: &&Rule| {
        rule.enroll.is_some()
            || matches!(rule.effect, Effect::Require(Factors { password: true, code: false }))
    };
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
            hint: "ask for a password and a code, name networks or an earned place in `from`, or say single_factor = true".into(),
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
    let key = rule.after.contains(&Method::Publickey);
    if factors.code && key {
        things.push("a key and a code, both of them something to have");
    } else if factors.code {
        things.push("a code");
    } else if key {
        things.push("a key that sshd checked");
    } else if rule.after.contains(&Method::Sshd) {
        things.push("what sshd decided alone");
    }
    let counts = |name: &LocationName| {
        config.location.get(name.as_str()).is_some_and(|settings| match &settings.networks {
            Some(networks) => !networks.iter().any(holds_everybody),
            None => settings.is_earned(),
        })
    };
    if rule.from.as_ref().is_some_and(|from| !from.is_empty() && from.iter().all(counts)) {
        things.push("a place");
    }
    things
}

fn holds_everybody(network: &Network) -> bool {
    network.net().prefix_len() == 0
}

/// Rules by which a place stands in for the code at `now`, in seconds since 1970: `rule (location)`.
#[must_use]
pub fn waivers(config: &Config, policy: &Policy, now: u64) -> Vec<String> {
    let waives = |name: &&LocationName| {
        config.location.get(name.as_str()).is_some_and(|settings| !settings.needs_geoip())
    };
    policy
        .rules
        .iter()
        .filter(|rule| {
            matches!(rule.effect, Effect::Require(Factors { code: false, .. }))
                && !rule.after.contains(&Method::Publickey)
        })
        .filter_map(|rule| {
            let places: Vec<&str> =
                rule.from.iter().flatten().filter(waives).map(LocationName::as_str).collect();
            (!places.is_empty()).then(|| format!("{} ({})", rule.name, places.join(", ")))
        })
        .chain(policy.rules.iter().filter_map(|rule| grace(rule, now)))
        .collect()
}

/// Rules that knowingly rest on one thing only: `rule: what`.
#[must_use]
pub fn single_factors(config: &Config, policy: &Policy) -> Vec<String> {
    let told = |rule: &Rule| {
        let Effect::Require(factors) = rule.effect else { return None };
        match things_it_rests_on(config, rule, factors).as_slice() {
            [] => Some(format!("{}: nothing", rule.name)),
            [one] => Some(format!("{}: {one}", rule.name)),
            _ => None,
        }
    };
    policy.rules.iter().filter_map(told).collect()
}

/// A rule whose places stand in for the code until a day, for accounts without an authenticator.
fn grace(rule: &Rule, now: u64) -> Option<String> {
    let enroll = rule.enroll.as_ref()?;
    let day = enroll.grace_until.filter(|day| now < day.end_s())?;
    let places: Vec<&str> = enroll.from.iter().map(LocationName::as_str).collect();
    Some(format!("{} (until {day} for accounts without an authenticator: {})", rule.name, places.join(", ")))
}

/// What is over at `now`, in seconds since 1970, and says nothing any more.
#[must_use]
pub fn expired(policy: &Policy, now: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        let grace = rule.enroll.as_ref().and_then(|enroll| enroll.grace_until);
        if let Some(day) = grace.filter(|day| day.end_s() <= now) {
            findings.push(Finding {
                key: format!("rule[{index}].enroll.grace_until"),
                message: format!("{day} is over: the rule \"{}\" asks everybody for a code", rule.name),
                hint: "remove it".into(),
            });
        }
    }
    findings
}
